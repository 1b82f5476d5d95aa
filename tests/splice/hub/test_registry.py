"""Streams by name: who may publish one, how long it lives, who waits for it, and that nothing of it stays."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocol.rtmp import MediaKind
from splice.http import LAST_CHUNK
from splice.hub import CHUNKED_FLV, Hub, HubLimits, LiveStream, NameTakenError
from splice.stats import EndReason, Publisher
from tests.splice.hub.viewing import Watcher, aac, configuration, inter_frame, keyframe

AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO


@asynccontextmanager
async def open_hub(
    *, takeover_s: float = 5.0, grace_s: float = 10.0, limits: Callable[[str], HubLimits] | None = None
) -> AsyncIterator[Hub]:
    """A hub whose streams, tasks and waiters must all be gone by themselves once its grace is over."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        hub = Hub(
            nursery,
            limits=limits or (lambda app: HubLimits(merge_s=0.0, republish_grace_s=grace_s)),
            takeover_s=lambda app: takeover_s,
        )
        yield hub
        await trio.sleep(grace_s + 1)
        assert (len(hub), list(hub), hub._awaited) == (0, [], {})
        assert not nursery.child_tasks
    assert trio.lowlevel.current_statistics().tasks_living == tasks


def publisher(stream: str = "test", app: str = "myapp") -> Publisher:
    return Publisher("p1", "127.0.0.1:50000", "127.0.0.1", app, stream, "rtmp")


@contextmanager
def watching(live: LiveStream) -> Iterator[Watcher]:
    """Watch by HTTP, as far as that is possible without a task."""
    with Watcher(CHUNKED_FLV).watching(live) as watcher:
        yield watcher


def ended_well(watcher: Watcher) -> bool:
    watcher.drain()
    return watcher.sink.taken.endswith(LAST_CHUNK)


