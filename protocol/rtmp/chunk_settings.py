"""What a chunk reader is told by its owner: how much it may do and hold, and one habit of the sender.

The reader's side of it stands in `chunk_reader`; everybody imports these from `chunks`.
"""

import enum
from typing import Final, Literal, TypeAlias

__all__ = ["PAUSED", "ExtendedTimestamps", "Paused", "PausedType", "SharedBudget"]


class Paused(enum.Enum):
    """The type of `PAUSED`."""

    PAUSED = "PAUSED"

    def __repr__(self) -> str:
        return self.value


PAUSED: Final = Paused.PAUSED
"""What `ChunkReader.next_event()` returns when `chunk_allowance` is used up and bytes are left."""

PausedType: TypeAlias = Literal[Paused.PAUSED]


class ExtendedTimestamps(enum.Enum):
    """Whether the sender repeats the extended timestamp in fmt 3 chunks (RTMP 1.0, section 5.3.1.3).

    The section demands it, and FFmpeg, librtmp, OBS and nginx-rtmp do it; some other encoders and servers do not.
    """

    DETECT = "detect"
    """Read four bytes as the repeated field where they equal the value expected there (the field of the message's
    first chunk, or the message's timestamp), as payload otherwise. A sender that repeats always matches; one that
    does not is misread only where its payload happens to hold that very value, once in 2**32 chunks."""
    REPEATED = "repeated"
    """Always there, whatever it says; where fmt 3 starts a message, it is the new delta."""
    NOT_REPEATED = "not repeated"
    """Never there."""


class SharedBudget:
    """Bytes of unfinished messages that many readers may hold together; for one thread.

    Attributes:
        capacity_bytes: how many, over all readers.
        reserved_bytes: how many are taken.
    """

    __slots__ = ("capacity_bytes", "reserved_bytes")

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.reserved_bytes = 0

    def reserve(self, count: int) -> bool:
        """Take `count` bytes; False, and nothing taken, where they are not to be had."""
        if self.reserved_bytes + count > self.capacity_bytes:
            return False
        self.reserved_bytes += count
        return True

    def release(self, count: int) -> None:
        """Give `count` bytes back."""
        self.reserved_bytes -= count
