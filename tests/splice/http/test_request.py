import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import NEED_DATA
from splice.http import MAX_HEAD_BYTES, MAX_TARGET_BYTES, RequestError, RequestHead, RequestParser
from tests.splice.http.request_vectors import LONGEST_TARGET, REFUSED, VALID, get
from tests.splice.http.wire import CUTS, byte_by_byte, cut_at, mutated, outcome


@pytest.mark.parametrize(("wire", "head"), [row[1:] for row in VALID], ids=[row[0] for row in VALID])
@pytest.mark.parametrize("trailing", [b"", b"trailing \r\n\r\n data"])
def test_a_well_formed_head_is_parsed_however_it_arrives(wire: bytes, head: RequestHead, trailing: bytes) -> None:
    for pieces in ([wire + trailing], byte_by_byte(wire + trailing)):
        parser = RequestParser()
        assert outcome(parser, pieces) == head
        assert parser.trailing_data == trailing
        assert parser.next_event() is NEED_DATA


@pytest.mark.parametrize(("status", "says", "wire"), REFUSED)
def test_a_head_that_is_not_as_it_should_be_is_refused_however_it_arrives(status: int, says: str, wire: bytes) -> None:
    refused = outcome(RequestParser(), [wire])
    assert isinstance(refused, tuple)
    assert refused[0] == status
    assert says in refused[1]
    assert re.fullmatch(r"[A-Z].*\.", refused[1])
    assert outcome(RequestParser(), byte_by_byte(wire)) == refused
    assert outcome(RequestParser(), [wire + b"GET / HTTP/1.1\r\n\r\n"]) == refused


@pytest.mark.parametrize(("wire", "head"), [row[1:] for row in VALID], ids=[row[0] for row in VALID])
def test_a_head_that_breaks_off_needs_data_at_every_byte(wire: bytes, head: RequestHead) -> None:
    parser = RequestParser()
    for byte in byte_by_byte(wire[:-1]):
        parser.receive_data(byte)
        assert parser.next_event() is NEED_DATA
        assert parser.trailing_data == b""
    parser.receive_data(wire[-1:])
    assert parser.next_event() == head


@pytest.mark.parametrize(
    ("says", "line"),
    [
        ("is a PROXY header's", b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443"),
        ("is a PROXY header's", b"PROXY UNKNOWN"),
        ("is empty, as where a PROXY header begins", b"\r\n"),
        ("the request line is a method, a target", b"proxy TCP4 192.0.2.7 192.0.2.1 56324 443"),
        ("the request line is a method, a target", b"GET / HTTP/1.1 x"),
    ],
)
def test_a_header_for_proxies_is_told_from_a_malformed_request(says: str, line: bytes) -> None:
    parser = RequestParser()
    parser.receive_data(line + b"\r\n")
    with pytest.raises(RequestError, match=says) as caught:
        parser.next_event()
    assert caught.value.status == 400


def test_proxy_may_be_a_method_as_any_token_may() -> None:
    parser = RequestParser()
    parser.receive_data(b"PROXY / HTTP/1.0\r\n\r\n")
    assert parser.next_event() == RequestHead(b"PROXY", b"/", (1, 0), ())


@pytest.mark.parametrize("wire", [get(version=b"HTTP/2.0"), get(target=LONGEST_TARGET + b"a"), get(*[b"a: b"] * 64)])
def test_every_refusal_is_raised_again_when_asked_again(wire: bytes) -> None:
    parser = RequestParser()
    parser.receive_data(wire)
    with pytest.raises(RequestError) as caught:
        parser.next_event()
    with pytest.raises(RequestError) as again:
        parser.next_event()
    assert again.value is caught.value
    assert again.value.args == (again.value.status, again.value.detail)


def test_an_error_is_raised_again_when_asked_again() -> None:
    parser = RequestParser()
    parser.receive_data(b"GET / HTTP/1.1\n")
    for _ in range(2):
        with pytest.raises(RequestError, match=r"^400: .*bare LF") as caught:
            parser.next_event()
        assert caught.value.status == 400
    parser.receive_data(get())
    with pytest.raises(RequestError):
        parser.next_event()
    assert parser.trailing_data == b""


def test_an_oversized_target_is_refused_before_its_end_has_come() -> None:
    parser = RequestParser()
    parser.receive_data(b"GET /" + b"a" * (MAX_TARGET_BYTES + 251))
    assert parser.next_event() is NEED_DATA
    parser.receive_data(b"a")
    with pytest.raises(RequestError, match=r"^414"):
        parser.next_event()


def test_an_oversized_head_is_refused_with_its_first_byte_too_many() -> None:
    parser = RequestParser()
    parser.receive_data(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10 + b"c: ")
    parser.receive_data(b"d" * (MAX_HEAD_BYTES - 16 - 60 - 3))
    assert parser.next_event() is NEED_DATA
    parser.receive_data(b"d")
    with pytest.raises(RequestError, match=r"^431"):
        parser.next_event()


def test_data_that_is_received_before_asking_is_the_same() -> None:
    parser = RequestParser()
    for byte in byte_by_byte(get() + b"rest"):
        parser.receive_data(byte)
    assert parser.next_event() == RequestHead(b"GET", b"/", (1, 1), ((b"Host", b"door"),))
    parser.receive_data(memoryview(b" and more"))
    assert parser.trailing_data == b"rest and more"


def test_fields_are_looked_up_in_any_case_and_repeated_ones_are_joined() -> None:
    head = RequestHead(b"GET", b"/", (1, 1), ((b"A", b"1"), (b"b", b""), (b"a", b"2")))
    assert head.get(b"a") == b"1, 2"
    assert head.get_all(b"A") == [b"1", b"2"]
    assert head.get(b"B") == b""
    assert head.get(b"c") is None
    assert head.get_all(b"c") == []


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [(b"/a", b"/a", None), (b"/a?", b"/a", b""), (b"/a?b?c", b"/a", b"b?c"), (b"*", b"*", None)],
)
def test_a_target_has_a_path_and_perhaps_a_query(target: bytes, path: bytes, query: bytes | None) -> None:
    head = RequestHead(b"GET", target, (1, 1), ())
    assert (head.path, head.query) == (path, query)


