"""Both sides of RTMP's handshake, in each scheme (protocol/rtmp/handshake.py; RTMP 1.0, 5.2).

Invariant: any bytes bring the handshake to its end, leave it waiting, or raise `RemoteProtocolError`; however they
are cut, the same outcome and the same answer. What is sent is at most the two packets that the section wants, whatever
came, so nobody is made to shout; and every byte behind the peer's last packet is there for the chunk reader.
"""

from typing import Final

from fuzz.pieces import pieces
from protocol import NEED_DATA, RemoteProtocolError
from protocol.rtmp import PACKET_SIZE, ClientHandshake, HandshakeDone, HandshakeScheme, ServerHandshake

CODE: Final = ("protocol/rtmp/handshake.py",)
MAX_BYTES: Final = 2 * PACKET_SIZE + 64
_WHOLE: Final = 1 + 2 * PACKET_SIZE


def check(data: bytes) -> None:
    for strict in (False, True):
        whole = _shake(_server(strict=strict), [data])
        assert _shake(_server(strict=strict), pieces(data)) == whole
        _check_end(data, whole[0])
    for scheme in HandshakeScheme:
        whole = _shake(_client(scheme), [data])
        assert _shake(_client(scheme), pieces(data)) == whole
        _check_end(data, whole[0])


def _check_end(data: bytes, outcome: HandshakeDone | str) -> None:
    if isinstance(outcome, HandshakeDone):
        assert outcome.trailing_data == data[_WHOLE:]


def _server(*, strict: bool) -> ServerHandshake:
    return ServerHandshake(random_bytes=bytes, strict=strict)


def _client(scheme: HandshakeScheme) -> ClientHandshake:
    return ClientHandshake(random_bytes=bytes, scheme=scheme)


def _shake(handshake: ServerHandshake | ClientHandshake, received: list[bytes]) -> tuple[HandshakeDone | str, bytes]:
    """How it ended, and what was sent."""
    sent = handshake.data_to_send()
    trailing = b""
    done: HandshakeDone | None = None
    for piece in received:
        if done is not None:
            trailing += piece
            continue
        handshake.receive_data(piece)
        try:
            event = handshake.next_event()
        except RemoteProtocolError as error:
            return str(error), sent + handshake.data_to_send()
        sent += handshake.data_to_send()
        assert len(sent) <= _WHOLE
        if event is not NEED_DATA:
            done = event
            assert handshake.next_event() is event
    if done is None:
        return "", sent
    return done._replace(trailing_data=done.trailing_data + trailing), sent
