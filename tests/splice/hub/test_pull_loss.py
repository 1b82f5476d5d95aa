"""Origins that are lost, stall or end in mid-stream: what viewers see, and when the door tries again, or gives up."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from splice.stats import EndReason
from tests.splice.hub.pulling import Watching, asking, origin_at, relaying
from tests.splice.hub.servers import (
    CHUNKED_HEAD,
    KEYFRAME,
    METADATA,
    MISSING,
    OPENING,
    UNTIL_CLOSE_HEAD,
    HttpOrigin,
    HttpScript,
    flv,
    mute,
    plays,
    says,
)


@pytest.fixture(autouse=True)
def _patience(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.003  # the kernel's loopback may need a moment


@pytest.mark.parametrize(
    "first",
    [plays(2), plays(2, resets=True), plays(2, ends=True)],
    ids=["closed without a last chunk", "reset", "ended"],
)
async def test_a_lost_origin_is_connected_to_again_and_viewers_see_time_go_on(
    autojump_clock: MockClock, first: HttpScript
) -> None:
    server = HttpOrigin(first, plays(start_ms=3_600_000))
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port), "myapp", "test") as live,
    ):
        with Watching(live).present() as watching:
            await trio.sleep(6)
        assert not live.ended.is_set()
    assert len(server.connections) == 2
    assert watching.timestamps == sorted(watching.timestamps)
    assert watching.timestamps[0] == 0
    assert watching.timestamps[-1] < 6000
    assert len([tag for tag in watching.tags if tag.body == KEYFRAME]) > 10
    assert len([tag for tag in watching.tags if tag.body == METADATA]) == 2


async def opened_at(server: HttpOrigin, seconds: float, **options: Callable[[], float]) -> list[float]:
    """When the connections to `server` were opened, while one viewer watches for so long."""
    async with (
        server.listening(),
        relaying(**options) as pulls,
        pulls.watched(origin_at(server.port), "myapp", "test"),
    ):
        await trio.sleep(seconds)
    return [connection.opened_at for connection in server.connections]


async def test_the_pauses_between_attempts_double_up_to_ten_seconds(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays(0), says())
    times = await opened_at(server, 60, jitter=lambda: 1.0)
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[:7] == pytest.approx([0.5, 1, 2, 4, 8, 10, 10], abs=0.05)


async def test_chance_cuts_a_pause_by_up_to_a_half(autojump_clock: MockClock) -> None:
    times = await opened_at(HttpOrigin(plays(0), says()), 10, jitter=lambda: 0.0)
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[:4] == pytest.approx([0.25, 0.5, 1, 2], abs=0.05)


async def test_after_a_minute_of_success_the_pauses_begin_small_again(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays(0), says(), says(), plays(60), plays())
    times = await opened_at(server, 70)
    assert times[4] - (times[3] + 60) == pytest.approx(0.5, abs=0.05)


async def test_an_origin_that_is_down_is_tried_for_as_long_as_somebody_watches(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays(0), *[says()] * 12, plays())
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port), "myapp", "test") as live,
    ):
        with Watching(live).present() as watching:
            await trio.sleep(150)
        assert not live.ended.is_set()
        assert watching.tags[-1].body == KEYFRAME
        assert len(server.connections) == 14


async def test_a_stall_counts_as_a_loss(autojump_clock: MockClock) -> None:
    server = HttpOrigin(mute(UNTIL_CLOSE_HEAD + flv(*OPENING)), plays())
    async with server.listening(), relaying() as pulls, pulls.watched(origin_at(server.port), "myapp", "test"):
        await server.connections[0].left.wait()
        assert trio.current_time() == pytest.approx(30, abs=0.05)
        await trio.sleep(1)
        assert server.open == 1


GONE: list[tuple[str, HttpScript]] = [
    ("says that the stream is missing", says(MISSING)),
    ("is silent", mute()),
    ("sends a head alone", mute(CHUNKED_HEAD)),
]


@pytest.mark.parametrize("afterwards", [pytest.param(script, id=name) for name, script in GONE])
async def test_an_ended_stream_is_tried_for_republish_grace_s_and_then_ends_for_its_viewers(
    autojump_clock: MockClock,
    afterwards: HttpScript,
) -> None:
    server = HttpOrigin(plays(2, ends=True), afterwards)
    with structlog.testing.capture_logs() as log:
        async with server.listening(), relaying() as pulls:
            async with pulls.watched(origin_at(server.port), "myapp", "test") as live:
                await live.ended.wait()
                assert trio.current_time() == pytest.approx(12, abs=0.05)
            assert list(pulls) == []
    [end] = [entry for entry in log if entry["event"] == "pull.end"]
    assert end["reason"] == EndReason.ORIGIN_ENDED
    assert end["seconds"] == pytest.approx(12, abs=0.05)
    assert end["bytes"] == live.bytes_in > 0


async def test_a_stream_that_comes_back_within_its_grace_may_be_lost_again(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays(2, ends=True), says(MISSING), plays(20, ends=True), says(MISSING))
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port), "myapp", "test") as live,
    ):
        await live.ended.wait()
        assert trio.current_time() == pytest.approx(2 + 1.5 + 20 + 10, abs=0.1)


async def test_no_viewer_means_no_attempt_after_idle_stop_s(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays(0), says())
    async with server.listening(), relaying(idle_stop_s=3) as pulls:
        await asking(pulls, origin_at(server.port))
        await trio.sleep(60)
        assert max(connection.opened_at for connection in server.connections) < 3
