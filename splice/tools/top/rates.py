"""Bit rates of what is told as totals: differences between two looks at a door."""

from collections.abc import Mapping
from typing import Final

from splice.tools.top.client import Look

__all__ = ["Rates"]


class Rates:
    """The rates between two looks, in kbit/s; None where one of the two did not have the item.

    Args:
        before: None: there was no look before.
        now: the later look.
    """

    def __init__(self, before: Look | None, now: Look) -> None:
        seconds = 0.0 if before is None else now.at - before.at
        in_before = {} if before is None else {stream.id: stream.bytes_in for stream in before.streams}
        out_before = {} if before is None else {stream.id: stream.bytes_out for stream in before.streams}
        viewers_before = {} if before is None else {viewer.id: viewer.bytes for viewer in before.viewers}
        self._into: Final = _rates(in_before, {stream.id: stream.bytes_in for stream in now.streams}, seconds)
        self._out: Final = _rates(out_before, {stream.id: stream.bytes_out for stream in now.streams}, seconds)
        self._viewers: Final = _rates(viewers_before, {viewer.id: viewer.bytes for viewer in now.viewers}, seconds)

    def into(self, stream_id: str) -> float | None:
        """What comes in of a stream."""
        return self._into.get(stream_id)

    def out(self, stream_id: str) -> float | None:
        """What its viewers take together."""
        return self._out.get(stream_id)

    def viewer(self, viewer_id: str) -> float | None:
        """What one viewer takes."""
        return self._viewers.get(viewer_id)

    @property
    def out_in_all(self) -> float | None:
        """What all viewers take."""
        return sum(self._out.values()) if self._out else None


def _rates(before: Mapping[str, int], now: Mapping[str, int], seconds: float) -> dict[str, float]:
    if seconds <= 0:
        return {}
    # A total can shrink where a stream has ended and another of its name begun.
    return {id_: max(0, now[id_] - before[id_]) * 8 / 1000 / seconds for id_ in now.keys() & before.keys()}
