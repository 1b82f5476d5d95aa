"""Strict cancellation: whichever side ends, however, at whatever moment, nothing is left over.

Each test takes a census of descriptors, tasks, registrations and viewers before a viewer comes, and another when it has
gone: they are equal, and both ends have seen their connection close at once, also while no byte flows.
"""

import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import splice.gateway
from splice.pump import PortablePump
from splice.pump.epoll import EpollPump
from splice.stats import EndReason
from tests.splice.splice_house import GET, OK, Asked, FakeOrigin, House, Viewer, open_house, splicing
from tests.splice.test_gateway_origin_fails import deaf_url

AT_ONCE_S = 0.1
GET_1_0 = GET.replace(b"HTTP/1.1", b"HTTP/1.0")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

Moment = Callable[[FakeOrigin, House, trio.Nursery], Awaitable[tuple[Viewer, Asked]]]


@pytest.fixture
def slow_clock() -> MockClock:
    """Runs at a tenth of the world's speed: at once is 100 ms to a timer, and a second to a busy machine."""
    return MockClock(rate=0.1)


BOTH_PUMPS = pytest.mark.parametrize("pump_kind", [EpollPump, PortablePump])


async def before_the_origins_head(origin: FakeOrigin, house: House, nursery: trio.Nursery) -> tuple[Viewer, Asked]:
    viewer = await house.viewer()
    return viewer, await origin.asked()


async def while_nothing_flows(origin: FakeOrigin, house: House, nursery: trio.Nursery) -> tuple[Viewer, Asked]:
    viewer, asked = await before_the_origins_head(origin, house, nursery)
    await asked.send(OK + b"FLV")
    await viewer.until(b"FLV")
    return viewer, asked


async def send_for_ever(asked: Asked, data: bytes) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while True:
            await asked.send(data)


async def while_bytes_flow(origin: FakeOrigin, house: House, nursery: trio.Nursery) -> tuple[Viewer, Asked]:
    viewer, asked = await while_nothing_flows(origin, house, nursery)
    nursery.start_soon(send_for_ever, asked, bytes(1000))
    await viewer.see(100_000)
    return viewer, asked


async def while_bytes_are_stuck(origin: FakeOrigin, house: House, nursery: trio.Nursery) -> tuple[Viewer, Asked]:
    viewer, asked = await while_nothing_flows(origin, house, nursery)
    nursery.start_soon(send_for_ever, asked, bytes(100_000))
    (record,) = house.server.rooms.viewers
    taken = -1
    while taken != record.bytes:
        taken = record.bytes
        await trio.sleep(0.02)
    return viewer, asked


async def while_a_body_is_unframed(origin: FakeOrigin, house: House, nursery: trio.Nursery) -> tuple[Viewer, Asked]:
    viewer = await house.viewer(GET_1_0)
    asked = await origin.asked()
    await asked.send(CHUNKED + b"3\r\nFLV\r\n")
    await viewer.until(b"FLV")
    return viewer, asked


MOMENTS = [
    before_the_origins_head,
    while_nothing_flows,
    while_bytes_flow,
    while_bytes_are_stuck,
    while_a_body_is_unframed,
]


@asynccontextmanager
async def nothing_left(house: House) -> AsyncIterator[trio.Nursery]:
    """A viewer's life: when the block is left its connection's task has ended at once, and all is as before."""
    before = house.census()
    async with trio.open_nursery() as nursery:
        yield nursery
        with trio.fail_after(AT_ONCE_S):
            await house.nobody_served()
        nursery.cancel_scope.cancel()
    assert house.census() == before


@BOTH_PUMPS
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("leave", ["close", "half_close", "reset"])
async def test_a_viewer_who_leaves_takes_its_connection_to_the_origin_along(
    pump_kind: type, moment: Moment, leave: str, slow_clock: MockClock
) -> None:
    async with splicing(pump_kind=pump_kind) as (origin, house):
        async with nothing_left(house) as nursery:
            viewer, asked = await moment(origin, house, nursery)
            if leave == "half_close":
                await viewer.half_close()
            else:
                getattr(viewer, leave)()
            with trio.fail_after(AT_ONCE_S):
                await asked.ended()
                await house.nobody_served()
            viewer.close()
            asked.close()
        assert house.logged("viewer.end")["reason"] == "viewer_left"


