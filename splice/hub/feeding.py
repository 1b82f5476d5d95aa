"""Carrying on with a subscriber's backlog: the part of sending a live stream that waits."""

import socket

import trio

from splice.hub.subscriber import Subscriber
from splice.stats import EndReason

__all__ = ["feed"]


async def feed(subscriber: Subscriber, sink: socket.socket, *, stall_s: float) -> EndReason:
    """Send what waits for `subscriber` to its non-blocking socket, until the stream has ended or the sink has.

    Args:
        stall_s: seconds in which the sink must take something of what waits.

    Returns:
        ORIGIN_ENDED, STALLED, or VIEWER_LEFT where the connection is lost.

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
