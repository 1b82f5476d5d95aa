"""Visits many places again and again, each after its own interval: one task keeps the time for all of them.

    visited() --> a heap by due time --> the task, when one is due and a turn is free --> the visit, in its own task

So a place that waits costs an entry and no task, and however many are due at once, few visits run at a time. A late
visit is not made up for: the next is due a whole interval after it.
"""

import heapq
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
import trio

__all__ = ["Rounds"]

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Place:
    visit: Callable[[], Awaitable[None]]
    every_s: float
    gone: bool = False
    queued: bool = False
    visiting: trio.CancelScope | None = None


class Rounds:
    """See the module."""

    def __init__(self, nursery: trio.Nursery, *, at_once: int, jitter: Callable[[], float] = random.random) -> None:
        """Args:
        nursery: where the visits run.
        at_once: how many of them at a time.
        jitter: gives numbers from 0 up to 1.
        """
        self._nursery: Final = nursery
        self._turns: Final = trio.Semaphore(at_once)
        self._jitter: Final = jitter
        self._queue: list[tuple[float, int, _Place]] = []
        self._numbers: Final = itertools.count()
        self._gone = 0  # how many of the queue are
        self._runs = False
        self._something_sooner = trio.Event()

    def __len__(self) -> int:
        """How many places wait for a visit."""
        return len(self._queue) - self._gone

    @contextmanager
    def visited(self, visit: Callable[[], Awaitable[None]], every_s: float) -> Iterator[None]:
        """Call `visit` again and again while the block runs, `every_s` after the last call has returned.

        The first call comes at some moment of the second half of `every_s`, so that those who came together are not
        all visited together. A call that still runs when the block ends is cancelled.
        """
        place = _Place(visit, every_s)
        self._put(place, trio.current_time() + every_s * (1 - self._jitter() / 2))
        try:
            yield
        finally:
            self._take_out(place)

    def _put(self, place: _Place, due: float) -> None:
        place.queued = True
        heapq.heappush(self._queue, (due, next(self._numbers), place))
        if not self._runs:
            self._runs = True
            self._nursery.start_soon(self._run)
        elif self._queue[0][2] is place:
            self._something_sooner.set()

    def _take_out(self, place: _Place) -> None:
        place.gone = True
        if place.visiting is not None:
            place.visiting.cancel()
        if not place.queued:
            return
        self._gone += 1
        if self._gone * 2 > len(self._queue):
            self._queue = [entry for entry in self._queue if not entry[2].gone]
            heapq.heapify(self._queue)
            self._gone = 0

    async def _run(self) -> None:
        try:
            while self._queue:
                due = self._queue[0][0]
                if due > trio.current_time():
                    self._something_sooner = trio.Event()
                    with trio.move_on_at(due):
                        await self._something_sooner.wait()
                    continue
                await self._turns.acquire()
                self._visit_next()
        finally:
            self._runs = False

    def _visit_next(self) -> None:
        """Begin the visit of the first that is still there and due; the turn for it has been taken."""
        while self._queue and self._queue[0][0] <= trio.current_time():
            _, _, place = heapq.heappop(self._queue)
            place.queued = False
            if not place.gone:
                self._nursery.start_soon(self._visit, place)
                return
            self._gone -= 1
        self._turns.release()

    async def _visit(self, place: _Place) -> None:
        try:
            with trio.CancelScope() as place.visiting:
                if not place.gone:
                    await place.visit()
        except Exception:  # noqa: BLE001 -- a bug in one visit must not end the nursery, and with it every stream
            _log.exception("hook.bug")
        finally:
            self._turns.release()
            place.visiting = None
        if not place.gone:
            self._put(place, trio.current_time() + place.every_s)
