from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splice.http import CHUNKED, CLOSE, LAST_CHUNK, NO_BODY, BodyDecoder, Framing, FramingKind, ResponseError, chunk
from tests.splice.http.wire import CUTS, byte_by_byte, cut_at, mutated


def decode(framing: Framing, pieces: Iterable[bytes]) -> tuple[bytes, str | None, bytes]:
    """The payload, the fault if there is one, and what came behind the end."""
    decoder = BodyDecoder(framing)
    payload = b""
    try:
        for piece in pieces:
            decoded = decoder.receive_data(piece)
            assert all(decoded)
            payload += b"".join(decoded)
        decoder.receive_eof()
    except ResponseError as error:
        assert not decoder.finished
        return payload, error.detail, decoder.trailing_data
    assert decoder.finished
    return payload, None, decoder.trailing_data


BODIES: list[tuple[Framing, bytes, bytes]] = [
    (NO_BODY, b"", b""),
    (CLOSE, b"", b""),
    (CLOSE, b"until the end", b"until the end"),
    (Framing.of_length(0), b"", b""),
    (Framing.of_length(5), b"12345", b"12345"),
    (CHUNKED, b"0\r\n\r\n", b""),
    (CHUNKED, b"000\r\n\r\n", b""),
    (CHUNKED, b"5\r\n12345\r\n0\r\n\r\n", b"12345"),
    (CHUNKED, b"5;a=b\r\n\r\n0\r\n\r\n00000000000000A\r\n0123456789\r\n0;x\r\n\r\n", b"\r\n0\r\n0123456789"),
    (CHUNKED, b"1\r\na\r\n0\r\nX-Trailer: y\r\nTransfer-Encoding: chunked\r\n\r\n", b"a"),
]


@pytest.mark.parametrize(("framing", "wire", "payload"), BODIES)
def test_a_body_gives_its_payload_however_it_arrives(framing: Framing, wire: bytes, payload: bytes) -> None:
    assert decode(framing, [wire]) == (payload, None, b"")
    assert decode(framing, byte_by_byte(wire)) == (payload, None, b"")


@pytest.mark.parametrize(("framing", "wire", "payload"), [row for row in BODIES if row[0] != CLOSE])
def test_what_comes_behind_a_body_is_kept_apart(framing: Framing, wire: bytes, payload: bytes) -> None:
    assert decode(framing, [wire + b"0\r\n\r\nmore"]) == (payload, None, b"0\r\n\r\nmore")
    assert decode(framing, byte_by_byte(wire + b"0\r\n\r\nmore")) == (payload, None, b"0\r\n\r\nmore")


@pytest.mark.parametrize(
    ("says", "wire", "payload"),
    [
        ("size is malformed", b"\r\n", b""),
        ("size is malformed", b"-1\r\n", b""),
        ("size is malformed", b"+1\r\na\r\n", b""),
        ("size is malformed", b"0x1\r\na\r\n", b""),
        ("size is malformed", b"1 \r\na\r\n", b""),
        ("size is malformed", b" 1\r\na\r\n", b""),
        ("size is malformed", b"1_0\r\na\r\n", b""),
        ("size is malformed", b"00000000000000001\r\na\r\n", b""),
        ("size is malformed", b"1;a\rb\r\na\r\n", b""),
        ("size is malformed", b"1\r\na\r\n1;\x00\r\n", b"a"),
        ("bare LF", b"1\na\r\n0\r\n\r\n", b""),
        ("bare LF", b"1\r\na\r\n0\r\n\n", b"a"),
        ("longer than its size", b"1\r\nab\r\n", b"a"),
        ("longer than its size", b"1\r\na\n0\r\n\r\n", b"a"),
        ("longer than its size", b"1\r\na\r0\r\n\r\n", b"a"),
        ("goes on past", b"1;" + b"a" * 300, b""),
        ("goes on past", b"0\r\na:" + b"b" * 17_000, b""),
        ("goes on past", b"0\r\n" + b"a: bcd\r\n" * 63 + b"a:" + b"b" * 16_000 + b"\r\n\r\n", b""),
        ("more than 64", b"0\r\n" + b"a: b\r\n" * 65 + b"\r\n", b""),
        ("folding", b"0\r\na: b\r\n c\r\n\r\n", b""),
        ("no colon", b"1\r\na\r\n0\r\n0\r\n\r\n", b"a"),
    ],
)
def test_a_chunked_body_that_is_not_as_it_should_be_gives_what_came_before_and_the_fault(
    says: str, wire: bytes, payload: bytes
) -> None:
    decoded, fault, rest = decode(CHUNKED, [wire])
    assert (decoded, rest) == (payload, b"")
    assert fault is not None
    assert fault.startswith("The origin's chunked body is malformed: ")
    assert says in fault
    assert decode(CHUNKED, byte_by_byte(wire)) == (payload, fault, b"")


