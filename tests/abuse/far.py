"""An origin far away, on a bad network: a lossy relay above TCP, or packets lost, late and out of order below it.

door --TCP--> LossyRelay --TCP--> the demo's origin                                   every machine
door --TUN--> Wire --TUN--> namespace: the demo's origin                              Linux, root
door --TUN, tc netem--> Wire --TUN, tc netem--> namespace: the demo's origin          where the kernel has netem besides
"""

import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest
import trio

from splice.demo import DemoOrigin
from tests.abuse.cable import Cable, DisciplineError, cable
from tests.abuse.wire import Weather

__all__ = ["DISCIPLINES", "LOSSY_RELAY", "WEATHERS", "Far", "LossyRelay", "far_origin", "need_network", "worsen"]

_READ_BYTES = 64 * 1024

LOSSY_RELAY = "lossy relay"

WEATHERS = {
    "wire: loss": Weather(loss=0.02),
    "wire: delay": Weather(delay_ms=80, jitter_ms=20),
    "wire: reordering": Weather(delay_ms=20, reorder=0.25),
    "wire: all three": Weather(delay_ms=40, jitter_ms=15, loss=0.02, reorder=0.1),
}
"""What the tests' own wire does to packets, by the network's name."""

DISCIPLINES = {
    **{name.replace("wire", "netem"): weather.netem for name, weather in WEATHERS.items()},
    "tbf: a bottleneck": ("tbf", "rate", "3mbit", "burst", "4kb", "latency", "20ms"),
}
"""What the kernel does to them, by the network's name: `tc`'s words for each queueing discipline."""


class Far(Protocol):
    """The network between a door and its far origin.

    Attributes:
        url: the origin's, as the door dials it.
    """

    url: str

    def worsen(self) -> None:
        """Let bytes be late, out of order or lost, from now on."""

    def pull_cable(self) -> None:
        """Let nothing pass, and say so to nobody."""

    def plug_in(self) -> None:
        """Let it pass again."""


class LossyRelay:
    """TCP connections that are made of pieces: each late by chance, held up by a pulled cable, or cut.

    TCP hides loss and disorder from both ends, so what is left of them up here is time.
    """

    def __init__(self, port: int, rng: random.Random) -> None:
        self.url = ""
        self._port = port
        self._rng = rng
        self._delay_s = 0.0
        self._piece_bytes = _READ_BYTES
        self._plugged = trio.Event()
        self._plugged.set()
        self._connections: set[trio.CancelScope] = set()

    def worsen(self) -> None:
        self._delay_s = 0.08
        self._piece_bytes = 3000

    def pull_cable(self) -> None:
        self._plugged = trio.Event()

    def plug_in(self) -> None:
        self._plugged.set()

    def cut(self) -> None:
        """Reset every connection."""
        for scope in self._connections:
            scope.cancel()

    async def serve(self, near: trio.SocketStream) -> None:
        """Relay one connection."""
        with trio.CancelScope() as scope:
            self._connections.add(scope)
            try:
                async with near, await trio.open_tcp_stream("127.0.0.1", self._port) as far:
                    try:
                        async with trio.open_nursery() as nursery:
                            nursery.start_soon(self._copy, far, near, nursery.cancel_scope)
                            await self._copy(near, far, nursery.cancel_scope)
                    finally:
                        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            finally:
                self._connections.discard(scope)

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream, done: trio.CancelScope) -> None:
        try:
            async for data in source:
                rest = memoryview(data)
                while rest:
                    await self._plugged.wait()
                    await trio.sleep(self._delay_s * self._rng.random())
                    size = self._rng.randint(1, self._piece_bytes)
                    await sink.send_all(rest[:size])
                    rest = rest[size:]
        except trio.BrokenResourceError:
            pass
        done.cancel()


@asynccontextmanager
async def lossy_relay() -> AsyncIterator[LossyRelay]:
    """The demo's origin behind a lossy relay."""
    async with trio.open_nursery() as nursery:
        relay = LossyRelay(await nursery.start(DemoOrigin().serve), random.Random(8))
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        relay.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.start_soon(trio.serve_listeners, relay.serve, listeners)
        yield relay
        nursery.cancel_scope.cancel()


class FarAway:
    """The demo's origin at the far end of a cable."""

    def __init__(self, cable: Cable, port: int, network: str) -> None:
        self.url = f"http://{cable.address}:{port}"
        self._cable = cable
        self._network = network

    def worsen(self) -> None:
        worsen(self._cable, self._network)

    def pull_cable(self) -> None:
        self._cable.wire.pull()

    def plug_in(self) -> None:
        self._cable.wire.plug_in()


@asynccontextmanager
async def _far_away(network: str) -> AsyncIterator[FarAway]:
    with cable() as to_far:
        listener = to_far.at_far_end(socket.create_server, ("", 0))
        port = listener.getsockname()[1]
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(to_far.wire.carry)
            nursery.start_soon(trio.serve_listeners, DemoOrigin().handle, listeners)
            yield FarAway(to_far, port, network)
            nursery.cancel_scope.cancel()


def worsen(cable: Cable, network: str) -> None:
    """Let a cable do from now on what the network of this name does, of `WEATHERS` or `DISCIPLINES`.

    Raises:
        DisciplineError: this kernel is built without what that needs.
    """
    if network in WEATHERS:
        cable.wire.weather = WEATHERS[network]
    else:
        cable.queue_by(*DISCIPLINES[network])


def far_origin(network: str) -> AbstractAsyncContextManager[Far]:
    """The demo's origin behind the network of this name: the lossy relay, or one of `WEATHERS` or `DISCIPLINES`."""
    return lossy_relay() if network == LOSSY_RELAY else _far_away(network)


def need_network(network: str) -> None:
    """Skip the test, with a reason, where this machine cannot have this network."""
    if network == LOSSY_RELAY:
        return
    try:
        with cable() as probe:
            worsen(probe, network)
    except DisciplineError as error:
        pytest.skip(f"this machine's kernel is built without {error}")
    except OSError as error:
        pytest.skip(f"a cable into a network namespace needs root and /dev/net/tun (`sudo make abuse`): {error}")
