"""The forwards in force: a reload touches only what differs, the operator adds and removes, no circle multiplies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import structlog.testing
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from protocol.amf import Value
from protocol.rtmp import MediaKind, parse_url
from splice.hub.forward import ForwardRule, ForwardTimeouts, SendingState
from splice.hub.passage import MOST_DOORS, Passage
from tests.splice.hub.forwarding import PUBLISHED_METADATA, TIMEOUTS, opened_forwards, published, push, to
from tests.splice.hub.pulling import origin_at, refused_port, relaying
from tests.splice.hub.servers import (
    INTER_FRAME,
    OPENING,
    HttpOrigin,
    RtmpServer,
    ServerStream,
    mute,
    plays,
    says,
    silent_rtmp,
)
from tests.splice.hub_house import House, open_house


@pytest.fixture(autouse=True)
def _patience(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.003  # the kernel's loopback may need a moment


def names(server: RtmpServer) -> list[tuple[str, str, bool]]:
    """What was published to a server, and whether its connection is still open."""
    return sorted((peer.app, peer.name, not peer.left.is_set()) for peer in server.connections)


# --- a reload ---


async def test_a_reload_ends_what_is_gone_begins_what_is_new_and_leaves_the_rest_alone(
    autojump_clock: MockClock,
) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening():
        stays, goes, comes = (ForwardRule("myapp/*", to(server, app)) for app in ("stays", "goes", "comes"))
        async with opened_forwards(stays, goes) as (hub, forwards):
            with published(hub) as live:
                await trio.sleep(1)
                before = {forward.rule: forward.id for forward in forwards}
                forwards.configure([comes, stays])
                await trio.sleep(2)
                assert names(server) == [
                    ("comes", "test", True),
                    ("goes", "test", False),
                    ("stays", "test", True),
                ]
                push(live, (MediaKind.VIDEO, 40, INTER_FRAME))
                await trio.sleep(0.1)
                assert {forward.rule: forward.id for forward in forwards}[stays] == before[stays]
        by_app = {peer.app: peer for peer in server.connections}
        assert [INTER_FRAME in [body for _, _, body in by_app[app].media] for app in ("stays", "goes")] == [True, False]
        assert by_app["goes"].stopped.is_set()  # in order: the target was told that this is all


async def test_a_reload_without_a_change_touches_nothing(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening():
        rule = ForwardRule("*", to(server))
        async with opened_forwards(rule, rule) as (hub, forwards):
            with published(hub):
                await trio.sleep(1)
                for _ in range(3):
                    forwards.configure([rule])
                await trio.sleep(1)
            assert len(server.connections) == 1


async def test_a_forward_that_waits_for_its_target_ends_at_once(autojump_clock: MockClock) -> None:
    rule = ForwardRule("*", f"rtmp://127.0.0.1:{refused_port()}/backup")
    with structlog.testing.capture_logs() as log:
        async with opened_forwards(rule) as (hub, forwards):
            with published(hub):
                await trio.sleep(20)
                [forward] = forwards
                assert [sending.state for sending in forward.sendings] == [SendingState.WAITING]
                forwards.configure([])
                await trio.sleep(0.01)
                assert (forward.sendings, list(forwards)) == ([], [])
                assert forward.counts.reconnects > 2
                assert "refuses connections" in str(forward.last_error)
    assert [entry["event"] for entry in log if entry["event"] == "forward.end"] == ["forward.end"]


async def test_a_target_that_takes_nothing_does_not_hold_up_the_end_of_its_forward(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp, deaf_after="publish")
    async with (
        server.listening(),
        opened_forwards(ForwardRule("*", to(server)), backlog_bytes=64 << 20) as (hub, forwards),
    ):
        with published(hub) as live:
            await trio.sleep(0.5)
            for _ in range(30):
                push(live, (MediaKind.VIDEO, 0, INTER_FRAME + bytes(1 << 20)))
            await trio.sleep(0.1)
            [forward] = forwards
            forwards.configure([])
            await trio.sleep(0.9)
            assert len(forward.sendings) == 1
            await trio.sleep(0.2)
            assert forward.sendings == []
        server.drop()


async def test_all_forwards_are_stopped_at_once_and_none_begins_any_more(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening(), opened_forwards(ForwardRule("*", to(server))) as (hub, forwards):
        with published(hub) as live:
            forwards.add(ForwardRule("*", to(server, "other")))
            with forwards.sending(live, parse_url(to(server, "third/x"))):
                await trio.sleep(1)
            await forwards.stop_all()
            assert trio.current_time() == pytest.approx(1, abs=0.1)
            assert (list(forwards), forwards.sendings) == ([], [])
            with published(hub, stream="another"):
                await trio.sleep(1)
        assert names(server) == [("backup", "test", False), ("other", "test", False), ("third", "x", False)]
        assert all(peer.stopped.is_set() for peer in server.connections)


@pytest.mark.parametrize("more", ["a target takes nothing", "somebody adds a forward meanwhile"])
async def test_stopping_all_forwards_takes_no_more_than_a_second(autojump_clock: MockClock, more: str) -> None:
    server = RtmpServer(silent_rtmp, deaf_after="publish" if more == "a target takes nothing" else "")
    async with (
        server.listening(),
        opened_forwards(ForwardRule("*", to(server)), backlog_bytes=64 << 20) as (hub, forwards),
        trio.open_nursery() as nursery,
    ):
        with published(hub) as live:
            await trio.sleep(0.5)
            for _ in range(30):
                push(live, (MediaKind.VIDEO, 0, INTER_FRAME + bytes(1 << 20)))
            await trio.sleep(0.1)
            nursery.start_soon(forwards.stop_all)
            await wait_all_tasks_blocked()
            if more == "somebody adds a forward meanwhile":
                forwards.add(ForwardRule("*", to(server)))
            with trio.fail_after(1.1):
                while nursery.child_tasks:
                    await trio.sleep(0.01)
        server.drop()


class HesitantServer(RtmpServer):
    """Lets those who connect wait for half a second."""

    async def _converse(self, stream: ServerStream) -> None:
        await trio.sleep(0.5)
        await super()._converse(stream)


@pytest.mark.parametrize("by_rule", [True, False])
async def test_a_forward_that_is_stopped_while_it_connects_says_goodbye_without_a_picture(
    autojump_clock: MockClock, by_rule: bool
) -> None:
    server = HesitantServer(silent_rtmp)
    async with server.listening(), opened_forwards() as (hub, forwards):
        with published(hub) as live:
            if by_rule:
                forward = forwards.add(ForwardRule("*", to(server)))
                await trio.sleep(0.1)
                forwards.remove(forward)
            else:
                with forwards.sending(live, parse_url(to(server, "backup/test"))):
                    await trio.sleep(0.1)
            await trio.sleep(0.8)
            [peer] = server.connections
            assert (peer.name, peer.media) == ("test", [])
            assert (peer.stopped.is_set(), peer.left.is_set(), forwards.sendings) == (True, True, [])


async def test_a_stream_that_ends_while_its_forward_connects_is_sent_on_all_the_same(autojump_clock: MockClock) -> None:
    server = HesitantServer(silent_rtmp)
    async with server.listening(), opened_forwards(ForwardRule("*", to(server)), grace_s=0) as (hub, _):
        with published(hub):
            await trio.sleep(0.1)
        await trio.sleep(0.8)
        [peer] = server.connections
        assert [body for _, _, body in peer.media] == [PUBLISHED_METADATA, *(body for _, _, body in OPENING[1:])]
        assert peer.stopped.is_set()


async def test_new_time_outs_are_for_the_connections_that_follow(autojump_clock: MockClock) -> None:
    server = HttpOrigin(mute(), awaits_head=False)
    async with server.listening(), opened_forwards(ForwardRule("*", to(server))) as (hub, forwards):
        with published(hub):
            await trio.sleep(1)
            forwards.timeouts = ForwardTimeouts(connect_s=5, start_s=3, stall_s=30)
            await trio.sleep(20)
        pauses = [after.opened_at - before.opened_at for before, after in pairwise(server.connections)]
        assert pauses[:3] == pytest.approx([TIMEOUTS.start_s + 0.5, 3 + 1, 3 + 2], abs=0.1)


# --- the operator's own ---


async def test_a_forward_that_is_added_begins_at_once_and_survives_a_reload(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening(), opened_forwards() as (hub, forwards):
        with published(hub), published(hub, stream="other"):
            await trio.sleep(1)
            forward = forwards.add(ForwardRule("myapp/t*", to(server)))
            assert not forward.configured
            with pytest.raises(ValueError, match=forward.id):
                forwards.add(forward.rule)
            forwards.configure([ForwardRule("nothing/*", to(server))])
            await trio.sleep(1)
            assert names(server) == [("backup", "test", True)]
            assert forwards.find(forward.id) is forward
            [sending] = forward.sendings
            assert (sending.state, forward.counts.bytes > 0, forward.last_error) == (SendingState.RUNNING, True, None)
            forwards.remove(forward)
            await trio.sleep(0.1)
            assert names(server) == [("backup", "test", False)]
            assert (forwards.find(forward.id), forward.counts.bytes > 0) == (None, True)


async def test_a_forward_that_the_configuration_names_later_is_its_own_and_goes_with_it(
    autojump_clock: MockClock,
) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening(), opened_forwards() as (hub, forwards):
        with published(hub):
            forward = forwards.add(ForwardRule("*", to(server)))
            await trio.sleep(1)
            forwards.configure([forward.rule])
            assert forward.configured
            assert len(server.connections) == 1
            forwards.configure([])
            assert list(forwards) == []


async def test_a_stream_is_sent_on_by_the_block_that_asks_for_it_unless_a_rule_does_it_anyway(
    autojump_clock: MockClock,
) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening(), opened_forwards(ForwardRule("*", to(server))) as (hub, forwards):
        with published(hub) as live:
            with forwards.sending(live, parse_url(to(server, "other/x"))):
                await trio.sleep(1)
            with forwards.sending(live, parse_url(to(server, "backup/test"))):
                await trio.sleep(1)
            assert names(server) == [("backup", "test", True), ("other", "x", False)]


# --- streams that are pulled ---


async def test_a_pulled_stream_is_sent_on_once_it_has_begun_and_no_stream_that_never_does(
    autojump_clock: MockClock,
) -> None:
    server = RtmpServer(silent_rtmp)
    origin, empty = HttpOrigin(plays()), HttpOrigin(says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    async with server.listening(), origin.listening(), empty.listening():
        rule = ForwardRule("cams/*", to(server))
        async with opened_forwards(rule) as (_, forwards), relaying(idle_stop_s=1) as pulls:
            pulls.on_stream.append(forwards.begin)
            pulls.keep(origin_at(origin.port), "cams", "front")
            await trio.sleep(2)
            pulls.keep(origin_at(empty.port), "cams", "back")
            await trio.sleep(2)
            [peer] = server.connections
            assert (peer.app, peer.name) == ("backup", "front")
            assert len(peer.media) > 5
            assert pulls.let_go("a", "cams", "front")
            await peer.left.wait()
            assert peer.stopped.is_set()
            pulls.let_go("a", "cams", "back")


# --- circles ---


@asynccontextmanager
async def listening(house: House) -> AsyncIterator[int]:
    """The RTMP door of a house, at a port of 127.0.0.1."""
    async with trio.open_nursery() as nursery:
        serve = house.rtmp_door.serve

        async def accept(stream: trio.SocketStream) -> None:
            accepted = stream.socket
            peer = accepted.getpeername()
            plain: Any = accepted.dup()._sock
            accepted.close()
            await serve(plain, peer)

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, accept, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def streams(house: House) -> list[str]:
    return sorted(f"{live.app}/{live.stream}" for live, _ in house.hub)


def refusals(log: list[Any]) -> list[str]:
    return [str(entry["detail"]) for entry in log if entry["event"] == "rtmp.refused"]


@pytest.mark.parametrize("path", ["myapp", "other", "{app}/{stream}x"])
async def test_a_forward_to_the_door_itself_is_refused_and_multiplies_nothing(
    path: str, autojump_clock: MockClock
) -> None:
    with structlog.testing.capture_logs() as log:
        async with open_house(hub={"republish_grace_s": 0}) as house, listening(house) as port:
            forward = house.server.rooms.forwards.add(ForwardRule("*", f"rtmp://127.0.0.1:{port}/{path}"))
            publisher = await house.rtmp().publish()
            await publisher.begin()
            await trio.sleep(30)
            assert streams(house) == ["myapp/test"]
            assert [sending.state for sending in forward.sendings] == [SendingState.WAITING]
            assert "circle" in str(forward.last_error)
            house.server.rooms.forwards.remove(forward)
            await publisher.leave()
    assert 4 < len(refusals(log)) < 12  # after growing pauses
    assert all("circle" in detail for detail in refusals(log))


@pytest.mark.parametrize("path", ["{app}/{stream}", "{app}/{stream}x"])
async def test_two_doors_that_forward_to_each_other_end_where_the_circle_closes(
    path: str, autojump_clock: MockClock
) -> None:
    brief = {"republish_grace_s": 3}
    with structlog.testing.capture_logs() as log:
        async with (
            open_house(hub=brief) as a,
            open_house(hub=brief) as b,
            listening(a) as port_a,
            listening(b) as port_b,
        ):
            there = a.server.rooms.forwards.add(ForwardRule("*", f"rtmp://127.0.0.1:{port_b}/{path}"))
            back = b.server.rooms.forwards.add(ForwardRule("*", f"rtmp://127.0.0.1:{port_a}/{path}"))
            publisher = await a.rtmp().publish()
            await publisher.begin()
            await trio.sleep(10)
            [live] = [live for live, _ in b.hub]
            assert live.bytes_in > 0
            # The name is free now, and must not go to the stream's own copy, which nothing could ever end.
            await publisher.leave()
            await trio.sleep(2)
            assert [publisher for _, publisher in a.hub] == [None]
            await trio.sleep(10)
            assert (streams(a), streams(b)) == ([], [])
            a.server.rooms.forwards.remove(there)
            b.server.rooms.forwards.remove(back)
    assert all("circle" in detail for detail in refusals(log))
    assert refusals(log)


def test_a_passage_closes_where_it_has_been_or_has_become_too_long() -> None:
    passage = Passage().through("aa").through("bb")
    told = Passage.told(passage.properties)
    assert told == passage
    assert [told.closes_at(door) for door in ("aa", "bb", "cc")] == [True, True, False]
    for number in range(MOST_DOORS - 2):
        told = told.through(f"{number}")
    assert not told.closes_at("cc")
    assert told.through("dd").closes_at("cc")


@pytest.mark.parametrize("value", [None, 1.0, "", "AA", "no such", " ", "x" * 1000, {"a": "b"}])
def test_what_is_no_passage_is_none(value: Value) -> None:
    assert Passage.told({"spliceDoors": value}) == Passage()
    assert Passage.told({}) == Passage()


def test_a_passage_that_is_told_is_bounded() -> None:
    told = Passage.told({"spliceDoors": "a " * 100_000})
    assert len(told.doors) == MOST_DOORS + 1
    assert told.closes_at("cc")
