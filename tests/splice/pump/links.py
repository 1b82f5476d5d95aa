"""What the pump's tests relay between: two TCP connections over loopback, and sockets that make it hard.

origin ======> source --the pump--> sink ======> viewer       (origin and viewer are the test's ends)
"""

import hashlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
import trio.testing

from splice.pump import Outcome, Pump, Tap

__all__ = ["HardSocket", "Link", "Relay", "descriptors", "digest", "random_bytes", "relaying", "reset"]

_RESET_ON_CLOSE = b"\x01\0\0\0\0\0\0\0"


def random_bytes(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count)


def digest(data: bytes) -> str:
    """What to compare megabytes by: a failed comparison of the bytes themselves takes pytest minutes to print."""
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()}"


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class HardSocket(socket.socket):
    """A socket whose calls the test decides about: `before_send(size)` and `before_receive(size)` say how much passes.

    They return how many bytes at most, 0 for a refusal (EAGAIN), or raise. `calls` counts both kinds.
    """

    __slots__ = ("before_receive", "before_send", "calls")

    def __init__(self, plain: socket.socket) -> None:
        super().__init__(plain.family, plain.type, plain.proto, fileno=plain.detach())
        self.setblocking(False)
        self.before_send: Callable[[int], int] = lambda size: size
        self.before_receive: Callable[[int], int] = lambda size: size
        self.calls = 0

    def send(self, data, flags=0):
        self.calls += 1
        allowed = self.before_send(len(data))
        if not allowed:
            raise BlockingIOError
        return super().send(data[:allowed], flags)

    def recv_into(self, buffer, nbytes=0, flags=0):
        self.calls += 1
        wanted = nbytes or len(buffer)
        allowed = self.before_receive(wanted)
        if not allowed:
            raise BlockingIOError
        return super().recv_into(buffer, min(allowed, wanted), flags)


def _tcp_pair(*, buffer_bytes: int | None = None) -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection, non-blocking; with `buffer_bytes` the kernel holds about so much of each direction."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        client = socket.socket()
        if buffer_bytes is not None:
            for end in (listener, client):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        listener.listen(1)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    for end in (client, server):
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


class Link:
    """Both connections of one relay; a context manager that closes all four ends."""

    def __init__(self, *, buffer_bytes: int | None = None) -> None:
        origin, source = _tcp_pair(buffer_bytes=buffer_bytes)
        sink, viewer = _tcp_pair(buffer_bytes=buffer_bytes)
        self.source = HardSocket(source)
        self.sink = HardSocket(sink)
        self.origin = trio.SocketStream(trio.socket.from_stdlib_socket(origin))
        self.viewer = trio.SocketStream(trio.socket.from_stdlib_socket(viewer))

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, *exception: object) -> None:
        for end in (self.source, self.sink, self.origin.socket, self.viewer.socket):
            end.close()

    async def see(self, count: int) -> bytes:
        """The next `count` bytes that the viewer gets; fewer where they end before."""
        seen = bytearray()
        while len(seen) < count:
            data = await self.viewer.receive_some(min(count - len(seen), 65536))
            if not data:
                break
            seen += data
        return bytes(seen)

    async def send_and_close(self, data: bytes) -> None:
        """All that the origin has to say."""
        await self.origin.send_all(data)
        await self.origin.send_eof()

    async def fill(self) -> bytes:
        """Send from the origin until nothing of what is on the way has moved for a moment; all that was sent."""
        sent = bytearray()
        seed = 0
        while True:
            data = random_bytes(65536, seed)
            with trio.move_on_after(0.05) as patience:
                await trio.lowlevel.wait_writable(self.origin.socket)
            if patience.cancelled_caught:
                return bytes(sent)
            sent += data[: await self.origin.socket.send(data)]
            seed += 1


def reset(stream: trio.SocketStream) -> None:
    """Close a connection by RST."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    stream.socket.close()


@dataclass
class Relay:
    """A relay under way. `bytes` is its meter."""

    bytes: int = 0
    outcome: Outcome | None = None
    error: Exception | None = None
    done: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def ended(self) -> Outcome | None:
        await self.done.wait()
        return self.outcome

    async def moved(self, count: int) -> None:
        """Wait until the sink's kernel has taken `count` bytes in all, and the pump knows it."""
        while self.bytes < count:
            await trio.lowlevel.checkpoint()

    async def run(self, pump: Pump, link: Link, length: int | None, stall_s: float, tap: Tap | None) -> None:
        try:
            with self.scope:
                self.outcome = await pump.relay(
                    link.source, link.sink, length=length, stall_s=stall_s, meter=self, tap=tap
                )
        except Exception as error:  # noqa: BLE001 -- the test looks at it
            self.error = error
        finally:
            self.done.set()


@asynccontextmanager
async def relaying(
    pump: Pump, link: Link, *, length: int | None = None, stall_s: float = 60, tap: Tap | None = None
) -> AsyncIterator[Relay]:
    """A relay that has begun; it is cancelled, where it still runs, when the block is left."""
    relay = Relay()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run, pump, link, length, stall_s, tap)
        await trio.testing.wait_all_tasks_blocked()
        yield relay
        relay.scope.cancel()
