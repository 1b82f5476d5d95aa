"""What a hostile peer may cost: depth, number of values, counts announced, references that multiply."""

import tracemalloc
from typing import Any

import pytest

from protocol import Limits, LocalProtocolError, RemoteProtocolError
from protocol.amf import (
    SINGLE_VALUE,
    Dictionary,
    EcmaArray,
    Externalizable,
    TypedObject,
    Vector,
    VectorType,
    amf0,
    amf3,
)

REGISTRY = {"E": SINGLE_VALUE}

# What opens one more level, and what closes it again; in the middle stands a null.
NESTS_AMF0 = [
    ("0A 00000001", ""),
    ("03 0001 61", "000009"),
    ("08 00000000 0001 61", "000009"),
    ("10 0000 0001 61", "000009"),
]
NESTS_AMF3 = [
    ("09 03 01", ""),
    ("09 01 03 61", "01"),
    ("0A 0B 01 03 61", "01"),
    ("0A 13 01 03 61", ""),
    ("0A 07 03 45", ""),
    ("10 03 00 01", ""),
]


def _nested(opening: str, closing: str, middle: str, depth: int) -> bytes:
    return bytes.fromhex(opening) * (depth - 1) + bytes.fromhex(middle) + bytes.fromhex(closing) * (depth - 1)


@pytest.mark.parametrize(("opening", "closing"), NESTS_AMF0)
@pytest.mark.parametrize("limit", [1, 2, 64])
def test_amf0_nests_as_deep_as_the_limit_and_no_deeper(opening: str, closing: str, limit: int) -> None:
    limits = Limits(amf_depth=limit)
    value = amf0.decode(_nested(opening, closing, "05", limit), limits=limits)
    assert amf0.decode(amf0.encode(value, limits=limits), limits=limits) == value
    with pytest.raises(RemoteProtocolError, match=f"deeper than {limit}"):
        amf0.decode(_nested(opening, closing, "05", limit + 1), limits=limits)


@pytest.mark.parametrize(("opening", "closing"), NESTS_AMF3)
@pytest.mark.parametrize("limit", [1, 2, 64])
def test_amf3_nests_as_deep_as_the_limit_and_no_deeper(opening: str, closing: str, limit: int) -> None:
    limits = Limits(amf_depth=limit)
    data = _nested(opening, closing, "01", limit)
    value = amf3.decode(data, limits=limits, externalizables=REGISTRY)
    assert amf3.decode(data, limits=limits, externalizables=REGISTRY) == value
    assert amf3.encode(value, limits=limits, externalizables=REGISTRY)
    with pytest.raises(RemoteProtocolError, match=f"deeper than {limit}"):
        amf3.decode(_nested(opening, closing, "01", limit + 1), limits=limits, externalizables=REGISTRY)


def test_depth_goes_on_behind_the_avmplus_marker() -> None:
    limits = Limits(amf_depth=4)
    assert amf0.decode(bytes.fromhex("0A 00000001 11 09 03 01 09 03 01 01"), limits=limits) == [[[None]]]
    with pytest.raises(RemoteProtocolError, match="deeper than 4"):
        amf0.decode(bytes.fromhex("0A 00000001 11 09 03 01 09 03 01 09 03 01 01"), limits=limits)
    vector = Vector(VectorType.OBJECT, [[None]])
    assert amf0.encode([vector], limits=limits)
    with pytest.raises(LocalProtocolError, match="deeper than 4"):
        amf0.encode([[vector]], limits=limits)


def test_an_empty_container_is_no_deeper_than_a_scalar() -> None:
    assert amf0.decode(bytes.fromhex("03 000009"), limits=Limits(amf_depth=1)) == {}
    assert amf3.decode(bytes.fromhex("09 01 01"), limits=Limits(amf_depth=1)) == []


def test_siblings_are_not_nested() -> None:
    values: list[Any] = [[], {}, [None], {"a": None}, EcmaArray({"a": None}), TypedObject("T", {"a": None})] * 30
    limits = Limits(amf_depth=3)
    assert amf0.decode(amf0.encode(values, limits=limits), limits=limits) == values
    more: list[Any] = [
        *values,
        *[Vector(VectorType.OBJECT, [1]), Vector(VectorType.INT, [1]), Dictionary([(1, 2)]), Externalizable("E", 1)]
        * 30,
    ]
    data = amf3.encode(more, limits=limits, externalizables=REGISTRY)
    assert amf3.decode(data, limits=limits, externalizables=REGISTRY) == more