@pytest.mark.parametrize(
    ("framing", "wire", "payload"),
    [
        (Framing.of_length(5), b"1234", b"1234"),
        (Framing.of_length(10**18 - 1), b"", b""),
        (CHUNKED, b"", b""),
        (CHUNKED, b"5\r\n123", b"123"),
        (CHUNKED, b"ffffffffffffffff\r\n123", b"123"),
        (CHUNKED, b"3\r\n123\r", b"123"),
        (CHUNKED, b"3\r\n123\r\n0\r\n", b"123"),
        (CHUNKED, b"3\r\n123\r\n0\r\nX: y\r\n", b"123"),
    ],
)
def test_a_body_that_breaks_off_is_a_fault(framing: Framing, wire: bytes, payload: bytes) -> None:
    for pieces in ([wire], byte_by_byte(wire)):
        decoded, fault, rest = decode(framing, pieces)
        assert (decoded, rest) == (payload, b"")
        assert fault is not None
        assert "before the end" in fault


@pytest.mark.parametrize("framing", [NO_BODY, Framing.of_length(0)])
def test_a_body_of_no_bytes_has_ended_before_it_begins(framing: Framing) -> None:
    assert BodyDecoder(framing).finished


@pytest.mark.parametrize("framing", [CHUNKED, CLOSE, Framing.of_length(1)])
def test_no_other_body_has_ended_before_it_begins(framing: Framing) -> None:
    assert not BodyDecoder(framing).finished


def test_a_fault_is_raised_again_by_every_call() -> None:
    decoder = BodyDecoder(CHUNKED)
    assert decoder.receive_data(b"1\r\na\r\nx\r\n") == [b"a"]
    for _ in range(2):
        with pytest.raises(ResponseError, match="size is malformed"):
            decoder.receive_data(b"")
        with pytest.raises(ResponseError, match="size is malformed"):
            decoder.receive_eof()
    assert not decoder.finished


def test_a_body_is_taken_from_a_buffer_that_is_used_again() -> None:
    buffer = bytearray(b"3\r\nabc\r\n")
    decoder = BodyDecoder(CHUNKED)
    pieces = decoder.receive_data(memoryview(buffer))
    buffer[:] = bytes(8)
    assert pieces == [b"abc"]
    for framing in (CLOSE, Framing.of_length(8)):
        buffer[:] = b"12345678"
        pieces = BodyDecoder(framing).receive_data(memoryview(buffer))
        buffer[:] = bytes(8)
        assert pieces == [b"12345678"]


def test_so_is_what_comes_behind_it() -> None:
    buffer = bytearray(b"12345678")
    decoder = BodyDecoder(Framing.of_length(5))
    decoder.receive_data(memoryview(buffer))
    buffer[:] = bytes(8)
    assert decoder.trailing_data == b"678"


def test_a_framing_says_what_it_is() -> None:
    assert Framing.of_length(7) == Framing(FramingKind.LENGTH, 7)
    assert [framing.kind for framing in (NO_BODY, CHUNKED, CLOSE)] == [
        FramingKind.NO_BODY,
        FramingKind.CHUNKED,
        FramingKind.CLOSE,
    ]


def test_a_chunk_has_its_size_in_hexadecimal_before_it() -> None:
    assert chunk(b"abc") == b"3\r\nabc\r\n"
    assert chunk(bytearray(26)) == b"1a\r\n" + bytes(26) + b"\r\n"
    assert chunk(memoryview(b"a")) == b"1\r\na\r\n"


def test_no_chunk_is_made_of_nothing_for_it_would_end_the_body() -> None:
    assert chunk(b"") == b""


@given(parts=st.lists(st.binary(max_size=50), max_size=8), cuts=CUTS, rest=st.binary(max_size=10))
def test_chunks_that_were_made_are_decoded_to_what_they_were_made_from(
    parts: list[bytes], cuts: list[int], rest: bytes
) -> None:
    wire = b"".join(map(chunk, parts)) + LAST_CHUNK + rest
    assert decode(CHUNKED, cut_at(wire, cuts)) == (b"".join(parts), None, rest)


@given(
    framing=st.sampled_from([CHUNKED, CLOSE, NO_BODY, Framing.of_length(3)]),
    wire=st.binary(max_size=100) | mutated([row[1] for row in BODIES]),
    cuts=CUTS,
)
def test_any_bytes_cut_anywhere_have_one_outcome_and_raise_nothing_but_response_errors(
    framing: Framing, wire: bytes, cuts: list[int]
) -> None:
    whole = decode(framing, [wire])
    assert decode(framing, cut_at(wire, cuts)) == whole
    assert decode(framing, byte_by_byte(wire)) == whole
