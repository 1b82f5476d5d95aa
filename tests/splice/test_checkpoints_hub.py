"""Strict cancellation on the hub route, at every step: DESIGN, section 4, at each checkpoint that a task passes.

A life is lived again and again, and its task is cut at its first step, its second and so on: cancelled, as by a stop;
ended by the operator; or left by its client. Each time all is as before: descriptors, tasks, registrations, tables,
subscriptions. Where a cut is made, the other side of the life may see anything but a wait without end.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, NamedTuple

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from protocol.rtmp import MediaKind, parse_url
from splice.http import LAST_CHUNK, chunk
from splice.hub import HubLimits
from splice.hub.forward import ForwardRule
from splice.hub.pull import Pulls
from splice.origins import OriginError
from splice.routing import Origin
from splice.stats import EndReason, Publishers
from splice.trust import client_context
from tests.splice.access.hook_server import open_hook_server
from tests.splice.cuts import (
    A_LIFE_TAKES_S,
    CUTS,
    Cuts,
    Moment,
    cut_at_every_step,
    dial,
    nothing_left,
    whole_unless_cut,
)
from tests.splice.https.test_rtmps import server_context
from tests.splice.hub.pulling import origin_of, relaying
from tests.splice.hub.servers import (
    AUDIO_FRAME,
    CHUNKED_HEAD,
    KEYFRAME,
    OPENING,
    Connection,
    HttpOrigin,
    RtmpPeer,
    RtmpServer,
    Server,
    flv,
    plays,
    plays_rtmp,
    silent_rtmp,
)
from tests.splice.hub_house import RtmpClient, inter_frame, open_house
from tests.splice.splice_house import Viewer
from tests.splice.websocket_client import raw_handshake

LIVE = "/live?app=myapp&stream=test"
PULLED = "/live?src=b&app=myapp&stream=test"
SOON = {"republish_grace_s": 0.05, "idle_stop_s": 0.05, "wait_for_stream_s": 5}
BRIEF = HubLimits(merge_s=0, republish_grace_s=0.05)

shown = cache(server_context)  # a certificate takes longer to make than a life

BOTH_MOMENTS = pytest.mark.parametrize("moment", Moment)


class Player:
    """A viewer by RTMP, with the few words that all viewers of this module have."""

    def __init__(self, stream: trio.SocketStream, query: str) -> None:
        self.stream = stream
        self._client = RtmpClient(stream, parse_url(f"rtmp://door/myapp/test{query}"))

    async def ask(self) -> None:
        await self._client.connect()
        await self._client.send(self._client.session.play())

    async def until(self, label: bytes) -> None:
        while not (await self._client.next_media()).payload.endswith(label):
            pass

    async def ended(self) -> None:
        await self._client.last_event()

    def close(self) -> None:
        self.stream.socket.close()


class HttpViewer(Viewer):
    """A viewer by HTTP or WebSocket that reads no framing: the labels are found without."""

    def __init__(self, stream: trio.SocketStream, request: bytes) -> None:
        super().__init__(stream)
        self._request = request

    async def ask(self) -> None:
        await self.send(self._request)


class Way(NamedTuple):
    """A way of viewing: which door, and who comes there for `target`."""

    door: str
    viewer: Callable[[trio.SocketStream, str], Any]


WAYS = {
    "HTTP-FLV": Way(
        "door", lambda stream, target: HttpViewer(stream, f"GET {target} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    ),
    "HTTP/1.0": Way("door", lambda stream, target: HttpViewer(stream, f"GET {target} HTTP/1.0\r\n\r\n".encode())),
    "WS-FLV": Way("door", lambda stream, target: HttpViewer(stream, raw_handshake(target))),
    "RTMP": Way("rtmp_door", lambda stream, target: Player(stream, "?src=b" if "src=b" in target else "")),
}
BY_EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@pytest.mark.parametrize("end", ["the stream ends", "the viewer leaves"])
@pytest.mark.parametrize("cut", CUTS)
@BOTH_MOMENTS
@BY_EVERY_WAY
async def test_a_viewer_of_the_hub_is_cut_at_every_step(
    way: Way, moment: Moment, cut: str, end: str, autojump_clock: MockClock
) -> None:
    async def live(cuts: Cuts) -> None:
        async with nothing_left(house):
            publisher = house.rtmp()
            viewer = way.viewer(dial(house, getattr(house, way.door).serve, cuts, cut), LIVE)
            with whole_unless_cut(cuts):
                await viewer.ask()
                await wait_all_tasks_blocked()  # it waits for the stream
                await publisher.publish()
                await publisher.begin(label=b"the first")
                await viewer.until(b"the first")
                await publisher.video(40, inter_frame(b"the second"))
                await viewer.until(b"the second")
                if end == "the stream ends":
                    await publisher.leave()
                    await viewer.ended()
            viewer.close()
            await publisher.leave()

    async with open_house(hub=SOON) as house:
        assert await cut_at_every_step(live, moment) > 8


@pytest.mark.parametrize("cut", CUTS)
@BOTH_MOMENTS
async def test_a_publisher_is_cut_at_every_step(moment: Moment, cut: str, autojump_clock: MockClock) -> None:
    async def live(cuts: Cuts) -> None:
        async with nothing_left(house):
            publisher = RtmpClient(dial(house, house.rtmp_door.serve, cuts, cut), parse_url("rtmp://door/myapp/test"))
            viewer = WAYS["HTTP-FLV"].viewer(house.dial(house.door.serve), LIVE)
            with whole_unless_cut(cuts):
                await viewer.ask()
                await publisher.publish()
                await publisher.begin(label=b"the first")
                await viewer.until(b"the first")
                await publisher.send(publisher.session.close_stream())
                await viewer.ended()
            viewer.close()
            publisher.stream.socket.close()

    async with open_house(hub=SOON) as house:
        assert await cut_at_every_step(live, moment) > 8


@pytest.mark.parametrize("who", ["viewer", "publisher"])
@pytest.mark.parametrize("cut", CUTS)
@BOTH_MOMENTS
async def test_who_is_asked_about_is_cut_at_every_step_of_the_callbacks(
    moment: Moment, cut: str, who: str, autojump_clock: MockClock
) -> None:
    async def live(cuts: Cuts) -> None:
        async def told() -> None:
            await house.server.rooms.hook_calls.wait_told()
            await wait_all_tasks_blocked(0.01)  # the other program closes its side

        async with nothing_left(house, afterwards=told):
            serve = house.rtmp_door.serve
            watched = dial(house, serve if who == "publisher" else house.door.serve, cuts, cut)
            other = house.dial(house.door.serve if who == "publisher" else serve)
            published, viewed = (watched, other) if who == "publisher" else (other, watched)
            publisher = RtmpClient(published, parse_url("rtmp://door/myapp/test"))
            viewer = WAYS["HTTP-FLV"].viewer(viewed, LIVE)
            with whole_unless_cut(cuts):
                await viewer.ask()
                await publisher.publish()
                await publisher.begin(label=b"the first")
                await viewer.until(b"the first")
                await publisher.send(publisher.session.close_stream())
                await viewer.ended()
            viewer.close()
            published.socket.close()

    async with open_hook_server() as server:
        hooks = {f"on_{what}": server.url for what in ("publish", "publish_done", "play", "play_done")}
        async with open_house(hub=SOON, hooks=hooks) as house:
            assert await cut_at_every_step(live, moment) > 20
        assert server.calls


async def ends_at_once(connection: Connection) -> None:
    """An HTTP origin's stream: a few tags, and its end."""
    await connection.send(CHUNKED_HEAD)
    tags = flv(*OPENING, (MediaKind.AUDIO, 40, AUDIO_FRAME))
    for piece in (tags[:20], tags[20:]):
        await connection.send(chunk(piece))
    await connection.send(LAST_CHUNK)


