"""What is in a stream: codec, size and sound; of a live one out of the configurations that the hub keeps for joiners.

Read when somebody asks, and once for each configuration: the streams themselves never parse them.
"""

from functools import lru_cache

from protocol import RemoteProtocolError
from protocol.flv import (
    AudioConfiguration,
    TrackMetadata,
    VideoConfiguration,
    decode_audio_data,
    decode_video_data,
    read_audio_configuration,
    read_video_configuration,
)
from protocol.rtmp import MediaKind
from splice.admin.models import Audio, Video
from splice.admin.rates import Rate
from splice.hub import LiveStream
from splice.spliced_tracks import FoundTracks

__all__ = ["audio_of", "spliced_audio", "spliced_video", "video_of"]


def video_of(stream: LiveStream, rate: Rate | None) -> Video | None:
    """The default video track; None: there is none. What no configuration says, the publisher's metadata may."""
    if not stream.has_video:
        return None
    read = next(filter(None, map(_video_configuration, _configurations(stream, MediaKind.VIDEO))), None)
    said = _said(stream)
    return Video(
        codec=read.codec if read else said.video_codec,
        width=(read and read.width) or _whole(said.width),
        height=(read and read.height) or _whole(said.height),
        frame_rate=said.frame_rate if rate is None else rate.frames,
        keyframe_interval_ms=stream.keyframe_interval_ms,
        bit_rate_kbps=None if rate is None else rate.video_kbps,
    )


def audio_of(stream: LiveStream, rate: Rate | None) -> Audio | None:
    """The default audio track; None: there is none."""
    if not stream.has_audio:
        return None
    read = next(filter(None, map(_audio_configuration, _configurations(stream, MediaKind.AUDIO))), None)
    said = _said(stream)
    return Audio(
        codec=read.codec if read else said.audio_codec,
        sample_rate=(read and read.sample_rate) or _whole(said.sample_rate),
        channels=(read and read.channels) or _whole(said.channels),
        bit_rate_kbps=None if rate is None else round(rate.kbps - rate.video_kbps, 1),
    )


def spliced_video(tracks: FoundTracks) -> Video | None:
    """The video of a stream that is spliced: what its first bytes said, and no rates."""
    video = tracks.video
    if video is None:
        return None
    return Video(
        codec=video.codec or None,
        width=video.width,
        height=video.height,
        frame_rate=None,
        keyframe_interval_ms=None,
        bit_rate_kbps=None,
    )


def spliced_audio(tracks: FoundTracks) -> Audio | None:
    """The audio of a stream that is spliced."""
    audio = tracks.audio
    if audio is None:
        return None
    return Audio(codec=audio.codec or None, sample_rate=audio.sample_rate, channels=audio.channels, bit_rate_kbps=None)


def _configurations(stream: LiveStream, kind: MediaKind) -> list[bytes]:
    return [packet.payload for packet in stream.headers if packet.kind is kind and packet.track == 0]


def _said(stream: LiveStream) -> TrackMetadata:
    return TrackMetadata() if stream.metadata is None else stream.metadata.default


def _whole(number: float | None) -> int | None:
    """A number of a publisher's metadata, which may be any."""
    return round(number) if number is not None and 0 < number < 1e9 else None


@lru_cache(maxsize=256)
def _video_configuration(payload: bytes) -> VideoConfiguration | None:
    try:
        track = decode_video_data(payload).tracks[0]
        return read_video_configuration(track.fourcc or "", track.data)
    except (RemoteProtocolError, IndexError):
        return None


@lru_cache(maxsize=256)
def _audio_configuration(payload: bytes) -> AudioConfiguration | None:
    try:
        track = decode_audio_data(payload).tracks[0]
        return read_audio_configuration(track.fourcc or "", track.data)
    except (RemoteProtocolError, IndexError):
        return None
