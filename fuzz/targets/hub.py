"""Packets in any order, at any time, into one live stream with two viewers (splice/hub/live_stream.py; DESIGN 5).

The input is a program: an operation, a timestamp, a length and so many bytes, again and again. It publishes audio,
video, configurations, metadata and garbage, restarts the publisher, lets time pass, and lets one viewer's socket take
little or nothing while the other takes all. Invariant: nothing is raised; what a viewer has taken is whole FLV tags,
behind one header; in a track no frame's time goes back; a slow viewer's backlog, and the group of pictures that is kept
for the next viewer, stay within their bounds.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Final
from unittest.mock import patch

from protocol import NEED_DATA, timestamp_difference
from protocol.flv import FlvDecoder, FlvHeader, ScriptData, Tag, TagType, encode_script_data
from protocol.rtmp import MediaKind
from splice.hub import FLV, HubLimits, LiveStream, Subscriber
from splice.hub.packet import Packet, PacketRole, role_of

CODE: Final = (
    "splice/hub/live_stream.py",
    "splice/hub/gop_cache.py",
    "splice/hub/subscriber.py",
    "splice/hub/timeline.py",
    "splice/hub/packet.py",
    "splice/hub/batch.py",
)
MAX_BYTES: Final = 2048

_OPERATION_BYTES: Final = 6  # operation, timestamp in four bytes, length
_LIMITS: Final = HubLimits(gop_cache_bytes=2048, gop_cache_s=5.0, backlog_bytes=1024, backlog_s=3.0)
_METADATA: Final = encode_script_data(ScriptData("onMetaData", ({"videocodecid": 7.0, "audiocodecid": 10.0},)))
_TAG_BYTES: Final = 15
_FILE_HEADER_BYTES: Final = 13

_PUBLISHED: Final = (
    (MediaKind.VIDEO, b"\x17\x01\0\0\0"),  # an AVC keyframe
    (MediaKind.VIDEO, b"\x27\x01\0\0\0"),  # an inter frame
    (MediaKind.VIDEO, b"\x17\0\0\0\0"),  # a configuration
    (MediaKind.AUDIO, b"\xaf\x01"),
    (MediaKind.AUDIO, b"\xaf\0"),
    (MediaKind.DATA, _METADATA),
    (MediaKind.VIDEO, b"\x96\x01avc1"),  # one track of several, whose id is the next byte
    (MediaKind.AUDIO, b"\x95\x01mp4a"),
    (MediaKind.AUDIO, b""),
    (MediaKind.VIDEO, b""),
    (MediaKind.DATA, b""),
)


@dataclass
class _Socket:
    """What the viewer's socket does: it takes `room` bytes, all where that is None."""

    room: int | None
    taken: bytearray = field(default_factory=bytearray)

    def send(self, piece: bytes | memoryview) -> int:
        count = len(piece) if self.room is None else min(self.room, len(piece))
        if not count:
            raise BlockingIOError
        if self.room is not None:
            self.room -= count
        self.taken += piece[:count]
        return count


class _Clock:
    """Stands in for Trio's, so that the input says what time it is, and no loop has to run."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def current_time(self) -> float:
        return self.now_s


class _Form:
    """FLV tags, and how large a piece ever was; shared by all viewers of a run."""

    tracks = FLV.tracks
    closing = FLV.closing

    def __init__(self) -> None:
        self.largest_bytes = 0

    def opening(self, *, has_audio: bool, has_video: bool) -> bytes:
        return FLV.opening(has_audio=has_audio, has_video=has_video)

    def encode(self, packets: Sequence[Packet]) -> bytes:
        piece = FLV.encode(packets)
        self.largest_bytes = max(self.largest_bytes, len(piece))
        return piece


class _Viewer:
    def __init__(self, form: _Form, room: int | None) -> None:
        self.socket = _Socket(room)
        self.joining_bytes = 0
        self._form = form
        self.subscriber = Subscriber(
            form,
            send=self.socket.send,
            meter=SimpleNamespace(bytes=0),
            max_bytes=_LIMITS.backlog_bytes,
            max_s=_LIMITS.backlog_s,
        )

    def join(self, live: LiveStream, watching: ExitStack) -> None:
        watching.enter_context(live.subscribed(self.subscriber))
        self.joining_bytes = self.subscriber.backlog_bytes

    def carry_on(self) -> None:
        """What the viewer's own task does."""
        while (piece := self.subscriber.next_piece) is not None:
            try:
                self.subscriber.took(self.socket.send(piece))
            except BlockingIOError:
                return

    def check_backlog(self) -> None:
        # A single piece may be larger than the bound, with the headers in front of it that a viewer needs who skipped.
        bound = self.joining_bytes + _LIMITS.backlog_bytes + 2 * self._form.largest_bytes
        assert self.subscriber.backlog_bytes <= bound, f"{self.subscriber.backlog_bytes} bytes wait, above {bound}"


