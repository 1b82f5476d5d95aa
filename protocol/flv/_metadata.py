"""onMetaData and colorInfo: what is known about a stream and its colours, read and made.

Both come from encoders that take liberties, so reading never raises: a field of the wrong type, or a number that is
none, is as if it were not there. (FLV 10.1, E.5; Enhanced RTMP v2, Enhancing onMetaData and Metadata Frame.)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from protocol._base import LocalProtocolError
from protocol.amf import EcmaArray, Value
from protocol.flv._codec_ids import audio_codec_name, audio_codec_number, video_codec_name, video_codec_number

__all__ = ["ColorInfo", "StreamMetadata", "TrackMetadata"]

_SPEC: Final = "Enhanced RTMP v2, Enhancing onMetaData"
_NUMBERS: Final = {
    "width": "width",
    "height": "height",
    "frame_rate": "framerate",
    "video_bit_rate_kbps": "videodatarate",
    "audio_bit_rate_kbps": "audiodatarate",
}
_MAX_TRACK_ID: Final = 255


@dataclass(frozen=True, slots=True)
class TrackMetadata:
    """What onMetaData says about a track, or about the default tracks of both kinds; None where it says nothing.

    Attributes:
        width, height: in pixels.
        frame_rate: in frames a second.
        video_codec, audio_codec: a FourCC, also where a legacy number was sent.
        video_bit_rate_kbps, audio_bit_rate_kbps: in kbit/s.
        sample_rate: in Hz.
        channels: 1 to 255.
    """

    width: float | None = None
    height: float | None = None
    frame_rate: float | None = None
    video_codec: str | None = None
    video_bit_rate_kbps: float | None = None
    audio_codec: str | None = None
    audio_bit_rate_kbps: float | None = None
    sample_rate: float | None = None
    channels: float | None = None


@dataclass(frozen=True, slots=True)
class StreamMetadata:
    """onMetaData's argument.

    Attributes:
        default: the top-level fields, which describe track 0 of each kind.
        duration_s: in seconds; None or 0 for a live stream.
        video_tracks, audio_tracks: by track id, 1 to 255, what the track maps add: only what differs from the default
            track, or all.
        extra: every field that stands nowhere above, as it came.
    """

    default: TrackMetadata = TrackMetadata()
    duration_s: float | None = None
    video_tracks: Mapping[int, TrackMetadata] = field(default_factory=dict)
    audio_tracks: Mapping[int, TrackMetadata] = field(default_factory=dict)
    extra: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def from_amf(cls, value: Value) -> "StreamMetadata":
        """Read onMetaData's argument; one that is no object is as an empty one."""
        members = value if isinstance(value, dict) else {}
        return cls(
            _track(members),
            _number(members.get("duration")),
            _track_map(members.get("videoTrackIdInfoMap")),
            _track_map(members.get("audioTrackIdInfoMap")),
            {name: content for name, content in members.items() if name not in _KNOWN},
        )

    def to_amf(self) -> EcmaArray:
        """The argument to send.

        A codec that FLV 10.1 has a number for is sent as that number; readers of Enhanced RTMP know both, the
        others only the number.

        Raises:
            LocalProtocolError: a codec that is no FourCC, or a track id out of range.
        """
        made = EcmaArray()
        if self.duration_s is not None:
            made["duration"] = self.duration_s
        made.update(_track_members(self.default, _TOP_LEVEL_SOUND))
        if self.default.channels is not None:
            made["stereo"] = self.default.channels >= 2
        for name, tracks in (("videoTrackIdInfoMap", self.video_tracks), ("audioTrackIdInfoMap", self.audio_tracks)):
            if not all(1 <= track_id <= _MAX_TRACK_ID for track_id in tracks):
                raise LocalProtocolError("the ids of further tracks are 1 to 255", spec=_SPEC)
            if tracks:
                made[name] = {
                    str(track_id): _track_members(tracks[track_id], _TRACK_SOUND) for track_id in sorted(tracks)
                }
        made.update(self.extra)
        return made


# The top level says audiosamplerate and audiochannels (or stereo alone); the track maps say samplerate and channels.
_TOP_LEVEL_SOUND: Final = ("audiosamplerate", "audiochannels")
_TRACK_SOUND: Final = ("samplerate", "channels")
_KNOWN: Final = frozenset(
    {
        *_NUMBERS.values(),
        *_TOP_LEVEL_SOUND,
        *_TRACK_SOUND,
        "stereo",
        "duration",
        "videocodecid",
        "audiocodecid",
        "videoTrackIdInfoMap",
        "audioTrackIdInfoMap",
    }
)


