"""What a codec configuration record says to everyone but a decoder: the codec's RFC 6381 name, picture size, sound."""

from dataclasses import dataclass

__all__ = ["AudioConfiguration", "VideoConfiguration"]


@dataclass(frozen=True, slots=True)
class VideoConfiguration:
    """A video track's configuration.

    Attributes:
        codec: the RFC 6381 codecs parameter, such as ``"avc1.64001f"``.
        width, height: of the picture as shown, after cropping, in pixels; None where the record does not say (VP8 and
            VP9 have it in their key frames).
    """

    codec: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class AudioConfiguration:
    """An audio track's configuration.

    Attributes:
        codec: the RFC 6381 codecs parameter, such as ``"mp4a.40.2"``.
        sample_rate: of the decoded sound, in Hz; None where the record does not say.
        channels: 1 to 255; None where the record does not say.
    """

    codec: str
    sample_rate: int | None = None
    channels: int | None = None
