"""Strict cancellation at every step where TLS is spoken: Hypercorn's tasks and its ASGI application, and RTMPS."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from protocol.rtmp import parse_url
from splice.http import chunk
from tests.splice.cuts import CUTS, Cuts, Moment, cut_at_every_step, dial, nothing_left, whole_unless_cut
from tests.splice.https.https_house import LIVE, SPLICED, Http2Viewer, HttpsHouse, client_context, open_https
from tests.splice.https.test_rtmps import server_context
from tests.splice.hub.servers import CHUNKED_HEAD, KEYFRAME, OPENING, Connection, flv
from tests.splice.hub_house import RtmpClient, inter_frame, open_house
from tests.splice.websocket_client import raw_handshake

SOON = {"republish_grace_s": 0.05}
BOTH_MOMENTS = pytest.mark.parametrize("moment", Moment)


async def plays_on(connection: Connection) -> None:
    """An origin's script: a few tags, then nothing; the viewer is to leave."""
    try:
        await connection.send(CHUNKED_HEAD + chunk(flv(*OPENING)))
    except trio.BrokenResourceError:
        pass  # cut
    await trio.sleep_forever()


trusting = cache(client_context)  # it reads the machine's certificates, which takes longer than a life


async def tls(transport: trio.SocketStream, *protocols: str) -> Any:
    stream = trio.SSLStream(transport, trusting(*protocols), server_hostname="localhost")
    await stream.do_handshake()
    return stream


async def see_by_http1(stream: trio.SocketStream, target: str, *, request: bytes = b"") -> None:
    viewer = await tls(stream, "http/1.1")
    await viewer.send_all(request or f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    seen = b""
    while KEYFRAME not in seen:
        data = await viewer.receive_some()
        assert data, seen
        seen += data


async def see_by_http2(stream: trio.SocketStream, target: str) -> None:
    viewer = Http2Viewer(await tls(stream, "h2"))
    viewer.h2.initiate_connection()
    asked = await viewer.ask(target)
    while KEYFRAME not in viewer.bodies[asked]:
        assert not viewer.closed
        await viewer.receive()


async def see_by_websocket(stream: trio.SocketStream, target: str) -> None:
    await see_by_http1(stream, target, request=raw_handshake(target))


@pytest.mark.parametrize(
    ("see", "target"),
    [(see_by_http1, SPLICED), (see_by_http2, LIVE), (see_by_websocket, SPLICED), (see_by_websocket, LIVE)],
    ids=["HTTP/1.1 splice", "HTTP/2 hub", "WSS splice", "WSS hub"],
)
@pytest.mark.parametrize("cut", ["cancelled", "left"])
@BOTH_MOMENTS
async def test_a_viewer_by_tls_is_cut_at_every_step(
    moment: Moment, cut: str, see: Callable[..., Any], target: str, autojump_clock: MockClock
) -> None:
    async def live(cuts: Cuts) -> None:
        async with nothing_left(door.house):
            publisher = await door.house.rtmp().publish()
            for message in OPENING:
                await publisher.media(*message)
            stream = dial(door.house, door.door.serve, cuts, cut)
            with whole_unless_cut(cuts):
                await see(stream, target)
            stream.socket.close()
            await publisher.leave()

    door: HttpsHouse
    async with open_https(plays_on, hub=SOON) as door:
        assert await cut_at_every_step(live, moment) > 10


@pytest.mark.parametrize("does", ["publishes", "plays"])
@pytest.mark.parametrize("cut", CUTS)
@BOTH_MOMENTS
async def test_a_client_by_rtmps_is_cut_at_every_step(
    moment: Moment, cut: str, does: str, autojump_clock: MockClock
) -> None:
    async def live(cuts: Cuts) -> None:
        async with nothing_left(house):
            stream = dial(house, house.rtmp_door.serve_tls, cuts, cut)
            other = house.rtmp()
            url = parse_url("rtmp://door/myapp/test")
            with whole_unless_cut(cuts):
                client = RtmpClient(await tls(stream), url)
                publisher, player = (client, other) if does == "publishes" else (other, client)
                await publisher.publish()
                await publisher.begin()
                await player.play()
                await publisher.video(40, inter_frame(b"the second"))
                await player.media_with(inter_frame(b"the second"))
                await publisher.send(publisher.session.close_stream())
                await player.last_event()
            stream.socket.close()
            await other.leave()

    async with open_house(hub=SOON) as house:
        house.rtmp_door.tls = server_context()
        assert await cut_at_every_step(live, moment) > 10
