"""One relay on the epoll pump: what happens when its source can be read, or its sink can be written.

    source --recv_into--> the pump's buffer --send--> sink      while reads are small: copying them is cheapest
    source --splice--> a pipe --splice--> sink                  while reads are full: the pages move, nothing is copied

What the sink refuses is kept (`_stuck`, or in the pipe), the source is left unread until it has gone, and TCP makes the
origin wait. One receive per event is the budget that keeps a flood from starving the others: events are
level-triggered, so who has more to say is asked again in the next turn.
"""

import os
import select
import socket
from typing import TYPE_CHECKING, Final

import trio

from splice.pump.pipes import PIPE_BYTES, Pipe
from splice.pump.relay import DROPPED_INPUT_BYTES, Outcome, Tap, outcome_of_leaving
from splice.stats import Meter

if TYPE_CHECKING:
    from splice.pump.epoll import EpollPump

__all__ = ["EpollRelay"]

_SINK_IDLE: Final = select.EPOLLIN | select.EPOLLRDHUP
_SINK_STUCK: Final = _SINK_IDLE | select.EPOLLOUT

# splice(2) costs two system calls and the pages' bookkeeping, a copy costs the copy: they break even at some 32 KiB.
# So many reads in a row that fill the buffer turn a relay to splicing, and as many small ones back.
_READS_TO_SWITCH: Final = 4
_SMALL_READ_BYTES: Final = 32 * 1024
_SPLICE_F_NONBLOCK: Final = 2  # `os` has no name for it before Python 3.15


