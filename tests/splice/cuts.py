"""Cutting a connection's task at any of its steps: an instrument of Trio's that counts them, and calls for the cut.

A step is what a task does between two checkpoints. A cut before the k-th step finds the task about to go on, with the
result that it waited for in hand; one behind it finds it asleep at its next checkpoint. The steps of the tasks that a
task has started count as its own.
"""

import enum
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from splice.hub import LiveStream
from splice.stats import EndReason
from tests.splice.hub_house import House, descriptors, reset

__all__ = [
    "A_LIFE_TAKES_S",
    "CUTS",
    "Cuts",
    "Moment",
    "cut_at_every_step",
    "dial",
    "kick",
    "leave",
    "no_bugs",
    "nothing_left",
    "whole_unless_cut",
]

A_LIFE_TAKES_S = 100  # of virtual time
CUTS = ["cancelled", "kicked", "left"]
"""The manners of cutting that `dial` knows."""

Serve = Callable[[socket.socket, tuple[str, int]], Awaitable[None]]


class Moment(enum.Enum):
    """Which side of a step a cut is on."""

    BEFORE = "before"
    BEHIND = "behind"


class Cuts(trio.abc.Instrument):
    """One cut.

    Attributes:
        at: the step, from 1 on.
        made: whether it was reached.
        steps: how many there were so far.
        bug: what the cut itself has raised.
    """

    def __init__(self, at: int, moment: Moment) -> None:
        self.at = at
        self.moment = moment
        self.made = False
        self.steps = 0
        self.bug: Exception | None = None
        self._watched: trio.lowlevel.Task | trio.Nursery | None = None
        self._cut: Callable[[], None] = lambda: None

    def watch(self, root: trio.lowlevel.Task | trio.Nursery, cut: Callable[[], None]) -> None:
        """Count the steps of `root` and what is below it from now on, and call `cut` at the one."""
        self._watched = root
        self._cut = cut

    def serving(self, serve: Serve, cut: Callable[[trio.CancelScope], None] = trio.CancelScope.cancel) -> Serve:
        """`serve`, whose connection's task is watched; `cut` gets the scope that all of it runs inside."""

        async def serve_watched(accepted: socket.socket, peer: tuple[str, int]) -> None:
            with trio.CancelScope() as scope:
                self.watch(trio.lowlevel.current_task(), lambda: cut(scope))
                await serve(accepted, peer)

        return serve_watched

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.moment is Moment.BEFORE:
            self._see(task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.moment is Moment.BEHIND:
            self._see(task)

    def _see(self, task: trio.lowlevel.Task) -> None:
        if self._watched is None or not self._is_watched(task):
            return
        self.steps += 1
        if self.steps == self.at:
            self.made = True
            try:
                self._cut()
            except Exception as error:  # noqa: BLE001 -- Trio would only log it, and do without the instrument
                self.bug = error

    def _is_watched(self, task: trio.lowlevel.Task) -> bool:
        above: Any = task
        while above is not None and above is not self._watched:
            nursery = above.parent_nursery
            if nursery is not None and nursery is self._watched:
                return True
            above = None if nursery is None else nursery.parent_task
        return above is not None


async def cut_at_every_step(live: Callable[[Cuts], Awaitable[None]], moment: Moment) -> int:
    """Live a life again and again, cut at its first step, at its second and so on, until one ends uncut.

    Args:
        live: is to have something watched by the cuts that it is given, and to look at what is left over.

    Returns: how many steps there were to cut at.
    """
    for at in itertools.count(1):
        cuts = Cuts(at, moment)
        trio.lowlevel.add_instrument(cuts)
        try:
            await live(cuts)
        except BaseException as error:
            error.add_note(f"cut {moment.value} step {at}")
            raise
        finally:
            trio.lowlevel.remove_instrument(cuts)
        if cuts.bug is not None:
            raise cuts.bug
        if not cuts.made:
            return cuts.steps
    raise AssertionError


# --- for lives in a house of the hub ---


class Census(NamedTuple):
    """What must be as before."""

    descriptors: int
    tasks: int
    viewers: int
    viewers_counted: int
    publishers: int
    streams: int
    awaited_streams: int
    pulls: int
    rtmp_pending: int
    unfinished_bytes: int
    registrations: int


def census(house: House) -> Census:
    server = house.server
    return Census(
        descriptors(),
        trio.lowlevel.current_statistics().tasks_living,
        len(house.viewers),
        len(house.viewers._counts),
        len(house.publishers),
        len(house.hub),
        len(house.hub._awaited),
        len(server.rooms.pulls._pulls),
        house.rtmp_door.pending,
        house.unfinished_bytes,
        server.rooms.pump.registrations,
    )


@contextmanager
def whole_unless_cut(cuts: Cuts) -> Iterator[None]:
    """For what a client does: it must go through where nobody has cut."""
    try:
        yield
    except (AssertionError, trio.BrokenResourceError, trio.ClosedResourceError):
        if not cuts.made:
            raise


@contextmanager
def no_bugs() -> Iterator[None]:
    """For a block in which the log is not told of one: a task that is cut may end in an error, and give all back."""
    with capture_logs() as log:
        yield
    assert not [event for event in log if event["event"].endswith(".bug")]


@asynccontextmanager
async def nothing_left(house: House, *, afterwards: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[None]:
    """For a life: once its connections and streams have ended, all is as before, and nothing was taken for a bug.

    Args:
        afterwards: waits for what outlives them.
    """
    await wait_all_tasks_blocked()
    before = census(house)
    streams: list[LiveStream] = []
    house.hub.on_stream.append(streams.append)
    with trio.fail_after(A_LIFE_TAKES_S), no_bugs():
        yield
        while house._connections.child_tasks or len(house.hub) or house.server.rooms.pulls._pulls:
            await trio.sleep(0.1)
        if afterwards is not None:
            await afterwards()
        await wait_all_tasks_blocked()
    house._clients.clear()
    house.hub.on_stream.remove(streams.append)
    assert census(house) == before
    assert not any(stream.viewers for stream in streams)


def leave(stream: trio.SocketStream) -> None:
    """What a client looks like whose machine was killed."""
    if stream.socket.fileno() >= 0:
        reset(stream)
        stream.socket.close()


def kick(house: House) -> None:
    for record in (*house.viewers, *house.publishers):
        record.end(EndReason.KICKED)


def dial(house: House, serve: Serve, cuts: Cuts, cut: str) -> trio.SocketStream:
    """A connection to a door, whose task is cut in this manner."""
    manners: dict[str, Callable[[trio.CancelScope], None]] = {
        "cancelled": lambda scope: scope.cancel(),
        "kicked": lambda scope: kick(house),
        "left": lambda scope: leave(stream),
    }
    stream = house.dial(cuts.serving(serve, manners[cut]))
    return stream
