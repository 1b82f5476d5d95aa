"""AMF 0, marker by marker, against bytes written down by hand from the specification."""

import enum
import math
from collections import defaultdict
from typing import Any

import pytest

from protocol import LocalProtocolError, RemoteProtocolError
from protocol.amf import (
    SINGLE_VALUE,
    UNDEFINED,
    UNSUPPORTED,
    AvmPlus,
    Date,
    Dictionary,
    EcmaArray,
    Externalizable,
    TypedObject,
    Vector,
    VectorType,
    Xml,
    XmlDocument,
    amf0,
)
from protocol.amf import _amf0_encoder as encoder_module

from .graph import same

VECTORS: list[tuple[str, Any]] = [
    ("00 0000000000000000", 0.0),
    ("00 3FF0000000000000", 1.0),
    ("00 C00C000000000000", -3.5),
    ("00 7FF0000000000000", math.inf),
    ("00 7FF8000000000000", math.nan),
    ("01 00", False),
    ("01 01", True),
    ("02 0000", ""),
    ("02 0003 666F6F", "foo"),
    ("02 0003 E282AC", "€"),
    ("03 000009", {}),
    ("03 0001 61 00 4000000000000000 0001 62 05 000009", {"a": 2.0, "b": None}),
    ("05", None),
    ("06", UNDEFINED),
    ("08 00000000 000009", EcmaArray()),
    ("08 00000001 0001 30 01 01 000009", EcmaArray({"0": True})),
    ("0A 00000000", []),
    ("0A 00000002 05 02 0001 78", [None, "x"]),
    ("0B 4271F71FB04CB000 0000", Date(1234567890123.0)),
    ("0B 0000000000000000 FFC4", Date(0.0, -60)),
    ("0D", UNSUPPORTED),
    ("0F 00000004 3C612F3E", XmlDocument("<a/>")),
    ("10 0003 466F6F 0001 61 05 000009", TypedObject("Foo", {"a": None})),
    ("10 0000 000009", TypedObject("")),
]


@pytest.mark.parametrize(("wire", "value"), VECTORS)
def test_a_value_has_the_specifications_bytes_both_ways(wire: str, value: Any) -> None:
    data = bytes.fromhex(wire)
    assert same(amf0.decode(data), value)
    assert amf0.encode(value) == data


@pytest.mark.parametrize(("wire", "value"), VECTORS)
def test_every_truncation_of_a_value_is_refused(wire: str, value: Any) -> None:
    data = bytes.fromhex(wire)
    for size in range(len(data)):
        with pytest.raises(RemoteProtocolError, match="truncated") as caught:
            amf0.decode(data[:size])
        assert caught.value.spec.startswith("AMF 0, ")


def test_all_vectors_in_one_message_come_apart_again() -> None:
    data = b"".join(bytes.fromhex(wire) for wire, _ in VECTORS)
    assert same(amf0.decode_all(data), [value for _, value in VECTORS])
    assert amf0.encode_all(value for _, value in VECTORS) == data


def test_an_empty_message_holds_no_values() -> None:
    assert amf0.decode_all(b"") == []
    assert amf0.encode_all([]) == b""


def test_a_prefix_is_read_and_measured_and_what_follows_is_not_looked_at() -> None:
    assert amf0.decode_prefix(bytes.fromhex("02 0001 61 FFFF")) == ("a", 4)


def test_bytes_behind_a_single_value_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="1 bytes follow the value"):
        amf0.decode(b"\x05\x05")


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_any_kind_of_bytes_is_decoded(kind: Any) -> None:
    assert amf0.decode_all(kind(b"\x01\x01\x05")) == [True, None]


def test_any_byte_but_zero_is_true() -> None:
    assert amf0.decode(b"\x01\x80") is True


