"""Chunks in, whole messages out (RTMP 1.0, sections 5.3 and 5.4).

Bytes wait in `_data` until their chunk's turn; a chunk's payload moves at once to the message that it belongs to, so
that what stays undecoded is never more than a part of a header, and memory grows with bytes received, never with
lengths announced. Set Chunk Size and Abort take effect here and are returned like every other message.

Where the specification is silent about a header, `chunk_streams` says how it is read.
"""

from typing import Final

from protocol._base import (
    NEED_DATA,
    Limits,
    LocalProtocolError,
    NeedDataType,
    ProtocolError,
    RemoteProtocolError,
)
from protocol.rtmp.chunk_format import (
    ABORT,
    CHUNK_MESSAGE_HEADER,
    DEFAULT_CHUNK_SIZE,
    MAX_CHUNK_SIZE,
    SET_CHUNK_SIZE,
    RawMessage,
)
from protocol.rtmp.chunk_settings import PAUSED, ExtendedTimestamps, PausedType, SharedBudget
from protocol.rtmp.chunk_streams import ChunkStream, ChunkStreams

__all__ = ["ChunkReader"]

_DEFAULT_LIMITS: Final = Limits()


class ChunkReader:
    """One direction of a connection, from the first byte behind the handshake (RTMP 1.0, section 5.3).

    Attributes:
        limits: what the reader holds for its peer; may be replaced at any time. `message_bytes` and `chunk_streams`
            bound what is announced, `buffered_bytes` what unfinished messages (and the chunk being read) come to.
        chunk_allowance: how many more chunks `next_event()` may begin before it returns PAUSED, or None for any
            number. It counts down; set it again when the connection's next turn begins. Tiny chunks are legal and
            cost as much as large ones, so an owner of many connections gives each a number of chunks a turn, and
            reads no more from the network while it is paused.
        chunks_read: how many chunks were begun so far.
        bytes_received: how many bytes `receive_data` was given so far, which is what Acknowledgement wants (section
            5.4.3); the handshake's are not among them.
    """

    def __init__(
        self,
        *,
        limits: Limits = _DEFAULT_LIMITS,
        extended_timestamp_on_fmt3: ExtendedTimestamps = ExtendedTimestamps.DETECT,
        budget: SharedBudget | None = None,
    ) -> None:
        """Start at the beginning, with chunk size 128.

        Args:
            limits: see the class.
            extended_timestamp_on_fmt3: see `ExtendedTimestamps`.
            budget: shared with other readers, for what stays unfinished when `next_event()` returns NEED_DATA or
                PAUSED. Then `close()` must be called at the end.
        """
        self.limits = limits
        self.chunk_allowance: int | None = None
        self.chunks_read = 0
        self.bytes_received = 0
        self._budget = budget
        self._reserved = 0
        self._chunk_size = DEFAULT_CHUNK_SIZE
        self._streams = ChunkStreams(extended_timestamp_on_fmt3)
        self._unfinished = 0
        self._current: ChunkStream | None = None  # whose chunk is being read; None where a header must come
        self._wanted = 0  # bytes of that chunk still to come
        self._data = b""
        self._position = 0
        self._pending = bytearray()  # received while `_data` was not used up; joins it in one piece, so nothing is
        # moved twice however small the pieces are
        self._error: ProtocolError | None = None

    @property
    def chunk_size(self) -> int:
        """Bytes of payload that the peer's chunks hold at most: 128, then what its last Set Chunk Size said."""
        return self._chunk_size

    @property
    def bytes_held(self) -> int:
        """Bytes not yet decoded and bytes of unfinished messages, together."""
        return self.bytes_received - self.bytes_read + self._unfinished

    @property
    def bytes_read(self) -> int:
        """How many of `bytes_received` were decoded: where in the connection the next header, or error, lies."""
        return self.bytes_received - (len(self._data) - self._position + len(self._pending))

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes from the network; what they mean, and whether they are legal, `next_event()` tells."""
        if self._error is not None:
            return
        self.bytes_received += len(data)
        if self._position == len(self._data) and not self._pending:
            self._data = bytes(data)
            self._position = 0
        else:
            self._pending += data

    def next_event(self) -> RawMessage | NeedDataType | PausedType:
        """The next whole message, NEED_DATA, or PAUSED where `chunk_allowance` is used up.

        Set Chunk Size and Abort (message type ids 1 and 2) have taken effect when they are returned.

        Raises:
            RemoteProtocolError: the bytes break section 5.3 or 5.4, or pass a limit; again on every later call.
            LocalProtocolError: the reader was closed.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._read_message()
        except RemoteProtocolError as error:
            self._error = error
            self.close()
            raise

    def close(self) -> None:
        """Forget everything held, and give the shared budget its bytes back; nothing is read afterwards."""
        if self._error is None:
            self._error = LocalProtocolError("this reader was closed", spec="RTMP 1.0, 5.3")
        self._streams.known.clear()
        self._current = None
        self._data = b""
        self._position = 0
        self._pending = bytearray()
        self._unfinished = 0
        if self._budget is not None:
            self._budget.release(self._reserved)
            self._reserved = 0

    def _read_message(self) -> RawMessage | NeedDataType | PausedType:
        # The kit's hot loop: at chunk size 128 it turns eighty times for one video frame. So it is one function, its
        # state lives in local variables, and it knows the common chunk itself: fmt 3 in a one-byte basic header that
        # goes on with a message. Every other header is read by ChunkStreams.
        data = self._data
        position = self._position
        end = len(data)
        current = self._current
        wanted = self._wanted
        chunks_left = -1 if self.chunk_allowance is None else self.chunk_allowance
        chunks_before = chunks_left
        chunk_size = self._chunk_size
        buffered_bytes = self.limits.buffered_bytes
        unfinished = self._unfinished
        streams = self._streams.known
        outcome: RawMessage | NeedDataType | PausedType

        while True:
            if current is None:
                if position < end and chunks_left:
                    first = data[position]
                    # Ids 0 and 1 announce a longer basic header, and are never among the streams.
                    current = streams.get(first & 0x3F)
                    if first >= 0xC0 and current is not None and current.missing and not current.extended:
                        position += 1
                    else:
                        found = self._streams.read_header(data, position, self.limits)
                        if found is None:
                            current = None
                        else:
                            current, position = found
                if current is None:
                    if self._pending and chunks_left:
                        data = data[position:] + self._pending
                        self._pending.clear()
                        position = 0
                        end = len(data)
                        continue
                    outcome = NEED_DATA if chunks_left or (position == end and not self._pending) else PAUSED
                    break
                chunks_left -= 1
                wanted = current.missing
                if wanted > chunk_size:
                    wanted = chunk_size
                if unfinished + wanted > buffered_bytes:
                    raise RemoteProtocolError(
                        f"unfinished messages come to more than the {buffered_bytes} bytes of Limits.buffered_bytes",
                        spec=CHUNK_MESSAGE_HEADER,
                    )

            available = end - position
            if available < wanted:
                if available:
                    if current.payload is None:
                        current.payload = bytearray()
                    current.payload += data[position:]
                    current.missing -= available
                    wanted -= available
                    unfinished += available
                data = bytes(self._pending)
                position = 0
                end = len(data)
                if end:
                    self._pending.clear()
                    continue
                outcome = NEED_DATA
                break

            piece = data[position : position + wanted]
            position += wanted
            current.missing -= wanted
            if current.missing:
                if current.payload is None:
                    current.payload = bytearray()
                current.payload += piece
                unfinished += wanted
                current = None
                continue

            if current.payload is not None:
                unfinished -= len(current.payload)
                current.payload += piece
                piece = bytes(current.payload)
                current.payload = None
            outcome = RawMessage(
                current.timestamp, current.type_id, current.message_stream_id, piece, current.chunk_stream_id
            )
            current = None
            break

        if outcome is NEED_DATA and position:
            data = data[position:]
            position = 0
        self._data = data
        self._position = position
        self._current = current
        self._wanted = wanted
        self._unfinished = unfinished
        self.chunks_read += chunks_before - chunks_left
        if self.chunk_allowance is not None:
            self.chunk_allowance = chunks_left
        if outcome is PAUSED and self.bytes_held > buffered_bytes:
            raise RemoteProtocolError(
                f"more than the {buffered_bytes} bytes of Limits.buffered_bytes wait to be decoded",
                spec="RTMP 1.0, 5.3",
            )
        if outcome is NEED_DATA or outcome is PAUSED:
            self._settle()
        elif outcome.type_id == SET_CHUNK_SIZE:
            self._set_chunk_size(outcome.payload)
        elif outcome.type_id == ABORT:
            self._abort(outcome.payload)
        return outcome

    def _settle(self) -> None:
        """Have the shared budget reserve what stays unfinished now; between two waits it is nobody's concern."""
        if self._budget is None or self._unfinished == self._reserved:
            return
        if self._unfinished < self._reserved:
            self._budget.release(self._reserved - self._unfinished)
        elif not self._budget.reserve(self._unfinished - self._reserved):
            raise RemoteProtocolError(
                "unfinished messages of all connections come to more than the "
                f"{self._budget.capacity_bytes} bytes of their SharedBudget",
                spec="RTMP 1.0, 5.3",
            )
        self._reserved = self._unfinished

    def _set_chunk_size(self, payload: bytes) -> None:
        if len(payload) < 4:
            raise RemoteProtocolError(
                f"Set Chunk Size has {len(payload)} bytes; it needs 4",
                spec="RTMP 1.0, 5.4.1",
            )
        chunk_size = int.from_bytes(payload[:4], "big")
        if not 1 <= chunk_size <= MAX_CHUNK_SIZE:
            raise RemoteProtocolError(
                f"chunk size {chunk_size:#x} lies outside 1 to {MAX_CHUNK_SIZE:#x}",
                spec="RTMP 1.0, 5.4.1",
            )
        self._chunk_size = chunk_size

    def _abort(self, payload: bytes) -> None:
        if len(payload) < 4:
            raise RemoteProtocolError(f"Abort has {len(payload)} bytes; it needs 4", spec="RTMP 1.0, 5.4.2")
        stream = self._streams.known.get(int.from_bytes(payload[:4], "big"))
        if stream is not None and stream.missing:
            # The header stays known: the chunk stream's next message may refer to it (the section does not say).
            self._unfinished -= len(stream.payload or b"")
            stream.payload = None
            stream.missing = 0
