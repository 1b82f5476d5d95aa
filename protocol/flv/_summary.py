"""What a stream is: codecs, size, rates and timestamp faults, gathered from its decoded bodies one by one.

Nothing of a body is kept but numbers, so that a live stream can be watched for days. At most a hundred faults are
listed.
"""

from dataclasses import dataclass, field
from typing import Final

from protocol._timestamp import timestamp_difference
from protocol.flv._audio import AudioData, AudioPacketType
from protocol.flv._configuration import AudioConfiguration, VideoConfiguration
from protocol.flv._metadata import StreamMetadata
from protocol.flv._records import (
    read_audio_configuration,
    read_audio_frame,
    read_video_configuration,
    read_video_picture_size,
)
from protocol.flv._script import ScriptData
from protocol.flv._video import VideoData, VideoPacketType

__all__ = ["StreamFault", "StreamSummary"]

_MAX_FAULTS: Final = 100
_LONGEST_GAP_MS: Final = 10_000
"""A track that jumps further ahead has lost something, or its clock was set."""

_VIDEO_FRAMES: Final = frozenset({VideoPacketType.CODED_FRAMES, VideoPacketType.CODED_FRAMES_X})
_VIDEO_STARTS: Final = frozenset({VideoPacketType.SEQUENCE_START, VideoPacketType.MPEG2TS_SEQUENCE_START})
_AUDIO_SEQUENCE: Final = frozenset({AudioPacketType.SEQUENCE_START, AudioPacketType.CODED_FRAMES})


@dataclass(frozen=True, slots=True)
class StreamFault:
    """Something wrong at a place in the stream.

    Attributes:
        offset: of the tag, message or field, in bytes from the start.
        message: what is wrong.
    """

    offset: int
    message: str


@dataclass(slots=True)
class _Track:
    """The counts of one track. Times are unwrapped milliseconds since the stream's first frame."""

    kind: str
    track_id: int
    codec: str | None = None
    video: VideoConfiguration | None = None
    audio: AudioConfiguration | None = None
    picture_size: tuple[int, int] | None = None
    frames: int = 0
    payload_bytes: int = 0
    first_ms: int = 0
    last_ms: int = 0
    keyframes: int = 0
    first_keyframe_ms: int = 0
    last_keyframe_ms: int = 0

    def as_json(self, metadata: StreamMetadata) -> dict[str, object]:
        """The summary's object for this track; what no record said is taken from onMetaData, or null."""
        default = metadata.default
        span = self.last_ms - self.first_ms
        rates = self.frames > 1 and span > 0
        # The last frame lasts as long as the others: a span of n frames has n - 1 steps.
        bit_rate = round(self.payload_bytes * 8 * (self.frames - 1) / (span * self.frames), 3) if rates else None
        if self.kind == "audio":
            audio = self.audio or AudioConfiguration(self.codec or "")
            return {
                "codec": audio.codec or None,
                "sample_rate": audio.sample_rate or _whole(default.sample_rate),
                "channels": audio.channels or _whole(default.channels),
                "frames": self.frames,
                "bit_rate_kbps": bit_rate,
            }
        video = self.video or VideoConfiguration(self.codec or "")
        width, height = self.picture_size or (video.width, video.height)
        intervals = self.keyframes - 1
        keyframe_span = self.last_keyframe_ms - self.first_keyframe_ms
        return {
            "codec": video.codec or None,
            "width": width or _whole(default.width),
            "height": height or _whole(default.height),
            "frames": self.frames,
            "frame_rate": round((self.frames - 1) * 1000 / span, 3) if rates else None,
            "keyframe_interval_ms": round(keyframe_span / intervals) if intervals > 0 else None,
            "bit_rate_kbps": bit_rate,
        }


def _legacy_sound(audio: AudioData, fourcc: str) -> AudioConfiguration | None:
    """What the legacy header's own bits say; for AAC they say nothing, since they are always the same."""
    if audio.sound_format is None or fourcc == "mp4a":
        return None
    return AudioConfiguration(fourcc, audio.legacy_sample_rate_hz, audio.sound_type + 1)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


