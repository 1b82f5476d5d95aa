"""What every pump promises while both sides are there: no byte lost, doubled or out of its turn."""

import random
import signal
import threading
from collections.abc import Callable

import pytest
import trio
import trio.testing

from splice.pump import Outcome, PortablePump, Pump
from tests.splice.pump.links import HardSocket, Link, digest, random_bytes, relaying

MANY_BYTES = 4_000_000


async def test_bytes_of_any_sizes_arrive_in_order_until_the_source_closes(pump: Pump) -> None:
    sizes = random.Random(7)
    data = random_bytes(1_000_000)

    async def send() -> None:
        at = 0
        while at < len(data):
            size = sizes.choice([1, 13, 1400, 4096, 65536, 200_000])
            await link.origin.send_all(data[at : at + size])
            at += size
        link.origin.socket.close()

    with Link() as link:
        async with relaying(pump, link) as relay, trio.open_nursery() as nursery:
            nursery.start_soon(send)
            seen = await link.see(len(data))
            assert await relay.ended() is Outcome.SOURCE_ENDED
        assert digest(seen) == digest(data)
        assert relay.bytes == len(data)


async def test_each_byte_is_passed_on_at_once(pump: Pump) -> None:
    with Link() as link:
        async with relaying(pump, link):
            for byte in (b"a", b"b", b"c"):
                await link.origin.send_all(byte)
                assert await link.see(1) == byte


async def test_a_sink_that_takes_nothing_for_a_while_makes_the_source_wait_and_loses_nothing(pump: Pump) -> None:
    with Link(buffer_bytes=32 * 1024) as link:
        async with relaying(pump, link) as relay:
            sent = await link.fill()
            moved_before = relay.bytes
            assert moved_before < len(sent)  # it is stuck indeed
            link.origin.socket.close()
            seen = await link.see(len(sent))
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert digest(seen) == digest(sent)
    assert relay.bytes == len(sent)


def never_refused(rng: random.Random) -> Callable[[int], int]:
    return lambda size: size


def often_refused(rng: random.Random) -> Callable[[int], int]:
    return lambda size: rng.choice([0, 0, size])


def taken_in_part(rng: random.Random) -> Callable[[int], int]:
    return lambda size: rng.randint(1, min(size, 20_000))


def anyhow(rng: random.Random) -> Callable[[int], int]:
    return lambda size: rng.choice([0, 1, rng.randint(1, size), size])


