"""Origins and targets for the hub's tests: small servers on loopback, on whose connections a script is played.

Everything runs on virtual time. A connection's script is cancelled as soon as the door closes the connection, and when
it returns, the server closes it.
"""

import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import trio

from protocol import NEED_DATA, RemoteProtocolError
from protocol.amf import amf0
from protocol.flv import FlvHeader, encode_header, encode_tag
from protocol.rtmp import (
    PAUSED,
    ConnectRequested,
    MediaKind,
    MediaMessage,
    PlayRequested,
    PublishRequested,
    PublishStopped,
    ServerSession,
)
from splice.http import LAST_CHUNK, chunk

AUDIO_CONFIGURATION = b"\xaf\x00\x12\x10"
AUDIO_FRAME = b"\xaf\x01frame"
VIDEO_CONFIGURATION = b"\x17\x00\x00\x00\x00configuration"
KEYFRAME = b"\x17\x01\x00\x00\x00keyframe"
INTER_FRAME = b"\x27\x01\x00\x00\x00frame"
METADATA = amf0.encode_all(["onMetaData", {"width": 640.0}])

CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\n"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

Message = tuple[MediaKind, int, bytes]

OPENING: list[Message] = [
    (MediaKind.DATA, 0, METADATA),
    (MediaKind.VIDEO, 0, VIDEO_CONFIGURATION),
    (MediaKind.VIDEO, 0, KEYFRAME),
]


def flv(*messages: Message) -> bytes:
    """An FLV file's bytes."""
    return encode_header(FlvHeader(True, True)) + b"".join(encode_tag(*message) for message in messages)


ServerStream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Connection:
    """One connection that the door has made to a server.

    Attributes:
        opened_at: in virtual seconds.
        head: an HTTP request's head.
        left: set when the door has closed the connection.
        scope: everything that serves it runs inside, where the server can drop it.
    """

    def __init__(self, stream: ServerStream) -> None:
        self.stream = stream
        self.opened_at = trio.current_time()
        self.head = b""
        self.left = trio.Event()
        self.scope = trio.CancelScope()
        self._sending = trio.Lock()

    async def send(self, data: bytes) -> None:
        async with self._sending:
            await self.stream.send_all(data)

    def reset(self) -> None:
        """Let the close that follows be a reset."""
        assert isinstance(self.stream, trio.SocketStream)
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


class Server:
    """What the connections of a server have in common.

    Attributes:
        connections: all that there ever were.
        port: where it listens on 127.0.0.1.
        tls: what it shows to those who dial it by TLS; None: it speaks none.
        handshakes_failed: how many of those have gone without a word.
    """

    connections: list[Any]
    port: int
    tls: ssl.SSLContext | None = None
    handshakes_failed = 0

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[None]:
        """Listen while the block runs; leaving it closes every connection."""
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._handle, listeners)
            yield
            nursery.cancel_scope.cancel()

    @property
    def open(self) -> int:
        """How many connections the door holds."""
        return sum(not connection.left.is_set() for connection in self.connections)

    async def _handle(self, stream: trio.SocketStream) -> None:
        async with stream:
            try:
                if self.tls is None:
                    await self._converse(stream)
                else:
                    await self._converse(await self._secured(stream, self.tls))
            except trio.BrokenResourceError:
                pass

    async def _secured(self, stream: trio.SocketStream, tls: ssl.SSLContext) -> ServerStream:
        secured = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError:
            self.handshakes_failed += 1
            raise
        return secured

    async def _converse(self, stream: ServerStream) -> None:
        raise NotImplementedError


HttpScript = Callable[[Connection], Awaitable[None]]


class HttpOrigin(Server):
    """Plays its scripts in turn, and the last one for every further request."""

    def __init__(self, *scripts: HttpScript, awaits_head: bool = True) -> None:
        self.scripts = list(scripts)
        self.awaits_head = awaits_head
        self.connections: list[Connection] = []

    async def _converse(self, stream: ServerStream) -> None:
        connection = Connection(stream)
        script = self.scripts[min(len(self.connections), len(self.scripts) - 1)]
        self.connections.append(connection)
        while self.awaits_head and not connection.head.endswith(b"\r\n\r\n"):
            data = await stream.receive_some()
            if not data:
                connection.left.set()
                return
            connection.head += data
        async with trio.open_nursery() as nursery:

            async def until_left() -> None:
                try:
                    while await stream.receive_some():
                        pass
                except trio.BrokenResourceError:
                    pass
                connection.left.set()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until_left)
            await script(connection)
            connection.left.set()
            nursery.cancel_scope.cancel()


def says(*pieces: bytes, then: float = 0.0) -> HttpScript:
    """Sends bytes, waits, and closes."""

    async def script(connection: Connection) -> None:
        for piece in pieces:
            await connection.send(piece)
        await trio.sleep(then)

    return script


def mute(*pieces: bytes) -> HttpScript:
    """Sends bytes, and then nothing for ever."""
    return says(*pieces, then=float("inf"))


