import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splice.http import (
    CLOSE,
    NO_BODY,
    Answer,
    Fields,
    Framing,
    RequestHead,
    RequestParser,
    ResponseHead,
    ResponseParser,
    as_sentence,
    forwarded_request_head,
    problem_answer,
    relayed_answer,
)
from tests.splice.http.wire import outcome

ANY_ORIGIN = (b"Access-Control-Allow-Origin", b"*")
CONNECTION_CLOSE = (b"Connection", b"close")


def origin_head(*fields: tuple[bytes, bytes], status: int = 200, reason: bytes = b"OK") -> ResponseHead:
    """What the parser makes of an origin's answer with these fields."""
    parser = ResponseParser()
    parser.receive_data(Answer(status, fields, reason=reason).encode())
    head = parser.next_event()
    assert isinstance(head, ResponseHead)
    return head


def relayed(head: ResponseHead, viewer_version: tuple[int, int] = (1, 1)) -> ResponseHead:
    """What a viewer makes of the relayed head."""
    parser = ResponseParser()
    parser.receive_data(relayed_answer(head, cors_fields=[ANY_ORIGIN], viewer_version=viewer_version).encode())
    relayed_head = parser.next_event()
    assert isinstance(relayed_head, ResponseHead)
    assert parser.trailing_data == b""
    return relayed_head


def test_an_answer_is_written_as_it_was_given() -> None:
    answer = Answer(200, [(b"A", b"1"), (b"a", b"")], b"FLV", reason=b"Fine")
    assert answer.encode() == b"HTTP/1.1 200 Fine\r\nA: 1\r\na: \r\n\r\nFLV"
    assert Answer(599, ()).encode() == b"HTTP/1.1 599 \r\n\r\n"
    assert Answer(100, ()).encode() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert Answer(404, (), reason=b"").encode() == b"HTTP/1.1 404 \r\n\r\n"


def test_to_head_an_answer_is_the_same_head_alone() -> None:
    answer = Answer(200, [(b"Content-Length", b"3")], b"FLV")
    assert answer.encode() == answer.encode(head_only=True) + b"FLV"


@pytest.mark.parametrize("text", ["The origin is away.", "Is this https://?", "Stop!"])
def test_a_sentence_stays_as_it_is(text: str) -> None:
    assert as_sentence(text) == text


@pytest.mark.parametrize("status", [99, 600, 1000, -1])
def test_a_status_outside_its_range_is_not_written(status: int) -> None:
    with pytest.raises(ValueError, match="status"):
        Answer(status, ())


@pytest.mark.parametrize("text", [b"a\r\nSet-Cookie: x", b"a\nb", b"a\rb", b"\x00", b"\x7f", b"\x1b[0m"])
def test_nothing_that_would_break_a_head_is_written(text: bytes) -> None:
    with pytest.raises(ValueError, match="reason"):
        Answer(200, (), reason=text)
    with pytest.raises(ValueError, match="field"):
        Answer(200, [(b"X", text)])
    with pytest.raises(ValueError, match="field"):
        Answer(200, [(text, b"x")])
    with pytest.raises(ValueError, match="field"):
        forwarded_request_head(b"/", (1, 1), "a", [(b"Referer", text)])
    with pytest.raises(ValueError, match="field"):
        problem_answer(400, "x", extra_fields=[(b"Allow", text)])
    with pytest.raises(ValueError, match="field"):
        relayed_answer(origin_head(), cors_fields=[(b"Vary", text)])
    with pytest.raises(ValueError, match="target"):
        forwarded_request_head(b"/" + text, (1, 1), "a", ())
    with pytest.raises(ValueError, match="Host"):
        forwarded_request_head(b"/", (1, 1), text.decode("latin-1"), ())


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a "])
def test_a_field_with_a_name_that_is_no_token_is_not_written(name: bytes) -> None:
    with pytest.raises(ValueError, match="field"):
        Answer(200, [(name, b"x")])


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (200, b"OK"),
        (404, b"Not Found"),
        (413, b"Content Too Large"),
        (414, b"URI Too Long"),
        (431, b"Request Header Fields Too Large"),
        (505, b"HTTP Version Not Supported"),
        (599, b""),
    ],
)
def test_reason_phrases_are_the_registered_ones(status: int, phrase: bytes) -> None:
    assert Answer(status, ()).encode() == b"HTTP/1.1 %d %b\r\n\r\n" % (status, phrase)


def test_a_problem_is_a_whole_answer_with_a_json_body() -> None:
    wire = problem_answer(405, "Use GET.", extra_fields=[(b"Allow", b"GET"), ANY_ORIGIN]).encode()
    parser = ResponseParser()
    parser.receive_data(wire)
    head = parser.next_event()
    assert isinstance(head, ResponseHead)
    body = parser.trailing_data
    assert (head.version, head.status, head.reason) == ((1, 1), 405, b"Method Not Allowed")
    assert head.fields == (
        (b"Content-Type", b"application/problem+json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Cache-Control", b"no-store"),
        CONNECTION_CLOSE,
        (b"Allow", b"GET"),
        ANY_ORIGIN,
    )
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "Use GET.",
    }


