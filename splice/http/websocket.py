"""WebSocket without I/O: the handshake out of a parsed head, a viewer's frames, the door's own. RFC 6455 by wsproto.

The head was read by `RequestParser` already, so only the frames and the accept token are wsproto's. No extension and no
subprotocol is negotiated: media does not compress, and a frame that is the same for every viewer is made once for all.
The stream's messages come out of `binary_message`; what a viewer says, and the answers due to it, pass through
`WebSocketSession`.
"""

import re
from typing import Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Ping, Pong
from wsproto.frame_protocol import CloseReason, FrameProtocol
from wsproto.handshake import WEBSOCKET_VERSION
from wsproto.utilities import generate_accept_token

from splice.http.answers import Answer
from splice.http.request import RequestError, RequestHead

__all__ = ["CloseReason", "WebSocketSession", "accepting_head", "asks_for_websocket", "binary_message"]

_SWITCHING_PROTOCOLS: Final = 101

# "a randomly selected 16-byte value that has been base64-encoded"                (RFC 6455, 4.1)
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")

_CLIENT_CONTROL_OVERHEAD_BYTES: Final = 6  # two bytes of header and the masking key (RFC 6455, 5.2)

# A server's frame of a whole message depends on nothing but its payload, so one encoder serves every connection.
_FRAMES: Final = FrameProtocol(client=False, extensions=[])


def asks_for_websocket(head: RequestHead) -> bool:
    """Whether the request wants to go on by WebSocket: GET, HTTP/1.1, and both fields that say so (RFC 6455, 4.2.1).

    Otherwise it is an HTTP request like any other: Upgrade may be ignored, and in HTTP/1.0 must be (RFC 9110, 7.8).
    """
    if head.method != b"GET" or head.version != (1, 1):
        return False
    options = (head.get(b"connection") or b"").lower().split(b",")
    return b"upgrade" in map(bytes.strip, options) and (head.get(b"upgrade") or b"").lower() == b"websocket"


def accepting_head(head: RequestHead) -> bytes:
    """The answer 101 to a request that `asks_for_websocket`; WebSocket is spoken behind it (RFC 6455, 4.2.2).

    Raises:
        RequestError: 426 for a version that is not 13, 400 for what else is missing or malformed.
    """
    versions = head.get_all(b"sec-websocket-version")
    if len(versions) != 1:
        raise RequestError(400, "A WebSocket handshake has the field Sec-WebSocket-Version: 13, once.")
    if versions[0] != WEBSOCKET_VERSION:
        raise RequestError(426, "Speak version 13 of the WebSocket protocol, that of RFC 6455.")
    keys = head.get_all(b"sec-websocket-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise RequestError(400, "A WebSocket handshake has the field Sec-WebSocket-Key once: 16 bytes in base64.")
    fields = [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Accept", generate_accept_token(keys[0])),
    ]
    return Answer(_SWITCHING_PROTOCOLS, fields).encode()


def binary_message(payload: bytes) -> bytes:
    """A server's frame that holds a whole binary message."""
    return bytes(_FRAMES.send_data(payload))


class WebSocketSession:
    """What one viewer says behind the handshake, and what is due to be answered.

    It holds at most one control frame, whatever sizes are announced.

    Attributes:
        message_bytes: what came that is no control frame, or not one yet: nobody here listens to a viewer's messages.
        control_bytes: pings and pongs that came, as they were on the wire.
        over: whether either side has begun to close, or the viewer has broken the protocol; what comes then is ignored.
        error: how it has broken the protocol.
    """

    def __init__(self) -> None:
        self._connection: Final = Connection(ConnectionType.SERVER)
        self._closing: CloseConnection | None = None
        self._received_bytes = 0
        self.control_bytes = 0
        self.error: str | None = None

    @property
    def message_bytes(self) -> int:
        return self._received_bytes - self.control_bytes

    @property
    def over(self) -> bool:
        return self._closing is not None or self._connection.state is not ConnectionState.OPEN

    def receive_data(self, data: bytes) -> bytes:
        """Add bytes from the viewer; the pongs that they ask for, b"" where there are none."""
        if self.over:
            return b""
        self._received_bytes += len(data)
        self._connection.receive_data(data)
        pongs = []
        for event in self._connection.events():
            if isinstance(event, Ping | Pong):
                self.control_bytes += _CLIENT_CONTROL_OVERHEAD_BYTES + len(event.payload)
                if isinstance(event, Ping):
                    pongs.append(self._connection.send(event.response()))
            elif isinstance(event, CloseConnection):
                self._closing = event.response()
                if self._connection.state is ConnectionState.OPEN:  # wsproto's own, for what it could not parse
                    self._closing = CloseConnection(event.code)
                    self.error = event.reason
        return b"".join(pongs)

    def close(self, code: CloseReason, reason: str = "") -> bytes:
        """The door's close frame: the answer to the viewer's where that has come; b"" where it was made before.

        Args:
            code: why the door closes, where the viewer has not begun to (RFC 6455, 7.4.1).
            reason: for people; at most 123 bytes.
        """
        if self._connection.state not in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            return b""
        return self._connection.send(self._closing or CloseConnection(code, reason or None))
