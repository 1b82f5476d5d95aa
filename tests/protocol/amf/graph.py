"""Sameness of AMF values, which `==` cannot tell: graphs that hold themselves, NaN, 1 and True, what is one object."""

import struct
from dataclasses import fields
from itertools import zip_longest
from typing import Any

from protocol.amf import Dictionary, EcmaArray, Externalizable, TypedObject, Vector

_CONTAINERS = (dict, list, TypedObject, Externalizable, Vector, Dictionary)
_NOTHING = object()


def same(left: Any, right: Any, *, identity: bool = True, numbers: bool = False) -> bool:
    """Whether two values are the same graph, types and bits included, without recursion.

    Args:
        identity: what is one container on one side must be one on the other.
        numbers: an int and a float of equal value are the same.
    """
    partner: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    pending = [(left, right)]
    while pending:
        a, b = pending.pop()
        if not isinstance(a, _CONTAINERS):
            if not _same_scalar(a, b, numbers=numbers):
                return False
            continue
        if type(a) is not type(b):
            return False
        if identity and (partner.setdefault(id(a), id(b)) != id(b) or partner.setdefault(id(b), id(a)) != id(a)):
            return False
        if (id(a), id(b)) in seen:
            continue
        seen.add((id(a), id(b)))
        pending += zip_longest(_content(a), _content(b), fillvalue=_NOTHING)
    return True


def _content(value: Any) -> list[Any]:
    if isinstance(value, dict):
        dense = value.dense if isinstance(value, EcmaArray) else []
        return [len(dense), *dense, *value.keys(), *value.values()]
    if isinstance(value, list):
        return list(value)
    if isinstance(value, Dictionary):
        return [value.weak, *(part for entry in value.entries for part in entry)]
    return [getattr(value, field.name) for field in fields(value)]


def _same_scalar(a: Any, b: Any, *, numbers: bool) -> bool:
    if numbers and {type(a), type(b)} == {int, float}:
        return bool(a == b)
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack(">d", a) == struct.pack(">d", b)
    if hasattr(a, "__dataclass_fields__"):
        return all(_same_scalar(getattr(a, f.name), getattr(b, f.name), numbers=numbers) for f in fields(a))
    return bool(a == b)
