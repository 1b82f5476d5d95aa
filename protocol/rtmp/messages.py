"""RTMP's message layer: what the payload of a raw message means (RTMP 1.0, sections 5.4, 6.2 and 7.1).

`RawMessage`s from the chunk layer come in and typed messages go out, and back. Commands and data stay AMF bytes here
(`protocol.rtmp.commands` reads them), media payloads are carried untouched, and a type that has no name in the
specification stays the `RawMessage` that it was.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from protocol._base import LocalProtocolError, RemoteProtocolError
from protocol.rtmp.chunks import RawMessage
from protocol.rtmp.user_control import UserControl, decode_user_control, encode_user_control

__all__ = [
    "CONTROL_CHUNK_STREAM_ID",
    "MEDIA_KINDS",
    "Abort",
    "Acknowledgement",
    "AggregateMessage",
    "CommandMessage",
    "LimitType",
    "MediaKind",
    "MediaMessage",
    "Message",
    "MessageType",
    "SetChunkSize",
    "SetPeerBandwidth",
    "SharedObjectMessage",
    "WindowAcknowledgementSize",
    "decode_message",
    "encode_message",
]

CONTROL_CHUNK_STREAM_ID: Final = 2
"""Where protocol control and user control messages travel (sections 5.4 and 6.2)."""

_COMMAND_CHUNK_STREAM_ID: Final = 3
_FORMAT_SPEC: Final = "Enhanced RTMP v2, Important AMF3-encoded Historical Specification Clarification"
"""RTMP 1.0 does not know the format byte that everybody sends."""
_AMF0_IN_AMF3_MESSAGE: Final = 0
"""The format byte of messages 15, 16 and 17: AMF0 values follow, AMF3 ones behind a 0x11 marker each."""


class MessageType(enum.IntEnum):
    """Message type ids (sections 5.4, 6.2 and 7.1)."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACKNOWLEDGEMENT_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    SHARED_OBJECT_AMF3 = 16
    COMMAND_AMF3 = 17
    DATA_AMF0 = 18
    SHARED_OBJECT_AMF0 = 19
    COMMAND_AMF0 = 20
    AGGREGATE = 22


class MediaKind(enum.IntEnum):
    """What a media message carries; the numbers are RTMP's message type ids and FLV's tag types alike."""

    AUDIO = 8
    VIDEO = 9
    DATA = 18


MEDIA_KINDS: Final = {
    MessageType.AUDIO.value: MediaKind.AUDIO,
    MessageType.VIDEO.value: MediaKind.VIDEO,
    MessageType.DATA_AMF0.value: MediaKind.DATA,
    MessageType.DATA_AMF3.value: MediaKind.DATA,
}
"""The kind of media of a message type id, for those that have one."""


class LimitType(enum.IntEnum):
    """How a window is to be taken (section 5.4.5)."""

    HARD = 0
    SOFT = 1
    DYNAMIC = 2


@dataclass(frozen=True, slots=True)
class SetChunkSize:
    """The sender's chunks hold at most `chunk_size` bytes from here on, 1 to 0x7FFFFFFF (section 5.4.1)."""

    chunk_size: int


@dataclass(frozen=True, slots=True)
class Abort:
    """What has arrived of the message on this chunk stream is to be forgotten (section 5.4.2)."""

    chunk_stream_id: int


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """All bytes received so far, modulo 2**32; not those since the last one (section 5.4.3).

    Whether the handshake's bytes count is left open there, and programs differ; the sessions leave them out.
    """

    sequence_number: int


@dataclass(frozen=True, slots=True)
class WindowAcknowledgementSize:
    """The sender wants an acknowledgement whenever `size` bytes have arrived (section 5.4.4)."""

    size: int


@dataclass(frozen=True, slots=True)
class SetPeerBandwidth:
    """The receiver is to leave at most `size` bytes unacknowledged (section 5.4.5).

    Attributes:
        size: bytes, 0 to 2**32 - 1.
        limit_type: a `LimitType`, or the number that came in its place.
    """

    size: int
    limit_type: int = LimitType.DYNAMIC


class MediaMessage(NamedTuple):
    """Audio, video or data, not interpreted: the body is that of an FLV tag (sections 7.1.2, 7.1.4 and 7.1.5).

    A named tuple, since a server makes thousands a second.

    Attributes:
        kind: what it carries. An AMF3 data message (15) is DATA too, its format byte taken off.
        timestamp: milliseconds modulo 2**32.
        payload: the media header and what follows, or AMF0 values for DATA.
        message_stream_id: the stream it belongs to.
    """

    kind: MediaKind
    timestamp: int
    payload: bytes
    message_stream_id: int = 1


@dataclass(frozen=True, slots=True)
class CommandMessage:
    """A command, not yet read (section 7.1.1).

    Attributes:
        payload: AMF0 values; behind 0x11 markers AMF3 ones.
        message_stream_id: 0 for the connection's commands, else the stream's.
        timestamp: milliseconds modulo 2**32; nobody looks at it.
        amf3: whether it travels as message 17, with a format byte, rather than as 20.
    """

    payload: bytes
    message_stream_id: int = 0
    timestamp: int = 0
    amf3: bool = False


