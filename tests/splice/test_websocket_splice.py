"""WS-FLV on the splice route: what the origin is asked, its body as messages, and both sides' ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.events import CloseConnection, Ping, TextMessage

from protocol.rtmp import MediaKind
from splice.http import LAST_CHUNK, chunk
from splice.stats import EndReason
from tests.splice.hub.servers import (
    CHUNKED_HEAD,
    OPENING,
    UNTIL_CLOSE_HEAD,
    Connection,
    HttpOrigin,
    HttpScript,
    flv,
    mute,
    says,
)
from tests.splice.hub_house import House, inter_frame, open_house, reset
from tests.splice.websocket_client import LIVE, WebSocketClient, raw_handshake, watch

TARGET = f"{LIVE}&src=a&port=1935&more=%2F~"
MEDIA = flv(*OPENING, *[(MediaKind.VIDEO, at, inter_frame(bytes(at))) for at in range(40, 4000, 40)])


@asynccontextmanager
async def open_door(*scripts: HttpScript, **tables: Any) -> AsyncIterator[tuple[House, HttpOrigin]]:
    """A house whose origin `a` plays these scripts; at the end the origin must be left by all."""
    origin = HttpOrigin(*scripts)
    async with origin.listening():
        url = f"http://127.0.0.1:{origin.port}"
        async with open_house(origins={"a": {"url": url}, "nobody": {"url": "http://127.0.0.1:1"}}, **tables) as house:
            yield house, origin
        await wait_all_tasks_blocked(0.01)
        assert origin.open == 0


def of_length(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# --- the request and the messages ---


async def test_the_origin_is_asked_as_for_http_without_a_word_of_websocket(autojump_clock: MockClock) -> None:
    async with open_door(mute(CHUNKED_HEAD)) as (house, origin):
        fields = {"Referer": "http://page", "Authorization": "Basic eA==", "Cookie": "x=y", "Origin": "http://page"}
        await watch(house, TARGET, **fields)
        (connection,) = origin.connections
        line, *field_lines = connection.head.split(b"\r\n")
        assert line == f"GET {TARGET} HTTP/1.1".encode()
        names = [field_line.partition(b":")[0] for field_line in field_lines if field_line]
        assert names == [b"Host", b"Connection", b"User-Agent", b"X-Forwarded-For", b"Referer", b"Authorization"]
        assert b"Connection: close" in field_lines


async def test_its_viewer_is_on_record_as_one_by_websocket(autojump_clock: MockClock) -> None:
    async with open_door(mute(CHUNKED_HEAD, chunk(MEDIA))) as (house, _):
        viewer = await watch(house, TARGET)
        await viewer.receive_payload(len(MEDIA))
        (record,) = house.viewers
        assert (record.protocol, record.route, record.origin) == ("ws-flv", "splice", "a")
        assert record.first_byte_s is not None
        assert record.bytes > len(MEDIA)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([CHUNKED_HEAD + b"".join(map(chunk, cut(MEDIA, 900))) + LAST_CHUNK], id="chunked"),
        pytest.param([CHUNKED_HEAD, *cut(chunk(MEDIA) + LAST_CHUNK, 1111)], id="chunked, in pieces"),
        pytest.param([*cut(CHUNKED_HEAD + chunk(MEDIA[:300]), 1), chunk(MEDIA[300:]), LAST_CHUNK], id="by the byte"),
        pytest.param([of_length(MEDIA) + MEDIA + b"not of the body"], id="of a length"),
        pytest.param([of_length(MEDIA), *cut(MEDIA, 5000)], id="of a length, in pieces"),
        pytest.param([UNTIL_CLOSE_HEAD, *cut(MEDIA, 3333)], id="until close"),
    ],
)
async def test_the_body_is_taken_out_of_its_framing(autojump_clock: MockClock, answer: list[bytes]) -> None:
    with capture_logs() as logs:
        async with open_door(says(*answer)) as (house, _):
            viewer = await watch(house, TARGET)
            closing = await viewer.until_closed()
            assert viewer.payload == MEDIA
            assert closing is not None
            assert closing.code == 1000
    (end,) = [entry for entry in logs if entry["event"] == "viewer.end"]
    assert end["reason"] == EndReason.ORIGIN_ENDED


async def test_what_comes_together_is_one_message(autojump_clock: MockClock) -> None:
    async with open_door(mute(CHUNKED_HEAD + chunk(b"one") + chunk(b"two") + chunk(b"three")[:-3])) as (house, _):
        viewer = await watch(house, TARGET)
        assert await viewer.receive_payload(10) == b"onetwothre"
        assert viewer.message_sizes == [10]


# --- no stream ---


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (404, b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nnothing"),
        (404, b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"nothing") + LAST_CHUNK),
        (401, b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\nnothing"),
        (302, b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 7\r\n\r\nnothing"),
        (206, b"HTTP/1.1 206 Partial Content\r\nContent-Length: 7\r\n\r\nnothing"),
    ],
)
async def test_an_answer_that_is_no_200_passes_as_it_is(autojump_clock: MockClock, status: int, answer: bytes) -> None:
    async with open_door(says(answer)) as (house, _):
        viewer = await watch(house, TARGET)
        assert viewer.rejected is not None
        assert viewer.rejected.status_code == status
        assert viewer.rejected_body == b"nothing"


async def test_a_204_passes_too(autojump_clock: MockClock) -> None:
    async with open_door(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as (house, _):
        viewer = await watch(house, TARGET)
        assert viewer.rejected is not None
        assert viewer.rejected.status_code == 204


@pytest.mark.parametrize(
    ("status", "target", "script"),
    [
        (502, LIVE + "&src=nobody", mute()),
        (502, TARGET, says(b"nonsense\r\n\r\n")),
        (502, TARGET, says()),
        (502, TARGET, says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")),
        (504, TARGET, mute()),
    ],
)
async def test_an_origin_without_an_answer_is_an_error_by_http(
    autojump_clock: MockClock, status: int, target: str, script: HttpScript
) -> None:
    async with open_door(script) as (house, _):
        viewer = await watch(house, target)
        assert viewer.rejected is not None
        assert viewer.rejected.status_code == status
        assert (b"content-type", b"application/problem+json") in viewer.rejected.headers


# --- ends ---


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(says(CHUNKED_HEAD + chunk(MEDIA)), id="no last chunk"),
        pytest.param(says(CHUNKED_HEAD + chunk(MEDIA) + b"xyz\r\n"), id="no chunk size"),
        pytest.param(says(of_length(MEDIA + b"x") + MEDIA), id="shorter than announced"),
    ],
)
async def test_an_origin_that_is_lost_shows_in_the_close(autojump_clock: MockClock, broken: HttpScript) -> None:
    with capture_logs() as logs:
        async with open_door(broken) as (house, _):
            viewer = await watch(house, TARGET)
            closing = await viewer.until_closed()
            assert viewer.payload == MEDIA
            assert closing is not None
            assert closing.code == 1011
    (end,) = [entry for entry in logs if entry["event"] == "viewer.end"]
    assert end["reason"] == EndReason.ORIGIN_LOST


async def test_an_origin_that_resets_shows_in_the_close(autojump_clock: MockClock) -> None:
    async def script(connection: Connection) -> None:
        await connection.send(UNTIL_CLOSE_HEAD + MEDIA)
        await trio.sleep(1)
        connection.reset()

    async with open_door(script) as (house, _):
        viewer = await watch(house, TARGET)
        closing = await viewer.until_closed()
        assert closing is not None
        assert closing.code == 1011


@pytest.mark.parametrize("how", ["close frame", "fin", "close", "reset", "garbage"])
async def test_the_origin_is_left_at_once_when_the_viewer_goes_while_nothing_flows(
    autojump_clock: MockClock, how: str
) -> None:
    async with open_door(mute(CHUNKED_HEAD, chunk(MEDIA))) as (house, origin):
        viewer = await watch(house, TARGET)
        await viewer.receive_payload(len(MEDIA))
        began = trio.current_time()
        match how:
            case "close frame":
                await viewer.send(CloseConnection(1000))
            case "fin":
                await viewer.stream.send_eof()
            case "reset":
                reset(viewer.stream)
                await viewer.leave()
            case "close":
                await viewer.leave()
            case "garbage":
                await viewer.stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await origin.connections[0].left.wait()
        assert trio.current_time() - began < 0.1
        if how in ("close frame", "garbage"):
            assert await viewer.until_closed() is not None


async def test_the_origin_is_left_when_the_viewer_goes_before_its_answer(autojump_clock: MockClock) -> None:
    async with open_door(mute()) as (house, origin):
        stream = await house.dial_loopback(house.door.serve)
        await stream.send_all(raw_handshake(TARGET))
        await wait_all_tasks_blocked(0.01)
        began = trio.current_time()
        await stream.aclose()
        await origin.connections[0].left.wait()
        assert trio.current_time() - began < 0.1


@pytest.mark.parametrize(("reason", "code"), [(EndReason.DRAINED, 1001), (EndReason.KICKED, 1008)])
async def test_a_viewer_whom_the_door_ends_is_told_why(autojump_clock: MockClock, reason: EndReason, code: int) -> None:
    async with open_door(mute(CHUNKED_HEAD, chunk(MEDIA))) as (house, origin):
        viewer = await watch(house, TARGET)
        await viewer.receive_payload(len(MEDIA))
        house.viewers.end_all(reason)
        await origin.connections[0].left.wait()
        closing = await viewer.until_closed()
        assert closing is not None
        assert closing.code == code


async def test_an_origin_that_falls_silent_is_left_after_the_stall(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_door(mute(CHUNKED_HEAD, chunk(MEDIA)), timeouts={"stall_s": 7}) as (house, _):
            viewer = await watch(house, TARGET)
            began = trio.current_time()
            await viewer.until_closed()
            assert 6.9 < trio.current_time() - began < 7.1
            assert viewer.closing is None
    (end,) = [entry for entry in logs if entry["event"] == "viewer.end"]
    assert end["reason"] == EndReason.STALLED


# --- a slow viewer ---


def floods(sent: list[int]) -> HttpScript:
    """Sends as fast as it may, and notes how much."""

    async def script(connection: Connection) -> None:
        await connection.send(UNTIL_CLOSE_HEAD)
        try:
            while True:
                await connection.send(bytes(50_000))
                sent.append(50_000)
        except trio.BrokenResourceError:
            pass  # the door has left with bytes of ours unread, which makes its close a reset

    return script


async def flooded(house: House, sent: list[int]) -> WebSocketClient:
    """A viewer who reads nothing, once its origin can send no more."""
    viewer = await watch(house, TARGET, receive_bytes=4096)
    before = -1
    while before != len(sent):
        before = len(sent)
        await wait_all_tasks_blocked(0.01)
    return viewer


async def test_a_viewer_who_reads_nothing_holds_its_origin_up(autojump_clock: MockClock) -> None:
    sent: list[int] = []
    async with open_door(floods(sent)) as (house, _):
        viewer = await flooded(house, sent)
        at_rest = sum(sent)
        assert at_rest < 40_000_000  # what the kernel holds of four sockets' buffers
        await viewer.receive_payload(at_rest + 1_000_000)
        assert set(viewer.payload) == {0}


async def test_a_viewer_who_takes_nothing_is_dropped_after_the_stall(autojump_clock: MockClock) -> None:
    sent: list[int] = []
    with capture_logs() as logs:
        async with open_door(floods(sent), timeouts={"stall_s": 7}) as (house, _):
            await flooded(house, sent)
            began = trio.current_time()
            await house.viewers.wait_none()
            assert 6.9 < trio.current_time() - began < 7.1
    (end,) = [entry for entry in logs if entry["event"] == "viewer.end"]
    assert end["reason"] == EndReason.STALLED


@pytest.mark.parametrize("how", ["close frame", "fin"])
async def test_the_origin_is_left_at_once_when_a_viewer_goes_who_takes_nothing(
    autojump_clock: MockClock, how: str
) -> None:
    sent: list[int] = []
    async with open_door(floods(sent)) as (house, origin):
        viewer = await flooded(house, sent)
        began = trio.current_time()
        if how == "fin":
            await viewer.stream.send_eof()
        else:
            await viewer.send(CloseConnection(1000))
        await origin.connections[0].left.wait()
        assert trio.current_time() - began < 0.1


# --- the viewer's frames ---


async def test_a_ping_is_answered_while_nothing_flows(autojump_clock: MockClock) -> None:
    async with open_door(mute(CHUNKED_HEAD)) as (house, _):
        viewer = await watch(house, TARGET)
        assert await viewer.ping(b"hello") == b"hello"
        assert await viewer.ping(b"again") == b"again"


async def test_a_pong_goes_between_messages_and_never_into_one(autojump_clock: MockClock) -> None:
    sent: list[int] = []
    async with open_door(floods(sent)) as (house, _):
        viewer = await flooded(house, sent)
        await viewer.send(TextMessage("what I say is dropped"))
        await viewer.send(Ping(b"in the middle"))
        assert await viewer.pong() == b"in the middle"
        await viewer.receive_payload(len(viewer.payload) + 1_000_000)
        assert set(viewer.payload) == {0}
        assert viewer.closing is None


# --- the same way out of the framing, for HTTP/1.0 ---


async def by_http_1_0(house: House) -> bytes:
    """All that such a viewer gets behind the head of its answer."""
    stream = await house.dial_loopback(house.door.serve)
    await stream.send_all(f"GET {TARGET} HTTP/1.0\r\n\r\n".encode())
    answer = b""
    try:
        async for data in stream:
            answer += data
    except trio.BrokenResourceError:
        answer += b" and a reset"
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    return body


@pytest.mark.parametrize(
    ("body", "script"),
    [
        (MEDIA, says(CHUNKED_HEAD, *cut(b"".join(map(chunk, cut(MEDIA, 900))) + LAST_CHUNK, 1111))),
        (MEDIA + b" and a reset", says(CHUNKED_HEAD + chunk(MEDIA), then=1)),
        (MEDIA + b" and a reset", mute(CHUNKED_HEAD + chunk(MEDIA))),
        (MEDIA + b" and a reset", mute(CHUNKED_HEAD + chunk(MEDIA), b"no chunk size\r\n")),
    ],
    ids=["whole", "lost", "silent", "nonsense"],
)
async def test_a_viewer_of_http_1_0_gets_a_chunked_body_bare(
    autojump_clock: MockClock, body: bytes, script: HttpScript
) -> None:
    async with open_door(script, timeouts={"stall_s": 7}) as (house, _):
        assert await by_http_1_0(house) == body


async def test_a_viewer_of_http_1_0_who_takes_nothing_is_dropped_after_the_stall(autojump_clock: MockClock) -> None:
    async def floods_chunked(connection: Connection) -> None:
        await connection.send(CHUNKED_HEAD)
        try:
            while True:
                await connection.send(chunk(bytes(50_000)))
        except trio.BrokenResourceError:
            pass  # the door has left

    async with open_door(floods_chunked, timeouts={"stall_s": 7}) as (house, _):
        stream = await house.dial_loopback(house.door.serve, receive_bytes=4096)
        await stream.send_all(f"GET {TARGET} HTTP/1.0\r\n\r\n".encode())
        await wait_all_tasks_blocked(0.01)
        began = trio.current_time()
        await house.viewers.wait_none()
        assert 6.9 < trio.current_time() - began < 7.1
