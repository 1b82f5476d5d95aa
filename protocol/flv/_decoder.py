"""The incremental FLV decoder: bytes of a file or stream in, `FlvHeader` and `Tag` events out (FLV 10.1, E.2, E.3).

What flows through: the file header; then, again and again, a PreviousTagSize and a tag. A tag comes out as soon as
its body is whole; the PreviousTagSize behind it is checked before the tag that follows, so that a live viewer never
waits for four bytes that tell it nothing.
"""

import enum
from collections import deque
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol._base import NEED_DATA, Limits, NeedDataType, ReceiveBuffer, RemoteProtocolError
from protocol._timestamp import Timestamp
from protocol.flv._tag import (
    AUDIO_FLAG,
    FILE_HEADER_BYTES,
    FILTER_BIT,
    PREVIOUS_TAG_SIZE_BYTES,
    SIGNATURE,
    TAG_HEADER_BYTES,
    TYPE_MASK,
    VIDEO_FLAG,
    FlvHeader,
    Tag,
    TagType,
)

__all__ = ["FlvDecoder", "FlvEvent", "FlvFault"]

_DEFAULT_LIMITS: Final = Limits()
_TAG_TYPES: Final = {int(tag_type): tag_type for tag_type in TagType}


@dataclass(frozen=True, slots=True)
class FlvFault:
    """What a lenient decoder found wrong and read past; a strict one raises it.

    Attributes:
        offset: of the wrong field, in bytes from the start of the file.
        message: what is wrong.
        spec: the section broken.
    """

    offset: int
    message: str
    spec: str


FlvEvent: TypeAlias = FlvHeader | Tag | FlvFault


class _Part(enum.Enum):
    """What the next bytes are."""

    FILE_HEADER = enum.auto()
    LARGER_HEADER = enum.auto()
    PREVIOUS_TAG_SIZE = enum.auto()
    TAG_HEADER = enum.auto()
    BODY = enum.auto()


