"""The hub route in a test's own process: both doors as the composition root wires them, and the clients they serve.

Connections are socket pairs, which deliver at once, so that virtual time works; or real ones over loopback. A house
that is left looks at what is still there: every connection's task must end by itself once its client has gone, and
viewers, publishers, streams, unfinished bytes and descriptors must be gone with them.
"""

import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import trio

from protocol import NEED_DATA
from protocol.flv import FlvDecoder, FlvHeader, Tag
from protocol.rtmp import (
    ClientSession,
    ClientState,
    Connected,
    Event,
    MediaKind,
    MediaMessage,
    PlayStarted,
    PublishStarted,
    RtmpUrl,
    parse_url,
)
from splice.config import Settings
from splice.http import BodyDecoder, FramingKind, ResponseHead, ResponseParser
from splice.pump import PortablePump
from splice.rooms import Rooms
from splice.server import Server

__all__ = [
    "AUDIO_CONFIGURATION",
    "VIDEO_CONFIGURATION",
    "FlvViewer",
    "House",
    "RtmpClient",
    "audio",
    "descriptors",
    "inter_frame",
    "keyframe",
    "open_house",
]

T = TypeVar("T")

_READ_BYTES = 64 * 1024
_A_TEST_TAKES_S = 1000  # of virtual time; real time has pytest's own limit
_EVERYTHING_IS_GONE_S = 120

VIDEO_CONFIGURATION = bytes.fromhex("17 00 000000 01 42c00d ff e1 0008 6742c00d dc0a0f 9a 01 0004 68ce3c80")
"""An AVC sequence header: baseline, one SPS, one PPS."""
AUDIO_CONFIGURATION = bytes.fromhex("af 00 1210")
"""An AAC sequence header: LC, 44.1 kHz, stereo."""


def keyframe(label: bytes = b"") -> bytes:
    """An AVC keyframe's body, which `label` tells from others; no decoder would take it."""
    return b"\x17\x01\0\0\0" + label


def inter_frame(label: bytes = b"") -> bytes:
    """An AVC inter frame's body."""
    return b"\x27\x01\0\0\0" + label


def audio(label: bytes = b"") -> bytes:
    """An AAC frame's body."""
    return b"\xaf\x01" + label


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class RtmpClient:
    """The kit's client session on a connection to the door.

    Attributes:
        stream: the connection.
        session: for what the methods here do not do.
    """

    def __init__(self, stream: trio.SocketStream, url: RtmpUrl) -> None:
        self.stream = stream
        self.session = ClientSession(url, random_bytes=os.urandom)

    async def next_event(self) -> Event | None:
        """The next event; None when the door has closed the connection."""
        while True:
            event = self.session.next_event()
            await self.flush()
            if isinstance(event, Event):
                return event
            try:
                data = await self.stream.receive_some(_READ_BYTES)
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self.session.receive_data(data)

    async def flush(self) -> None:
        """Send what the session wants to say; a door that has gone is seen when reading."""
        if data := self.session.data_to_send():
            await self.send(data)

    async def send(self, data: bytes) -> None:
        """Send bytes, of the session or not; a door that has gone is seen when reading."""
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def until(self, kind: type[T]) -> T:
        """The next event of this kind; those before it are passed over."""
        while True:
            event = await self.next_event()
            assert event is not None, f"the door closed the connection before {kind.__name__}"
            if isinstance(event, kind):
                return event

    async def connect(self) -> Self:
        """Shake hands and connect."""
        await self.until(Connected)
        return self

    async def publish(self, stream: str | None = None) -> Self:
        """Connect, and publish the URL's stream or another."""
        await self.connect()
        await self.send(self.session.publish(stream))
        await self.until(PublishStarted)
        return self

    async def play(self, stream: str | None = None) -> Self:
        """Connect, where that was not done, and play the URL's stream or another."""
        if self.session.state is ClientState.HANDSHAKE:
            await self.connect()
        await self.send(self.session.play(stream))
        await self.until(PlayStarted)
        return self

    async def media(self, kind: MediaKind, timestamp: int, payload: bytes) -> None:
        """Publish one message."""
        await self.send(self.session.send_media(kind, timestamp, payload))

    async def video(self, timestamp: int, payload: bytes) -> None:
        await self.media(MediaKind.VIDEO, timestamp, payload)

    async def audio(self, timestamp: int, payload: bytes) -> None:
        await self.media(MediaKind.AUDIO, timestamp, payload)

    async def begin(self, timestamp: int = 0, label: bytes = b"") -> None:
        """Publish both configurations, a keyframe and a piece of audio: all that a viewer needs to begin."""
        await self.video(timestamp, VIDEO_CONFIGURATION)
        await self.audio(timestamp, AUDIO_CONFIGURATION)
        await self.video(timestamp, keyframe(label))
        await self.audio(timestamp, audio(label))

    async def next_media(self) -> MediaMessage:
        """The next message that is played."""
        return await self.until(MediaMessage)

    async def media_with(self, payload: bytes) -> MediaMessage:
        """The next message with this payload."""
        while (message := await self.next_media()).payload != payload:
            pass
        return message

    async def last_event(self) -> Event | None:
        """The last event before the door closes the connection."""
        last = None
        while (event := await self.next_event()) is not None:
            last = event
        return last

    async def leave(self) -> None:
        """Close the connection, without a word."""
        await self.stream.aclose()


