"""Where a message's body ends, and its payload without the framing: RFC 9112, 6 and 7.

`Framing` says which of the four ways an answer's body ends. `BodyDecoder` takes a body's bytes in any pieces and gives
the payload; the door needs that only where the viewer cannot have the origin's framing (HTTP/1.0, WebSocket), else
bodies are spliced untouched. `chunk` and `LAST_CHUNK` make the chunked coding for what the door itself sends.
"""

import enum
from dataclasses import dataclass
from typing import Final, TypeAlias

from splice.http.grammar import MalformedError, parse_chunk_size
from splice.http.lines import FieldSection, LineBuffer

__all__ = [
    "CHUNKED",
    "CLOSE",
    "LAST_CHUNK",
    "NO_BODY",
    "BodyDecoder",
    "Framing",
    "FramingKind",
    "ResponseError",
    "chunk",
]

_BytesLike: TypeAlias = bytes | bytearray | memoryview

# A chunk's size and extensions on one line. Nobody is known to send extensions; 256 bytes are ample.
_MAX_CHUNK_LINE_BYTES: Final = 256
_MAX_TRAILER_BYTES: Final = 16_384
_MAX_TRAILER_LINES: Final = 64


class ResponseError(Exception):
    """The origin's head or body is nonsense: 502 where nothing was sent to the viewer yet, else a cut connection.

    Attributes:
        detail: one sentence that says what is wrong with the answer; it never repeats the origin's bytes.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail: Final = detail


class FramingKind(enum.Enum):
    """How a body ends (RFC 9112, 6.3)."""

    NO_BODY = "no body"
    CHUNKED = "chunked"
    LENGTH = "length"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Framing:
    """How one body ends.

    Attributes:
        kind: by there being none, by the last chunk, by its length, or with the connection.
        length: bytes of the body for `FramingKind.LENGTH`, 0 to 10**18 - 1; else None.
    """

    kind: FramingKind
    length: int | None = None

    @classmethod
    def of_length(cls, length: int) -> "Framing":
        """The framing by a Content-Length of `length` bytes."""
        return cls(FramingKind.LENGTH, length)


NO_BODY: Final = Framing(FramingKind.NO_BODY)
CHUNKED: Final = Framing(FramingKind.CHUNKED)
CLOSE: Final = Framing(FramingKind.CLOSE)


class BodyDecoder:
    """The payload of one body, from bytes in any pieces.

    Args:
        framing: how the body ends.
    """

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._left = framing.length or 0
        self._chunks = _ChunkedDecoder()
        self._finished = framing in (NO_BODY, Framing.of_length(0))
        self._trailing = bytearray()
        self._error: ResponseError | None = None

    @property
    def finished(self) -> bool:
        """Whether the body's end has been seen."""
        return self._finished

    @property
    def trailing_data(self) -> bytes:
        """What came behind the body's end."""
        return bytes(self._trailing)

    def receive_data(self, data: _BytesLike) -> list[bytes]:
        """Add bytes from the origin; returns the payload in them, in pieces of at least one byte.

        Payload before a fault is returned, and the next call raises; so the outcome is the same however the bytes
        were cut.

        Raises:
            ResponseError: the framing is broken; again at every further call.
        """
        if self._error is not None:
            raise self._error
        if self._finished:
            self._trailing += data
            return []
        if self._framing.kind is FramingKind.CHUNKED:
            return self._receive_chunked(data)
        if self._framing.kind is FramingKind.CLOSE:
            return [bytes(data)] if data else []
        return self._receive_length(data)

    def receive_eof(self) -> None:
        """Say that the origin has closed its side.

        Raises:
            ResponseError: the body was not whole yet, or an earlier fault stands.
        """
        if self._error is None and not self._finished and self._framing.kind is not FramingKind.CLOSE:
            self._error = ResponseError("The origin closed the connection before the end of its body.")
        if self._error is not None:
            raise self._error
        self._finished = True

    def _receive_length(self, data: _BytesLike) -> list[bytes]:
        piece = bytes(data[: self._left])
        self._left -= len(piece)
        if self._left == 0:
            self._finished = True
            self._trailing += data[len(piece) :]
        return [piece] if piece else []

    def _receive_chunked(self, data: _BytesLike) -> list[bytes]:
        pieces: list[bytes] = []
        try:
            self._chunks.receive_data(data, pieces)
        except MalformedError as error:
            self._error = ResponseError(f"The origin's chunked body is malformed: {error}.")
            if not pieces:
                raise self._error from error
        if self._chunks.finished:
            self._finished = True
            self._trailing += self._chunks.take_rest()
        return pieces


class _ChunkState(enum.Enum):
    SIZE = enum.auto()
    DATA = enum.auto()
    DATA_END = enum.auto()
    TRAILER = enum.auto()
    FINISHED = enum.auto()


class _ChunkedDecoder:
    """chunked-body = *chunk last-chunk trailer-section CRLF (RFC 9112, 7.1); the trailer is read and dropped."""

    def __init__(self) -> None:
        self._lines = LineBuffer()
        self._state = _ChunkState.SIZE
        self._left = 0
        self._trailer = FieldSection(self._lines, max_bytes=_MAX_TRAILER_BYTES, max_lines=_MAX_TRAILER_LINES)

    @property
    def finished(self) -> bool:
        return self._state is _ChunkState.FINISHED

    def take_rest(self) -> bytes:
        return self._lines.take_up_to(len(self._lines))

    def receive_data(self, data: _BytesLike, pieces: list[bytes]) -> None:
        """Add bytes; what payload they complete is appended to `pieces`, also what stands before a fault.

        Raises:
            MalformedError: the coding is broken.
        """
        self._lines.receive_data(data)
        while self._step(pieces):
            pass

    def _step(self, pieces: list[bytes]) -> bool:
        """Take the next element of the coding; False where more bytes are needed, or none are."""
        if self._state is _ChunkState.SIZE:
            line = self._lines.take_line(_MAX_CHUNK_LINE_BYTES)
            if line is None:
                return False
            self._left = parse_chunk_size(line)
            self._state = _ChunkState.DATA if self._left else _ChunkState.TRAILER
            return True
        if self._state is _ChunkState.DATA:
            piece = self._lines.take_up_to(self._left)
            if not piece:
                return False
            pieces.append(piece)
            self._left -= len(piece)
            if self._left == 0:
                self._state = _ChunkState.DATA_END
            return True
        if self._state is _ChunkState.DATA_END:
            return self._take_data_end()
        if self._state is _ChunkState.TRAILER and self._trailer.read() is not None:
            self._state = _ChunkState.FINISHED
        return False

    def _take_data_end(self) -> bool:
        end = self._lines.peek(2)
        if not b"\r\n".startswith(end):
            raise MalformedError("a chunk is longer than its size says; CR LF follows its last byte")
        if len(end) < 2:
            return False
        self._lines.take_up_to(2)
        self._state = _ChunkState.SIZE
        return True


def chunk(data: _BytesLike) -> bytes:
    """One chunk that holds `data`, with its framing (RFC 9112, 7.1).

    Of no data nothing is made: an empty chunk would end the body.
    """
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n")) if data else b""


LAST_CHUNK: Final = b"0\r\n\r\n"
"""What ends a chunked body: the last chunk and an empty trailer section."""
