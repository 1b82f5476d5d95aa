"""Carrying on with a subscriber's backlog: the part of sending a live stream that waits."""

import socket
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from splice.stats import EndReason

__all__ = ["PIECE_BYTES", "Backlog", "feed", "feed_by"]

PIECE_BYTES: Final = 64 * 1024
"""How much `feed_by` sends at a time, at most."""


class Backlog(Protocol):
    """What waits for one viewer, such as a `Subscriber`."""

    @property
    def ended(self) -> bool: ...

    @property
    def next_piece(self) -> bytes | memoryview | None: ...

    def took(self, count: int) -> None: ...

    async def wait_something_to_do(self) -> None: ...


async def feed(backlog: Backlog, sink: socket.socket, *, stall_s: float) -> EndReason:
    """Send what waits for a viewer to its non-blocking socket, until the stream has ended or the sink has.

    Args:
        stall_s: seconds in which the sink must take something of what waits.

    Returns:
        ORIGIN_ENDED, STALLED, or VIEWER_LEFT where the connection is lost.

    A cancellation leaves the backlog where it stands, maybe within a piece.
    """
    while True:
        await backlog.wait_something_to_do()
        while (piece := backlog.next_piece) is not None:
            try:
                backlog.took(sink.send(piece))
            except BlockingIOError:
                with trio.move_on_after(stall_s) as patience:
                    await trio.lowlevel.wait_writable(sink)
                if patience.cancelled_caught:
                    return EndReason.STALLED
            except OSError:
                return EndReason.VIEWER_LEFT
        if backlog.ended:
            return EndReason.ORIGIN_ENDED
        await trio.lowlevel.checkpoint()


async def feed_by(backlog: Backlog, send: Callable[[bytes], Awaitable[None]], *, stall_s: float) -> EndReason:
    """Give what waits for a viewer to `send`, as `feed` does, where a connection is more than its socket (TLS).

    Args:
        send: returns when the viewer has taken the piece, of `PIECE_BYTES` at most.
        stall_s: seconds for that.

    A piece counts as taken when `send` begins with it: meanwhile the backlog may drop what it still holds.
    """
    while True:
        await backlog.wait_something_to_do()
        while pieces := _take(backlog):
            with trio.move_on_after(stall_s) as patience:
                await send(pieces)
            if patience.cancelled_caught:
                return EndReason.STALLED
        if backlog.ended:
            return EndReason.ORIGIN_ENDED
        await trio.lowlevel.checkpoint()


def _take(backlog: Backlog) -> bytes:
    """What waits, up to `PIECE_BYTES`."""
    taken = bytearray()
    while len(taken) < PIECE_BYTES and (piece := backlog.next_piece) is not None:
        part = piece[: PIECE_BYTES - len(taken)]
        taken += part
        backlog.took(len(part))
    return bytes(taken)
