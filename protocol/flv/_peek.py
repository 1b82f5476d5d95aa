"""Questions that a hub asks of every packet, answered from its first bytes (FLV 10.1, E.4.2, E.4.3; Enhanced RTMP v2).

Nothing is decoded or copied, and nothing raises: a body that is cut short, or of a kind that nobody knows, is neither a
keyframe nor a configuration. The common forms take one or two comparisons; ModEx and multitrack, which are rare, walk.
"""

from typing import Final, NamedTuple, TypeAlias

from protocol.flv._audio import AudioPacketType
from protocol.flv._codec_ids import SoundFormat
from protocol.flv._extension import FOURCC_BYTES, MultitrackType
from protocol.flv._tag import TagType
from protocol.flv._video import EX_HEADER, PACKETIZED_CODEC_IDS, TIMED_FOURCCS, VideoFrameType, VideoPacketType

__all__ = ["composition_time", "is_codec_configuration", "is_keyframe", "is_metadata_frame", "track_id"]

Body: TypeAlias = bytes | bytearray | memoryview

# Plain numbers under short names: looking up a member of an enum costs more than all else that is done here.
_SEQUENCE_START: Final = int(VideoPacketType.SEQUENCE_START)
_CODED_FRAMES: Final = int(VideoPacketType.CODED_FRAMES)
_CODED_FRAMES_X: Final = int(VideoPacketType.CODED_FRAMES_X)
_METADATA: Final = int(VideoPacketType.METADATA)
_MPEG2TS_SEQUENCE_START: Final = int(VideoPacketType.MPEG2TS_SEQUENCE_START)
_VIDEO_MULTITRACK: Final = int(VideoPacketType.MULTITRACK)
_NO_MULTITRACK: Final = -1
_AUDIO_MULTITRACK: Final = int(AudioPacketType.MULTITRACK)
_MOD_EX: Final = int(VideoPacketType.MOD_EX)
_MULTICHANNEL_CONFIG: Final = int(AudioPacketType.MULTICHANNEL_CONFIG)
_KEY: Final = VideoFrameType.KEY_FRAME << 4
_GENERATED_KEY: Final = VideoFrameType.GENERATED_KEY_FRAME << 4
_COMMAND: Final = VideoFrameType.COMMAND << 4
_FRAME_TYPE_BITS: Final = 0x70
_LOW_BITS: Final = 0x0F
_AUDIO: Final = int(TagType.AUDIO)
_VIDEO: Final = int(TagType.VIDEO)
_AAC: Final = SoundFormat.AAC << 4
_EX_AUDIO: Final = SoundFormat.EX_HEADER << 4
_TIMED: Final = frozenset(fourcc.encode() for fourcc in TIMED_FOURCCS)


def is_keyframe(body: Body) -> bool:
    """Whether a video body holds coded frames that decoding can begin with: a key frame, no configuration or end.

    A multitrack message says it for all its tracks; ask `track_id` too where only the default track counts.
    """
    if not body:
        return False
    first = body[0]
    frame_type = first & _FRAME_TYPE_BITS
    if frame_type != _KEY and frame_type != _GENERATED_KEY:
        return False
    if first < EX_HEADER:
        return first & _LOW_BITS not in PACKETIZED_CODEC_IDS or body[1:2] == b"\x01"
    packet_type = first & _LOW_BITS
    if packet_type >= _VIDEO_MULTITRACK:
        packet_type = _inner(body, packet_type, _VIDEO_MULTITRACK).packet_type
    return packet_type in (_CODED_FRAMES, _CODED_FRAMES_X)


def is_codec_configuration(tag_type: int, body: Body) -> bool:
    """Whether a body sets up a decoder, so that who joins later needs it before the first frame.

    That is SequenceStart and MPEG2TSSequenceStart (AVCPacketType or AACPacketType 0), and audio's MultichannelConfig.

    Args:
        tag_type: AUDIO or VIDEO; anything else has none.
        body: the tag's body, or the RTMP message.
    """
    if len(body) < 2:
        return False
    first = body[0]
    if tag_type == _VIDEO:
        if first & _FRAME_TYPE_BITS == _COMMAND:
            return False
        if first < EX_HEADER:
            return body[1] == 0 and first & _LOW_BITS in PACKETIZED_CODEC_IDS
        packet_type = first & _LOW_BITS
        if packet_type >= _VIDEO_MULTITRACK:
            packet_type = _inner(body, packet_type, _VIDEO_MULTITRACK).packet_type
        return packet_type in (_SEQUENCE_START, _MPEG2TS_SEQUENCE_START)
    if tag_type != _AUDIO:
        return False
    kind = first & 0xF0
    if kind != _EX_AUDIO:
        return kind == _AAC and body[1] == 0
    packet_type = first & _LOW_BITS
    if packet_type >= _AUDIO_MULTITRACK:
        packet_type = _inner(body, packet_type, _AUDIO_MULTITRACK).packet_type
    return packet_type in (_SEQUENCE_START, _MULTICHANNEL_CONFIG)


