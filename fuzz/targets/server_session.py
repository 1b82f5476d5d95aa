"""A client's whole conversation behind its handshake, as the door's server hears it (protocol/rtmp/server_session.py).

Invariant: any bytes give events, a wait for more, or `RemoteProtocolError`; however they are cut, the same events, the
same answers, the same error. Requests are accepted, refused or first accepted and then ended, as the input says, and a
stream that plays can be sent media. What is held keeps to the limits, and the answers to what was asked; a closed
session has given the shared budget its bytes back.
"""

from typing import Final

from fuzz.conversation import Conversation, converse
from fuzz.pieces import choice, pieces
from protocol import NEED_DATA, Limits
from protocol.rtmp import (
    PACKET_SIZE,
    ConnectRequested,
    Event,
    MediaKind,
    PlayRequested,
    PublishRequested,
    ServerSession,
    ServerState,
    SharedBudget,
)

CODE: Final = (
    "protocol/rtmp/server_session.py",
    "protocol/rtmp/session.py",
    "protocol/rtmp/commands.py",
    "protocol/rtmp/user_control.py",
)
MAX_BYTES: Final = 2048
_LIMITS: Final = Limits(buffered_bytes=4096, message_bytes=4096, chunk_streams=8, amf_depth=16, amf_values=256)
_HANDSHAKE: Final = b"\x03" + bytes(2 * PACKET_SIZE)
_MANNERS: Final = 4  # it refuses; it accepts; it sends media to who plays; it sends, and ends the stream
_SENDS: Final = 2


def check(data: bytes) -> None:
    manner = choice(data, _MANNERS)
    whole = _serve([data], manner)
    in_pieces = _serve(pieces(data), manner)
    assert in_pieces == whole, f"whole: {whole}; in pieces: {in_pieces}"


def _serve(received: list[bytes], manner: int) -> Conversation:
    budget = SharedBudget(1 << 20)
    session = ServerSession(random_bytes=bytes, limits=_LIMITS, budget=budget)
    session.receive_data(_HANDSHAKE)
    assert session.next_event() is NEED_DATA
    session.data_to_send()

    def react(event: Event) -> bytes:
        if isinstance(event, ConnectRequested) or (manner and isinstance(event, PublishRequested | PlayRequested)):
            event.accept()
        elif isinstance(event, PublishRequested | PlayRequested):
            event.reject("NetStream.Play.Failed", "no")
        if manner < _SENDS or not isinstance(event, PlayRequested):
            return b""
        number = event.message_stream_id
        assert session.stream_state(number) is ServerState.PLAYING
        sent = session.send_media(MediaKind.VIDEO, 0, b"\x17\x01", number)
        return sent if manner == _SENDS else sent + session.end_play(number)

    return converse(session, budget, received, react)
