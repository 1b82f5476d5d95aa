"""Who is slow, who leaves, who is kicked, and a door that stops: by TLS nothing grows, and all is let go of at once."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from h2.exceptions import ProtocolError
from structlog.testing import capture_logs
from trio.testing import MockClock

from splice.http import chunk
from splice.stats import EndReason
from tests.splice.https.https_house import LIVE, SPLICED, Flood, Http2Viewer, HttpsHouse, open_https
from tests.splice.hub.servers import CHUNKED_HEAD, OPENING, flv, mute
from tests.splice.hub_house import inter_frame, keyframe

MEDIA = flv(*OPENING)
STALL_S = 30
HELD_BYTES = 2 * 1024 * 1024
"""What kernels, TLS and the door may hold of one stream between them, whatever it brings."""

Begin = Callable[[HttpsHouse, str], Awaitable[Any]]


async def begin_http1(door: HttpsHouse, target: str) -> Any:
    """A viewer who has its answer's head, and reads nothing more."""
    return await door.http1(target)


async def begin_http2(door: HttpsHouse, target: str) -> Any:
    """One who reads, and opens no window."""
    viewer = await door.http2()
    viewer.gives_room = False
    await viewer.head(await viewer.ask(target))
    return viewer


@pytest.fixture(params=[begin_http1, begin_http2], ids=["HTTP/1.1", "HTTP/2"])
def begin(request: pytest.FixtureRequest) -> Begin:
    return request.param  # type: ignore[no-any-return]  # pytest's params have no type


async def reading(viewer: Any) -> None:
    """Read on, if it is one of HTTP/2, without opening its window."""
    while isinstance(viewer, Http2Viewer) and not viewer.closed:
        await viewer.receive()


def ends(logs: list[Any]) -> list[str]:
    return [entry["reason"] for entry in logs if entry["event"] == "viewer.end"]


async def test_a_viewer_who_takes_nothing_holds_its_origin_back_and_ends(
    begin: Begin, autojump_clock: MockClock
) -> None:
    flood = Flood()
    with capture_logs() as logs:
        async with open_https(flood, timeouts={"stall_s": STALL_S}) as door, trio.open_nursery() as nursery:
            viewer = await begin(door, SPLICED)
            nursery.start_soon(reading, viewer)
            started_at = trio.current_time()
            await door.nobody_watches()
            assert STALL_S - 1 < trio.current_time() - started_at < STALL_S + 2
            assert flood.sent < HELD_BYTES
            nursery.cancel_scope.cancel()
    assert ends(logs) == [EndReason.STALLED]


async def test_a_viewer_who_takes_nothing_of_a_live_stream_has_a_bounded_backlog(
    begin: Begin, autojump_clock: MockClock
) -> None:
    hub = {"backlog_bytes": 65536, "backlog_s": 1}
    with capture_logs() as logs:
        async with (
            open_https(mute(), hub=hub, timeouts={"stall_s": STALL_S}) as door,
            trio.open_nursery() as nursery,
        ):
            publisher = await door.house.rtmp().publish()
            await publisher.begin()
            viewer = await begin(door, LIVE)
            nursery.start_soon(reading, viewer)
            live = door.house.hub.find("myapp", "test")
            assert live is not None
            most = 0
            for number in range(1, 20 * STALL_S):
                await publisher.video(number * 100, keyframe(bytes(20_000)))
                await publisher.audio(number * 100, b"\xaf\x01x")
                most = max(most, live.backlog_bytes)
                await trio.sleep(0.1)
                if not len(door.house.viewers):
                    break
            assert not len(door.house.viewers)
            assert 20_000 < most < 3 * 65536
            nursery.cancel_scope.cancel()
    assert ends(logs) == [EndReason.STALLED]


async def test_a_viewer_who_falls_behind_goes_on_at_a_keyframe(autojump_clock: MockClock) -> None:
    async with open_https(mute(), hub={"backlog_bytes": 65536, "backlog_s": 1}) as door:
        publisher = await door.house.rtmp().publish()
        await publisher.begin()
        viewer = await door.http2()
        stream_id = await viewer.ask(LIVE)
        viewer.gives_room = False
        await viewer.body(stream_id, 20)
        for number in range(1, 50):
            await publisher.video(number * 100, inter_frame(bytes(20_000)))
            await trio.sleep(0.1)
        await publisher.video(6000, keyframe(b"here it goes on"))
        viewer.gives_room = True
        for _ in range(200):
            if b"here it goes on" in viewer.bodies[stream_id]:
                break
            viewer.h2.increment_flow_control_window(65_535)
            viewer.h2.increment_flow_control_window(65_535, stream_id)
            await viewer.flush()
            await viewer.receive()
        assert b"here it goes on" in viewer.bodies[stream_id]
        assert len(viewer.bodies[stream_id]) < 49 * 20_000


