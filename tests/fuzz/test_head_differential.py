"""The request-head parser beside h11 and llhttp: what it accepts both accept, and read as the same request.

Where one of them reads what we accept otherwise, docs/conformance.md says why, and a rule here allows for just that.
What we refuse and they take stands there in a table, which is held to the truth here.
"""

import http
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h11
import httptools
import pytest
from hypothesis import given

from fuzz.mutation import mutate
from fuzz.targets import seeds
from protocol import NEED_DATA
from splice.http import RequestError, RequestHead, RequestParser
from tests.splice.http.request_vectors import REFUSED, VALID
from tests.splice.http.wire import mutated

CONFORMANCE = Path(__file__).parents[2] / "docs" / "conformance.md"
WIRES = [wire for _, wire, _ in VALID] + [seed.read_bytes() for seed in seeds("http_request_head")]
OWS = b" \t"


class Seen(NamedTuple):
    """What a parser takes a head for; names in lower case, as h11 and llhttp differ in what they keep."""

    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]


class Refused(NamedTuple):
    why: str


def by_us(wire: bytes) -> tuple[RequestHead, bytes] | None:
    """The head that we accept, and its bytes; None where we refuse, or wait."""
    parser = RequestParser()
    parser.receive_data(wire)
    try:
        head = parser.next_event()
    except RequestError:
        return None
    if head is NEED_DATA:
        return None
    return head, wire[: len(wire) - len(parser.trailing_data)]


def by_h11(wire: bytes) -> Seen | Refused:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(wire)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        return Refused(str(error))
    if not isinstance(event, h11.Request):
        return Refused("it waits for more")
    return Seen(event.method, event.target, [(name.lower(), value) for name, value in event.headers.raw_items()])


class _Listener:
    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.whole = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.whole = True


def by_llhttp(wire: bytes) -> Seen | Refused:
    listener = _Listener()
    parser: Any = httptools.HttpRequestParser(listener)
    try:
        parser.feed_data(wire)
    except httptools.HttpParserUpgrade:
        pass  # it has read the head, and has no more to do with what follows
    except httptools.HttpParserError as error:
        if not listener.whole:
            return Refused(f"{type(error).__name__}: {error}")
    if not listener.whole:
        return Refused("it waits for more")
    return Seen(parser.get_method(), listener.target, listener.fields)


def check_agreement(wire: bytes) -> None:
    """Both others accept what we accept, and read it as the same; but for the rules of docs/conformance.md."""
    accepted = by_us(wire)
    if accepted is None:
        return
    head, head_bytes = accepted
    # Rule 1: h11 does not pass over an empty line before the request line.
    begun = head_bytes.removeprefix(b"\r\n")
    written_target = begun.split(b" ", 2)[1]
    # Rule 2: of an absolute-form both give the whole target, and we what is left of it for an origin.
    if not written_target.lower().startswith(b"http://"):
        assert head.target == written_target
    ours = Seen(head.method, written_target, [(name.lower(), value) for name, value in head.fields])

    assert by_h11(begun) == ours

    theirs = by_llhttp(head_bytes)
    # Rule 3: llhttp knows a list of methods. Ours is open, as a server has to answer 405 or 501 to others.
    if isinstance(theirs, Refused) and theirs.why.startswith("HttpParserInvalidMethodError"):
        assert head.method not in {method.value.encode() for method in http.HTTPMethod}
        return
    # Rule 4: llhttp leaves the white space behind a field's value to its caller.
    assert isinstance(theirs, Seen), theirs
    assert theirs._replace(fields=[(name, value.rstrip(OWS)) for name, value in theirs.fields]) == ours


@pytest.mark.parametrize("wire", WIRES)
def test_what_we_accept_h11_and_llhttp_read_as_the_same_request(wire: bytes) -> None:
    check_agreement(wire)


@given(mutated(WIRES))
def test_so_it_is_for_what_lies_near_these(wire: bytes) -> None:
    check_agreement(wire)


def test_so_it_is_where_more_is_changed() -> None:
    chance = random.Random(9112)
    accepted = 0
    for _ in range(3000):
        wire = mutate(chance.choice(WIRES), chance)
        check_agreement(wire)
        accepted += by_us(wire) is not None
    assert accepted > 100, "so few were accepted that nothing was compared"


@pytest.mark.parametrize(
    ("rule", "wire", "theirs"),
    [
        (1, b"\r\nGET / HTTP/1.0\r\n\r\n", by_h11),
        (3, b"SPLICE / HTTP/1.0\r\n\r\n", by_llhttp),
        (4, b"GET / HTTP/1.0\r\nA: b \r\n\r\n", by_llhttp),
    ],
)
def test_the_rules_are_still_needed(rule: int, wire: bytes, theirs: Callable[[bytes], Seen | Refused]) -> None:
    accepted = by_us(wire)
    assert accepted is not None
    seen = theirs(wire)
    assert isinstance(seen, Refused) or seen.fields != [(name.lower(), value) for name, value in accepted[0].fields]
    assert f"\n{rule}. " in CONFORMANCE.read_text()


def taken(wires: list[bytes], parse: Callable[[bytes], Seen | Refused]) -> str:
    count = sum(isinstance(parse(wire), Seen) for wire in wires)
    return "refuses" if not count else "takes" if count == len(wires) else f"takes {count} of {len(wires)}"


def test_the_table_of_what_we_refuse_and_they_take_is_true() -> None:
    wires: dict[str, list[bytes]] = {}
    for _, words, wire in REFUSED:
        wires.setdefault(words, []).append(wire)
    true = {words: (taken(of_words, by_h11), taken(of_words, by_llhttp)) for words, of_words in wires.items()}
    rows = re.findall(r"^\| `(.+?)` \|.*\| ([^|]+) \| ([^|]+) \|$", CONFORMANCE.read_text(), re.MULTILINE)
    assert {words: (h11s.strip(), llhttps.strip()) for words, h11s, llhttps in rows} == true