def _number(value: Value) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _track(members: dict[str, Value]) -> TrackMetadata:
    numbers = {ours: _number(members.get(theirs)) for ours, theirs in _NUMBERS.items()}
    rates, channel_counts = (
        [number for name in names if (number := _number(members.get(name))) is not None]
        for names in zip(_TOP_LEVEL_SOUND, _TRACK_SOUND, strict=True)
    )
    channels = channel_counts[0] if channel_counts else None
    # ffmpeg sends false for 5.1 too, so only true says how many there are.
    if channels is None and members.get("stereo") is True:
        channels = 2
    return TrackMetadata(
        video_codec=video_codec_name(members.get("videocodecid")),
        audio_codec=audio_codec_name(members.get("audiocodecid")),
        sample_rate=rates[0] if rates else None,
        channels=channels,
        **numbers,
    )


def _track_map(value: Value) -> dict[int, TrackMetadata]:
    tracks = {}
    for name, members in value.items() if isinstance(value, dict) else ():
        # isascii: str.isdigit is true of digits of other scripts too, which int() reads and no encoder means.
        if name.isascii() and name.isdigit() and len(name) <= 3 and isinstance(members, dict):
            track_id = int(name)
            if 1 <= track_id <= _MAX_TRACK_ID:
                tracks[track_id] = _track(members)
    return tracks


def _track_members(track: TrackMetadata, sound_names: tuple[str, str]) -> dict[str, Value]:
    made: dict[str, Value] = {}
    for ours, theirs in _NUMBERS.items():
        number = getattr(track, ours)
        if number is not None:
            made[theirs] = number
    if track.video_codec is not None:
        made["videocodecid"] = video_codec_number(track.video_codec)
    if track.audio_codec is not None:
        made["audiocodecid"] = audio_codec_number(track.audio_codec)
    sound = zip(sound_names, (track.sample_rate, track.channels), strict=True)
    return made | {name: number for name, number in sound if number is not None}


@dataclass(frozen=True, slots=True)
class ColorInfo:
    """The colorInfo object of a metadata frame; None where a value is not given; all None: the original colours again.

    Attributes:
        bit_depth: 8, 10 or 12.
        color_primaries, transfer_characteristics, matrix_coefficients: ITU-T H.273's numbers, 0 to 255.
        max_fall, max_cll: light levels in cd/m2, 0.0001 to 10000.
        red_x to white_point_y: the mastering display's chromaticity coordinates.
        max_luminance, min_luminance: of the mastering display, in cd/m2.
    """

    bit_depth: float | None = None
    color_primaries: float | None = None
    transfer_characteristics: float | None = None
    matrix_coefficients: float | None = None
    max_fall: float | None = None
    max_cll: float | None = None
    red_x: float | None = None
    red_y: float | None = None
    green_x: float | None = None
    green_y: float | None = None
    blue_x: float | None = None
    blue_y: float | None = None
    white_point_x: float | None = None
    white_point_y: float | None = None
    max_luminance: float | None = None
    min_luminance: float | None = None

    @classmethod
    def from_amf(cls, value: Value) -> "ColorInfo":
        """Read colorInfo's value; undefined, like an empty object, resets everything."""
        found: dict[str, float | None] = {}
        for group, names in _COLOR_GROUPS.items():
            members = value.get(group) if isinstance(value, dict) else None
            for ours, theirs in names.items():
                found[ours] = _number(members.get(theirs)) if isinstance(members, dict) else None
        return cls(**found)

    def to_amf(self) -> dict[str, Value]:
        """The value to send: an object of the groups that have a value."""
        made: dict[str, Value] = {}
        for group, names in _COLOR_GROUPS.items():
            given = {theirs: getattr(self, ours) for ours, theirs in names.items() if getattr(self, ours) is not None}
            if given:
                made[group] = given
        return made


_COLOR_GROUPS: Final = {
    "colorConfig": {
        "bit_depth": "bitDepth",
        "color_primaries": "colorPrimaries",
        "transfer_characteristics": "transferCharacteristics",
        "matrix_coefficients": "matrixCoefficients",
    },
    "hdrCll": {"max_fall": "maxFall", "max_cll": "maxCLL"},
    "hdrMdcv": {
        "red_x": "redX",
        "red_y": "redY",
        "green_x": "greenX",
        "green_y": "greenY",
        "blue_x": "blueX",
        "blue_y": "blueY",
        "white_point_x": "whitePointX",
        "white_point_y": "whitePointY",
        "max_luminance": "maxLuminance",
        "min_luminance": "minLuminance",
    },
}
"""By the object's member: our name and theirs."""
