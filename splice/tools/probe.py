"""`python -m splice probe URL`: plays a live URL for some seconds, and reports what came and how.

    Player --tags, each with its time of arrival--> Measurement --> report: text, or one JSON object

Works against any server of HTTP-FLV, WS-FLV or RTMP, the door among them. Exit status: 0 when media came, 1 when none
did, 2 for a usage error.
"""

import argparse
import enum
import json
import math
import signal
from collections.abc import Iterator
from typing import Any, Final

import trio

from protocol import RemoteProtocolError, timestamp_difference
from protocol.flv import (
    FlvFault,
    StreamSummary,
    Tag,
    TagType,
    decode_audio_data,
    decode_script_data,
    decode_video_data,
    is_codec_configuration,
)
from splice.command_line import CommandLine
from splice.tools.live_url import LiveUrl
from splice.tools.player import Played, PlayerError, open_player

__all__ = ["End", "Measurement", "main", "probe"]

_MEDIA_CAME: Final = 0
_NO_MEDIA: Final = 1
_START_S: Final = 15.0
"""How long a stream may take to begin: longer than a door waits for an origin, so that its own sentence is heard."""
_OPENING_MS: Final = 500
"""What servers keep for those who join comes at once; how late it is says nothing of the network."""

_SHOWN_FAULTS: Final = 5

Report = dict[str, Any]


class End(enum.StrEnum):
    """How the probe ended."""

    TIME_UP = "time_up"
    INTERRUPTED = "interrupted"
    STREAM_ENDED = "stream_ended"
    LOST = "lost"
    REFUSED = "refused"
    SILENT = "silent"


class Measurement:
    """What a stream is, and how it arrives.

    Args:
        started_at: when the viewer began to dial, in seconds of any clock.
    """

    def __init__(self, started_at: float) -> None:
        self._started_at: Final = started_at
        self._summary: Final = StreamSummary()
        self._bytes = 0
        self._first_media_at: float | None = None
        self._first_keyframe_ms: int | None = None
        self._last_at = started_at
        self._first_timestamp: int | None = None
        self._delays_ms: list[float] = []

    @property
    def has_media(self) -> bool:
        """Whether any audio or video has come."""
        return self._first_media_at is not None

    def add(self, event: Played, arrived_at: float) -> None:
        """Take what the player gives, with the moment in which it came."""
        if isinstance(event, FlvFault):
            self._summary.fault(event.offset, event.message)
            return
        self._summary.tags += 1
        self._last_at = arrived_at
        offset, self._bytes = self._bytes, self._bytes + len(event.body)
        try:
            if not event.filtered:
                self._read(event, offset, arrived_at)
        except RemoteProtocolError as error:
            self._summary.fault(offset, str(error))
        if event.type in (TagType.AUDIO, TagType.VIDEO):
            self._time(event, arrived_at)

    def _read(self, tag: Tag, offset: int, arrived_at: float) -> None:
        if tag.type == TagType.VIDEO:
            video = decode_video_data(tag.body)
            self._summary.add_video(video, tag.timestamp, offset=offset)
            if video.is_keyframe and self._first_keyframe_ms is None and not is_codec_configuration(tag.type, tag.body):
                self._first_keyframe_ms = self._since_start(arrived_at)
        elif tag.type == TagType.AUDIO:
            self._summary.add_audio(decode_audio_data(tag.body), tag.timestamp, offset=offset)
        elif tag.type in (TagType.SCRIPT, TagType.AMF3_SCRIPT):
            self._summary.add_script(decode_script_data(tag.body, tag_type=tag.type))

    def _time(self, tag: Tag, arrived_at: float) -> None:
        if self._first_media_at is None:
            self._first_media_at = arrived_at
        if is_codec_configuration(tag.type, tag.body):
            return
        if self._first_timestamp is None:
            self._first_timestamp = tag.timestamp
        since_ms = (arrived_at - self._first_media_at) * 1000
        if since_ms > _OPENING_MS:
            self._delays_ms.append(since_ms - timestamp_difference(tag.timestamp, self._first_timestamp))

    def _since_start(self, moment: float) -> int:
        return round((moment - self._started_at) * 1000)

    def as_json(self, first_byte_at: float | None) -> Report:
        """The figures; those that nothing could be said of are null.

        Args:
            first_byte_at: when the stream's first byte came.
        """
        first = self._last_at if self._first_media_at is None else self._first_media_at
        return {
            "first_byte_ms": None if first_byte_at is None else self._since_start(first_byte_at),
            "first_keyframe_ms": self._first_keyframe_ms,
            "seconds": round(self._last_at - first, 3),
            "bytes": self._bytes,
            **self._summary.as_json(),
            "jitter_ms": self._jitter(),
        }

    def _jitter(self) -> dict[str, int] | None:
        """How late frames came, by their timestamps, after the promptest of them; the opening burst does not count."""
        if not self._delays_ms:
            return None
        late = sorted(self._delays_ms)
        ranks = {name: math.ceil(share * len(late)) - 1 for name, share in (("p50", 0.5), ("p99", 0.99))}
        return {name: round(late[rank] - late[0]) for name, rank in ranks.items()}


