"""An origin far away, on a bad network: a lossy relay of our own in this process, or netem in a network namespace.

door --TCP--> LossyRelay --TCP--> the demo's origin, in the test's process             for every machine
door --veth, tc netem--> namespace: the demo's origin, a process of its own            Linux, root
"""

import os
import random
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import trio

from splice.demo import DemoOrigin
from tests.e2e.processes import need, running

__all__ = ["WEATHERS", "Far", "lossy_relay", "namespace"]

_TREE = Path(__file__).parents[2]
_READ_BYTES = 64 * 1024


WEATHERS = {
    "netem": ("netem", "delay", "40ms", "15ms", "loss", "2%", "reorder", "10%", "50%"),
    "tbf": ("tbf", "rate", "3mbit", "burst", "4kb", "latency", "20ms"),
}
"""Kinds of queueing discipline, and what is asked of each."""


class Far(Protocol):
    """The network between a door and its far origin.

    Attributes:
        url: the origin's, as the door dials it.
    """

    url: str

    async def worsen(self) -> None:
        """Let bytes be late, out of order or lost, from now on."""

    async def pull_cable(self) -> None:
        """Let nothing pass, and say so to nobody."""

    async def plug_in(self) -> None:
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

    async def worsen(self) -> None:
        self._delay_s = 0.08
        self._piece_bytes = 3000

    async def pull_cable(self) -> None:
        self._plugged = trio.Event()

    async def plug_in(self) -> None:
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


class Namespace:
    """A cable's two ends: `near` here, eth0 in the network namespace `name`."""

    def __init__(self, name: str, near: str, url: str, weather: tuple[str, ...]) -> None:
        self.url = url
        self._name = name
        self._near = near
        self._weather = weather

    async def worsen(self) -> None:
        await _run("tc", "qdisc", "replace", "dev", self._near, "root", *self._weather)
        await _run("tc", "-n", self._name, "qdisc", "replace", "dev", "eth0", "root", *self._weather)

    async def pull_cable(self) -> None:
        await _run("ip", "-n", self._name, "link", "set", "eth0", "down")

    async def plug_in(self) -> None:
        await _run("ip", "-n", self._name, "link", "set", "eth0", "up")


@asynccontextmanager
async def namespace(kind: str) -> AsyncIterator[Namespace]:
    """The demo's origin in a network namespace of its own, which is gone afterwards. Needs root.

    Args:
        kind: of `WEATHERS`.
    """
    number = os.getpid() % 16384
    name, near = f"splice-abuse-{number}", f"spl{number}"
    here, there = (f"10.231.{number // 64}.{number % 64 * 4 + host}" for host in (1, 2))  # a /30 of this process's own
    await _run("ip", "netns", "add", name)
    try:
        await _run("ip", "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", name)
        await _run("ip", "address", "add", f"{here}/30", "dev", near)
        await _run("ip", "link", "set", near, "up")
        await _run("ip", "-n", name, "address", "add", f"{there}/30", "dev", "eth0")
        for device in ("lo", "eth0"):
            await _run("ip", "-n", name, "link", "set", device, "up")
        command = ("ip", "netns", "exec", name, sys.executable, "-m", "tests.abuse.far_origin", there)
        async with running(*command, name="the far origin", cwd=_TREE, env={"PYTHONUNBUFFERED": "1"}) as origin:
            port = (await origin.printed(r"^port (\d+)$")).group(1)
            yield Namespace(name, near, f"http://{there}:{port}", WEATHERS[kind])
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(5):
            await _run("ip", "netns", "delete", name)  # the cable goes with it


async def _run(*command: str) -> None:
    await trio.run_process([need(command[0]), *command[1:]], capture_stdout=True, capture_stderr=True)
