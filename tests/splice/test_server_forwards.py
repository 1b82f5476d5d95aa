"""What the door sends on when it stops: the targets get the rest, and are told that this is all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from protocol.rtmp import MediaKind, parse_url
from splice.config import Settings
from tests.splice.hub.servers import KEYFRAME, HttpOrigin, RtmpPeer, RtmpServer, plays, silent_rtmp
from tests.splice.hub_house import RtmpClient, keyframe
from tests.splice.test_server import SOON_S, RunningDoor, a_door, settings, stopped


@asynccontextmanager
async def publishing(door: RunningDoor) -> AsyncIterator[RtmpClient]:
    """An encoder that publishes myapp/test, and has sent a keyframe."""
    (ready,) = door.events("ready")
    host, _, port = ready["rtmp"][0].rpartition(":")
    client = RtmpClient(await trio.open_tcp_stream(host, int(port)), parse_url("rtmp://door/myapp/test"))
    await client.publish()
    await client.begin(label=b"the first")
    yield client
    await client.leave()


async def has_taken(server: RtmpServer, label: bytes) -> RtmpPeer:
    """The target's connection, once this has come over it."""
    with trio.fail_after(SOON_S):
        while not (server.connections and any(label in body for _, _, body in server.connections[0].media)):
            await trio.sleep(0.01)
    return server.connections[0]


def sending_to(server: RtmpServer, **keys: Any) -> Settings:
    rules = [{"streams": "*", "to": f"rtmp://127.0.0.1:{server.port}/backup"}]
    return settings(rtmp_listen=["127.0.0.1:0"], forward=rules, **keys)


async def test_a_target_gets_the_last_picture_of_a_door_that_stops_and_is_told_that_this_is_all() -> None:
    server = RtmpServer(silent_rtmp)
    async with server.listening():
        # Each keyframe sends out the one before it, and the last one waits.
        start = sending_to(server, hub={"merge_ms": 1000})
        async with a_door(start, demo=False) as door, publishing(door) as encoder:
            await has_taken(server, b"the first")
            await encoder.video(40, keyframe(b"the second"))
            await encoder.video(80, keyframe(b"the last"))
            peer = await has_taken(server, b"the second")
            assert await stopped(door) == 0
        with trio.fail_after(SOON_S):
            await peer.left.wait()
        assert peer.stopped.is_set()
        assert peer.media[-1] == (MediaKind.VIDEO, 80, keyframe(b"the last"))


async def test_a_target_of_a_stream_that_is_pulled_is_told_of_the_stop_as_well() -> None:
    server, origin = RtmpServer(silent_rtmp), HttpOrigin(plays())
    async with server.listening(), origin.listening():
        cam = {"url": f"http://127.0.0.1:{origin.port}", "mode": "relay", "keep": ["cams/front"]}
        async with a_door(sending_to(server, origins={"cam": cam}), demo=False) as door:
            peer = await has_taken(server, KEYFRAME)
            assert await stopped(door) == 0
        with trio.fail_after(SOON_S):
            await peer.left.wait()
        assert peer.stopped.is_set()
