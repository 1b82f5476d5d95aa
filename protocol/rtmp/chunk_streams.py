"""Chunk headers: what each says of its chunk stream, and which message it begins or goes on with (RTMP 1.0, 5.3.1).

A header gives only what has changed since the last one on its chunk stream, so the last one is kept here, beside the
message that is on its way. The reader walks through the bytes, and asks here at each header but the commonest.

Where the specification is silent, or programs disagree, headers are read as follows.

- fmt 3 that starts a message adds the last delta; after fmt 0 that is the timestamp itself (section 5.3.1.2.4, and so
  do librtmp, FFmpeg and SRS; nginx-rtmp adds nothing there).
- fmt 1 on a new chunk stream is accepted with message stream id 0 and counts from timestamp 0, because librtmp sends
  its pings and acknowledgements so. fmt 2 and 3 have no length to inherit and are refused.
- fmt 0, 1 and 2 inside an unfinished message are accepted as a continuation where they repeat what the message began
  with (FFmpeg, librtmp and nginx-rtmp read them so) and refused where they differ: the length of a message is frozen
  until it is complete, because servers have been broken through lengths that grew.
- An extended timestamp repeated in fmt 3 is told from payload by its value: see `ExtendedTimestamps`.
"""

from typing import Final

from protocol._base import Limits, RemoteProtocolError
from protocol.rtmp.chunk_format import (
    CHUNK_BASIC_HEADER,
    CHUNK_MESSAGE_HEADER,
    EXTENDED_TIMESTAMP_MARK,
    TIMESTAMP_MODULUS,
)
from protocol.rtmp.chunk_settings import ExtendedTimestamps

__all__ = ["ChunkStream", "ChunkStreams"]

_MESSAGE_HEADER_SIZES: Final = (11, 7, 3, 0)
"""By fmt (sections 5.3.1.2.1 to 5.3.1.2.4)."""


class ChunkStream:
    """The last header of one chunk stream, and the message that is on its way there."""

    __slots__ = (
        "chunk_stream_id",
        "delta",
        "extended",
        "length",
        "message_stream_id",
        "missing",
        "payload",
        "timestamp",
        "type_id",
    )

    def __init__(self, chunk_stream_id: int) -> None:
        self.chunk_stream_id = chunk_stream_id
        self.timestamp = 0
        self.delta = 0  # what a message adds that starts with fmt 3; also the value of the extended timestamp
        self.extended = False
        self.length = 0
        self.type_id = 0
        self.message_stream_id = 0
        self.missing = 0  # bytes of the message still to come; 0 between messages
        self.payload: bytearray | None = None  # what came of it; a message of one chunk never needs it


