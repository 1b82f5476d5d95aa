"""Origins on a bad network: their viewers get what comes, and nobody else notices.

Everywhere by a lossy relay; by packets lost, late and out of order where this process may have a network namespace. Not
in every weather by itself: the others are for ABUSE_NETWORK=1 (`make abuse`).
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from protocol import NEED_DATA
from protocol.flv import FlvDecoder, Tag
from tests.abuse.arena import Arena, NotBackError, open_arena
from tests.abuse.far import DISCIPLINES, LOSSY_RELAY, WEATHERS, Far, LossyRelay, far_origin, need_network
from tests.abuse.people import request

LIMITS = {"head_s": 2.0, "stall_s": 2.0, "origin_head_s": 2.0, "connect_s": 2.0, "first_tag_s": 2.0}
PATIENT = dict.fromkeys(LIMITS, 12.0)
"""Long enough for three losses in a row of the same SYN: TCP sends it again after 1 s, 2 s and 4 s."""

CLOCK = "app=demo&stream=clock"
FAR, RELAYED = f"/live?src=far&{CLOCK}", f"/live?src=relayed&{CLOCK}"

ALL_THREE = "wire: all three"


@pytest.fixture(params=[LOSSY_RELAY, ALL_THREE], ids=["lossy relay", "wire"])
def network(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    need_network(kind)
    return kind


@pytest.fixture(params=[LOSSY_RELAY, *WEATHERS, *DISCIPLINES])
def any_network(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    if kind not in (LOSSY_RELAY, ALL_THREE) and os.environ.get("ABUSE_NETWORK") != "1":
        pytest.skip("`make abuse` goes through every weather; here all three at once must do")
    need_network(kind)
    return kind


@asynccontextmanager
async def far_arena(directory: Path, network: str, limits: dict[str, float]) -> AsyncIterator[tuple[Arena, Far]]:
    """An arena whose door has two origins more, on one bad network: `far`, which it splices, and `relayed`."""
    async with far_origin(network) as far:
        origins = f'origins.far.url = "{far.url}"\norigins.relayed = {{url = "{far.url}", mode = "relay"}}\n'
        async with open_arena(directory, config=origins, **limits) as arena:
            yield arena, far


async def see(
    arena: Arena, target: str, seconds: float, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """A far viewer, started with the first tag, who checks every tag until the door closes or so long from then."""
    decoder = FlvDecoder()
    last = 0
    begun = False
    with trio.CancelScope() as watching:
        async with await trio.open_tcp_stream("127.0.0.1", arena.http_port) as stream:
            await stream.send_all(request(target, "1.0"))
            rest = b""
            while b"\r\n\r\n" not in rest:
                data = await stream.receive_some()
                assert data, rest
                rest += data
            head, _, data = rest.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            while True:
                decoder.receive_data(bytes(data))
                while (event := decoder.next_event()) is not NEED_DATA:
                    if isinstance(event, Tag):
                        assert event.timestamp >= last - 1000, "the stream has gone back"
                        last = max(last, int(event.timestamp))
                        if not begun:
                            begun = True
                            watching.deadline = trio.current_time() + seconds
                            task_status.started()
                try:
                    data = await stream.receive_some()
                except trio.BrokenResourceError:
                    return
                if not data:
                    return


async def test_a_bad_network_hurts_its_own_viewers_alone(tmp_path: Path, any_network: str) -> None:
    async with far_arena(tmp_path, any_network, PATIENT) as (arena, far), trio.open_nursery() as nursery:
        far.worsen()
        with trio.fail_after(40):
            for target in [FAR, RELAYED] * 4:
                await nursery.start(see, arena, target, 2.0)


async def pulled_cable(arena: Arena, far: Far, *, seconds: float) -> None:
    """A cable is pulled for so long at most; who hangs on it must have gone by then. Then it is back."""
    async with trio.open_nursery() as nursery:
        for target in (FAR, FAR, RELAYED, RELAYED):
            await nursery.start(see, arena, target, seconds + 2)
        far.pull_cable()
        await arena.holds_at_most(arena.before.viewers + 2, seconds=seconds)  # the relayed may wait for a new pull
        stalled = await arena.door.logged("viewer.end", origin="far", reason="stalled")
        assert stalled["bytes"] > 0
        await arena.door.logged("pull.lost")
        arena.nobody_has_seen_a_gap()
        far.plug_in()
        nursery.cancel_scope.cancel()


async def test_a_pulled_cable_ends_who_hangs_on_it_after_stall_s_and_new_ones_come_when_it_is_back(
    tmp_path: Path, network: str
) -> None:
    async with far_arena(tmp_path, network, LIMITS) as (arena, far):
        await pulled_cable(arena, far, seconds=8)
        async with trio.open_nursery() as nursery:
            with trio.fail_after(10):
                for target in (FAR, RELAYED):
                    await nursery.start(see, arena, target, 1.0)


async def test_a_pulled_cable_is_seen_where_the_limit_against_it_is_taken_out(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as failed:
        async with far_arena(tmp_path, LOSSY_RELAY, {**LIMITS, "stall_s": 3600}) as (arena, far):
            await pulled_cable(arena, far, seconds=4)
    assert failed.group_contains(NotBackError)


async def test_connections_to_an_origin_that_are_cut_again_and_again_leave_nothing(tmp_path: Path) -> None:
    async with far_arena(tmp_path, LOSSY_RELAY, LIMITS) as (arena, far), trio.open_nursery() as nursery:
        assert isinstance(far, LossyRelay)
        for _ in range(4):
            for target in (FAR, FAR, RELAYED):
                with trio.fail_after(10):
                    await nursery.start(see, arena, target, 4.0)
            far.cut()
        nursery.cancel_scope.cancel()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\n"
DRIPPED = HEAD + b"FLV\1\5\0\0\0\x09\0\0\0\0" + b"\x12\0\3\xe8" + bytes(1000)  # the first tag is never whole


@pytest.mark.parametrize("at_once", [0, len(HEAD) + 13], ids=["from the head on", "in the body"])
async def test_an_origin_that_drips_a_byte_a_second_holds_up_its_own_viewers_alone(
    tmp_path: Path, at_once: int
) -> None:
    async def drip(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await stream.send_all(DRIPPED[:at_once])
                for byte in DRIPPED[at_once:]:
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(1)
            except trio.BrokenResourceError:
                pass  # the door has had enough

    async def ask(target: str) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", arena.http_port) as stream:
            await stream.send_all(request(target))
            statuses.append((await stream.receive_some()).split()[1])
            await trio.sleep_forever()

    statuses: list[bytes] = []
    async with trio.open_nursery() as origin:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        origin.start_soon(trio.serve_listeners, drip, listeners)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        origins = f'origins.far.url = "{url}"\norigins.relayed = {{url = "{url}", mode = "relay"}}\n'
        async with open_arena(tmp_path, config=origins, **LIMITS) as arena:
            with trio.move_on_after(4):
                async with trio.open_nursery() as viewers:
                    for target in [FAR, RELAYED] * 10:
                        viewers.start_soon(ask, target)
            # A body that drips is slow and not over: on the splice route that is the viewer's own affair.
            spliced = b"200" if at_once else b"504"
            assert sorted(statuses) == [spliced] * 10 + [b"504"] * 10
        origin.cancel_scope.cancel()
