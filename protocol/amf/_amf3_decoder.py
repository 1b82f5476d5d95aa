"""AMF 3 bytes in, values out (AMF 3, 3). One decoder reads one message: its values share the three reference tables.

Strings, complex values and traits have a table each (2.2). A complex value enters its table before its content is
read, so that the content may refer to it; immutable ones (dates, XML, byte arrays) enter when they are read.
"""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from protocol._base import Limits, LocalProtocolError, RemoteProtocolError
from protocol.amf._cursor import Cursor, decode_utf8, shown
from protocol.amf._externalizable import Externalizables
from protocol.amf._values import (
    UNDEFINED,
    Date,
    Dictionary,
    EcmaArray,
    Externalizable,
    TypedObject,
    Value,
    Vector,
    VectorType,
    Xml,
    XmlDocument,
)

__all__ = ["Amf3Decoder"]

_XML_DOC_MARKER: Final = 0x07
_DATE_MARKER: Final = 0x08
_ARRAY_MARKER: Final = 0x09
_OBJECT_MARKER: Final = 0x0A
_XML_MARKER: Final = 0x0B
_BYTE_ARRAY_MARKER: Final = 0x0C
_DICTIONARY_MARKER: Final = 0x11

_DOUBLE: Final = struct.Struct(">d")

_VECTOR_ITEM: Final = {VectorType.INT: (4, "i"), VectorType.UINT: (4, "I"), VectorType.DOUBLE: (8, "d")}
"""Bytes of an item, and its letter in a `struct` format."""


class _Traits(NamedTuple):
    class_name: str
    sealed: tuple[str, ...]
    dynamic: bool
    externalizable: bool


class _Complex(NamedTuple):
    """An entry of the object reference table; its value may still be open."""

    marker: int
    value: Value