@pytest.mark.parametrize(
    ("wire", "spec"),
    [
        ("04", "AMF 0, 2.6"),
        ("09", "AMF 0, 2.11"),
        ("0E", "AMF 0, 2.16"),
        ("12", "AMF 0, 2.1"),
        ("FF", "AMF 0, 2.1"),
        ("0A 00000001 09", "AMF 0, 2.11"),
        ("03 0001 61 09", "AMF 0, 2.11"),
        ("07 0000", "AMF 0, 2.9"),
        ("03 0001 61 07 0001 000009", "AMF 0, 2.9"),
        ("11 12", "AMF 3, 3.1"),
    ],
)
def test_what_no_value_may_be_is_refused_with_its_section(wire: str, spec: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        amf0.decode(bytes.fromhex(wire))
    assert caught.value.spec == spec


# Strings and names


@pytest.mark.parametrize(("size", "head"), [(0xFFFF, "02 FFFF"), (0x10000, "0C 00010000")])
def test_a_string_turns_long_at_65536_bytes(size: int, head: str) -> None:
    data = amf0.encode("x" * size)
    assert data == bytes.fromhex(head) + b"x" * size
    assert amf0.decode(data) == "x" * size


def test_the_length_of_a_string_counts_bytes_not_characters() -> None:
    assert amf0.encode("é" * 0x8000)[0] == 0x0C


def test_a_short_long_string_is_a_string() -> None:
    assert amf0.decode(bytes.fromhex("0C 00000001 61")) == "a"


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\x80", b"\x00"])
def test_a_string_that_is_not_utf8_goes_out_as_the_bytes_that_came_in(raw: bytes) -> None:
    data = b"\x03" + b"\x00" + bytes([len(raw)]) + raw + b"\x02\x00" + bytes([len(raw)]) + raw + b"\x00\x00\x09"
    assert amf0.encode(amf0.decode(data)) == data


def test_a_lone_surrogate_cannot_be_sent() -> None:
    with pytest.raises(LocalProtocolError, match="surrogate") as caught:
        amf0.encode("\ud800" * 100)
    assert caught.value.spec == "AMF 0, 2.4"
    assert len(str(caught.value)) < 600


def test_a_name_that_comes_twice_holds_its_last_value() -> None:
    assert amf0.decode(bytes.fromhex("03 0001 61 01 00 0001 61 01 01 000009")) == {"a": True}


def test_names_that_mean_something_elsewhere_are_only_names_here() -> None:
    value = {"__proto__": 1.0, "__class__": {"__dict__": None}, "constructor": "x"}
    assert amf0.decode(amf0.encode(value)) == value
    assert type(amf0.decode(amf0.encode(value))) is dict


def test_the_empty_name_ends_an_object_only_in_front_of_the_end_marker() -> None:
    data = bytes.fromhex("03 0000 01 01 0001 61 05 000009")
    assert amf0.decode(data) == {"": True, "a": None}
    assert amf0.encode({"": True, "a": None}) == data


@pytest.mark.parametrize("count", ["00000000", "00000001", "FFFFFFFF"])
def test_the_count_of_an_ecma_array_is_not_believed(count: str) -> None:
    data = bytes.fromhex("08" + count + "0001 61 05 0001 62 05 000009")
    assert amf0.decode(data) == EcmaArray({"a": None, "b": None})


@pytest.mark.parametrize("name", [1, None, b"a", 1.0])
def test_a_name_that_is_no_string_cannot_be_sent(name: Any) -> None:
    with pytest.raises(LocalProtocolError, match="a name is a str"):
        amf0.encode({name: 1})


def test_a_name_holds_65535_bytes_and_not_one_more() -> None:
    assert amf0.decode(amf0.encode({"x" * 0xFFFF: None})) == {"x" * 0xFFFF: None}
    with pytest.raises(LocalProtocolError, match="longer than 65535 bytes"):
        amf0.encode({"x" * 0x10000: None})
    with pytest.raises(LocalProtocolError, match="longer than 65535 bytes") as caught:
        amf0.encode(TypedObject("x" * 0x10000))
    assert caught.value.spec == "AMF 0, 2.18"


def test_a_text_that_no_long_string_holds_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "_LONGEST_LONG_STRING_BYTES", 3)
    assert amf0.encode(XmlDocument("abc"))
    with pytest.raises(LocalProtocolError, match="longer than"):
        amf0.encode(XmlDocument("abcd"))


# References


def test_a_reference_is_the_same_object() -> None:
    first, second = amf0.decode_all(bytes.fromhex("03 0001 61 05 000009 07 0000"))
    assert first is second


def test_containers_enter_the_table_in_the_order_of_their_markers() -> None:
    #      [ {"a": date}, ecma, Typed ], then each of the four by its index; a date takes no place in the table
    wire = "0A 00000003  03 0001 61 0B 0000000000000000 0000 000009  08 00000000 000009  10 0001 54 000009"
    outer, *others = amf0.decode_all(bytes.fromhex(wire + "07 0000 07 0001 07 0002 07 0003"))
    assert isinstance(outer, list)
    assert [id(value) for value in others] == [id(value) for value in (outer, *outer)]
    assert amf0.encode_all([outer, *others]) == bytes.fromhex(wire + "07 0000 07 0001 07 0002 07 0003")


@pytest.mark.parametrize(
    "wire",
    [
        "0A 00000001 07 0000",
        "03 0001 61 07 0000 000009",
        "08 00000001 0001 61 07 0000 000009",
        "10 0001 54 0001 61 07 0000 000009",
    ],
)
def test_a_container_may_hold_itself(wire: str) -> None:
    value = amf0.decode(bytes.fromhex(wire))
    assert amf0.encode(value) == bytes.fromhex(wire)
    assert same(value, amf0.decode(amf0.encode(value)))
    assert "..." in repr(value)


def test_each_message_has_a_table_of_its_own() -> None:
    amf0.decode(bytes.fromhex("0A 00000000"))
    with pytest.raises(RemoteProtocolError, match="reference to object 0 of 0"):
        amf0.decode(bytes.fromhex("07 0000"))


