"""Values in, AMF 0 bytes out (AMF 0, 2 and 3). One encoder writes one message: its values share the reference table.

What AMF 0 cannot hold and AMF 3 can (byte arrays, vectors, dictionaries, E4X, externalizable and sealed objects,
arrays with a dense portion and names) goes behind the avmplus-object-marker.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from protocol._base import Limits, LocalProtocolError
from protocol.amf._amf3_encoder import Amf3Encoder
from protocol.amf._cursor import as_double, deepest, encode_utf8, shown
from protocol.amf._externalizable import Externalizables
from protocol.amf._values import (
    AvmPlus,
    Date,
    Dictionary,
    EcmaArray,
    Externalizable,
    TypedObject,
    Undefined,
    Unsupported,
    Vector,
    Xml,
    XmlDocument,
)

__all__ = ["Amf0Encoder"]

_LONGEST_STRING_BYTES: Final = 0xFFFF
_LONGEST_LONG_STRING_BYTES: Final = 0xFFFFFFFF
_HIGHEST_REFERENCE: Final = 0xFFFF
_OBJECT_END: Final = b"\x00\x00\x09"

_NUMBER: Final = struct.Struct(">Bd")
_STRING: Final = struct.Struct(">BH")
_MARKER_AND_U32: Final = struct.Struct(">BI")
_DATE: Final = struct.Struct(">Bdh")


class Amf0Encoder:
    """The bytes of one message, written value by value with `write_value` into `output`."""

    __slots__ = ("_avmplus", "_depth", "_externalizables", "_limits", "_references", "output")

    def __init__(self, limits: Limits, externalizables: Externalizables) -> None:
        self.output = bytearray()
        self._limits: Final = limits
        self._externalizables: Final = externalizables
        self._avmplus: Amf3Encoder | None = None
        self._depth = 1
        # The table of 2.9, by identity; each entry keeps its object alive, so that no other can get its id.
        self._references: dict[int, tuple[int, object]] = {}

    def write_value(self, value: object) -> None:
        """Append `value`.

        Raises:
            LocalProtocolError: AMF cannot hold it, or it is too deep.
        """
        if self._depth > deepest(self._limits):
            raise LocalProtocolError(f"values nest deeper than {deepest(self._limits)}", spec="AMF 0, 2.1")
        writer = _WRITERS.get(type(value))
        if writer is None:
            for base in type(value).__mro__:
                if base in _WRITERS:
                    writer = _WRITERS[base]
                    break
            else:
                raise LocalProtocolError(f"AMF has no type for a {type(value).__name__}", spec="AMF 0, 2.1")
        writer(self, value)

    def _write_number(self, value: float) -> None:
        self.output += _NUMBER.pack(0x00, as_double(value, "AMF 0, 2.2"))

    def _write_boolean(self, value: bool) -> None:
        self.output += b"\x01\x01" if value else b"\x01\x00"

    def _write_string(self, value: str) -> None:
        encoded = encode_utf8(value, "AMF 0, 2.4")
        if len(encoded) <= _LONGEST_STRING_BYTES:
            self.output += _STRING.pack(0x02, len(encoded))
            self.output += encoded
        else:
            self._write_long(0x0C, encoded, "AMF 0, 2.14")

    def _write_object(self, value: Mapping[str, object]) -> None:
        if not self._write_reference(value):
            self.output.append(0x03)
            self._write_members(value, "AMF 0, 2.5")

    def _write_null(self, _value: None) -> None:
        self.output.append(0x05)

    def _write_undefined(self, _value: Undefined) -> None:
        self.output.append(0x06)

    def _write_ecma_array(self, value: EcmaArray) -> None:
        if value.dense:
            self._write_avmplus(value)
        elif not self._write_reference(value):
            self.output += _MARKER_AND_U32.pack(0x08, len(value))
            self._write_members(value, "AMF 0, 2.10")

    def _write_strict_array(self, value: Sequence[object]) -> None:
        if self._write_reference(value):
            return
        self.output += _MARKER_AND_U32.pack(0x0A, len(value))
        self._depth += 1
        for item in value:
            self.write_value(item)
        self._depth -= 1

    def _write_date(self, value: Date) -> None:
        try:
            self.output += _DATE.pack(0x0B, as_double(value.unix_ms, "AMF 0, 2.13"), value.utc_offset_minutes)
        except struct.error as error:
            raise LocalProtocolError("a date's offset is -32768 to 32767 minutes", spec="AMF 0, 2.13") from error

    def _write_unsupported(self, _value: Unsupported) -> None:
        self.output.append(0x0D)

    def _write_xml_document(self, value: XmlDocument) -> None:
        self._write_long(0x0F, encode_utf8(value.text, "AMF 0, 2.17"), "AMF 0, 2.17")

    def _write_typed_object(self, value: TypedObject) -> None:
        if value.sealed or not value.dynamic:
            self._write_avmplus(value)
        elif not self._write_reference(value):
            self.output.append(0x10)
            self._write_name(value.class_name, "AMF 0, 2.18")
            self._write_members(value.members, "AMF 0, 2.18")

    def _write_explicit_avmplus(self, value: AvmPlus) -> None:
        self._write_avmplus(value.value)

    def _write_avmplus(self, value: object) -> None:
        """One AMF 3 value (3.1). The message's AMF 3 values share their tables (AMF 3, 4.1)."""
        if self._avmplus is None:
            self._avmplus = Amf3Encoder(self._limits, self._externalizables, self.output)
        self.output.append(0x11)
        self._avmplus.depth = self._depth
        self._avmplus.write_value(value)

    def _write_reference(self, value: object) -> bool:
        """Write a reference to a complex value that was written before, or enter it into the table (2.9).

        A value past the table's end can be written, not referred to.
        """
        known = self._references.get(id(value))
        if known is None:
            self._references[id(value)] = len(self._references), value
            return False
        if known[0] > _HIGHEST_REFERENCE:
            return False
        self.output += struct.pack(">BH", 0x07, known[0])
        return True

    def _write_members(self, members: Mapping[str, object], spec: str) -> None:
        self._depth += 1
        for name, value in members.items():
            self._write_name(name, spec)
            self.write_value(value)
        self._depth -= 1
        self.output += _OBJECT_END

    def _write_name(self, name: str, spec: str) -> None:
        if not isinstance(name, str):
            raise LocalProtocolError(f"a name is a str, not a {type(name).__name__}", spec=spec)
        encoded = encode_utf8(name, spec)
        if len(encoded) > _LONGEST_STRING_BYTES:
            raise LocalProtocolError(f"the name {shown(name)} is longer than 65535 bytes", spec=spec)
        self.output += len(encoded).to_bytes(2, "big")
        self.output += encoded

    def _write_long(self, marker: int, encoded: bytes, spec: str) -> None:
        if len(encoded) > _LONGEST_LONG_STRING_BYTES:
            raise LocalProtocolError("a text is longer than 4294967295 bytes", spec=spec)
        self.output += _MARKER_AND_U32.pack(marker, len(encoded))
        self.output += encoded


