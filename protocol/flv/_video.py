"""The body of a video tag or RTMP video message: `VideoData`, read and written (FLV 10.1, E.4.3; Enhanced RTMP v2).

Three layers, peeled off in this order: frame type and codec (the legacy CodecID, or a FourCC after ModEx packets); the
multitrack envelope where there is one; each track's composition time. What is left of each track is its payload: a
configuration record, coded frames, or AMF pairs.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocol._base import LocalProtocolError, RemoteProtocolError
from protocol.flv._bits import ByteReader
from protocol.flv._codec_ids import VideoCodecId, VideoFourCC, fourcc_bytes, legacy_video_fourcc
from protocol.flv._extension import (
    ModEx,
    RawTrack,
    encode_mod_ex,
    encode_multitrack,
    offset_nanoseconds,
    read_fourcc,
    read_mod_ex,
    read_multitrack,
)

__all__ = [
    "EX_HEADER",
    "PACKETIZED_CODEC_IDS",
    "TIMED_FOURCCS",
    "VideoCommand",
    "VideoData",
    "VideoFrameType",
    "VideoPacketType",
    "VideoTrack",
    "decode_video_data",
    "encode_video_data",
]

EX_HEADER: Final = 0x80
"""IsExHeader, the top bit of the first byte."""

PACKETIZED_CODEC_IDS: Final = frozenset({VideoCodecId.AVC, VideoCodecId.HEVC})
"""Legacy codecs whose messages have an AVCPacketType and a CompositionTime."""

TIMED_FOURCCS: Final = frozenset({VideoFourCC.AVC, VideoFourCC.HEVC, VideoFourCC.VVC})
"""Codecs that reorder frames, so that CodedFrames begins with a composition time."""

_LEGACY_SPEC: Final = "FLV 10.1, E.4.3.1"
_SPEC: Final = "Enhanced RTMP v2, Enhanced Video"


class VideoFrameType(enum.IntEnum):
    """VideoFrameType; 0, 6 and 7 are reserved."""

    KEY_FRAME = 1
    INTER_FRAME = 2
    DISPOSABLE_INTER_FRAME = 3
    GENERATED_KEY_FRAME = 4
    COMMAND = 5


class VideoPacketType(enum.IntEnum):
    """VideoPacketType; the first three are AVCPacketType's too."""

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    CODED_FRAMES_X = 3
    METADATA = 4
    MPEG2TS_SEQUENCE_START = 5
    MULTITRACK = 6
    MOD_EX = 7


class VideoCommand(enum.IntEnum):
    """VideoCommand: what a message of frame type COMMAND says."""

    START_SEEK = 0
    END_SEEK = 1


_FRAME_TYPES: Final = {int(known): known for known in VideoFrameType}
_PACKET_TYPES: Final = {int(known): known for known in VideoPacketType}
_COMMANDS: Final = {int(known): known for known in VideoCommand}
_LEGACY_PACKET_TYPES: Final = (
    VideoPacketType.SEQUENCE_START,
    VideoPacketType.CODED_FRAMES,
    VideoPacketType.SEQUENCE_END,
)


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """One track's share of a video message.

    Attributes:
        fourcc: the codec, also for a legacy CodecID that has a name; None where it is not known.
        data: the payload: a codec configuration record, coded frames, AMF pairs, or nothing.
        track_id: 0 to 255; 0 in a message without multitrack.
        composition_time_ms: by how much the frame is shown after the tag's timestamp, -2**23 to 2**23 - 1.
    """

    fourcc: str | None
    data: bytes = b""
    track_id: int = 0
    composition_time_ms: int = 0


@dataclass(frozen=True, slots=True)
class VideoData:
    """A video message.

    Attributes:
        frame_type: a `VideoFrameType`, or another number of 0 to 7; means nothing for METADATA.
        packet_type: a `VideoPacketType` (a legacy codec without packet types has CODED_FRAMES), or a number of 8 to 15.
            None for a command, and for a legacy AVCPacketType above 2, which then stands in the track's data with all
            that follows.
        tracks: one without multitrack, none for a command.
        codec_id: the legacy CodecID, 0 to 15; None for an enhanced message.
        command: a `VideoCommand`, or another number of 0 to 255, where the frame type is COMMAND.
        multitrack_type: a `MultitrackType`, or another number of 3 to 15; None without multitrack.
        mod_ex: modifiers of the message.
    """

    frame_type: int
    packet_type: int | None
    tracks: tuple[VideoTrack, ...] = ()
    codec_id: int | None = None
    command: int | None = None
    multitrack_type: int | None = None
    mod_ex: tuple[ModEx, ...] = ()

    @property
    def is_keyframe(self) -> bool:
        """The message holds coded frames that decoding can begin with."""
        key = self.frame_type in (VideoFrameType.KEY_FRAME, VideoFrameType.GENERATED_KEY_FRAME)
        return key and self.packet_type in (VideoPacketType.CODED_FRAMES, VideoPacketType.CODED_FRAMES_X)

    @property
    def timestamp_offset_ns(self) -> int:
        """TimestampOffsetNano: what to add to the tag's timestamp, 0 to 999,999 ns."""
        return offset_nanoseconds(self.mod_ex)