def test_a_container_beyond_the_reference_table_is_written_again_in_full() -> None:
    last: list[Any] = []
    lists: list[list[Any]] = [[] for _ in range(0xFFFF)]
    within = amf0.encode_all([*lists, last, last])
    assert within.endswith(bytes.fromhex("0A 00000000 07 FFFF"))
    beyond = amf0.encode_all([*lists, [], last, last])
    assert beyond.endswith(bytes.fromhex("0A 00000000 0A 00000000"))


# What Python has in AMF's stead


class Code(enum.IntEnum):
    OK = 7


class Name(str, enum.Enum):  # noqa: UP042 - the old spelling is what callers still have
    LIVE = "live"


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (1, 1.0),
        (-(2**53), -(2.0**53)),
        (2**1000, 2.0**1000),
        (Code.OK, 7.0),
        (Name.LIVE, "live"),
        ((1, "a"), [1.0, "a"]),
        (defaultdict(int, a=1), {"a": 1.0}),
        (bytearray(b"ab"), b"ab"),
    ],
)
def test_what_python_has_in_amfs_stead_is_sent_as_that(value: Any, decoded: Any) -> None:
    assert same(amf0.decode(amf0.encode(value)), decoded)


@pytest.mark.parametrize("value", [2**53 + 1, 10**400, 1 << 100_000], ids=["2**53 + 1", "10**400", "1 << 100_000"])
def test_an_int_that_no_double_holds_cannot_be_sent(value: int) -> None:
    with pytest.raises(LocalProtocolError, match="double"):
        amf0.encode(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, int, range(3)])
def test_what_amf_has_no_type_for_cannot_be_sent(value: object) -> None:
    with pytest.raises(LocalProtocolError, match="no type for a"):
        amf0.encode([value])


@pytest.mark.parametrize("offset", [-32769, 32768])
def test_a_date_offset_out_of_range_cannot_be_sent(offset: int) -> None:
    with pytest.raises(LocalProtocolError, match="-32768 to 32767"):
        amf0.encode(Date(0.0, offset))


# The switch to AMF 3


def test_the_avmplus_marker_switches_one_value_and_not_the_rest() -> None:
    data = bytes.fromhex("11 04 05  00 3FF0000000000000  11 0A 0B 01 03 61 06 00 01  02 0001 61")
    assert same(amf0.decode_all(data), [5, 1.0, {"a": "a"}, "a"])


def test_a_value_can_be_asked_to_go_in_amf3() -> None:
    assert amf0.encode_all([AvmPlus(5), 5]) == bytes.fromhex("11 04 05 00 4014000000000000")


def test_the_amf3_values_of_one_message_share_their_tables() -> None:
    blob = b"\x00\x01"
    data = bytes.fromhex("11 0C 05 0001  11 0C 00")
    assert amf0.encode_all([blob, blob]) == data
    assert amf0.decode_all(data) == [blob, blob]


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        Xml("<a/>"),
        Vector(VectorType.INT, [1, -1]),
        Dictionary([(1, 2)]),
        TypedObject("T", {"a": 1.0}, sealed=("a",)),
        TypedObject("T", {}, dynamic=False),
        EcmaArray({"a": 1.0}, dense=[2.0]),
        Externalizable("E", [1.0]),
    ],
)
def test_what_only_amf3_holds_goes_behind_the_avmplus_marker(value: Any) -> None:
    registry = {"E": SINGLE_VALUE}
    data = amf0.encode({"value": [value]}, externalizables=registry)
    assert same(amf0.decode(data, externalizables=registry), {"value": [value]})


def test_an_object_that_holds_itself_through_amf3_comes_to_an_end() -> None:
    outer: dict[str, Any] = {}
    outer["vector"] = Vector(VectorType.OBJECT, [outer])
    decoded = amf0.decode(amf0.encode(outer))
    assert same(decoded, outer, identity=False)


def test_an_empty_avmplus_value_is_truncated() -> None:
    with pytest.raises(RemoteProtocolError, match="truncated"):
        amf0.decode(b"\x11")


# A command as an encoder sends it


def test_a_connect_command_is_ordinary_python() -> None:
    wire = (
        "02 0007 636F6E6E656374"  # "connect"
        "00 3FF0000000000000"  # transaction id 1
        "03"
        "0003 617070 02 0004 6C697665"  # app: "live"
        "0004 66706164 01 00"  # fpad: false
        "000A 666F75724363 4C697374 0A 00000001 02 0004 61763031"  # fourCcList: ["av01"]
        "000009"
    )
    command = ["connect", 1.0, {"app": "live", "fpad": False, "fourCcList": ["av01"]}]
    assert amf0.decode_all(bytes.fromhex(wire)) == command
    assert amf0.encode_all(command) == bytes.fromhex(wire)
