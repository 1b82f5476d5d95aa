"""WS-FLV over TLS, by HTTP/1.1's upgrade and by HTTP/2's CONNECT: binary messages, and closes that say why."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong

from splice.http import LAST_CHUNK, chunk
from splice.stats import EndReason
from tests.splice.https.https_house import LIVE, SPLICED, Flood, Http2Viewer, HttpsHouse, open_https
from tests.splice.hub.servers import CHUNKED_HEAD, OPENING, HttpScript, flv, mute, says
from tests.splice.hub_house import keyframe
from tests.splice.websocket_client import WebSocketClient

MEDIA = flv(*OPENING)
CHUNKED_MEDIA = CHUNKED_HEAD + chunk(MEDIA)


async def watch(door: HttpsHouse, target: str = LIVE, **fields: str) -> WebSocketClient:
    """A viewer by HTTP/1.1, whose handshake was answered."""
    return await WebSocketClient(await door.dial("http/1.1")).shake_hands(target, fields)


class OverHttp2:
    """A viewer by HTTP/2 (RFC 8441)."""

    def __init__(self, viewer: Http2Viewer, stream_id: int) -> None:
        self.viewer = viewer
        self.stream_id = stream_id
        self.frames = Connection(ConnectionType.CLIENT)
        self._read = 0

    async def event(self) -> Any:
        """The next event."""
        while True:
            for event in self.frames.events():
                return event
            while len(self.viewer.bodies[self.stream_id]) == self._read:
                assert not self.viewer.closed
                await self.viewer.receive()
            data = self.viewer.bodies[self.stream_id][self._read :]
            self._read += len(data)
            self.frames.receive_data(data)

    async def send(self, event: Any) -> None:
        self.viewer.h2.send_data(self.stream_id, self.frames.send(event))
        await self.viewer.flush()


async def watch_over_http2(door: HttpsHouse, target: str = LIVE) -> OverHttp2:
    viewer = await door.http2()
    while not viewer.h2.remote_settings.enable_connect_protocol:
        await viewer.receive()
    stream_id = viewer.h2.get_next_available_stream_id()
    viewer.bodies[stream_id] = b""
    names = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":authority": "localhost"}
    viewer.h2.send_headers(stream_id, [*names.items(), (":path", target), ("sec-websocket-version", "13")])
    await viewer.flush()
    assert (await viewer.head(stream_id))[":status"] == "200"
    return OverHttp2(viewer, stream_id)


@asynccontextmanager
async def ended_by(reason: EndReason, *scripts: HttpScript, **tables: Any) -> AsyncIterator[HttpsHouse]:
    """A door whose one viewer ends for this reason."""
    with capture_logs() as logs:
        async with open_https(*scripts, **tables) as door:
            yield door
    assert [entry["reason"] for entry in logs if entry["event"] == "viewer.end"] == [reason]


async def test_a_spliced_body_comes_as_binary_messages(autojump_clock: MockClock) -> None:
    async with ended_by(EndReason.ORIGIN_ENDED, says(CHUNKED_MEDIA + LAST_CHUNK)) as door:
        viewer = await watch(door, SPLICED)
        while not viewer.ended:
            await viewer.receive()
        assert viewer.payload == MEDIA
        assert viewer.closing is not None
        assert viewer.closing.code == 1000


async def test_a_spliced_body_comes_over_http_2_too(autojump_clock: MockClock) -> None:
    async with ended_by(EndReason.ORIGIN_ENDED, says(CHUNKED_MEDIA + LAST_CHUNK)) as door:
        viewer = await watch_over_http2(door, SPLICED)
        payload = b""
        while isinstance(event := await viewer.event(), BytesMessage):
            payload += event.data
        assert payload == MEDIA
        assert isinstance(event, CloseConnection)
        assert event.code == 1000


@pytest.mark.parametrize("over", [watch, watch_over_http2], ids=["HTTP/1.1", "HTTP/2"])
async def test_a_live_stream_comes_as_binary_messages(over: Any, autojump_clock: MockClock) -> None:
    async with open_https(mute()) as door:
        publisher = await door.house.rtmp().publish()
        await publisher.begin()
        viewer = await over(door)
        await publisher.video(1000, keyframe(b"the newest"))
        payload = b""
        while b"the newest" not in payload:
            if isinstance(viewer, WebSocketClient):
                await viewer.receive()
                payload = viewer.payload
            else:
                payload += (await viewer.event()).data
        assert payload.startswith(b"FLV\x01\x05")
        (record,) = door.house.viewers
        assert (record.protocol, record.route) == ("ws-flv", "hub")


async def test_a_missing_stream_is_a_plain_404(autojump_clock: MockClock) -> None:
    async with open_https(mute()) as door:
        viewer = await watch(door)
        assert viewer.rejected is not None
        assert viewer.rejected.status_code == 404
        assert json.loads(viewer.rejected_body)["status"] == 404


async def test_an_answer_of_the_origins_that_is_no_200_passes(autojump_clock: MockClock) -> None:
    async with open_https(says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nnothing")) as door:
        viewer = await watch(door, SPLICED)
        assert viewer.rejected is not None
        assert (viewer.rejected.status_code, viewer.rejected_body) == (404, b"nothing")


async def test_a_page_that_is_not_listed_may_not_watch(autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_MEDIA), cors_origins=["https://mine"]) as door:
        refused = await watch(door, SPLICED, Origin="https://other")
        assert refused.rejected is not None
        assert refused.rejected.status_code == 403
        for origin in ("https://mine", "https://door"):  # the latter is the client's name for this door: its own page
            assert (await watch(door, SPLICED, Origin=origin)).rejected is None


async def test_a_ping_is_answered(autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_MEDIA)) as door:
        assert await (await watch(door, SPLICED)).ping(b"here?") == b"here?"
        over_http2 = await watch_over_http2(door, SPLICED)
        await over_http2.send(Ping(b"here?"))
        while not isinstance(event := await over_http2.event(), Pong):
            pass
        assert event.payload == b"here?"


async def test_pings_that_nobody_takes_the_answers_of_end_the_connection(autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_MEDIA)) as door:
        viewer = await watch_over_http2(door, SPLICED)
        viewer.viewer.gives_room = False
        with trio.fail_after(10):
            while not viewer.viewer.closed:
                try:
                    while viewer.viewer.h2.local_flow_control_window(viewer.stream_id) > 200:
                        await viewer.send(Ping(bytes(125)))
                except trio.BrokenResourceError:
                    break
                await viewer.viewer.receive()
        await door.nobody_watches()


@pytest.mark.parametrize(("reason", "code"), [(EndReason.KICKED, 1008), (EndReason.DRAINED, 1001)])
async def test_who_is_sent_away_is_told_why(reason: EndReason, code: int, autojump_clock: MockClock) -> None:
    async with ended_by(reason, mute(CHUNKED_MEDIA)) as door:
        viewer = await watch(door, SPLICED)
        await viewer.receive_payload(len(MEDIA))
        door.house.server.rooms.viewers.end_all(reason)
        if reason is EndReason.DRAINED:
            door.stop()
        while viewer.closing is None:
            assert not viewer.ended
            await viewer.receive()
        assert viewer.closing.code == code


async def test_a_viewer_who_takes_nothing_ends(autojump_clock: MockClock) -> None:
    async with ended_by(EndReason.STALLED, Flood(), timeouts={"stall_s": 5}) as door:
        viewer = await watch_over_http2(door, SPLICED)
        viewer.viewer.gives_room = False
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:

                async def read() -> None:
                    while not viewer.viewer.closed:
                        await viewer.viewer.receive()

                nursery.start_soon(read)
                await door.nobody_watches()
                while viewer.stream_id not in viewer.viewer.resets:
                    await trio.sleep(0.1)
                nursery.cancel_scope.cancel()


async def test_a_viewer_who_says_much_is_told_that_viewers_listen(autojump_clock: MockClock) -> None:
    async with ended_by(EndReason.VIEWER_LEFT, mute(CHUNKED_MEDIA)) as door:
        viewer = await watch(door, SPLICED)
        for _ in range(70):
            await viewer.send(BytesMessage(bytes(1000)))
        while viewer.closing is None:
            assert not viewer.ended
            await viewer.receive()
        assert viewer.closing.code == 1008


async def test_a_close_of_the_viewers_lets_go_of_the_origin(autojump_clock: MockClock) -> None:
    async with ended_by(EndReason.VIEWER_LEFT, mute(CHUNKED_MEDIA)) as door:
        viewer = await watch(door, SPLICED)
        await viewer.send(CloseConnection(1000))
        with trio.fail_after(0.1):
            await door.origin.connections[0].left.wait()
