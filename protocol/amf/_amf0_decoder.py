"""AMF 0 bytes in, values out (AMF 0, 2 and 3). One decoder reads one message: its values share the reference tables.

A value is read by the method that its marker names; methods of containers call back for what they hold, to a depth
and a number that `Cursor` counts.
"""

import struct
from collections.abc import Callable
from typing import Final

from protocol._base import Limits, RemoteProtocolError
from protocol.amf._amf3_decoder import Amf3Decoder
from protocol.amf._cursor import Cursor, decode_utf8
from protocol.amf._externalizable import Externalizables
from protocol.amf._values import UNDEFINED, UNSUPPORTED, Date, EcmaArray, TypedObject, Value, XmlDocument

__all__ = ["Amf0Decoder"]

_OBJECT_END_MARKER: Final = 0x09

_DOUBLE: Final = struct.Struct(">d")
_DATE: Final = struct.Struct(">dh")


class Amf0Decoder(Cursor):
    """The values of one message, taken one by one with `read_value`."""

    __slots__ = ("_avmplus", "_costs", "_externalizables", "_limits", "_references")

    def __init__(self, data: bytes, limits: Limits, externalizables: Externalizables) -> None:
        super().__init__(data, limits)
        self._limits: Final = limits
        self._externalizables: Final = externalizables
        self._avmplus: Amf3Decoder | None = None
        # The table of 2.9, and for each of its entries how many values it holds, itself included; 1 while it is open.
        self._references: list[Value] = []
        self._costs: list[int] = []

    def read_value(self) -> Value:
        """The value that begins here.

        Raises:
            RemoteProtocolError: it breaks the format or a limit.
        """
        position = self.position
        self.values_left -= 1
        if position >= len(self.data) or self.depth > self.deepest or self.values_left < 0:
            raise self.refuse("AMF 0, 2.1")
        self.position = position + 1
        marker = self.data[position]
        if marker >= len(_READERS):
            raise RemoteProtocolError(f"no AMF 0 type has the marker 0x{marker:02X}", spec="AMF 0, 2.1")
        return _READERS[marker](self)

    def _read_number(self) -> float:
        start = self.position
        self.position = end = start + 8
        if end > len(self.data):
            raise RemoteProtocolError("truncated: a number has 8 bytes", spec="AMF 0, 2.2")
        number: float = _DOUBLE.unpack_from(self.data, start)[0]
        return number

    def _read_boolean(self) -> bool:
        return self.take(1, "AMF 0, 2.3") != b"\x00"

    def _read_string(self) -> str:
        return self._read_utf8("AMF 0, 2.4")

    def _read_object(self) -> dict[str, Value]:
        members: dict[str, Value] = {}
        self._read_complex(members, members, "AMF 0, 2.5")
        return members

    def _read_movieclip(self) -> Value:
        raise RemoteProtocolError("the movieclip type is reserved", spec="AMF 0, 2.6")

    def _read_null(self) -> None:
        return None

    def _read_undefined(self) -> Value:
        return UNDEFINED

    def _read_reference(self) -> Value:
        index = int.from_bytes(self.take(2, "AMF 0, 2.9"), "big")
        if index >= len(self._references):
            raise RemoteProtocolError(f"reference to object {index} of {len(self._references)}", spec="AMF 0, 2.9")
        self.charge(self._costs[index] - 1, "AMF 0, 2.9")
        return self._references[index]

    def _read_ecma_array(self) -> EcmaArray:
        self.take(4, "AMF 0, 2.10")  # associative-count: a hint, often wrong; the object end decides
        array = EcmaArray()
        self._read_complex(array, array, "AMF 0, 2.10")
        return array

    def _read_object_end(self) -> Value:
        raise RemoteProtocolError("an object end outside an object", spec="AMF 0, 2.11")

    def _read_strict_array(self) -> list[Value]:
        count = int.from_bytes(self.take(4, "AMF 0, 2.12"), "big")
        items: list[Value] = []
        index, before = self._open(items)
        for _ in range(count):
            items.append(self.read_value())  # noqa: PERF401 - what is read so far must stand in `items`: it may be referred to
        self._close(index, before)
        return items

    def _read_date(self) -> Date:
        return Date(*_DATE.unpack(self.take(10, "AMF 0, 2.13")))

    def _read_long_string(self) -> str:
        return self._read_utf8_long("AMF 0, 2.14")

    def _read_unsupported(self) -> Value:
        return UNSUPPORTED

    def _read_recordset(self) -> Value:
        raise RemoteProtocolError("the recordset type is reserved", spec="AMF 0, 2.16")

    def _read_xml_document(self) -> XmlDocument:
        return XmlDocument(self._read_utf8_long("AMF 0, 2.17"))

    def _read_typed_object(self) -> TypedObject:
        typed = TypedObject(self._read_utf8("AMF 0, 2.18"))
        self._read_complex(typed, typed.members, "AMF 0, 2.18")
        return typed

    def _read_avmplus(self) -> Value:
        """One AMF 3 value; the next value is AMF 0 again. The message's AMF 3 values share their tables (AMF 3,
        4.1)."""
        if self._avmplus is None:
            self._avmplus = Amf3Decoder(self.data, self._limits, self._externalizables)
        self.values_left += 1  # the AMF 3 decoder counts the same value
        self._avmplus.follow(self)
        value = self._avmplus.read_value()
        self.follow(self._avmplus)
        return value

    def _read_utf8(self, spec: str) -> str:
        data = self.data
        start = self.position + 2
        if start > len(data):
            raise RemoteProtocolError("truncated: a string's length has 2 bytes", spec=spec)
        self.position = end = start + (data[start - 2] << 8 | data[start - 1])
        if end > len(data):
            raise RemoteProtocolError(
                f"truncated: a string of {end - start} bytes, {len(data) - start} left", spec=spec
            )
        return decode_utf8(data[start:end])

    def _read_utf8_long(self, spec: str) -> str:
        length = int.from_bytes(self.take(4, spec), "big")
        return decode_utf8(self.take(length, spec))

    def _read_complex(self, value: Value, members: dict[str, Value], spec: str) -> None:
        """Members up to the object end, put into `members`, which belong to the new reference table entry `value`.

        A name that comes again wins, as it would in ActionScript. The empty name is the object end only in front of its
        marker, which no value begins with, so an object may have a member of that name.
        """
        index, before = self._open(value)
        data = self.data
        while True:
            name = self._read_utf8(spec)
            if not name and self.position < len(data) and data[self.position] == _OBJECT_END_MARKER:
                self.position += 1
                break
            members[name] = self.read_value()
        self._close(index, before)

    def _open(self, value: Value) -> tuple[int, int]:
        """Enter a container into the reference table, where its own content may find it; what follows is one deeper."""
        index = len(self._references)
        self._references.append(value)
        self._costs.append(1)
        self.depth += 1
        return index, self.values_left

    def _close(self, index: int, before: int) -> None:
        self._costs[index] = before - self.values_left + 1
        self.depth -= 1


_READERS: Final[tuple[Callable[[Amf0Decoder], Value], ...]] = (
    Amf0Decoder._read_number,  # 0x00
    Amf0Decoder._read_boolean,
    Amf0Decoder._read_string,
    Amf0Decoder._read_object,
    Amf0Decoder._read_movieclip,
    Amf0Decoder._read_null,
    Amf0Decoder._read_undefined,
    Amf0Decoder._read_reference,
    Amf0Decoder._read_ecma_array,  # 0x08
    Amf0Decoder._read_object_end,
    Amf0Decoder._read_strict_array,
    Amf0Decoder._read_date,
    Amf0Decoder._read_long_string,
    Amf0Decoder._read_unsupported,
    Amf0Decoder._read_recordset,
    Amf0Decoder._read_xml_document,
    Amf0Decoder._read_typed_object,  # 0x10
    Amf0Decoder._read_avmplus,
)
"""By marker (AMF 0, 2.1 and 3.1)."""
