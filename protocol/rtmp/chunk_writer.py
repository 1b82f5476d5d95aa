"""Whole messages in, chunks out (RTMP 1.0, sections 5.3 and 5.4.1).

The writer remembers each chunk stream's last header and writes the smallest one that says the same to every reader in
the field. Two savings that the specification allows are left out, because programs disagree about what they mean. fmt 3
straight after fmt 0 repeats the timestamp as the delta (nginx-rtmp reads it as a delta of 0), so it is written only
where both are 0. A delta that needs the extended timestamp, 4.66 hours or more, is written as fmt 0.
"""

from collections.abc import Generator, Sequence
from typing import Final

from protocol._base import LocalProtocolError
from protocol.rtmp.chunk_format import (
    ABORT,
    CHUNK_BASIC_HEADER,
    CHUNK_MESSAGE_HEADER,
    DEFAULT_CHUNK_SIZE,
    EXTENDED_TIMESTAMP_MARK,
    MAX_CHUNK_SIZE,
    MAX_CHUNK_STREAM_ID,
    MAX_MESSAGE_LENGTH,
    MIN_CHUNK_STREAM_ID,
    PROTOCOL_CONTROL_CHUNK_STREAM_ID,
    SET_CHUNK_SIZE,
    TIMESTAMP_MODULUS,
    RawMessage,
    basic_header,
)

__all__ = ["ChunkWriter", "check_chunk_size", "check_fields", "encode_standalone"]

_NO_DELTA: Final = -1
"""The delta of a chunk stream whose next message cannot start with fmt 3."""


class _ChunkStream:
    """The last header written on one chunk stream."""

    __slots__ = ("delta", "length", "message_stream_id", "timestamp", "type_id", "unfinished")

    def __init__(self) -> None:
        self.timestamp = 0
        self.delta = _NO_DELTA
        self.length = 0
        self.type_id = 0
        self.message_stream_id = -1  # equal to none, so that the first message starts with fmt 0
        self.unfinished: RawMessage | None = None  # the message that `iter_chunks` is in the middle of


