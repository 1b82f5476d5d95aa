"""RTMPS: the RTMP door's publishers and players, over TLS."""

import ssl
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from protocol.rtmp import MediaKind, parse_url
from splice.stats import EndReason
from tests.splice.https.https_house import authority, client_context
from tests.splice.hub_house import House, RtmpClient, keyframe, open_house


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert("localhost").configure_cert(context)
    return context


async def rtmps(house: House) -> RtmpClient:
    """A client whose TLS handshake is done."""
    house.rtmp_door.tls = house.rtmp_door.tls or server_context()
    transport = house.dial(house.rtmp_door.serve_tls)
    stream: Any = trio.SSLStream(transport, client_context(), server_hostname="localhost")
    await stream.do_handshake()
    return RtmpClient(stream, parse_url("rtmp://door/myapp/test"))


async def test_what_is_published_by_tls_is_played_by_tls_and_without(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await (await rtmps(house)).publish()
        await publisher.begin()
        players = [await (await rtmps(house)).play(), await house.rtmp().play()]
        viewer = await house.http()
        await publisher.video(40, keyframe(b"the next"))
        for player in players:
            assert (await player.media_with(keyframe(b"the next"))).kind is MediaKind.VIDEO
        await viewer.tag_with(keyframe(b"the next"))
        assert len(house.viewers) == 3
        for client in (publisher, *players):
            await client.stream.aclose()


async def test_a_player_hears_of_the_end(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house(hub={"republish_grace_s": 0}) as house:
            publisher = await house.rtmp().publish()
            await publisher.begin()
            player = await (await rtmps(house)).play()
            await player.media_with(keyframe())
            await publisher.leave()
            assert await player.last_event() is not None
    assert [entry["reason"] for entry in logs if entry["event"] == "viewer.end"] == [EndReason.ORIGIN_ENDED]


async def test_a_player_who_leaves_is_seen_to(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house() as house:
            publisher = await house.rtmp().publish()
            await publisher.begin()
            player = await (await rtmps(house)).play()
            await player.stream.aclose()
            with trio.fail_after(0.1):
                while len(house.viewers):
                    await trio.sleep(0.01)
    assert [entry["reason"] for entry in logs if entry["event"] == "viewer.end"] == [EndReason.VIEWER_LEFT]


@pytest.mark.parametrize("kicked", [False, True])
async def test_a_player_who_takes_nothing_has_a_bounded_backlog_and_ends(
    kicked: bool, autojump_clock: MockClock
) -> None:
    hub = {"backlog_bytes": 65536, "backlog_s": 1}
    with capture_logs() as logs:
        async with open_house(hub=hub, timeouts={"stall_s": 10}) as house:
            publisher = await house.rtmp().publish()
            await publisher.begin()
            await (await rtmps(house)).play()
            live = house.hub.find("myapp", "test")
            assert live is not None
            most = 0
            for number in range(1, 1000):
                await publisher.video(number * 100, keyframe(bytes(20_000)))
                most = max(most, live.backlog_bytes)
                await trio.sleep(0.1)
                if kicked and number == 50:
                    next(iter(house.viewers)).end(EndReason.KICKED)
                if not len(house.viewers):
                    break
            assert not len(house.viewers)
            assert 20_000 < most < 3 * 65536
    expected = EndReason.KICKED if kicked else EndReason.STALLED
    assert [entry["reason"] for entry in logs if entry["event"] == "viewer.end"] == [expected]


async def test_a_handshake_that_does_not_come_is_one_of_the_pending(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house(limits={"rtmp_pending": 1}, timeouts={"head_s": 10}) as house:
            house.rtmp_door.tls = server_context()
            first = house.dial(house.rtmp_door.serve_tls)
            await trio.sleep(1)
            assert house.rtmp_door.pending == 1
            assert await house.dial(house.rtmp_door.serve_tls).receive_some() == b""
            assert await first.receive_some() == b""
            assert trio.current_time() == pytest.approx(10, abs=1)
    assert [entry["event"] for entry in logs] == ["rtmp.refused", "tls.failed"]


async def test_rtmp_without_tls_is_told_nothing(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house() as house:
            house.rtmp_door.tls = server_context()
            client = RtmpClient(house.dial(house.rtmp_door.serve_tls), parse_url("rtmp://door/myapp/test"))
            with trio.fail_after(1):
                assert await client.last_event() is None
    assert [entry["event"] for entry in logs] == ["tls.failed"]
