"""Requests by TLS, in HTTP/1.1 and in HTTP/2, on both routes: the plain door's rules, answers and ends.

Hypercorn's parsers stand before the door's own here, so these rows of DESIGN section 3 are theirs, and not tested: a
request line or a field line that is malformed gets their bare 400 and not a problem; a head over 16 KiB too; one that
is not whole in `head_s` ends the connection and gets no 408; small letters in a method become capitals; a handshake of
WebSocket with a wrong version or key gets a bare 400; pings are answered without a bound; what comes behind the head
is pipelined, of which 64 KiB are kept; and the absolute-form takes http:// alone.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from splice.http import LAST_CHUNK, chunk
from splice.stats import EndReason
from tests.splice.https.https_house import LIVE, SPLICED, HttpsHouse, open_https
from tests.splice.hub.servers import CHUNKED_HEAD, OPENING, UNTIL_CLOSE_HEAD, flv, mute, plays, says
from tests.splice.hub_house import FlvViewer, keyframe

MEDIA = flv(*OPENING)
LENGTH_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MEDIA)


class Answer:
    """An answer that has ended, of either protocol."""

    def __init__(self, status: int, fields: dict[str, str], body: bytes) -> None:
        self.status = status
        self.fields = fields
        self.body = body


Ask = Callable[..., Awaitable[Answer]]


async def ask_http1(door: HttpsHouse, target: str, method: str = "GET", **fields: str) -> Answer:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    viewer: FlvViewer = await door.http1(target, method=method, fields=lines)
    head = {name.decode().lower(): value.decode() for name, value in viewer.head.fields}
    body, viewer._first = viewer._first, b""
    while not viewer._ended and not viewer._body.finished:
        body += await viewer._read()
    return Answer(viewer.head.status, head, body)


async def ask_http2(door: HttpsHouse, target: str, method: str = "GET", **fields: str) -> Answer:
    viewer = await door.http2()
    lower = {name.lower(): value for name, value in fields.items()}
    stream_id = await viewer.ask(target, method=method, fields=lower)
    head = await viewer.head(stream_id)
    return Answer(int(head[":status"]), head, await viewer.body(stream_id))


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return ask_http1 if request.param == "HTTP/1.1" else ask_http2


def reasons(logs: list[Any]) -> list[str]:
    return [entry["reason"] for entry in logs if entry["event"] == "viewer.end"]


# --- the door's own answers ---


async def test_the_page_is_there(ask: Ask, autojump_clock: MockClock) -> None:
    async with open_https(mute()) as door:
        answer = await ask(door, "/")
        assert answer.status == 200
        assert answer.body.startswith(b"<!")
        assert len(answer.body) == int(answer.fields["content-length"])


@pytest.mark.parametrize(
    ("status", "method", "target", "fields"),
    [
        (404, "GET", "/nothing", {}),
        (405, "POST", LIVE, {}),
        (400, "GET", "/live?app=myapp", {}),
        (400, "GET", LIVE + "&app=other", {}),
        (404, "GET", LIVE, {}),
        (404, "GET", LIVE + "&src=unknown", {}),
        (414, "GET", LIVE + "&x=" + "x" * 5000, {}),
        (431, "GET", LIVE, {f"X-{number}": "x" for number in range(70)}),
        (502, "GET", LIVE + "&src=nobody", {}),
        (504, "GET", SPLICED, {}),
    ],
)
async def test_a_refusal_is_a_problem_that_a_page_may_read(
    ask: Ask, status: int, method: str, target: str, fields: dict[str, str], autojump_clock: MockClock
) -> None:
    async with open_https(mute()) as door:
        answer = await ask(door, target, method, **fields)
        assert answer.status == status
        assert answer.fields["content-type"] == "application/problem+json"
        assert answer.fields["access-control-allow-origin"] == "*"
        assert answer.fields["cache-control"] == "no-store"


async def test_a_body_is_refused(ask: Ask, autojump_clock: MockClock) -> None:
    async with open_https(mute()) as door:
        if ask is ask_http1:
            assert (await ask(door, LIVE, **{"Content-Length": "5"})).status == 400
            return
        viewer = await door.http2()
        stream_id = await viewer.ask(fields={"content-length": "5"}, end=False)
        assert (await viewer.head(stream_id))[":status"] == "400"


async def test_a_preflight_is_answered(ask: Ask, autojump_clock: MockClock) -> None:
    async with open_https(mute()) as door:
        answer = await ask(door, LIVE, "OPTIONS", Origin="https://page")
        assert answer.status == 200
        assert answer.fields["access-control-allow-methods"] == "GET, HEAD, OPTIONS"


async def test_an_outsider_learns_nothing_of_names(ask: Ask, autojump_clock: MockClock) -> None:
    async with open_https(mute(), play={"deny": ["127.0.0.1"]}) as door:
        assert (await ask(door, LIVE + "&src=unknown")).status == 403
        assert (await ask(door, SPLICED)).status == 403
        assert not door.origin.connections


async def test_limits_count_viewers_by_tls_with_all_others(ask: Ask, autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_HEAD), limits={"viewers": 1}) as door:
        await door.house.http(SPLICED)
        answer = await ask(door, SPLICED)
        assert answer.status == 503
        assert answer.fields["retry-after"]


async def test_a_line_feed_in_a_field_becomes_no_field_of_its_own(autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_HEAD)) as door:
        viewer = await door.http2()
        viewer.h2.config.validate_outbound_headers = False
        stream_id = await viewer.ask(SPLICED, fields={"referer": "x\r\nAuthorization: y"})
        while stream_id not in viewer.heads and not viewer.closed:
            await viewer.receive()
        assert viewer.closed or viewer.heads[stream_id][":status"] == "400"
        assert not door.origin.connections


# --- the splice route ---


async def test_the_origin_is_asked_as_by_the_plain_door(ask: Ask, autojump_clock: MockClock) -> None:
    async with open_https(says(CHUNKED_HEAD + LAST_CHUNK)) as door:
        target = SPLICED + "&port=1935&more=%2F~"
        await ask(door, target, Referer="http://page", Authorization="Basic eA==", Cookie="x=y")
        (connection,) = door.origin.connections
        line, *lines = connection.head.split(b"\r\n")
        assert line == f"GET {target} HTTP/1.1".encode()
        names = [field.partition(b":")[0] for field in lines if field]
        assert names == [b"Host", b"Connection", b"User-Agent", b"X-Forwarded-For", b"Referer", b"Authorization"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([CHUNKED_HEAD + chunk(MEDIA) + LAST_CHUNK], id="chunked"),
        pytest.param([CHUNKED_HEAD, *(chunk(bytes([byte])) for byte in MEDIA), LAST_CHUNK], id="chunked, by the byte"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MEDIA), MEDIA + b"more"], id="of a length"
        ),
        pytest.param([UNTIL_CLOSE_HEAD, MEDIA], id="until close"),
    ],
)
async def test_the_body_is_taken_out_of_its_framing(ask: Ask, answer: list[bytes], autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_https(says(*answer)) as door:
            assert (await ask(door, SPLICED)).body == MEDIA
    assert reasons(logs) == [EndReason.ORIGIN_ENDED]


async def test_an_answer_that_is_no_200_passes_as_it_is(ask: Ask, autojump_clock: MockClock) -> None:
    async with open_https(says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\nX-Own: 1\r\n\r\nnothing")) as door:
        answer = await ask(door, SPLICED)
        assert (answer.status, answer.body, answer.fields["x-own"]) == (404, b"nothing", "1")


async def test_head_leaves_the_origin_once_its_head_is_there(ask: Ask, autojump_clock: MockClock) -> None:
    async with open_https(mute(CHUNKED_HEAD)) as door:
        answer = await ask(door, SPLICED, "HEAD")
        assert (answer.status, answer.fields["content-type"], answer.body) == (200, "video/x-flv", b"")
        with trio.fail_after(1):
            await door.origin.connections[0].left.wait()


async def test_a_lost_origin_is_no_end_of_the_stream_in_http_2(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_https(says(CHUNKED_HEAD + chunk(MEDIA))) as door:
            viewer = await door.http2()
            stream_id = await viewer.ask(SPLICED)
            await viewer.reset_by_door(stream_id)
            assert viewer.bodies[stream_id] == MEDIA
            assert (await viewer.head(await viewer.ask("/")))[":status"] == "200"  # the others go on
    assert reasons(logs) == [EndReason.ORIGIN_LOST]


async def test_a_lost_origin_is_no_end_of_the_body_in_http_1(autojump_clock: MockClock) -> None:
    async with open_https(says(CHUNKED_HEAD + chunk(MEDIA))) as door:
        viewer = await door.http1(SPLICED)
        await viewer.last_tag()
        assert not viewer.whole


async def test_a_viewer_of_http_1_0_gets_a_body_until_close(autojump_clock: MockClock) -> None:
    async with open_https(says(CHUNKED_HEAD + chunk(MEDIA) + LAST_CHUNK)) as door:
        viewer = await door.http1(SPLICED, version="1.0")
        assert viewer.head.get(b"transfer-encoding") is None
        await viewer.last_tag()
        assert len(viewer.tags) == len(OPENING)


# --- the hub route ---


@pytest.mark.parametrize("target", [LIVE, "/myapp/test.flv"])
async def test_a_live_stream_comes_whole(target: str, ask: Ask, autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_https(mute(), hub={"republish_grace_s": 0}) as door:
            publisher = await door.house.rtmp().publish()
            await publisher.begin()
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    answer = await ask(door, target)
                    assert answer.fields["content-type"] == "video/x-flv"
                    assert answer.body.startswith(b"FLV\x01\x05")
                    assert keyframe(b"the last") in answer.body

                nursery.start_soon(watch)
                while not len(door.house.viewers):
                    await trio.sleep(0.01)
                await trio.sleep(1)
                await publisher.video(2000, keyframe(b"the last"))
                await publisher.leave()
    assert reasons(logs) == [EndReason.ORIGIN_ENDED]


async def test_seven_streams_come_over_one_connection(autojump_clock: MockClock) -> None:
    async with open_https(plays()) as door:
        viewer = await door.http2()
        streams = [await viewer.ask(f"/live?app=myapp&stream=s{number}&src=a") for number in range(7)]
        for stream_id in streams:
            assert (await viewer.body(stream_id, len(MEDIA) + 1)).startswith(b"FLV")
        assert len(door.house.viewers) == len(door.origin.connections) == 7
        await viewer.leave(streams[0])
        with trio.fail_after(1):
            await door.origin.connections[0].left.wait()
        assert len(door.house.viewers) == 6
