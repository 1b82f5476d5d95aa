"""What the epoll pump alone does: splicing through pipes, one epoll, a thread."""

import errno
import fcntl
import os
import random
import select
import threading
from collections.abc import Callable

import pytest
import trio
import trio.testing

from splice.pump import Outcome
from splice.pump.epoll import EpollPump
from splice.pump.epoll_relay import EpollRelay
from tests.splice.pump.links import Link, descriptors, digest, random_bytes, relaying, reset

BIG = 1024 * 1024  # a source that was filled before its relay begins can fill the pump's buffer time and again
SMALL = 256 * 1024  # and yet a source can fill the pump's buffer

_real_splice = os.splice


class Splices:
    """Stands in for `os.splice`: counts its calls, and lets `allowed(count)` decide how much each may move.

    0 refuses (EAGAIN), and an exception is raised as it is.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.allowed: Callable[[int], int] = lambda count: count

    def __call__(self, source: int, target: int, count: int, *, flags: int) -> int:
        self.calls += 1
        allowed = self.allowed(count)
        if not allowed:
            raise BlockingIOError
        return _real_splice(source, target, min(allowed, count), flags=flags)


@pytest.fixture
def splices(monkeypatch: pytest.MonkeyPatch) -> Splices:
    stand_in = Splices()
    monkeypatch.setattr(os, "splice", stand_in)
    return stand_in


async def splice_away(link: Link, splices: Splices) -> bytes:
    """Send until the relay splices, with everything seen by the viewer; what was sent."""
    sent = b""
    while not splices.calls:
        data = random_bytes(1_000_000, len(sent))
        sent += data
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.origin.send_all, data)
            assert digest(await link.see(len(data))) == digest(data)
    return sent


async def test_a_source_that_keeps_filling_the_buffer_is_spliced(epoll_pump: EpollPump, splices: Splices) -> None:
    with Link(buffer_bytes=BIG) as link:
        sent = await link.fill()
        await link.origin.send_eof()
        async with relaying(epoll_pump, link) as relay:
            assert digest(await link.see(len(sent))) == digest(sent)
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert splices.calls
    assert relay.bytes == len(sent)


async def test_small_reads_are_copied(epoll_pump: EpollPump, splices: Splices) -> None:
    with Link() as link:
        async with relaying(epoll_pump, link):
            for _ in range(50):
                await link.origin.send_all(bytes(10_000))
                await link.see(10_000)
    assert not splices.calls


async def test_a_spliced_source_that_calms_down_is_copied_again(epoll_pump: EpollPump, splices: Splices) -> None:
    with Link() as link:
        async with relaying(epoll_pump, link) as relay:
            await splice_away(link, splices)
            calls = -1
            while calls != splices.calls:  # each small read may be one of the last by splicing
                calls = splices.calls
                await link.origin.send_all(b"small")
                assert await link.see(5) == b"small"
            received = link.source.calls
            await link.origin.send_all(b"copied")
            assert await link.see(6) == b"copied"
            assert splices.calls == calls
            assert link.source.calls > received
            assert relay.outcome is None


@pytest.mark.parametrize("length_is_known", [False, True])
async def test_no_byte_is_lost_or_doubled_when_splices_are_refused_or_partial(
    epoll_pump: EpollPump, splices: Splices, length_is_known: bool
) -> None:
    rng = random.Random(5)
    splices.allowed = lambda count: rng.choice([0, 1, rng.randint(1, count), count])
    with Link(buffer_bytes=BIG) as link:
        sent = await link.fill()
        await link.origin.send_eof()
        async with relaying(epoll_pump, link, length=len(sent) if length_is_known else None) as relay:
            assert digest(await link.see(len(sent))) == digest(sent)
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert splices.calls
    assert relay.bytes == len(sent)


async def test_a_length_is_exact_while_splicing(epoll_pump: EpollPump, splices: Splices) -> None:
    with Link(buffer_bytes=BIG) as link:
        sent = await link.fill()
        length = len(sent) - 1000
        async with relaying(epoll_pump, link, length=length) as relay:
            assert digest(await link.see(length)) == digest(sent[:length])
            assert await relay.ended() is Outcome.SOURCE_ENDED
        assert splices.calls
        assert link.source.recv(2000) == sent[length:]


async def test_a_source_that_closes_too_early_while_splicing_is_lost(epoll_pump: EpollPump, splices: Splices) -> None:
    with Link(buffer_bytes=BIG) as link:
        sent = await link.fill()
        await link.origin.send_eof()
        async with relaying(epoll_pump, link, length=len(sent) + 1) as relay:
            assert digest(await link.see(len(sent))) == digest(sent)
            assert await relay.ended() is Outcome.SOURCE_LOST
    assert splices.calls


async def test_a_source_that_resets_while_splicing_is_lost(epoll_pump: EpollPump, splices: Splices) -> None:
    with Link() as link:
        async with relaying(epoll_pump, link) as relay:
            await splice_away(link, splices)
            reset(link.origin)
            assert await relay.ended() is Outcome.SOURCE_LOST


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_sink_that_goes_with_bytes_in_the_pipe_has_left_and_the_pipe_is_closed(
    epoll_pump: EpollPump, splices: Splices, leave: str
) -> None:
    with Link(buffer_bytes=SMALL) as link:
        async with relaying(epoll_pump, link) as relay:
            await splice_away(link, splices)
            await stick_in_pipe(epoll_pump, link)
            held = descriptors()
            if leave == "reset":
                reset(link.viewer)
            else:
                link.viewer.socket.close()
            assert await relay.ended() is Outcome.SINK_LEFT
            assert held - descriptors() == 3  # the viewer's, the pipe's two
    assert not borrowed_pipes(epoll_pump)


async def test_a_relay_cancelled_with_bytes_in_its_pipe_closes_that(epoll_pump: EpollPump, splices: Splices) -> None:
    with Link(buffer_bytes=SMALL) as link:
        async with relaying(epoll_pump, link) as relay:
            await splice_away(link, splices)
            await stick_in_pipe(epoll_pump, link)
            held = descriptors()
            relay.scope.cancel()
            await relay.done.wait()
            assert held - descriptors() == 2
    assert not borrowed_pipes(epoll_pump)


async def test_a_sink_that_blocks_half_way_through_a_pipe_gets_the_rest_later(
    epoll_pump: EpollPump, splices: Splices
) -> None:
    with Link(buffer_bytes=SMALL) as link:
        async with relaying(epoll_pump, link) as relay:
            await splice_away(link, splices)
            sent = await stick_in_pipe(epoll_pump, link)
            await link.origin.send_eof()
            assert digest(await link.see(len(sent))) == digest(sent)
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert not borrowed_pipes(epoll_pump)


async def stick_in_pipe(pump: EpollPump, link: Link) -> bytes:
    """Send, without the viewer reading, until bytes of the relay lie in a pipe; what was sent."""
    sent = await link.fill()
    assert borrowed_pipes(pump)
    return sent


def borrowed_pipes(pump: EpollPump) -> list[EpollRelay]:
    return [
        owner for _, owner in pump._registrations.values() if isinstance(owner, EpollRelay) and owner._pipe is not None
    ]


async def test_relays_share_a_few_pipes(epoll_pump: EpollPump, splices: Splices) -> None:
    held = descriptors()

    async def serve() -> None:
        with Link(buffer_bytes=BIG) as link:
            sent = await link.fill()
            async with relaying(epoll_pump, link):
                assert digest(await link.see(len(sent))) == digest(sent)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(serve)
    pipes = (descriptors() - held) / 2
    assert splices.calls
    assert 1 <= pipes <= 5


async def test_no_more_than_16_pipes_are_kept(epoll_pump: EpollPump) -> None:
    held = descriptors()
    pipes = [epoll_pump.pipes.borrow() for _ in range(20)]
    assert descriptors() - held == 40
    for pipe in pipes:
        epoll_pump.pipes.give_back(pipe)
    assert descriptors() - held == 32


async def test_without_a_descriptor_for_a_pipe_copying_goes_on(
    epoll_pump: EpollPump, splices: Splices, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def no_pipe(flags: int) -> tuple[int, int]:
        nonlocal asked
        asked += 1
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "pipe2", no_pipe)
    with Link(buffer_bytes=BIG) as link:
        sent = await link.fill()
        await link.origin.send_eof()
        async with relaying(epoll_pump, link) as relay:
            assert digest(await link.see(len(sent))) == digest(sent)
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert asked
    assert not splices.calls


async def test_pipes_that_cannot_grow_are_used_as_they_are(
    epoll_pump: EpollPump, splices: Splices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pages(fd: int, command: int, size: int) -> int:
        raise PermissionError(errno.EPERM, "over the quota")

    monkeypatch.setattr(fcntl, "fcntl", no_pages)
    with Link(buffer_bytes=BIG) as link:
        sent = await link.fill()
        await link.origin.send_eof()
        async with relaying(epoll_pump, link) as relay:
            assert digest(await link.see(len(sent))) == digest(sent)
            assert await relay.ended() is Outcome.SOURCE_ENDED
    assert splices.calls


async def test_a_bug_while_splicing_ends_that_relay_alone(epoll_pump: EpollPump, splices: Splices) -> None:
    def bug(count: int) -> int:
        raise ZeroDivisionError("on purpose")

    with Link() as broken, Link() as sound:
        async with relaying(epoll_pump, sound), relaying(epoll_pump, broken) as relay:
            await splice_away(broken, splices)
            splices.allowed = bug
            await broken.origin.send_all(bytes(100))
            await relay.done.wait()
            assert isinstance(relay.error, ZeroDivisionError)
            await sound.origin.send_all(b"goes on")
            assert await sound.see(7) == b"goes on"


async def test_an_event_of_a_descriptors_former_life_does_no_harm(epoll_pump: EpollPump) -> None:
    # Events are collected in batches. Between the collection and the call the descriptor may have become another's.
    with Link() as link:
        async with relaying(epoll_pump, link) as relay:
            for end in (link.source, link.sink):
                for event in (select.EPOLLIN, select.EPOLLOUT, select.EPOLLIN | select.EPOLLOUT | select.EPOLLHUP):
                    with epoll_pump.lock:
                        serve, _ = epoll_pump._registrations[end.fileno()]
                        serve(event)
            await link.origin.send_all(b"goes on")
            assert await link.see(7) == b"goes on"
            assert relay.outcome is None


async def test_a_pump_that_is_closed_leaves_no_thread_and_no_descriptor() -> None:
    threads, held = threading.active_count(), descriptors()
    async with EpollPump.open() as pump:
        assert threading.active_count() == threads + 1
        pump.pipes.give_back(pump.pipes.borrow())
        assert descriptors() > held
    assert threading.active_count() == threads
    assert descriptors() == held


async def test_a_pump_that_is_cancelled_is_closed_as_well() -> None:
    threads, held = threading.active_count(), descriptors()
    with Link() as link, trio.move_on_after(0.05):
        async with EpollPump.open() as pump, relaying(pump, link):
            await trio.sleep_forever()
    assert threading.active_count() == threads
    assert descriptors() == held
