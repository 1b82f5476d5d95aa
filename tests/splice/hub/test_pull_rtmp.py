"""Pulls over RTMP, against servers on loopback that hold the other side of the kit's conversation."""

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from protocol.amf import amf0
from protocol.rtmp import MediaKind, MessageReceived, PingRequest, PingResponse, SetChunkSize
from splice.origins import OriginError
from tests.splice.hub.pulling import Watching, asking, origin_at, relaying
from tests.splice.hub.servers import (
    KEYFRAME,
    METADATA,
    OPENING,
    Connection,
    HttpOrigin,
    HttpScript,
    RtmpPeer,
    RtmpScript,
    RtmpServer,
    mute,
    plays_rtmp,
    says,
    silent_rtmp,
)


@pytest.fixture(autouse=True)
def _patience(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.003  # the kernel's loopback may need a moment


async def test_a_stream_is_played_by_its_app_and_name(autojump_clock: MockClock) -> None:
    server = RtmpServer(plays_rtmp())
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, scheme="rtmp"), "myapp", "test") as live,
    ):
        with Watching(live).present() as watching:
            await trio.sleep(1)
        [(_, _, publisher)] = pulls
        assert publisher.protocol == "rtmp-pull"
        assert publisher.bytes == live.bytes_in > 0
    [peer] = server.connections
    assert (peer.app, peer.name) == ("myapp", "test")
    assert [tag.body for tag in watching.tags][:3] == [body for _, _, body in OPENING]
    assert watching.timestamps[-1] in (500, 1000)


async def test_what_a_server_says_to_its_player_is_no_part_of_the_stream(autojump_clock: MockClock) -> None:
    async def script(peer: RtmpPeer) -> None:
        # |RtmpSampleAccess has gone before, from the session itself.
        await peer.play((MediaKind.DATA, 0, amf0.encode_all(["onStatus", {"code": "NetStream.Data.Start"}])))
        await peer.play((MediaKind.DATA, 0, amf0.encode_all(["onCuePoint", "kept"])), *OPENING)
        await trio.sleep_forever()

    server = RtmpServer(script)
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, scheme="rtmp"), "myapp", "test") as live,
    ):
        await trio.sleep(0.1)
        assert live.bytes_in == sum(len(body) for _, _, body in OPENING) + len(amf0.encode_all(["onCuePoint", "kept"]))


async def test_a_servers_ping_is_answered(autojump_clock: MockClock) -> None:
    async def script(peer: RtmpPeer) -> None:
        await peer.play(*OPENING)
        await peer.say(peer.session.send(PingRequest(1234)))
        await trio.sleep_forever()

    server = RtmpServer(script)
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, scheme="rtmp"), "myapp", "test"),
    ):
        await trio.sleep(1)
        assert MessageReceived(PingResponse(1234)) in server.connections[0].other


async def test_chunks_of_one_byte_are_read_in_turns(autojump_clock: MockClock) -> None:
    async def script(peer: RtmpPeer) -> None:
        await peer.say(peer.session.send(SetChunkSize(1)))
        await peer.play(OPENING[0], (MediaKind.VIDEO, 0, KEYFRAME + bytes(20_000)))
        await trio.sleep_forever()

    server = RtmpServer(script)
    async with server.listening(), relaying() as pulls:
        await asking(pulls, origin_at(server.port, scheme="rtmp"))


async def test_pings_alone_do_not_keep_a_stream_from_counting_as_lost(autojump_clock: MockClock) -> None:
    async def script(peer: RtmpPeer) -> None:
        await peer.play(*OPENING)
        while True:
            await trio.sleep(10)
            await peer.say(peer.session.send(PingRequest(1)))

    server = RtmpServer(script, plays_rtmp())
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, scheme="rtmp"), "myapp", "test"),
    ):
        await server.connections[0].left.wait()
        assert trio.current_time() == pytest.approx(30, abs=0.1)


# --- no stream ---


@pytest.mark.parametrize(
    ("refuse", "status"),
    [
        ({"play": "NetStream.Play.StreamNotFound"}, 404),
        ({"play": "NetStream.Play.Failed"}, 502),
        ({"connect": "NetConnection.Connect.Rejected"}, 502),
    ],
)
async def test_a_refusal_has_a_status_and_a_sentence_and_the_servers_words_go_to_the_log(
    autojump_clock: MockClock, refuse: dict[str, str], status: int
) -> None:
    server = RtmpServer(silent_rtmp, refuse=refuse)
    with structlog.testing.capture_logs() as log:
        async with server.listening(), relaying() as pulls:
            with pytest.raises(OriginError) as caught:
                await asking(pulls, origin_at(server.port, scheme="rtmp"))
    assert caught.value.status == status
    assert "127.0.0.1" not in caught.value.detail
    [refused] = [entry for entry in log if entry["event"] == "pull.refused"]
    assert refused["description"] == "Go to 127.0.0.1 instead."