@pytest.mark.parametrize("version", [1, 2])
async def test_a_viewer_who_leaves_is_seen_to_though_no_byte_flows(version: int, autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_https(mute(CHUNKED_HEAD + chunk(MEDIA))) as door:
            if version == 1:
                viewer = await door.http1(SPLICED)
                await viewer.next_tag()
            else:
                viewer = await door.http2()
                await viewer.body(await viewer.ask(SPLICED), len(MEDIA))
            with trio.fail_after(0.1):
                await viewer.stream.aclose()
                await door.origin.connections[0].left.wait()
    assert ends(logs) == [EndReason.VIEWER_LEFT]


async def test_a_stream_that_is_reset_lets_go_of_its_origin_alone(autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_HEAD + chunk(MEDIA))) as door:
        viewer = await door.http2()
        one, other = await viewer.ask(SPLICED), await viewer.ask(SPLICED)
        await viewer.body(one, len(MEDIA))
        await viewer.body(other, len(MEDIA))
        await viewer.leave(one)
        with trio.fail_after(0.1):
            while door.origin.open == 2:
                await trio.sleep(0.01)
        assert len(door.house.viewers) == 1


async def test_a_viewer_who_talks_on_is_still_seen_to_leave(autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_HEAD + chunk(MEDIA))) as door:
        viewer = await door.http1(SPLICED)
        await viewer.stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        await viewer.next_tag()
        with trio.fail_after(0.1):
            await viewer.leave()
            await door.origin.connections[0].left.wait()


async def test_a_viewer_who_talks_without_end_goes(autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_HEAD + chunk(MEDIA))) as door:
        viewer = await door.http1(SPLICED)
        with trio.fail_after(1), pytest.raises(trio.BrokenResourceError):
            while True:
                await viewer.stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        await door.origin.connections[0].left.wait()


async def test_a_viewer_who_is_kicked_is_gone_though_it_takes_nothing(begin: Begin, autojump_clock: MockClock) -> None:
    flood = Flood()
    with capture_logs() as logs:
        async with open_https(flood) as door, trio.open_nursery() as nursery:
            viewer = await begin(door, SPLICED)
            nursery.start_soon(reading, viewer)
            await trio.sleep(1)
            (record,) = door.house.viewers
            record.end(EndReason.KICKED)
            with trio.fail_after(0.1):
                await door.nobody_watches()
                await door.origin.connections[0].left.wait()
            nursery.cancel_scope.cancel()
    assert ends(logs) == [EndReason.KICKED]


async def test_of_two_streams_the_one_that_is_kicked_is_reset(autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_HEAD + chunk(MEDIA))) as door:
        viewer = await door.http2()
        one, other = await viewer.ask(SPLICED), await viewer.ask(SPLICED)
        await viewer.body(one, len(MEDIA))
        await viewer.body(other, len(MEDIA))
        next(iter(door.house.viewers)).end(EndReason.KICKED)
        await viewer.reset_by_door(one)
        assert other not in viewer.resets | viewer.ended
        assert (await viewer.head(await viewer.ask("/")))[":status"] == "200"


async def test_an_open_stream_does_not_hold_up_the_stop(begin: Begin, autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_https(Flood()) as door:
            await begin(door, SPLICED)
            await trio.sleep(1)
            door.house.server.rooms.viewers.end_all(EndReason.DRAINED)
            door.stop()
            with trio.fail_after(0.1):
                await door.house.nothing_left()
    assert ends(logs) == [EndReason.DRAINED]


async def test_a_connection_of_a_thousand_requests_ends_with_its_streams(autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_HEAD + chunk(MEDIA))) as door:
        viewer = await door.http2()
        await viewer.body(await viewer.ask(SPLICED), len(MEDIA))
        with trio.fail_after(5):  # and not when the stream is found to have stalled
            for _ in range(1100):
                try:
                    await viewer.head(await viewer.ask("/", method="HEAD"))
                except (trio.BrokenResourceError, ProtocolError, AssertionError):
                    break
            await door.origin.connections[0].left.wait()


async def test_a_client_that_shakes_no_hands_ends(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_https(mute(), timeouts={"head_s": 10}) as door:
            stream = door.house.dial(door.door.serve)
            assert await stream.receive_some() == b""
            assert trio.current_time() == pytest.approx(10, abs=1)
            garbage = door.house.dial(door.door.serve)
            await garbage.send_all(b"GET / HTTP/1.1\r\nHost: door\r\n\r\n")
            with trio.fail_after(1):
                while await garbage.receive_some():
                    pass
    assert [entry["event"] for entry in logs] == ["tls.failed", "tls.failed"]
    assert "http request" in logs[1]["detail"]


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
async def test_a_client_that_asks_for_nothing_ends(protocol: str, autojump_clock: MockClock) -> None:
    async with open_https(mute(), timeouts={"head_s": 10}) as door:
        stream = await door.dial(protocol)
        with trio.fail_after(12):
            while await stream.receive_some():
                pass


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"PRI * HTTP/2.0\r\n\r\nnonsense", b"GET / HTTP/1.1\r\n" * 3000])
@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
async def test_garbage_ends_its_connection_alone(protocol: str, garbage: bytes, autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_https(mute()) as door:
            stream = await door.dial(protocol)
            await stream.send_all(garbage)
            try:
                with trio.fail_after(15):
                    while await stream.receive_some():
                        pass
            except trio.BrokenResourceError:
                pass
            assert (await door.http1("/")).head.status == 200
    assert not [entry for entry in logs if entry["log_level"] == "error"]
