"""User control messages: events of the streaming layer, in message type 4 (RTMP 1.0, sections 6.2 and 7.1.7).

Two bytes of event type, then the event's data. The table below holds every type that the specification names, and the
two buffer events that Adobe's servers send beside them; any other is carried as `OtherUserControl`.
"""

import struct
from dataclasses import astuple, dataclass
from typing import Final

from protocol._base import LocalProtocolError, RemoteProtocolError

__all__ = [
    "OtherUserControl",
    "PingRequest",
    "PingResponse",
    "SetBufferLength",
    "StreamBegin",
    "StreamBufferEmpty",
    "StreamBufferReady",
    "StreamDry",
    "StreamEof",
    "StreamIsRecorded",
    "UserControl",
    "decode_user_control",
    "encode_user_control",
]

_SPEC: Final = "RTMP 1.0, 7.1.7"


@dataclass(frozen=True, slots=True)
class UserControl:
    """An event of message type 4; the classes below are all there are."""


@dataclass(frozen=True, slots=True)
class StreamBegin(UserControl):
    """The stream can be used from here on (event 0); message stream 0 is the connection itself."""

    message_stream_id: int


@dataclass(frozen=True, slots=True)
class StreamEof(UserControl):
    """Playback has ended; nothing more comes on the stream (event 1)."""

    message_stream_id: int


@dataclass(frozen=True, slots=True)
class StreamDry(UserControl):
    """There is nothing to send at the moment (event 2)."""

    message_stream_id: int


@dataclass(frozen=True, slots=True)
class SetBufferLength(UserControl):
    """How much the client buffers, in milliseconds (event 3)."""

    message_stream_id: int
    buffer_ms: int


@dataclass(frozen=True, slots=True)
class StreamIsRecorded(UserControl):
    """The stream is a recording (event 4)."""

    message_stream_id: int


@dataclass(frozen=True, slots=True)
class PingRequest(UserControl):
    """Asks for a `PingResponse` with the same timestamp (event 6); milliseconds of the sender's own clock."""

    timestamp: int


@dataclass(frozen=True, slots=True)
class PingResponse(UserControl):
    """The answer to a `PingRequest` (event 7)."""

    timestamp: int


@dataclass(frozen=True, slots=True)
class StreamBufferEmpty(UserControl):
    """Adobe's servers: all that there was has been sent (event 31; not in the specification)."""

    message_stream_id: int


@dataclass(frozen=True, slots=True)
class StreamBufferReady(UserControl):
    """Adobe's servers: sending goes on (event 32; not in the specification)."""

    message_stream_id: int


@dataclass(frozen=True, slots=True)
class OtherUserControl(UserControl):
    """An event without a class of its own, such as SWF verification (26, 27).

    Attributes:
        event_type: 0 to 0xFFFF.
        data: what follows it.
    """

    event_type: int
    data: bytes


_EVENTS: Final[dict[int, type[UserControl]]] = {
    0: StreamBegin,
    1: StreamEof,
    2: StreamDry,
    3: SetBufferLength,
    4: StreamIsRecorded,
    6: PingRequest,
    7: PingResponse,
    31: StreamBufferEmpty,
    32: StreamBufferReady,
}
_EVENT_TYPES: Final = {event: event_type for event_type, event in _EVENTS.items()}


def decode_user_control(payload: bytes) -> UserControl:
    """Read the payload of a user control message; bytes behind what its event needs are passed over.

    Raises:
        RemoteProtocolError: the payload is shorter than its event needs.
    """
    if len(payload) < 2:
        raise RemoteProtocolError("a user control message without an event type", spec="RTMP 1.0, 6.2")
    event_type = int.from_bytes(payload[:2], "big")
    event = _EVENTS.get(event_type)
    if event is None:
        return OtherUserControl(event_type, payload[2:])
    needed = 10 if event is SetBufferLength else 6
    if len(payload) < needed:
        message = f"{event.__name__} in {len(payload)} bytes, where {needed} are needed"
        raise RemoteProtocolError(message, spec=_SPEC)
    return event(*struct.unpack(f">{needed // 4}I", payload[2:needed]))


def encode_user_control(event: UserControl) -> bytes:
    """Make the payload of a user control message.

    Raises:
        LocalProtocolError: a field is out of its range, or it is none of the classes that have an event type.
    """
    try:
        if isinstance(event, OtherUserControl):
            return struct.pack(">H", event.event_type) + event.data
        event_type = _EVENT_TYPES.get(type(event))
        if event_type is None:
            raise LocalProtocolError(f"a {type(event).__name__} has no event type", spec=_SPEC)
        numbers = astuple(event)
        return struct.pack(f">H{len(numbers)}I", event_type, *numbers)
    except struct.error:
        raise LocalProtocolError(f"{event} has a number that does not fit its field", spec=_SPEC) from None