class Amf3Decoder(Cursor):
    """The values of one message, taken one by one with `read_value`; also the `DataInput` of externalizable objects."""

    __slots__ = ("_costs", "_externalizables", "_objects", "_strings", "_traits")

    def __init__(self, data: bytes, limits: Limits, externalizables: Externalizables) -> None:
        super().__init__(data, limits)
        self._externalizables: Final = externalizables
        self._strings: list[str] = []
        self._objects: list[_Complex] = []
        self._costs: list[int] = []  # for each object how many values it holds, itself included; 1 while it is open
        self._traits: list[_Traits] = []

    def read_value(self) -> Value:
        """The value that begins here.

        Raises:
            RemoteProtocolError: it breaks the format or a limit.
        """
        position = self.position
        self.values_left -= 1
        if position >= len(self.data) or self.depth > self.deepest or self.values_left < 0:
            raise self.refuse("AMF 3, 3.1")
        self.position = position + 1
        marker = self.data[position]
        if marker >= len(_READERS):
            raise RemoteProtocolError(f"no AMF 3 type has the marker 0x{marker:02X}", spec="AMF 3, 3.1")
        return _READERS[marker](self)

    def read_bytes(self, count: int) -> bytes:
        """The next `count` bytes, for an externalizable object.

        Raises:
            LocalProtocolError: `count` is negative.
            RemoteProtocolError: fewer are left.
        """
        if count < 0:
            raise LocalProtocolError(f"cannot read {count} bytes", spec="AMF 3, 3.12")
        return self.take(count, "AMF 3, 3.12")

    def read_u29(self) -> int:
        """A variable length unsigned integer, 0 to 2**29 - 1. More bytes than it needs are legal (AMF 3, 1.3.1).

        Raises:
            RemoteProtocolError: truncated.
        """
        value = 0
        for _ in range(3):
            byte = self._read_u8("AMF 3, 1.3.1")
            if byte < 0x80:
                return value << 7 | byte
            value = value << 7 | byte & 0x7F
        return value << 8 | self._read_u8("AMF 3, 1.3.1")  # the fourth byte has no flag: all its bits count

    def _read_u8(self, spec: str) -> int:
        if self.position >= len(self.data):
            raise RemoteProtocolError("truncated: a byte is missing", spec=spec)
        self.position += 1
        return self.data[self.position - 1]

    def _read_undefined(self) -> Value:
        return UNDEFINED

    def _read_null(self) -> None:
        return None

    def _read_false(self) -> bool:
        return False

    def _read_true(self) -> bool:
        return True

    def _read_integer(self) -> int:
        value = self.read_u29()
        return value - (1 << 29) if value & 1 << 28 else value

    def _read_double(self) -> float:
        number: float = _DOUBLE.unpack(self.take(8, "AMF 3, 3.7"))[0]
        return number

    def _read_string(self) -> str:
        """A UTF-8-vr (1.3.2). The empty string is not in the table."""
        header = self.read_u29()
        if header == 1:
            return ""
        if header & 1:
            text = decode_utf8(self.take(header >> 1, "AMF 3, 1.3.2"))
            self._strings.append(text)
            return text
        if header >> 1 >= len(self._strings):
            raise RemoteProtocolError(f"reference to string {header >> 1} of {len(self._strings)}", spec="AMF 3, 1.3.2")
        return self._strings[header >> 1]

    def _read_xml_doc(self) -> Value:
        header = self.read_u29()
        if not header & 1:
            return self._referred(header >> 1, _XML_DOC_MARKER, "AMF 3, 3.9")
        document = XmlDocument(decode_utf8(self.take(header >> 1, "AMF 3, 3.9")))
        self._remember(_XML_DOC_MARKER, document)
        return document

    def _read_date(self) -> Value:
        header = self.read_u29()
        if not header & 1:
            return self._referred(header >> 1, _DATE_MARKER, "AMF 3, 3.10")
        date = Date(_DOUBLE.unpack(self.take(8, "AMF 3, 3.10"))[0])
        self._remember(_DATE_MARKER, date)
        return date

    def _read_array(self) -> Value:
        header = self.read_u29()
        if not header & 1:
            return self._referred(header >> 1, _ARRAY_MARKER, "AMF 3, 3.11")
        # Whether the array has names must be known before it is made, for its content may refer to it. They come first,
        # and the first of them cannot be the empty string, whose one spelling is 0x01, so a look at one U29 tells.
        at_names = self.position
        associative = self.read_u29() != 1
        self.position = at_names
        items: list[Value] = []
        array = EcmaArray(dense=items) if associative else items
        index, before = self._open(_ARRAY_MARKER, array)
        self._read_members(array if isinstance(array, EcmaArray) else {})
        for _ in range(header >> 1):
            items.append(self.read_value())  # noqa: PERF401 - what is read so far must stand in `items`: it may be referred to
        self._close(index, before)
        return array

    def _read_object(self) -> Value:
        header = self.read_u29()
        if not header & 1:
            return self._referred(header >> 1, _OBJECT_MARKER, "AMF 3, 3.12")
        traits = self._read_traits(header)
        if traits.externalizable:
            return self._read_externalizable(traits.class_name)
        value: dict[str, Value] | TypedObject
        if traits == ("", (), True, False):
            value = members = {}
        else:
            value = TypedObject(traits.class_name, {}, traits.sealed, traits.dynamic)
            members = value.members
        index, before = self._open(_OBJECT_MARKER, value)
        for name in traits.sealed:
            members[name] = self.read_value()
        if traits.dynamic:
            self._read_members(members)
        self._close(index, before)
        return value

    def _read_traits(self, header: int) -> _Traits:
        """The traits that an object's header holds or refers to. Names of sealed members count as values do."""
        if not header & 2:
            if header >> 2 >= len(self._traits):
                raise RemoteProtocolError(
                    f"reference to traits {header >> 2} of {len(self._traits)}", spec="AMF 3, 3.12"
                )
            return self._traits[header >> 2]
        class_name = self._read_string()
        if header & 4:
            traits = _Traits(class_name, (), dynamic=False, externalizable=True)
        else:
            self.charge(header >> 4, "AMF 3, 3.12")
            sealed = tuple([self._read_string() for _ in range(header >> 4)])
            traits = _Traits(class_name, sealed, dynamic=bool(header & 8), externalizable=False)
        self._traits.append(traits)
        return traits

    def _read_externalizable(self, class_name: str) -> Externalizable:
        codec = self._externalizables.get(class_name)
        if codec is None:
            raise RemoteProtocolError(
                f"no codec is registered for the externalizable class {shown(class_name)}", spec="AMF 3, 3.12"
            )
        value = Externalizable(class_name)
        index, before = self._open(_OBJECT_MARKER, value)
        value.content = codec.read(self)
        self._close(index, before)
        return value

    def _read_xml(self) -> Value:
        header = self.read_u29()
        if not header & 1:
            return self._referred(header >> 1, _XML_MARKER, "AMF 3, 3.13")
        xml = Xml(decode_utf8(self.take(header >> 1, "AMF 3, 3.13")))
        self._remember(_XML_MARKER, xml)
        return xml

    def _read_byte_array(self) -> Value:
        header = self.read_u29()
        if not header & 1:
            return self._referred(header >> 1, _BYTE_ARRAY_MARKER, "AMF 3, 3.14")
        content = self.take(header >> 1, "AMF 3, 3.14")
        self._remember(_BYTE_ARRAY_MARKER, content)
        return content

    def _read_vector_int(self) -> Value:
        return self._read_vector(VectorType.INT)

    def _read_vector_uint(self) -> Value:
        return self._read_vector(VectorType.UINT)

    def _read_vector_double(self) -> Value:
        return self._read_vector(VectorType.DOUBLE)

    def _read_vector_object(self) -> Value:
        return self._read_vector(VectorType.OBJECT)

    def _read_vector(self, vector_type: VectorType) -> Value:
        header = self.read_u29()
        if not header & 1:
            return self._referred(header >> 1, vector_type.value, "AMF 3, 3.15")
        count = header >> 1
        vector = Vector(vector_type, fixed=self._read_u8("AMF 3, 3.15") != 0)
        index, before = self._open(vector_type.value, vector)
        if vector_type is VectorType.OBJECT:
            vector.class_name = self._read_string()
            for _ in range(count):
                vector.items.append(self.read_value())
        else:
            size, letter = _VECTOR_ITEM[vector_type]
            content = self.take(count * size, "AMF 3, 3.15")
            self.charge(count, "AMF 3, 3.15")
            vector.items.extend(struct.unpack(f">{count}{letter}", content))
        self._close(index, before)
        return vector

    def _read_dictionary(self) -> Value:
        header = self.read_u29()
        if not header & 1:
            return self._referred(header >> 1, _DICTIONARY_MARKER, "AMF 3, 3.16")
        dictionary = Dictionary(weak=self._read_u8("AMF 3, 3.16") != 0)
        index, before = self._open(_DICTIONARY_MARKER, dictionary)
        for _ in range(header >> 1):
            key = self.read_value()
            dictionary.entries.append((key, self.read_value()))
        self._close(index, before)
        return dictionary

    def _read_members(self, members: dict[str, Value]) -> None:
        """Names and values up to the empty name (3.11, 3.12). A name that comes again wins, as it would in
        ActionScript."""
        while name := self._read_string():
            members[name] = self.read_value()

    def _referred(self, index: int, marker: int, spec: str) -> Value:
        """The complex value at `index`. One of another type means that the two ends' tables are out of step."""
        if index >= len(self._objects):
            raise RemoteProtocolError(f"reference to object {index} of {len(self._objects)}", spec=spec)
        if self._objects[index].marker != marker:
            raise RemoteProtocolError(f"reference to object {index}, which is of another type", spec=spec)
        self.charge(self._costs[index] - 1, spec)
        return self._objects[index].value

    def _remember(self, marker: int, value: Value) -> None:
        self._objects.append(_Complex(marker, value))
        self._costs.append(1)

    def _open(self, marker: int, value: Value) -> tuple[int, int]:
        """Enter a container into the object table, where its own content may find it; what follows is one deeper."""
        index = len(self._objects)
        self._remember(marker, value)
        self.depth += 1
        return index, self.values_left

    def _close(self, index: int, before: int) -> None:
        self._costs[index] = before - self.values_left + 1
        self.depth -= 1


_READERS: Final[tuple[Callable[[Amf3Decoder], Value], ...]] = (
    Amf3Decoder._read_undefined,  # 0x00
    Amf3Decoder._read_null,
    Amf3Decoder._read_false,
    Amf3Decoder._read_true,
    Amf3Decoder._read_integer,
    Amf3Decoder._read_double,
    Amf3Decoder._read_string,
    Amf3Decoder._read_xml_doc,
    Amf3Decoder._read_date,  # 0x08
    Amf3Decoder._read_array,
    Amf3Decoder._read_object,
    Amf3Decoder._read_xml,
    Amf3Decoder._read_byte_array,
    Amf3Decoder._read_vector_int,
    Amf3Decoder._read_vector_uint,
    Amf3Decoder._read_vector_double,
    Amf3Decoder._read_vector_object,  # 0x10
    Amf3Decoder._read_dictionary,
)
"""By marker (AMF 3, 3.1)."""