def check(data: bytes) -> None:
    clock = _Clock()
    form = _Form()
    with patch("trio.current_time", clock.current_time), ExitStack() as watching:
        live = LiveStream("myapp", "test", _LIMITS)
        quick, slow = _Viewer(form, None), _Viewer(form, 200)
        quick.join(live, watching)
        slow.join(live, watching)
        header_bytes = 0  # of all that a viewer who joins may need in front of the packets that are kept
        pushed = 0
        for operation, timestamp, payload in _program(data):
            if operation % 16 < len(_PUBLISHED):
                kind, beginning = _PUBLISHED[operation % 16]
                body = beginning + payload
                live.push(kind, timestamp, body)
                pushed += 1
                if kind is MediaKind.DATA or role_of(kind, body)[0] is PacketRole.CONFIGURATION:
                    header_bytes += len(body)
            else:
                _let_happen(operation % 16 - len(_PUBLISHED), timestamp, live, clock, slow)
            quick.carry_on()
            assert quick.subscriber.next_piece is None
            slow.check_backlog()
        late = _Viewer(form, None)
        late.join(live, watching)
        kept = _FILE_HEADER_BYTES + _LIMITS.gop_cache_bytes + header_bytes + _TAG_BYTES * 2 * pushed
        assert late.joining_bytes <= kept, f"who joins gets {late.joining_bytes} bytes, above {kept}"
        live.end()
        for viewer in (quick, slow, late):
            viewer.socket.room = None
            viewer.carry_on()
            assert viewer.subscriber.backlog_bytes == 0 and viewer.subscriber.ended
            _check_taken(bytes(viewer.socket.taken))


def _let_happen(what: int, number: int, live: LiveStream, clock: _Clock, slow: _Viewer) -> None:
    if what == 0:
        live.flush()
    elif what == 1:
        clock.now_s += number % 4000 / 1000
    elif what == 2:
        live.restart()
    else:
        slow.socket.room = number % 512
        slow.carry_on()


def _program(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + _OPERATION_BYTES <= len(data):
        timestamp = int.from_bytes(data[at + 1 : at + 5], "big")
        start, at = at + _OPERATION_BYTES, at + _OPERATION_BYTES + data[at + 5]
        yield data[start - _OPERATION_BYTES], timestamp, data[start:at]


def _check_taken(taken: bytes) -> None:
    decoder = FlvDecoder()
    decoder.receive_data(taken)
    assert isinstance(decoder.next_event(), FlvHeader)
    size = _FILE_HEADER_BYTES
    newest: dict[tuple[int, int], int] = {}
    while (event := decoder.next_event()) is not NEED_DATA:
        assert isinstance(event, Tag), event
        size += _TAG_BYTES + len(event.body)
        if event.type == TagType.SCRIPT:
            continue
        role, track = role_of(MediaKind(event.type), event.body)
        if role is PacketRole.CONFIGURATION:
            continue  # what is inserted where a viewer joins stands at the time of what follows, of whatever track
        before = newest.setdefault((event.type, track), event.timestamp)
        assert timestamp_difference(event.timestamp, before) >= 0, f"{event.timestamp} comes behind {before}"
        newest[event.type, track] = event.timestamp
    assert size == len(taken), "the last tag is not whole"
