"""FLV, as an origin sends it to a pull (protocol/flv/_decoder.py; FLV 10.1, E.2 and E.3).

Invariant: any bytes give a header and tags, a wait for more, or `RemoteProtocolError`; however they are cut, the same
events, error and end, strict or lenient. The decoder never holds more than came, nor more than it was allowed. A
strict decoder's events, written down again, are read as the same events, and a lenient one sees no fault in them.
"""

from typing import Final, NamedTuple

from fuzz.pieces import pieces
from protocol import NEED_DATA, Limits, RemoteProtocolError
from protocol.flv import FlvDecoder, FlvEvent, FlvFault, FlvHeader, Tag, encode_header, encode_tag

CODE: Final = ("protocol/flv/_decoder.py", "protocol/flv/_tag.py")
MAX_BYTES: Final = 4096
_LIMITS: Final = Limits(buffered_bytes=8192, message_bytes=1024)


class _Read(NamedTuple):
    events: list[FlvEvent]
    error: str = ""
    error_at_end: str = ""


def check(data: bytes) -> None:
    strict = _read([data], lenient=False)
    lenient = _read([data], lenient=True)
    for read, is_lenient in ((strict, False), (lenient, True)):
        in_pieces = _read(pieces(data), lenient=is_lenient)
        assert in_pieces == read, f"whole: {read}; in pieces: {in_pieces}"
    # A fault that a strict decoder raises a lenient one reads past: up to there they agree.
    assert lenient.events[: len(strict.events)] == strict.events
    written = b"".join([_write(event) for event in strict.events])
    again = _read([written], lenient=True)
    assert again.events == strict.events and not again.error, again
    assert not strict.events or not again.error_at_end, again.error_at_end


def _read(received: list[bytes], *, lenient: bool) -> _Read:
    decoder = FlvDecoder(limits=_LIMITS, lenient=lenient)
    events: list[FlvEvent] = []
    came = 0
    try:
        for piece in received:
            decoder.receive_data(piece)
            came += len(piece)
            while (event := decoder.next_event()) is not NEED_DATA:
                events.append(event)
            assert decoder.bytes_held <= min(came - decoder.bytes_read, _LIMITS.message_bytes + 15)
    except RemoteProtocolError as error:
        return _Read(events, error=str(error))
    try:
        decoder.end()
    except RemoteProtocolError as error:
        return _Read(events, error_at_end=str(error))
    return _Read(events)


def _write(event: FlvEvent) -> bytes:
    if isinstance(event, FlvHeader):
        return encode_header(event)
    if isinstance(event, Tag):
        return encode_tag(event.type, event.timestamp, event.body, filtered=event.filtered)
    assert isinstance(event, FlvFault)
    raise AssertionError("a strict decoder gave a fault instead of raising it")