@dataclass(slots=True)
class StreamSummary:
    """The whole stream's counts: give it every body as it comes, then ask `as_json`.

    Attributes:
        tags: how many tags or media messages there were; whoever reads them counts them.
        metadata: the newest onMetaData.
        damaged: whether the stream is broken somewhere; timestamps that jump are no damage.
    """

    tags: int = 0
    metadata: StreamMetadata = field(default_factory=StreamMetadata)
    damaged: bool = False
    _tracks: dict[tuple[str, int], _Track] = field(default_factory=dict)
    _faults: list[StreamFault] = field(default_factory=list)
    _faults_not_listed: int = 0
    _last_timestamp: int | None = None
    _now_ms: int = 0
    _earliest_ms: int = 0
    _latest_ms: int = 0

    def add_video(self, video: VideoData, timestamp: int, *, offset: int = 0) -> None:
        """Take a video body at `timestamp`, in milliseconds mod 2**32; `offset` is where a fault is said to be.

        Raises:
            RemoteProtocolError: a codec configuration, or a key frame's own header, is damaged; what came before it in
                the body is counted. `fault` lists it.
        """
        # Only what starts or continues a sequence tells a codec: ffmpeg sends every track's metadata as track 0's.
        for data in video.tracks if video.packet_type in _VIDEO_STARTS | _VIDEO_FRAMES else ():
            track = self._track("video", data.track_id, data.fourcc)
            if video.packet_type in _VIDEO_FRAMES:
                self._frame(track, offset, timestamp, len(data.data), keyframe=video.is_keyframe)
                if video.is_keyframe and data.fourcc and track.picture_size is None:
                    track.picture_size = read_video_picture_size(data.fourcc, data.data)
            elif data.fourcc:
                track.video = read_video_configuration(data.fourcc, data.data) or track.video

    def add_audio(self, audio: AudioData, timestamp: int, *, offset: int = 0) -> None:
        """Take an audio body; see `add_video`.

        Raises:
            RemoteProtocolError: a codec configuration, or a frame's own header, is damaged.
        """
        for data in audio.tracks if audio.packet_type in _AUDIO_SEQUENCE else ():
            track = self._track("audio", data.track_id, data.fourcc)
            if audio.packet_type == AudioPacketType.CODED_FRAMES:
                self._frame(track, offset, timestamp, len(data.data), keyframe=False)
                if track.audio is None and data.fourcc:
                    track.audio = read_audio_frame(data.fourcc, data.data) or _legacy_sound(audio, data.fourcc)
            elif data.fourcc:
                track.audio = read_audio_configuration(data.fourcc, data.data) or track.audio

    def add_script(self, script: ScriptData) -> None:
        """Take a script body, of which onMetaData alone says something here."""
        name, values = script.name, script.values
        if name == "@setDataFrame" and values:
            name, values = str(values[0]), values[1:]
        if name == "onMetaData" and values:
            self.metadata = StreamMetadata.from_amf(values[0])

    def fault(self, offset: int, message: str, *, damage: bool = True) -> None:
        """List a fault; `damage` says whether the stream is broken by it."""
        self.damaged = self.damaged or damage
        if len(self._faults) < _MAX_FAULTS:
            self._faults.append(StreamFault(offset, message))
        else:
            self._faults_not_listed += 1

    def _track(self, kind: str, track_id: int, fourcc: str | None) -> _Track:
        track = self._tracks.setdefault((kind, track_id), _Track(kind, track_id))
        track.codec = fourcc or track.codec
        return track

    def _frame(self, track: _Track, offset: int, timestamp: int, size: int, *, keyframe: bool) -> None:
        if self._last_timestamp is not None:
            self._now_ms += timestamp_difference(timestamp, self._last_timestamp)
        self._last_timestamp = timestamp
        now = self._now_ms
        self._earliest_ms = min(self._earliest_ms, now)
        self._latest_ms = max(self._latest_ms, now)
        if not track.frames:
            track.first_ms = track.last_ms = now
        step = now - track.last_ms
        where = f"{track.kind} track {track.track_id}"
        if step < 0:
            self.fault(offset, f"{where} goes back {-step} ms, to {timestamp} ms", damage=False)
        elif step > _LONGEST_GAP_MS:
            self.fault(offset, f"{where} jumps ahead {step} ms, to {timestamp} ms", damage=False)
        track.last_ms = now
        track.frames += 1
        track.payload_bytes += size
        if keyframe:
            track.first_keyframe_ms = track.first_keyframe_ms if track.keyframes else now
            track.last_keyframe_ms = now
            track.keyframes += 1

    def faults(self) -> list[StreamFault]:
        """The faults, and after the first hundred how many more there were."""
        if not self._faults_not_listed:
            return self._faults
        return [*self._faults, StreamFault(self._faults[-1].offset, f"and {self._faults_not_listed} more after this")]

    def as_json(self) -> dict[str, object]:
        """The closing object. `video` and `audio` are the track of the lowest id, null where there is none; more tracks
        stand in `video_tracks` and `audio_tracks`, which are there only for a multitrack stream."""
        made: dict[str, object] = {"tags": self.tags, "duration_ms": self._latest_ms - self._earliest_ms}
        for kind in ("video", "audio"):
            tracks = sorted((key[1], track) for key, track in self._tracks.items() if key[0] == kind)
            made[kind] = tracks[0][1].as_json(self.metadata) if tracks else None
            if len(tracks) > 1:
                made[f"{kind}_tracks"] = [{"track": number, **track.as_json(self.metadata)} for number, track in tracks]
        made["faults"] = [{"offset": fault.offset, "message": fault.message} for fault in self.faults()]
        return made
