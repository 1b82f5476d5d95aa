"""How large a decoded AMF value is, counted: the same container met twice, or within itself, counts once."""

from collections.abc import Iterable

from protocol.amf import Dictionary, EcmaArray, Externalizable, TypedObject, Vector

__all__ = ["count_containers"]


def count_containers(values: Iterable[object]) -> int:
    """How many objects, arrays and the like the values are made of; without recursion."""
    seen: dict[int, object] = {}
    pending = list(values)
    while pending:
        value = pending.pop()
        content = _content(value)
        if content is not None and id(value) not in seen:
            seen[id(value)] = value
            pending += content
    return len(seen)


def _content(value: object) -> Iterable[object] | None:
    if isinstance(value, EcmaArray):
        return [*value.dense, *value.values()]
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list):
        return value
    if isinstance(value, TypedObject):
        return value.members.values()
    if isinstance(value, Vector):
        return value.items
    if isinstance(value, Dictionary):
        return [part for entry in value.entries for part in entry]
    return [value.content] if isinstance(value, Externalizable) else None
