"""The readers under the codec records: what they read, and that they fail in one way only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import RemoteProtocolError
from protocol.flv._bits import BitReader, ByteReader, unescape_rbsp

from .bits import BitWriter, with_emulation_prevention


def test_bits_are_read_from_the_most_significant() -> None:
    bits = BitReader(b"\xa5\x0f", spec="test")
    assert [bits.read(1), bits.read(3), bits.read(6), bits.bits_left, bits.read(6)] == [1, 2, 0b010100, 6, 0b001111]
    assert bits.read(0) == 0
    with pytest.raises(RemoteProtocolError, match=r"\(test\)"):
        bits.read(1)


def test_skipping_and_aligning_move_to_whole_bytes() -> None:
    bits = BitReader(b"\xff\x80\x01", spec="test")
    bits.align()
    bits.skip(3)
    bits.align()
    assert bits.flag()
    bits.skip(15)
    with pytest.raises(RemoteProtocolError):
        bits.skip(1)


@pytest.mark.parametrize(
    ("code", "value"), [("1", 0), ("010", 1), ("011", 2), ("00100", 3), ("00111", 6), ("000010000", 15)]
)
def test_exp_golomb_codes_are_those_of_table_9_2(code: str, value: int) -> None:
    data = int(code.ljust(16, "0"), 2).to_bytes(2, "big")
    assert BitReader(data, spec="test").ue() == value


@pytest.mark.parametrize(("code", "value"), [(0, 0), (1, 1), (2, -1), (3, 2), (4, -2), (5, 3)])
def test_signed_exp_golomb_codes_are_those_of_table_9_3(code: int, value: int) -> None:
    assert BitReader(BitWriter().ue(code).done(), spec="test").se() == value


@given(st.lists(st.integers(0, 2**32 - 2)))
def test_exp_golomb_codes_read_as_written(values: list[int]) -> None:
    writer = BitWriter()
    for value in values:
        writer.ue(value)
    reader = BitReader(writer.done(), spec="test")
    assert [reader.ue() for _ in values] == values


def test_the_longest_exp_golomb_code_has_31_leading_zeros() -> None:
    assert BitReader(BitWriter().ue(2**32 - 2).done(), spec="test").ue() == 2**32 - 2
    with pytest.raises(RemoteProtocolError, match="31 leading zeros"):
        BitReader(BitWriter().ue(2**32 - 1).done(), spec="test").ue()
    with pytest.raises(RemoteProtocolError):
        BitReader(bytes(1000), spec="test").ue()


def test_bytes_are_read_big_endian() -> None:
    reader = ByteReader(bytes.fromhex("01 0203 ffffff 0a0b"), spec="test")
    assert [reader.number(1), reader.number(2), reader.signed(3), reader.bytes_left] == [1, 0x0203, -1, 2]
    assert reader.rest() == b"\x0a\x0b"
    with pytest.raises(RemoteProtocolError, match="1 bytes are announced and 0 are left"):
        reader.take(1)


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        ("000003", "0000"),
        ("00000301", "000001"),
        ("0000030000030000", "000000000000"),
        ("00000303", "000003"),
        ("000300", "000300"),
        ("0102", "0102"),
    ],
)
def test_emulation_prevention_bytes_go(escaped: str, plain: str) -> None:
    assert unescape_rbsp(bytes.fromhex(escaped)).hex() == plain


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 255])).map(bytes))
def test_what_an_encoder_escapes_is_unescaped(data: bytes) -> None:
    assert unescape_rbsp(with_emulation_prevention(data)) == data
