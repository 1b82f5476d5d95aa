"""Visiting many places again and again, on virtual time."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from itertools import pairwise

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from splice.access.rounds import Rounds


class Visits:
    """Keeps when it was visited; a visit takes `seconds`."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.times: list[float] = []
        self.running = 0
        self.most_running = 0

    async def visit(self) -> None:
        self.times.append(trio.current_time())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await trio.sleep(self.seconds)
        finally:
            self.running -= 1


@asynccontextmanager
async def open_rounds(*, at_once: int = 16, jitter: float = 0.0) -> AsyncIterator[Rounds]:
    async with trio.open_nursery() as nursery:
        yield Rounds(nursery, at_once=at_once, jitter=lambda: jitter)
        nursery.cancel_scope.cancel()


async def test_a_place_is_visited_every_so_often_and_not_any_more_when_it_is_gone(autojump_clock: MockClock) -> None:
    visits = Visits()
    async with open_rounds() as rounds:
        with rounds.visited(visits.visit, 30):
            await trio.sleep(100)
        await trio.sleep(100)
    assert visits.times == [30, 60, 90]


async def test_the_interval_runs_from_the_end_of_a_visit_and_no_visit_is_made_up_for(autojump_clock: MockClock) -> None:
    visits = Visits(seconds=100)
    async with open_rounds() as rounds:
        with rounds.visited(visits.visit, 10):
            await trio.sleep(300)
    assert visits.times == [10, 120, 230]


async def test_those_who_come_together_are_spread_over_half_an_interval(autojump_clock: MockClock) -> None:
    numbers = iter(range(100))
    visits = Visits()
    async with trio.open_nursery() as nursery:
        rounds = Rounds(nursery, at_once=16, jitter=lambda: next(numbers) / 100)
        with ExitStack() as places:
            for _ in range(100):
                places.enter_context(rounds.visited(visits.visit, 30))
            await trio.sleep(31)
        nursery.cancel_scope.cancel()
    assert (len(visits.times), visits.times[-1]) == (100, 30)
    assert all(15 < time <= 30 for time in visits.times)
    assert all(later - earlier == pytest.approx(0.15) for earlier, later in pairwise(visits.times))


async def test_who_comes_later_may_be_visited_sooner(autojump_clock: MockClock) -> None:
    slow, fast = Visits(), Visits()
    async with open_rounds() as rounds:
        with rounds.visited(slow.visit, 100):
            await trio.sleep(5)
            with rounds.visited(fast.visit, 10):
                await trio.sleep(96)
    assert slow.times == [100]
    assert fast.times == [15, 25, 35, 45, 55, 65, 75, 85, 95]


async def test_few_run_at_a_time_however_many_are_due(autojump_clock: MockClock) -> None:
    visits = Visits(seconds=1)
    async with open_rounds(at_once=4) as rounds:
        with ExitStack() as places:
            for _ in range(40):
                places.enter_context(rounds.visited(visits.visit, 30))
            await trio.sleep(60)
            assert visits.times == [float(second) for second in range(30, 40) for _ in range(4)]
            assert visits.most_running == 4
            await trio.sleep(1.5)
    assert visits.times[40:] == [61.0] * 4


async def test_who_goes_takes_its_visit_along_and_the_turn_is_free_for_another(autojump_clock: MockClock) -> None:
    visits, other = Visits(seconds=1000), Visits()
    async with open_rounds(at_once=1) as rounds:
        with rounds.visited(other.visit, 20), rounds.visited(visits.visit, 10):
            await trio.sleep(15)
            assert visits.running == 1
            with rounds.visited(visits.visit, 1):
                await trio.sleep(2)  # due, and waits for the turn
            assert (visits.running, other.times) == (1, [])
        await trio.testing.wait_all_tasks_blocked()
        assert visits.running == 0
        with rounds.visited(other.visit, 20):
            await trio.sleep(25)
    assert other.times == [37]


async def test_a_bug_in_a_visit_is_logged_and_ends_nothing(autojump_clock: MockClock) -> None:
    visits = Visits()

    async def fail() -> None:
        raise ZeroDivisionError

    with capture_logs() as log:
        async with open_rounds() as rounds:
            with rounds.visited(fail, 10), rounds.visited(visits.visit, 10):
                await trio.sleep(25)
    assert [event["event"] for event in log] == ["hook.bug", "hook.bug"]
    assert visits.times == [10, 20]


async def test_those_who_have_gone_are_forgotten_long_before_their_visit(autojump_clock: MockClock) -> None:
    async with open_rounds() as rounds:
        with rounds.visited(Visits().visit, 86400):
            for _ in range(10_000):
                with rounds.visited(Visits().visit, 86400):
                    pass
                assert len(rounds._queue) <= 3
                assert len(rounds) == 1
    assert trio.current_time() == 0


async def test_who_goes_while_it_waits_for_a_turn_is_passed_over(autojump_clock: MockClock) -> None:
    slow, passed_over, patient = Visits(seconds=100), Visits(), Visits()
    async with open_rounds(at_once=1) as rounds:
        with ExitStack() as others:
            for _ in range(4):
                others.enter_context(rounds.visited(patient.visit, 500))
            with rounds.visited(slow.visit, 10):
                with rounds.visited(passed_over.visit, 20):
                    await trio.sleep(30)
                await trio.sleep(100)
            await trio.sleep(30)
            assert (slow.times, passed_over.times) == ([10, 120], [])
            assert len(rounds) == 4
            await trio.sleep(350)
    assert patient.times == [500] * 4