@pytest.mark.parametrize("receiving", [never_refused, anyhow])
@pytest.mark.parametrize("sending", [often_refused, taken_in_part, anyhow])
@pytest.mark.parametrize("length_is_known", [False, True])
async def test_no_byte_is_lost_or_doubled_when_calls_are_refused_or_partial(
    pump: Pump, receiving: Callable, sending: Callable, length_is_known: bool
) -> None:
    data = random_bytes(300_000)

    with Link() as link:
        link.source.before_receive = receiving(random.Random(1))
        link.sink.before_send = sending(random.Random(2))
        async with (
            relaying(pump, link, length=len(data) if length_is_known else None) as relay,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(link.send_and_close, data)
            seen = await link.see(len(data))
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert digest(seen) == digest(data)
    assert relay.bytes == len(data)


async def test_no_byte_is_lost_or_doubled_when_signals_interrupt_the_calls(pump: Pump) -> None:
    interrupted = [thread.ident for thread in threading.enumerate() if thread.name == "splice-pump"]
    interrupted.append(threading.get_ident())
    data = random_bytes(MANY_BYTES)

    old = signal.signal(signal.SIGURG, lambda *_: None)  # one that does no harm where it arrives too late
    try:
        with Link(buffer_bytes=64 * 1024) as link:
            async with relaying(pump, link) as relay, trio.open_nursery() as nursery:
                nursery.start_soon(link.send_and_close, data)
                seen = bytearray()
                while len(seen) < len(data):
                    for ident in interrupted:
                        signal.pthread_kill(ident, signal.SIGURG)
                    seen += await link.see(min(50_000, len(data) - len(seen)))
                assert await relay.ended() is Outcome.SOURCE_ENDED
    finally:
        signal.signal(signal.SIGURG, old)
    assert digest(bytes(seen)) == digest(data)


@pytest.mark.parametrize("length", [1, 65_536, 100_000, 1_000_000])
async def test_an_announced_length_is_moved_exactly_and_what_is_behind_it_stays_unread(pump: Pump, length: int) -> None:
    data = random_bytes(length)

    with Link() as link:
        async with relaying(pump, link, length=length) as relay, trio.open_nursery() as nursery:
            nursery.start_soon(link.origin.send_all, data + b"another answer")
            seen = await link.see(length)
            assert await relay.ended() is Outcome.SOURCE_ENDED  # though the source is still open
        assert relay.bytes == length
        assert link.source.recv(100) == b"another answer"
    assert digest(seen) == digest(data)


async def test_a_length_of_nothing_is_an_end_without_reading(pump: Pump) -> None:
    with Link() as link:
        await link.origin.send_all(b"unasked")
        async with relaying(pump, link, length=0) as relay:
            assert await relay.ended() is Outcome.SOURCE_ENDED
        assert link.source.recv(100) == b"unasked"


async def test_relays_run_side_by_side_without_mixing_their_bytes(pump: Pump) -> None:
    relays = 60
    data = [random_bytes(40_000 + 1000 * number, number) for number in range(relays)]
    seen: dict[int, bytes] = {}

    async def serve(number: int) -> None:
        with Link() as link:
            async with relaying(pump, link) as relay, trio.open_nursery() as nursery:
                nursery.start_soon(link.send_and_close, data[number])
                seen[number] = await link.see(len(data[number]))
                assert await relay.ended() is Outcome.SOURCE_ENDED

    async with trio.open_nursery() as nursery:
        for number in range(relays):
            nursery.start_soon(serve, number)
    assert {number: digest(got) for number, got in seen.items()} == dict(enumerate(map(digest, data)))


async def test_a_flood_does_not_starve_a_small_stream(pump: Pump) -> None:
    # Both have a hundred kilobytes waiting and get a kilobyte for each receive; so the order in which they are asked is
    # all that decides.
    order: list[str] = []

    def noted(name: str, source: HardSocket) -> None:
        def receive(size: int) -> int:
            order.append(name)
            return 1024

        source.before_receive = receive

    with Link(buffer_bytes=1 << 18) as flood, Link(buffer_bytes=1 << 18) as small:
        for name, link in (("flood", flood), ("small", small)):
            noted(name, link.source)
            await link.origin.send_all(bytes(100 * 1024))
        async with relaying(pump, flood), relaying(pump, small):
            await small.see(100 * 1024)
    first, last = order.index("small"), len(order) - order[::-1].index("small")
    both = "".join(name[0] for name in order[first:last])
    assert both.count("s") >= 100
    assert "ffff" not in both, "the flood was asked again and again while the small stream waited"


async def test_the_pump_counts_what_it_watches_and_how_often_it_has_looked(pump: Pump) -> None:
    with Link() as one, Link() as two:
        async with relaying(pump, one):
            assert pump.registrations == 2
            turns = pump.turns
            async with relaying(pump, two) as relay:
                assert pump.registrations == 4
                await one.origin.send_all(b"x")
                await one.see(1)
                two.origin.socket.close()
                await relay.ended()
            assert pump.registrations == 2
            assert pump.turns > turns
    assert pump.registrations == 0


@pytest.mark.parametrize("where", ["receiving", "sending"])
async def test_a_bug_ends_its_own_relay_with_the_exception_in_its_task_and_no_other(pump: Pump, where: str) -> None:
    def bug(size: int) -> int:
        raise ZeroDivisionError("on purpose")

    with Link() as broken, Link() as sound:
        if where == "receiving":
            broken.source.before_receive = bug
        else:
            broken.sink.before_send = bug
        async with relaying(pump, sound), relaying(pump, broken) as relay:
            await broken.origin.send_all(b"x")
            await relay.done.wait()
            assert isinstance(relay.error, ZeroDivisionError)
            assert pump.registrations == 2
            await sound.origin.send_all(b"goes on")
            assert await sound.see(7) == b"goes on"


async def test_cancelled_at_any_moment_a_relay_is_forgotten_at_once(pump: Pump) -> None:
    rng = random.Random(11)
    with Link() as other:
        async with relaying(pump, other):
            for _ in range(40):
                with Link(buffer_bytes=32 * 1024) as link:
                    async with relaying(pump, link) as relay, trio.open_nursery() as nursery:
                        nursery.start_soon(send_for_ever, link)
                        await link.see(rng.choice([0, 1, 10_000, 300_000]))
                        for _ in range(rng.randrange(4)):
                            await trio.lowlevel.checkpoint()
                        relay.scope.cancel()
                        await relay.done.wait()
                        assert relay.outcome is None
                        assert pump.registrations == 2  # the other's
                        calls = link.source.calls + link.sink.calls
                        # The pump goes on with others, and touches these two no more, though more has come for them.
                        for _ in range(3):
                            await other.origin.send_all(b"x")
                            await other.see(1)
                        assert link.source.calls + link.sink.calls == calls
                        assert link.source.fileno() >= 0 and link.sink.fileno() >= 0  # they are their owner's to close
                        nursery.cancel_scope.cancel()


async def send_for_ever(link: Link) -> None:
    data = random_bytes(65536)
    while True:
        await link.origin.send_all(data)


async def test_a_relay_can_be_cancelled_before_its_first_byte(pump: Pump) -> None:
    with Link() as link:
        async with relaying(pump, link) as relay:
            assert pump.registrations == 2
            relay.scope.cancel()
            await relay.done.wait()
            assert pump.registrations == 0


async def test_a_portable_pump_needs_nothing_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("splice", "eventfd", "pipe2"):
        monkeypatch.delattr(f"os.{name}")
    monkeypatch.delattr("select.epoll")
    with Link() as link:
        async with PortablePump.open() as pump, relaying(pump, link):
            await link.origin.send_all(b"anywhere")
            assert await link.see(8) == b"anywhere"
