"""Forwards, against servers on loopback: what they get, what happens when they are lost or slow, and what is left."""

from itertools import pairwise

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from protocol.rtmp import MediaKind, MessageReceived, PingRequest, PingResponse
from splice.hub.forward import ForwardRule
from tests.splice.hub.forwarding import PUBLISHED_METADATA, forwarding, published, push, to
from tests.splice.hub.pulling import refused_port
from tests.splice.hub.servers import (
    AUDIO_FRAME,
    INTER_FRAME,
    KEYFRAME,
    OPENING,
    HttpOrigin,
    RtmpPeer,
    RtmpScript,
    RtmpServer,
    mute,
    silent_rtmp,
)


@pytest.fixture(autouse=True)
def _patience(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.003  # the kernel's loopback may need a moment


# --- what the target gets ---


async def test_only_chosen_streams_are_sent_on(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening(), forwarding(ForwardRule("myapp/*", to(server))) as hub:
        with published(hub, "myapp", "a"), published(hub, "other", "b"), published(hub, "myapp", "c"):
            await trio.sleep(1)
        assert sorted((peer.app, peer.name) for peer in server.connections) == [("backup", "a"), ("backup", "c")]


async def test_a_target_gets_the_whole_stream_and_its_end(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening(), forwarding(ForwardRule("myapp/*", to(server)), grace_s=2) as hub:
        with published(hub) as live:
            await trio.sleep(1)
            push(live, (MediaKind.VIDEO, 40, INTER_FRAME), (MediaKind.AUDIO, 50, AUDIO_FRAME))
            await trio.sleep(1)
        [peer] = server.connections
        assert peer.media == [
            (MediaKind.DATA, 0, PUBLISHED_METADATA),
            *OPENING[1:],
            (MediaKind.VIDEO, 40, INTER_FRAME),
            (MediaKind.AUDIO, 50, AUDIO_FRAME),
        ]
        assert not peer.stopped.is_set()
        await live.ended.wait()
        await peer.left.wait()
        assert peer.stopped.is_set()


async def test_a_target_is_asked_for_what_the_rules_url_says(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening(), forwarding(ForwardRule("*", to(server, "in/{app}_{stream}?key=x"))) as hub:
        with published(hub):
            await trio.sleep(1)
        assert [(peer.app, peer.name) for peer in server.connections] == [("in", "myapp_test?key=x")]


async def test_a_publisher_who_returns_in_time_goes_on_over_the_same_connection(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening(), forwarding(ForwardRule("*", to(server)), grace_s=5) as hub:
        with published(hub):
            await trio.sleep(1)
        await trio.sleep(3)
        with published(hub) as live:
            push(live, (MediaKind.VIDEO, 1000, INTER_FRAME))
            await trio.sleep(1)
        [peer] = server.connections
        assert [payload for _, _, payload in peer.media].count(KEYFRAME) == 2
        timestamps = [timestamp for _, timestamp, _ in peer.media]
        assert timestamps == sorted(timestamps)


async def test_a_targets_ping_is_answered_between_the_streams_pieces(autojump_clock: MockClock) -> None:
    async def pings(peer: RtmpPeer) -> None:
        await peer.say(peer.session.send(PingRequest(77)))
        await trio.sleep_forever()

    server = RtmpServer(pings)
    async with server.listening(), forwarding(ForwardRule("*", to(server))) as hub:
        with published(hub) as live:
            for frame in range(1, 20):
                await trio.sleep(0.1)
                push(live, (MediaKind.VIDEO, frame * 100, KEYFRAME))
            await trio.sleep(0.1)
        [peer] = server.connections
        assert MessageReceived(PingResponse(77)) in peer.other
        assert [payload for _, _, payload in peer.media].count(KEYFRAME) == 20


# --- a target that is lost ---


async def leaves(peer: RtmpPeer) -> None:
    await trio.sleep(1)


async def resets(peer: RtmpPeer) -> None:
    await trio.sleep(1)
    peer.reset()


@pytest.mark.parametrize("first", [leaves, resets])
async def test_a_lost_target_is_connected_to_again_and_joins_at_the_newest_keyframe(
    autojump_clock: MockClock, first: RtmpScript
) -> None:
    server = RtmpServer(first, silent_rtmp)
    async with server.listening(), forwarding(ForwardRule("*", to(server))) as hub:
        with published(hub) as live:
            for frame in range(1, 10):
                await trio.sleep(0.5)
                push(live, (MediaKind.VIDEO, frame * 500, KEYFRAME if frame == 2 else INTER_FRAME))
            await trio.sleep(0.1)
        [_, peer] = server.connections
        assert peer.media[:3] == [
            (MediaKind.DATA, 0, PUBLISHED_METADATA),
            (MediaKind.VIDEO, 1000, OPENING[1][2]),
            (MediaKind.VIDEO, 1000, KEYFRAME),
        ]
        assert peer.media[-1] == (MediaKind.VIDEO, 4500, INTER_FRAME)


async def test_a_target_that_refuses_is_asked_again_after_growing_pauses(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp, refuse={"publish": "NetStream.Publish.BadName"})
    with structlog.testing.capture_logs() as log:
        async with server.listening(), forwarding(ForwardRule("*", to(server))) as hub:
            with published(hub):
                await trio.sleep(40)
    pauses = [after.opened_at - before.opened_at for before, after in pairwise(server.connections)]
    assert pauses[:6] == pytest.approx([0.5, 1, 2, 4, 8, 10], abs=0.05)
    losses = [entry["error"] for entry in log if entry["event"] == "forward.lost"]
    assert "NetStream.Publish.BadName" in losses[0]


async def test_a_target_that_is_down_is_no_concern_of_the_streams(autojump_clock: MockClock) -> None:
    rule = ForwardRule("*", f"rtmp://127.0.0.1:{refused_port()}/backup")
    with structlog.testing.capture_logs() as log:
        async with forwarding(rule) as hub:
            with published(hub):
                await trio.sleep(5)
            await trio.sleep(3)
            assert len(hub) == 0
            assert [entry["event"] for entry in log if entry["event"] == "forward.end"] == ["forward.end"]


async def test_a_target_that_never_answers_is_left(autojump_clock: MockClock) -> None:
    server = HttpOrigin(mute(), awaits_head=False)
    async with server.listening(), forwarding(ForwardRule("*", to(server))) as hub:
        with published(hub):
            await trio.sleep(1)
            await server.connections[0].left.wait()
            assert trio.current_time() == pytest.approx(10, abs=0.1)


# --- a target that is slow ---


async def test_a_slow_target_loses_pictures_and_never_slows_the_stream(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp, deaf_after="publish")
    with structlog.testing.capture_logs() as log:
        async with server.listening(), forwarding(ForwardRule("*", to(server)), backlog_bytes=3 << 20) as hub:
            with published(hub) as live:
                await trio.sleep(0.5)
                for frame in range(40):
                    await trio.sleep(0.5)
                    push(live, (MediaKind.VIDEO, frame * 500, KEYFRAME + bytes(1 << 20)))
                    assert live.backlog_bytes < 5 << 20
                pushed_at = trio.current_time()
                await trio.sleep(31)  # whenever the kernel has taken its last byte
            assert pushed_at == pytest.approx(20.5, abs=0.1)
            assert live.skipped > 0
            assert len(server.connections) == 2
            server.drop()
    [lost] = [entry for entry in log if entry["event"] == "forward.lost"]
    assert "taken nothing for 30 s" in lost["error"]


async def test_a_slow_target_is_given_up_soon_after_the_stream_has_ended(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp, deaf_after="publish")
    with structlog.testing.capture_logs() as log:
        async with (
            server.listening(),
            forwarding(ForwardRule("*", to(server)), backlog_bytes=64 << 20, grace_s=0) as hub,
        ):
            with published(hub) as live:
                await trio.sleep(0.5)
                for _ in range(30):
                    push(live, (MediaKind.VIDEO, 0, KEYFRAME + bytes(1 << 20)))
                await trio.sleep(0.5)
            await trio.sleep(0.9)
            assert "forward.end" not in [entry["event"] for entry in log]
            await trio.sleep(0.2)
            assert "forward.end" in [entry["event"] for entry in log]
            server.drop()


async def test_a_bug_in_a_forward_ends_that_one_alone(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("splice.hub.forward.sending.feed", broken)
    server = RtmpServer(silent_rtmp)
    with structlog.testing.capture_logs() as log:
        async with server.listening(), forwarding(ForwardRule("*", to(server))) as hub:
            with published(hub) as live:
                await trio.sleep(1)
                assert not live.ended.is_set()
    events = [entry["event"] for entry in log if entry["event"].startswith("forward")]
    assert events == ["forward.start", "forward.running", "forward.bug", "forward.end"]