class FlvDecoder:
    """Decodes one FLV file or live stream.

    Held at any time: the input not yet decoded, at most `limits.buffered_bytes`. After the events that are there have
    been taken, that is less than one tag. Of a piece that passes the limit its beginning is kept: the events that are
    whole come first, then the error. So take them after each piece, and feed pieces smaller than the limit.

    Args:
        limits: `message_bytes` bounds a tag's body, `buffered_bytes` what is held.
        lenient: False (the default): a wrong PreviousTagSize, a StreamID other than 0 or a DataOffset below 9 raises
            `RemoteProtocolError`. True: it comes out as an `FlvFault` event, and decoding goes on by DataSize alone, as
            most players do.
    """

    def __init__(self, *, limits: Limits = _DEFAULT_LIMITS, lenient: bool = False) -> None:
        self._limits = limits
        self._lenient = lenient
        self._buffer = ReceiveBuffer()
        self._consumed = 0
        self._part = _Part.FILE_HEADER
        self._skip = 0
        self._expected_previous_size = 0
        self._header = b""
        self._body_size = 0
        self._event_offset = 0
        self._faults: deque[FlvFault] = deque()
        self._overflow: RemoteProtocolError | None = None
        self._error: RemoteProtocolError | None = None

    @property
    def event_offset(self) -> int:
        """Where the header or tag that `next_event` gave last begins, in bytes from the start of the file."""
        return self._event_offset

    @property
    def bytes_read(self) -> int:
        """How many of the bytes received have been decoded: where a file breaks, after an error."""
        return self._consumed

    @property
    def bytes_held(self) -> int:
        """How many bytes are held, received and not yet part of an event."""
        return len(self._buffer) + len(self._header)

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes; the error of too many is raised by `next_event`, behind the events before them."""
        if self._error is not None or self._overflow is not None:
            return
        room = self._limits.buffered_bytes - len(self._buffer)
        if len(data) > room:
            self._overflow = RemoteProtocolError(
                f"more than the {self._limits.buffered_bytes} bytes of Limits.buffered_bytes wait to be decoded",
                spec="FLV 10.1, E.3",
            )
            data = data[:room]
        self._buffer.append(data)

    def next_event(self) -> FlvEvent | NeedDataType:
        """The next event, or `NEED_DATA`.

        Raises:
            RemoteProtocolError: the bytes are no FLV, or pass a limit; again at every later call.
        """
        if self._error is not None:
            raise self._error
        try:
            event = self._decode()
            if event is NEED_DATA and self._overflow is not None:
                raise self._overflow
            return event
        except RemoteProtocolError as error:
            self._error = error
            self._buffer, self._header = ReceiveBuffer(), b""
            raise

    def end(self) -> None:
        """Say that no more bytes will come, after `next_event` has given `NEED_DATA`.

        Raises:
            RemoteProtocolError: the file ends inside its header, a tag or a PreviousTagSize.
        """
        error = self._error or self._overflow
        if error is not None:
            raise error
        whole = self._part is _Part.TAG_HEADER and not self._buffer
        if not whole:
            raise RemoteProtocolError(
                f"the file ends {len(self._buffer)} bytes into its {self._part.name.lower().replace('_', ' ')}",
                spec="FLV 10.1, E.3",
            )

    def _decode(self) -> FlvEvent | NeedDataType:
        buffer = self._buffer
        while True:
            if self._faults:
                return self._faults.popleft()
            if self._part is _Part.BODY:
                body = buffer.take(self._body_size)
                return NEED_DATA if body is None else self._tag(body)
            if self._part is _Part.TAG_HEADER:
                header = buffer.take(TAG_HEADER_BYTES)
                if header is None:
                    return NEED_DATA
                self._read_tag_header(header)
            elif self._part is _Part.PREVIOUS_TAG_SIZE:
                size = buffer.take(PREVIOUS_TAG_SIZE_BYTES)
                if size is None:
                    return NEED_DATA
                self._read_previous_tag_size(size)
            elif self._part is _Part.LARGER_HEADER:
                skipped = buffer.take(min(self._skip, len(buffer))) or b""
                self._consumed += len(skipped)
                self._skip -= len(skipped)
                if self._skip:
                    return NEED_DATA
                self._part = _Part.PREVIOUS_TAG_SIZE
            else:
                return self._file_header()

    def _file_header(self) -> FlvEvent | NeedDataType:
        # The signature is judged on its own, so that a peer that speaks something else is told at once.
        start = self._buffer.peek(len(SIGNATURE))
        if not SIGNATURE.startswith(start):
            raise RemoteProtocolError("this is no FLV: it does not begin with 'FLV'", spec="FLV 10.1, E.2")
        header = self._buffer.take(FILE_HEADER_BYTES)
        if header is None:
            return NEED_DATA
        data_offset = int.from_bytes(header[5:9], "big")
        if data_offset < FILE_HEADER_BYTES:
            self._fault(5, f"DataOffset is {data_offset}, less than the header itself", "FLV 10.1, E.2")
        self._consumed = FILE_HEADER_BYTES
        # A larger header is skipped as it arrives: nothing of it is held, however much it announces.
        self._skip = max(data_offset - FILE_HEADER_BYTES, 0)
        self._part = _Part.LARGER_HEADER if self._skip else _Part.PREVIOUS_TAG_SIZE
        flags = header[4]
        return FlvHeader(bool(flags & AUDIO_FLAG), bool(flags & VIDEO_FLAG), header[3])

    def _read_previous_tag_size(self, field: bytes) -> None:
        size = int.from_bytes(field, "big")
        if size != self._expected_previous_size:
            message = f"PreviousTagSize is {size} where the tag before has {self._expected_previous_size} bytes"
            self._fault(self._consumed, message, "FLV 10.1, E.3")
        self._consumed += PREVIOUS_TAG_SIZE_BYTES
        self._part = _Part.TAG_HEADER

    def _read_tag_header(self, header: bytes) -> None:
        size = int.from_bytes(header[1:4], "big")
        limits = self._limits
        name = "message_bytes" if limits.message_bytes <= limits.buffered_bytes else "buffered_bytes"
        largest = min(limits.message_bytes, limits.buffered_bytes)
        if size > largest:
            message = f"a tag of {size} bytes, more than the {largest} of Limits.{name}"
            raise RemoteProtocolError(message, spec="FLV 10.1, E.4.1")
        stream_id = int.from_bytes(header[8:11], "big")
        if stream_id:
            self._fault(self._consumed + 8, f"StreamID is {stream_id}, and has to be 0", "FLV 10.1, E.4.1")
        self._header = header
        self._body_size = size
        self._part = _Part.BODY

    def _tag(self, body: bytes) -> Tag:
        header, self._header = self._header, b""
        size = TAG_HEADER_BYTES + len(body)
        self._event_offset = self._consumed
        self._consumed += size
        self._expected_previous_size = size
        self._part = _Part.PREVIOUS_TAG_SIZE
        tag_type = header[0] & TYPE_MASK
        return Tag(
            _TAG_TYPES.get(tag_type, tag_type),
            Timestamp(int.from_bytes(header[4:7], "big") | header[7] << 24),
            body,
            bool(header[0] & FILTER_BIT),
            int.from_bytes(header[8:11], "big"),
        )

    def _fault(self, offset: int, message: str, spec: str) -> None:
        if not self._lenient:
            raise RemoteProtocolError(f"at byte {offset}: {message}", spec=spec)
        self._faults.append(FlvFault(offset, message, spec))
