"""Codec names: the FourCCs of Enhanced RTMP v2, and the numbers that the legacy headers used before them.

A FourCC is a `str` of four characters here, whatever its bytes (they are read as latin-1), so that a codec which this
kit has never heard of passes through like any other.
"""

import struct
from typing import Final

from protocol._base import LocalProtocolError

__all__ = [
    "AudioFourCC",
    "SoundFormat",
    "VideoCodecId",
    "VideoFourCC",
    "audio_codec_name",
    "audio_codec_number",
    "fourcc_bytes",
    "fourcc_from_number",
    "fourcc_to_number",
    "legacy_audio_fourcc",
    "legacy_video_fourcc",
    "video_codec_name",
    "video_codec_number",
]


class VideoFourCC:
    """VideoFourCc (Enhanced RTMP v2, Enhanced Video)."""

    VP8: Final = "vp08"
    VP9: Final = "vp09"
    AV1: Final = "av01"
    AVC: Final = "avc1"
    HEVC: Final = "hvc1"
    VVC: Final = "vvc1"


class AudioFourCC:
    """AudioFourCc (Enhanced RTMP v2, Enhanced Audio)."""

    AC3: Final = "ac-3"
    EAC3: Final = "ec-3"
    OPUS: Final = "Opus"
    MP3: Final = ".mp3"
    FLAC: Final = "fLaC"
    AAC: Final = "mp4a"


class VideoCodecId:
    """CodecID (FLV 10.1, E.4.3.1), and 12, which no document names and many encoders send for HEVC."""

    SORENSON_H263: Final = 2
    SCREEN: Final = 3
    ON2_VP6: Final = 4
    ON2_VP6A: Final = 5
    SCREEN_V2: Final = 6
    AVC: Final = 7
    HEVC: Final = 12


class SoundFormat:
    """SoundFormat (FLV 10.1, E.4.2.1), 9 as Enhanced RTMP v2 uses it, and 13, which some servers send for Opus."""

    LPCM_PLATFORM_ENDIAN: Final = 0
    ADPCM: Final = 1
    MP3: Final = 2
    LPCM_LITTLE_ENDIAN: Final = 3
    NELLYMOSER_16K_MONO: Final = 4
    NELLYMOSER_8K_MONO: Final = 5
    NELLYMOSER: Final = 6
    G711_A_LAW: Final = 7
    G711_MU_LAW: Final = 8
    EX_HEADER: Final = 9
    AAC: Final = 10
    SPEEX: Final = 11
    OPUS: Final = 13
    MP3_8K: Final = 14
    NATIVE: Final = 15


# Where Enhanced RTMP has a FourCC for a legacy codec, that is its name; the others have the four characters under which
# QuickTime and RIFF files carry them.
_VIDEO: Final = {
    VideoCodecId.SORENSON_H263: "FLV1",
    VideoCodecId.SCREEN: "FSV1",
    VideoCodecId.ON2_VP6: "VP6F",
    VideoCodecId.ON2_VP6A: "VP6A",
    VideoCodecId.SCREEN_V2: "FSV2",
    VideoCodecId.AVC: VideoFourCC.AVC,
    VideoCodecId.HEVC: VideoFourCC.HEVC,
}
_AUDIO: Final = {
    SoundFormat.LPCM_PLATFORM_ENDIAN: "lpcm",
    SoundFormat.ADPCM: "SWFA",
    SoundFormat.MP3: AudioFourCC.MP3,
    SoundFormat.LPCM_LITTLE_ENDIAN: "lpcm",
    SoundFormat.NELLYMOSER_16K_MONO: "NELL",
    SoundFormat.NELLYMOSER_8K_MONO: "NELL",
    SoundFormat.NELLYMOSER: "NELL",
    SoundFormat.G711_A_LAW: "alaw",
    SoundFormat.G711_MU_LAW: "ulaw",
    SoundFormat.AAC: AudioFourCC.AAC,
    SoundFormat.SPEEX: "spex",
    SoundFormat.OPUS: AudioFourCC.OPUS,
    SoundFormat.MP3_8K: AudioFourCC.MP3,
}

# The other way only numbers of FLV 10.1: 12 and 13 stand in no document, and their FourCCs in Enhanced RTMP. Of several
# with one name it is the one that says no more than the name.
_VIDEO_IDS: Final = {name: number for number, name in _VIDEO.items() if number != VideoCodecId.HEVC}
_AUDIO_IDS: Final = {name: number for number, name in _AUDIO.items() if number != SoundFormat.OPUS} | {
    AudioFourCC.MP3: SoundFormat.MP3,
    "lpcm": SoundFormat.LPCM_LITTLE_ENDIAN,
    "NELL": SoundFormat.NELLYMOSER,
}

_LARGEST_LEGACY_ID: Final = 15


def legacy_video_fourcc(codec_id: int) -> str | None:
    """The name of a legacy CodecID, or None for one that has none."""
    return _VIDEO.get(codec_id)


def legacy_audio_fourcc(sound_format: int) -> str | None:
    """The name of a legacy SoundFormat, or None for one that has none."""
    return _AUDIO.get(sound_format)


def fourcc_bytes(fourcc: str) -> bytes:
    """The four bytes of a FourCC.

    Raises:
        LocalProtocolError: not four characters of U+0000 to U+00FF.
    """
    try:
        encoded = fourcc.encode("latin-1")
    except UnicodeEncodeError:
        encoded = b""
    if len(encoded) != 4:
        raise LocalProtocolError(f"{fourcc!r} is no FourCC", spec="Enhanced RTMP v2, Enhanced Video")
    return encoded


def fourcc_to_number(fourcc: str) -> int:
    """A FourCC as the UI32 that onMetaData carries: ``"av01"`` is 0x61763031."""
    return int.from_bytes(fourcc_bytes(fourcc), "big")


def fourcc_from_number(number: int) -> str:
    """The FourCC that a UI32, 0 to 2**32 - 1, stands for."""
    return struct.pack(">I", number & 0xFFFFFFFF).decode("latin-1")


def _codec_name(value: object, legacy: dict[int, str]) -> str | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 0xFFFFFFFF:
        return None
    number = int(value)
    return legacy.get(number) if number <= _LARGEST_LEGACY_ID else fourcc_from_number(number)


def video_codec_name(value: object) -> str | None:
    """The FourCC behind onMetaData's videocodecid: a legacy number, a FourCC's number, or a string; else None."""
    return _codec_name(value, _VIDEO)


def audio_codec_name(value: object) -> str | None:
    """The FourCC behind onMetaData's audiocodecid: a legacy number, a FourCC's number, or a string; else None."""
    return _codec_name(value, _AUDIO)


def video_codec_number(fourcc: str) -> int:
    """The videocodecid of onMetaData: the legacy number where FLV 10.1 has one, else the FourCC's.

    Raises:
        LocalProtocolError: it is no FourCC.
    """
    return _VIDEO_IDS[fourcc] if fourcc in _VIDEO_IDS else fourcc_to_number(fourcc)


def audio_codec_number(fourcc: str) -> int:
    """The audiocodecid of onMetaData: the legacy number where FLV 10.1 has one, else the FourCC's.

    Raises:
        LocalProtocolError: it is no FourCC.
    """
    return _AUDIO_IDS[fourcc] if fourcc in _AUDIO_IDS else fourcc_to_number(fourcc)