async def test_a_stream_is_there_from_its_publisher_on(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        assert hub.find("myapp", "test") is None
        ours = publisher()
        with hub.published(ours) as live:
            assert (live.app, live.stream) == ("myapp", "test")
            assert hub.find("myapp", "test") is live
            assert hub.find("myapp", "other") is hub.find("other", "test") is None
            assert list(hub) == [(live, ours)]
            assert len(hub) == 1


async def test_a_name_is_an_app_and_a_stream(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        with ExitStack() as publishing:
            names = [("b", "a"), ("c", "a"), ("b", "c")]
            streams = {publishing.enter_context(hub.published(publisher(*name))) for name in names}
            assert len(streams) == len(hub) == 3


async def test_limits_are_those_of_the_app(autojump_clock: MockClock) -> None:
    async with open_hub(limits=lambda app: HubLimits(gop_cache_bytes=len(app), republish_grace_s=1)) as hub:
        with hub.published(publisher(app="four")) as live:
            assert live.limits.gop_cache_bytes == 4


async def test_those_who_ask_are_told_of_every_stream_that_begins(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        begun: list[tuple[LiveStream, int]] = []
        hub.on_stream.append(lambda live: begun.append((live, live.bytes_in)))
        with hub.published(publisher()) as live:
            live.push(AUDIO, 0, aac())
        with hub.published(publisher()):
            assert begun == [(live, 0)], "one that goes on has not begun again"


async def test_a_bug_in_who_is_told_of_a_stream_leaves_nothing_of_it_behind(autojump_clock: MockClock) -> None:
    def broken(live: LiveStream) -> None:
        raise ZeroDivisionError

    async with open_hub() as hub:
        told: list[LiveStream] = []
        hub.on_stream += [told.append, broken]
        with pytest.raises(ZeroDivisionError), hub.published(publisher()):
            pytest.fail("published all the same")
        assert (len(hub), hub.find("myapp", "test")) == (0, None)
        assert [live.ended.is_set() for live in told] == [True], "who was told before is told of the end"
        hub.on_stream.pop()
        with hub.published(publisher()) as live:
            assert told[1:] == [live], "the name is free"


async def test_a_streams_own_task_runs(autojump_clock: MockClock) -> None:
    async with open_hub(limits=lambda app: HubLimits(merge_s=0.02, republish_grace_s=1)) as hub:
        with hub.published(publisher()) as live, watching(live) as watcher:
            live.push(AUDIO, 0, aac(b"merged"))
            assert aac(b"merged") not in watcher.sink.taken
            await live.wait_tracks_known()
            assert aac(b"merged") in watcher.sink.taken


# --- one name, two publishers ---


async def test_a_second_publisher_of_a_live_name_is_refused_and_disturbs_nothing(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        ours = publisher()
        with hub.published(ours) as live:
            with pytest.raises(NameTakenError), hub.published(publisher()):
                pytest.fail("two publishers under one name")
            assert list(hub) == [(live, ours)]
            assert ours.ended_by is None


@pytest.mark.parametrize("silent_s", [4.9, 5.0])
async def test_a_silent_publisher_loses_its_name(silent_s: float, autojump_clock: MockClock) -> None:
    async with open_hub(takeover_s=5.0) as hub:
        old, new = publisher(), publisher()
        with hub.published(old) as live, watching(live) as watcher:
            await trio.sleep(60)
            live.push(AUDIO, 0, aac())
            await trio.sleep(silent_s)
            if silent_s < 5:
                with pytest.raises(NameTakenError), hub.published(new):
                    pytest.fail("taken over too early")
                return
            with hub.published(new) as same:
                assert same is live
                assert old.ended_by is EndReason.REPLACED
                assert old.scope.cancel_called
                assert list(hub) == [(live, new)]
                live.push(AUDIO, 0, aac(b"new"))
                assert aac(b"new") in watcher.sink.taken


async def test_the_one_who_was_replaced_takes_nothing_along_when_it_leaves(autojump_clock: MockClock) -> None:
    async with open_hub(takeover_s=5.0, grace_s=1.0) as hub:
        old, new = publisher(), publisher()
        with ExitStack() as first:
            live = first.enter_context(hub.published(old))
            await trio.sleep(6)
            with hub.published(new):
                first.close()
                await trio.sleep(2)
                assert list(hub) == [(live, new)]
                assert not live.ended.is_set()


async def test_a_publisher_who_came_back_keeps_its_name_before_its_first_packet(autojump_clock: MockClock) -> None:
    async with open_hub(takeover_s=5.0) as hub:
        with hub.published(publisher()) as live:
            live.push(AUDIO, 0, aac())
        await trio.sleep(8)
        with hub.published(publisher()), pytest.raises(NameTakenError), hub.published(publisher()):
            pytest.fail("it has not been silent for as long as that")


async def test_0_seconds_of_silence_are_enough_if_the_settings_say_so(autojump_clock: MockClock) -> None:
    async with open_hub(takeover_s=0.0) as hub:
        with hub.published(publisher()) as live:
            live.push(AUDIO, 0, aac())
            with hub.published(publisher()) as same:
                assert same is live


# --- grace ---


async def test_a_stream_goes_on_for_those_who_watch_if_its_publisher_comes_back(autojump_clock: MockClock) -> None:
    async with open_hub(grace_s=10.0) as hub:
        with ExitStack() as viewers:
            with hub.published(publisher()) as live:
                watcher = viewers.enter_context(watching(live))
                live.push(VIDEO, 70_000, configuration(b"avc"))
                live.push(VIDEO, 70_000, keyframe(b"1"))
            assert hub.find("myapp", "test") is live, "who comes in the gap waits with the others"
            assert list(hub) == [(live, None)]
            await trio.sleep(9.9)
            with hub.published(publisher()) as same:
                assert same is live
                live.push(VIDEO, 5, configuration(b"hevc"))
                live.push(VIDEO, 5, keyframe(b"2"))
                live.push(VIDEO, 45, inter_frame(b"3"))
                await trio.sleep(30)
                assert not live.ended.is_set()
                for body in (configuration(b"hevc"), keyframe(b"2"), inter_frame(b"3")):
                    assert body in watcher.sink.taken
                assert not ended_well(watcher)


async def test_the_name_is_free_at_once(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        for _ in range(3):
            with hub.published(publisher()) as live:
                live.push(AUDIO, 0, aac())


async def test_a_publisher_who_does_not_come_back_ends_the_stream(autojump_clock: MockClock) -> None:
    async with open_hub(grace_s=10.0) as hub:
        with ExitStack() as viewers:
            with hub.published(publisher()) as live:
                watcher = viewers.enter_context(watching(live))
                live.push(AUDIO, 0, aac())
            await trio.sleep(9.9)
            assert not live.ended.is_set()
            await trio.sleep(0.2)
            assert live.ended.is_set()
            assert hub.find("myapp", "test") is None
            assert ended_well(watcher)
        with hub.published(publisher()) as another:
            assert another is not live


async def test_grace_begins_anew_with_each_publisher_who_leaves(autojump_clock: MockClock) -> None:
    async with open_hub(grace_s=10.0) as hub:
        for _ in range(3):
            with hub.published(publisher()) as live:
                pass
            await trio.sleep(9)
        assert not live.ended.is_set()


async def test_a_publisher_who_is_lost_leaves_as_one_who_ends(autojump_clock: MockClock) -> None:
    async with open_hub(grace_s=10.0) as hub:
        with pytest.raises(ConnectionResetError), hub.published(publisher()) as live:
            raise ConnectionResetError
        assert hub.find("myapp", "test") is live
        await trio.sleep(10.1)
        assert live.ended.is_set()


async def test_what_was_pending_goes_out_when_the_publisher_leaves(autojump_clock: MockClock) -> None:
    async with open_hub(limits=lambda app: HubLimits(merge_s=5.0, republish_grace_s=10.0)) as hub:
        with ExitStack() as viewers:
            with hub.published(publisher()) as live:
                watcher = viewers.enter_context(watching(live))
                live.push(AUDIO, 0, aac(b"last"))
            assert aac(b"last") in watcher.sink.taken


async def test_no_grace_ends_the_stream_at_once(autojump_clock: MockClock) -> None:
    async with open_hub(grace_s=0.0) as hub:
        with hub.published(publisher()) as live:
            pass
        await trio.testing.wait_all_tasks_blocked()
        assert live.ended.is_set()
        assert len(hub) == 0


# --- ending by hand ---


async def test_ending_a_stream_ends_its_publisher_and_its_viewers_at_once(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        ours = publisher()
        with hub.published(ours) as live, watching(live) as watcher:
            assert hub.end("myapp", "test", EndReason.KICKED)
            assert ours.ended_by is EndReason.KICKED
            assert ours.scope.cancel_called
            assert live.ended.is_set()
            assert ended_well(watcher)
            assert hub.find("myapp", "test") is None
            assert not hub.end("myapp", "test", EndReason.KICKED)


async def test_the_publisher_of_an_ended_stream_does_not_touch_its_successor(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        with ExitStack() as first:
            old = first.enter_context(hub.published(publisher()))
            hub.end("myapp", "test", EndReason.KICKED)
            with hub.published(publisher()) as new:
                old.push(AUDIO, 0, aac())
                first.close()
                await trio.sleep(20)
                assert hub.find("myapp", "test") is new is not old
                assert not new.ended.is_set()


async def test_a_stream_can_be_ended_in_its_grace(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        with hub.published(publisher()) as live:
            pass
        assert hub.end("myapp", "test", EndReason.KICKED)
        assert live.ended.is_set()


# --- waiting ---


async def test_a_stream_that_is_there_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        with hub.published(publisher()) as live:
            assert await hub.wait_for("myapp", "test", 5) is live
        assert trio.current_time() == 0


@pytest.mark.parametrize("seconds", [0, 0.5, 3])
async def test_one_that_does_not_come_is_waited_for_as_long_as_was_said(
    seconds: float, autojump_clock: MockClock
) -> None:
    async with open_hub() as hub:
        assert await hub.wait_for("myapp", "test", seconds) is None
        assert trio.current_time() == seconds
        assert hub._awaited == {}


async def test_everyone_who_waits_gets_the_stream_when_it_comes(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        found: list[tuple[LiveStream | None, float]] = []

        async def wait(seconds: float) -> None:
            found.append((await hub.wait_for("myapp", "test", seconds), trio.current_time()))

        async with trio.open_nursery() as nursery:
            for seconds in (1, 5, 6):
                nursery.start_soon(wait, seconds)
            await trio.sleep(2)
            assert found == [(None, 1)]
            with hub.published(publisher("another")):
                await trio.sleep(1)
                assert len(hub._awaited) == 1
            with hub.published(publisher()) as live:
                await trio.testing.wait_all_tasks_blocked()
                assert found[1:] == [(live, 3), (live, 3)]


async def test_who_gives_up_waiting_leaves_nothing_and_the_others_alone(autojump_clock: MockClock) -> None:
    async with open_hub() as hub, trio.open_nursery() as nursery:
        nursery.start_soon(hub.wait_for, "myapp", "test", 100)
        with trio.move_on_after(1):
            await hub.wait_for("myapp", "test", 100)
        assert len(hub._awaited) == 1
        nursery.cancel_scope.cancel()
    assert hub._awaited == {}


async def test_a_stream_that_comes_and_goes_before_the_waiter_runs_is_none(autojump_clock: MockClock) -> None:
    async with open_hub() as hub:
        found: list[LiveStream | None] = []

        async def wait() -> None:
            found.append(await hub.wait_for("myapp", "test", 5))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            with hub.published(publisher()):
                hub.end("myapp", "test", EndReason.KICKED)
        assert found == [None]
