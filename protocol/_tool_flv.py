"""`python -m protocol flv`, without its I/O: bytes of a file in, lines of text or JSON out.

`FlvReport` feeds a lenient `FlvDecoder`, makes a line of every tag and hands its body to `StreamSummary`. A body that
cannot be read is a fault of its tag alone; bytes that are no FLV any more end the report where they stand.
"""

import json
import math
from collections.abc import Iterator
from typing import Final, TypeAlias

from protocol._base import NEED_DATA, RemoteProtocolError
from protocol.amf import Date, TypedObject, Value
from protocol.flv import (
    AudioData,
    FlvDecoder,
    FlvFault,
    FlvHeader,
    ScriptData,
    StreamSummary,
    Tag,
    TagType,
    VideoData,
    decode_audio_data,
    decode_script_data,
    decode_video_data,
)

__all__ = ["FlvReport"]

_TAG_NAMES: Final[dict[int, str]] = {
    TagType.AUDIO: "audio",
    TagType.VIDEO: "video",
    TagType.SCRIPT: "script",
    TagType.AMF3_SCRIPT: "script",
}
_LONGEST_VALUES: Final = 160

JsonObject: TypeAlias = dict[str, object]


class FlvReport:
    """Describes one FLV file.

    Args:
        json_lines: one JSON object a line, else text for people.
    """

    def __init__(self, *, json_lines: bool = False) -> None:
        self._json = json_lines
        self._decoder = FlvDecoder(lenient=True)
        self._summary = StreamSummary()
        self._broken = False

    @property
    def damaged(self) -> bool:
        """Whether anything so far was not as the specification has it; timestamps that jump are no damage."""
        return self._summary.damaged

    @property
    def broken(self) -> bool:
        """Whether the bytes stopped being FLV: nothing after that is read."""
        return self._broken

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines of the tags that `data` completes."""
        self._decoder.receive_data(data)
        while not self._broken:
            try:
                event = self._decoder.next_event()
            except RemoteProtocolError as error:
                self._break(error)
                return
            if event is NEED_DATA:
                return
            if isinstance(event, FlvFault):
                self._summary.fault(event.offset, f"{event.message} ({event.spec})")
            elif isinstance(event, FlvHeader):
                if not self._json:
                    yield f"FLV version {event.version}, {_tracks(event)}"
            else:
                line = self._describe(event)
                yield json.dumps(line) if self._json else _text(line)

    def finish(self, *, whole: bool = True) -> Iterator[str]:
        """The closing summary. `whole`: the input has ended by itself, and has to end between two tags."""
        if whole and not self._broken:
            try:
                self._decoder.end()
            except RemoteProtocolError as error:
                self._break(error)
        summary = self._summary.as_json()
        yield from [json.dumps({"summary": summary})] if self._json else _summary_text(summary)

    def _break(self, error: RemoteProtocolError) -> None:
        self._broken = True
        self._summary.fault(self._decoder.bytes_read, f"broken here: {error}")

    def _describe(self, tag: Tag) -> JsonObject:
        self._summary.tags += 1
        offset = self._decoder.event_offset
        line: JsonObject = {
            "offset": offset,
            "tag": _TAG_NAMES.get(tag.type, "unknown"),
            "timestamp_ms": tag.timestamp,
            "data_size": len(tag.body),
            "codec": None,
            "packet": None,
            "keyframe": False,
            "composition_time_ms": None,
            "track": None,
        }
        if tag.filtered:
            line["packet"] = "encrypted"
            return line
        try:
            if tag.type == TagType.VIDEO:
                self._describe_video(line, tag, decode_video_data(tag.body))
            elif tag.type == TagType.AUDIO:
                self._describe_audio(line, tag, decode_audio_data(tag.body))
            elif tag.type in (TagType.SCRIPT, TagType.AMF3_SCRIPT):
                self._describe_script(line, decode_script_data(tag.body, tag_type=tag.type))
            else:
                line["type"] = int(tag.type)
        except RemoteProtocolError as error:
            line["error"] = str(error)
            self._summary.fault(offset, str(error))
        return line

    def _describe_video(self, line: JsonObject, tag: Tag, video: VideoData) -> None:
        first = video.tracks[0] if video.tracks else None
        line.update(
            codec=first.fourcc if first else None,
            packet=_video_packet(video, first.data if first else b""),
            keyframe=video.is_keyframe,
            composition_time_ms=first.composition_time_ms if first else 0,
            track=first.track_id if first else 0,
        )
        if len(video.tracks) > 1:
            line["tracks"] = [
                {"track": track.track_id, "codec": track.fourcc, "composition_time_ms": track.composition_time_ms}
                for track in video.tracks
            ]
        self._summary.add_video(video, tag.timestamp, offset=self._decoder.event_offset)

    def _describe_audio(self, line: JsonObject, tag: Tag, audio: AudioData) -> None:
        first = audio.tracks[0] if audio.tracks else None
        line.update(
            codec=first.fourcc if first else None,
            packet=_audio_packet(audio, first.data if first else b""),
            composition_time_ms=0,
            track=first.track_id if first else 0,
        )
        if len(audio.tracks) > 1:
            line["tracks"] = [{"track": track.track_id, "codec": track.fourcc} for track in audio.tracks]
        self._summary.add_audio(audio, tag.timestamp, offset=self._decoder.event_offset)

    def _describe_script(self, line: JsonObject, script: ScriptData) -> None:
        line.update(name=script.name, values=[_json_value(value) for value in script.values])
        self._summary.add_script(script)


def _video_packet(video: VideoData, data: bytes) -> str:
    if video.command is not None:
        return _packet_name(video.command, "command")
    # A legacy AVCPacketType that is not known stands first in the track's data.
    return _packet_name(video.packet_type if video.packet_type is not None else data[0], "unknown")


def _audio_packet(audio: AudioData, data: bytes) -> str:
    if audio.is_silence:
        return "silence"
    return _packet_name(audio.packet_type if audio.packet_type is not None else data[0], "unknown")


def _packet_name(number: int, otherwise: str) -> str:
    name = getattr(number, "name", None)
    return name.lower() if isinstance(name, str) else f"{otherwise}_{number}"


def _json_value(value: Value, above: tuple[int, ...] = ()) -> object:
    """An AMF value as JSON has it; a value that holds itself is cut where it comes again."""
    if isinstance(value, bool | str | None):
        return value
    if isinstance(value, int | float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Date):
        return _json_value(value.unix_ms)
    if id(value) in above:
        return "..."
    above = (*above, id(value))
    if isinstance(value, TypedObject):
        value = value.members
    if isinstance(value, dict):
        return {name: _json_value(member, above) for name, member in value.items()}
    if isinstance(value, list):
        return [_json_value(member, above) for member in value]
    return None if not value else type(value).__name__


def _tracks(header: FlvHeader) -> str:
    promised = [name for name, there in (("audio", header.has_audio), ("video", header.has_video)) if there]
    return " and ".join(promised) if promised else "no tracks promised"


def _printable(text: object) -> str:
    """What a file says, safe for a terminal."""
    return "".join(char if " " <= char <= "~" else "?" for char in str(text))


def _text(line: JsonObject) -> str:
    parts = [
        f"{line['offset']:>10} {line['tag']:<7} {line['timestamp_ms']:>8} ms {line['data_size']:>8} B ",
        f"{_printable(line['codec'] or '-'):<4} {line['packet'] or '-'}" if "name" not in line else "",
        "keyframe" if line["keyframe"] else "",
        f"composition {line['composition_time_ms']:+} ms" if line["composition_time_ms"] else "",
        f"track {line['track']}" if line["track"] else "",
    ]
    if "name" in line:
        values = json.dumps(line["values"])
        cut = values if len(values) <= _LONGEST_VALUES else f"{values[:_LONGEST_VALUES]}..."
        parts.append(f"{_printable(line['name'])} {cut}")
    if "error" in line:
        parts.append(f"cannot be read: {line['error']}")
    return " ".join(part for part in parts if part)


def _summary_text(summary: JsonObject) -> Iterator[str]:
    yield f"{summary['tags']} tags, {summary['duration_ms']} ms"
    for kind in ("video", "audio"):
        tracks = summary.get(f"{kind}_tracks") or [summary[kind]]
        for track in tracks if isinstance(tracks, list) else ():
            if track is not None:
                fields = [f"{name} {_printable(value)}" for name, value in track.items() if value is not None]
                yield f"{kind}: {', '.join(fields)}"
    faults = summary["faults"]
    for fault in faults if isinstance(faults, list) else ():
        yield f"fault at byte {fault['offset']}: {_printable(fault['message'])}"
