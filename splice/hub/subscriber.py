"""One viewer's place in a live stream: what it has not taken yet, and what happens when it falls behind. No I/O.

Pieces are offered as they are made. While the viewer keeps up they go straight to its socket, by the non-blocking
`send` that it was made with; what that refuses waits in the backlog, for the viewer's own task to carry on with. The
backlog is bounded in bytes and in age: who passes a bound loses all of the stream that it has not begun to take, and
goes on at the next keyframe. What the connection itself has put in between is never lost.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import trio

from splice.hub.batch import Batch
from splice.hub.formats import Form
from splice.hub.packet import PacketRole
from splice.stats import Meter

__all__ = ["Subscriber"]

_UNKNOWN: Final = -1  # no configuration of a stream has this number


class _Waiting(NamedTuple):
    piece: bytes | memoryview
    made_at: float
    droppable: bool = True


class Subscriber:
    """See the module.

    Attributes:
        form: how the viewer wants its packets.
        flows: whether pieces go straight to `send`, since nothing waits and no keyframe is waited for. Then the live
            stream may call `send` itself, and `hold_up` with what it refused: the one path that is taken for every
            viewer of every batch.
        send: takes as many bytes as it can of a piece and says how many; BlockingIOError: none now; another OSError:
            none ever, which the viewer's task sees by itself. None: all goes by way of the backlog.
        meter: its `bytes` grows as the viewer takes them.
        backlog_bytes: how much waits.
        skipped: how many times it was moved on to a keyframe.
        lacks_picture: whether it has begun where video was silent, so that inter frames would be of no use to it.
        ended: whether nothing comes behind the backlog.
    """

    def __init__(
        self,
        form: Form,
        *,
        send: Callable[[bytes | memoryview], int] | None,
        meter: Meter,
        max_bytes: int,
        max_s: float,
    ) -> None:
        """Args:
        max_bytes: of the backlog, beyond what a joining viewer gets first, which all of them share. A single piece
            may be larger.
        max_s: how long a piece may wait in the backlog.
        """
        self.form: Final = form
        self.backlog_bytes = 0
        self.skipped = 0
        self.lacks_picture = False
        self.ended = False
        self.send: Final = send or _take_nothing
        self._sends: Final = send is not None
        self.meter: Final = meter
        self.flows = False
        self._max_bytes: Final = max_bytes
        self._max_s: Final = max_s
        self._backlog: deque[_Waiting] = deque()
        self._joining_bytes = 0  # how much of what it got first still waits
        self._begun = False  # the first piece of the backlog was taken in part, and has to be finished
        self._awaits_keyframe = True
        self._paused = False
        self._configured_by = _UNKNOWN  # the stream's configuration when it joined, as far as it has not fallen behind
        self._something_to_do = trio.Event()

    def begin(
        self, pieces: Iterable[bytes], *, now: float, configuration: int, at_keyframe: bool, opening: bytes = b""
    ) -> None:
        """Put what a joining viewer gets first into the backlog.

        Args:
            opening: what comes before them, and is never lost: behind it the viewer may be moved on.
            configuration: the number of the stream's configuration that the pieces hold.
            at_keyframe: whether the next packet can be decoded behind them; else a keyframe is waited for.
        """
        if opening:
            self._keep(_Waiting(opening, now, droppable=False))
        for piece in pieces:
            self._keep(_Waiting(piece, now))
        self._joining_bytes = self.backlog_bytes
        self._configured_by = configuration
        self._awaits_keyframe = not at_keyframe

    def offer(self, piece: bytes, batch: Batch) -> None:
        """Send a batch, or what of it can be sent, or keep it, or leave it out."""
        if not self._awaits_keyframe and not self._has_room(piece, batch):
            self._fall_behind()
        if self._awaits_keyframe:
            if self._paused or not batch.begins_at_keyframe or not self._has_room(piece, batch):
                return
            self._awaits_keyframe = False
            self.lacks_picture = batch.packets[0].role is not PacketRole.KEYFRAME
            if self._configured_by != batch.configuration and batch.headers:
                piece = self.form.encode(batch.headers) + piece
        if self._backlog:
            self._keep(_Waiting(piece, batch.made_at))
            return
        sent = 0
        if self._sends:
            try:
                sent = self.send(piece)
            except OSError:
                pass  # BlockingIOError, or the viewer has gone, which its own task is about to see
            self.meter.bytes += sent
            self.flows = True
        if sent != len(piece):
            self.hold_up(piece, sent, batch)

    def hold_up(self, piece: bytes, sent: int, batch: Batch) -> None:
        """Keep what a viewer who kept up has not taken of a batch, all but its first `sent` bytes."""
        self._begun = sent > 0
        self._keep(_Waiting(memoryview(piece)[sent:], batch.made_at))

    def pause(self, *, paused: bool) -> None:
        """Leave everything out, or go on at the next keyframe."""
        self._paused = paused
        self.await_keyframe()

    def await_keyframe(self) -> None:
        """Leave everything out until the next keyframe."""
        self._awaits_keyframe = True
        self.flows = False

    def insert(self, piece: bytes, now: float) -> None:
        """Send something of the connection's own, such as a pong, between two pieces."""
        self._keep(_Waiting(piece, now, droppable=False))

    def end(self, closing: bytes, now: float) -> None:
        """Send `closing` behind the backlog, and nothing after it."""
        if closing:
            self._keep(_Waiting(closing, now))
        self.ended = True
        self.flows = False
        self._something_to_do.set()

    async def wait_something_to_do(self) -> None:
        """Wait until something waits in the backlog, or the stream has ended."""
        await self._something_to_do.wait()

    @property
    def waits_since(self) -> float | None:
        """When the oldest piece of the backlog was made, in Trio's time; None: nothing waits."""
        return self._backlog[0].made_at if self._backlog else None

    @property
    def next_piece(self) -> bytes | memoryview | None:
        """What is to be sent now; None: nothing."""
        return self._backlog[0].piece if self._backlog else None

    @property
    def unfinished(self) -> bytes:
        """The rest of a piece that the viewer has taken in part; b"" where there is none."""
        return bytes(self._backlog[0].piece) if self._begun else b""

    def took(self, count: int) -> None:
        """Say that the viewer has taken `count` bytes of `next_piece`."""
        first = self._backlog[0]
        self.meter.bytes += count
        self.backlog_bytes -= count
        self._joining_bytes = max(self._joining_bytes - count, 0)
        if count < len(first.piece):
            self._backlog[0] = first._replace(piece=memoryview(first.piece)[count:])
            self._begun = True
            return
        self._backlog.popleft()
        self._begun = False
        if not self._backlog:
            self._nothing_waits()

    def _keep(self, waiting: _Waiting) -> None:
        self._backlog.append(waiting)
        self.backlog_bytes += len(waiting.piece)
        self.flows = False
        self._something_to_do.set()

    def _has_room(self, piece: bytes, batch: Batch) -> bool:
        return not self._backlog or (
            self.backlog_bytes - self._joining_bytes + len(piece) <= self._max_bytes
            and batch.made_at - self._backlog[0].made_at <= self._max_s
        )

    def _fall_behind(self) -> None:
        """Drop all of the stream that was not begun, and with it any configuration that may have been in there."""
        self.skipped += 1
        self._awaits_keyframe = True
        self._configured_by = _UNKNOWN
        self._joining_bytes = 0
        begun = [self._backlog.popleft()] if self._begun else []
        self._backlog = deque(begun + [waiting for waiting in self._backlog if not waiting.droppable])
        self.backlog_bytes = sum(len(waiting.piece) for waiting in self._backlog)
        if not self._backlog:
            self._nothing_waits()

    def _nothing_waits(self) -> None:
        if not self.ended:
            self._something_to_do = trio.Event()
            self.flows = self._sends and not self._awaits_keyframe


def _take_nothing(piece: bytes | memoryview) -> int:
    raise BlockingIOError
