"""A live stream's one clock, made of whatever its publishers send.

Viewers must never see time go back, and a publisher may restart, wrap or jump at any moment. So times are mapped: they
begin at 0, follow the publisher's steps while these make sense, and step over what does not, for all tracks together,
so that these stay in step with each other.
"""

from typing import Final

from protocol import timestamp_add, timestamp_difference
from protocol.rtmp import MediaKind

__all__ = ["Timeline"]

# Audio and video come in the order in which an encoder finishes them, so one may lag behind the other a little.
_INTERLEAVING_MS: Final = 1000
_JUMP_MS: Final = 30_000
_BRIDGE_MS: Final = 20


class Timeline:
    """Maps publishers' timestamps to the stream's own, both in milliseconds modulo 2**32.

    Attributes:
        now: the newest time that was given out.
    """

    def __init__(self) -> None:
        self.now = 0
        self._offset: int | None = None  # None: the next frame is a publisher's first
        self._newest_in = 0
        self._floor = 0  # where the stretch since the last bridge begins
        self._last: dict[tuple[MediaKind, int], int] = {}
        self._begun = False

    def restart(self) -> None:
        """The next frames come from another publisher, whose clock began anywhere."""
        self._offset = None

    def place(self, kind: MediaKind, track: int, timestamp: int) -> int:
        """The stream's time of an audio or video frame; within a track it never goes back."""
        step = timestamp_difference(timestamp, self._newest_in)
        if self._offset is None or not -_INTERLEAVING_MS <= step <= _JUMP_MS:
            self._floor = timestamp_add(self.now, _BRIDGE_MS) if self._begun else 0
            self._offset = self._floor - timestamp
            self._newest_in = timestamp
            self._last.clear()
            self._begun = True
        elif step > 0:
            self._newest_in = timestamp
        placed = timestamp_add(timestamp, self._offset)
        earliest = self._last.get((kind, track), self._floor)
        if timestamp_difference(placed, earliest) < 0:
            placed = timestamp_add(earliest, 0)
        self._last[kind, track] = placed
        if timestamp_difference(placed, self.now) > 0:
            self.now = placed
        return placed

    def place_aside(self, timestamp: int) -> int:
        """The stream's time of what keeps no time itself: data and configurations, which often just say 0."""
        if self._offset is None or abs(timestamp_difference(timestamp, self._newest_in)) > _INTERLEAVING_MS:
            return self.now
        placed = timestamp_add(timestamp, self._offset)
        return placed if timestamp_difference(placed, self.now) > 0 else self.now
