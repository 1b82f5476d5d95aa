"""Carrying on with a subscriber's backlog: the part of a hub viewer's work that waits."""

import socket

import trio

from splice.hub import Subscriber
from splice.stats import EndReason

__all__ = ["feed"]


async def feed(subscriber: Subscriber, sink: socket.socket, *, stall_s: float) -> EndReason:
    """Send what waits for `subscriber` to its non-blocking socket, until the stream has ended or the viewer has.

    While the viewer keeps up there is nothing to do here, since the stream sends to the socket by itself.

    Args:
        stall_s: seconds in which the viewer must take something of what waits.

    A cancellation leaves the backlog where it stands, maybe within a piece.
    """
    while True:
        await subscriber.wait_something_to_do()
        while (piece := subscriber.next_piece) is not None:
            try:
                subscriber.took(sink.send(piece))
            except BlockingIOError:
                with trio.move_on_after(stall_s) as patience:
                    await trio.lowlevel.wait_writable(sink)
                if patience.cancelled_caught:
                    return EndReason.STALLED
            except OSError:
                return EndReason.VIEWER_LEFT
        if subscriber.ended:
            return EndReason.ORIGIN_ENDED
        await trio.lowlevel.checkpoint()
