"""What AMF's types are in Python: the values that both decoders make and both encoders take (AMF 0, 2; AMF 3, 3).

What has an ordinary Python type is one: a number is `float` (AMF 3's integer `int`), then `bool`, `str`, `None`,
`bytes` for a byte array, `list` for an array without names, `dict` for an anonymous object. This module holds the
rest. Values that AMF sends by reference keep their identity: what was one object on the wire is one object here, and
may hold itself. So `==` on a decoded value can pass Python's recursion limit, as it can on any list that holds
itself; `repr` cannot.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from reprlib import recursive_repr
from typing import Final, TypeAlias

__all__ = [
    "UNDEFINED",
    "UNSUPPORTED",
    "AvmPlus",
    "Date",
    "Dictionary",
    "EcmaArray",
    "Externalizable",
    "TypedObject",
    "Undefined",
    "Unsupported",
    "Value",
    "Vector",
    "VectorType",
    "Xml",
    "XmlDocument",
]

Value: TypeAlias = (
    "bool | int | float | str | bytes | list[Value] | dict[str, Value] | Undefined | Unsupported | Date | XmlDocument"
    " | Xml | TypedObject | Externalizable | Vector | Dictionary | None"
)
"""What decoding gives (`EcmaArray` is a `dict`). Narrow it with `isinstance` before use: the peer chose the type."""


class Undefined(enum.Enum):
    """The type of `UNDEFINED`, ActionScript's undefined; false, as it is there (AMF 0, 2.8; AMF 3, 3.2)."""

    UNDEFINED = "UNDEFINED"

    def __repr__(self) -> str:
        return self.value

    def __bool__(self) -> bool:
        return False


class Unsupported(enum.Enum):
    """The type of `UNSUPPORTED`, AMF 0's stand-in for what the sender could not write; false (AMF 0, 2.15)."""

    UNSUPPORTED = "UNSUPPORTED"

    def __repr__(self) -> str:
        return self.value

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined.UNDEFINED
UNSUPPORTED: Final = Unsupported.UNSUPPORTED


class EcmaArray(dict[str, "Value"]):
    """An array with names: AMF 0's ECMA array, AMF 3's array with an associative portion (AMF 0, 2.10; AMF 3, 3.11).

    The count that AMF 0 announces in front is a hint that real programs get wrong; it is neither believed nor kept.
    AMF 3 has no empty one: without names it is a plain `list` after a round trip.

    Attributes:
        dense: AMF 3's dense portion, the elements 0, 1, 2, ... without names; always empty from AMF 0, whose ordinal
            indices are names too ("0", "1").
    """

    __slots__ = ("dense",)

    dense: "list[Value]"

    def __init__(
        self, items: "Mapping[str, Value] | Iterable[tuple[str, Value]]" = (), *, dense: "list[Value] | None" = None
    ) -> None:
        super().__init__(items)
        self.dense = [] if dense is None else dense

    def __eq__(self, other: object) -> bool:
        if isinstance(other, EcmaArray):
            return dict.__eq__(self, other) and self.dense == other.dense
        return not self.dense and dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # it can change, as any dict

    @recursive_repr("EcmaArray(...)")
    def __repr__(self) -> str:
        return f"EcmaArray({dict.__repr__(self)}, dense={self.dense!r})"


@dataclass(frozen=True, slots=True)
class Date:
    """A moment (AMF 0, 2.13; AMF 3, 3.10).

    Attributes:
        unix_ms: milliseconds since 1970-01-01T00:00Z; any double, so it may be no number at all.
        utc_offset_minutes: the sender's local time less UTC, -32768 to 32767; reserved, 0 in what is sent today, and
            not held by AMF 3, which drops it. The moment does not depend on it.
    """

    unix_ms: float
    utc_offset_minutes: int = 0


@dataclass(frozen=True, slots=True)
class XmlDocument:
    """The text of a flash.xml.XMLDocument; never parsed here (AMF 0, 2.17; AMF 3, 3.9)."""

    text: str


@dataclass(frozen=True, slots=True)
class Xml:
    """The text of an ActionScript 3 XML (E4X); never parsed here (AMF 3, 3.13)."""

    text: str


@dataclass(slots=True)
class TypedObject:
    """An object with a class name, or with AMF 3 traits other than an anonymous dynamic one's (AMF 0, 2.18; AMF 3,
    3.12).

    Attributes:
        class_name: the alias that its class is registered by; empty for an anonymous class.
        members: names and values, sealed ones first.
        sealed: the names that the class declares, in its order; each must be in `members`. None in AMF 0.
        dynamic: whether `members` may hold names beyond `sealed`.
    """

    class_name: str
    members: "dict[str, Value]" = field(default_factory=dict)
    sealed: tuple[str, ...] = ()
    dynamic: bool = True


@dataclass(slots=True)
class Externalizable:
    """An object whose class writes its own bytes (AMF 3, 3.12); read and written by an `ExternalizableCodec`.

    Attributes:
        class_name: the alias by which the codec is registered.
        content: what the codec read, or is to write.
    """

    class_name: str
    content: object = None


class VectorType(enum.Enum):
    """A Vector's base type; the value is its AMF 3 marker (AMF 3, 3.15)."""

    INT = 0x0D
    UINT = 0x0E
    DOUBLE = 0x0F
    OBJECT = 0x10


@dataclass(slots=True)
class Vector:
    """An array of values of one type (AMF 3, 3.15).

    Attributes:
        type: the base type. INT holds ints of -2**31 to 2**31 - 1, UINT ints of 0 to 2**32 - 1, DOUBLE floats.
        items: the values.
        fixed: whether ActionScript may change its length.
        class_name: the class of an OBJECT vector's items, "*" for any; not sent for the other three.
    """

    type: VectorType
    items: "list[Value]" = field(default_factory=list)
    fixed: bool = False
    class_name: str = "*"


@dataclass(slots=True)
class Dictionary:
    """A map whose keys may be anything, objects too, told apart by identity (AMF 3, 3.16).

    So it is a list of pairs here, in the order sent, and a key may come twice: Python's `dict` would want hashable
    keys, and would take 1, 1.0 and True for one.

    Attributes:
        entries: key and value pairs.
        weak: whether ActionScript holds the keys weakly.
    """

    entries: "list[tuple[Value, Value]]" = field(default_factory=list)
    weak: bool = False


@dataclass(frozen=True, slots=True)
class AvmPlus:
    """Asks the AMF 0 encoder to write this one value in AMF 3 (AMF 0, 3.1); decoding gives the bare value back."""

    value: object
