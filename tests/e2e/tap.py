"""A relay on loopback that keeps what each connection has said: what one program told the other, byte for byte."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

__all__ = ["Recorded", "Tap", "answering", "tapped"]


@dataclass
class Recorded:
    """One connection.

    Attributes:
        asked: what who dialled has sent.
        answered: what came back.
    """

    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)


@dataclass
class Tap:
    """Where to dial, and every connection so far in the order in which they came."""

    port: int
    connections: list[Recorded] = field(default_factory=list)


async def _copy(source: trio.SocketStream, sink: trio.SocketStream, kept: bytearray) -> None:
    try:
        async for data in source:
            kept += data
            await sink.send_all(data)
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # a reset is one of the ways in which programs leave


@asynccontextmanager
async def tapped(port: int) -> AsyncIterator[Tap]:
    """A tap before the server on a port of 127.0.0.1."""

    async def relay(dialled: trio.SocketStream) -> None:
        recorded = Recorded()
        tap.connections.append(recorded)
        async with await trio.open_tcp_stream("127.0.0.1", port) as server, trio.open_nursery() as nursery:
            nursery.start_soon(_copy, dialled, server, recorded.asked)
            await _copy(server, dialled, recorded.answered)
            nursery.cancel_scope.cancel()  # who has answered is asked nothing more

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, relay, 0, host="127.0.0.1"))
        tap = Tap(listeners[0].socket.getsockname()[1])
        yield tap
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Tap]:
    """An origin that answers every head with these bytes and closes, whatever it was asked."""

    async def serve(dialled: trio.SocketStream) -> None:
        recorded = Recorded()
        tap.connections.append(recorded)
        try:
            while b"\r\n\r\n" not in recorded.asked:
                data = await dialled.receive_some()
                if not data:
                    return
                recorded.asked += data
            await dialled.send_all(answer)
        except trio.BrokenResourceError:
            pass  # it was left, which is its right

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        tap = Tap(listeners[0].socket.getsockname()[1])
        yield tap
        nursery.cancel_scope.cancel()