def until_cut(script: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """A server's script that ends where the door breaks off."""

    async def play(connection: Connection) -> None:
        try:
            await script(connection)
        except trio.BrokenResourceError:
            pass

    return play


def http_origin() -> tuple[Server, str]:
    """Plays a stream, and breaks off, the first time; then it ends the stream."""
    return HttpOrigin(until_cut(plays(0.5)), until_cut(ends_at_once)), "http"


def rtmp_origin() -> tuple[Server, str]:
    """The same by RTMP."""
    return RtmpServer(until_cut(plays_rtmp(0.5)), until_cut(plays_rtmp(0.5, ends=True))), "rtmp"


def by_tls(made_origin: Callable[[], tuple[Server, str]]) -> Callable[[], tuple[Server, str]]:
    """The same by TLS."""

    def made_with_tls() -> tuple[Server, str]:
        server, scheme = made_origin()
        server.tls = shown()
        return server, f"{scheme}s"

    return made_with_tls


BY_BOTH_PROTOCOLS = pytest.mark.parametrize("made_origin", [http_origin, rtmp_origin])


@BY_BOTH_PROTOCOLS
@pytest.mark.parametrize("cut", CUTS)
@BOTH_MOMENTS
@BY_EVERY_WAY
async def test_a_viewer_of_a_pull_is_cut_at_every_step(
    way: Way, moment: Moment, cut: str, made_origin: Callable[[], tuple[Server, str]], autojump_clock: MockClock
) -> None:
    async def live(cuts: Cuts) -> None:
        server, scheme = made_origin()
        async with server.listening():
            origins = {"b": {"url": f"{scheme}://127.0.0.1:{server.port}", "mode": "relay"}}
            async with open_house(hub=SOON, origins=origins) as house, nothing_left(house):
                viewer = way.viewer(dial(house, getattr(house, way.door).serve, cuts, cut), PULLED)
                with whole_unless_cut(cuts):
                    await viewer.ask()
                    await viewer.until(KEYFRAME)
                    await viewer.ended()
                viewer.close()

    assert await cut_at_every_step(live, moment) > 8


async def watch_to_the_end(pulls: Pulls, origin: Origin) -> None:
    try:
        async with pulls.watched(origin, "myapp", "test") as live:
            await live.ended.wait()
    except OriginError:
        pass


@pytest.mark.parametrize(
    "made_origin",
    [http_origin, rtmp_origin, by_tls(http_origin), by_tls(rtmp_origin)],
    ids=["HTTP", "RTMP", "HTTPS", "RTMPS"],
)
@pytest.mark.parametrize("cut", ["cancelled", "kicked"])
@BOTH_MOMENTS
async def test_a_pull_is_cut_at_every_step_and_tells_who_watches(
    moment: Moment, cut: str, made_origin: Callable[[], tuple[Server, str]], autojump_clock: MockClock
) -> None:
    async def live(cuts: Cuts) -> None:
        server, scheme = made_origin()
        publishers = Publishers(limit=10)

        def kick_pulls() -> None:
            for pull in pulls._pulls.values():
                pull.publisher.end(EndReason.KICKED)

        async with server.listening(), relaying(limits=BRIEF, publishers=publishers) as pulls:
            cuts.watch(pulls._nursery, pulls._nursery.cancel_scope.cancel if cut == "cancelled" else kick_pulls)
            # The cancellation is the pulls' own: who watches is left, and must be told.
            with trio.CancelScope(shield=True), trio.fail_after(A_LIFE_TAKES_S):
                async with trio.open_nursery() as viewers:
                    trust = {"tls_verify": False} if scheme.endswith("s") else {}
                    origin = origin_of(f"{scheme}://127.0.0.1:{server.port}", **trust)
                    viewers.start_soon(watch_to_the_end, pulls, origin)
                    viewers.start_soon(watch_to_the_end, pulls, origin)
                while pulls._pulls:
                    await trio.sleep(0.5)
            assert len(publishers) == 0

    assert await cut_at_every_step(live, moment) > 20


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@pytest.mark.parametrize("cut", ["cancelled", "left"])
@BOTH_MOMENTS
async def test_a_forward_is_cut_at_every_step(
    moment: Moment, cut: str, scheme: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def live(cuts: Cuts) -> None:
        server = RtmpServer(leaves_soon, silent_rtmp)
        server.tls = shown() if scheme == "rtmps" else None
        async with server.listening():
            forward = {"streams": "*", "to": f"{scheme}://127.0.0.1:{server.port}/backup"}
            async with (
                open_house(hub=SOON, forward=[forward]) as house,
                nothing_left(house),
                trio.open_nursery() as forwards,
            ):
                house.server.rooms.forwards._nursery = forwards
                cuts.watch(forwards, forwards.cancel_scope.cancel if cut == "cancelled" else server.drop)
                with trio.CancelScope(shield=True):  # the cancellation is the forward's own
                    publisher = await house.rtmp().publish()
                    await publisher.begin()
                    await trio.sleep(5)  # in which it is lost, pauses, and connects again
                    await publisher.video(40, KEYFRAME)
                    await trio.sleep(0.1)
                    await publisher.leave()

    monkeypatch.setattr("splice.hub.rtmp_client.client_context", lambda: client_context(verify=False))
    assert await cut_at_every_step(live, moment) > 20


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@BOTH_MOMENTS
async def test_a_forward_that_is_stopped_at_any_step_tells_its_target(
    moment: Moment, scheme: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def live(cuts: Cuts) -> None:
        server = RtmpServer(silent_rtmp)
        server.tls = shown() if scheme == "rtmps" else None
        async with (
            server.listening(),
            open_house(hub=SOON) as house,
            nothing_left(house),
            trio.open_nursery() as forwards,
        ):
            table = house.server.rooms.forwards
            table._nursery = forwards
            forward = table.add(ForwardRule("*", f"{scheme}://127.0.0.1:{server.port}/backup"))
            cuts.watch(forwards, lambda: table.remove(forward))
            publisher = await house.rtmp().publish()
            await publisher.begin()
            await trio.sleep(0.5)
            await publisher.video(40, KEYFRAME)
            await trio.sleep(2)
            if cuts.made:  # while its stream goes on
                for peer in server.connections:
                    assert (peer.left.is_set(), peer.stopped.is_set()) == (True, peer.started.is_set())
            await publisher.leave()

    monkeypatch.setattr("splice.hub.rtmp_client.client_context", lambda: client_context(verify=False))
    assert await cut_at_every_step(live, moment) > 10


async def leaves_soon(peer: RtmpPeer) -> None:
    """A target that breaks off as soon as it has taken something."""
    while not peer.media:
        await trio.sleep(0.1)
