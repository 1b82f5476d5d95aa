"""AMF 3, marker by marker, against bytes written down by hand from the specification."""

import math
from typing import Any

import pytest

from protocol import LocalProtocolError, RemoteProtocolError
from protocol.amf import (
    SINGLE_VALUE,
    UNDEFINED,
    UNSUPPORTED,
    AvmPlus,
    DataInput,
    DataOutput,
    Date,
    Dictionary,
    EcmaArray,
    Externalizable,
    ExternalizableCodec,
    TypedObject,
    Vector,
    VectorType,
    Xml,
    XmlDocument,
    amf3,
)
from protocol.amf import _amf3_encoder as encoder_module

from .graph import same

VECTORS: list[tuple[str, Any]] = [
    ("00", UNDEFINED),
    ("01", None),
    ("02", False),
    ("03", True),
    # U29 at each border of its length, then the signed ends (1.3.1, 3.6)
    ("04 00", 0),
    ("04 7F", 0x7F),
    ("04 81 00", 0x80),
    ("04 FF 7F", 0x3FFF),
    ("04 81 80 00", 0x4000),
    ("04 FF FF 7F", 0x1FFFFF),
    ("04 80 C0 80 00", 0x200000),
    ("04 BF FF FF FF", 2**28 - 1),
    ("04 C0 80 80 00", -(2**28)),
    ("04 FF FF FF FF", -1),
    ("05 41B0000000000000", 2.0**28),
    ("05 BFF8000000000000", -1.5),
    ("05 7FF8000000000000", math.nan),
    ("06 01", ""),
    ("06 07 666F6F", "foo"),
    ("06 07 E282AC", "€"),
    ("07 09 3C612F3E", XmlDocument("<a/>")),
    ("08 01 4271F71FB04CB000", Date(1234567890123.0)),
    ("09 01 01", []),
    ("09 05 01 01 06 03 78", [None, "x"]),
    ("09 01 03 61 04 01 01", EcmaArray({"a": 1})),
    ("09 03 03 61 04 01 01 04 02", EcmaArray({"a": 1}, dense=[2])),
    ("0A 0B 01 01", {}),
    ("0A 0B 01 03 61 04 01 03 62 01 01", {"a": 1, "b": None}),
    ("0A 03 01", TypedObject("", {}, dynamic=False)),
    ("0A 0B 07 466F6F 03 61 01 01", TypedObject("Foo", {"a": None})),
    ("0A 23 07 466F6F 03 61 03 62 04 01 04 02", TypedObject("Foo", {"a": 1, "b": 2}, ("a", "b"), dynamic=False)),
    ("0A 1B 07 466F6F 03 61 04 01 03 62 04 02 01", TypedObject("Foo", {"a": 1, "b": 2}, ("a",))),
    ("0A 13 01 01 04 01", TypedObject("", {"": 1}, ("",), dynamic=False)),
    ("0B 09 3C612F3E", Xml("<a/>")),
    ("0C 01", b""),
    ("0C 05 00FF", b"\x00\xff"),
    ("0D 01 00", Vector(VectorType.INT)),
    ("0D 05 01 00000001 80000000", Vector(VectorType.INT, [1, -(2**31)], fixed=True)),
    ("0E 05 00 00000001 FFFFFFFF", Vector(VectorType.UINT, [1, 2**32 - 1])),
    ("0F 03 00 BFF8000000000000", Vector(VectorType.DOUBLE, [-1.5])),
    ("10 05 00 03 2A 04 01 06 03 78", Vector(VectorType.OBJECT, [1, "x"])),
    ("10 01 01 07 466F6F", Vector(VectorType.OBJECT, fixed=True, class_name="Foo")),
    ("11 01 00", Dictionary()),
    ("11 05 01 06 03 61 04 01 06 00 0A 0B 01 01", Dictionary([("a", 1), ("a", {})], weak=True)),
]


@pytest.mark.parametrize(("wire", "value"), VECTORS)
def test_a_value_has_the_specifications_bytes_both_ways(wire: str, value: Any) -> None:
    data = bytes.fromhex(wire)
    assert same(amf3.decode(data), value)
    assert amf3.encode(value) == data


@pytest.mark.parametrize(("wire", "value"), VECTORS)
def test_every_truncation_of_a_value_is_refused(wire: str, value: Any) -> None:
    data = bytes.fromhex(wire)
    for size in range(len(data)):
        with pytest.raises(RemoteProtocolError, match="truncated") as caught:
            amf3.decode(data[:size])
        assert caught.value.spec.startswith("AMF 3, ")