def decode_video_data(body: bytes) -> VideoData:
    """Read the body of a video tag or message, to its last byte.

    Raises:
        RemoteProtocolError: it is empty, ends inside a field, or nests multitrack. Values that nobody knows do not
            raise: they pass through as numbers.
    """
    if not body:
        raise RemoteProtocolError("a video message without a byte", spec=_LEGACY_SPEC)
    first = body[0]
    frame_type = first >> 4 & 0x07
    frame_type = _FRAME_TYPES.get(frame_type, frame_type)
    if not first & EX_HEADER:
        return _decode_legacy(body, frame_type, first & 0x0F)
    reader = ByteReader(body, spec=_SPEC)
    reader.take(1)
    mod_ex, packet_type = read_mod_ex(reader, first & 0x0F)
    if frame_type == VideoFrameType.COMMAND and packet_type != VideoPacketType.METADATA:
        command = reader.number(1)
        return VideoData(frame_type, None, command=_COMMANDS.get(command, command), mod_ex=mod_ex)
    if packet_type == VideoPacketType.MULTITRACK:
        multitrack_type, packet_type, raw = read_multitrack(reader, VideoPacketType.MULTITRACK)
        tracks = tuple([_timed_track(track, packet_type) for track in raw])
    else:
        multitrack_type = None
        tracks = (_timed_track(RawTrack(read_fourcc(reader), 0, reader.rest()), packet_type),)
    packet_type = _PACKET_TYPES.get(packet_type, packet_type)
    return VideoData(frame_type, packet_type, tracks, multitrack_type=multitrack_type, mod_ex=mod_ex)


def _decode_legacy(body: bytes, frame_type: int, codec_id: int) -> VideoData:
    fourcc = legacy_video_fourcc(codec_id)
    if frame_type == VideoFrameType.COMMAND:
        if len(body) < 2:
            raise RemoteProtocolError("a video command frame without its command", spec=_LEGACY_SPEC)
        return VideoData(frame_type, None, codec_id=codec_id, command=_COMMANDS.get(body[1], body[1]))
    if codec_id not in PACKETIZED_CODEC_IDS:
        return VideoData(frame_type, VideoPacketType.CODED_FRAMES, (VideoTrack(fourcc, body[1:]),), codec_id)
    reader = ByteReader(body, spec=_LEGACY_SPEC)
    reader.take(1)
    avc_packet_type = reader.number(1)
    if avc_packet_type >= len(_LEGACY_PACKET_TYPES):
        return VideoData(frame_type, None, (VideoTrack(fourcc, body[1:]),), codec_id)
    packet_type = _LEGACY_PACKET_TYPES[avc_packet_type]
    # Some encoders leave the composition time away where a sequence ends, and there is nothing to compose.
    if packet_type is VideoPacketType.SEQUENCE_END and reader.bytes_left < 3:
        return VideoData(frame_type, packet_type, (VideoTrack(fourcc),), codec_id)
    composition_time = reader.signed(3)
    return VideoData(frame_type, packet_type, (VideoTrack(fourcc, reader.rest(), 0, composition_time),), codec_id)


def _timed_track(track: RawTrack, packet_type: int) -> VideoTrack:
    if packet_type != VideoPacketType.CODED_FRAMES or track.fourcc not in TIMED_FOURCCS:
        return VideoTrack(track.fourcc, track.data, track.track_id)
    reader = ByteReader(track.data, spec=_SPEC)
    composition_time = reader.signed(3)
    return VideoTrack(track.fourcc, reader.rest(), track.track_id, composition_time)