class ChunkStreams:
    """The chunk streams of one direction of a connection.

    Attributes:
        known: those that a header has named, by chunk stream id.
    """

    __slots__ = ("_extended_timestamps", "known")

    def __init__(self, extended_timestamp_on_fmt3: ExtendedTimestamps) -> None:
        self.known: dict[int, ChunkStream] = {}
        self._extended_timestamps = extended_timestamp_on_fmt3

    def read_header(self, data: bytes, position: int, limits: Limits) -> tuple[ChunkStream, int] | None:
        """Read any chunk header; the chunk stream with it applied, and where the payload begins.

        Args:
            data: what has come, the header's first byte at `position`.
            limits: `message_bytes` and `chunk_streams` bound what a header may announce.

        Returns:
            None, and nothing changed, where the header is not whole yet.

        Raises:
            RemoteProtocolError: it refers to a header that never came, changes an unfinished message, or announces
                more than the limits allow.
        """
        fmt = data[position] >> 6
        chunk_stream_id = data[position] & 0x3F
        position += 1
        if chunk_stream_id < 2:
            size = chunk_stream_id + 1
            if len(data) - position < size:
                return None
            chunk_stream_id = 64 + int.from_bytes(data[position : position + size], "little")
            position += size

        stream = self.known.get(chunk_stream_id)
        if stream is None:
            if fmt > 1:
                raise RemoteProtocolError(
                    f"chunk stream {chunk_stream_id} starts with fmt {fmt}, which repeats a header that never came",
                    spec=CHUNK_MESSAGE_HEADER,
                )
            if len(self.known) >= limits.chunk_streams:
                raise RemoteProtocolError(
                    f"more chunk streams on one connection than the {limits.chunk_streams} of Limits.chunk_streams",
                    spec=CHUNK_BASIC_HEADER,
                )
            stream = ChunkStream(chunk_stream_id)
        if fmt == 3:
            return self._apply_fmt3(stream, data, position, limits)
        return self._apply_fields(stream, fmt, data, position, limits)

    def _apply_fields(
        self, stream: ChunkStream, fmt: int, data: bytes, position: int, limits: Limits
    ) -> tuple[ChunkStream, int] | None:
        """Apply a header of fmt 0, 1 or 2: it starts a message, or repeats what one began with."""
        fields = position
        position += _MESSAGE_HEADER_SIZES[fmt]
        if position > len(data):
            return None
        timestamp_field = int.from_bytes(data[fields : fields + 3], "big")
        extended = timestamp_field == EXTENDED_TIMESTAMP_MARK
        if extended:
            if len(data) - position < 4:
                return None
            timestamp_field = int.from_bytes(data[position : position + 4], "big")
            position += 4
        length = stream.length
        type_id = stream.type_id
        message_stream_id = stream.message_stream_id
        if fmt < 2:
            length = int.from_bytes(data[fields + 3 : fields + 6], "big")
            type_id = data[fields + 6]
            if fmt == 0:
                message_stream_id = int.from_bytes(data[fields + 7 : fields + 11], "little")

        stream.extended = extended
        if stream.missing:
            same_time = (stream.timestamp,) if fmt == 0 else (stream.delta, 0)
            if (
                length != stream.length
                or type_id != stream.type_id
                or message_stream_id != stream.message_stream_id
                or timestamp_field not in same_time
            ):
                raise RemoteProtocolError(
                    f"a fmt {fmt} header changes the message on chunk stream {stream.chunk_stream_id}, of which "
                    f"{stream.missing} of {stream.length} bytes are still to come",
                    spec=CHUNK_MESSAGE_HEADER,
                )
            return stream, position

        _begin_message(stream, length, limits)
        stream.type_id = type_id
        stream.message_stream_id = message_stream_id
        stream.delta = timestamp_field
        stream.timestamp = timestamp_field if fmt == 0 else (stream.timestamp + timestamp_field) % TIMESTAMP_MODULUS
        self.known[stream.chunk_stream_id] = stream
        return stream, position

    def _apply_fmt3(
        self, stream: ChunkStream, data: bytes, position: int, limits: Limits
    ) -> tuple[ChunkStream, int] | None:
        """Apply the header that has no fields: it goes on with a message, or starts one like the last."""
        if stream.extended and self._extended_timestamps is not ExtendedTimestamps.NOT_REPEATED:
            field = data[position : position + 4]
            if self._extended_timestamps is ExtendedTimestamps.REPEATED:
                if len(field) < 4:
                    return None
                position += 4
                if not stream.missing:
                    stream.delta = int.from_bytes(field, "big")
            else:
                expected = [stream.delta.to_bytes(4, "big")]
                if stream.missing:
                    expected.append(stream.timestamp.to_bytes(4, "big"))
                if field in expected:
                    position += 4
                elif any(value.startswith(field) for value in expected):
                    # A difference decides at once; a beginning that agrees may still become either.
                    return None
        if not stream.missing:
            _begin_message(stream, stream.length, limits)
            stream.timestamp = (stream.timestamp + stream.delta) % TIMESTAMP_MODULUS
        return stream, position


def _begin_message(stream: ChunkStream, length: int, limits: Limits) -> None:
    if length > limits.message_bytes:
        raise RemoteProtocolError(
            f"a message of {length} bytes is announced, more than the {limits.message_bytes} of Limits.message_bytes",
            spec=CHUNK_MESSAGE_HEADER,
        )
    stream.length = stream.missing = length
