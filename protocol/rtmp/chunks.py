"""RTMP's chunk layer: whole messages out of chunks, chunks out of whole messages (RTMP 1.0, section 5.3).

Bytes behind the handshake go in at `ChunkReader`, and `RawMessage`s come out: a payload with the header that it
travelled under, not yet interpreted. `ChunkWriter` goes the other way.
"""

import enum
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from protocol._base import Limits, NeedDataType

__all__ = [
    "PAUSED",
    "ChunkReader",
    "ChunkWriter",
    "ExtendedTimestamps",
    "Paused",
    "PausedType",
    "RawMessage",
    "SharedBudget",
    "encode_standalone",
]


class RawMessage(NamedTuple):
    """One RTMP message as the chunk layer carries it, not interpreted (RTMP 1.0, section 5.3.1.2).

    Attributes:
        timestamp: milliseconds modulo 2**32.
        type_id: message type id, 0 to 255.
        message_stream_id: 0 to 2**32 - 1; little-endian on the wire, alone among RTMP's numbers.
        payload: the message's body, 0 to 0xFFFFFF bytes.
        chunk_stream_id: 2 to 65599; 2 is meant for protocol control messages.
    """

    timestamp: int
    type_id: int
    message_stream_id: int
    payload: bytes
    chunk_stream_id: int = 3


class Paused(enum.Enum):
    """The type of `PAUSED`."""

    PAUSED = "PAUSED"

    def __repr__(self) -> str:
        return self.value


PAUSED: Final = Paused.PAUSED
"""What `ChunkReader.next_event()` returns when `chunk_allowance` is used up and there is more to read."""

PausedType: TypeAlias = Literal[Paused.PAUSED]


class ExtendedTimestamps(enum.Enum):
    """Whether the sender repeats the extended timestamp in fmt 3 chunks (RTMP 1.0, section 5.3.1.3)."""

    DETECT = "detect"
    REPEATED = "repeated"
    NOT_REPEATED = "not repeated"


class SharedBudget(Protocol):
    """Bytes of unfinished messages that several readers may hold together."""

    def reserve(self, count: int) -> bool:
        """Take `count` bytes; False (and nothing taken) where they are not to be had."""

    def release(self, count: int) -> None:
        """Give `count` bytes back."""


class ChunkReader:
    """Chunks in, raw messages out. After PAUSED, give a new `chunk_allowance` and ask again."""

    limits: Limits
    chunk_allowance: int | None

    def __init__(
        self,
        *,
        limits: Limits = Limits(),  # noqa: B008  (frozen: shared safely)
        extended_timestamp_on_fmt3: ExtendedTimestamps = ExtendedTimestamps.DETECT,
        budget: SharedBudget | None = None,
    ) -> None:
        raise NotImplementedError

    @property
    def chunk_size(self) -> int:
        raise NotImplementedError

    @property
    def bytes_held(self) -> int:
        raise NotImplementedError

    @property
    def bytes_received(self) -> int:
        raise NotImplementedError

    @property
    def chunks_read(self) -> int:
        raise NotImplementedError

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        raise NotImplementedError

    def next_event(self) -> RawMessage | NeedDataType | PausedType:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class ChunkWriter:
    """Raw messages in, chunks out."""

    def __init__(self, *, chunk_size: int = 128) -> None:
        raise NotImplementedError

    @property
    def chunk_size(self) -> int:
        raise NotImplementedError

    def send(self, message: RawMessage) -> bytes:
        raise NotImplementedError

    def set_chunk_size(self, chunk_size: int) -> bytes:
        raise NotImplementedError

    def iter_chunks(self, message: RawMessage) -> Iterator[bytes]:
        raise NotImplementedError

    def send_interleaved(self, messages: Sequence[RawMessage]) -> bytes:
        raise NotImplementedError


def encode_standalone(message: RawMessage, chunk_size: int) -> bytes:
    raise NotImplementedError
