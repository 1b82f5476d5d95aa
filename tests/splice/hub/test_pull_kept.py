"""Pulls without viewers: they begin by themselves, come back for ever, and end when they are let go."""

from dataclasses import replace
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from splice.stats import EndReason, Publishers
from tests.splice.hub.pulling import LIMITS, Watching, asking, origin_at, refused_port, relaying
from tests.splice.hub.servers import MISSING, HttpOrigin, plays, says


@pytest.fixture(autouse=True)
def _patience(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.003  # the kernel's loopback may need a moment


async def test_a_kept_stream_is_pulled_though_nobody_watches(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=1) as pulls:
        assert pulls.keep(origin_at(server.port), "cams", "front")
        await trio.sleep(60)
        assert [(origin, live.app, live.stream) for origin, live, _ in pulls] == [("a", "cams", "front")]
        assert len(server.connections) == server.open == 1
        assert pulls.kept == [("a", "cams", "front")]


async def test_viewers_share_the_kept_pull_and_leave_it_running(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=1) as pulls:
        pulls.keep(origin_at(server.port), "myapp", "test")
        await trio.sleep(5)
        async with pulls.watched(origin_at(server.port), "myapp", "test") as live:
            with Watching(live).present() as watching:
                await trio.sleep(1)
        await trio.sleep(30)
        assert watching.timestamps[0] >= 4500  # it joined what ran already
        assert not live.ended.is_set()
        assert len(server.connections) == 1


async def test_keeping_twice_is_keeping_once(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying() as pulls:
        assert pulls.keep(origin_at(server.port), "myapp", "test")
        assert not pulls.keep(origin_at(server.port), "myapp", "test")
        await trio.sleep(5)
        assert len(server.connections) == 1
        assert pulls.let_go("a", "myapp", "test")
        assert not pulls.let_go("a", "myapp", "test")
        assert pulls.kept == []


async def test_what_is_let_go_ends_after_idle_stop_s(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=7) as pulls:
        pulls.keep(origin_at(server.port), "myapp", "test")
        await trio.sleep(20)
        pulls.let_go("a", "myapp", "test")
        await server.connections[0].left.wait()
        assert trio.current_time() == pytest.approx(27, abs=0.05)
        await wait_all_tasks_blocked()
        assert list(pulls) == []


async def test_what_is_let_go_goes_on_for_its_viewers(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=1) as pulls:
        pulls.keep(origin_at(server.port), "myapp", "test")
        async with pulls.watched(origin_at(server.port), "myapp", "test") as live:
            pulls.let_go("a", "myapp", "test")
            await trio.sleep(10)
            assert not live.ended.is_set()
            assert len(server.connections) == 1


async def test_a_stream_that_is_missing_at_first_is_asked_for_until_it_comes(autojump_clock: MockClock) -> None:
    server = HttpOrigin(*[says(MISSING)] * 9, plays())
    async with server.listening(), relaying() as pulls:
        pulls.keep(origin_at(server.port), "myapp", "test")
        await trio.sleep(120)
        times = [connection.opened_at for connection in server.connections]
        # Each time the failure is remembered for a second, and then comes the pause.
        pauses = [after - before - 1 for before, after in pairwise(times)]
        assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 10, 10, 10, 10], abs=0.05)
        assert server.open == 1
        await asking(pulls, origin_at(server.port))


async def test_a_viewer_who_asks_in_a_pause_need_not_wait_for_its_end(autojump_clock: MockClock) -> None:
    server = HttpOrigin(*[says(MISSING)] * 7, plays())
    async with server.listening(), relaying() as pulls:
        pulls.keep(origin_at(server.port), "myapp", "test")
        with trio.fail_after(60):
            while len(server.connections) < 7:
                await trio.sleep(1)
        await trio.sleep(2)
        asked_at = trio.current_time()
        await asking(pulls, origin_at(server.port))
        assert trio.current_time() - asked_at < 0.1
        await trio.sleep(60)
        assert len(server.connections) == 8


