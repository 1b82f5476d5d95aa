"""`python -m protocol rtmp FILE`: what one direction of a captured RTMP connection says, message by message.

The file holds the bytes of one side as TCP carried them, from C0 or S0 on, or with --chunks from the first chunk on.
Each message becomes a line, and a summary follows. Standard output and the file are all that this touches.
"""

import dataclasses
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from protocol._base import NEED_DATA, RemoteProtocolError
from protocol._tool_flags import USAGE_ERROR, ToolFlags, complain
from protocol.amf import TypedObject
from protocol.flv import (
    AudioData,
    StreamSummary,
    VideoData,
    decode_audio_data,
    decode_script_data,
    decode_video_data,
)
from protocol.rtmp.chunks import ChunkReader, RawMessage
from protocol.rtmp.commands import decode_command
from protocol.rtmp.handshake import ClientHandshake, HandshakeDone, HandshakeScheme, ServerHandshake
from protocol.rtmp.messages import (
    MEDIA_KINDS,
    CommandMessage,
    MediaKind,
    MediaMessage,
    MessageType,
    decode_message,
)
from protocol.rtmp.user_control import UserControl

__all__ = ["main"]

_WHOLE: Final = 0
_DAMAGED: Final = 1
_TAGS: Final = {MediaKind.AUDIO: "audio", MediaKind.VIDEO: "video", MediaKind.DATA: "script"}
_MESSAGE_NAMES: Final = {int(known): known.name.lower() for known in MessageType}

Fields = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Run the tool; the exit status: 0 for a whole file, 1 for a damaged one, 2 for a usage error.

    Raises:
        SystemExit: behind --help (0), and behind wrong arguments (2).
    """
    parser = ToolFlags(
        prog="python -m protocol rtmp",
        description="Print the messages of one direction of a captured RTMP connection.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the bytes that one side sent; - is standard input")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--chunks", action="store_true", help="the file starts behind the handshake")
    options = parser.parse_args(arguments)
    try:
        data = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    except OSError as error:
        complain(parser.prog, f"cannot read {options.file}: {error.strerror}")
        return USAGE_ERROR

    report = _Report()
    for line in _lines(data, report, has_handshake=not options.chunks):
        print(json.dumps(line) if options.json else _as_text(line))
    return _DAMAGED if report.summary.damaged else _WHOLE


class _BrokenError(Exception):
    """Here the bytes stop being RTMP."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


def _lines(data: bytes, report: "_Report", *, has_handshake: bool) -> Iterator[Fields]:
    """What is to be printed, the summary last."""
    try:
        start = 0
        if has_handshake:
            done = _read_handshake(data)
            start = len(data) - len(done.trailing_data)
            yield {
                "offset": 0,
                "message": "handshake",
                "timestamp_ms": done.peer_time_ms,
                "data_size": start,
                "scheme": done.scheme.value,
                "software": ".".join(str(number) for number in done.peer_software),
            }
        for offset, message in _read_messages(data, start):
            yield report.describe(offset, message)
    except _BrokenError as broken:
        report.summary.fault(broken.offset, f"broken here: {broken}")
    yield report.closing()


def _read_handshake(data: bytes) -> HandshakeDone:
    """The sender's handshake. Its digest tells which side it is; without one both machines read it alike."""
    machines = (
        ServerHandshake(random_bytes=bytes),
        ClientHandshake(random_bytes=bytes, scheme=HandshakeScheme.SCHEME_1),
    )
    plain: HandshakeDone
    for machine in machines:
        machine.receive_data(data)
        try:
            done = machine.next_event()
        except RemoteProtocolError as error:
            raise _BrokenError(0, str(error)) from error
        if done is NEED_DATA:
            raise _BrokenError(len(data), "the file ends inside the handshake")
        if done.scheme is not HandshakeScheme.PLAIN:
            return done
        plain = done
    return plain


def _read_messages(data: bytes, start: int) -> Iterator[tuple[int, RawMessage]]:
    """The messages, each with the offset of its first chunk.

    Raises:
        _BrokenError: there the file is damaged, or it ends inside a message.
    """
    reader = ChunkReader()
    reader.receive_data(data[start:])
    first_chunks: dict[int, int] = {}
    while True:
        # One chunk at a time, so that each one's offset is known; an unfinished message has begun with its first.
        offset = start + reader.bytes_read
        if offset < len(data):
            first_chunks.setdefault(_chunk_stream_id(data, offset), offset)
        reader.chunk_allowance = 1
        try:
            event = reader.next_event()
        except RemoteProtocolError as error:
            raise _BrokenError(offset, str(error)) from error
        if event is NEED_DATA:
            break
        if isinstance(event, RawMessage):
            yield first_chunks.pop(event.chunk_stream_id), event
            if event.type_id == MessageType.ABORT:
                first_chunks.pop(int.from_bytes(event.payload[:4], "big"), None)
    if reader.bytes_held:
        raise _BrokenError(len(data), f"the file ends inside the message that starts at {min(first_chunks.values())}")


def _chunk_stream_id(data: bytes, offset: int) -> int:
    low = data[offset] & 0x3F
    return low if low > 1 else 64 + int.from_bytes(data[offset + 1 : offset + 2 + low], "little")