def test_values_stand_one_behind_the_other() -> None:
    data = bytes.fromhex("04 01 06 03 61 06 00")
    assert amf3.decode_all(data) == [1, "a", "a"]
    assert amf3.encode_all([1, "a", "a"]) == data
    assert amf3.decode_prefix(data) == (1, 2)
    assert amf3.decode_all(b"") == []
    with pytest.raises(RemoteProtocolError, match="5 bytes follow the value"):
        amf3.decode(data)


@pytest.mark.parametrize(
    ("wire", "spec"),
    [
        ("12", "AMF 3, 3.1"),
        ("FF", "AMF 3, 3.1"),
        ("06 00", "AMF 3, 1.3.2"),
        ("07 00", "AMF 3, 3.9"),
        ("08 00", "AMF 3, 3.10"),
        ("09 00", "AMF 3, 3.11"),
        ("0A 00", "AMF 3, 3.12"),
        ("0A 01", "AMF 3, 3.12"),
        ("0A 07 03 45", "AMF 3, 3.12"),
        ("0B 00", "AMF 3, 3.13"),
        ("0C 00", "AMF 3, 3.14"),
        ("0D 00", "AMF 3, 3.15"),
        ("0E 00", "AMF 3, 3.15"),
        ("0F 00", "AMF 3, 3.15"),
        ("10 00", "AMF 3, 3.15"),
        ("11 00", "AMF 3, 3.16"),
    ],
)
def test_what_no_value_may_be_is_refused_with_its_section(wire: str, spec: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        amf3.decode(bytes.fromhex(wire))
    assert caught.value.spec == spec


@pytest.mark.parametrize("wire", ["04 80 01", "04 80 80 01", "04 80 80 80 01"])
def test_a_u29_longer_than_it_need_be_is_read(wire: str) -> None:
    assert amf3.decode(bytes.fromhex(wire)) == 1


def test_an_int_past_29_bits_goes_as_a_double() -> None:
    assert amf3.encode(2**28) == bytes.fromhex("05 41B0000000000000")
    assert amf3.encode(-(2**28) - 1) == bytes.fromhex("05 C1B0000001000000")
    with pytest.raises(LocalProtocolError, match="double"):
        amf3.encode(2**53 + 1)


def test_a_flag_byte_of_a_vector_or_dictionary_is_true_unless_zero() -> None:
    assert amf3.decode(bytes.fromhex("0D 01 80")) == Vector(VectorType.INT, fixed=True)
    assert amf3.decode(bytes.fromhex("11 01 02")) == Dictionary(weak=True)


def test_unused_bits_of_a_date_header_are_not_looked_at() -> None:
    assert amf3.decode(bytes.fromhex("08 7F 0000000000000000")) == Date(0.0)


def test_a_dates_offset_is_dropped() -> None:
    assert amf3.decode(amf3.encode(Date(5.0, 60))) == Date(5.0)


def test_a_tuple_is_a_list_and_a_subclass_its_base() -> None:
    class Members(dict[str, int]):
        pass

    assert amf3.decode(amf3.encode((1, Members(a=1), bytearray(b"x")))) == [1, {"a": 1}, b"x"]


# The string table


def test_strings_of_names_classes_and_values_share_one_table() -> None:
    data = bytes.fromhex("0A 1B 03 61 00 06 00 03 62 06 02 01")
    value = TypedObject("a", {"a": "a", "b": "b"}, ("a",))
    assert amf3.decode(data) == value
    assert amf3.encode(value) == data


def test_the_empty_string_takes_no_place_in_the_table() -> None:
    data = bytes.fromhex("09 09 01 06 01 06 03 61 06 01 06 00")
    assert amf3.decode(data) == ["", "a", "", "a"]
    assert amf3.encode(["", "a", "", "a"]) == data


def test_the_text_of_xml_takes_no_place_in_the_string_table() -> None:
    data = bytes.fromhex("09 05 01 0B 03 61 06 03 61")
    assert amf3.decode(data) == [Xml("a"), "a"]
    assert amf3.encode([Xml("a"), "a"]) == data


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80"])
def test_a_string_that_is_not_utf8_goes_out_as_the_bytes_that_came_in(raw: bytes) -> None:
    data = b"\x06" + bytes([len(raw) << 1 | 1]) + raw
    assert amf3.encode(amf3.decode(data)) == data


def test_a_lone_surrogate_cannot_be_sent() -> None:
    with pytest.raises(LocalProtocolError, match="surrogate"):
        amf3.encode("\ud800")


# The object table

IN_THE_TABLE: list[tuple[str, str]] = [
    ("07", "01"),
    ("08", "01 0000000000000000"),
    ("09", "01 01"),
    ("09", "01 03 61 01 01"),
    ("0A", "0B 01 01"),
    ("0A", "07 03 45 01"),
    ("0B", "01"),
    ("0C", "01"),
    ("0D", "01 00"),
    ("0E", "01 00"),
    ("0F", "01 00"),
    ("10", "01 00 01"),
    ("11", "01 00"),
]


@pytest.mark.parametrize(("marker", "rest"), IN_THE_TABLE)
def test_a_complex_value_is_sent_once_and_then_by_reference(marker: str, rest: str) -> None:
    registry = {"E": SINGLE_VALUE}
    data = bytes.fromhex(f"09 05 01 {marker} {rest} {marker} 02")
    value = amf3.decode(data, externalizables=registry)
    assert isinstance(value, list)
    assert value[0] is value[1]
    assert amf3.encode(value, externalizables=registry) == data


@pytest.mark.parametrize(("marker", "rest"), IN_THE_TABLE)
def test_a_reference_to_an_object_of_another_type_is_refused(marker: str, rest: str) -> None:
    other = "0B" if marker != "0B" else "0C"
    with pytest.raises(RemoteProtocolError, match="of another type"):
        amf3.decode(bytes.fromhex(f"09 05 01 {marker} {rest} {other} 02"), externalizables={"E": SINGLE_VALUE})


@pytest.mark.parametrize(
    "wire",
    [
        "09 03 01 09 00",
        "09 01 03 61 09 00 01",
        "09 03 03 61 09 00 01 09 00",
        "0A 0B 01 03 61 0A 00 01",
        "0A 13 03 54 03 61 0A 00",
        "0A 07 03 45 0A 00",
        "10 03 00 03 2A 10 00",
        "11 03 00 11 00 11 00",
    ],
)
def test_a_container_may_hold_itself(wire: str) -> None:
    registry = {"E": SINGLE_VALUE}
    value = amf3.decode(bytes.fromhex(wire), externalizables=registry)
    assert amf3.encode(value, externalizables=registry) == bytes.fromhex(wire)
    assert "..." in repr(value)


def test_each_message_has_tables_of_its_own() -> None:
    registry = {"E": SINGLE_VALUE}
    amf3.decode(bytes.fromhex("0A 07 03 45 01"), externalizables=registry)
    for wire in ("0A 00", "0A 01", "06 00"):
        with pytest.raises(RemoteProtocolError, match="of 0"):
            amf3.decode(bytes.fromhex(wire), externalizables=registry)


# Traits


def test_traits_are_sent_once_and_then_by_reference() -> None:
    data = bytes.fromhex("09 07 01  0A 13 03 54 03 61 04 01  0A 01 04 02  0A 0B 01 01")
    value = [
        TypedObject("T", {"a": 1}, ("a",), dynamic=False),
        TypedObject("T", {"a": 2}, ("a",), dynamic=False),
        {},
    ]
    assert amf3.decode(data) == value
    assert amf3.encode(value) == data


def test_the_traits_of_an_externalizable_class_are_in_the_table_too() -> None:
    registry = {"E": SINGLE_VALUE}
    data = bytes.fromhex("09 05 01  0A 07 03 45 04 01  0A 01 04 02")
    value = [Externalizable("E", 1), Externalizable("E", 2)]
    assert amf3.decode(data, externalizables=registry) == value
    assert amf3.encode(value, externalizables=registry) == data


def test_bits_beside_the_externalizable_flag_are_not_looked_at() -> None:
    assert amf3.decode(bytes.fromhex("0A 7F 03 45 04 01"), externalizables={"E": SINGLE_VALUE}) == Externalizable(
        "E", 1
    )


def test_a_sealed_name_declared_twice_holds_its_last_value() -> None:
    value = amf3.decode(bytes.fromhex("0A 23 01 03 61 00 04 01 04 02"))
    assert value == TypedObject("", {"a": 2}, ("a", "a"), dynamic=False)
    assert same(amf3.decode(amf3.encode(value)), value)


def test_a_dynamic_member_overrides_the_sealed_one_of_its_name() -> None:
    value = amf3.decode(bytes.fromhex("0A 1B 01 03 61 04 01 00 04 02 01"))
    assert value == TypedObject("", {"a": 2}, ("a",))
    assert same(amf3.decode(amf3.encode(value)), value)


# Externalizable classes


def _read_two_bytes(data_input: DataInput) -> object:
    return data_input.read_bytes(2)


def _write_content(data_output: DataOutput, content: object) -> None:
    assert isinstance(content, bytes)
    data_output.write_bytes(content)


BYTES = ExternalizableCodec(_read_two_bytes, _write_content)


def test_a_registered_codec_reads_and_writes_its_own_bytes() -> None:
    data = bytes.fromhex("09 05 01  0A 07 03 45 BEEF  04 01")
    value = [Externalizable("E", b"\xbe\xef"), 1]
    assert amf3.decode(data, externalizables={"E": BYTES}) == value
    assert amf3.encode(value, externalizables={"E": BYTES}) == data


def test_a_codec_that_reads_past_the_end_meets_truncation() -> None:
    with pytest.raises(RemoteProtocolError, match="truncated"):
        amf3.decode(bytes.fromhex("0A 07 03 45 BE"), externalizables={"E": BYTES})


def test_a_codec_cannot_read_backwards() -> None:
    codec = ExternalizableCodec(lambda data_input: data_input.read_bytes(-1), _write_content)
    with pytest.raises(LocalProtocolError, match="cannot read -1 bytes"):
        amf3.decode(bytes.fromhex("0A 07 03 45"), externalizables={"E": codec})


def test_an_unregistered_externalizable_class_cannot_be_read_or_written() -> None:
    with pytest.raises(RemoteProtocolError, match="externalizable class 'E'"):
        amf3.decode(bytes.fromhex("0A 07 03 45 04 01"))
    with pytest.raises(LocalProtocolError, match="externalizable class 'E'"):
        amf3.encode(Externalizable("E", 1))


# What AMF 3 cannot hold


@pytest.mark.parametrize("value", [object(), UNSUPPORTED, AvmPlus(1), {1, 2}])
def test_what_amf3_has_no_type_for_cannot_be_sent(value: object) -> None:
    with pytest.raises(LocalProtocolError, match="no type for a"):
        amf3.encode([value])


@pytest.mark.parametrize("value", [{"": 1}, {1: 1}, EcmaArray({"": 1}), TypedObject("T", {"": 1})])
def test_a_name_that_is_empty_or_no_string_cannot_be_sent(value: object) -> None:
    with pytest.raises(LocalProtocolError, match="cannot name a member"):
        amf3.encode(value)


def test_a_sealed_member_without_a_value_cannot_be_sent() -> None:
    with pytest.raises(LocalProtocolError, match="the sealed member 'a' has no value"):
        amf3.encode(TypedObject("T", {}, ("a",)))


def test_a_member_beyond_the_sealed_ones_cannot_be_sent_unless_dynamic() -> None:
    with pytest.raises(LocalProtocolError, match="beyond its sealed ones"):
        amf3.encode(TypedObject("T", {"a": 1}, dynamic=False))


@pytest.mark.parametrize(
    ("vector_type", "item"),
    [
        (VectorType.INT, 2**31),
        (VectorType.INT, -(2**31) - 1),
        (VectorType.INT, 1.5),
        (VectorType.INT, "1"),
        (VectorType.UINT, -1),
        (VectorType.UINT, 2**32),
        (VectorType.DOUBLE, "1"),
        (VectorType.DOUBLE, 10**400),
    ],
)
def test_a_vector_holds_only_its_type_and_range(vector_type: VectorType, item: Any) -> None:
    with pytest.raises(LocalProtocolError, match="not of that type and range"):
        amf3.encode(Vector(vector_type, [item]))


def test_what_is_longer_than_28_bits_count_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "_LONGEST", 3)
    for within, beyond in ((b"abc", b"abcd"), ("abc", "abcd"), ([1] * 3, [1] * 4), (Xml("abc"), Xml("abcd"))):
        assert amf3.encode(within)
        with pytest.raises(LocalProtocolError, match="more than AMF 3 holds"):
            amf3.encode(beyond)


def test_a_u29_beyond_29_bits_cannot_be_written() -> None:
    encoder = encoder_module.Amf3Encoder(amf3.DEFAULT_LIMITS, {}, bytearray())
    encoder.write_u29(2**29 - 1)
    for value in (2**29, -1):
        with pytest.raises(LocalProtocolError, match="not within"):
            encoder.write_u29(value)
    assert encoder.output == b"\xff\xff\xff\xff"
