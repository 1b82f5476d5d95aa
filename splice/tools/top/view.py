"""The tables of one look, for a terminal of any size; every word of the network's is stripped of what steers one.

Columns have a width of terminal from which on they are shown, so that a narrow one has few whole columns in place of
many cut ones. Rows that do not fit are counted in a line.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from splice.admin.models import OriginItem, StreamItem, ViewerItem
from splice.tools.top.client import Look
from splice.tools.top.rates import Rates

__all__ = ["view", "without_controls"]

T = TypeVar("T")

_LATE_MS: Final = 1000
_NONE: Final = "-"
_NO_STREAMS: Final = "No stream passes through the door."
_FEWEST_ROWS: Final = 3
_LINES_AROUND: Final = 11  # the totals, the hint, and of each of three tables its head and the line of what is left out


@dataclass(frozen=True, slots=True)
class _Column(Generic[T]):
    """A column: its head, the text of a row's cell, and from which width of the terminal on it is there."""

    head: str
    text: Callable[[T], str]
    from_width: int = 0
    is_number: bool = False
    style: Callable[[T], str] = lambda _item: ""


def view(look: Look, rates: Rates, *, width: int, height: int | None, note: str = "") -> RenderableType:
    """A look as a terminal shows it.

    Args:
        width: of the terminal, in characters.
        height: in lines; None: as many as it takes.
        note: the last line, such as which keys there are, or what is wrong.
    """
    rows = _rows(look, height)
    parts: list[RenderableType] = [_totals(look, rates)]
    parts += _table(_stream_columns(rates), look.streams, look.streams_total, rows[0], width, _NO_STREAMS)
    parts += _table(_viewer_columns(rates), look.viewers, look.viewers_total, rows[1], width, "Nobody watches.")
    if look.origins:
        parts += _table(_ORIGIN_COLUMNS, _worst_first(look.origins), len(look.origins), rows[2], width, "")
    if note:
        parts.append(Text(without_controls(note), style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _rows(look: Look, height: int | None) -> tuple[int, int, int]:
    """How many rows streams, viewers and origins get: origins few, viewers what the streams leave."""
    if height is None:
        return len(look.streams), len(look.viewers), len(look.origins)
    room = max(height - _LINES_AROUND, 3 * _FEWEST_ROWS)
    origins = min(len(look.origins), max(_FEWEST_ROWS, room // 5))
    room -= origins
    streams = min(len(look.streams), max(room - len(look.viewers), room // 2))
    return streams, room - streams, origins


def _totals(look: Look, rates: Rates) -> Text:
    down = sum(origin.state == "down" for origin in look.origins)
    words = [
        f"splice {without_controls(look.version)}",
        _count(look.streams_total, "stream"),
        _count(look.viewers_total, "viewer"),
        f"{_bit_rate(rates.out_in_all)} out",
    ]
    text = Text("   ".join(words), style="bold", no_wrap=True, overflow="ellipsis")
    if down:
        text.append(f"   {_count(down, 'origin')} down", style="bold red")
    return text


def _stream_columns(rates: Rates) -> Sequence[_Column[StreamItem]]:
    return (
        _Column("Stream", lambda stream: stream.name),
        _Column("Route", lambda stream: stream.route, 88),
        _Column("Origin", lambda stream: stream.origin or _NONE, 100),
        _Column("Codec", _codecs, 60),
        _Column("Size", _size, 80, is_number=True),
        _Column("fps", _frame_rate, 72, is_number=True),
        _Column("Keyframe", _keyframe_interval, 112, is_number=True),
        _Column(
            "In",
            lambda stream: _bit_rate(rates.into(stream.id) if stream.bit_rate_kbps is None else stream.bit_rate_kbps),
            48,
            is_number=True,
        ),
        _Column("Out", lambda stream: _bit_rate(rates.out(stream.id)), 104, is_number=True),
        _Column("Viewers", lambda stream: str(stream.viewers), is_number=True),
        _Column("Slowest", _latency, 92, is_number=True, style=lambda stream: "red" if _is_late(stream) else ""),
    )


def _viewer_columns(rates: Rates) -> Sequence[_Column[ViewerItem]]:
    return (
        _Column("Viewer", _peer),
        _Column("Stream", lambda viewer: viewer.stream, 48),
        _Column("Route", lambda viewer: viewer.route, 72),
        _Column("Origin", lambda viewer: viewer.origin or _NONE, 84),
        _Column("Protocol", lambda viewer: viewer.protocol, 96),
        _Column("Time", lambda viewer: _duration(viewer.seconds), 60, is_number=True),
        _Column("Bytes", lambda viewer: _bytes(viewer.bytes), 96, is_number=True),
        _Column("Rate", lambda viewer: _bit_rate(rates.viewer(viewer.id)), is_number=True),
    )


_ORIGIN_COLUMNS: Final[Sequence[_Column[OriginItem]]] = (
    _Column("Origin", lambda origin: origin.name),
    _Column(
        "State",
        lambda origin: "not asked yet" if origin.state == "unknown" else origin.state,
        style=lambda origin: {"up": "green", "down": "bold red"}.get(origin.state, ""),
    ),
    _Column("Mode", lambda origin: origin.mode, 72),
    _Column("Viewers", lambda origin: str(origin.viewers), 48, is_number=True),
    _Column("URL", lambda origin: " ".join(origin.urls), 84),
    _Column("Last error", lambda origin: (origin.state == "down" and origin.last_error) or _NONE, 60),
)


def _table(
    columns: Iterable[_Column[T]], items: Sequence[T], total: int, rows: int, width: int, otherwise: str
) -> Iterable[RenderableType]:
    if not items:
        yield Text(f"\n{otherwise}", style="dim")
        return
    shown = [column for column in columns if column.from_width <= width]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", title=" ")
    for column in shown:
        table.add_column(
            Text(column.head), justify="right" if column.is_number else "left", no_wrap=True, overflow="ellipsis"
        )
    for item in items[:rows]:
        table.add_row(*(Text(without_controls(column.text(item)), style=column.style(item)) for column in shown))
    yield table
    if total > rows:
        yield Text(f"and {total - min(rows, len(items))} more", style="dim")


def _worst_first(origins: Iterable[OriginItem]) -> list[OriginItem]:
    return sorted(origins, key=lambda origin: origin.state != "down")


def without_controls(text: str) -> str:
    """Text of the network's without what steers a terminal, or turns the direction of writing."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _codecs(stream: StreamItem) -> str:
    return " ".join(track.codec for track in (stream.video, stream.audio) if track and track.codec) or _NONE


def _size(stream: StreamItem) -> str:
    video = stream.video
    return f"{video.width}x{video.height}" if video and video.width and video.height else _NONE


def _frame_rate(stream: StreamItem) -> str:
    return _NONE if stream.video is None or stream.video.frame_rate is None else f"{stream.video.frame_rate:.1f}"


def _keyframe_interval(stream: StreamItem) -> str:
    interval_ms = stream.video and stream.video.keyframe_interval_ms
    return f"{interval_ms / 1000:.1f} s" if interval_ms else _NONE


def _latency(stream: StreamItem) -> str:
    return _NONE if stream.latency_ms is None else f"{stream.latency_ms} ms"


def _is_late(stream: StreamItem) -> bool:
    return stream.latency_ms is not None and stream.latency_ms > _LATE_MS


def _peer(viewer: ViewerItem) -> str:
    return viewer.peer if viewer.address in viewer.peer else f"{viewer.address} ({viewer.peer})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _bit_rate(kbps: float | None) -> str:
    if kbps is None:
        return _NONE
    return f"{kbps:.0f} kbit/s" if kbps < 1000 else f"{kbps / 1000:.2f} Mbit/s"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
