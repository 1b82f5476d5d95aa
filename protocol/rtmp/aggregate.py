"""Aggregate messages: several messages in the body of one (RTMP 1.0, section 7.1.6).

The body is laid out as FLV tags are: an 11-byte header, the payload, and a back pointer with the size of both. Section
6.1.1 draws the timestamp as four big-endian bytes; every program writes it as FLV does, the lowest 24 bits first and
the highest 8 behind them, and "to match the format of FLV file" is what section 7.1.6 asks for.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from protocol._base import LocalProtocolError, RemoteProtocolError
from protocol._timestamp import timestamp_add, timestamp_difference
from protocol.rtmp.chunks import RawMessage, check_fields
from protocol.rtmp.messages import AggregateMessage, MessageType

__all__ = ["join_aggregate", "split_aggregate"]

_SPEC: Final = "RTMP 1.0, 7.1.6"
_HEADER_BYTES: Final = 11
_BACK_POINTER_BYTES: Final = 4
_NOT_INSIDE: Final = frozenset({1, 2, 3, 4, 5, 6, MessageType.AGGREGATE.value})
"""Control messages belong to message stream 0 and take effect in the chunk layer; an aggregate in an aggregate would
let sixteen megabytes nest as deep as they are long."""


def split_aggregate(message: AggregateMessage) -> Iterator[RawMessage]:
    """The messages inside, one at a time, so that a body of a million empty ones costs no memory.

    They carry the aggregate's message stream id, and their timestamps are moved so that the first one's is the
    aggregate's.

    Raises:
        RemoteProtocolError: on the way, when a length passes the body's end, a back pointer is wrong, or a message
            is of a type that may not be inside.
    """
    body, position, offset_ms = message.payload, 0, None
    while position < len(body):
        start = position + _HEADER_BYTES
        if start > len(body):
            raise RemoteProtocolError("an aggregate that ends inside a message's header", spec=_SPEC)
        type_id = body[position]
        end = start + int.from_bytes(body[position + 1 : position + 4], "big")
        timestamp = int.from_bytes(body[position + 4 : position + 7], "big") | body[position + 7] << 24
        if type_id in _NOT_INSIDE:
            raise RemoteProtocolError(f"a message of type {type_id} inside an aggregate", spec=_SPEC)
        position = end + _BACK_POINTER_BYTES
        if position > len(body):
            raise RemoteProtocolError("a message in an aggregate that is longer than what is left", spec=_SPEC)
        if int.from_bytes(body[end:position], "big") != end - start + _HEADER_BYTES:
            raise RemoteProtocolError("a back pointer in an aggregate that is not its message's size", spec=_SPEC)
        if offset_ms is None:
            offset_ms = timestamp_difference(message.timestamp, timestamp)
        yield RawMessage(timestamp_add(timestamp, offset_ms), type_id, message.message_stream_id, body[start:end])


def join_aggregate(messages: Iterable[RawMessage]) -> AggregateMessage:
    """One aggregate of `messages`, at the first one's time and on its message stream.

    Raises:
        LocalProtocolError: there is none, a field of one is out of its range, one is of a type that may not be inside,
            or together they are too long.
    """
    parts: list[bytes] = []
    first: RawMessage | None = None
    for message in messages:
        if message.type_id in _NOT_INSIDE:
            raise LocalProtocolError(f"a message of type {message.type_id} cannot be in an aggregate", spec=_SPEC)
        check_fields(message)
        first = first or message
        size = len(message.payload)
        parts += (
            bytes((message.type_id,)) + size.to_bytes(3, "big"),
            (message.timestamp & 0xFFFFFF).to_bytes(3, "big") + (message.timestamp >> 24).to_bytes(1, "big"),
            b"\x00\x00\x00",
            message.payload,
            (size + _HEADER_BYTES).to_bytes(_BACK_POINTER_BYTES, "big"),
        )
    payload = b"".join(parts)
    if first is None or len(payload) > 0xFFFFFF:
        raise LocalProtocolError("an aggregate holds 1 message or more and at most 0xffffff bytes", spec=_SPEC)
    return AggregateMessage(payload, first.message_stream_id, first.timestamp)