@BOTH_PUMPS
@pytest.mark.parametrize("moment", MOMENTS[1:])
@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_an_origin_that_goes_ends_its_viewer(
    pump_kind: type, moment: Moment, leave: str, slow_clock: MockClock
) -> None:
    async with splicing(pump_kind=pump_kind) as (origin, house):
        async with nothing_left(house) as nursery:
            viewer, asked = await moment(origin, house, nursery)
            getattr(asked, leave)()
            with trio.fail_after(AT_ONCE_S):
                ended = await viewer.ended()
            viewer.close()
        whole = leave == "close" and moment is not while_a_body_is_unframed
        assert ended == ("fin" if whole else "reset")
        assert house.logged("viewer.end")["reason"] == ("origin_ended" if whole else "origin_lost")


@BOTH_PUMPS
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("reason", [EndReason.KICKED, EndReason.DRAINED])
async def test_a_viewer_who_is_ended_is_reset_and_its_origin_left(
    pump_kind: type, moment: Moment, reason: EndReason, slow_clock: MockClock
) -> None:
    async with splicing(pump_kind=pump_kind) as (origin, house):
        async with nothing_left(house) as nursery:
            viewer, asked = await moment(origin, house, nursery)
            (record,) = house.server.rooms.viewers
            record.end(reason)
            record.end(EndReason.ERROR)  # the first reason stands
            with trio.fail_after(AT_ONCE_S):
                assert await viewer.ended() == "reset"
                await asked.ended()
            viewer.close()
            asked.close()
        assert house.logged("viewer.end")["reason"] == reason


@BOTH_PUMPS
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_task_that_is_cancelled_closes_both_connections(
    pump_kind: type, moment: Moment, slow_clock: MockClock
) -> None:
    async with splicing(pump_kind=pump_kind) as (origin, house), nothing_left(house) as nursery:
        viewer, asked = await moment(origin, house, nursery)
        house.serving[0].cancel()
        with trio.fail_after(AT_ONCE_S):
            await viewer.ended()
            await asked.ended()
        viewer.close()
        asked.close()


@BOTH_PUMPS
async def test_an_origin_that_stalls_is_left_after_stall_s(pump_kind: type, autojump_clock: MockClock) -> None:
    async with splicing(pump_kind=pump_kind, timeouts={"stall_s": 10}) as (origin, house):
        before = house.census()
        async with trio.open_nursery() as nursery:
            viewer, asked = await while_nothing_flows(origin, house, nursery)
            began_s = trio.current_time()
            assert await viewer.ended() == "reset"
            assert 9 < trio.current_time() - began_s < 11
            await asked.ended()
        viewer.close()
        asked.close()
        await house.nobody_served()
        assert house.census() == before
        assert house.logged("viewer.end")["reason"] == "stalled"


@BOTH_PUMPS
async def test_a_viewer_who_stalls_is_reset_and_its_origin_left(pump_kind: type, slow_clock: MockClock) -> None:
    async with splicing(pump_kind=pump_kind, timeouts={"stall_s": 0.05}) as (origin, house):
        async with nothing_left(house) as nursery:
            viewer, asked = await while_bytes_are_stuck(origin, house, nursery)
            await house.nobody_served()
            assert await viewer.ended() == "reset"
            await asked.ended()
            viewer.close()
            asked.close()
        assert house.logged("viewer.end")["reason"] == "stalled"


@pytest.mark.parametrize("framing", [b"", b"Transfer-Encoding: chunked\r\n"])
async def test_a_viewer_who_does_not_even_take_the_head_stalls_as_well(framing: bytes, slow_clock: MockClock) -> None:
    async with splicing(timeouts={"stall_s": 0.2}) as (origin, house):
        house.send_bytes = 1
        async with nothing_left(house):
            viewer = await house.viewer(GET_1_0, receive_bytes=1)
            asked = await origin.asked()
            await asked.send(b"HTTP/1.1 200 OK\r\n" + framing + b"X: " + b"x" * 15_000 + b"\r\n\r\n")
            await house.nobody_served()
            assert await viewer.ended() == "reset"
            await asked.ended()
            viewer.close()
            asked.close()
        assert house.logged("viewer.end")["reason"] == "stalled"


