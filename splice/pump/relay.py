"""The words that every pump shares: what a relay ends with, and the pump's face."""

import enum
import socket
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from splice.stats import Meter

__all__ = ["DROPPED_INPUT_BYTES", "Outcome", "Pump", "Tap", "outcome_of_leaving"]

Tap: TypeAlias = Callable[[memoryview], bool]
"""Is shown bytes on their way, valid during the call alone; says whether it wants more. It may run in any thread."""

DROPPED_INPUT_BYTES: Final = 65536
"""What a sink may send while it is served: it is read and dropped, since unread bytes would hide the sink's FIN."""


class Outcome(enum.Enum):
    """Why a relay has ended."""

    SOURCE_ENDED = "source_ended"  # closed, or sent its announced length; the sink's kernel has every byte
    SOURCE_LOST = "source_lost"  # reset, or closed before its announced length
    SINK_LEFT = "sink_left"  # closed, half-closed or reset, or sent too much
    STALLED = "stalled"  # for the time allowed, no byte came or none was taken


class Pump(Protocol):
    """Moves bytes from sockets to sockets; one serves every relay of the process."""

    @property
    def registrations(self) -> int:
        """How many sockets the pump watches at the moment: at most two for each relay that runs, none else."""
        ...

    @property
    def turns(self) -> int:
        """How often the pump has looked at what is ready, since it started."""
        ...

    async def relay(
        self,
        source: socket.socket,
        sink: socket.socket,
        *,
        length: int | None,
        stall_s: float,
        meter: Meter,
        tap: Tap | None = None,
    ) -> Outcome:
        """Move bytes from `source` to `sink` until either is done.

        Both sockets are connected, non-blocking, and stay the caller's to close. What the sink sends is dropped; when
        it closes, or shuts down its sending side, it has left.

        Args:
            length: how many bytes to move, 0 or more; None: until the source closes.
            stall_s: seconds after which a relay that has moved no byte ends.
            meter: its `bytes` grows as the sink takes them.
            tap: is shown the relay's first bytes, from the first on and each once, until it wants no more or they are
                too many to copy.

        Cancellation unregisters both sockets before it is delivered, and nothing touches them afterwards. The bytes
        that were received and not yet taken by the sink are gone: the connection can only be closed.
        """
        ...


def outcome_of_leaving(source: socket.socket, *, nothing_kept: bool) -> Outcome:
    """Why a relay has ended whose sink has left: a player that has got the end of its stream may well close first.

    Args:
        source: non-blocking.
        nothing_kept: whether the sink's kernel has taken all that was received.
    """
    try:
        source_ended = nothing_kept and not source.recv(1, socket.MSG_PEEK)
    except OSError:
        source_ended = False  # it has nothing to say now, or was reset
    return Outcome.SOURCE_ENDED if source_ended else Outcome.SINK_LEFT