class ChunkWriter:
    """One direction of a connection, from the first byte behind the handshake (RTMP 1.0, section 5.3).

    What its methods return is to be sent in the order in which they returned it.
    """

    def __init__(self, *, chunk_size: int = DEFAULT_CHUNK_SIZE) -> None:
        """Start at the beginning.

        Args:
            chunk_size: 1 to 0x7FFFFFFF. Anything but 128 is for tests and for going on where another writer stopped,
                as the peer counts on 128 until Set Chunk Size.

        Raises:
            LocalProtocolError: the chunk size is outside its range.
        """
        check_chunk_size(chunk_size)
        self._chunk_size = chunk_size
        self._streams: dict[int, _ChunkStream] = {}

    @property
    def chunk_size(self) -> int:
        """Bytes of payload that our chunks hold at most."""
        return self._chunk_size

    def send(self, message: RawMessage) -> bytes:
        """The chunks of a whole message.

        Set Chunk Size and Abort (message type ids 1 and 2) take effect behind themselves; `set_chunk_size` and
        `abort` make them.

        Raises:
            LocalProtocolError: a field is outside its range, the chunk stream has an unfinished message, or one of
                those two says what section 5.4 forbids.
        """
        chunk_size = self._chunk_size
        if message.type_id not in (SET_CHUNK_SIZE, ABORT):
            header, continuation = self._begin(message)
            return _join_chunks(header, continuation, message.payload, chunk_size)

        if len(message.payload) != 4:
            raise LocalProtocolError(
                f"a chunk control message has {len(message.payload)} bytes; it needs 4", spec="RTMP 1.0, 5.4"
            )
        value = int.from_bytes(message.payload, "big")
        if message.type_id == SET_CHUNK_SIZE:
            check_chunk_size(value)
        header, continuation = self._begin(message)
        if message.type_id == SET_CHUNK_SIZE:
            self._chunk_size = value
        elif value in self._streams:
            self._streams[value].unfinished = None
        return _join_chunks(header, continuation, message.payload, chunk_size)

    def set_chunk_size(self, chunk_size: int) -> bytes:
        """A Set Chunk Size message; every chunk behind it has the new size (RTMP 1.0, section 5.4.1).

        It may go anywhere, also between two chunks of a message from `iter_chunks`.

        Raises:
            LocalProtocolError: `chunk_size` is not 1 to 0x7FFFFFFF, or chunk stream 2 has an unfinished message.
        """
        check_chunk_size(chunk_size)
        return self.send(_control_message(SET_CHUNK_SIZE, chunk_size))

    def iter_chunks(self, message: RawMessage) -> Generator[bytes, None, None]:
        """The chunks of one message, one at a time; messages on other chunk streams may go between any two of them.

        Until the last chunk was taken, nothing else can be sent on its chunk stream. To give the message up, call
        `abort`; a generator that is closed halfway leaves the peer waiting for the rest.

        Raises:
            LocalProtocolError: when the first chunk is asked for: as in `send`. Set Chunk Size and Abort are not
                taken apart.
        """
        self._check_interleavable(message)
        prefix, continuation = self._begin(message)
        stream = self._streams[message.chunk_stream_id]
        payload = message.payload
        position = 0
        stream.unfinished = message
        while stream.unfinished is message:
            following = position + self._chunk_size
            chunk = prefix + payload[position:following]
            if following >= len(payload):
                stream.unfinished = None
            yield chunk
            position = following
            prefix = continuation

    def send_interleaved(self, messages: Sequence[RawMessage]) -> bytes:
        """The chunks of several messages, one of each in turn, so that a short one need not wait for a long one.

        Raises:
            LocalProtocolError: as in `iter_chunks`, or two of the messages are on one chunk stream; nothing of them
                was written then.
        """
        if len({message.chunk_stream_id for message in messages}) < len(messages):
            raise LocalProtocolError("interleaved messages need a chunk stream each", spec=CHUNK_BASIC_HEADER)
        for message in messages:
            self._check(message)
            self._check_interleavable(message)
        chunks: list[bytes] = []
        waiting = [self.iter_chunks(message) for message in messages]
        while waiting:
            still_waiting = []
            for source in waiting:
                chunk = next(source, None)
                if chunk is not None:
                    chunks.append(chunk)
                    still_waiting.append(source)
            waiting = still_waiting
        return b"".join(chunks)

    def abort(self, chunk_stream_id: int) -> bytes:
        """An Abort message: the peer forgets what came of the message on this chunk stream (RTMP 1.0, section 5.4.2).

        The `iter_chunks` of that message ends. Without an unfinished message it is legal, and changes nothing.

        Raises:
            LocalProtocolError: `chunk_stream_id` is not 2 to 65599, or chunk stream 2 has an unfinished message.
        """
        if not MIN_CHUNK_STREAM_ID <= chunk_stream_id <= MAX_CHUNK_STREAM_ID:
            raise LocalProtocolError(f"there is no chunk stream {chunk_stream_id}", spec=CHUNK_BASIC_HEADER)
        return self.send(_control_message(ABORT, chunk_stream_id))

    def _check(self, message: RawMessage) -> None:
        check_fields(message)
        stream = self._streams.get(message.chunk_stream_id)
        if stream is not None and stream.unfinished is not None:
            raise LocalProtocolError(
                f"chunk stream {message.chunk_stream_id} has an unfinished message", spec=CHUNK_MESSAGE_HEADER
            )

    @staticmethod
    def _check_interleavable(message: RawMessage) -> None:
        if message.type_id in (SET_CHUNK_SIZE, ABORT):
            raise LocalProtocolError("chunk control messages are sent whole, by send()", spec="RTMP 1.0, 5.4")

    def _begin(self, message: RawMessage) -> tuple[bytes, bytes]:
        """The header of a message's first chunk, and that of its others; the chunk stream's state moves on."""
        self._check(message)
        timestamp, type_id, message_stream_id, payload, chunk_stream_id = message
        stream = self._streams.get(chunk_stream_id)
        if stream is None:
            stream = self._streams[chunk_stream_id] = _ChunkStream()
        length = len(payload)
        # Serial arithmetic: half the range lies ahead, the other half is "goes backward" and needs fmt 0.
        delta = (timestamp - stream.timestamp) % TIMESTAMP_MODULUS
        continuation = basic_header(3, chunk_stream_id)
        if message_stream_id != stream.message_stream_id or delta >= EXTENDED_TIMESTAMP_MARK:
            header, continuation = _full_headers(message)
            delta = 0 if timestamp == 0 else _NO_DELTA
        elif length != stream.length or type_id != stream.type_id:
            header = b"%b%b%b%c" % (
                basic_header(1, chunk_stream_id),
                delta.to_bytes(3, "big"),
                length.to_bytes(3, "big"),
                type_id,
            )
        elif delta != stream.delta:
            header = basic_header(2, chunk_stream_id) + delta.to_bytes(3, "big")
        else:
            header = continuation
        stream.timestamp = timestamp
        stream.delta = delta
        stream.length = length
        stream.type_id = type_id
        stream.message_stream_id = message_stream_id
        return header, continuation


