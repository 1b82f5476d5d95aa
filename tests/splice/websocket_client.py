"""A viewer by WebSocket for the tests: wsproto's client side on a connection to the door."""

from collections import deque
from typing import Self

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
)

from protocol import NEED_DATA
from protocol.flv import FlvDecoder, Tag
from tests.splice.hub_house import House

__all__ = ["LIVE", "WebSocketClient", "raw_handshake", "watch"]

LIVE = "/live?app=myapp&stream=test"
_READ_BYTES = 64 * 1024
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class WebSocketClient:
    """One connection.

    Attributes:
        stream: the connection.
        protocol: wsproto's.
        rejected: the answer of a handshake that was not accepted.
        payload: of all messages so far, one behind the other; message_sizes: of each.
        pongs: the payloads of those that came.
        closing: the door's close frame, once it has come.
        ended: whether the door has closed the connection.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.rejected: RejectConnection | None = None
        self.rejected_body = b""
        self.payload = b""
        self.message_sizes: list[int] = []
        self.pongs: list[bytes] = []
        self.closing: CloseConnection | None = None
        self.ended = False
        self._tags: deque[Tag] = deque()
        self._flv = FlvDecoder()
        self._message_bytes = 0

    async def shake_hands(self, target: str, fields: dict[str, str]) -> Self:
        """Ask for the stream, and wait for the answer, or, where it is no 101, for all of it."""
        extra = [(name.encode(), value.encode()) for name, value in fields.items()]
        await self.send(Request(host="door", target=target, extra_headers=extra))
        while self.protocol.state is ConnectionState.CONNECTING or (self.rejected and not self.ended):
            await self.receive()
        return self

    async def send(self, event: Event) -> None:
        await self.stream.send_all(self.protocol.send(event))

    async def receive(self) -> None:
        """Take what comes next, or note that the door has closed the connection."""
        try:
            data = await self.stream.receive_some(_READ_BYTES)
        except trio.BrokenResourceError:
            data = b""
        if not data:
            self.ended = True
            return
        if self.protocol.state is not ConnectionState.CLOSED:  # wsproto is done with a refusal before its connection
            self.protocol.receive_data(data)
        for event in self.protocol.events():
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case BytesMessage():
                self._message_bytes += len(event.data)
                self.payload += event.data
                self._flv.receive_data(event.data)
                if event.message_finished:
                    self.message_sizes.append(self._message_bytes)
                    self._message_bytes = 0
            case Pong():
                self.pongs.append(bytes(event.payload))
            case CloseConnection():
                self.closing = event
            case RejectConnection():
                self.rejected = event
            case RejectData():
                self.rejected_body += event.data
            case _:
                assert isinstance(event, AcceptConnection)

    async def next_tag(self) -> Tag | None:
        """The next tag; None at the stream's end."""
        while True:
            event = self._flv.next_event()
            if isinstance(event, Tag):
                return event
            if event is NEED_DATA:
                if self.ended:
                    return None
                await self.receive()

    async def bodies(self, count: int) -> list[bytes]:
        """The bodies of the next tags."""
        found = []
        for _ in range(count):
            tag = await self.next_tag()
            assert tag is not None
            found.append(tag.body)
        return found

    async def receive_payload(self, count: int) -> bytes:
        """The messages' payload, once so many bytes have come."""
        while len(self.payload) < count:
            assert not self.ended, f"the door closed the connection after {len(self.payload)} bytes"
            await self.receive()
        return self.payload

    async def pong(self) -> bytes:
        """Wait for the next pong."""
        before = len(self.pongs)
        while len(self.pongs) == before:
            assert not self.ended
            await self.receive()
        return self.pongs[before]

    async def ping(self, payload: bytes) -> bytes:
        """Send a ping; the payload of the next pong."""
        await self.send(Ping(payload))
        return await self.pong()

    async def until_closed(self) -> CloseConnection | None:
        """Wait until the door has closed the connection; its close frame."""
        while not self.ended:
            await self.receive()
        return self.closing

    async def leave(self) -> None:
        """Close the connection, without a word."""
        await self.stream.aclose()


async def watch(
    house: House, target: str = LIVE, *, receive_bytes: int | None = None, **fields: str
) -> WebSocketClient:
    """A viewer by WebSocket over loopback, whose handshake was answered; `fields` stand in it besides."""
    stream = await house.dial_loopback(house.door.serve, receive_bytes)
    return await WebSocketClient(stream).shake_hands(target, fields)


def raw_handshake(target: str = LIVE, *, method: str = "GET", version: str = "1.1", **changed: str | None) -> bytes:
    """A handshake's head, with these fields changed, added, or, by None, left out."""
    fields = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": _KEY,
        "Sec-WebSocket-Version": "13",
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    return f"{method} {target} HTTP/{version}\r\nHost: door\r\n{''.join(lines)}\r\n".encode()