@pytest.mark.parametrize("limits", [Limits(), Limits(amf_depth=1_000_000, amf_values=1_000_000)])
def test_a_hundred_thousand_levels_are_an_error_of_the_protocol(limits: Limits) -> None:
    for opening, _ in NESTS_AMF0:
        with pytest.raises(RemoteProtocolError, match="deeper than"):
            amf0.decode(bytes.fromhex(opening) * 100_000, limits=limits)
    for opening, _ in NESTS_AMF3:
        with pytest.raises(RemoteProtocolError, match="deeper than"):
            amf3.decode(bytes.fromhex(opening) * 100_000, limits=limits, externalizables=REGISTRY)
    with pytest.raises(RemoteProtocolError, match="deeper than"):
        amf0.decode(bytes.fromhex("0A 00000001 11") + bytes.fromhex("11 03 00") * 100_000, limits=limits)


@pytest.mark.parametrize("module", [amf0, amf3])
def test_what_is_too_deep_to_send_is_an_error_of_the_caller(module: Any) -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    for limits in (Limits(), Limits(amf_depth=1_000_000)):
        with pytest.raises(LocalProtocolError, match="deeper than"):
            module.encode(value, limits=limits)
    while value:  # freed level by level: the interpreter's own way down is recursive
        value = value[0]


def test_the_deepest_value_that_any_setting_allows_can_be_printed_and_compared() -> None:
    limits = Limits(amf_depth=1_000)
    for opening, closing in NESTS_AMF0:
        data = _nested(opening, closing, "05", 128)
        value = amf0.decode(data, limits=limits)
        assert repr(value)
        assert value == amf0.decode(data, limits=limits)
    for opening, closing in NESTS_AMF3:
        data = _nested(opening, closing, "01", 128)
        value = amf3.decode(data, limits=limits, externalizables=REGISTRY)
        assert repr(value)
        assert value == amf3.decode(data, limits=limits, externalizables=REGISTRY)


# Number of values


@pytest.mark.parametrize(
    ("module", "wire", "values"),
    [
        (amf0, "05 05 05", 3),
        (amf0, "0A 00000002 05 05", 3),
        (amf0, "03 0001 61 05 0001 62 05 000009", 3),
        (amf0, "11 09 05 01 01 01", 3),
        (amf0, "05 11 01 05", 3),
        (amf0, "0A 00000001 05 07 0000", 4),
        (amf0, "0A 00000001 07 0000", 2),
        (amf3, "01 01 01", 3),
        (amf3, "09 05 01 01 01", 3),
        (amf3, "0A 23 01 03 61 03 62 01 01", 5),
        (amf3, "0D 05 00 00000001 00000002", 3),
        (amf3, "0F 03 00 0000000000000000", 2),
        (amf3, "10 05 00 01 01 01", 3),
        (amf3, "11 03 00 01 01", 3),
        (amf3, "09 03 01 01 09 00", 4),
    ],
)
def test_as_many_values_as_the_limit_are_read_and_not_one_more(module: Any, wire: str, values: int) -> None:
    data = bytes.fromhex(wire)
    expected = module.decode_all(data, limits=Limits(amf_values=values + 1))
    assert repr(module.decode_all(data, limits=Limits(amf_values=values))) == repr(expected)
    with pytest.raises(RemoteProtocolError, match=r"Limits\.amf_values"):
        module.decode_all(data, limits=Limits(amf_values=values - 1))


def test_references_that_double_at_every_level_are_refused() -> None:
    # each list holds the one before twice: 40 levels in 440 bytes would take 2**40 steps to walk
    doubling = [bytes.fromhex("0A 00000000")]
    doubling += [bytes.fromhex(f"0A 00000002 07 {level:04X} 07 {level:04X}") for level in range(40)]
    with pytest.raises(RemoteProtocolError, match=r"Limits\.amf_values"):
        amf0.decode_all(b"".join(doubling))
    assert len(amf0.decode_all(b"".join(doubling[:12]))) == 12


# Counts announced


@pytest.mark.parametrize(
    ("module", "wire"),
    [
        (amf0, "0A FFFFFFFF"),
        (amf0, "0C FFFFFFFF"),
        (amf0, "0F FFFFFFFF"),
        (amf0, "08 FFFFFFFF"),
        (amf3, "06 FFFFFFFF"),
        (amf3, "07 FFFFFFFF"),
        (amf3, "09 FFFFFFFF 01"),
        (amf3, "0B FFFFFFFF"),
        (amf3, "0C FFFFFFFF"),
        (amf3, "0D FFFFFFFF 00"),
        (amf3, "0E FFFFFFFF 00"),
        (amf3, "0F FFFFFFFF 00"),
        (amf3, "10 FFFFFFFF 00 01"),
        (amf3, "11 FFFFFFFF 00"),
    ],
)
def test_a_count_announced_costs_nothing(module: Any, wire: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="truncated"):
            module.decode(bytes.fromhex(wire))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_sealed_names_announced_cost_nothing() -> None:
    with pytest.raises(RemoteProtocolError, match=r"Limits\.amf_values"):
        amf3.decode(bytes.fromhex("0A FFFFFFFB 01"))


def test_a_hostile_name_makes_no_long_message() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        amf3.decode(bytes.fromhex("0A 07 C001") + b"x" * 0x2000)
    assert len(str(caught.value)) < 200