async def only_metadata(peer: RtmpPeer) -> None:
    await peer.play((MediaKind.DATA, 0, METADATA))
    await trio.sleep_forever()


@pytest.mark.parametrize("script", [silent_rtmp, only_metadata])
async def test_a_server_that_lets_play_and_stays_silent_is_a_504_that_says_so(
    autojump_clock: MockClock, script: RtmpScript
) -> None:
    server = RtmpServer(script)
    async with server.listening(), relaying() as pulls:
        with pytest.raises(OriginError) as caught:
            await asking(pulls, origin_at(server.port, scheme="rtmp"))
        assert trio.current_time() == pytest.approx(5, abs=0.1)
    assert caught.value.status == 504
    assert "silent" in caught.value.detail


async def test_a_stream_that_ends_before_it_has_begun_is_missing(autojump_clock: MockClock) -> None:
    async def script(peer: RtmpPeer) -> None:
        await peer.say(peer.session.end_play())
        await trio.sleep_forever()

    server = RtmpServer(script)
    async with server.listening(), relaying() as pulls:
        with pytest.raises(OriginError) as caught:
            await asking(pulls, origin_at(server.port, scheme="rtmp"))
    assert caught.value.status == 404


async def resets(connection: Connection) -> None:
    connection.reset()


@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param(mute(), 504, id="nothing"),
        pytest.param(mute(b"\3" + bytes(1000)), 504, id="half a handshake"),
        pytest.param(mute(b"HTTP/1.1 400 Bad Request\r\n\r\n"), 502, id="HTTP"),
        pytest.param(mute(b"\3" + bytes(3072) + b"\2\0\0\0\0\0\4\1\0\0\0\0\0\0\0\0"), 502, id="a broken message"),
        pytest.param(says(), 502, id="a close"),
        pytest.param(resets, 502, id="a reset"),
    ],
)
async def test_a_server_that_does_not_speak_rtmp_is_told_from_one_that_refuses(
    autojump_clock: MockClock, script: HttpScript, status: int
) -> None:
    server = HttpOrigin(script, awaits_head=False)
    async with server.listening(), relaying() as pulls:
        with pytest.raises(OriginError) as caught:
            await asking(pulls, origin_at(server.port, scheme="rtmp"))
    assert caught.value.status == status
    assert "127.0.0.1" not in caught.value.detail


async def test_the_next_address_is_tried_when_one_stays_silent(autojump_clock: MockClock) -> None:
    server, other = RtmpServer(silent_rtmp), RtmpServer(plays_rtmp())
    async with server.listening(), other.listening(), relaying() as pulls:
        await asking(pulls, origin_at(server.port, other.port, scheme="rtmp"))
        assert (server.open, other.open) == (0, 1)


# --- losing the server ---


async def test_a_lost_server_is_connected_to_again_and_viewers_see_time_go_on(autojump_clock: MockClock) -> None:
    server = RtmpServer(plays_rtmp(2, start_ms=7_000_000), plays_rtmp())
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, scheme="rtmp"), "myapp", "test") as live,
    ):
        with Watching(live).present() as watching:
            await trio.sleep(6)
        assert not live.ended.is_set()
    assert len(server.connections) == 2
    assert watching.timestamps == sorted(watching.timestamps)
    assert 4000 < watching.timestamps[-1] < 6000


async def test_an_unpublished_stream_ends_for_its_viewers_after_republish_grace_s(autojump_clock: MockClock) -> None:
    server = RtmpServer(plays_rtmp(2, ends=True), silent_rtmp)
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, scheme="rtmp"), "myapp", "test") as live,
    ):
        await live.ended.wait()
        assert trio.current_time() == pytest.approx(12, abs=0.1)


async def test_a_publisher_who_returns_while_the_door_asks_again_is_seen_at_once(autojump_clock: MockClock) -> None:
    async def late(peer: RtmpPeer) -> None:
        await trio.sleep(3)
        await plays_rtmp()(peer)

    server = RtmpServer(plays_rtmp(2, ends=True), late)
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port, scheme="rtmp"), "myapp", "test") as live,
    ):
        with Watching(live).present() as watching:
            await trio.sleep(20)
        assert not live.ended.is_set()
    assert len(server.connections) == 2
    assert len(watching.tags) > 30