def plays(seconds: float = float("inf"), *, start_ms: int = 0, ends: bool = False, resets: bool = False) -> HttpScript:
    """Plays a stream of two keyframes a second, chunked; then closes, with a last chunk where it `ends`."""

    async def script(connection: Connection) -> None:
        await connection.send(CHUNKED_HEAD + chunk(flv(*[(kind, start_ms, body) for kind, _, body in OPENING])))
        for frame in count(1):
            if frame / 2 > seconds:
                break
            await trio.sleep(0.5)
            await connection.send(chunk(encode_tag(MediaKind.VIDEO, start_ms + frame * 500, KEYFRAME)))
        if ends:
            await connection.send(LAST_CHUNK)
        if resets:
            connection.reset()

    return script


class RtmpPeer(Connection):
    """A connection as an RTMP server sees it: every request is accepted but those in `refuse`.

    Attributes:
        app, app_query, name: what was asked for, the name with its query.
        requested: set when play or publish was asked for.
        started: set when it was accepted.
        media: what a publisher has sent.
        stopped: set when it has ended its publishing.
        other: what else it has said.
    """

    def __init__(self, stream: ServerStream, refuse: dict[str, str], *, words: str = "", deaf_after: str = "") -> None:
        super().__init__(stream)
        self.session = ServerSession(random_bytes=os.urandom)
        self.app = self.app_query = self.name = ""
        self.requested = trio.Event()
        self.started = trio.Event()
        self.stopped = trio.Event()
        self.media: list[Message] = []
        self.other: list[object] = []
        self._refuse = refuse
        self._words = words
        self._deaf_after = deaf_after

    async def listen(self) -> None:
        """Read and answer until the client leaves, or breaks RTMP."""
        while data := await self.stream.receive_some():
            self.session.receive_data(data)
            while (event := self.session.next_event()) is not NEED_DATA and event is not PAUSED:
                self._take(event)
            await self.say(self.session.data_to_send())
            if self._deaf_after == "publish" and self.started.is_set():
                await trio.sleep_forever()

    async def say(self, data: bytes) -> None:
        if data:
            await self.send(data)

    async def play(self, *messages: Message) -> None:
        for message in messages:
            await self.say(self.session.send_media(*message))

    def _take(self, event: object) -> None:
        match event:
            case ConnectRequested():
                self.app, self.app_query = event.connect.app, event.connect.query
                self._decide("connect", event)
            case PlayRequested():
                self.name = event.play.raw_name
                self.requested.set()
                self._decide("play", event)
            case PublishRequested():
                self.name = event.publish.raw_name
                self.requested.set()
                self._decide("publish", event)
            case MediaMessage():
                self.media.append((event.kind, event.timestamp, event.payload))
            case PublishStopped():
                self.stopped.set()
            case _:
                self.other.append(event)

    def _decide(self, what: str, request: ConnectRequested | PlayRequested | PublishRequested) -> None:
        if what in self._refuse:
            request.reject(self._refuse[what], self._words)
            return
        request.accept()
        if what != "connect":
            self.started.set()


RtmpScript = Callable[[RtmpPeer], Awaitable[None]]


class RtmpServer(Server):
    """Plays its scripts in turn, each once its peer's request was accepted, and the last for every further one."""

    def __init__(self, *scripts: RtmpScript, refuse: dict[str, str] | None = None, deaf_after: str = "") -> None:
        self.scripts = list(scripts)
        self.refuse = refuse or {}
        self.words = "Go to 127.0.0.1 instead."  # to those who are refused
        self.deaf_after = deaf_after
        self.connections: list[RtmpPeer] = []

    async def _converse(self, stream: ServerStream) -> None:
        peer = RtmpPeer(stream, dict(self.refuse), words=self.words, deaf_after=self.deaf_after)
        script = self.scripts[min(len(self.connections), len(self.scripts) - 1)]
        self.connections.append(peer)
        with peer.scope:
            await self._play(peer, script)

    def drop(self) -> None:
        """Close every connection, also those of peers that do not listen."""
        for peer in self.connections:
            peer.scope.cancel()

    async def _play(self, peer: RtmpPeer, script: RtmpScript) -> None:
        async with trio.open_nursery() as nursery:

            async def until_left() -> None:
                try:
                    await peer.listen()
                except (trio.BrokenResourceError, RemoteProtocolError):
                    pass
                peer.left.set()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until_left)
            await peer.started.wait()
            await script(peer)
            peer.left.set()
            nursery.cancel_scope.cancel()


def plays_rtmp(seconds: float = float("inf"), *, start_ms: int = 0, ends: bool = False) -> RtmpScript:
    """Plays two keyframes a second; then closes, with an unpublish notice where it `ends`."""

    async def script(peer: RtmpPeer) -> None:
        await peer.play(*[(kind, start_ms, body) for kind, _, body in OPENING])
        for frame in count(1):
            if frame / 2 > seconds:
                break
            await trio.sleep(0.5)
            await peer.play((MediaKind.VIDEO, start_ms + frame * 500, KEYFRAME))
        if ends:
            await peer.say(peer.session.end_play())
            await trio.sleep_forever()

    return script


async def silent_rtmp(peer: RtmpPeer) -> None:
    """Lets a player play, or a publisher publish, and says nothing more."""
    await trio.sleep_forever()


def open_descriptors() -> set[str]:
    """The process's descriptors, with what they are."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{link.name} {link.readlink()}")
        except FileNotFoundError:
            pass  # the one that reads the directory
    return found