class FlvViewer:
    """An HTTP viewer that takes its body out of the framing and decodes the FLV strictly.

    Attributes:
        head: the response's, after `ask`.
        header: the FLV header, once a tag has come.
        whole: whether the body ended as its framing says.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.head: ResponseHead
        self.header: FlvHeader | None = None
        self.tags: list[Tag] = []
        self._decoder = FlvDecoder()
        self._body: BodyDecoder
        self._first = b""  # of the body, which came with the head
        self._ended = False

    @property
    def whole(self) -> bool:
        return self._ended and self._body.finished

    async def ask(self, request: bytes) -> Self:
        """Send a request, and read the head of its answer."""
        await self.stream.send_all(request)
        parser = ResponseParser(request.partition(b" ")[0])
        while (head := parser.next_event()) is NEED_DATA:
            data = await self.stream.receive_some(_READ_BYTES)
            assert data, "the door closed the connection without an answer"
            parser.receive_data(data)
        self.head = head
        self._body = BodyDecoder(head.framing)
        self._first = b"".join(self._body.receive_data(parser.trailing_data))
        return self

    async def next_tag(self) -> Tag | None:
        """The next tag; None at the end of the body."""
        while (event := self._decoder.next_event()) is NEED_DATA or not isinstance(event, Tag):
            if isinstance(event, FlvHeader):
                self.header = event
            elif not await self._more():
                return None
        self.tags.append(event)
        return event

    async def tag_with(self, body: bytes) -> Tag:
        """The next tag with this body."""
        while True:
            tag = await self.next_tag()
            assert tag is not None, "the stream ended before that tag"
            if tag.body == body:
                return tag

    async def last_tag(self) -> Tag | None:
        """The last tag before the end."""
        last = None
        while (tag := await self.next_tag()) is not None:
            last = tag
        return last

    async def text(self) -> str:
        """The body of an answer that is no stream."""
        text, self._first = self._first, b""
        while not self._ended and not self._body.finished:
            text += await self._read()
        return text.decode()

    async def leave(self) -> None:
        """Close the connection."""
        await self.stream.aclose()

    async def _more(self) -> bool:
        if self._first:
            self._decoder.receive_data(self._first)
            self._first = b""
            return True
        if self._ended or (self._body.finished and self.head.framing.kind is not FramingKind.CLOSE):
            self._ended = True
            return False
        self._decoder.receive_data(await self._read())
        return True

    async def _read(self) -> bytes:
        try:
            data = await self.stream.receive_some(_READ_BYTES)
        except trio.BrokenResourceError:
            data = b""
        if not data:
            self._ended = True
            if self.head.framing.kind is FramingKind.CLOSE:
                self._body.receive_eof()
            return b""
        return b"".join(self._body.receive_data(data))


class House:
    """Both doors, and the connections to them.

    Attributes:
        server: all that stands behind the doors.
    """

    def __init__(self, server: Server, connections: trio.Nursery) -> None:
        self.server = server
        self.hub = server.rooms.hub
        self.viewers = server.rooms.viewers
        self.publishers = server.rooms.publishers
        self.door = server.rooms.door
        self.rtmp_door = server.rooms.rtmp_door
        self._connections = connections
        self._clients: list[trio.SocketStream] = []

    @property
    def unfinished_bytes(self) -> int:
        """Bytes of messages that are not whole yet, over all RTMP connections."""
        return self.rtmp_door._budget.reserved_bytes

    def dial(self, serve: Callable[..., Any], address: str = "127.0.0.1") -> trio.SocketStream:
        """A connection, by a socket pair, to `door.serve` or `rtmp_door.serve`, from a client of that address."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._connections.start_soon(serve, theirs, (address, 50_000))
        return self._client(trio.SocketStream(trio.socket.from_stdlib_socket(ours)))

    async def dial_loopback(self, serve: Callable[..., Any], receive_bytes: int | None = None) -> trio.SocketStream:
        """The same by TCP over loopback; `receive_bytes`: the size of the client's receive buffer."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = trio.socket.socket()
            if receive_bytes is not None:
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            await ours.connect(listener.getsockname())
            theirs, peer = listener.accept()
        theirs.setblocking(False)
        self._connections.start_soon(serve, theirs, peer)
        return self._client(trio.SocketStream(ours))

    def rtmp(self, name: str = "myapp/test", *, address: str = "127.0.0.1") -> RtmpClient:
        """An RTMP client of `rtmp://door/NAME`; nothing was sent yet."""
        return RtmpClient(self.dial(self.rtmp_door.serve, address), parse_url(f"rtmp://door/{name}"))

    async def rtmp_over_loopback(self, name: str = "myapp/test", receive_bytes: int | None = None) -> RtmpClient:
        """The same by TCP."""
        stream = await self.dial_loopback(self.rtmp_door.serve, receive_bytes)
        return RtmpClient(stream, parse_url(f"rtmp://door/{name}"))

    async def http(
        self,
        target: str = "/live?app=myapp&stream=test",
        *,
        method: str = "GET",
        version: str = "1.1",
        address: str = "127.0.0.1",
    ) -> FlvViewer:
        """An HTTP viewer, whose answer's head has come."""
        return await FlvViewer(self.dial(self.door.serve, address)).ask(_request(method, target, version))

    async def http_over_loopback(
        self, target: str = "/live?app=myapp&stream=test", receive_bytes: int | None = None
    ) -> FlvViewer:
        """The same by TCP."""
        stream = await self.dial_loopback(self.door.serve, receive_bytes)
        return await FlvViewer(stream).ask(_request("GET", target, "1.1"))

    async def nothing_left(self) -> None:
        """Wait until the doors serve nobody."""
        while self._connections.child_tasks:
            await trio.sleep(0.01)

    def _client(self, stream: trio.SocketStream) -> trio.SocketStream:
        self._clients.append(stream)
        return stream

    def _close(self) -> None:
        for client in self._clients:
            client.socket.close()


