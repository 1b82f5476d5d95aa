"""How relays end: whichever side goes, however, with bytes under way or without; and what the viewer has by then."""

import pytest
import trio
import trio.testing

from splice.pump import DROPPED_INPUT_BYTES, Outcome, Pump
from tests.splice.pump.links import Link, Relay, digest, random_bytes, relaying, reset

SMALL = 32 * 1024


async def test_a_source_that_closes_has_ended(pump: Pump) -> None:
    with Link() as link:
        async with relaying(pump, link) as relay:
            link.origin.socket.close()
            assert await relay.ended() is Outcome.SOURCE_ENDED
            assert pump.registrations == 0


async def test_a_source_that_only_stops_sending_has_ended_too(pump: Pump) -> None:
    with Link() as link:
        async with relaying(pump, link) as relay:
            await link.origin.send_all(b"last words")
            await link.origin.send_eof()
            assert await relay.ended() is Outcome.SOURCE_ENDED
        assert await link.see(10) == b"last words"


async def test_a_sink_that_goes_when_its_source_has_ended_has_seen_the_end(pump: Pump) -> None:
    with Link() as link:
        async with relaying(pump, link) as relay:
            link.origin.socket.close()
            link.viewer.socket.close()
            assert await relay.ended() is Outcome.SOURCE_ENDED


async def test_a_source_that_resets_is_lost(pump: Pump) -> None:
    with Link() as link:
        async with relaying(pump, link) as relay:
            reset(link.origin)
            assert await relay.ended() is Outcome.SOURCE_LOST
            assert pump.registrations == 0


async def test_a_source_that_closes_before_its_announced_length_is_lost_and_its_bytes_have_arrived(pump: Pump) -> None:
    data = random_bytes(99_999)
    with Link() as link:
        async with relaying(pump, link, length=100_000) as relay:
            await link.origin.send_all(data)
            link.origin.socket.close()
            assert await relay.ended() is Outcome.SOURCE_LOST
            assert relay.bytes == len(data)
        assert digest(await link.see(len(data))) == digest(data)


async def test_a_source_that_closes_while_its_bytes_are_stuck_ends_when_the_sink_has_them_all(pump: Pump) -> None:
    with Link(buffer_bytes=SMALL) as link:
        async with relaying(pump, link) as relay:
            sent = await link.fill()
            link.origin.socket.close()
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert relay.outcome is None
            assert digest(await link.see(len(sent))) == digest(sent)
            assert await relay.ended() is Outcome.SOURCE_ENDED


async def test_a_source_that_resets_while_bytes_are_stuck_is_lost_after_the_sink_has_those(pump: Pump) -> None:
    with Link(buffer_bytes=SMALL) as link:
        async with relaying(pump, link) as relay:
            sent = await link.fill()
            turns = pump.turns
            reset(link.origin)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert relay.outcome is None
            assert pump.turns - turns < 10  # a reset that waits is not asked about again and again
            seen = b""
            while relay.outcome is None:
                with trio.move_on_after(0.01):
                    seen += await link.viewer.receive_some(65536)
            assert relay.outcome is Outcome.SOURCE_LOST
        link.sink.close()
        seen += await link.see(len(sent))
    assert len(seen) == relay.bytes  # all that was taken has arrived, in its order
    assert digest(seen) == digest(sent[: len(seen)])
    assert len(seen) >= SMALL


class Leaving:
    """Each way in which a sink can go."""

    @staticmethod
    async def close(link: Link) -> None:
        link.viewer.socket.close()

    @staticmethod
    async def half_close(link: Link) -> None:
        await link.viewer.send_eof()

    @staticmethod
    async def reset(link: Link) -> None:
        reset(link.viewer)


LEAVING = pytest.mark.parametrize("leave", [Leaving.close, Leaving.half_close, Leaving.reset])


@LEAVING
async def test_a_sink_that_goes_while_no_byte_flows_has_left(pump: Pump, leave) -> None:
    with Link() as link:
        async with relaying(pump, link) as relay:
            await leave(link)
            assert await relay.ended() is Outcome.SINK_LEFT
            assert pump.registrations == 0


