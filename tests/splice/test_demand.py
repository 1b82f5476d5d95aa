"""on_demand and on_idle on virtual time: how often the operator's program hears of it, and what those who ask hear."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from splice.access import HookCalls, Hooks
from splice.access.hook_client import HookAnswer, HookClient, HookFailedError
from splice.demand import Demand
from splice.hub import FLV, Hub, HubLimits, LiveStream, Subscriber
from splice.routing import RoutingError
from splice.stats import Publisher, Viewer


class Program:
    """Stands in for the wire and the operator's program behind it.

    Attributes:
        calls: what was asked, as (time, call, app/name).
        status: what it answers, None: nothing; after `seconds`.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[float, str, str]] = []
        self.status: int | None = 200
        self.seconds = 0.0
        self.running = self.most_running = 0

    async def post(
        self, turn: AbstractAsyncContextManager[object], url: str, form: bytes, *, timeout_s: float
    ) -> HookAnswer:
        async with turn:
            fields = dict(field.split("=") for field in form.decode().split("&"))
            assert {name for name, value in fields.items() if value} == {"call", "app", "name"}
            self.calls.append((trio.current_time(), fields["call"], f"{fields['app']}/{fields['name']}"))
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            await trio.sleep(self.seconds)
            self.running -= 1
        if self.status is None:
            raise HookFailedError("no answer")
        return HookAnswer(self.status)


class House:
    """A hub, and what looks after its demand."""

    def __init__(self, nursery: trio.Nursery, program: Program, urls: dict[str, str], idle_s: float) -> None:
        self.program = program
        self.urls = urls
        self.hub = Hub(nursery, limits=lambda app: HubLimits(), takeover_s=lambda app: 5.0)
        self.demand = Demand(
            nursery,
            self.hub,
            HookCalls(nursery, user_agent="splice/test"),
            hooks=lambda app: Hooks(self.urls, timeout_s=3, allow_on_failure=False),
            idle_s=lambda app: idle_s,
        )

    async def ask(self, stream: str = "test", *, wait_s: float = 5.0) -> LiveStream | str:
        """The stream, or the sentence that says why it is not here."""
        try:
            return await self.demand.wait_for("myapp", stream, wait_s)
        except RoutingError as error:
            assert error.status == 404
            return error.detail

    @contextmanager
    def published(self, stream: str = "test") -> Iterator[LiveStream]:
        with self.hub.published(Publisher("p1", "192.0.2.1:1", "192.0.2.1", "myapp", stream, "rtmp")) as live:
            yield live


@contextmanager
def watching(live: LiveStream) -> Iterator[None]:
    viewer = Viewer("v1", "192.0.2.1:1", "192.0.2.1", live.app, live.stream, "http-flv", route="hub", origin=None)
    with live.subscribed(Subscriber(FLV, send=None, meter=viewer, max_bytes=1000, max_s=1)):
        yield


@asynccontextmanager
async def open_house(monkeypatch: pytest.MonkeyPatch, *, idle_s: float = 10.0, **urls: str) -> AsyncIterator[House]:
    program = Program()
    monkeypatch.setattr(HookClient, "post", lambda self, *args, **options: program.post(*args, **options))
    async with trio.open_nursery() as nursery:
        yield House(nursery, program, urls or {"demand": "http://hook/", "idle": "http://hook/"}, idle_s)
        nursery.cancel_scope.cancel()


def names(house: House, call: str) -> list[str]:
    return [name for _, asked, name in house.program.calls if asked == call]


# --- on_demand ---


async def test_a_stream_that_is_brought_reaches_all_who_wait_and_the_program_was_asked_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[LiveStream | str] = []
    async with open_house(monkeypatch) as house, trio.open_nursery() as nursery:

        async def ask() -> None:
            seen.append(await house.ask())

        for _ in range(100):
            nursery.start_soon(ask)
        await trio.sleep(2)
        with house.published() as live:
            await trio.sleep(1)
        assert seen == [live] * 100
        assert house.program.calls == [(0, "demand", "myapp/test")]