# The table binds each method to the type that it takes; the checker cannot follow a type as a key, hence `Any`.
_WRITERS: Final[dict[type, Callable[[Amf0Encoder, Any], None]]] = {
    float: Amf0Encoder._write_number,
    int: Amf0Encoder._write_number,
    bool: Amf0Encoder._write_boolean,
    str: Amf0Encoder._write_string,
    type(None): Amf0Encoder._write_null,
    dict: Amf0Encoder._write_object,
    list: Amf0Encoder._write_strict_array,
    tuple: Amf0Encoder._write_strict_array,
    EcmaArray: Amf0Encoder._write_ecma_array,
    Undefined: Amf0Encoder._write_undefined,
    Unsupported: Amf0Encoder._write_unsupported,
    Date: Amf0Encoder._write_date,
    XmlDocument: Amf0Encoder._write_xml_document,
    TypedObject: Amf0Encoder._write_typed_object,
    AvmPlus: Amf0Encoder._write_explicit_avmplus,
    bytes: Amf0Encoder._write_avmplus,
    bytearray: Amf0Encoder._write_avmplus,
    Xml: Amf0Encoder._write_avmplus,
    Externalizable: Amf0Encoder._write_avmplus,
    Vector: Amf0Encoder._write_avmplus,
    Dictionary: Amf0Encoder._write_avmplus,
}
"""By exact type first, then by the nearest base class: an IntEnum goes as an int, a defaultdict as a dict."""