def reset(stream: trio.SocketStream) -> None:
    """Make the coming close of a client a reset, as a killed machine's router would."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _request(method: str, target: str, version: str) -> bytes:
    return f"{method} {target} HTTP/{version}\r\nHost: door\r\n\r\n".encode()


@asynccontextmanager
async def open_house(**tables: Any) -> AsyncIterator[House]:
    """A house of these settings, with merging off unless they say otherwise: `open_house(hub={"takeover_s": 1})`."""
    tables["hub"] = {"merge_ms": 0, **tables.get("hub", {})}
    before = descriptors()
    settings = Settings.model_validate(tables)
    try:
        async with PortablePump.open() as pump, trio.open_nursery() as nursery:
            async with trio.open_nursery() as connections:
                house = House(Server(Rooms(pump, nursery, settings, None)), connections)
                try:
                    with trio.fail_after(_A_TEST_TAKES_S):
                        yield house
                finally:
                    house._close()
                with trio.fail_after(_EVERYTHING_IS_GONE_S):
                    await house.nothing_left()
            assert len(house.viewers) == len(house.publishers) == house.rtmp_door.pending == house.unfinished_bytes == 0
            with trio.fail_after(_EVERYTHING_IS_GONE_S):
                while len(house.hub):
                    await trio.sleep(1)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _innermost(group) from None  # a failed assertion should be seen as itself
    assert descriptors() == before


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