async def test_a_stream_that_does_not_come_is_404_after_the_wait(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(monkeypatch) as house:
        detail = await house.ask()
        assert trio.current_time() == 5
    assert detail == ("the operator's program was asked for this stream, which has not come within 5 s; try again")


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_program_that_brings_no_such_stream_lets_nobody_wait(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    async with open_house(monkeypatch) as house:
        house.program.status, house.program.seconds = status, 1
        for _ in range(2):  # the second hears of it without a call
            detail = await house.ask()
            assert detail == "nobody publishes this stream, and the operator's program does not bring it"
        assert trio.current_time() == 1
        assert len(house.program.calls) == 1


async def test_a_program_without_an_answer_may_still_bring_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(monkeypatch) as house:
        house.program.status = None
        with capture_logs() as log:
            assert "has not come within 5 s" in str(await house.ask())
    assert [(event["event"], event["hook"]) for event in log] == [("hook.failed", "on_demand")]
    assert trio.current_time() == 5


async def test_it_is_remembered_for_ten_seconds_or_for_as_long_as_one_waits(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(monkeypatch) as house:
        for _ in range(25):
            await house.ask(wait_s=0)
            await trio.sleep(1)
        assert [time for time, _, _ in house.program.calls] == [0, 10, 20]
        house.program.calls.clear()
        await trio.sleep(10)
        await house.ask(wait_s=30)
        await house.ask(wait_s=30)
        assert len(house.program.calls) == 2


async def test_a_stream_that_came_and_went_is_asked_for_anew(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(monkeypatch) as house, trio.open_nursery() as nursery:
        nursery.start_soon(house.ask)
        await trio.sleep(1)
        with house.published():
            assert isinstance(await house.ask(), LiveStream)
        assert isinstance(await house.ask(), LiveStream)  # in its grace; and it is wanted again
        await trio.testing.wait_all_tasks_blocked()
        assert names(house, "demand") == ["myapp/test"] * 2


async def test_ten_thousand_asks_for_streams_that_never_come_are_bounded_and_all_answered(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[LiveStream | str] = []
    async with open_house(monkeypatch) as house:
        house.program.seconds = 0.01

        async def ask(number: int) -> None:
            answers.append(await house.ask(f"s{number}"))

        with capture_logs() as log:
            async with trio.open_nursery() as nursery:
                for number in range(10_000):
                    nursery.start_soon(ask, number)
        assert trio.current_time() == 5
        assert len(answers) == 10_000
        assert all(isinstance(answer, str) and answer for answer in answers)
        assert (len(house.program.calls), house.program.most_running) == (1000, 16)
        assert len(house.demand._asked) == 1000
        assert not house.hub._awaited
        assert [(event["event"], event["hook"]) for event in log] == [("hook.dropped", "on_demand")]
        await trio.sleep(11)
        assert "was asked" in str(await house.ask("another"))
        assert len(house.demand._asked) == 1


async def test_without_on_demand_nothing_is_remembered(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(monkeypatch, play="http://hook/") as house:
        assert "nobody publishes this stream here" in str(await house.ask(wait_s=0))
        assert (house.program.calls, house.demand._asked) == ([], {})


async def test_a_bug_in_asking_is_logged_and_ends_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise ZeroDivisionError

    async with open_house(monkeypatch) as house:
        monkeypatch.setattr(HookClient, "post", fail)
        with capture_logs() as log:
            assert "was asked" in str(await house.ask())
    assert [event["event"] for event in log] == ["hook.bug"]


# --- on_idle ---


async def test_a_stream_whose_last_viewer_has_left_is_idle_after_a_while_and_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(monkeypatch) as house:
        with house.published() as live:
            with watching(live):
                await trio.sleep(33)
                with watching(live):
                    await trio.sleep(14)
            await trio.sleep(9)
            with watching(live):  # just in time
                await trio.sleep(1)
            await trio.sleep(100)
            assert house.program.calls == [(67, "idle", "myapp/test")]
            with watching(live):
                await trio.sleep(1)
            await trio.sleep(100)
            assert [time for time, _, _ in house.program.calls] == [67, 168]


async def test_a_stream_that_nobody_has_ever_watched_is_idle_too(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(monkeypatch, idle_s=0, idle="http://hook/") as house:
        with house.published():
            await trio.sleep(5)
    assert house.program.calls == [(1, "idle", "myapp/test")]


async def test_a_stream_whose_publisher_has_gone_is_not_called_idle(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(monkeypatch, idle_s=8) as house:
        with house.published():
            await trio.sleep(5)
        await trio.sleep(100)
        assert (house.program.calls, len(house.hub)) == ([], 0)


async def test_without_on_idle_no_task_looks_after_a_stream(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(monkeypatch, play="http://hook/") as house:
        before = trio.lowlevel.current_statistics().tasks_living
        with house.published():
            await trio.testing.wait_all_tasks_blocked()
            assert trio.lowlevel.current_statistics().tasks_living <= before + 2  # the stream's own
