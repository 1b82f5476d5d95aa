"""Values in, AMF 3 bytes out (AMF 3, 3). One encoder writes one message: its values share the three reference tables.

Strings are known again by their text, traits by their content, complex values by identity, as ActionScript's are.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from protocol._base import Limits, LocalProtocolError
from protocol.amf._cursor import as_double, deepest, encode_utf8, shown
from protocol.amf._externalizable import Externalizables
from protocol.amf._values import (
    Date,
    Dictionary,
    EcmaArray,
    Externalizable,
    TypedObject,
    Undefined,
    Vector,
    VectorType,
    Xml,
    XmlDocument,
)

__all__ = ["Amf3Encoder"]

_LONGEST: Final = (1 << 28) - 1
"""Bytes of a string, elements of a container: what a U29 holds beside its flag."""

_DOUBLE: Final = struct.Struct(">Bd")


class Amf3Encoder:
    """The bytes of one message, written value by value with `write_value` into `output`.

    It is also the `DataOutput` of externalizable objects.
    """

    __slots__ = ("_externalizables", "_limits", "_objects", "_strings", "_traits", "depth", "output")

    def __init__(self, limits: Limits, externalizables: Externalizables, output: bytearray) -> None:
        self.output = output
        self.depth = 1
        self._limits: Final = limits
        self._externalizables: Final = externalizables
        self._strings: dict[str, int] = {}
        # By identity; each entry keeps its object alive, so that no other can get its id.
        self._objects: dict[int, tuple[int, object]] = {}
        self._traits: dict[tuple[str, tuple[str, ...], bool, bool], int] = {}

    def write_value(self, value: object) -> None:
        """Append `value`.

        Raises:
            LocalProtocolError: AMF 3 cannot hold it, or it is too deep.
        """
        if self.depth > deepest(self._limits):
            raise LocalProtocolError(f"values nest deeper than {deepest(self._limits)}", spec="AMF 3, 3.1")
        writer = _WRITERS.get(type(value))
        if writer is None:
            for base in type(value).__mro__:
                if base in _WRITERS:
                    writer = _WRITERS[base]
                    break
            else:
                raise LocalProtocolError(f"AMF 3 has no type for a {type(value).__name__}", spec="AMF 3, 3.1")
        writer(self, value)

    def write_bytes(self, data: bytes) -> None:
        """Append bytes as they are, for an externalizable object."""
        self.output += data

    def write_u29(self, value: int) -> None:
        """Append a variable length unsigned integer, 0 to 2**29 - 1, in as few bytes as it needs (AMF 3, 1.3.1).

        Raises:
            LocalProtocolError: `value` is out of range.
        """
        if 0 <= value < 0x80:
            self.output.append(value)
        elif 0 <= value < 0x4000:
            self.output += bytes((value >> 7 | 0x80, value & 0x7F))
        elif 0 <= value < 0x200000:
            self.output += bytes((value >> 14 | 0x80, value >> 7 & 0x7F | 0x80, value & 0x7F))
        elif 0 <= value < 0x20000000:
            self.output += bytes(
                (value >> 22 | 0x80, value >> 15 & 0x7F | 0x80, value >> 8 & 0x7F | 0x80, value & 0xFF)
            )
        else:
            raise LocalProtocolError(f"{value} is not within 0 to 2**29 - 1", spec="AMF 3, 1.3.1")

    def _write_undefined(self, _value: Undefined) -> None:
        self.output.append(0x00)

    def _write_null(self, _value: None) -> None:
        self.output.append(0x01)

    def _write_boolean(self, value: bool) -> None:
        self.output.append(0x03 if value else 0x02)

    def _write_integer(self, value: int) -> None:
        if -(1 << 28) <= value < 1 << 28:
            self.output.append(0x04)
            self.write_u29(value & 0x1FFFFFFF)
        else:
            self._write_double(value)

    def _write_double(self, value: float) -> None:
        self.output += _DOUBLE.pack(0x05, as_double(value, "AMF 3, 3.7"))

    def _write_string(self, value: str) -> None:
        self.output.append(0x06)
        self._write_utf8_vr(value, "AMF 3, 3.8")

    def _write_xml_doc(self, value: XmlDocument) -> None:
        self.output.append(0x07)
        if not self._write_reference(value):
            self._write_sized(encode_utf8(value.text, "AMF 3, 3.9"), "AMF 3, 3.9")

    def _write_date(self, value: Date) -> None:
        self.output.append(0x08)
        if not self._write_reference(value):
            self.output += _DOUBLE.pack(0x01, as_double(value.unix_ms, "AMF 3, 3.10"))

    def _write_array(self, value: Sequence[object]) -> None:
        self._write_portions(value, {}, value)

    def _write_ecma_array(self, value: EcmaArray) -> None:
        self._write_portions(value, value, value.dense)

    def _write_portions(self, value: object, names: Mapping[str, object], dense: Sequence[object]) -> None:
        self.output.append(0x09)
        if self._write_reference(value):
            return
        self._write_count(len(dense), "AMF 3, 3.11")
        self.depth += 1
        self._write_members(names, frozenset(), "AMF 3, 3.11")
        for item in dense:
            self.write_value(item)
        self.depth -= 1

    def _write_anonymous_object(self, value: Mapping[str, object]) -> None:
        self.output.append(0x0A)
        if self._write_reference(value):
            return
        self._write_traits("", (), dynamic=True)
        self.depth += 1
        self._write_members(value, frozenset(), "AMF 3, 3.12")
        self.depth -= 1

    def _write_typed_object(self, value: TypedObject) -> None:
        self.output.append(0x0A)
        if self._write_reference(value):
            return
        for name in value.sealed:
            if name not in value.members:
                raise LocalProtocolError(f"the sealed member {shown(name)} has no value", spec="AMF 3, 3.12")
        sealed = frozenset(value.sealed)
        if not value.dynamic and not value.members.keys() <= sealed:
            raise LocalProtocolError(
                "an object that is not dynamic has members beyond its sealed ones", spec="AMF 3, 3.12"
            )
        self._write_traits(value.class_name, value.sealed, dynamic=value.dynamic)
        self.depth += 1
        for name in value.sealed:
            self.write_value(value.members[name])
        if value.dynamic:
            self._write_members(value.members, sealed, "AMF 3, 3.12")
        self.depth -= 1

    def _write_externalizable(self, value: Externalizable) -> None:
        self.output.append(0x0A)
        if self._write_reference(value):
            return
        codec = self._externalizables.get(value.class_name)
        if codec is None:
            raise LocalProtocolError(
                f"no codec is registered for the externalizable class {shown(value.class_name)}", spec="AMF 3, 3.12"
            )
        self._write_traits(value.class_name, (), dynamic=False, externalizable=True)
        self.depth += 1
        codec.write(self, value.content)
        self.depth -= 1

    def _write_traits(
        self, class_name: str, sealed: tuple[str, ...], *, dynamic: bool, externalizable: bool = False
    ) -> None:
        traits = class_name, sealed, dynamic, externalizable
        index = self._traits.get(traits)
        if index is not None:
            self.write_u29(index << 2 | 0b01)
            return
        self._traits[traits] = len(self._traits)
        self.write_u29(len(sealed) << 4 | dynamic << 3 | externalizable << 2 | 0b11)
        self._write_utf8_vr(class_name, "AMF 3, 3.12")
        for name in sealed:
            self._write_utf8_vr(name, "AMF 3, 3.12")

    def _write_xml(self, value: Xml) -> None:
        self.output.append(0x0B)
        if not self._write_reference(value):
            self._write_sized(encode_utf8(value.text, "AMF 3, 3.13"), "AMF 3, 3.13")

    def _write_byte_array(self, value: bytes) -> None:
        self.output.append(0x0C)
        if not self._write_reference(value):
            self._write_sized(value, "AMF 3, 3.14")

    def _write_vector(self, value: Vector) -> None:
        self.output.append(value.type.value)
        if self._write_reference(value):
            return
        self._write_count(len(value.items), "AMF 3, 3.15")
        self.output.append(value.fixed)
        if value.type is VectorType.OBJECT:
            self._write_utf8_vr(value.class_name, "AMF 3, 3.15")
            self.depth += 1
            for item in value.items:
                self.write_value(item)
            self.depth -= 1
            return
        try:
            self.output += struct.pack(f">{len(value.items)}{_VECTOR_ITEM[value.type]}", *value.items)
        except (struct.error, OverflowError) as error:
            raise LocalProtocolError(
                f"a vector of type {value.type.name} holds what is not of that type and range", spec="AMF 3, 3.15"
            ) from error

    def _write_dictionary(self, value: Dictionary) -> None:
        self.output.append(0x11)
        if self._write_reference(value):
            return
        self._write_count(len(value.entries), "AMF 3, 3.16")
        self.output.append(value.weak)
        self.depth += 1
        for key, item in value.entries:
            self.write_value(key)
            self.write_value(item)
        self.depth -= 1

    def _write_members(self, members: Mapping[str, object], without: frozenset[str], spec: str) -> None:
        """Names and values, then the empty name that ends them; so no member may have that name."""
        for name, value in members.items():
            if name in without:
                continue
            if not isinstance(name, str) or not name:
                raise LocalProtocolError(f"{name!r:.64} cannot name a member: AMF 3 takes a str, not empty", spec=spec)
            self._write_utf8_vr(name, spec)
            self.write_value(value)
        self.output.append(0x01)

    def _write_reference(self, value: object) -> bool:
        """Write a reference to a complex value that was written before, or enter it into the table (2.2)."""
        known = self._objects.get(id(value))
        if known is None:
            self._objects[id(value)] = len(self._objects), value
            return False
        self.write_u29(known[0] << 1)
        return True

    def _write_utf8_vr(self, text: str, spec: str) -> None:
        """A string, or a reference to it where it came before. The empty one is not in the table (1.3.2)."""
        index = self._strings.get(text)
        if index is not None:
            self.write_u29(index << 1)
            return
        if text:
            self._strings[text] = len(self._strings)
        self._write_sized(encode_utf8(text, spec), spec)

    def _write_sized(self, content: bytes, spec: str) -> None:
        self._write_count(len(content), spec)
        self.output += content

    def _write_count(self, count: int, spec: str) -> None:
        if count > _LONGEST:
            raise LocalProtocolError(f"{count} bytes or elements are more than AMF 3 holds, 2**28 - 1", spec=spec)
        self.write_u29(count << 1 | 1)


_VECTOR_ITEM: Final = {VectorType.INT: "i", VectorType.UINT: "I", VectorType.DOUBLE: "d"}
"""The letter of an item in a `struct` format."""

# The table binds each method to the type that it takes; the checker cannot follow a type as a key, hence `Any`.
_WRITERS: Final[dict[type, Callable[[Amf3Encoder, Any], None]]] = {
    float: Amf3Encoder._write_double,
    int: Amf3Encoder._write_integer,
    bool: Amf3Encoder._write_boolean,
    str: Amf3Encoder._write_string,
    bytes: Amf3Encoder._write_byte_array,
    bytearray: Amf3Encoder._write_byte_array,
    type(None): Amf3Encoder._write_null,
    dict: Amf3Encoder._write_anonymous_object,
    list: Amf3Encoder._write_array,
    tuple: Amf3Encoder._write_array,
    EcmaArray: Amf3Encoder._write_ecma_array,
    Undefined: Amf3Encoder._write_undefined,
    Date: Amf3Encoder._write_date,
    XmlDocument: Amf3Encoder._write_xml_doc,
    Xml: Amf3Encoder._write_xml,
    TypedObject: Amf3Encoder._write_typed_object,
    Externalizable: Amf3Encoder._write_externalizable,
    Vector: Amf3Encoder._write_vector,
    Dictionary: Amf3Encoder._write_dictionary,
}
"""By exact type first, then by the nearest base class: an IntEnum goes as an int, a defaultdict as a dict."""
