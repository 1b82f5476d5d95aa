import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import NEED_DATA
from splice.http import (
    CHUNKED,
    CLOSE,
    MAX_INTERIM_ANSWERS,
    NO_BODY,
    Framing,
    ResponseError,
    ResponseHead,
    ResponseParser,
)
from tests.splice.http.wire import CUTS, byte_by_byte, cut_at, mutated, outcome


def answer(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


LARGEST_VALUE = b"b" * (16_384 - len(b"HTTP/1.1 200 OK\r\na:\r\n\r\n"))

VALID: list[tuple[str, bytes, ResponseHead]] = [
    (
        "a live stream, chunked",
        answer(
            b"Server: nginx/1.22.1",
            b"Content-Type: video/x-flv",
            b"Transfer-Encoding: chunked",
            b"Connection: keep-alive",
        ),
        ResponseHead(
            (1, 1),
            200,
            b"OK",
            (
                (b"Server", b"nginx/1.22.1"),
                (b"Content-Type", b"video/x-flv"),
                (b"Transfer-Encoding", b"chunked"),
                (b"Connection", b"keep-alive"),
            ),
            CHUNKED,
        ),
    ),
    ("a body until close", answer(), ResponseHead((1, 1), 200, b"OK", (), CLOSE)),
    (
        "HTTP/1.0, no reason",
        answer(status=b"HTTP/1.0 200"),
        ResponseHead((1, 0), 200, b"", (), CLOSE),
    ),
    (
        "an empty reason",
        answer(status=b"HTTP/1.1 599 "),
        ResponseHead((1, 1), 599, b"", (), CLOSE),
    ),
    (
        "a body of a length",
        answer(b"content-LENGTH: 013"),
        ResponseHead((1, 1), 200, b"OK", ((b"content-LENGTH", b"013"),), Framing.of_length(13)),
    ),
    (
        "a coding in another case",
        answer(b"TRANSFER-encoding:Chunked"),
        ResponseHead((1, 1), 200, b"OK", ((b"TRANSFER-encoding", b"Chunked"),), CHUNKED),
    ),
    (
        "not modified",
        answer(b"Content-Length: 9", status=b"HTTP/1.1 304 Not Modified"),
        ResponseHead((1, 1), 304, b"Not Modified", ((b"Content-Length", b"9"),), NO_BODY),
    ),
    (
        "no content",
        answer(status=b"HTTP/1.1 204 No Content"),
        ResponseHead((1, 1), 204, b"No Content", (), NO_BODY),
    ),
    (
        "after interim answers",
        answer(status=b"HTTP/1.1 100 Continue") * (MAX_INTERIM_ANSWERS - 1)
        + answer(b"Link: </a>", status=b"HTTP/1.1 103")
        + answer(b"X: y", status=b"HTTP/1.1 404 Not Found"),
        ResponseHead((1, 1), 404, b"Not Found", ((b"X", b"y"),), CLOSE),
    ),
    (
        "the largest head",
        answer(b"a:" + LARGEST_VALUE),
        ResponseHead((1, 1), 200, b"OK", ((b"a", LARGEST_VALUE),), CLOSE),
    ),
    (
        "as many field lines as there may be",
        answer(*[b"a: b"] * 64),
        ResponseHead((1, 1), 200, b"OK", ((b"a", b"b"),) * 64, CLOSE),
    ),
]

REFUSED: list[tuple[str, bytes]] = [
    # the status line
    ("does not begin with HTTP/", b"\x03" * 3000),
    ("does not begin with HTTP/", b"\r\n" + answer()),
    ("does not begin with HTTP/", b"ICY 200 OK\r\n\r\n"),
    ("does not begin with HTTP/", b"http/1.1 200 OK\r\n\r\n"),
    ("does not begin with HTTP/", b"<html>"),
    ("status line", answer(status=b"HTTP/1.1")),
    ("status line", answer(status=b"HTTP/1.1 OK")),
    ("status line", answer(status=b"HTTP/1.1 20 OK")),
    ("status line", answer(status=b"HTTP/1.1 099 Low")),
    ("status line", answer(status=b"HTTP/1.1 600 High")),
    ("status line", answer(status=b"HTTP/1.1 2000 OK")),
    ("status line", answer(status=b"HTTP/1.1  200 OK")),
    ("status line", answer(status=b"HTTP/1.1 200 O\x00K")),
    ("status line", answer(status=b"HTTP/1.1 200 OK\rX: y")),
    ("status line", answer(status=b"HTTP/11.1 200 OK")),
    ("neither", answer(status=b"HTTP/2.0 200 OK")),
    ("neither", answer(status=b"HTTP/0.9 200 OK")),
    ("neither", answer(status=b"HTTP/1.2 200 OK")),
    ("bare LF", b"HTTP/1.1 200 OK\n\n"),
    ("goes on past", b"HTTP/1.1 200 " + b"a" * 17_000),
    # interim answers
    ("101", answer(b"Upgrade: websocket", status=b"HTTP/1.1 101 Switching Protocols")),
    ("more than 8 interim", answer(status=b"HTTP/1.1 100 Continue") * 9),
    ("interim answer announces", answer(b"Content-Length: 3", status=b"HTTP/1.1 100 Continue")),
    ("interim answer announces", answer(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 103 Early Hints")),
    ("does not begin with HTTP/", answer(status=b"HTTP/1.1 100 Continue") + b"garbage"),
    # field lines
    ("bare LF", b"HTTP/1.1 200 OK\r\nX: y\n\r\n"),
    ("bare CR", answer(b"X: y\rTransfer-Encoding: chunked")),
    ("folding", answer(b"X: y", b" z")),
    ("colon follows", answer(b"Content-Length : 5")),
    ("may not hold", answer(b"Content Length: 5")),
    ("no colon", answer(b"X")),
    ("control character", answer(b"X: \x00")),
    ("control character", answer(b"Transfer-Encoding: \x0bchunked")),
    ("goes on past", answer(b"a:" + LARGEST_VALUE + b"b")),
    ("more than 64", answer(*[b"a: b"] * 65)),
    # framing that can be read in two ways
    ("both", answer(b"Transfer-Encoding: chunked", b"Content-Length: 5")),
    ("both", answer(b"content-length: 5", b"transfer-encoding: chunked")),
    ("both", answer(b"Content-Length: 5", b"Transfer-Encoding: identity")),
    ("both", answer(b"Content-Length: 5", b"Transfer-Encoding: chunked", status=b"HTTP/1.1 304 x")),
    ("more than once", answer(b"Content-Length: 5", b"Content-Length: 5")),
    ("more than once", answer(b"Content-Length: 5", b"content-length: 6")),
    ("digits", answer(b"Content-Length:")),
    ("digits", answer(b"Content-Length: +5")),
    ("digits", answer(b"Content-Length: -5")),
    ("digits", answer(b"Content-Length: 0x5")),
    ("digits", answer(b"Content-Length: 5, 5")),
    ("digits", answer(b"Content-Length: 5;")),
    ("digits", answer(b"Content-Length: 5 5")),
    ("digits", answer(b"Content-Length: 5_0")),
    ("digits", answer(b"Content-Length: " + b"9" * 19)),
    ("digits", answer(b"Content-Length: x", status=b"HTTP/1.1 204 No Content")),
    ("HTTP/1.0 answer", answer(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK")),
    ("not just chunked", answer(b"Transfer-Encoding:")),
    ("not just chunked", answer(b"Transfer-Encoding: identity")),
    ("not just chunked", answer(b"Transfer-Encoding: gzip, chunked")),
    ("not just chunked", answer(b"Transfer-Encoding: chunked, chunked")),
    ("not just chunked", answer(b"Transfer-Encoding: chunked,")),
    ("not just chunked", answer(b"Transfer-Encoding: chunked;a=b")),
    ("not just chunked", answer(b'Transfer-Encoding: "chunked"')),
    ("not just chunked", answer(b"Transfer-Encoding: xchunked")),
    ("not just chunked", answer(b"Transfer-Encoding: \xa0chunked")),
    ("not just chunked", answer(b"Transfer-Encoding: chunked", b"transfer-encoding: chunked")),
]


@pytest.mark.parametrize(("wire", "head"), [row[1:] for row in VALID], ids=[row[0] for row in VALID])
@pytest.mark.parametrize("body", [b"", b"body \r\n\r\n HTTP/1.1 200 OK\r\n\r\n"])
def test_a_well_formed_head_is_parsed_however_it_arrives(wire: bytes, head: ResponseHead, body: bytes) -> None:
    for pieces in ([wire + body], byte_by_byte(wire + body)):
        parser = ResponseParser()
        assert outcome(parser, pieces) == head
        assert parser.trailing_data == body
        assert parser.next_event() is NEED_DATA


@pytest.mark.parametrize(("says", "wire"), REFUSED)
def test_an_answer_that_is_not_as_it_should_be_is_refused_however_it_arrives(says: str, wire: bytes) -> None:
    refused = outcome(ResponseParser(), [wire])
    assert isinstance(refused, str)
    assert says in refused
    assert re.fullmatch(r"The origin's [a-z].*\.", refused)
    assert outcome(ResponseParser(), byte_by_byte(wire)) == refused
    assert outcome(ResponseParser(), [wire + b"HTTP/1.1 200 OK\r\n\r\n"]) == refused


@pytest.mark.parametrize("field", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: y"])
def test_an_answer_to_head_has_no_body_whatever_it_says(field: bytes) -> None:
    parser = ResponseParser(request_method=b"HEAD")
    parser.receive_data(answer(field))
    head = parser.next_event()
    assert isinstance(head, ResponseHead)
    assert head.framing == NO_BODY


def test_an_answer_to_head_is_refused_as_strictly() -> None:
    refused = outcome(ResponseParser(b"HEAD"), [answer(b"Transfer-Encoding: chunked", b"Content-Length: 5")])
    assert refused == outcome(ResponseParser(), [answer(b"Transfer-Encoding: chunked", b"Content-Length: 5")])
    assert isinstance(refused, str)


def test_an_error_is_raised_again_when_asked_again() -> None:
    parser = ResponseParser()
    parser.receive_data(b"HTTP/1.1 200 OK\n")
    for _ in range(2):
        with pytest.raises(ResponseError, match="bare LF"):
            parser.next_event()
    parser.receive_data(answer())
    with pytest.raises(ResponseError, match="bare LF"):
        parser.next_event()
    assert parser.trailing_data == b""


def test_fields_of_an_answer_are_looked_up_in_any_case() -> None:
    head = ResponseHead((1, 1), 200, b"OK", ((b"Via", b"a"), (b"VIA", b"b")), CLOSE)
    assert head.get(b"via") == b"a, b"
    assert head.get_all(b"date") == []


WIRES = st.binary(max_size=300) | mutated([row[1] for row in VALID] + [row[1] for row in REFUSED])


@given(wire=WIRES, cuts=CUTS)
def test_any_bytes_cut_anywhere_have_one_outcome_and_it_is_a_head_or_a_response_error(
    wire: bytes, cuts: list[int]
) -> None:
    whole = outcome(ResponseParser(), [wire])
    assert outcome(ResponseParser(), cut_at(wire, cuts)) == whole
    assert outcome(ResponseParser(), byte_by_byte(wire)) == whole
