"""What a viewer says behind the WebSocket handshake (splice/http/websocket.py; RFC 6455, 5 and 7).

Invariant: nothing is raised for any bytes; however they are cut, the same pongs and the same end. The
pongs are never more than what was said, so nobody is made to talk by somebody else's bytes; and the door's close frame
can be made once, whatever came before it.
"""

from typing import Final, NamedTuple

from fuzz.pieces import pieces
from splice.http import CloseReason, WebSocketSession

CODE: Final = ("splice/http/websocket.py",)
MAX_BYTES: Final = 1024


class _Heard(NamedTuple):
    pongs: bytes
    over: bool
    broken: bool  # not how: wsproto's sentence says where in the piece the fault lies
    control_bytes: int
    close_frame: bytes


def check(data: bytes) -> None:
    heard = _hear([data])
    in_pieces = _hear(pieces(data))
    assert in_pieces == heard, f"whole: {heard}; in pieces: {in_pieces}"
    assert len(heard.pongs) <= len(data)
    assert heard.control_bytes <= len(data)


def _hear(received: list[bytes]) -> _Heard:
    session = WebSocketSession()
    pongs = b"".join([session.receive_data(piece) for piece in received])
    assert session.message_bytes >= 0
    over, broken = session.over, session.error is not None
    close_frame = session.close(CloseReason.GOING_AWAY, "The door stops.")
    assert close_frame, "there was no close frame to send"
    assert session.close(CloseReason.GOING_AWAY) == b"", "it would be sent twice"
    return _Heard(pongs, over, broken, session.control_bytes, close_frame)
