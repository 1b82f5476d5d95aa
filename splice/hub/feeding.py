"""Carrying on with a subscriber's backlog: the part of sending a live stream that waits."""

import socket
from typing import Protocol

import trio

from splice.stats import EndReason

__all__ = ["Backlog", "feed"]


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