@LEAVING
async def test_a_sink_that_goes_while_bytes_flow_has_left(pump: Pump, leave) -> None:
    async def send() -> None:
        data = random_bytes(1000)
        while True:
            await link.origin.send_all(data)

    with Link() as link:
        async with relaying(pump, link) as relay, trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await link.see(200_000)
            await leave(link)
            assert await relay.ended() is Outcome.SINK_LEFT
            nursery.cancel_scope.cancel()


@LEAVING
async def test_a_sink_that_goes_while_bytes_are_stuck_has_left(pump: Pump, leave) -> None:
    with Link(buffer_bytes=SMALL) as link:
        async with relaying(pump, link) as relay:
            await link.fill()
            await leave(link)
            assert await relay.ended() is Outcome.SINK_LEFT
            assert pump.registrations == 0


async def test_what_a_sink_sends_is_dropped_up_to_64_kib(pump: Pump) -> None:
    with Link() as link:
        async with relaying(pump, link) as relay:
            await link.viewer.send_all(bytes(DROPPED_INPUT_BYTES))
            await link.origin.send_all(b"goes on")
            assert await link.see(7) == b"goes on"
            assert relay.outcome is None
            await link.viewer.send_all(b"!")  # one too many
            assert await relay.ended() is Outcome.SINK_LEFT


async def test_a_sink_that_sends_something_before_it_leaves_is_seen_leaving(pump: Pump) -> None:
    with Link() as link:
        async with relaying(pump, link) as relay:
            await link.viewer.send_all(bytes(20_000))
            link.viewer.socket.close()
            assert await relay.ended() is Outcome.SINK_LEFT


async def test_a_source_that_sends_nothing_stalls(pump: Pump, autojump_clock: trio.testing.MockClock) -> None:
    began_s = trio.current_time()
    with Link() as link:
        async with relaying(pump, link, stall_s=30) as relay:
            assert await relay.ended() is Outcome.STALLED
    assert 30 <= trio.current_time() - began_s < 31


async def test_a_sink_that_takes_nothing_stalls(pump: Pump) -> None:
    with Link(buffer_bytes=SMALL) as link:
        async with relaying(pump, link, stall_s=0.2) as relay:
            await link.fill()
            assert await relay.ended() is Outcome.STALLED
            assert pump.registrations == 0


async def test_every_byte_that_comes_puts_the_stall_off(pump: Pump, mock_clock: trio.testing.MockClock) -> None:
    with Link() as link:
        async with relaying(pump, link, stall_s=10) as relay:
            for count in range(1, 6):
                mock_clock.jump(9)
                await trio.testing.wait_all_tasks_blocked()  # the clock has been read
                await link.origin.send_all(b"x")
                await relay.moved(count)
            assert relay.outcome is None
            await stalled(relay, mock_clock)


async def test_every_byte_that_is_taken_puts_the_stall_off(pump: Pump, mock_clock: trio.testing.MockClock) -> None:
    allowance = 1

    def allowed(size: int) -> int:
        nonlocal allowance
        if not allowance:  # and write nothing: it may be the pump's thread that asks
            return 0
        allowance = 0
        return 1

    with Link() as link:
        link.sink.before_send = allowed
        async with relaying(pump, link, stall_s=10) as relay:
            await link.origin.send_all(b"one byte at a time")
            for count in range(1, 6):
                await relay.moved(count)
                mock_clock.jump(9)
                for _ in range(5):  # the clock has been read; a refused sink is asked again, so nothing comes to rest
                    await trio.lowlevel.checkpoint()
                allowance = 1
            await relay.moved(6)
            assert relay.outcome is None
            await stalled(relay, mock_clock)


async def stalled(relay: Relay, clock: trio.testing.MockClock) -> None:
    """Let time go by until the relay has ended, for want of bytes."""
    while not relay.done.is_set():
        clock.jump(1)
        await trio.lowlevel.checkpoint()
    assert relay.outcome is Outcome.STALLED