class _Report:
    """Describes the messages one by one, and gathers what the summary tells."""

    def __init__(self) -> None:
        self.summary: Final = StreamSummary()
        self._messages = 0

    def describe(self, offset: int, raw: RawMessage) -> Fields:
        """The line of a message; what cannot be read is a fault of that message alone."""
        self._messages += 1
        kind = MEDIA_KINDS.get(raw.type_id)
        line: Fields = {"offset": offset}
        if kind is None:
            line["message"] = _MESSAGE_NAMES.get(raw.type_id, f"unknown_{raw.type_id}")
        else:
            self.summary.tags += 1
            line["tag"] = _TAGS[kind]
        line |= {"timestamp_ms": raw.timestamp, "data_size": len(raw.payload)}
        try:
            message = decode_message(raw)
            line |= self._media(offset, message) if isinstance(message, MediaMessage) else _other_fields(message)
        except RemoteProtocolError as error:
            line["error"] = str(error)
            self.summary.fault(offset, str(error))
        line["chunk_stream_id"] = raw.chunk_stream_id
        line["message_stream_id"] = raw.message_stream_id
        return line

    def closing(self) -> Fields:
        """The summary's line."""
        return {"summary": {"messages": self._messages, **self.summary.as_json()}}

    def _media(self, offset: int, message: MediaMessage) -> Fields:
        if message.kind is MediaKind.DATA:
            script = decode_script_data(message.payload)
            self.summary.add_script(script)
            name, values = script.name, script.values
            if name == "@setDataFrame" and values:
                name = str(values[0])
            return {"name": name, "values": [_plain(value) for value in values]}
        if message.kind is MediaKind.VIDEO:
            return self._video(offset, message.timestamp, decode_video_data(message.payload))
        return self._audio(offset, message.timestamp, decode_audio_data(message.payload))

    def _video(self, offset: int, timestamp: int, video: VideoData) -> Fields:
        self.summary.add_video(video, timestamp, offset=offset)
        first = video.tracks[0] if video.tracks else None
        fields: Fields = {
            "codec": first.fourcc if first else None,
            "packet": "command" if video.command is not None else _name(video.packet_type),
            "keyframe": video.is_keyframe,
            "composition_time_ms": first.composition_time_ms if first else 0,
            "track": first.track_id if first else 0,
        }
        if len(video.tracks) > 1:
            fields["tracks"] = [{"track": track.track_id, "codec": track.fourcc} for track in video.tracks]
        return fields

    def _audio(self, offset: int, timestamp: int, audio: AudioData) -> Fields:
        self.summary.add_audio(audio, timestamp, offset=offset)
        first = audio.tracks[0] if audio.tracks else None
        fields: Fields = {
            "codec": first.fourcc if first else None,
            "packet": "silence" if audio.is_silence else _name(audio.packet_type),
            "keyframe": False,
            "composition_time_ms": 0,
            "track": first.track_id if first else 0,
        }
        if len(audio.tracks) > 1:
            fields["tracks"] = [{"track": track.track_id, "codec": track.fourcc} for track in audio.tracks]
        return fields


def _other_fields(message: object) -> Fields:
    """What a message that is not media says: a command's values, or the numbers of its own class by their names."""
    if isinstance(message, CommandMessage):
        command = decode_command(message)
        return {
            "name": command.name,
            "transaction_id": _plain(command.transaction_id),
            "values": [_plain(command.command_object), *map(_plain, command.arguments)],
        }
    if not dataclasses.is_dataclass(message):
        return {}
    members = ((member.name, getattr(message, member.name)) for member in dataclasses.fields(message))
    fields: Fields = {"name": type(message).__name__} if isinstance(message, UserControl) else {}
    fields["values"] = {name: int(value) for name, value in members if isinstance(value, int)}
    return fields


def _name(packet_type: int | None) -> str:
    """The specification's name of a packet type in lower case, or the number of one without a name."""
    return "unknown" if packet_type is None else str(getattr(packet_type, "name", packet_type)).lower()


def _plain(value: object, above: tuple[int, ...] = ()) -> object:
    """An AMF value in JSON's terms: others become text, and a value that holds itself is cut where it comes again."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() else value
    if id(value) in above:
        return "..."
    above = (*above, id(value))
    if isinstance(value, TypedObject):
        value = value.members
    if isinstance(value, Mapping):
        return {str(key): _plain(member, above) for key, member in value.items()}
    if isinstance(value, list):
        return [_plain(member, above) for member in value]
    return str(value)


def _as_text(line: Fields) -> str:
    if "summary" in line:
        return _summary_text(line["summary"])
    shown = " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in line.items()
        if name not in ("offset", "tag", "message", "timestamp_ms", "data_size")
    )
    what = line.get("tag") or line["message"]
    text = f"{line['offset']:>10} {line['timestamp_ms']:>10} ms {line['data_size']:>8} B  {what:<12} {shown}"
    return "".join(char if " " <= char <= "~" else "?" for char in text)  # safe for a terminal


def _summary_text(summary: Fields) -> str:
    lines = ["", f"{summary['messages']} messages, {summary['tags']} of media, {summary['duration_ms']} ms"]
    for kind in ("video", "audio"):
        for track in summary.get(f"{kind}_tracks") or [summary[kind]]:
            if track is not None:
                known = [f"{name} {value}" for name, value in track.items() if value is not None]
                lines.append(f"{kind}: {', '.join(known)}")
    lines += [f"fault at byte {fault['offset']}: {fault['message']}" for fault in summary["faults"]]
    return "\n".join(lines)
