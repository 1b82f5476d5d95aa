"""Carrying on with a backlog: on a socket that takes little, takes nothing, or is gone."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from splice.hub import FLV, Subscriber
from splice.hub.feeding import feed
from splice.stats import EndReason


@dataclass
class Meter:
    bytes: int = 0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A viewer's end that takes little at a time, and ours."""
    viewer, ours = socket.socketpair()
    with viewer, ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ours.setblocking(False)
        viewer.setblocking(False)
        yield viewer, ours


def subscriber_with(pieces: list[bytes], meter: Meter | None = None) -> Subscriber:
    subscriber = Subscriber(FLV, send=None, meter=meter or Meter(), max_bytes=1 << 30, max_s=1000)
    subscriber.begin(pieces, now=0, configuration=0, at_keyframe=True)
    return subscriber


async def read_all(viewer: socket.socket) -> bytes:
    data = b""
    while True:
        await trio.lowlevel.wait_readable(viewer)
        more = viewer.recv(1000)
        if not more:
            return data
        data += more


async def test_everything_arrives_in_order_however_little_the_socket_takes(
    autojump_clock: MockClock, pair: tuple[socket.socket, socket.socket]
) -> None:
    viewer, ours = pair
    pieces = [bytes([number]) * 10_000 for number in range(20)]
    meter = Meter()
    subscriber = subscriber_with(pieces, meter)
    subscriber.end(b"closing", 0)

    async def feed_and_close() -> None:
        assert await feed(subscriber, ours, stall_s=10) is EndReason.ORIGIN_ENDED
        ours.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed_and_close)
        assert await read_all(viewer) == b"".join(pieces) + b"closing"
    assert meter.bytes == 200_007
    assert subscriber.backlog_bytes == 0


async def test_who_takes_nothing_for_stall_s_is_stalled(
    autojump_clock: MockClock, pair: tuple[socket.socket, socket.socket]
) -> None:
    _, ours = pair
    assert await feed(subscriber_with([bytes(1_000_000)]), ours, stall_s=7) is EndReason.STALLED
    assert trio.current_time() == 7


async def test_who_takes_a_little_in_time_is_not(
    autojump_clock: MockClock, pair: tuple[socket.socket, socket.socket]
) -> None:
    viewer, ours = pair
    subscriber = subscriber_with([bytes(100_000)])
    subscriber.end(b"", 0)
    async with trio.open_nursery() as nursery:

        async def take_slowly() -> None:
            while True:
                await trio.sleep(6)
                await trio.lowlevel.wait_readable(viewer)
                viewer.recv(10_000)

        nursery.start_soon(take_slowly)
        assert await feed(subscriber, ours, stall_s=7) is EndReason.ORIGIN_ENDED
        nursery.cancel_scope.cancel()
    assert trio.current_time() > 7


async def test_who_is_gone_has_left(autojump_clock: MockClock, pair: tuple[socket.socket, socket.socket]) -> None:
    viewer, ours = pair
    viewer.close()
    assert await feed(subscriber_with([b"x"]), ours, stall_s=7) is EndReason.VIEWER_LEFT


async def test_a_stream_that_has_ended_ends_it_without_a_byte(
    autojump_clock: MockClock, pair: tuple[socket.socket, socket.socket]
) -> None:
    _, ours = pair
    subscriber = subscriber_with([])
    subscriber.end(b"", 0)
    assert await feed(subscriber, ours, stall_s=7) is EndReason.ORIGIN_ENDED


async def test_an_idle_stream_is_no_stall(autojump_clock: MockClock, pair: tuple[socket.socket, socket.socket]) -> None:
    viewer, ours = pair
    subscriber = subscriber_with([b"first"])
    reasons: list[EndReason] = []

    async def feed_it() -> None:
        reasons.append(await feed(subscriber, ours, stall_s=7))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed_it)
        await trio.sleep(100)
        assert viewer.recv(100) == b"first"
        subscriber.insert(b"second", trio.current_time())
        await wait_all_tasks_blocked()
        assert viewer.recv(100) == b"second"
        assert reasons == []
        subscriber.end(b"", trio.current_time())
    assert reasons == [EndReason.ORIGIN_ENDED]


async def test_a_cancellation_leaves_what_was_not_taken(
    autojump_clock: MockClock, pair: tuple[socket.socket, socket.socket]
) -> None:
    _, ours = pair
    meter = Meter()
    subscriber = subscriber_with([bytes(100_000)], meter)
    with trio.move_on_after(1):
        await feed(subscriber, ours, stall_s=7)
    assert 0 < meter.bytes < 100_000
    assert subscriber.backlog_bytes == 100_000 - meter.bytes
