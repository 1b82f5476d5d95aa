"""The ground of the kit: errors, limits, NEED_DATA and the receive buffer.

Everything else in `protocol` imports from here, and this module imports nothing of ours. Every decoder has one face:
bytes go in by `receive_data(data)`, and `next_event()` gives the next event, `NEED_DATA`, or raises the error.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

__all__ = [
    "NEED_DATA",
    "Limits",
    "LocalProtocolError",
    "NeedData",
    "NeedDataType",
    "ProtocolError",
    "ReceiveBuffer",
    "RemoteProtocolError",
]


class ProtocolError(Exception):
    """The protocol was broken, by us or by them; raised only as one of its two kinds.

    Attributes:
        spec: the document and section that was broken, such as ``"RTMP 1.0, 5.3.1.2"``.
    """

    def __init__(self, message: str, *, spec: str) -> None:
        if type(self) is ProtocolError:
            raise TypeError("a ProtocolError is somebody's: raise LocalProtocolError or RemoteProtocolError")
        super().__init__(message)
        self.spec: Final = spec

    def __reduce__(self) -> tuple[Callable[..., "ProtocolError"], tuple[object, ...], dict[str, object]]:
        # Exceptions are pickled and copied by calling their class with `args`, which lack what goes by keyword alone.
        return partial(type(self), spec=self.spec), self.args, self.__dict__

    def __str__(self) -> str:
        return f"{self.args[0]} ({self.spec})"


class LocalProtocolError(ProtocolError):
    """You asked for something that the protocol does not allow; nothing was sent and no state has changed."""


class RemoteProtocolError(ProtocolError):
    """The peer's bytes break the protocol or pass a limit. A decoder that has raised it raises it again when asked."""


class NeedData(enum.Enum):
    """The type of `NEED_DATA`."""

    NEED_DATA = "NEED_DATA"

    def __repr__(self) -> str:
        return self.value


NEED_DATA: Final = NeedData.NEED_DATA
"""What `next_event()` returns when the bytes received so far hold no further whole event."""

NeedDataType: TypeAlias = Literal[NeedData.NEED_DATA]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a decoder is willing to hold for its peer. Memory grows with bytes received, never with sizes announced.

    Attributes:
        buffered_bytes: all that one decoder holds at a time: input not yet decoded and unfinished messages together. An
            RTMP handshake has its own bound, two packets of 1536 bytes.
        message_bytes: the largest message (RTMP) or tag body (FLV) that is accepted, 0 to 0xFFFFFF.
        chunk_streams: RTMP chunk streams of one connection.
        amf_depth: how deep AMF values may nest; a scalar has depth 1.
        amf_values: how many values one AMF message may hold, those in containers included.
    """

    buffered_bytes: int = 64 * 1024 * 1024
    message_bytes: int = 0xFFFFFF
    chunk_streams: int = 64
    amf_depth: int = 64
    amf_values: int = 65_536


class ReceiveBuffer:
    """Bytes received and not yet decoded; taking from its front costs what is taken, however much stays behind.

    `bytearray` remembers how much of its front was deleted, so `del data[:n]` moves nothing (CPython since 3.4).
    """

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes at the end."""
        self._data += data

    def peek(self, count: int) -> bytes:
        """The first `count` bytes, or fewer where fewer are there; they stay in the buffer."""
        return bytes(self._data[:count])

    def take(self, count: int) -> bytes | None:
        """Remove and return exactly `count` bytes, or None (and nothing removed) where fewer are there."""
        if len(self._data) < count:
            return None
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken
