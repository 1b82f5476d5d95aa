"""What the hub's tests share: media that labels tell apart, a socket that takes what it is told to, and its viewer."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import trio
import trio.testing

from protocol import NEED_DATA
from protocol.flv import FlvDecoder, FlvHeader, Tag, encode_script_data
from protocol.flv import ScriptData as Script
from protocol.rtmp import MediaKind
from splice.hub import FLV, Batch, Form, HubLimits, LiveStream, Subscriber
from splice.hub.live_stream import _offer_to_all
from splice.hub.packet import Packet, PacketRole, role_of

__all__ = [
    "ON_META_DATA",
    "Sink",
    "Watcher",
    "aac",
    "aac_configuration",
    "batch",
    "begin",
    "configuration",
    "inter_frame",
    "keyframe",
    "packet",
    "read_flv",
    "running",
    "script",
]

AUDIO, VIDEO, DATA = MediaKind.AUDIO, MediaKind.VIDEO, MediaKind.DATA


def keyframe(label: bytes = b"") -> bytes:
    """An AVC keyframe's body, which `label` tells from others; no decoder would take it."""
    return b"\x17\x01\0\0\0" + label


def inter_frame(label: bytes = b"") -> bytes:
    """An AVC inter frame's body."""
    return b"\x27\x01\0\0\0" + label


def configuration(label: bytes = b"") -> bytes:
    """An AVC sequence header's body."""
    return b"\x17\0\0\0\0" + label


def aac(label: bytes = b"") -> bytes:
    """An AAC frame's body."""
    return b"\xaf\x01" + label


def aac_configuration(label: bytes = b"") -> bytes:
    """An AAC sequence header's body."""
    return b"\xaf\0" + label


def script(name: str = "onMetaData", **members: float | str) -> bytes:
    """A data message with one object."""
    return encode_script_data(Script(name, (dict(members),)))


ON_META_DATA = script(videocodecid=7.0, audiocodecid=10.0)


def packet(kind: MediaKind, timestamp: int, payload: bytes) -> Packet:
    """A packet in the role that its payload has."""
    role, track = role_of(kind, payload)
    if kind is DATA and payload.startswith(b"\x02\x00\x0aonMetaData"):
        role = PacketRole.METADATA
    return Packet(kind, role, timestamp, payload, track)


def batch(
    packets: Sequence[Packet],
    *,
    configuration: int = 1,
    headers: Sequence[Packet] = (),
    made_at: float = 0.0,
) -> Batch:
    """A batch; `configuration` is the number of that in force before it."""
    begins_at_keyframe = packets[0].role is PacketRole.KEYFRAME
    return Batch(packets, begins_at_keyframe, configuration, headers, made_at)


class Sink:
    """A socket that takes `room` bytes, all where that is None, and then no more.

    Attributes:
        taken: what it took.
        sends: how often it was asked to take something.
        gone: the other side has reset the connection.
    """

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.taken = bytearray()
        self.sends = 0
        self.gone = False

    def send(self, piece: bytes | memoryview) -> int:
        self.sends += 1
        if self.gone:
            raise ConnectionResetError
        count = len(piece) if self.room is None else min(self.room, len(piece))
        if not count:
            raise BlockingIOError
        if self.room is not None:
            self.room -= count
        self.taken += piece[:count]
        return count


class Watcher:
    """A subscriber, and the socket that it sends to."""

    def __init__(
        self, form: Form = FLV, *, room: int | None = None, max_bytes: int = 1 << 20, max_s: float = 3.0
    ) -> None:
        self.sink = Sink(room)
        self.meter = SimpleNamespace(bytes=0)
        self.subscriber = Subscriber(form, send=self.sink.send, meter=self.meter, max_bytes=max_bytes, max_s=max_s)

    def begin(self, pieces: Iterable[bytes] = (), *, configuration: int = 1, at_keyframe: bool = True) -> "Watcher":
        """Join, with these pieces first."""
        self.subscriber.begin(pieces, now=0.0, configuration=configuration, at_keyframe=at_keyframe)
        self.drain()
        return self

    def offer(self, batch: Batch) -> None:
        """Offer a batch as a live stream does."""
        _offer_to_all([self.subscriber], self.subscriber.form.encode(batch.packets), batch)

    def drain(self, room: int = 0) -> None:
        """What the viewer's own task does once the socket takes something again: `room` more bytes than before."""
        if self.sink.room is not None:
            self.sink.room += room
        while (piece := self.subscriber.next_piece) is not None:
            try:
                self.subscriber.took(self.sink.send(piece))
            except BlockingIOError:
                return

    def drain_all(self) -> None:
        """The same, with room for everything from now on."""
        self.sink.room = None
        self.drain()

    @contextmanager
    def watching(self, live: LiveStream) -> Iterator["Watcher"]:
        """Watch a live stream while the block runs."""
        with live.subscribed(self.subscriber):
            self.drain()
            yield self

    async def has_something_to_do(self) -> bool:
        """Whether the viewer's own task would not have to wait."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.subscriber.wait_something_to_do)
            await trio.testing.wait_all_tasks_blocked()
            waits = bool(nursery.child_tasks)
            nursery.cancel_scope.cancel()
        return not waits

    @property
    def tags(self) -> list[Tag]:
        """What the socket took, as FLV with or without a header; its end must be a tag's end."""
        taken = bytes(self.sink.taken)
        return read_flv(taken if taken.startswith(b"FLV") else FLV.opening(has_audio=True, has_video=True) + taken)[1]

    @property
    def bodies(self) -> list[bytes]:
        """The tags' bodies."""
        return [tag.body for tag in self.tags]


def read_flv(data: bytes) -> tuple[FlvHeader, list[Tag]]:
    """A header and tags; the last tag must be whole, and its PreviousTagSize true."""
    decoder = FlvDecoder()
    decoder.receive_data(data)
    events = []
    while (event := decoder.next_event()) is not NEED_DATA:
        events.append(event)
    header, *tags = events
    assert isinstance(header, FlvHeader)
    whole_bytes = 13 + sum(15 + len(tag.body) for tag in tags if isinstance(tag, Tag))
    assert len(data) == whole_bytes, "the last tag is not whole"
    return header, [tag for tag in tags if isinstance(tag, Tag)]


@asynccontextmanager
async def running(
    *, merge_s: float = 0.0, tracks_wait_s: float = 0.5, gop_cache_s: float = 30.0, backlog_bytes: int = 1 << 20
) -> AsyncIterator[LiveStream]:
    """A live stream and its task."""
    limits = HubLimits(
        merge_s=merge_s, tracks_wait_s=tracks_wait_s, gop_cache_s=gop_cache_s, backlog_bytes=backlog_bytes
    )
    async with trio.open_nursery() as nursery:
        live = LiveStream("myapp", "test", limits)
        nursery.start_soon(live.run)
        yield live
        nursery.cancel_scope.cancel()
    assert live.viewers == live.backlog_bytes == 0


def begin(live: LiveStream, at: int = 0, label: bytes = b"") -> list[bytes]:
    """Publish what a viewer needs to begin; the payloads."""
    pushed = [
        (DATA, ON_META_DATA),
        (VIDEO, configuration(label)),
        (AUDIO, aac_configuration(label)),
        (VIDEO, keyframe(label)),
        (AUDIO, aac(label)),
    ]
    for kind, payload in pushed:
        live.push(kind, at, payload)
    return [payload for _, payload in pushed]
