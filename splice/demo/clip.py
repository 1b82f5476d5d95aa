"""The demo's picture: a short FLV file, read once, and played round and round.

`Clip` holds the file's tags; `Playback` says which tag of it is due when, for one viewer. Everything here is plain
computation: the clock and the connection are the origin's. A round is a whole number of milliseconds, frames and AAC
blocks (make_clip sees to that), so playing on is adding the round's length. FLV 10.1, Annex E.2 to E.4.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Self

__all__ = ["Clip", "Playback", "Tag"]

_HEADER_BYTES: Final = 9  # the FLV header, E.2
_TAG_HEADER_BYTES: Final = 11  # E.4.1
_PREVIOUS_TAG_SIZE_BYTES: Final = 4  # E.3

_TAG_TYPE_AUDIO: Final = 8
_TAG_TYPE_VIDEO: Final = 9
_TAG_TYPE_SCRIPT_DATA: Final = 18

_TIMESTAMPS: Final = 2**32  # Timestamp and TimestampExtended are 32 bits together


@dataclass(frozen=True, slots=True)
class Tag:
    """One FLV tag with the PreviousTagSize behind it, as it goes over the wire but for its timestamp."""

    timestamp_ms: int
    data: bytes

    @property
    def is_video(self) -> bool:
        return self.data[0] == _TAG_TYPE_VIDEO

    @property
    def is_keyframe(self) -> bool:
        """Whether a viewer can begin here (E.4.3.1: FrameType 1 in the upper half of the first body byte)."""
        return self.is_video and self.data[_TAG_HEADER_BYTES] >> 4 == 1

    @property
    def opens_a_stream(self) -> bool:
        """Whether it is metadata or a codec's configuration: what comes once, before any frame."""
        if self.data[0] == _TAG_TYPE_SCRIPT_DATA:
            return True
        # AVCPacketType and AACPacketType, both the second byte of the body, are 0 for a sequence header.
        return self.data[_TAG_HEADER_BYTES + 1] == 0

    def at(self, timestamp_ms: int) -> bytes:
        """The tag's bytes with another timestamp, taken mod 2**32 (E.4.1: the highest byte comes last)."""
        high, *low = (timestamp_ms % _TIMESTAMPS).to_bytes(4, "big")
        return b"".join((self.data[:4], bytes((*low, high)), self.data[8:]))


class Clip:
    """An FLV file of H.264 and AAC whose last frame is followed by its first.

    Attributes:
        header: the FLV header and PreviousTagSize0.
        opening: metadata and codec configurations.
        media: the frames, in the order of their timestamps, from a keyframe at 0 on.
        duration_ms: the length of one round.
    """

    def __init__(self, data: bytes) -> None:
        """Take an FLV file apart.

        Raises:
            ValueError: it is not FLV, is cut short, or does not begin with a keyframe at 0.
        """
        if data[:4] != b"FLV\x01":
            raise ValueError("the demo's clip is not an FLV file")
        tags = list(_tags(data))
        first_byte = _HEADER_BYTES + _PREVIOUS_TAG_SIZE_BYTES
        self.header: Final = data[:first_byte]
        self.opening: Final = tuple(tag for tag in tags if tag.opens_a_stream)
        # A file may hold audio a little before or behind its place; sorted (stably), a viewer never sees time go back.
        media = sorted((tag for tag in tags if not tag.opens_a_stream), key=lambda tag: tag.timestamp_ms)
        self.media: Final = tuple(media)
        video_ms = [tag.timestamp_ms for tag in media if tag.is_video]
        if len(video_ms) < 2 or not media[0].is_keyframe or media[0].timestamp_ms != 0:
            raise ValueError("the demo's clip does not begin with a keyframe at 0")
        self.duration_ms: Final = video_ms[-1] + (video_ms[-1] - video_ms[-2])

    @classmethod
    def built_in(cls) -> Self:
        """The clip that comes with the package: 8 s, 640x360 at 25 frames a second, a keyframe a second."""
        return cls(files(__package__).joinpath("clip.flv").read_bytes())


def _tags(data: bytes) -> Iterator[Tag]:
    at = _HEADER_BYTES + _PREVIOUS_TAG_SIZE_BYTES
    while at < len(data):
        body_bytes = int.from_bytes(data[at + 1 : at + 4], "big")
        end = at + _TAG_HEADER_BYTES + body_bytes + _PREVIOUS_TAG_SIZE_BYTES
        if body_bytes < 2 or end > len(data):
            raise ValueError("the demo's clip is cut short")
        timestamp_ms = data[at + 7] << 24 | int.from_bytes(data[at + 4 : at + 7], "big")
        yield Tag(timestamp_ms, data[at:end])
        at = end


class Playback:
    """One viewer's way through the endless clip.

    The clip runs on one clock for all; a viewer comes in at the newest keyframe of the moment, gets what has passed
    since at once, and everything after it in time. Its own timestamps start at `first_timestamp_ms` there and never go
    back, but for the wrap at 2**32 ms (49.7 days).
    """

    def __init__(self, clip: Clip, joined_ms: int, *, first_timestamp_ms: int = 0) -> None:
        """`joined_ms`: milliseconds since the clip's clock began, 0 or more."""
        rounds, into_round_ms = divmod(joined_ms, clip.duration_ms)
        passed = bisect_right(clip.media, into_round_ms, key=lambda tag: tag.timestamp_ms)
        # The first tag is a keyframe at 0, so there is always one behind us.
        self._index = next(n for n in range(passed - 1, -1, -1) if clip.media[n].is_keyframe)
        self._clip = clip
        self._round_ms = rounds * clip.duration_ms
        self._rebase_ms = first_timestamp_ms - self._round_ms - clip.media[self._index].timestamp_ms
        self._first_timestamp_ms = first_timestamp_ms

    def opening(self) -> list[bytes]:
        """What comes before any frame: the FLV header, then metadata and configurations, one item each."""
        return [self._clip.header, *(tag.at(self._first_timestamp_ms) for tag in self._clip.opening)]

    @property
    def next_due_ms(self) -> int:
        """When the next tag is due, in milliseconds since the clip's clock began."""
        return self._round_ms + self._clip.media[self._index].timestamp_ms

    def due(self, now_ms: int) -> list[bytes]:
        """The tags whose time has come, and that were not given before."""
        tags = []
        while (due_ms := self.next_due_ms) <= now_ms:
            tags.append(self._clip.media[self._index].at(due_ms + self._rebase_ms))
            self._index += 1
            if self._index == len(self._clip.media):
                self._index = 0
                self._round_ms += self._clip.duration_ms
        return tags