async def test_an_origin_that_is_down_or_has_no_such_name_is_no_reason_to_give_up(autojump_clock: MockClock) -> None:
    port = refused_port()
    server = HttpOrigin(plays())
    async with relaying() as pulls:
        pulls.keep(origin_at(port), "myapp", "test")
        await trio.sleep(100)
        assert list(pulls) == []
        async with server.listening(port):
            await trio.sleep(15)
            assert server.open == 1


async def test_a_kept_stream_that_ends_or_is_kicked_is_pulled_again(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays(2, ends=True), says(MISSING), says(MISSING), says(MISSING), says(MISSING), plays())
    async with server.listening(), relaying() as pulls:
        pulls.keep(origin_at(server.port), "myapp", "test")
        await trio.sleep(40)
        [(_, live, publisher)] = pulls
        publisher.end(EndReason.KICKED)
        await live.ended.wait()
        await trio.sleep(5)
        [(_, other, _)] = pulls
        assert other is not live
        assert server.open == 1


async def test_new_addresses_of_an_origin_are_for_the_next_connection(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(plays(10)), HttpOrigin(plays())
    async with server.listening(), other.listening(), relaying() as pulls:
        pulls.keep(origin_at(server.port), "myapp", "test")
        await trio.sleep(5)
        pulls.configure({"a": origin_at(other.port)})
        await trio.sleep(4)
        assert (server.open, other.open) == (1, 0)
        await trio.sleep(3)
        assert (len(server.connections), other.open) == (1, 1)


async def test_a_kept_stream_waits_for_room_among_the_publishers(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    publishers = Publishers(limit=1)
    async with server.listening(), relaying(publishers=publishers, idle_stop_s=5) as pulls:
        await asking(pulls, origin_at(server.port), stream="first")
        pulls.keep(origin_at(server.port), "myapp", "second")
        await trio.sleep(2)
        assert [publisher.stream for publisher in publishers] == ["first"]
        await trio.sleep(20)
        assert [publisher.stream for publisher in publishers] == ["second"]


async def test_after_a_minute_of_success_the_pauses_begin_small_again(autojump_clock: MockClock) -> None:
    server = HttpOrigin(*[says(MISSING)] * 5, plays(70, ends=True), says(MISSING))
    async with server.listening(), relaying(limits=replace(LIMITS, republish_grace_s=0.0)) as pulls:
        pulls.keep(origin_at(server.port), "myapp", "test")
        await trio.sleep(120)
        began, after = (connection.opened_at for connection in server.connections[5:7])
        assert after - (began + 70) == pytest.approx(0.5, abs=0.05)


# --- another configuration ---


async def test_what_is_added_and_removed_begins_and_ends_and_the_rest_runs_on(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=0) as pulls:
        origins = {"a": origin_at(server.port)}
        pulls.configure(origins, add=[("a", "cams", "front"), ("a", "cams", "side")])
        pulls.keep(origins["a"], "cams", "by-hand")
        await trio.sleep(5)
        pulls.configure(origins, add=[("a", "cams", "back")], remove=[("a", "cams", "front")])
        await trio.sleep(5)
        assert {live.stream for _, live, _ in pulls} == {"side", "by-hand", "back"}
        assert len(server.connections) == 4


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "spliced now"])
async def test_what_is_kept_of_an_origin_that_relays_no_longer_is_let_go(autojump_clock: MockClock, gone: bool) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=0) as pulls:
        pulls.keep(origin_at(server.port), "myapp", "test")
        await trio.sleep(5)
        pulls.configure({} if gone else {"a": origin_at(server.port, relayed=False)})
        await trio.sleep(5)
        assert (server.open, pulls.kept, list(pulls)) == (0, [], [])


async def test_everything_can_be_let_go_at_once(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=0) as pulls:
        for stream in ("front", "back"):
            pulls.keep(origin_at(server.port), "cams", stream)
        await trio.sleep(5)
        pulls.let_all_go()
        await trio.sleep(5)
        assert (server.open, pulls.kept, list(pulls)) == (0, [], [])
