"""Origins of several addresses: who is asked first, and how a relay goes on when the one that serves is lost."""

from functools import partial

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from splice.http import chunk
from tests.splice.hub.pulling import Watching, asking, origin_at, refused_port, relaying
from tests.splice.hub.servers import (
    CHUNKED_HEAD,
    KEYFRAME,
    METADATA,
    MISSING,
    OPENING,
    UNTIL_CLOSE_HEAD,
    HttpOrigin,
    HttpScript,
    RtmpServer,
    flv,
    mute,
    plays,
    plays_rtmp,
    says,
)


@pytest.fixture(autouse=True)
def _patience(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.003  # the kernel's loopback may need a moment


LOSSES: list[tuple[str, HttpScript]] = [
    ("closes", plays(5)),
    ("resets", plays(5, resets=True)),
    ("ends the stream", plays(5, ends=True)),
]


@pytest.mark.parametrize("first", [pytest.param(script, id=name) for name, script in LOSSES])
async def test_a_relay_goes_on_with_the_next_address_and_viewers_see_time_go_on(
    autojump_clock: MockClock, first: HttpScript
) -> None:
    server, other = HttpOrigin(first), HttpOrigin(plays(start_ms=3_600_000))
    async with (
        server.listening(),
        other.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, other.port), "myapp", "test") as live,
    ):
        with Watching(live).present() as watching:
            await trio.sleep(10)
        assert not live.ended.is_set()
        assert (len(server.connections), len(other.connections)) == (1, 1)
        assert other.connections[0].opened_at == pytest.approx(5, abs=0.05)  # at once
    assert watching.timestamps == sorted(watching.timestamps)
    assert watching.timestamps[0] == 0
    assert 9000 < watching.timestamps[-1] < 10_500
    assert len([tag for tag in watching.tags if tag.body == METADATA]) == 2


async def test_over_rtmp_as_well(autojump_clock: MockClock) -> None:
    server, other = RtmpServer(plays_rtmp(5)), RtmpServer(plays_rtmp(start_ms=7))
    async with (
        server.listening(),
        other.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, other.port, scheme="rtmp"), "myapp", "test") as live,
    ):
        with Watching(live).present() as watching:
            await trio.sleep(10)
        assert other.open == 1
    assert watching.timestamps == sorted(watching.timestamps)
    assert 9000 < watching.timestamps[-1] < 10_500


async def test_a_stalled_address_is_left_for_the_next(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(mute(UNTIL_CLOSE_HEAD + flv(*OPENING))), HttpOrigin(plays())
    async with (
        server.listening(),
        other.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, other.port), "myapp", "test"),
    ):
        await server.connections[0].left.wait()
        assert trio.current_time() == pytest.approx(30, abs=0.05)
        await trio.sleep(1)
        assert (server.open, other.open) == (0, 1)


async def test_the_address_that_was_lost_is_tried_again_when_the_others_have_nothing(
    autojump_clock: MockClock,
) -> None:
    server, other = HttpOrigin(plays(5), plays()), HttpOrigin(says(MISSING))
    async with (
        server.listening(),
        other.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, other.port), "myapp", "test") as live,
    ):
        await trio.sleep(7)
        assert not live.ended.is_set()
        assert server.open == 1
        assert len(other.connections) == 1


async def test_viewers_wait_for_the_address_that_had_the_stream_though_a_spare_one_says_404(
    autojump_clock: MockClock,
) -> None:
    server, other = HttpOrigin(plays(5), *[says()] * 5, plays()), HttpOrigin(says(MISSING))
    async with (
        server.listening(),
        other.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, other.port), "myapp", "test") as live,
    ):
        await trio.sleep(60)  # it was down for longer than republish_grace_s
        assert not live.ended.is_set()
        assert server.open == 1


async def test_viewers_do_not_wait_where_the_address_that_had_the_stream_says_404(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays(5), says(MISSING))
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, refused_port()), "myapp", "test") as live,
    ):
        await live.ended.wait()
        assert trio.current_time() == pytest.approx(5 + 10, abs=0.1)


async def test_two_addresses_that_break_off_at_once_are_not_asked_without_pauses(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(plays(0)), HttpOrigin(plays(0))
    async with (
        server.listening(),
        other.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, other.port), "myapp", "test"),
    ):
        await trio.sleep(60)
    assert len(server.connections) + len(other.connections) < 12