@dataclass(frozen=True, slots=True)
class SharedObjectMessage:
    """Events of a shared object, carried and not interpreted (section 7.1.3)."""

    payload: bytes
    message_stream_id: int = 0
    timestamp: int = 0
    amf3: bool = False


@dataclass(frozen=True, slots=True)
class AggregateMessage:
    """Several messages in one; `protocol.rtmp.aggregate` takes it apart (section 7.1.6)."""

    payload: bytes
    message_stream_id: int
    timestamp: int


Message: TypeAlias = (
    SetChunkSize
    | Abort
    | Acknowledgement
    | WindowAcknowledgementSize
    | SetPeerBandwidth
    | UserControl
    | MediaMessage
    | CommandMessage
    | SharedObjectMessage
    | AggregateMessage
    | RawMessage
)
"""All that `decode_message` gives and `encode_message` takes; a `RawMessage` where the type has no name."""


def decode_message(raw: RawMessage) -> Message:
    """Read a raw message; one of an unknown type is returned as it is.

    Raises:
        RemoteProtocolError: the payload is shorter than its type asks for, or holds a value that is not allowed.
    """
    decode = _DECODERS.get(raw.type_id)
    return raw if decode is None else decode(raw)


def encode_message(message: Message) -> RawMessage:
    """Make the raw message of `message`, on the chunk stream that it customarily travels on.

    Raises:
        LocalProtocolError: a field is out of its range, or it is no message.
    """
    if isinstance(message, RawMessage):
        return message
    if isinstance(message, UserControl):
        return _control(MessageType.USER_CONTROL, encode_user_control(message))
    encode = _ENCODERS.get(type(message))
    if encode is None:
        raise LocalProtocolError(f"a {type(message).__name__} is no RTMP message", spec="RTMP 1.0, 7.1")
    return encode(message)


def _at_least(raw: RawMessage, size: int, what: str, spec: str) -> bytes:
    if len(raw.payload) < size:
        raise RemoteProtocolError(f"{what} of {len(raw.payload)} bytes, where {size} are needed", spec=spec)
    return raw.payload


def _number(raw: RawMessage, what: str, spec: str) -> int:
    return int.from_bytes(_at_least(raw, 4, what, spec)[:4], "big")


def _decode_set_chunk_size(raw: RawMessage) -> SetChunkSize:
    spec = "RTMP 1.0, 5.4.1"
    chunk_size = _number(raw, "a Set Chunk Size message", spec)
    if not 1 <= chunk_size <= 0x7FFFFFFF:
        raise RemoteProtocolError(f"a chunk size of {chunk_size:#x}, outside 1 to 0x7fffffff", spec=spec)
    return SetChunkSize(chunk_size)


def _decode_abort(raw: RawMessage) -> Abort:
    return Abort(_number(raw, "an Abort message", "RTMP 1.0, 5.4.2"))


def _decode_acknowledgement(raw: RawMessage) -> Acknowledgement:
    return Acknowledgement(_number(raw, "an Acknowledgement message", "RTMP 1.0, 5.4.3"))


def _decode_window(raw: RawMessage) -> WindowAcknowledgementSize:
    return WindowAcknowledgementSize(_number(raw, "a Window Acknowledgement Size message", "RTMP 1.0, 5.4.4"))


def _decode_peer_bandwidth(raw: RawMessage) -> SetPeerBandwidth:
    payload = _at_least(raw, 5, "a Set Peer Bandwidth message", "RTMP 1.0, 5.4.5")
    return SetPeerBandwidth(int.from_bytes(payload[:4], "big"), payload[4])


def _decode_user_control(raw: RawMessage) -> UserControl:
    return decode_user_control(raw.payload)


def _decode_media(raw: RawMessage) -> MediaMessage:
    return MediaMessage(MEDIA_KINDS[raw.type_id], raw.timestamp, raw.payload, raw.message_stream_id)


def _behind_format_byte(raw: RawMessage) -> bytes:
    payload = _at_least(raw, 1, f"a message of type {raw.type_id}", _FORMAT_SPEC)
    if payload[0] != _AMF0_IN_AMF3_MESSAGE:
        raise RemoteProtocolError(f"format byte {payload[0]:#04x}, where only 0 has a meaning", spec=_FORMAT_SPEC)
    return payload[1:]


def _decode_data_amf3(raw: RawMessage) -> MediaMessage:
    payload = _behind_format_byte(raw)
    return MediaMessage(MediaKind.DATA, raw.timestamp, payload, raw.message_stream_id)


def _decode_command(raw: RawMessage) -> CommandMessage:
    amf3 = raw.type_id == MessageType.COMMAND_AMF3
    payload = _behind_format_byte(raw) if amf3 else raw.payload
    return CommandMessage(payload, raw.message_stream_id, raw.timestamp, amf3)