async def probe(
    url: LiveUrl, *, seconds: float, any_certificate: bool = False, interrupted: trio.Event | None = None
) -> Report:
    """Play `url`, and report. A cancellation closes the connection and reports nothing.

    Args:
        seconds: how long to play, from the first audio or video on.
        any_certificate: take a server's certificate unseen.
        interrupted: ends it early when set.
    """
    measurement = Measurement(trio.current_time())
    first_byte_at: float | None = None
    end, detail = End.STREAM_ENDED, None

    async def until_interrupted(event: trio.Event) -> None:
        await event.wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        if interrupted is not None:
            nursery.start_soon(until_interrupted, interrupted)
        with trio.move_on_after(_START_S) as patience:
            try:
                async with open_player(url, any_certificate=any_certificate) as player:
                    while (event := await player.next_event()) is not None:
                        had_media = measurement.has_media
                        first_byte_at = player.first_byte_at
                        measurement.add(event, trio.current_time())
                        if measurement.has_media and not had_media:
                            patience.deadline = trio.current_time() + seconds
            except PlayerError as error:
                end, detail = (End.REFUSED if error.refused else End.LOST), str(error)
        if patience.cancelled_caught:
            end = End.TIME_UP if measurement.has_media else End.SILENT
        nursery.cancel_scope.cancel()
    if interrupted is not None and interrupted.is_set():
        end = End.INTERRUPTED
    if end is End.SILENT:
        detail = f"no media came in {_START_S:g} s; check that the stream's encoder is running"
    elif end is End.STREAM_ENDED and not measurement.has_media:
        detail = "the server ended it before any media came; check that the stream's encoder is running"
    figures = measurement.as_json(first_byte_at)
    return {"url": url.shown, "protocol": url.protocol, **figures, "end": end.value, "detail": detail}


def main(arguments: list[str]) -> int:
    """Run the tool; the exit status.

    Raises:
        SystemExit: behind --help (0), and behind wrong arguments (2).
    """
    command = CommandLine("splice probe", "Play a live URL for some seconds, and say what came and how.")
    add = command.add_argument
    add("url", metavar="URL", help="http[s]:// (FLV), ws[s]:// (FLV) or rtmp[s]://")
    add("--seconds", type=_seconds, default=5.0, metavar="N", help="from the first media on; default: 5")
    add("--json", action="store_true", help="one JSON object in place of text")
    add("--insecure", action="store_true", help="take any certificate of the server")
    chosen = command.read(arguments)
    try:
        url = LiveUrl.parse(chosen.url)
    except ValueError as error:
        command.refuse(str(error))
    report = trio.run(_probe_until_interrupted, url, chosen.seconds, chosen.insecure)
    command.say(json.dumps(report) + "\n" if chosen.json else "".join(f"{line}\n" for line in _text(report)))
    return _MEDIA_CAME if report["video"] or report["audio"] else _NO_MEDIA


async def _probe_until_interrupted(url: LiveUrl, seconds: float, any_certificate: bool) -> Report:
    interrupted = trio.Event()

    async def wait_for_signal() -> None:
        async for _ in signals:
            interrupted.set()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_signal)
            report = await probe(url, seconds=seconds, any_certificate=any_certificate, interrupted=interrupted)
            nursery.cancel_scope.cancel()
    return report


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 86400:
        raise argparse.ArgumentTypeError(f"takes a number above 0 and at most 86400, not {text!r}")
    return seconds


def _text(report: Report) -> Iterator[str]:
    for name, value in _rows(report):
        # A server's words may hold what would steer the terminal.
        yield f"{name:<16}{''.join(c if c.isprintable() else '?' for c in value)}"


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    yield "url", report["url"]
    yield "protocol", report["protocol"]
    if report["first_byte_ms"] is not None:
        yield "first byte", f"after {report['first_byte_ms']} ms"
    if report["first_keyframe_ms"] is not None:
        yield "first keyframe", f"after {report['first_keyframe_ms']} ms"
    for track in report.get("video_tracks") or filter(None, [report["video"]]):
        yield _track_name("video", track), _video_text(track)
    for track in report.get("audio_tracks") or filter(None, [report["audio"]]):
        yield _track_name("audio", track), _audio_text(track)
    if report["jitter_ms"] is not None:
        yield "jitter", f"p50 {report['jitter_ms']['p50']} ms, p99 {report['jitter_ms']['p99']} ms"
    if report["tags"]:
        yield "received", f"{report['bytes']} bytes in {report['seconds']:g} s, {report['duration_ms']} ms of media"
        faults = [fault["message"] for fault in report["faults"]]
        yield "faults", "; ".join(faults[:_SHOWN_FAULTS]) or "none"
        if len(faults) > _SHOWN_FAULTS:
            yield "", f"and {len(faults) - _SHOWN_FAULTS} more (--json lists them)"
    yield "end", report["end"].replace("_", " ") + (f": {report['detail']}" if report["detail"] else "")


def _track_name(kind: str, track: Report) -> str:
    return f"{kind} {track['track']}" if track.get("track") else kind


def _video_text(track: Report) -> str:
    size = f"{track['width']}x{track['height']}" if track["width"] and track["height"] else ""
    return _joined(
        track["codec"] or "unknown codec",
        size,
        _with(track["frame_rate"], "frames/s", digits=2),
        _with(track["bit_rate_kbps"], "kbit/s"),
        f"a keyframe every {track['keyframe_interval_ms']} ms" if track["keyframe_interval_ms"] else "",
    )


def _audio_text(track: Report) -> str:
    return _joined(
        track["codec"] or "unknown codec",
        _with(track["sample_rate"], "Hz"),
        _with(track["channels"], "channel" if track["channels"] == 1 else "channels"),
        _with(track["bit_rate_kbps"], "kbit/s"),
    )


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _with(number: float | None, unit: str, *, digits: int = 0) -> str:
    return "" if number is None else f"{round(number, digits):g} {unit}"
