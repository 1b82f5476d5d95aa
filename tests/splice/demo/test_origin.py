"""The demo's origin as its viewers see it: on virtual time over memory streams, and once over a real socket."""

import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from splice.demo import DemoOrigin
from tests.splice.demo.flv import VIDEO, tags_of, unchunked

GET = b"GET /live?port=1935&app=demo&stream=clock HTTP/1.1\r\nHost: demo\r\n\r\n"


@asynccontextmanager
async def a_viewer(origin: DemoOrigin, request: bytes = GET) -> AsyncIterator[trio.abc.HalfCloseableStream]:
    """A connection to `origin` that has sent `request`; the origin's task must end once it is left."""
    ours, theirs = trio.testing.memory_stream_pair()
    with trio.fail_after(1000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(origin.handle, theirs)
            await ours.send_all(request)
            yield ours
            await ours.aclose()


async def read_for(stream: trio.abc.ReceiveStream, seconds: float) -> bytes:
    """What comes within `seconds`, or until the end."""
    data = b""
    with trio.move_on_after(seconds):
        while more := await stream.receive_some():
            data += more
    return data


def head_and_body(response: bytes) -> tuple[bytes, bytes]:
    head, separator, body = response.partition(b"\r\n\r\n")
    assert separator
    return head, body


async def test_a_viewer_gets_flv_in_real_time_one_chunk_a_tag(autojump_clock: trio.testing.MockClock) -> None:
    async with a_viewer(DemoOrigin()) as viewer:
        began_s = trio.current_time()
        head, body = head_and_body(await read_for(viewer, 20))
    assert trio.current_time() - began_s == pytest.approx(20)
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 200 OK"
    assert b"Content-Type: video/x-flv" in head
    assert b"Transfer-Encoding: chunked" in head
    assert b"Connection: close" in head
    chunks = unchunked(body)
    assert chunks[0] == b"FLV\x01\x05\0\0\0\x09" + bytes(4)
    tags = tags_of(b"".join(chunks))
    assert len(tags) == len(chunks) - 1
    last_ms = [tag.timestamp_ms for tag in tags if tag.kind == VIDEO][-1]
    assert last_ms == pytest.approx(20_000, abs=40)


async def test_an_http_1_0_viewer_gets_the_same_flv_unframed_until_close(
    autojump_clock: trio.testing.MockClock,
) -> None:
    request = b"GET /live?app=demo&stream=clock HTTP/1.0\r\n\r\n"
    async with a_viewer(DemoOrigin(), request) as viewer:
        head, body = head_and_body(await read_for(viewer, 3))
    assert b"Transfer-Encoding" not in head
    assert len(tags_of(body)) > 200


async def test_a_late_viewer_begins_at_the_newest_keyframe_and_gets_what_has_passed_since_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    await trio.sleep_until(5.7)
    async with a_viewer(DemoOrigin()) as viewer:
        _, body = head_and_body(await read_for(viewer, 0.001))
    tags = tags_of(b"".join(unchunked(body)))
    media = [tag for tag in tags[1:] if not tag.is_configuration]
    assert media[0].is_keyframe
    assert media[0].timestamp_ms == 0
    assert media[-1].timestamp_ms == pytest.approx(700, abs=40)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /live?app=demo&stream=other HTTP/1.1\r\nHost: demo\r\n\r\n", b"404"),
        (b"GET /live?app=demo HTTP/1.1\r\nHost: demo\r\n\r\n", b"404"),
        (b"GET /live?app=demo&app=demo&stream=clock HTTP/1.1\r\nHost: demo\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n", b"404"),
        (b"PUT /live?app=demo&stream=clock HTTP/1.1\r\nHost: demo\r\n\r\n", b"405"),
        (b"GET /live?app=demo&stream=clock HTTP/1.1\n\n", b"400"),
    ],
)
async def test_what_is_not_there_is_refused_and_closed(
    autojump_clock: trio.testing.MockClock, request_head: bytes, status: bytes
) -> None:
    async with a_viewer(DemoOrigin(), request_head) as viewer:
        response = await read_for(viewer, 5)
    assert response.startswith(b"HTTP/1.1 " + status + b" ")


async def test_a_head_that_does_not_come_is_answered_with_408(autojump_clock: trio.testing.MockClock) -> None:
    async with a_viewer(DemoOrigin(head_s=10), GET[:-2]) as viewer:
        response = await read_for(viewer, 60)
        assert trio.current_time() == pytest.approx(10)
    assert response.startswith(b"HTTP/1.1 408 ")


async def test_a_viewer_who_leaves_before_its_head_is_whole_is_let_go_in_silence(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with a_viewer(DemoOrigin(), b"GET /li") as viewer:
        await viewer.send_eof()
        assert await read_for(viewer, 5) == b""
        assert trio.current_time() == 0


@pytest.mark.parametrize("half", [False, True])
async def test_the_task_ends_at_once_when_the_viewer_leaves(autojump_clock: trio.testing.MockClock, half: bool) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(DemoOrigin().handle, theirs)
            await ours.send_all(GET)
            await read_for(ours, 1.01)
            await (ours.send_eof() if half else ours.aclose())
    assert trio.current_time() == pytest.approx(1.01)


async def test_a_viewer_who_does_not_read_is_dropped_and_nothing_is_queued_for_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    # The lockstep pair hands over nothing until the other side reads: a full send buffer from the first byte on.
    ours, theirs = trio.testing.lockstep_stream_pair()
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(DemoOrigin(stall_s=10).handle, theirs)
            await ours.send_all(GET)
    assert trio.current_time() == pytest.approx(10)


async def test_over_a_real_socket_it_plays_and_leaves_no_descriptor_behind() -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(DemoOrigin().serve)
        with trio.fail_after(10):
            async with await trio.open_tcp_stream("127.0.0.1", port) as viewer:
                await viewer.send_all(GET)
                data = b""
                while data.count(b"\x17\x01") < 2:  # two keyframes: a second of real time at most, and some
                    data += await viewer.receive_some()
        nursery.cancel_scope.cancel()
    assert tags_of(b"".join(unchunked(head_and_body(data)[1])))
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_cancelling_the_origin_closes_its_viewers() -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(DemoOrigin().serve)
        viewer = await trio.open_tcp_stream("127.0.0.1", port)
        await viewer.send_all(GET)
        assert await viewer.receive_some()
        nursery.cancel_scope.cancel()
    with trio.fail_after(10):
        async with viewer:
            while await viewer.receive_some():
                pass  # what was under way; then the end


async def test_without_descriptors_left_it_pauses_says_so_in_the_doors_own_log_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with capture_logs() as logs, socket.socket() as viewer, trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(DemoOrigin().serve)
            lowest_free = os.dup(viewer.fileno())
            os.close(lowest_free)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
                viewer.connect(("127.0.0.1", port))
                while not logs:
                    await trio.sleep(0.01)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            viewer.setblocking(False)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(viewer))
            await stream.send_all(GET)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 OK")
            nursery.cancel_scope.cancel()
    assert {entry["event"] for entry in logs} == {"accept.paused"}
    assert not caplog.records
