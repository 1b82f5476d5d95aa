"""Who comes to the door under abuse: a publisher, viewers who behave, and crowds that do not."""

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from protocol.rtmp import parse_url
from tests.splice.hub_house import RtmpClient, inter_frame, keyframe

__all__ = ["Behaving", "Crowd", "open_crowd", "publish", "request"]

_FRAMES_A_SECOND = 25
_READ_BYTES = 64 * 1024


def request(target: str, version: str = "1.1") -> bytes:
    """A request for a stream."""
    return f"GET {target} HTTP/{version}\r\nHost: door\r\n\r\n".encode()


async def publish(
    port: int,
    name: str,
    *,
    frame_bytes: int = 2000,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Publish 25 frames a second until cancelled, or until the door closes; started once it is accepted."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = await RtmpClient(stream, parse_url(f"rtmp://door/{name}")).publish()
        await client.begin()
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_play, client, frame_bytes)
            try:
                while await stream.receive_some(_READ_BYTES):
                    pass
            except trio.BrokenResourceError:
                pass
            nursery.cancel_scope.cancel()


async def _play(client: RtmpClient, frame_bytes: int) -> None:
    filler = bytes(frame_bytes)
    began_at = trio.current_time()
    frame = 0
    while True:
        frame += 1
        await trio.sleep_until(began_at + frame / _FRAMES_A_SECOND)
        body = inter_frame(filler) if frame % _FRAMES_A_SECOND else keyframe(filler)
        await client.video(frame * 1000 // _FRAMES_A_SECOND, body)


class Behaving:
    """A viewer who takes at once what comes, and notes when.

    Attributes:
        received: bytes so far.
        ended: whether the door has closed the connection.
    """

    def __init__(self, name: str, port: int, target: str, host: str = "127.0.0.1") -> None:
        self.name = name
        self.received = 0
        self.ended = False
        self._address = host, port
        self._target = target
        self._longest_gap_s = 0.0
        self._last_at = trio.current_time()

    @property
    def longest_gap_s(self) -> float:
        """The longest time without a byte, up to this moment."""
        return max(self._longest_gap_s, trio.current_time() - self._last_at if self.received else 0.0)

    @longest_gap_s.setter
    def longest_gap_s(self, seconds: float) -> None:
        self._longest_gap_s = seconds

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled, or until the door closes; started once the stream flows."""
        async with await trio.open_tcp_stream(*self._address) as stream:
            await stream.send_all(request(self._target))
            head = b""
            while b"\r\n\r\n" not in head:
                head += await self._read(stream)
                assert not self.ended, head
            assert head.startswith(b"HTTP/1.1 200 "), head
            while not self.ended:
                data = await self._read(stream)
                now = trio.current_time()
                if self.received:
                    self._longest_gap_s = max(self._longest_gap_s, now - self._last_at)
                else:
                    task_status.started()
                self._last_at = now
                self.received += len(data)

    async def _read(self, stream: trio.SocketStream) -> bytes:
        try:
            data = await stream.receive_some(_READ_BYTES)
        except trio.BrokenResourceError:
            data = b""
        self.ended = not data
        return bytes(data)


class Crowd:
    """Connections that are opened, and held until the crowd leaves."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: list[trio.socket.SocketType] = []

    def __len__(self) -> int:
        return len(self._sockets)

    async def come(self, count: int, say: bytes = b"", *, receive_bytes: int | None = None) -> None:
        """Connect so often, say this, and read nothing."""
        for _ in range(count):
            one = trio.socket.socket()
            self._sockets.append(one)
            if receive_bytes is not None:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            await one.connect(("127.0.0.1", self._port))
            if say:
                await one.send(say)

    async def say(self, data: bytes) -> None:
        """Each says this, as far as it is still listened to."""
        for one in self._sockets:
            try:
                await one.send(data)
            except OSError:
                pass  # the door has closed this one: that is what is to be seen

    async def taste(self, count: int) -> None:
        """Each reads so many bytes, where there are any."""
        for one in self._sockets:
            with trio.move_on_after(0):
                try:
                    await one.recv(count)
                except OSError:
                    pass  # the door has reset this one

    def leave(self, *, reset: bool = False) -> None:
        """Close all of them, in order or by a reset."""
        for one in self._sockets:
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        self._sockets.clear()


@asynccontextmanager
async def open_crowd(port: int) -> AsyncIterator[Crowd]:
    """A crowd that leaves with the block, if it has not before."""
    crowd = Crowd(port)
    try:
        yield crowd
    finally:
        crowd.leave()
