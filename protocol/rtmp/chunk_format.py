"""What both directions of the chunk layer share: the message, the header's constants, the basic header.

Reader and writer import from here, everybody else from `chunks` (RTMP 1.0, section 5.3.1).
"""

from typing import Final, NamedTuple

__all__ = [
    "ABORT",
    "CHUNK_BASIC_HEADER",
    "CHUNK_MESSAGE_HEADER",
    "DEFAULT_CHUNK_SIZE",
    "EXTENDED_TIMESTAMP_MARK",
    "MAX_CHUNK_SIZE",
    "MAX_CHUNK_STREAM_ID",
    "MAX_MESSAGE_LENGTH",
    "MIN_CHUNK_STREAM_ID",
    "PROTOCOL_CONTROL_CHUNK_STREAM_ID",
    "SET_CHUNK_SIZE",
    "TIMESTAMP_MODULUS",
    "RawMessage",
    "basic_header",
]

DEFAULT_CHUNK_SIZE: Final = 128
"""Bytes of payload a chunk holds at most until the first Set Chunk Size (section 5.4.1)."""
MAX_CHUNK_SIZE: Final = 0x7FFFFFFF
"""What Set Chunk Size can say; from 0xFFFFFF on all values mean the same (section 5.4.1)."""
MAX_MESSAGE_LENGTH: Final = 0xFFFFFF
"""Message lengths have three bytes (section 5.3.1.2.5)."""
EXTENDED_TIMESTAMP_MARK: Final = 0xFFFFFF
"""In the timestamp field: four more bytes follow the header, and they count (section 5.3.1.3)."""
TIMESTAMP_MODULUS: Final = 1 << 32

MIN_CHUNK_STREAM_ID: Final = 2
MAX_CHUNK_STREAM_ID: Final = 65_599
PROTOCOL_CONTROL_CHUNK_STREAM_ID: Final = 2

SET_CHUNK_SIZE: Final = 1
"""Message type id of the message that the chunk layer obeys itself (section 5.4.1)."""
ABORT: Final = 2
"""Message type id of the other one (section 5.4.2)."""

CHUNK_BASIC_HEADER: Final = "RTMP 1.0, 5.3.1.1"
CHUNK_MESSAGE_HEADER: Final = "RTMP 1.0, 5.3.1.2"


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


def basic_header(fmt: int, chunk_stream_id: int) -> bytes:
    """The chunk basic header in its shortest form: 1, 2 or 3 bytes (RTMP 1.0, section 5.3.1.1).

    The third byte is the more significant one: the id is it times 256, plus the second byte, plus 64.
    """
    if chunk_stream_id < 64:
        return bytes((fmt << 6 | chunk_stream_id,))
    if chunk_stream_id < 64 + 256:
        return bytes((fmt << 6, chunk_stream_id - 64))
    high, low = divmod(chunk_stream_id - 64, 256)
    return bytes((fmt << 6 | 1, low, high))
