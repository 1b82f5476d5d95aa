"""What a pull needs of an origin, whichever protocol it speaks, and how it says that there is no stream."""

from dataclasses import dataclass
from typing import Protocol

from protocol.rtmp import MediaMessage
from splice.origins import OriginError

__all__ = ["NoStreamError", "PullTimeouts", "Source"]


@dataclass(frozen=True, slots=True)
class PullTimeouts:
    """How long a pull waits, in seconds; each is for its whole phase.

    Attributes:
        connect_s: until an address has accepted a connection, name resolution and TLS handshake included.
        origin_head_s: until the origin's response head is whole; over RTMP, until it has accepted connect.
        first_tag_s: from there to the first audio or video.
        stall_s: without a message, after which a stream that ran counts as lost.
        idle_stop_s: how long a pull goes on without viewers.
        missing_remembered_s: for so long a failure is everybody's answer.
    """

    connect_s: float
    origin_head_s: float
    first_tag_s: float
    stall_s: float
    idle_stop_s: float = 10.0
    missing_remembered_s: float = 1.0


class NoStreamError(OriginError):
    """The origin was reached, and has no such stream: it says so (404), or is silent about it (504)."""


class Source(Protocol):
    """An open connection to an origin that was asked for a stream."""

    async def next_message(self) -> MediaMessage | None:
        """The next message, its payload the body of an FLV tag; None: the origin says that the stream has ended.

        Raises:
            NoStreamError: the origin says that there is no such stream.
            OriginError: 502: the connection is lost, or the origin sends nonsense.

        A cancellation loses no message.
        """
        ...
