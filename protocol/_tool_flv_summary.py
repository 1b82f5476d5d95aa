"""What `python -m protocol flv` says at the end: codecs, size, rates and timestamp faults, gathered tag by tag.

Nothing of a tag is kept but numbers, so a live stream can be watched for days; the faults that are listed have a bound.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from protocol._timestamp import timestamp_difference
from protocol.flv import AudioConfiguration, StreamMetadata, VideoConfiguration

__all__ = ["Fault", "JsonObject", "Summary"]

JsonObject: TypeAlias = dict[str, object]

_MAX_FAULTS: Final = 100
_LONGEST_GAP_MS: Final = 10_000
"""A track that jumps further ahead has lost something, or its clock was set."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a place in the file.

    Attributes:
        offset: of the tag or field, in bytes from the start.
        message: what is wrong.
    """

    offset: int
    message: str


@dataclass(slots=True)
class TrackSummary:
    """The counts of one track. Times are unwrapped milliseconds since the file's first frame."""

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

    def as_json(self, metadata: StreamMetadata) -> JsonObject:
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


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


@dataclass(slots=True)
class Summary:
    """The whole file's counts."""

    tags: int = 0
    metadata: StreamMetadata = field(default_factory=StreamMetadata)
    damaged: bool = False
    _tracks: dict[tuple[str, int], TrackSummary] = field(default_factory=dict)
    _faults: list[Fault] = field(default_factory=list)
    _faults_not_listed: int = 0
    _last_timestamp: int | None = None
    _now_ms: int = 0
    _earliest_ms: int = 0
    _latest_ms: int = 0

    def track(self, kind: str, track_id: int) -> TrackSummary:
        """The counts of a track, new where it has not been seen: kind is audio or video."""
        return self._tracks.setdefault((kind, track_id), TrackSummary(kind, track_id))

    def fault(self, offset: int, message: str, *, damage: bool = True) -> None:
        """List a fault; `damage` says whether the file is broken by it."""
        self.damaged = self.damaged or damage
        if len(self._faults) < _MAX_FAULTS:
            self._faults.append(Fault(offset, message))
        else:
            self._faults_not_listed += 1

    def frame(self, track: TrackSummary, offset: int, timestamp: int, size: int, *, keyframe: bool) -> None:
        """Count coded frames of `size` bytes at `timestamp`, in milliseconds mod 2**32."""
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

    def faults(self) -> list[Fault]:
        """The faults, and after the first hundred how many more there were."""
        if not self._faults_not_listed:
            return self._faults
        return [*self._faults, Fault(self._faults[-1].offset, f"and {self._faults_not_listed} more after this")]

    def as_json(self) -> JsonObject:
        """The closing object. `video` and `audio` are the track of the lowest id, null where there is none; more tracks
        stand in `video_tracks` and `audio_tracks`, which are there only for a multitrack file."""
        made: JsonObject = {"tags": self.tags, "duration_ms": self._latest_ms - self._earliest_ms}
        for kind in ("video", "audio"):
            tracks = sorted((key[1], track) for key, track in self._tracks.items() if key[0] == kind)
            made[kind] = tracks[0][1].as_json(self.metadata) if tracks else None
            if len(tracks) > 1:
                made[f"{kind}_tracks"] = [{"track": number, **track.as_json(self.metadata)} for number, track in tracks]
        made["faults"] = [{"offset": fault.offset, "message": fault.message} for fault in self.faults()]
        return made
