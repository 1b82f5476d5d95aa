"""The abuse itself. Each scenario ends when the door has shaken it off: while the abusers still hold on, where a limit
of the door's is to see to that."""

import resource
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from tests.abuse.arena import DEMO, HUB, Arena
from tests.abuse.people import Behaving, open_crowd, publish, request
from tests.splice.websocket_client import raw_handshake

__all__ = [
    "Scenario",
    "deaf_viewers",
    "descriptors_run_out",
    "flood_of_aborts",
    "half_handshakes",
    "idle_connections",
    "slow_heads",
    "slow_readers",
]

Scenario: TypeAlias = Callable[[Arena], Awaitable[None]]

_HALF_HANDSHAKE = b"\x03" + bytes(700)
_HEAD_TAKES_S = 2  # what the tests set head_s to
_IDLE = 5000


async def idle_connections(arena: Arena) -> None:
    """Thousands connect and say nothing; after `head_s` they are gone."""
    before = most = arena.door.descriptors
    async with open_crowd(arena.http_port) as crowd:
        while len(crowd) < _IDLE:
            await crowd.come(100)
            most = max(most, arena.door.descriptors)  # now: on a slow machine the first go before the last have come
            await trio.sleep(0.03)  # they are to be many at once, not to come at once: that is the flood's affair
        assert most - before >= _IDLE // 2, f"only {most - before} were there at once"
        await arena.is_back(seconds=_HEAD_TAKES_S + 10)


async def slow_heads(arena: Arena) -> None:
    """Heads come byte by byte: `head_s` is for the whole."""
    async with open_crowd(arena.http_port) as crowd:
        await crowd.come(300, b"GET /live?src=demo")
        await arena.holds(descriptors=arena.before.descriptors + 250)
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                while True:
                    await crowd.say(b"&")
                    await trio.sleep(0.1)

            nursery.start_soon(drip)
            await arena.is_back(seconds=_HEAD_TAKES_S + 4)
            nursery.cancel_scope.cancel()


async def half_handshakes(arena: Arena) -> None:
    """RTMP handshakes that stop half-way: some are too many at once, the others have `head_s`."""
    async with open_crowd(arena.rtmp_port) as crowd:
        await crowd.come(400, _HALF_HANDSHAKE)
        await arena.holds(descriptors=arena.before.descriptors + 150)
        await arena.is_back(seconds=_HEAD_TAKES_S + 4)


async def deaf_viewers(arena: Arena) -> None:
    """Viewers of both routes, by HTTP and WebSocket, who never read: bounded in memory, and gone after `stall_s`."""
    async with trio.open_nursery() as nursery, open_crowd(arena.http_port) as crowd:
        await nursery.start(
            lambda task_status: publish(arena.rtmp_port, "myapp/fat", frame_bytes=40_000, task_status=task_status)
        )
        fat = HUB.replace("behaves", "fat")
        for target in (fat, DEMO):
            await crowd.come(60, request(target), receive_bytes=2048)
            await crowd.come(60, raw_handshake(target), receive_bytes=2048)
        await arena.holds(viewers=arena.before.viewers + 200)
        # The demo is thin: its deaf viewers' kernels may hold seconds of it. Those leave by themselves.
        await arena.holds_at_most(arena.before.viewers + 120, seconds=6)
        arena.memory_is_bounded()
        nursery.cancel_scope.cancel()


async def slow_readers(arena: Arena) -> None:
    """Viewers who take a few bytes at a time: nobody waits for them."""
    async with open_crowd(arena.http_port) as crowd:
        for target in (HUB, DEMO):
            await crowd.come(100, request(target), receive_bytes=2048)
        await arena.holds(viewers=arena.before.viewers + 200)
        for _ in range(10):
            await crowd.taste(100)
            await trio.sleep(0.1)


async def flood_of_aborts(arena: Arena) -> None:
    """Connections that are reset as soon as they are made, at every state of a request, at both doors."""
    for say in (b"", b"GET /li", request(DEMO), request(HUB), raw_handshake(DEMO), raw_handshake(HUB)):
        async with open_crowd(arena.http_port) as crowd:
            for _ in range(4):
                await crowd.come(100, say)
                crowd.leave(reset=True)
    async with open_crowd(arena.rtmp_port) as crowd:
        for say in (b"", _HALF_HANDSHAKE, b"\x03" + bytes(1536)):
            await crowd.come(100, say)
            crowd.leave(reset=True)


async def descriptors_run_out(arena: Arena) -> None:
    """More connections than descriptors: who watches goes on, who comes waits, and is served when there is room."""
    pid = arena.door.child.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (arena.before.descriptors + 40, limits[1]))
    async with open_crowd(arena.http_port) as crowd:
        await crowd.come(20, request(DEMO))
        await crowd.come(100)
        await arena.door.logged("accept.paused")
        await trio.sleep(1.5)  # in which those who watch must go on
        arena.nobody_has_seen_a_gap()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(5):
            await nursery.start(Behaving("a newcomer", arena.http_port, DEMO).watch)
        nursery.cancel_scope.cancel()
