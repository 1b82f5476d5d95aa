"""Strict cancellation at every step where a PROXY header comes first: it is read, refused, or cut off, and so is all
that stands behind it on the connection; see test_checkpoints_hub, which does the same for the doors without one.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.splice.cuts import Cuts, Moment, cut_at_every_step, dial, nothing_left, whole_unless_cut
from tests.splice.https.https_house import LIVE, SPLICED, HttpsHouse, open_https
from tests.splice.https.test_rtmps import server_context
from tests.splice.hub.servers import KEYFRAME, OPENING
from tests.splice.test_checkpoints_hub import HttpViewer, Player
from tests.splice.test_checkpoints_tls import plays_on, see_by_http1, tls

V1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 49152 18090\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 10, 0, 0, 1, 0xC0, 0, 0x46, 0xAA])
HALF = 20  # bytes of either
AGREED = {"trusted_proxies": "127.0.0.1", "proxy_protocol": ["http", "https", "rtmp", "rtmps"]}

BOTH_CUTS = pytest.mark.parametrize("cut", ["cancelled", "left"])
BOTH_MOMENTS = pytest.mark.parametrize("moment", Moment)


async def see_by_http(stream: trio.SocketStream, target: str) -> None:
    viewer = HttpViewer(stream, f"GET {target} HTTP/1.1\r\nHost: door\r\n\r\n".encode())
    await viewer.ask()
    await viewer.until(KEYFRAME)


async def see_by_rtmp(stream: trio.SocketStream, _target: str) -> None:
    player = Player(stream, "")
    await player.ask()
    await player.until(KEYFRAME)


async def see_by_rtmps(stream: trio.SocketStream, target: str) -> None:
    await see_by_rtmp(await tls(stream), target)


class Way(NamedTuple):
    """Which listener somebody comes to, behind which header, and how a keyframe of `target` is seen there."""

    listener: str
    header: bytes
    see: Callable[[trio.SocketStream, str], Awaitable[None]]
    target: str = LIVE


WAYS = {
    "HTTP splice": Way("http", V1, see_by_http, SPLICED),
    "HTTP hub": Way("http", V2, see_by_http),
    "HTTPS splice": Way("https", V2, see_by_http1, SPLICED),
    "RTMP": Way("rtmp", V1, see_by_rtmp),
    "RTMPS": Way("rtmps", V2, see_by_rtmps),
}


def come_to(listener: str, door: HttpsHouse, cuts: Cuts, cut: str) -> trio.SocketStream:
    """A connection of the proxy's to one of the listeners, whose task is cut in this manner."""
    doors = {
        "http": door.house.door.serve,
        "https": door.door.serve,
        "rtmp": door.house.rtmp_door.serve,
        "rtmps": door.house.rtmp_door.serve_tls,
    }
    receiver = door.house.server.rooms.proxy_receiver
    return dial(door.house, receiver.before(listener, doors[listener]), cuts, cut)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@BOTH_CUTS
@BOTH_MOMENTS
async def test_a_viewer_behind_a_proxy_is_cut_at_every_step(
    moment: Moment, cut: str, way: Way, autojump_clock: MockClock
) -> None:
    async def live(cuts: Cuts) -> None:
        async with nothing_left(door.house):
            publisher = await door.house.rtmp().publish()
            for message in OPENING:
                await publisher.media(*message)
            stream = come_to(way.listener, door, cuts, cut)
            with whole_unless_cut(cuts):
                await stream.send_all(way.header[:HALF])
                await wait_all_tasks_blocked()
                await stream.send_all(way.header[HALF:])
                await way.see(stream, way.target)
            stream.socket.close()
            await publisher.leave()

    async with open_https(plays_on, hub={"republish_grace_s": 0.05}, **AGREED) as door:
        door.house.rtmp_door.tls = server_context()
        assert await cut_at_every_step(live, moment) > 8


async def closed(stream: trio.SocketStream) -> None:
    try:
        assert await stream.receive_some() == b""
    except trio.BrokenResourceError:
        pass  # what it had sent was left unread


@pytest.mark.parametrize(
    ("pieces", "ends"),
    [([V1[:HALF], b"GET / HTTP/1.1\r\n\r\n"], False), ([V2[:1], V2[1:HALF]], True), ([V1[:HALF]], False), ([], True)],
    ids=["none", "cut off", "late", "a check that the port is open"],
)
@BOTH_CUTS
@BOTH_MOMENTS
async def test_a_proxy_that_is_refused_is_cut_at_every_step(
    moment: Moment, cut: str, pieces: list[bytes], ends: bool, autojump_clock: MockClock
) -> None:
    async def live(cuts: Cuts) -> None:
        async with nothing_left(door.house):
            stream = come_to("http", door, cuts, cut)
            with whole_unless_cut(cuts):
                for piece in pieces:
                    await wait_all_tasks_blocked()
                    await stream.send_all(piece)
                if ends:
                    await stream.send_eof()
                await closed(stream)
            stream.socket.close()

    async with open_https(plays_on, **AGREED) as door:
        assert await cut_at_every_step(live, moment)
