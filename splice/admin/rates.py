"""Bit rates and frame rates of live streams: differences of their counters over the last few seconds."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from splice.hub import LiveStream

__all__ = ["Rate", "Rates"]

_SAMPLES: Final = 6
_SHORTEST_S: Final = 0.5


class _Sample(NamedTuple):
    at: float
    bytes: int
    video_bytes: int
    video_frames: int


@dataclass(frozen=True, slots=True)
class Rate:
    """How much of a stream comes in a second.

    Attributes:
        kbps, video_kbps: in kbit/s.
        frames: of video, a second.
    """

    kbps: float
    video_kbps: float
    frames: float


class Rates:
    """The last samples of each live stream.

    Attributes:
        skipped_before: how many times viewers were moved on, of the streams that have ended.
    """

    def __init__(self) -> None:
        self.skipped_before = 0
        self._samples: dict[LiveStream, deque[_Sample]] = {}

    def sample(self, streams: Iterable[LiveStream], now: float) -> None:
        """Look at all streams that there are; those not among them are forgotten."""
        before, self._samples = self._samples, {}
        for stream in streams:
            samples = before.pop(stream, None) or deque(maxlen=_SAMPLES)
            samples.append(_Sample(now, stream.bytes_in, stream.video_bytes, stream.video_frames))
            self._samples[stream] = samples
        self.skipped_before += sum(stream.skipped for stream in before)

    def of(self, stream: LiveStream) -> Rate | None:
        """The rate over the last samples; None where there are not two yet."""
        samples = self._samples.get(stream)
        if samples is None or samples[-1].at - samples[0].at < _SHORTEST_S:
            return None
        first, last = samples[0], samples[-1]
        seconds = last.at - first.at
        return Rate(
            kbps=_kbps(last.bytes - first.bytes, seconds),
            video_kbps=_kbps(last.video_bytes - first.video_bytes, seconds),
            frames=round((last.video_frames - first.video_frames) / seconds, 2),
        )


def _kbps(count: int, seconds: float) -> float:
    return round(count * 8 / 1000 / seconds, 1)
