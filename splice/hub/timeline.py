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
        now: the newest time that was given to a frame.
    """

    def __init__(self) -> None:
        self.now = 0
        self._offset: int | None = None  # None: the next frame is a publisher's first
        self._newest_in = 0  # the publisher's time of what is now
        self._last: dict[tuple[MediaKind, int], int] = {}  # by kind and track
        self._newest_data = 0
        self._begun = False

    def restart(self) -> None:
        """The next frames come from another publisher, whose clock began anywhere."""
        self._offset = None

    def place(self, kind: MediaKind, track: int, timestamp: int) -> int:
        """The stream's time of an audio or video frame; within a track it never goes back."""
        step = timestamp_difference(timestamp, self._newest_in)
        if self._offset is None or not -_INTERLEAVING_MS <= step <= _JUMP_MS:
            placed: int = timestamp_add(self.now, _BRIDGE_MS if self._begun else 0)
            self._offset = placed - timestamp
            self._newest_in = timestamp
            self._begun = True
            self.now = placed
        else:
            placed = timestamp_add(timestamp, self._offset)
            if step > 0:
                self._newest_in = timestamp
                self.now = placed
            else:
                placed = _later(placed, self._earliest(kind, track))
        self._last[kind, track] = placed
        return placed

    def place_configuration(self, kind: MediaKind, track: int) -> int:
        """The stream's time of a codec configuration: the earliest that a frame behind it on its track can have.

        What the publisher says is not asked for: it is often just 0, and must move no frame.
        """
        placed = self.now if self._offset is None else self._earliest(kind, track)
        self._last[kind, track] = placed
        return placed

    def place_data(self, timestamp: int) -> int:
        """The stream's time of a data message: now, or a little later where its own time says so; often that is 0."""
        placed = self.now
        if self._offset is not None and abs(timestamp_difference(timestamp, self._newest_in)) <= _INTERLEAVING_MS:
            placed = _later(placed, timestamp_add(timestamp, self._offset))
        if 0 < timestamp_difference(self._newest_data, placed) <= _INTERLEAVING_MS:
            placed = self._newest_data
        self._newest_data = placed
        return placed

    def _earliest(self, kind: MediaKind, track: int) -> int:
        # A track may have been silent for so long that its last time lies in the future of serial arithmetic.
        last = self._last.get((kind, track), 0)
        if 0 <= timestamp_difference(self.now, last) <= _INTERLEAVING_MS:
            return last
        return timestamp_add(self.now, -_INTERLEAVING_MS)


def _later(one: int, other: int) -> int:
    return one if timestamp_difference(one, other) >= 0 else other
