"""Cutting a connection's task at any of its steps: an instrument of Trio's that counts them, and calls for the cut.

A step is what a task does between two checkpoints. A cut before the k-th step finds the task about to go on, with the
result that it waited for in hand; one behind it finds it asleep at its next checkpoint. The steps of the tasks that a
task has started count as its own.
"""

import enum
import itertools
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import trio

__all__ = ["Cuts", "Moment", "cut_at_every_step"]

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