class CountingBytes(bytearray):
    """Counts the bytes that searches look at and that slices copy."""

    examined = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        found = super().find(sub, start)
        self.examined += (len(self) if found < 0 else found + 1) - start
        return found

    def __getitem__(self, index: Any) -> Any:
        taken = super().__getitem__(index)
        self.examined += len(taken) if isinstance(index, slice) else 1
        return taken


@pytest.mark.parametrize(
    "wire",
    [
        get(*[b"a: " + b"b" * 200] * 60, target=LONGEST_TARGET[:2000]),
        get(b"a: " + b"b" * 15_000),
        get(*[b"a:"] * 63),
    ],
)
def test_the_work_is_linear_in_the_bytes_even_byte_by_byte(wire: bytes) -> None:
    parser = RequestParser()
    counting = CountingBytes()
    parser._lines._data = counting
    assert isinstance(outcome(parser, byte_by_byte(wire)), RequestHead)
    assert len(wire) <= counting.examined <= 4 * len(wire)


# --- properties ---

TCHAR = st.sampled_from(b"!#$%&'*+-.^_`|~09AZaz")
TOKENS = st.lists(TCHAR, min_size=1, max_size=20).map(bytes)
VCHAR = st.integers(0x21, 0x7E) | st.integers(0x80, 0xFF)
VALUES = st.lists(VCHAR | st.sampled_from(b" \t"), max_size=30).map(lambda value: bytes(value).strip(b" \t"))
OWS = st.lists(st.sampled_from(b" \t"), max_size=3).map(bytes)
JUDGED = {b"host", b"content-length", b"transfer-encoding"}
FIELDS = st.lists(st.tuples(TOKENS.filter(lambda name: name.lower() not in JUDGED), VALUES, OWS, OWS), max_size=10)
TARGETS = st.lists(st.integers(0x21, 0x7E).filter(lambda i: i != 0x23), max_size=60).map(
    lambda rest: b"/" + bytes(rest)
)


@given(method=TOKENS.filter(lambda method: method != b"CONNECT"), target=TARGETS, fields=FIELDS, cuts=CUTS)
def test_a_generated_head_is_parsed_to_what_it_was_made_from(
    method: bytes, target: bytes, fields: list[tuple[bytes, bytes, bytes, bytes]], cuts: list[int]
) -> None:
    lines = [b"%b:%b%b%b" % (name, before, value, after) for name, value, before, after in fields]
    wire = b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), b"Host: door", *lines, b"", b""])
    expected = RequestHead(method, target, (1, 1), ((b"Host", b"door"), *[field[:2] for field in fields]))
    assert outcome(RequestParser(), cut_at(wire, cuts)) == expected


WIRES = st.binary(max_size=300) | mutated([row[1] for row in VALID] + [row[2] for row in REFUSED])


@given(wire=WIRES, cuts=CUTS)
def test_any_bytes_cut_anywhere_have_one_outcome_and_it_is_a_head_or_a_request_error(
    wire: bytes, cuts: list[int]
) -> None:
    whole = outcome(RequestParser(), [wire])
    assert outcome(RequestParser(), cut_at(wire, cuts)) == whole
    assert outcome(RequestParser(), byte_by_byte(wire)) == whole


@given(wire=WIRES)
def test_whatever_is_accepted_means_the_same_when_it_is_written_down_again(wire: bytes) -> None:
    head = outcome(RequestParser(), [wire])
    if not isinstance(head, RequestHead):
        return
    line = b"%b %b HTTP/%d.%d\r\n" % (head.method, head.target, *head.version)
    again = line + b"".join(b"%b:%b\r\n" % field for field in head.fields) + b"\r\n"
    assert outcome(RequestParser(), [again]) == head