@pytest.mark.parametrize("leave", ["close", "half_close", "reset", "kicked"])
async def test_a_viewer_who_leaves_while_its_origin_is_dialled_ends_the_dialling(
    leave: str, slow_clock: MockClock
) -> None:
    with deaf_url() as url:
        async with open_house(origins={"a": {"url": url}}) as house, nothing_left(house):
            viewer = await house.viewer()
            await trio.testing.wait_all_tasks_blocked(0.01)
            (record,) = house.server.rooms.viewers
            if leave == "kicked":
                record.end(EndReason.KICKED)
            elif leave == "half_close":
                await viewer.half_close()
            else:
                getattr(viewer, leave)()
            with trio.fail_after(AT_ONCE_S):
                await house.nobody_served()
            viewer.close()


def raise_on_purpose(*args: Any, **kwargs: Any) -> NoReturn:
    raise ZeroDivisionError("on purpose")


@pytest.mark.parametrize("where", ["asking", "answering", "relaying", "counting"])
async def test_a_bug_ends_its_own_connection_alone_and_is_logged(
    where: str, monkeypatch: pytest.MonkeyPatch, slow_clock: MockClock
) -> None:
    async with splicing() as (origin, house), trio.open_nursery() as nursery:
        other, others_origin = await while_nothing_flows(origin, house, nursery)
        while not house.pump.registrations:
            await trio.lowlevel.checkpoint()
        house.log.clear()
        before = house.census()
        if where == "asking":
            monkeypatch.setattr(splice.gateway, "forwarded_request_head", raise_on_purpose)
        elif where == "answering":
            monkeypatch.setattr(splice.gateway, "relayed_answer", raise_on_purpose)
        elif where == "relaying":
            monkeypatch.setattr(house.pump, "relay", raise_on_purpose)
        else:
            monkeypatch.setattr(type(house.server.rooms.viewers), "check_room", raise_on_purpose)
        viewer = await house.viewer()
        if where in ("answering", "relaying"):
            asked = await origin.asked()
            await asked.send(OK)
            with trio.fail_after(AT_ONCE_S):
                await asked.ended()
            asked.close()
        with trio.fail_after(AT_ONCE_S):
            assert await viewer.ended() == "reset"
        viewer.close()
        while len(house.serving) > 1:
            await trio.lowlevel.checkpoint()
        assert house.census() == before
        bug = house.logged("connection.bug")
        assert (bug["log_level"], bug["exc_info"]) == ("error", True)
        if where != "counting":
            assert house.logged("viewer.end")["reason"] == "error"
        await others_origin.send(b"goes on")
        await other.until(b"goes on")


@BOTH_PUMPS
async def test_cancelled_at_any_moment_a_connection_leaves_nothing(pump_kind: type, slow_clock: MockClock) -> None:
    rng = random.Random(3)
    async with splicing(pump_kind=pump_kind) as (origin, house):
        before = house.census()
        for round_ in range(80):
            async with trio.open_nursery() as nursery:
                viewer = await house.viewer(rng.choice([GET, GET_1_0, GET[:-2]]))
                nursery.start_soon(answer_and_flood, origin)
                while not house.serving:
                    await trio.lowlevel.checkpoint()
                for _ in range(round_ // 2):
                    await trio.lowlevel.checkpoint()
                house.serving[0].cancel()
                with trio.fail_after(AT_ONCE_S):
                    await house.nobody_served()
                    await viewer.ended()
                viewer.close()
                nursery.cancel_scope.cancel()
            origin.close_accepted()
            assert house.census() == before


async def answer_and_flood(origin: FakeOrigin) -> None:
    asked = await origin.accepted()
    await send_for_ever(asked, CHUNKED + b"10000\r\n" + bytes(65536) + b"\r\n" + b"ffffffff\r\n")
