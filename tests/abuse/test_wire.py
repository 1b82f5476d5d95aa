"""The tests' own wire does what it says, packet by packet, the same with the same seed."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.abuse.wire import FAIR, Weather, Wire

MANY = range(1000)


class Ends:
    """What a wire is between: two sockets that keep messages apart."""

    def __init__(self, wire: Wire, near: socket.socket, far: socket.socket) -> None:
        self.wire = wire
        self._near, self._far = near, far

    async def carried(self, numbers: range, *, back: bool = False) -> list[tuple[int, float]]:
        """Send packets with these numbers, a millisecond after each other; what arrives, and how late, in ms."""
        source, sink = (self._far, self._near) if back else (self._near, self._far)
        sent_at = {}
        arrived = []
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                while True:
                    await trio.lowlevel.wait_readable(sink)
                    number = int(sink.recv(100))
                    arrived.append((number, round((trio.current_time() - sent_at[number]) * 1000, 3)))

            nursery.start_soon(receive)
            for number in numbers:
                sent_at[number] = trio.current_time()
                source.send(b"%d" % number)
                await trio.sleep(0.001)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        return arrived


@asynccontextmanager
async def open_wire(weather: Weather, *, seed: int = 8) -> AsyncIterator[Ends]:
    (near, wire_near), (wire_far, far) = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
    with near, wire_near, wire_far, far:
        for end in near, wire_near, wire_far, far:
            end.setblocking(False)
        wire = Wire(wire_near.fileno(), wire_far.fileno(), seed=seed)
        wire.weather = weather
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.carry)
            yield Ends(wire, near, far)
            nursery.cancel_scope.cancel()


async def numbers_after(weather: Weather, *, seed: int = 8, back: bool = False) -> list[int]:
    async with open_wire(weather, seed=seed) as ends:
        return [number for number, _ in await ends.carried(MANY, back=back)]


@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
async def test_a_fair_wire_carries_everything_at_once_and_in_order(autojump_clock: MockClock, back: bool) -> None:
    async with open_wire(FAIR) as ends:
        assert await ends.carried(MANY, back=back) == [(number, 0) for number in MANY]


async def test_the_share_that_is_to_be_lost_is_lost_and_the_rest_keeps_its_order(autojump_clock: MockClock) -> None:
    for back in (False, True):
        arrived = await numbers_after(Weather(loss=0.1), back=back)
        assert arrived == sorted(arrived)
        assert 880 < len(arrived) < 920


async def test_what_is_lost_hangs_on_the_seed_and_the_direction_and_on_nothing_else(autojump_clock: MockClock) -> None:
    weather = Weather(loss=0.1)
    arrived = await numbers_after(weather)
    assert await numbers_after(weather) == arrived
    assert sorted(await numbers_after(weather._replace(delay_ms=40, jitter_ms=15, reorder=0.1))) == arrived
    assert await numbers_after(weather, seed=9) != arrived
    assert await numbers_after(weather, back=True) != arrived


async def test_packets_are_late_by_the_delay_and_at_most_the_jitter_more_or_less(autojump_clock: MockClock) -> None:
    async with open_wire(Weather(delay_ms=80)) as ends:
        assert await ends.carried(MANY) == [(number, 80) for number in MANY]
        ends.wire.weather = Weather(delay_ms=80, jitter_ms=20)
        late_ms = [late for _, late in await ends.carried(MANY)]
        assert len(late_ms) == len(MANY)
        assert 60 <= min(late_ms) < 61
        assert 99 < max(late_ms) <= 100


async def test_the_share_that_is_to_overtake_comes_at_once_before_what_was_sent_earlier(
    autojump_clock: MockClock,
) -> None:
    async with open_wire(Weather(delay_ms=20, reorder=0.25)) as ends:
        arrived = await ends.carried(MANY)
    assert sorted(number for number, _ in arrived) == list(MANY)
    early = [number for number, late_ms in arrived if late_ms == 0]
    assert 220 < len(early) < 280
    assert [number for number, late_ms in arrived if late_ms == 20] == sorted({*MANY} - {*early})
    assert [number for number, _ in arrived] != sorted(MANY)


async def test_a_pulled_cable_carries_nothing_and_what_was_on_its_way_is_lost(autojump_clock: MockClock) -> None:
    async with open_wire(Weather(delay_ms=50)) as ends, trio.open_nursery() as nursery:
        nursery.start_soon(pull_after, ends.wire, 0.1005)
        assert [number for number, _ in await ends.carried(range(200))] == list(range(51))
        ends.wire.plug_in()
        assert await ends.carried(range(5)) == [(number, 50) for number in range(5)]


async def pull_after(wire: Wire, seconds: float) -> None:
    await trio.sleep(seconds)
    wire.pull()
