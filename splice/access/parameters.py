"""Parameters out of a query, where a second reading of it would be a hole: each once, and written plainly."""

from collections.abc import Collection
from urllib.parse import unquote

from splice.access.requests import AccessRefusedError

__all__ = ["read_parameters", "without_parameters"]


def read_parameters(arguments: str, names: Collection[str]) -> dict[str, str]:
    """The values of those of `names` that stand in a query, as they were sent.

    Args:
        arguments: what stands behind the "?".
        names: in small letters.

    Raises:
        AccessRefusedError: 400: one of them is there twice, or its name is encoded or in capitals; another reader
            could take another one of two, or not see it at all.
    """
    given: dict[str, str] = {}
    for field in arguments.split("&"):
        written, _, value = field.partition("=")
        name = unquote(written).lower()
        if name not in names:
            continue
        if name in given:
            raise AccessRefusedError(400, f"the parameter {name} is given twice; give it once")
        if written != name:
            raise AccessRefusedError(400, f"write the parameter's name as {name}, in small letters without a %")
        given[name] = value
    return given


def without_parameters(target: bytes, names: Collection[bytes]) -> bytes:
    """A request-target without the parameters of these names; all else stays, byte for byte and in order.

    Each goes with one `&` beside it, and the `?` with the last of all.
    """
    path, question_mark, query = target.partition(b"?")
    fields = query.split(b"&")
    kept = [field for field in fields if field.partition(b"=")[0] not in names]
    if len(kept) == len(fields):
        return target
    return path + question_mark + b"&".join(kept) if kept else path