async def test_an_address_that_answers_200_and_nothing_is_left_after_first_tag_s(autojump_clock: MockClock) -> None:
    # node-media-server does so, 13 bytes of FLV's header included, while nobody publishes
    server, other = HttpOrigin(mute(CHUNKED_HEAD + chunk(flv()))), HttpOrigin(plays())
    with structlog.testing.capture_logs() as log:
        async with server.listening(), other.listening(), relaying() as pulls:
            await asking(pulls, origin_at(server.port, other.port))
            assert trio.current_time() == pytest.approx(5, abs=0.05)
    [failed] = [entry for entry in log if entry["event"] == "pull.failed"]
    assert (failed["status"], failed["address"]) == (504, f"http://127.0.0.1:{server.port}")


async def test_who_had_the_stream_is_asked_first_for_ten_seconds(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(says(MISSING)), HttpOrigin(plays())
    async with server.listening(), other.listening(), relaying(idle_stop_s=1) as pulls:
        origin = origin_at(server.port, other.port)
        await asking(pulls, origin)
        await trio.sleep(1 + 9)  # the pull has gone on for a second
        await asking(pulls, origin)
        assert (len(server.connections), len(other.connections)) == (1, 2)
        await trio.sleep(1 + 11)
        await asking(pulls, origin)
        assert (len(server.connections), len(other.connections)) == (2, 3)


async def test_who_had_the_stream_and_is_gone_does_not_keep_it_from_the_others(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(says(MISSING), plays()), HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=0) as pulls:
        async with other.listening():
            origin = origin_at(server.port, other.port)
            await asking(pulls, origin)
        await trio.sleep(1)
        await asking(pulls, origin)
        assert len(server.connections) == 2


async def test_a_kept_stream_goes_from_one_address_to_the_other_and_back(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(plays(100), plays()), HttpOrigin(plays(100))
    async with server.listening(), other.listening(), relaying() as pulls:
        pulls.keep(origin_at(server.port, other.port), "myapp", "test")
        await trio.sleep(50)
        [(_, live, _)] = pulls
        with Watching(live).present() as watching:
            await trio.sleep(200)
        assert (len(server.connections), len(other.connections)) == (2, 1)
        assert watching.timestamps == sorted(watching.timestamps)
        assert watching.tags[-1].body == KEYFRAME


async def test_addresses_that_a_reload_has_taken_away_are_not_gone_back_to(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(plays(20)), HttpOrigin(plays())
    async with server.listening(), other.listening(), relaying() as pulls:
        pulls.keep(origin_at(server.port, refused_port()), "myapp", "test")
        await trio.sleep(10)
        pulls.configure({"a": origin_at(other.port)})
        await trio.sleep(20)
        assert (len(server.connections), other.open) == (1, 1)


async def test_a_pull_that_is_watched_learns_of_new_addresses_from_the_reload_itself(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(plays(20)), HttpOrigin(plays())
    async with (
        server.listening(),
        other.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port), "myapp", "test") as live,
    ):
        await trio.sleep(10)
        pulls.configure({"a": origin_at(other.port)})
        await trio.sleep(20)
        assert not live.ended.is_set()
        assert (len(server.connections), other.open) == (1, 1)


async def test_who_came_before_a_reload_turns_no_pull_back_to_the_addresses_of_then(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(plays(20)), HttpOrigin(plays())
    async with server.listening(), other.listening(), relaying() as pulls:
        before = origin_at(server.port)
        pulls.keep(before, "myapp", "test")
        await trio.sleep(10)
        pulls.configure({"a": origin_at(other.port)})
        await asking(pulls, before)
        await trio.sleep(20)
        assert (len(server.connections), other.open) == (1, 1)


async def test_who_waits_for_a_stream_finds_it_at_the_addresses_that_a_reload_brings(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(says(MISSING)), HttpOrigin(says(MISSING), plays())
    async with server.listening(), other.listening(), relaying() as pulls, trio.open_nursery() as nursery:
        before = origin_at(server.port)
        nursery.start_soon(partial(asking, pulls, before, wait_s=10))
        await trio.sleep(0.5)
        pulls.configure({"a": origin_at(other.port)})
        with trio.move_on_after(20):
            while nursery.child_tasks:
                await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
        assert (len(server.connections), len(other.connections), other.open) == (1, 2, 1)
