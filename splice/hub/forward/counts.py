"""What is counted of streams on their way to another server."""

from dataclasses import dataclass

__all__ = ["ForwardCounts"]


@dataclass(frozen=True, slots=True)
class ForwardCounts:
    """Of one stream, or of several together.

    Attributes:
        bytes: what the target has taken.
        losses: how many times a connection to it failed, or was lost.
        reconnects: how many times it was connected to again.
        skipped: how many times it was moved on to a newer keyframe, since it was slow.
    """

    bytes: int = 0
    losses: int = 0
    reconnects: int = 0
    skipped: int = 0

    def __add__(self, other: "ForwardCounts") -> "ForwardCounts":
        return ForwardCounts(
            self.bytes + other.bytes,
            self.losses + other.losses,
            self.reconnects + other.reconnects,
            self.skipped + other.skipped,
        )
