"""Limits and time-outs of DESIGN section 3, and those who abuse the door: nobody who watches is disturbed by others."""

import contextlib
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.e2e.door import Door, running_door
from tests.splice.pump.links import digest, random_bytes
from tests.splice.splice_house import GET, OK, Answer, Asked, FakeOrigin, House, Viewer, splicing

SOON_S = 5


async def watching(origin: FakeOrigin, house: House, request: bytes = GET, address: str = "") -> tuple[Viewer, Asked]:
    """A viewer whose stream has begun."""
    viewer = await house.viewer(request, address=address)
    asked = await origin.asked()
    await asked.send(OK + b"FLV")
    await viewer.until(b"FLV")
    return viewer, asked


async def goes_on(viewer: Viewer, asked: Asked) -> None:
    """See that whoever watches goes on watching."""
    data = random_bytes(100_000)
    viewer.received = b""
    with trio.fail_after(SOON_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked.send, data)
            assert digest(await viewer.see(len(data))) == digest(data)


def too_many(answer: Answer, says: str) -> None:
    """See that this is a 503 which says of which limit, and when to come again."""
    assert answer.status == 503
    assert says in answer.detail.lower()
    assert int(answer["Retry-After"]) > 0
    assert answer["Access-Control-Allow-Origin"] == "*"


async def test_one_viewer_too_many_is_a_503_until_another_leaves() -> None:
    async with splicing(limits={"viewers": 2}) as (origin, house):
        first, _ = await watching(origin, house)
        second, seconds_origin = await watching(origin, house)
        with origin.nobody_comes():
            too_many(await house.answer(GET), "this door serves as many viewers as it may")
        first.close()
        while len(house.serving) > 1:
            await trio.lowlevel.checkpoint()
        await watching(origin, house)
        await goes_on(second, seconds_origin)


async def test_an_address_may_not_have_all_the_places() -> None:
    async with splicing(limits={"viewers_per_address": 1}) as (origin, house):
        first, firsts_origin = await watching(origin, house)
        with origin.nobody_comes():
            too_many(await house.answer(GET), "your address")
        other, _ = await watching(origin, house, address="127.0.0.2")
        await goes_on(first, firsts_origin)
        other.close()
        while len(house.serving) > 1:
            await trio.lowlevel.checkpoint()
        await watching(origin, house, address="127.0.0.2")


async def test_the_addresses_of_one_network_of_ipv6_are_one() -> None:
    def by(address: bytes) -> bytes:
        return GET[:-2] + b"X-Forwarded-For: " + address + b"\r\n\r\n"

    async with splicing(limits={"viewers_per_address": 1}, trusted_proxies=["127.0.0.1"]) as (origin, house):
        first, _ = await watching(origin, house, by(b"2001:db8:1:2::1"))
        too_many(await house.answer(by(b"2001:db8:1:2:ffff::9")), "your address")
        await watching(origin, house, by(b"2001:db8:1:3::1"))
        first.close()
        while len(house.serving) > 1:
            await trio.lowlevel.checkpoint()
        await watching(origin, house, by(b"2001:db8:1:2:ffff::9"))


async def test_the_address_that_counts_is_what_a_trusted_proxy_says() -> None:
    def by(address: bytes) -> bytes:
        return GET[:-2] + b"X-Forwarded-For: " + address + b"\r\n\r\n"

    async with splicing(limits={"viewers_per_address": 1}, trusted_proxies=["127.0.0.1"]) as (origin, house):
        await watching(origin, house, by(b"203.0.113.1"))
        await watching(origin, house, by(b"203.0.113.2"))
        too_many(await house.answer(by(b"203.0.113.1")), "your address")
        too_many(await house.answer(by(b"198.51.100.7, 203.0.113.1")), "your address")  # what it claims is not believed


async def test_a_stream_may_not_have_all_the_places() -> None:
    async with splicing(limits={"viewers_per_stream": 1}) as (origin, house):
        await watching(origin, house)
        with origin.nobody_comes():
            too_many(await house.answer(GET), "this stream")
        await watching(origin, house, GET.replace(b"stream=test", b"stream=other"))


async def test_a_stream_has_no_more_places_for_those_who_come_by_the_default_origin() -> None:
    without_src = GET.replace(b"src=a&", b"")
    async with splicing(limits={"viewers_per_stream": 1}, default_origin="a") as (origin, house):
        await watching(origin, house, without_src)
        for request in (without_src, GET):
            with origin.nobody_comes():
                too_many(await house.answer(request), "this stream")


async def test_head_counts_while_it_is_answered_and_is_refused_like_get() -> None:
    async with splicing(limits={"viewers": 1}) as (origin, house):
        await watching(origin, house)
        answer = await house.answer(GET.replace(b"GET", b"HEAD", 1))
    assert (answer.status, answer.body) == (503, b"")
    assert int(answer["Retry-After"]) > 0


