"""A door of its own process under abuse, and two viewers who behave: one of each route, watching all the while.

Whoever leaves the arena is told whether the two have seen a gap, and whether all that the abuse took is back:
descriptors, tasks, registrations, viewers, publishers and streams by the door's own figures, and memory within a bound.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from tests.abuse.people import Behaving, publish
from tests.e2e.door import Door, running_door

__all__ = [
    "DEMO",
    "HUB",
    "Arena",
    "Figures",
    "GapError",
    "NotBackError",
    "admin",
    "figures_of",
    "open_arena",
    "resident_bytes",
    "settled",
]

DEMO = "/live?src=demo&app=demo&stream=clock"
HUB = "/live?app=myapp&stream=behaves"

_FLAGS = ("--demo", "--admin", "127.0.0.1:0", "--rtmp", "127.0.0.1:0")
_HUB_SOON = "hub.republish_grace_s = 0.5\nhub.idle_stop_s = 0.5\n"
_GAP_S = 1.0
_GROWTH_BYTES = 64 << 20


class GapError(AssertionError):
    """A viewer who behaves has seen nothing for over a second, or was thrown out."""


class NotBackError(AssertionError):
    """Something is still held that the abuse took."""


class Figures(NamedTuple):
    """What a door holds; the pipes that its pump keeps for whoever comes are not counted."""

    descriptors: int
    tasks: int
    registrations: int
    viewers: int
    publishers: int
    streams: int


async def figures_of(door: Door) -> Figures:
    """By the door's admin side and /proc."""
    metrics = (await admin(door, "/metrics")).decode()
    counts = [
        json.loads(await admin(door, f"/api/v1/{what}"))["total"] for what in ("viewers", "publishers", "streams")
    ]
    return Figures(
        _descriptors(door.child.pid), _metric(metrics, "tasks"), _metric(metrics, "pump_registrations"), *counts
    )


async def settled(door: Door) -> Figures:
    """What the door holds, once two looks agree."""
    last = None
    with trio.fail_after(5):
        while last != (now := await figures_of(door)):
            last = now
            await trio.sleep(0.05)
    return now


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) * 1024


class Arena:
    """See the module.

    Attributes:
        door: the door.
        behaving: the two viewers.
        before: what the door held before the abuse.
    """

    def __init__(self, door: Door, behaving: list[Behaving]) -> None:
        self.door = door
        self.behaving = behaving
        self.before: Figures
        self._resident_before = 0

    @property
    def rtmp_port(self) -> int:
        return self.door.rtmp_port

    @property
    def http_port(self) -> int:
        return self.door.port

    async def begin(self) -> None:
        """Note what the door holds."""
        self.before = await settled(self.door)
        self._resident_before = resident_bytes(self.door.child.pid)

    async def holds(self, **least: int) -> None:
        """Wait until the door holds so much of these: the abuse has arrived."""
        with trio.fail_after(20):
            while True:
                now = (await figures_of(self.door))._asdict()
                if all(now[name] >= count for name, count in least.items()):
                    return
                await trio.sleep(0.05)

    async def holds_at_most(self, viewers: int, *, seconds: float) -> None:
        """Wait until the door has no more viewers than this.

        Raises:
            NotBackError: it still has, after so long.
        """
        with trio.move_on_after(seconds):
            while (await figures_of(self.door)).viewers > viewers:
                await trio.sleep(0.05)
            return
        raise NotBackError(f"the door still has more than {viewers} viewers after {seconds} s")

    async def is_back(self, *, seconds: float) -> None:
        """Wait until the door holds what it did before.

        Raises:
            NotBackError: it does not, after so long.
        """
        now = self.before
        with trio.move_on_after(seconds):
            while (now := await figures_of(self.door)) != self.before:
                await trio.sleep(0.05)
            return
        raise NotBackError(f"before: {self.before}, {seconds} s after: {now}")

    def memory_is_bounded(self, growth_bytes: int = _GROWTH_BYTES) -> None:
        """Make sure that the door has grown by no more than this.

        Raises:
            NotBackError: it has.
        """
        growth = resident_bytes(self.door.child.pid) - self._resident_before
        if growth > growth_bytes:
            raise NotBackError(f"the door has grown by {growth >> 20} MiB, and {growth_bytes >> 20} MiB is the bound")

    def nobody_has_seen_a_gap(self) -> None:
        """Look at the viewers who behave.

        Raises:
            GapError: one was thrown out, or has waited too long.
        """
        for viewer in self.behaving:
            if viewer.ended or viewer.longest_gap_s > _GAP_S:
                raise GapError(f"{viewer.name}: a gap of {viewer.longest_gap_s:.2f} s, ended: {viewer.ended}")


@asynccontextmanager
async def open_arena(directory: Path, *, config: str = "", **timeouts: float) -> AsyncIterator[Arena]:
    """An arena; when the block is left, however well the abuse has gone, all must be as before within seconds."""
    try:
        async with (
            running_door(directory, *_FLAGS, config=_HUB_SOON + config, **timeouts) as door,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(publish, door.rtmp_port, "myapp/behaves")
            arena = Arena(door, [Behaving("splice route", door.port, DEMO), Behaving("hub route", door.port, HUB)])
            for viewer in arena.behaving:
                await nursery.start(viewer.watch)
            await arena.begin()
            for viewer in arena.behaving:
                viewer.longest_gap_s = 0.0  # what was before the abuse is not its own
            yield arena
            await arena.is_back(seconds=8)
            arena.memory_is_bounded()
            arena.nobody_has_seen_a_gap()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _innermost(group) from None  # a failed check should be seen as itself


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def admin(door: Door, path: str, *, method: str = "GET", status: int = 200) -> bytes:
    """What the door's admin side answers, with this status."""
    host, _, port = door.ready["admin"][0].rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        await stream.send_all(f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join([data async for data in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    return body


def _metric(text: str, name: str) -> int:
    (value,) = re.findall(rf"^splice_{name} (\S+)$", text, re.MULTILINE)
    return int(float(value))


def _descriptors(pid: int) -> int:
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += not str(link.readlink()).startswith("pipe:")
        except FileNotFoundError:
            pass  # closed meanwhile
    return count