def encode_video_data(video: VideoData) -> bytes:
    """The body of a video tag or message: the reverse of `decode_video_data`.

    Raises:
        LocalProtocolError: a value does not fit its field, or the parts contradict each other.
    """
    if not 0 <= video.frame_type <= 7:
        raise LocalProtocolError("a frame type is 0 to 7", spec=_SPEC)
    if video.command is not None and (video.frame_type != VideoFrameType.COMMAND or video.tracks):
        raise LocalProtocolError("a command stands in a command frame, and has no tracks", spec=_SPEC)
    if video.codec_id is not None:
        return _encode_legacy(video, video.codec_id)
    packet_type = video.packet_type
    if packet_type is None:
        # A command has neither codec nor packet type; SequenceStart is the zero that stands in the unused bits.
        head = encode_mod_ex(EX_HEADER >> 4 | video.frame_type, video.mod_ex, VideoPacketType.SEQUENCE_START)
        return head + _command(video)
    inner = VideoPacketType.MULTITRACK if video.multitrack_type is not None else packet_type
    if (
        not 0 <= packet_type <= 0x0F
        or inner == VideoPacketType.MOD_EX
        or (inner == VideoPacketType.MULTITRACK and video.multitrack_type is None)
    ):
        raise LocalProtocolError(f"packet type {packet_type} cannot stand here", spec=_SPEC)
    if video.frame_type == VideoFrameType.COMMAND and inner != VideoPacketType.METADATA:
        raise LocalProtocolError("a command frame has no packet type", spec=_SPEC)
    head = encode_mod_ex(EX_HEADER >> 4 | video.frame_type, video.mod_ex, inner)
    if video.multitrack_type is not None:
        raw = [RawTrack(track.fourcc, track.track_id, _untimed(track, packet_type)) for track in video.tracks]
        return head + encode_multitrack(video.multitrack_type, VideoPacketType.MULTITRACK, packet_type, raw)
    track = _only_track(video.tracks)
    return b"".join((head, fourcc_bytes(track.fourcc or ""), _untimed(track, packet_type)))


def _encode_legacy(video: VideoData, codec_id: int) -> bytes:
    if not 0 <= codec_id <= 0x0F or video.mod_ex or video.multitrack_type is not None:
        raise LocalProtocolError("a legacy message has a CodecID of 0 to 15 and no extension", spec=_LEGACY_SPEC)
    first = bytes((video.frame_type << 4 | codec_id,))
    if video.frame_type == VideoFrameType.COMMAND:
        return first + _command(video)
    track = _only_track(video.tracks)
    packetized = codec_id in PACKETIZED_CODEC_IDS
    if not packetized or video.packet_type is None:
        if track.composition_time_ms or (not packetized and video.packet_type != VideoPacketType.CODED_FRAMES):
            message = "only AVC and HEVC have packet types and a composition time in a legacy header"
            raise LocalProtocolError(message, spec=_LEGACY_SPEC)
        return first + track.data
    if video.packet_type not in _LEGACY_PACKET_TYPES:
        raise LocalProtocolError(f"packet type {video.packet_type} needs an enhanced header", spec=_LEGACY_SPEC)
    return b"".join((first, bytes((video.packet_type,)), _signed_24(track.composition_time_ms), track.data))


def _only_track(tracks: Sequence[VideoTrack]) -> VideoTrack:
    if len(tracks) != 1 or tracks[0].track_id:
        raise LocalProtocolError("a message without multitrack has one track, of id 0", spec=_SPEC)
    return tracks[0]


def _untimed(track: VideoTrack, packet_type: int) -> bytes:
    if packet_type == VideoPacketType.CODED_FRAMES and track.fourcc in TIMED_FOURCCS:
        return _signed_24(track.composition_time_ms) + track.data
    if track.composition_time_ms:
        raise LocalProtocolError("only CodedFrames of avc1, hvc1 and vvc1 have a composition time", spec=_SPEC)
    return track.data


def _command(video: VideoData) -> bytes:
    if video.frame_type != VideoFrameType.COMMAND or video.command is None or not 0 <= video.command <= 0xFF:
        raise LocalProtocolError("a command frame, and only that, has a command of 0 to 255", spec=_SPEC)
    return bytes((video.command,))


def _signed_24(value: int) -> bytes:
    if not -(1 << 23) <= value < 1 << 23:
        raise LocalProtocolError(f"a composition time of {value} ms does not fit an SI24", spec=_LEGACY_SPEC)
    return value.to_bytes(3, "big", signed=True)