class EpollRelay:
    """Every method runs under the pump's lock."""

    __slots__ = (
        "_dropped", "_left", "_meter", "_pipe", "_pump", "_run_of_reads", "_sink", "_sink_fd", "_source",
        "_source_fd", "_splicing", "_stuck", "_tap", "bug", "ended", "outcome", "progressed_at",
    )  # fmt: skip

    def __init__(
        self,
        pump: "EpollPump",
        source: socket.socket,
        sink: socket.socket,
        length: int | None,
        meter: Meter,
        tap: Tap | None,
    ) -> None:
        self.outcome: Outcome | None = None
        self.bug: Exception | None = None
        self.ended: Final = trio.Event()
        self.progressed_at = trio.current_time()
        self._pump = pump
        self._source = source
        self._sink = sink
        self._source_fd = source.fileno()
        self._sink_fd = sink.fileno()
        self._left = length
        self._meter = meter
        self._tap = tap
        self._stuck: bytes | memoryview = b""
        self._pipe: Pipe | None = None  # only while bytes are in it
        self._splicing = False
        self._run_of_reads = 0
        self._dropped = 0

    def start(self) -> None:
        if self._left == 0:
            self.outcome = Outcome.SOURCE_ENDED
            return
        self._pump.watch(self._sink_fd, _SINK_IDLE, self._serve_sink, self)
        self._watch_source()

    def stop(self) -> None:
        self._pump.unwatch(self._source_fd)
        self._pump.unwatch(self._sink_fd)
        self._give_pipe_back()

    def crash(self, bug: Exception) -> None:
        self.bug = bug
        self._end(Outcome.SOURCE_LOST)

    def _end(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.stop()
        self._pump.tell_trio(self.ended.set)

    def _watch_source(self) -> None:
        # Two functions, so that a relay without a tap, which all soon are, does not even ask for one.
        serve = self._serve_source if self._tap is None else self._serve_tapped_source
        self._pump.watch(self._source_fd, select.EPOLLIN, serve, self)

    def _serve_tapped_source(self, events: int) -> None:
        """Serve the source, then show the tap what came: the pump's buffer has it still."""
        taken_before = self._meter.bytes
        self._serve_source(events)
        received = self._meter.bytes - taken_before + len(self._stuck)
        wants_more = self._tap is not None and self._tap(self._pump.buffer[:received])
        if not wants_more or self._splicing:
            self._tap = None
            self._pump.hand_over(self._source_fd, self._serve_source)

    def _serve_source(self, _events: int) -> None:
        if self._splicing:
            self._splice_once()
            return
        buffer = self._pump.buffer
        wanted = len(buffer) if self._left is None else min(self._left, len(buffer))
        try:
            received = self._source.recv_into(buffer, wanted)
        except BlockingIOError:
            return
        except OSError:
            self._end(Outcome.SOURCE_LOST)
            return
        if not received:
            self._end(self._outcome_of_close())
            return
        self.progressed_at = self._pump.tick
        try:
            sent = self._sink.send(buffer[:received])
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(Outcome.SINK_LEFT)
            return
        self._meter.bytes += sent
        if received == len(buffer):
            self._count_towards(splicing=True)
        else:
            self._run_of_reads = 0
        if self._left is not None:
            self._left -= received
        if sent < received:
            self._stuck = memoryview(bytes(buffer[sent:received]))
            self._wait_for_sink()
        elif self._left == 0:
            self._end(Outcome.SOURCE_ENDED)

    def _splice_once(self) -> None:
        try:
            self._pipe = pipe = self._pump.pipes.borrow()
        except OSError:
            self._splicing = False  # no descriptor is left: copying needs none
            return
        wanted = PIPE_BYTES if self._left is None else min(self._left, PIPE_BYTES)
        try:
            pipe.pending = os.splice(self._source_fd, pipe.write_fd, wanted, flags=_SPLICE_F_NONBLOCK)
        except BlockingIOError:
            self._give_pipe_back()
            return
        except OSError:
            self._end(Outcome.SOURCE_LOST)
            return
        if not pipe.pending:
            self._end(self._outcome_of_close())
            return
        self.progressed_at = self._pump.tick
        if pipe.pending <= _SMALL_READ_BYTES:
            self._count_towards(splicing=False)
        else:
            self._run_of_reads = 0
        if self._left is not None:
            self._left -= pipe.pending
        if not self._drain(pipe):
            self._wait_for_sink()
        elif self.outcome is None and self._left == 0:
            self._end(Outcome.SOURCE_ENDED)

    def _give_pipe_back(self) -> None:
        if self._pipe is not None:
            self._pump.pipes.give_back(self._pipe)
            self._pipe = None

    def _count_towards(self, *, splicing: bool) -> None:
        self._run_of_reads += 1
        if self._run_of_reads == _READS_TO_SWITCH:
            self._splicing = splicing
            self._run_of_reads = 0

    def _outcome_of_close(self) -> Outcome:
        return Outcome.SOURCE_LOST if self._left else Outcome.SOURCE_ENDED

    def _wait_for_sink(self) -> None:
        # Not merely "no events" for the source: epoll reports a reset whatever was asked for, again and again. It can
        # wait until the sink has what came before it.
        self._pump.unwatch(self._source_fd)
        self._pump.rewatch(self._sink_fd, _SINK_STUCK)

    def _serve_sink(self, events: int) -> None:
        if events & ~select.EPOLLOUT:
            self._drop_input()
        if events & select.EPOLLOUT and self.outcome is None:
            self._flush()

    def _drop_input(self) -> None:
        try:
            received = self._sink.recv_into(self._pump.buffer)
        except BlockingIOError:
            return
        except OSError:
            received = 0
        self._dropped += received
        if not received or self._dropped > DROPPED_INPUT_BYTES:
            nothing_kept = self._left is None and self._pipe is None and not self._stuck
            self._end(outcome_of_leaving(self._source, nothing_kept=nothing_kept))

    def _flush(self) -> None:
        if self._pipe is not None:
            if not self._drain(self._pipe):
                return
        elif self._stuck:
            try:
                sent = self._sink.send(self._stuck)
            except BlockingIOError:
                return
            except OSError:
                self._end(Outcome.SINK_LEFT)
                return
            self.progressed_at = self._pump.tick
            self._meter.bytes += sent
            self._stuck = self._stuck[sent:]
            if self._stuck:
                return
        else:
            return  # nothing waits: an event that was collected for the descriptor's former owner
        if self.outcome is not None:
            return
        if self._left == 0:
            self._end(Outcome.SOURCE_ENDED)
            return
        self._pump.rewatch(self._sink_fd, _SINK_IDLE)
        self._watch_source()

    def _drain(self, pipe: Pipe) -> bool:
        """Move what the sink takes out of the relay's pipe; whether nothing is left to move."""
        try:
            while pipe.pending:
                sent = os.splice(pipe.read_fd, self._sink_fd, pipe.pending, flags=_SPLICE_F_NONBLOCK)
                pipe.pending -= sent
                self._meter.bytes += sent
                self.progressed_at = self._pump.tick
        except BlockingIOError:
            return False
        except OSError:
            self._end(Outcome.SINK_LEFT)
            return True
        self._give_pipe_back()
        return True