def is_metadata_frame(body: Body) -> bool:
    """Whether a video body is VideoPacketType.Metadata: colorInfo and the like, in force until the next one."""
    if not body or body[0] < EX_HEADER:
        return False
    packet_type = body[0] & _LOW_BITS
    if packet_type >= _VIDEO_MULTITRACK:
        # A command frame is one byte, whatever else stands there: no multitrack envelope, only ModEx before it.
        is_command = body[0] & _FRAME_TYPE_BITS == _COMMAND
        packet_type = _inner(body, packet_type, _NO_MULTITRACK if is_command else _VIDEO_MULTITRACK).packet_type
    return packet_type == _METADATA


def composition_time(body: Body) -> int:
    """By how many milliseconds a video body's frame is shown after its timestamp, -2**23 to 2**23 - 1; mostly 0.

    Of a multitrack message, the first track's.
    """
    if len(body) < 5:
        return 0
    first = body[0]
    if first & _FRAME_TYPE_BITS == _COMMAND:
        return 0
    if first < EX_HEADER:
        if body[1] != _CODED_FRAMES or first & _LOW_BITS not in PACKETIZED_CODEC_IDS:
            return 0
        return int.from_bytes(body[2:5], "big", signed=True)
    packet_type = first & _LOW_BITS
    fourcc_at = 1
    time_at = 1 + FOURCC_BYTES
    if packet_type >= _VIDEO_MULTITRACK:
        packet_type, fourcc_at, envelope_bytes = _inner(body, packet_type, _VIDEO_MULTITRACK)
        time_at = fourcc_at + FOURCC_BYTES + envelope_bytes
    if packet_type != _CODED_FRAMES or bytes(body[fourcc_at : fourcc_at + FOURCC_BYTES]) not in _TIMED:
        return 0
    field = body[time_at : time_at + 3]
    return int.from_bytes(field, "big", signed=True) if len(field) == 3 else 0


def track_id(tag_type: int, body: Body) -> int:
    """Which track a body belongs to: 0, the default track, without multitrack, and otherwise the first one's id."""
    if not body:
        return 0
    first = body[0]
    if tag_type == _VIDEO:
        multitrack = _VIDEO_MULTITRACK
        enhanced = first >= EX_HEADER and first & _FRAME_TYPE_BITS != _COMMAND
    else:
        multitrack = _AUDIO_MULTITRACK
        enhanced = tag_type == _AUDIO and first & 0xF0 == _EX_AUDIO
    packet_type = first & _LOW_BITS
    if not enhanced or packet_type < multitrack:
        return 0
    inner = _inner(body, packet_type, multitrack)
    at = inner.fourcc_at + FOURCC_BYTES
    return body[at] if inner.envelope_bytes and at < len(body) else 0


class _Inner(NamedTuple):
    """Where `_inner` ended."""

    packet_type: int
    fourcc_at: int
    envelope_bytes: int  # track id, and size where there is one, between FourCC and payload; 0 without multitrack


_CUT_SHORT: Final = _Inner(-1, 0, 0)


def _inner(body: Body, packet_type: int, multitrack: int) -> _Inner:
    """Walk past ModEx and into the multitrack envelope."""
    position = 1
    try:
        while packet_type == _MOD_EX:
            size = body[position] + 1
            position += 1
            if size == 256:
                size = (body[position] << 8 | body[position + 1]) + 1
                position += 2
            position += size
            packet_type = body[position] & _LOW_BITS
            position += 1
        if packet_type != multitrack:
            return _Inner(packet_type, position, 0)
        types = body[position]
    except IndexError:
        return _CUT_SHORT
    envelope, packet_type = types >> 4, types & _LOW_BITS
    if envelope == MultitrackType.ONE_TRACK:
        return _Inner(packet_type, position + 1, 1)
    if envelope <= MultitrackType.MANY_TRACKS_MANY_CODECS:
        return _Inner(packet_type, position + 1, 4)
    return _Inner(packet_type, len(body), 0)  # reserved: nobody knows where its FourCC is
