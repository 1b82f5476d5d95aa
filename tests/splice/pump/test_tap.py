"""What a tap is shown of a relay: its first bytes, each once, and nothing once it wants no more."""

import random
from collections.abc import Callable

import pytest
import trio

from splice.pump import Outcome, Pump
from splice.pump.epoll import EpollPump
from tests.splice.pump.links import Link, digest, random_bytes, relaying


class Tapped:
    """A tap that wants more until it has seen `wanted` bytes."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.seen = b""
        self.refusals = 0

    def __call__(self, data: memoryview) -> bool:
        self.seen += bytes(data)
        self.refusals += len(self.seen) >= self.wanted
        return len(self.seen) < self.wanted


async def test_a_tap_is_shown_every_byte_until_it_has_enough_and_none_after(pump: Pump) -> None:
    tap = Tapped(10)
    with Link() as link:
        async with relaying(pump, link, tap=tap) as relay:
            for data in (b"first", b"then ", b"never"):
                await link.origin.send_all(data)
                assert await link.see(5) == data
            assert (tap.seen, tap.refusals) == (b"first" + b"then ", 1)
            await link.origin.send_eof()
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert relay.bytes == 15


@pytest.mark.parametrize("length", [None, 300_000])
async def test_a_tap_is_shown_each_byte_once_though_the_sink_takes_few_at_a_time(
    pump: Pump, length: int | None
) -> None:
    rng = random.Random(3)
    sizes: Callable[[int], int] = lambda size: rng.choice([0, 1, size // 2, size])  # noqa: E731 -- as a value
    data = random_bytes(300_000)
    tap = Tapped(60_000)
    with Link() as link:
        link.sink.before_send = sizes
        async with relaying(pump, link, length=length, tap=tap) as relay, trio.open_nursery() as nursery:
            nursery.start_soon(link.send_and_close, data)
            assert digest(await link.see(len(data))) == digest(data)
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert tap.refusals == 1
    assert digest(tap.seen) == digest(data[: len(tap.seen)])


async def test_a_tap_that_has_not_enough_when_the_relay_ends_is_shown_all_of_it(pump: Pump) -> None:
    tap = Tapped(1000)
    with Link() as link:
        async with relaying(pump, link, tap=tap) as relay:
            await link.send_and_close(b"short")
            assert await link.see(5) == b"short"
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert tap.seen == b"short"


async def test_a_tap_that_raises_ends_its_relay_alone(pump: Pump) -> None:
    def broken(_data: memoryview) -> bool:
        raise ValueError("a bug")

    with Link() as link, Link() as other:
        async with relaying(pump, link, tap=broken) as relay, relaying(pump, other):
            await link.origin.send_all(b"bytes")
            await relay.ended()
            assert str(relay.error) == "a bug"
            await other.origin.send_all(b"goes on")
            assert await other.see(7) == b"goes on"


async def test_who_has_no_tap_any_more_is_served_as_if_there_had_been_none(epoll_pump: EpollPump) -> None:
    with Link() as tapped, Link() as plain:
        async with relaying(epoll_pump, tapped, tap=Tapped(1)), relaying(epoll_pump, plain):
            await tapped.origin.send_all(b"x")
            assert await tapped.see(1) == b"x"
            with epoll_pump.lock:  # which is held while an event is served, the handing over behind the sending too
                first, second = (epoll_pump._registrations[link.source.fileno()][0] for link in (tapped, plain))
            assert first.__name__ == second.__name__


async def test_a_tap_that_never_has_enough_does_not_keep_a_relay_from_splicing(epoll_pump: EpollPump) -> None:
    tap = Tapped(10**9)
    with Link(buffer_bytes=1024 * 1024) as link:
        sent = await link.fill()
        await link.origin.send_eof()
        async with relaying(epoll_pump, link, tap=tap) as relay:
            assert digest(await link.see(len(sent))) == digest(sent)
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert 0 < len(tap.seen) < len(sent)
    assert sent.startswith(tap.seen)