def encode_standalone(message: RawMessage, chunk_size: int) -> bytes:
    """The chunks of a message that refers to none before it: fmt 0, then fmt 3.

    The same bytes serve any number of connections that use this chunk size. Beside a `ChunkWriter` they are legal
    between any two of its returns, as long as the writer itself never uses the message's chunk stream id: it would
    shorten its headers against one that the peer no longer has.

    Args:
        message: what to send; Set Chunk Size is not for this function.
        chunk_size: what the connections' last Set Chunk Size said, 1 to 0x7FFFFFFF.

    Raises:
        LocalProtocolError: a field is outside its range, or it is a Set Chunk Size, which no writer would know of.
    """
    check_fields(message)
    check_chunk_size(chunk_size)
    if message.type_id == SET_CHUNK_SIZE:
        raise LocalProtocolError(
            "Set Chunk Size is the writer's own to send: ChunkWriter.set_chunk_size", spec="RTMP 1.0, 5.4.1"
        )
    header, continuation = _full_headers(message)
    return _join_chunks(header, continuation, message.payload, chunk_size)


def _full_headers(message: RawMessage) -> tuple[bytes, bytes]:
    """A fmt 0 header, and the fmt 3 header that goes with it (RTMP 1.0, sections 5.3.1.2.1 and 5.3.1.3)."""
    timestamp, type_id, message_stream_id, payload, chunk_stream_id = message
    extended = b""
    field = timestamp
    if timestamp >= EXTENDED_TIMESTAMP_MARK:
        extended = timestamp.to_bytes(4, "big")
        field = EXTENDED_TIMESTAMP_MARK
    header = b"%b%b%b%c%b%b" % (
        basic_header(0, chunk_stream_id),
        field.to_bytes(3, "big"),
        len(payload).to_bytes(3, "big"),
        type_id,
        message_stream_id.to_bytes(4, "little"),
        extended,
    )
    return header, basic_header(3, chunk_stream_id) + extended


def _join_chunks(header: bytes, continuation: bytes, payload: bytes, chunk_size: int) -> bytes:
    length = len(payload)
    if length <= chunk_size:
        return header + payload
    pieces = [payload[start : start + chunk_size] for start in range(0, length, chunk_size)]
    return header + continuation.join(pieces)


def check_fields(message: RawMessage) -> None:
    """Whether every field fits the chunk header.

    Raises:
        LocalProtocolError: one does not.
    """
    timestamp, type_id, message_stream_id, payload, chunk_stream_id = message
    for name, value, low, high in (
        ("timestamp", timestamp, 0, TIMESTAMP_MODULUS - 1),
        ("type_id", type_id, 0, 255),
        ("message_stream_id", message_stream_id, 0, 0xFFFFFFFF),
        ("payload's length", len(payload), 0, MAX_MESSAGE_LENGTH),
        ("chunk_stream_id", chunk_stream_id, MIN_CHUNK_STREAM_ID, MAX_CHUNK_STREAM_ID),
    ):
        if not low <= value <= high:
            raise LocalProtocolError(f"{name} {value} lies outside {low} to {high}", spec=CHUNK_MESSAGE_HEADER)


def check_chunk_size(chunk_size: int) -> None:
    """Whether Set Chunk Size can say it.

    Raises:
        LocalProtocolError: it is not 1 to 0x7FFFFFFF.
    """
    if not 1 <= chunk_size <= MAX_CHUNK_SIZE:
        raise LocalProtocolError(f"chunk size {chunk_size} lies outside 1 to {MAX_CHUNK_SIZE}", spec="RTMP 1.0, 5.4.1")


def _control_message(type_id: int, value: int) -> RawMessage:
    return RawMessage(0, type_id, 0, value.to_bytes(4, "big"), PROTOCOL_CONTROL_CHUNK_STREAM_ID)