async def test_an_error_answer_to_a_viewer_who_stays_is_closed_after_a_second(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with splicing() as (_, house):
        viewer = await house.viewer(b"nonsense\r\n\r\n")
        began_s = trio.current_time()
        await viewer.ended()
        assert trio.current_time() == began_s  # the answer's end is there at once
        await house.nobody_served()
        assert trio.current_time() - began_s == pytest.approx(1, abs=0.5)


async def test_what_a_viewer_sends_while_it_watches_is_dropped_and_bounded() -> None:
    async with splicing() as (origin, house):
        viewer, asked = await watching(origin, house)
        await viewer.send(bytes(60_000))
        await goes_on(viewer, asked)
        await viewer.send(bytes(10_000))
        with trio.fail_after(SOON_S):
            await house.nobody_served()
        assert house.logged("viewer.end")["reason"] == "viewer_left"


@pytest.mark.parametrize("request_", [GET, GET.replace(b"HTTP/1.1", b"HTTP/1.0")])
async def test_what_it_sends_before_its_stream_begins_is_bounded_too(request_: bytes) -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer(request_)
        asked = await origin.asked()
        await viewer.send(bytes(80_000))
        with trio.fail_after(SOON_S):
            await asked.ended()
            await house.nobody_served()
        assert house.logged("viewer.end")["reason"] == "viewer_left"


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Leave for a test that holds both ends of thousands of connections."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (old[1], old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, old)


@pytest.mark.parametrize("sent", [b"", b"GET /live?src=a"])
async def test_1500_idle_connections_disturb_nobody_and_are_let_go(many_descriptors: None, sent: bytes) -> None:
    async with splicing(timeouts={"head_s": 60}) as (origin, house):
        viewer, asked = await watching(origin, house)
        idle = [await house.viewer(sent) for _ in range(1500)]
        while len(house.serving) < 1501:
            await trio.sleep(0.01)
        await goes_on(viewer, asked)
        newcomer, newcomers_origin = await watching(origin, house)
        await goes_on(newcomer, newcomers_origin)
        for connection in idle:
            connection.close()
        with trio.fail_after(SOON_S):
            while len(house.serving) > 2:
                await trio.sleep(0.01)
        await goes_on(viewer, asked)


async def test_idle_connections_have_head_s_and_no_more(autojump_clock: trio.testing.MockClock) -> None:
    async with splicing(timeouts={"head_s": 10}) as (_, house):
        idle = [await house.viewer(b"") for _ in range(100)]
        statuses = {(await connection.answer()).status for connection in idle}
        assert trio.current_time() < 12
        for connection in idle:
            connection.close()
    assert statuses == {408}


async def test_viewers_who_read_a_byte_at_a_time_hold_their_own_origins_up_and_are_let_go() -> None:
    async with splicing(timeouts={"stall_s": 0.5}) as (origin, house), trio.open_nursery() as nursery:
        sent = 0

        async def flood(asked: Asked) -> None:
            nonlocal sent
            while True:
                try:
                    sent += await asked.stream.socket.send(bytes(65536))
                except OSError:
                    return

        async def nibble(viewer: Viewer) -> None:
            with contextlib.suppress(trio.BrokenResourceError):
                while await viewer.stream.receive_some(1):
                    await trio.sleep(0.1)

        for _ in range(10):
            slow = await house.viewer(receive_bytes=4096)
            asked = await origin.asked()
            await asked.send(OK)
            nursery.start_soon(flood, asked)
            nursery.start_soon(nibble, slow)
        viewer, asked = await watching(origin, house)
        while len(house.serving) > 1:
            await asked.send(b"x" * 1000)
            await viewer.see(1000)
            await trio.sleep(0.01)
        reasons = [event["reason"] for event in house.log if event["event"] == "viewer.end"]
        assert reasons == ["stalled"] * 10
        assert sent < 10 * 16 * 2**20  # what kernels hold of it, not what the origins would send
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def door_before(origin: FakeOrigin, directory: Path) -> AsyncIterator[tuple[Door, Viewer, Asked]]:
    """A door as a process of its own, with one viewer."""
    async with running_door(directory, "--origin", f"a={origin.url}") as door:
        viewer = await dialled(door)
        asked = await origin.asked()
        await asked.send(OK + b"FLV")
        await viewer.until(b"FLV")
        yield door, viewer, asked
        viewer.close()


async def dialled(door: Door) -> Viewer:
    viewer = Viewer(await trio.open_tcp_stream("127.0.0.1", door.port))
    await viewer.send(GET)
    return viewer


@asynccontextmanager
async def only_so_many_more(door: Door, count: int) -> AsyncIterator[None]:
    """A process that gets `count` more descriptors and then EMFILE, while the block runs."""
    used = {int(entry.name) for entry in Path(f"/proc/{door.child.pid}/fd").iterdir()}
    free = [number for number in range(1024) if number not in used]
    old = resource.prlimit(door.child.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(door.child.pid, resource.RLIMIT_NOFILE, (free[count], old[1]))
    yield
    resource.prlimit(door.child.pid, resource.RLIMIT_NOFILE, old)


async def test_without_a_descriptor_for_the_origin_a_viewer_is_told_503(tmp_path: Path) -> None:
    async with FakeOrigin().listening() as origin, door_before(origin, tmp_path) as (door, viewer, asked):
        async with only_so_many_more(door, 1):
            with origin.nobody_comes():
                refused = await dialled(door)
                answer = await refused.answer()
            too_many(answer, "descriptor")
            refused.close()
            await goes_on(viewer, asked)
        newcomer = await dialled(door)
        await (await origin.asked()).send(OK + b"FLV")
        await newcomer.until(b"FLV")
        newcomer.close()


async def test_without_any_descriptor_newcomers_wait_and_who_watches_goes_on(tmp_path: Path) -> None:
    async with FakeOrigin().listening() as origin, door_before(origin, tmp_path) as (door, viewer, asked):
        async with only_so_many_more(door, 0):
            newcomers = [await dialled(door) for _ in range(10)]
            await door.logged("accept.paused")
            await goes_on(viewer, asked)
        for _ in newcomers:
            await (await origin.asked()).send(OK + b"FLV")
        for newcomer in newcomers:
            await newcomer.until(b"FLV")
            newcomer.close()
        await goes_on(viewer, asked)
