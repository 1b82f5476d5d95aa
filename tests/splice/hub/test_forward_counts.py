"""What is counted of streams on their way: by server, for as long as the door runs, whatever ends meanwhile."""

import pytest
import trio
from trio.testing import MockClock

from protocol.rtmp import MediaKind, parse_url
from splice.hub.forward import ForwardCounts, ForwardRule, SendingState, Target
from tests.splice.hub.forwarding import opened_forwards, published, push, to
from tests.splice.hub.pulling import refused_port
from tests.splice.hub.servers import KEYFRAME, RtmpPeer, RtmpServer, silent_rtmp


@pytest.fixture(autouse=True)
def _patience(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.003  # the kernel's loopback may need a moment


@pytest.mark.parametrize(
    ("to", "server"),
    [
        ("rtmp://10.0.0.20/backup", "10.0.0.20:1935"),
        ("rtmps://a.rtmps.youtube.com/live2/geheim", "a.rtmps.youtube.com:443"),
        ("rtmp://[2001:db8::1]:1936/app/{stream}?key=geheim", "[2001:db8::1]:1936"),
    ],
)
def test_a_server_is_a_host_and_a_port_and_nothing_that_a_publisher_chooses(to: str, server: str) -> None:
    rule = ForwardRule("*", to)
    target = rule.target("myapp", "test")
    assert target is not None
    assert rule.server == target.server == server
    assert Target.of(parse_url("rtmp://h/a/geheim"), "test").server == "h:1935"


async def test_what_a_server_has_taken_outlives_the_stream_and_the_forward(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening(), opened_forwards(grace_s=0) as (hub, forwards):
        name = f"127.0.0.1:{server.port}"
        forwards.configure(ForwardRule("*", to(server, app)) for app in ("a", "b"))
        assert forwards.counts() == {}
        with published(hub):
            await trio.sleep(1)
            first, second = forwards
            assert len(forwards.sendings) == 2
            assert forwards.counts()[name].bytes == first.counts.bytes + second.counts.bytes > 0
            taken = forwards.counts()[name]
        await trio.sleep(2)
        assert forwards.sendings == []
        ended = forwards.counts()[name]
        assert ended.bytes >= taken.bytes  # with what says goodbye
        forwards.configure([])
        assert forwards.counts() == {name: ended}
        assert (ended.losses, ended.reconnects, ended.skipped) == (0, 0, 0)


async def test_a_stream_that_no_rule_sends_is_counted_as_well(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening(), opened_forwards() as (hub, forwards):
        with published(hub) as live, forwards.sending(live, parse_url(to(server, "other/x"))):
            await trio.sleep(1)
            [sending] = forwards.sendings
            assert forwards.counts() == {f"127.0.0.1:{server.port}": sending.counts}
            assert sending.bytes > 0
        await trio.sleep(2)
        assert forwards.sendings == []
        assert forwards.counts() == {f"127.0.0.1:{server.port}": sending.counts}


async def test_each_loss_is_counted_and_trouble_lasts_from_the_first_to_the_recovery(
    autojump_clock: MockClock,
) -> None:
    async def leaves(peer: RtmpPeer) -> None:
        await trio.sleep(1)

    server = RtmpServer(leaves, silent_rtmp)
    gone = ForwardRule("*", f"rtmp://127.0.0.1:{refused_port()}/backup")
    async with server.listening(), opened_forwards(gone, ForwardRule("*", to(server))) as (hub, forwards):
        with published(hub):
            begun_at = trio.current_time()
            await trio.sleep(30)
            down, recovered = (forward.sendings[0] for forward in forwards)
            assert down.state is not SendingState.RUNNING
            assert down.in_state_since == pytest.approx(begun_at, abs=0.01)
            assert down.losses > 3
            assert down.losses - down.reconnects in (0, 1)  # one, while it waits
            assert recovered.state is SendingState.RUNNING
            assert recovered.in_state_since == pytest.approx(begun_at + 1.5, abs=0.1)
            assert recovered.counts == ForwardCounts(recovered.bytes, losses=1, reconnects=1)
            first, _ = forwards
            assert first.counts.losses == down.losses


async def test_what_a_slow_target_missed_is_counted_over_all_its_connections(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp, deaf_after="publish")
    async with (
        server.listening(),
        opened_forwards(ForwardRule("*", to(server)), backlog_bytes=3 << 20) as (hub, forwards),
    ):
        with published(hub) as live:
            await trio.sleep(0.5)
            for frame in range(40):
                await trio.sleep(0.5)
                push(live, (MediaKind.VIDEO, frame * 500, KEYFRAME + bytes(1 << 20)))
            [sending] = forwards.sendings
            missed = sending.skipped
            assert missed == live.skipped > 0
            await trio.sleep(31)  # until it has taken nothing for too long, and is connected to again
            assert sending.losses == 1
            assert sending.counts.skipped >= missed
        server.drop()
