"""A server's whole conversation behind its handshake, as a pull or a push hears it (protocol/rtmp/client_session.py).

Invariant: any bytes give events, a wait for more, or `RemoteProtocolError`; however they are cut, the same events, the
same answers, the same error. Once connected the client plays, or publishes, as the input says, and sends media as soon
as it may. What is held keeps to the limits; a closed session has given the shared budget its bytes back.
"""

from typing import Final

from fuzz.conversation import Conversation, converse
from fuzz.pieces import choice, pieces
from protocol import NEED_DATA, Limits
from protocol.rtmp import (
    PACKET_SIZE,
    ClientSession,
    Connected,
    Event,
    MediaKind,
    PublishStarted,
    SharedBudget,
    StreamEnded,
    parse_url,
)

CODE: Final = ("protocol/rtmp/client_session.py", "protocol/rtmp/session.py", "protocol/rtmp/commands.py")
MAX_BYTES: Final = 2048
_LIMITS: Final = Limits(buffered_bytes=4096, message_bytes=4096, chunk_streams=8, amf_depth=16, amf_values=256)
_HANDSHAKE: Final = b"\x03" + bytes(2 * PACKET_SIZE)
_URL: Final = parse_url("rtmp://h/myapp/test")


def check(data: bytes) -> None:
    publishes = choice(data, 2) == 1
    whole = _ask([data], publishes=publishes)
    in_pieces = _ask(pieces(data), publishes=publishes)
    assert in_pieces == whole, f"whole: {whole}; in pieces: {in_pieces}"


def _ask(received: list[bytes], *, publishes: bool) -> Conversation:
    budget = SharedBudget(1 << 20)
    session = ClientSession(_URL, random_bytes=bytes, limits=_LIMITS, budget=budget)
    session.receive_data(_HANDSHAKE)
    assert session.next_event() is NEED_DATA
    session.data_to_send()

    def react(event: Event) -> bytes:
        if isinstance(event, Connected):
            return session.publish() if publishes else session.play()
        if isinstance(event, PublishStarted):
            return session.send_media(MediaKind.AUDIO, 0, b"\xaf\x01", event.message_stream_id)
        return session.close_stream() if isinstance(event, StreamEnded) else b""

    return converse(session, budget, received, react)
