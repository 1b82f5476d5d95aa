"""A viewer's request head (splice/http/request.py; RFC 9112, 2 to 6).

Invariant: any bytes give a `RequestHead`, a wait for more, or a `RequestError` with one of its five statuses; however
they are cut, the same one, and the same bytes behind the head. A head keeps to the limits that the parser states, and
written down again it is read as the same head. Nothing is held but what came. One that asks for a WebSocket gets its
answer, or a `RequestError`.
"""

from typing import Final

from fuzz.pieces import pieces
from protocol import NEED_DATA
from splice.http import (
    MAX_FIELD_LINES,
    MAX_HEAD_BYTES,
    MAX_TARGET_BYTES,
    RequestError,
    RequestHead,
    RequestParser,
    accepting_head,
    asks_for_websocket,
)

CODE: Final = ("splice/http/request.py", "splice/http/lines.py", "splice/http/grammar.py")
MAX_BYTES: Final = 2048
_STATUSES: Final = frozenset({400, 414, 431, 505})


def check(data: bytes) -> None:
    outcome = _read([data])
    in_pieces = _read(pieces(data))
    assert in_pieces == outcome, f"whole: {outcome}; in pieces: {in_pieces}"
    head, rest, refusal = outcome
    if head is None:
        assert refusal is None or refusal[0] in _STATUSES, refusal
        return
    assert len(head.target) <= MAX_TARGET_BYTES
    assert len(head.fields) <= MAX_FIELD_LINES
    assert data.endswith(rest) and len(data) - len(rest) <= MAX_HEAD_BYTES + 2, "more was read than a head may have"
    assert _read([_write(head)]) == (head, b"", None)
    if asks_for_websocket(head):
        _check_accepting_head(head)


def _check_accepting_head(head: RequestHead) -> None:
    try:
        answer = accepting_head(head)
    except RequestError as error:
        assert error.status in (400, 426), error.status
        return
    assert answer.startswith(b"HTTP/1.1 101 ") and answer.endswith(b"\r\n\r\n")


def _read(received: list[bytes]) -> tuple[RequestHead | None, bytes, tuple[int, str] | None]:
    """The head, what follows it, and why the request was refused."""
    parser = RequestParser()
    head = None
    for piece in received:
        parser.receive_data(piece)
        try:
            event = parser.next_event()
        except RequestError as error:
            return None, b"", (error.status, error.detail)
        if event is not NEED_DATA:
            head = event
    return head, parser.trailing_data, None


def _write(head: RequestHead) -> bytes:
    lines = [b"%b %b HTTP/%d.%d" % (head.method, head.target, *head.version)]
    lines += [b"%b: %b" % field for field in head.fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"