def _decode_shared_object(raw: RawMessage) -> SharedObjectMessage:
    amf3 = raw.type_id == MessageType.SHARED_OBJECT_AMF3
    payload = _behind_format_byte(raw) if amf3 else raw.payload
    return SharedObjectMessage(payload, raw.message_stream_id, raw.timestamp, amf3)


def _decode_aggregate(raw: RawMessage) -> AggregateMessage:
    return AggregateMessage(raw.payload, raw.message_stream_id, raw.timestamp)


_DECODERS: Final[dict[int, Callable[[RawMessage], Message]]] = {
    MessageType.SET_CHUNK_SIZE: _decode_set_chunk_size,
    MessageType.ABORT: _decode_abort,
    MessageType.ACKNOWLEDGEMENT: _decode_acknowledgement,
    MessageType.USER_CONTROL: _decode_user_control,
    MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE: _decode_window,
    MessageType.SET_PEER_BANDWIDTH: _decode_peer_bandwidth,
    MessageType.AUDIO: _decode_media,
    MessageType.VIDEO: _decode_media,
    MessageType.DATA_AMF3: _decode_data_amf3,
    MessageType.SHARED_OBJECT_AMF3: _decode_shared_object,
    MessageType.COMMAND_AMF3: _decode_command,
    MessageType.DATA_AMF0: _decode_media,
    MessageType.SHARED_OBJECT_AMF0: _decode_shared_object,
    MessageType.COMMAND_AMF0: _decode_command,
    MessageType.AGGREGATE: _decode_aggregate,
}


def _control(type_id: MessageType, payload: bytes) -> RawMessage:
    return RawMessage(0, type_id, 0, payload, CONTROL_CHUNK_STREAM_ID)


def _four_bytes(value: int, what: str, spec: str, *, lowest: int = 0, highest: int = 0xFFFFFFFF) -> bytes:
    if not lowest <= value <= highest:
        raise LocalProtocolError(f"{what} must be {lowest} to {highest:#x}, not {value}", spec=spec)
    return value.to_bytes(4, "big")


def _encode_set_chunk_size(message: SetChunkSize) -> RawMessage:
    size = _four_bytes(message.chunk_size, "a chunk size", "RTMP 1.0, 5.4.1", lowest=1, highest=0x7FFFFFFF)
    return _control(MessageType.SET_CHUNK_SIZE, size)


def _encode_abort(message: Abort) -> RawMessage:
    return _control(MessageType.ABORT, _four_bytes(message.chunk_stream_id, "a chunk stream id", "RTMP 1.0, 5.4.2"))


def _encode_acknowledgement(message: Acknowledgement) -> RawMessage:
    number = _four_bytes(message.sequence_number, "a sequence number", "RTMP 1.0, 5.4.3")
    return _control(MessageType.ACKNOWLEDGEMENT, number)


def _encode_window(message: WindowAcknowledgementSize) -> RawMessage:
    size = _four_bytes(message.size, "a window", "RTMP 1.0, 5.4.4")
    return _control(MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE, size)


def _encode_peer_bandwidth(message: SetPeerBandwidth) -> RawMessage:
    size = _four_bytes(message.size, "a window", "RTMP 1.0, 5.4.5")
    if not 0 <= message.limit_type <= 0xFF:
        raise LocalProtocolError(f"a limit type is one byte, not {message.limit_type}", spec="RTMP 1.0, 5.4.5")
    return _control(MessageType.SET_PEER_BANDWIDTH, size + bytes((message.limit_type,)))


def _encode_media(message: MediaMessage) -> RawMessage:
    return RawMessage(message.timestamp, message.kind, message.message_stream_id, message.payload)


def _encode_command(message: CommandMessage) -> RawMessage:
    if message.amf3:
        type_id, payload = MessageType.COMMAND_AMF3, b"\x00" + message.payload
    else:
        type_id, payload = MessageType.COMMAND_AMF0, message.payload
    return RawMessage(message.timestamp, type_id, message.message_stream_id, payload, _COMMAND_CHUNK_STREAM_ID)


def _encode_shared_object(message: SharedObjectMessage) -> RawMessage:
    if message.amf3:
        type_id, payload = MessageType.SHARED_OBJECT_AMF3, b"\x00" + message.payload
    else:
        type_id, payload = MessageType.SHARED_OBJECT_AMF0, message.payload
    return RawMessage(message.timestamp, type_id, message.message_stream_id, payload)


def _encode_aggregate(message: AggregateMessage) -> RawMessage:
    return RawMessage(message.timestamp, MessageType.AGGREGATE, message.message_stream_id, message.payload)


_ENCODERS: Final[dict[type, Callable[..., RawMessage]]] = {
    SetChunkSize: _encode_set_chunk_size,
    Abort: _encode_abort,
    Acknowledgement: _encode_acknowledgement,
    WindowAcknowledgementSize: _encode_window,
    SetPeerBandwidth: _encode_peer_bandwidth,
    MediaMessage: _encode_media,
    CommandMessage: _encode_command,
    SharedObjectMessage: _encode_shared_object,
    AggregateMessage: _encode_aggregate,
}
