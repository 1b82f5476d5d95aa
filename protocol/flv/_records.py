"""From a track's FourCC and payload to its `VideoConfiguration` or `AudioConfiguration`: the table of readers."""

from collections.abc import Callable
from typing import Final, TypeAlias

from protocol.flv._aac import read_aac_configuration
from protocol.flv._av1 import read_av1_configuration, read_av1_ts_descriptor
from protocol.flv._avc import read_avc_configuration
from protocol.flv._codec_ids import AudioFourCC, VideoFourCC
from protocol.flv._configuration import AudioConfiguration, VideoConfiguration
from protocol.flv._hevc import read_hevc_configuration
from protocol.flv._sound import (
    read_ac3_frame,
    read_eac3_frame,
    read_flac_configuration,
    read_mp3_frame,
    read_opus_configuration,
)
from protocol.flv._vpx import read_vp8_picture_size, read_vp9_picture_size, read_vpx_configuration
from protocol.flv._vvc import read_vvc_configuration

__all__ = [
    "read_audio_configuration",
    "read_audio_frame",
    "read_video_configuration",
    "read_video_picture_size",
]

_VideoReader: TypeAlias = Callable[[bytes], VideoConfiguration]
_AudioReader: TypeAlias = Callable[[bytes], AudioConfiguration]


def _read_av1(record: bytes) -> VideoConfiguration:
    # The descriptor of MPEG2TSSequenceStart begins with its tag, 0x80; av1C with marker and version, 0x81.
    return read_av1_ts_descriptor(record) if record[0] == 0x80 else read_av1_configuration(record)


_VIDEO_RECORDS: Final[dict[str, _VideoReader]] = {
    VideoFourCC.AVC: read_avc_configuration,
    VideoFourCC.HEVC: read_hevc_configuration,
    VideoFourCC.VVC: read_vvc_configuration,
    VideoFourCC.AV1: _read_av1,
    VideoFourCC.VP9: lambda data: read_vpx_configuration(VideoFourCC.VP9, data),
    VideoFourCC.VP8: lambda data: read_vpx_configuration(VideoFourCC.VP8, data),
}
_PICTURE_SIZES: Final[dict[str, Callable[[bytes], tuple[int, int]]]] = {
    VideoFourCC.VP8: read_vp8_picture_size,
    VideoFourCC.VP9: read_vp9_picture_size,
}
_AUDIO_RECORDS: Final[dict[str, _AudioReader]] = {
    AudioFourCC.AAC: read_aac_configuration,
    AudioFourCC.OPUS: read_opus_configuration,
    AudioFourCC.FLAC: read_flac_configuration,
}
_AUDIO_FRAMES: Final[dict[str, _AudioReader]] = {
    AudioFourCC.MP3: read_mp3_frame,
    AudioFourCC.AC3: read_ac3_frame,
    AudioFourCC.EAC3: read_eac3_frame,
}


def read_video_configuration(fourcc: str, record: bytes) -> VideoConfiguration | None:
    """What a SEQUENCE_START or MPEG2TS_SEQUENCE_START track's record says; None where it is empty or its codec unknown.

    Raises:
        RemoteProtocolError: the record is damaged.
    """
    reader = _VIDEO_RECORDS.get(fourcc)
    return reader(record) if reader is not None and record else None


def read_audio_configuration(fourcc: str, record: bytes) -> AudioConfiguration | None:
    """What a SEQUENCE_START track's record says; None where it is empty or its codec has none that is known.

    Raises:
        RemoteProtocolError: the record is damaged.
    """
    reader = _AUDIO_RECORDS.get(fourcc)
    return reader(record) if reader is not None and record else None


def read_video_picture_size(fourcc: str, keyframe: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, for the codecs whose key frames alone have them (VP8, VP9); None for others.

    Raises:
        RemoteProtocolError: the frame is damaged.
    """
    reader = _PICTURE_SIZES.get(fourcc)
    return reader(keyframe) if reader is not None and keyframe else None


def read_audio_frame(fourcc: str, frame: bytes) -> AudioConfiguration | None:
    """What a coded frame says, for the codecs that describe themselves (MP3, AC-3, E-AC-3); None for others.

    Raises:
        RemoteProtocolError: the frame is damaged.
    """
    reader = _AUDIO_FRAMES.get(fourcc)
    return reader(frame) if reader is not None and frame else None