@given(detail=st.text())
def test_any_detail_stays_inside_the_body(detail: str) -> None:
    head, _, body = problem_answer(400, detail).encode().partition(b"\r\n\r\n")
    assert json.loads(body)["detail"] == detail
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert body.isascii()


def test_an_origin_is_asked_by_get_with_host_and_connection_close() -> None:
    wire = forwarded_request_head(b"/live?a=%2f", (1, 0), "[::1]:8080", [(b"User-Agent", b"splice")])
    assert wire == (b"GET /live?a=%2f HTTP/1.0\r\nHost: [::1]:8080\r\nConnection: close\r\nUser-Agent: splice\r\n\r\n")
    assert isinstance(outcome(RequestParser(), [wire]), RequestHead)


@pytest.mark.parametrize("target", [b"", b"live", b"*", b"http://a/", b"/ HTTP/1.1", b"/#", b"/\xff", b"/a b"])
def test_an_origin_is_asked_for_nothing_but_origin_form(target: bytes) -> None:
    with pytest.raises(ValueError, match="target"):
        forwarded_request_head(target, (1, 1), "a", ())


@pytest.mark.parametrize("host", ["", "a b", "a/b", "user@a", "a:b", "::1"])
def test_an_origin_is_not_asked_with_a_malformed_host(host: str) -> None:
    with pytest.raises(ValueError, match="Host"):
        forwarded_request_head(b"/", (1, 1), host, ())


@pytest.mark.parametrize("name", [b"host", b"Connection", b"CONTENT-LENGTH", b"Transfer-Encoding"])
def test_the_fields_that_frame_a_request_are_not_the_callers(name: bytes) -> None:
    with pytest.raises(ValueError, match="not the caller's"):
        forwarded_request_head(b"/", (1, 1), "a", [(name, b"0")])


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ([(b"Vary", b"Accept"), (b"Server", b"x")], [(b"Vary", b"Accept"), (b"Server", b"x")]),
        ([(b"Connection", b"keep-alive"), (b"Keep-Alive", b"timeout=5")], []),
        ([(b"CONNECTION", b"X-A , x-b"), (b"X-a", b"1"), (b"X-B", b"2")], []),
        ([(b"Connection", b"close"), (b"X-C", b"3"), (b"connection", b"x-c,,")], []),
        ([(b"Upgrade", b"h2c"), (b"TE", b"x"), (b"Trailer", b"X"), (b"HTTP2-Settings", b"x")], []),
        ([(b"Proxy-Connection", b"x"), (b"Proxy-Authenticate", b"x"), (b"proxy-Anything", b"x")], []),
        ([(b"Access-Control-Allow-Origin", b"http://a"), (b"access-control-allow-credentials", b"true")], []),
        ([(b"Location", b"http://a/b"), (b"Location", b"/c")], [(b"Location", b"http://a/b"), (b"Location", b"/c")]),
        ([(b"X", b"\xff"), (b"Y", b"")], [(b"X", b"\xff"), (b"Y", b"")]),
    ],
)
def test_what_is_the_origins_own_stays_and_what_is_of_its_connection_goes(fields: Fields, kept: Fields) -> None:
    head = relayed(origin_head(*fields))
    assert head.fields == (*kept, ANY_ORIGIN, CONNECTION_CLOSE)
    assert head.framing == CLOSE


def test_a_relayed_status_and_reason_are_the_origins_and_the_version_is_the_doors() -> None:
    head = ResponseHead((1, 0), 404, b"No such thing", (), CLOSE)
    assert relayed_answer(head).encode().startswith(b"HTTP/1.1 404 No such thing\r\n")
    assert relayed_answer(head, viewer_version=(1, 0)).encode().startswith(b"HTTP/1.1 404 No such thing\r\n")


@pytest.mark.parametrize("connection", [b"close", b"content-length", b"Transfer-Encoding, Content-Length"])
@pytest.mark.parametrize("framing_field", [(b"Content-Length", b"12"), (b"Transfer-Encoding", b"chunked")])
def test_the_framing_stays_whatever_the_origin_names_in_connection(
    connection: bytes, framing_field: tuple[bytes, bytes]
) -> None:
    head = origin_head(framing_field, (b"Connection", connection))
    assert relayed(head).framing == head.framing
    assert relayed(head).fields == (framing_field, ANY_ORIGIN, CONNECTION_CLOSE)


def test_a_viewer_of_http_1_0_gets_no_chunked_body_but_a_length_where_there_is_one() -> None:
    assert relayed(origin_head((b"Transfer-Encoding", b"chunked")), viewer_version=(1, 0)).framing == CLOSE
    assert relayed(origin_head((b"Content-Length", b"7")), viewer_version=(1, 0)).framing == Framing.of_length(7)


def test_a_304_may_say_how_long_the_body_would_be_and_a_204_may_not() -> None:
    length = (b"Content-Length", b"9")
    not_modified = relayed(origin_head(length, status=304, reason=b"Not Modified"))
    assert not_modified.framing == NO_BODY
    assert not_modified.get(b"content-length") == b"9"
    no_content = relayed(origin_head(length, status=204, reason=b"No Content"))
    assert no_content.get(b"content-length") is None
