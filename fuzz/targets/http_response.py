"""An origin's answer, its head and its body's framing (splice/http/response.py, framing.py; RFC 9112, 4, 6 and 7).

Invariant: any bytes give a head and a payload, a wait for more, or a `ResponseError`; however they are cut, the same
head, payload, end and error. The payload and what follows it are never more than what came. The head that the door
writes to the viewer is read as the same status and the same framing, so that a body which is spliced untouched ends
for the viewer where it ends for the door. To HEAD no answer has a body.
"""

from typing import Final, NamedTuple

from fuzz.pieces import pieces
from protocol import NEED_DATA
from splice.http import (
    LAST_CHUNK,
    MAX_FIELD_LINES,
    NO_BODY,
    BodyDecoder,
    FramingKind,
    ResponseError,
    ResponseHead,
    ResponseParser,
    chunk,
    relayed_answer,
)

CODE: Final = ("splice/http/response.py", "splice/http/framing.py", "splice/http/lines.py")
MAX_BYTES: Final = 2048


class _Answer(NamedTuple):
    head: ResponseHead | None
    payload: bytes = b""
    finished: bool = False
    trailing: bytes = b""
    error: str = ""
    error_at_end: str = ""


def check(data: bytes) -> None:
    answer = _read([data])
    in_pieces = _read(pieces(data))
    assert in_pieces == answer, f"whole: {answer}; in pieces: {in_pieces}"
    if answer.head is None:
        return
    assert len(answer.payload) + len(answer.trailing) <= len(data)
    if len(answer.head.fields) < MAX_FIELD_LINES:  # with Connection, it is one line more than we would read ourselves
        _check_relayed(answer.head)
    if answer.head.framing.kind is FramingKind.CHUNKED and answer.finished:
        again = BodyDecoder(answer.head.framing)
        assert b"".join(again.receive_data(chunk(answer.payload) + LAST_CHUNK)) == answer.payload
        assert again.finished
    to_head = ResponseParser(b"HEAD")
    to_head.receive_data(data)
    head = to_head.next_event()
    assert head is not NEED_DATA and head.framing == NO_BODY


def _check_relayed(head: ResponseHead) -> None:
    relayed = _read([relayed_answer(head).encode()]).head
    assert relayed is not None, "the relayed head is refused"
    assert (relayed.status, relayed.framing) == (head.status, head.framing), relayed


def _read(received: list[bytes]) -> _Answer:
    parser = ResponseParser()
    head = None
    waiting = iter(received)
    for piece in waiting:
        parser.receive_data(piece)
        try:
            event = parser.next_event()
        except ResponseError as error:
            return _Answer(None, error=error.detail)
        if event is not NEED_DATA:
            head = event
            break
    if head is None:
        return _Answer(None)
    decoder = BodyDecoder(head.framing)
    payload = bytearray()
    try:
        for piece in (parser.trailing_data, *waiting, b""):  # the last, because payload before a fault comes first
            for part in decoder.receive_data(piece):
                payload += part
    except ResponseError as error:
        return _Answer(head, bytes(payload), error=error.detail)
    finished, trailing = decoder.finished, decoder.trailing_data
    try:
        decoder.receive_eof()
    except ResponseError as error:
        return _Answer(head, bytes(payload), finished, trailing, error_at_end=error.detail)
    return _Answer(head, bytes(payload), finished, trailing)
