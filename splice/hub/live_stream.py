"""One live stream: packets come in from whoever publishes, and go out to whoever watches.

`push` takes a packet. Packets that come within `merge_s` of each other make one batch; a batch is encoded once for
each form that somebody wants, and offered to every viewer in one plain loop, without a task switch. A keyframe always
begins a batch, so that a viewer can be moved on to it.

Pictures begin with a publisher's first keyframe: frames before it refer to some that nobody has, and are left out.
Where video is silent, before that or because it has stopped, nobody waits for a keyframe to begin with the rest.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import trio

from protocol import RemoteProtocolError, timestamp_difference
from protocol.flv import StreamMetadata, decode_script_data, without_set_data_frame
from protocol.rtmp import MediaKind
from splice.hub.batch import Batch
from splice.hub.formats import Form
from splice.hub.gop_cache import GopCache
from splice.hub.packet import Packet, PacketRole, role_of
from splice.hub.passage import Passage
from splice.hub.subscriber import Subscriber
from splice.hub.timeline import Timeline

__all__ = ["HubLimits", "LiveStream"]

_VIDEO_SILENT_S: Final = 5.0
"""Where the rest has come for so long without any video, nobody waits for a keyframe."""
_KEYFRAME_WAIT_S: Final = 12.0
"""Video that has begun without a keyframe and brings none for so long, longer than x264's 250 frames take, is taken for
coded by intra refresh: a decoder may begin anywhere."""
_JOIN_PIECE_BYTES: Final = 64 * 1024  # so that a viewer who cannot take its first group whole can be moved on


@dataclass(frozen=True, slots=True)
class HubLimits:
    """What a live stream is run by; durations in seconds."""

    merge_s: float = 0.02
    gop_cache_bytes: int = 8 * 1024 * 1024
    gop_cache_s: float = 30.0
    backlog_bytes: int = 4 * 1024 * 1024
    backlog_s: float = 3.0
    tracks_wait_s: float = 0.5
    republish_grace_s: float = 10.0


class LiveStream:
    """See the module.

    Attributes:
        app, stream: its name.
        tracks_known: set when `has_audio` and `has_video` are to be relied on.
        ended: set when nothing will come any more, and every viewer has been told.
        bytes_in: what was pushed; video_bytes: its video alone.
        video_frames: how many frames of the default video track were pushed.
        keyframe_interval_ms: between the last two keyframes; None before the second.
        metadata: what the publisher's onMetaData says.
        last_packet_at: in Trio's time.
        unwatched_since: when the last subscriber left, or it began, in Trio's time; None while there is one.
        passage: the doors that it has passed on its way here.
    """

    def __init__(self, app: str, stream: str, limits: HubLimits) -> None:
        self.app: Final = app
        self.stream: Final = stream
        self.limits: Final = limits
        self.has_audio = False
        self.has_video = False
        self.tracks_known = trio.Event()
        self.ended = trio.Event()
        self.bytes_in = 0
        self.video_bytes = 0
        self.video_frames = 0
        self.keyframe_interval_ms: int | None = None
        self.metadata: StreamMetadata | None = None
        self.last_packet_at = trio.current_time()
        self.unwatched_since: float | None = self.last_packet_at
        self.passage = Passage()
        self._skipped = 0  # by viewers who have left
        self._keyframe_at: int | None = None
        # Of the default video track, by this publisher; metadata may promise a track that never comes.
        self._first_video_at = math.inf  # when its first frame came, of any kind
        self._video_at = -math.inf  # when its newest frame came that was not left out
        self._without_keyframes = False
        self._timeline = Timeline()
        self._cache = GopCache(max_bytes=limits.gop_cache_bytes, max_s=limits.gop_cache_s)
        self._pending: list[Packet] = []
        self._pending_since = 0.0
        self._something_pending = trio.Event()
        self._something_pushed = trio.Event()
        self._publication = trio.CancelScope()  # what waits for this publisher's tracks runs inside
        self._configuration = 0
        self._configuration_before = 0  # of the first pending packet, as the headers are
        self._headers_before: Sequence[Packet] = ()
        self._subscribers: dict[Form, dict[Subscriber, None]] = {}
        self._joined: dict[Form, list[bytes]] = {}

    def __repr__(self) -> str:
        return f"<LiveStream {self.app}/{self.stream}>"

    def now_ms(self) -> int:
        """The newest time of a frame, in milliseconds modulo 2**32 on the stream's own clock."""
        return self._timeline.now

    @property
    def viewers(self) -> int:
        """How many subscribers there are."""
        return sum(map(len, self._subscribers.values()))

    @property
    def backlog_bytes(self) -> int:
        """What waits for all viewers together; pieces that several share count for each."""
        return sum(each.backlog_bytes for group in self._subscribers.values() for each in group)

    @property
    def skipped(self) -> int:
        """How many times a viewer was moved on to a keyframe so far."""
        return self._skipped + sum(each.skipped for group in self._subscribers.values() for each in group)

    @property
    def slowest_s(self) -> float:
        """For how many seconds the oldest packet has waited that some viewer has not taken yet."""
        since = [each.waits_since for group in self._subscribers.values() for each in group]
        return max([trio.current_time() - made_at for made_at in since if made_at is not None], default=0.0)

    @property
    def headers(self) -> list[Packet]:
        """Metadata and codec configurations that are in force."""
        return self._cache.headers(self._timeline.now)

    # --- from the publisher ---

    def restart(self) -> None:
        """Another publisher begins: its tracks, configurations and clock are not the last one's."""
        self.flush()
        self.last_packet_at = trio.current_time()
        self._timeline.restart()
        self._cache.forget()
        self._joined.clear()
        self.metadata = None
        self.keyframe_interval_ms = self._keyframe_at = None
        self.has_audio = self.has_video = False
        self._first_video_at, self._video_at = math.inf, -math.inf
        self._without_keyframes = False
        if self.tracks_known.is_set():
            self.tracks_known = trio.Event()
        self._something_pushed = trio.Event()
        self._publication.cancel()
        self._publication = trio.CancelScope()

    def push(self, kind: MediaKind, timestamp: int, payload: bytes) -> None:
        """Take one message of the publisher's.

        Args:
            kind: what it carries.
            timestamp: milliseconds modulo 2**32, on the publisher's clock.
            payload: the body of an FLV tag; DATA may begin with @setDataFrame.
        """
        if self.ended.is_set():
            return  # the publisher has not noticed yet
        self.last_packet_at = trio.current_time()
        self.bytes_in += len(payload)
        if kind is MediaKind.DATA:
            self._push_data(timestamp, payload)
            return
        if not payload:
            return  # silence, by Enhanced RTMP; nothing that a viewer would miss, and FLV readers stumble over it
        self._see_track(kind)
        role, track = role_of(kind, payload)
        if kind is MediaKind.VIDEO:
            self.video_bytes += len(payload)
            if not track and role is not PacketRole.CONFIGURATION:
                self.video_frames += 1
                if self._video_is_silent and not self._resume_video(role):
                    return
                self._video_at = self.last_packet_at
        if role is PacketRole.CONFIGURATION:
            packet = Packet(kind, role, self._timeline.place_configuration(kind, track), payload, track)
        else:
            packet = Packet(kind, role, self._timeline.place(kind, track, timestamp), payload, track)
            if role is PacketRole.KEYFRAME:
                self.flush()
                self._see_keyframe(packet.timestamp)
        self._add(packet)

    def _push_data(self, timestamp: int, payload: bytes) -> None:
        payload = without_set_data_frame(payload)
        try:
            script = decode_script_data(payload)
        except RemoteProtocolError:
            return  # no viewer could read it either
        role = PacketRole.METADATA if script.name == "onMetaData" else PacketRole.MEDIA
        if role is PacketRole.METADATA:
            self.metadata = StreamMetadata.from_amf(script.values[0] if script.values else None)
            named = self.metadata.default
            if named.audio_codec is not None and named.video_codec is not None:
                self.has_audio = self.has_video = True
                self.tracks_known.set()
        self._add(Packet(MediaKind.DATA, role, self._timeline.place_data(timestamp), payload))

    def _see_track(self, kind: MediaKind) -> None:
        self._something_pushed.set()
        if kind is MediaKind.AUDIO:
            self.has_audio = True
        else:
            self.has_video = True
        if self.has_audio and self.has_video:
            self.tracks_known.set()

    @property
    def _video_is_silent(self) -> bool:
        return self.last_packet_at - self._video_at > _VIDEO_SILENT_S

    def _resume_video(self, role: PacketRole) -> bool:
        """Decide on the first frame of video, or the first after a silence: whether it goes out.

        Those who have begun in the silence have no picture that an inter frame could refer to; with one, they wait for
        the next keyframe.
        """
        begins = role is PacketRole.KEYFRAME
        if not begins and self._video_at == -math.inf:
            self._first_video_at = min(self._first_video_at, self.last_packet_at)
            self._without_keyframes = self.last_packet_at - self._first_video_at > _KEYFRAME_WAIT_S
            return self._without_keyframes
        self.flush()
        for subscriber in [each for group in self._subscribers.values() for each in group if each.lacks_picture]:
            if begins:
                subscriber.lacks_picture = False
            else:
                subscriber.await_keyframe()
        return True

    def _see_keyframe(self, timestamp: int) -> None:
        if self._keyframe_at is not None:
            self.keyframe_interval_ms = timestamp_difference(timestamp, self._keyframe_at)
        self._keyframe_at = timestamp
        self._without_keyframes = False

    def _add(self, packet: Packet) -> None:
        self._joined.clear()
        if not self._pending:
            self._pending_since = self.last_packet_at
            self._configuration_before = self._configuration
            self._headers_before = self._cache.configurations(packet.timestamp)
            self._something_pending.set()
        self._pending.append(packet)
        self._cache.add(packet)
        if packet.role is PacketRole.CONFIGURATION:
            self._configuration += 1
        if not self.limits.merge_s:
            self.flush()

    def flush(self) -> None:
        """Send what is pending to everyone, now."""
        if not self._pending:
            return
        packets, self._pending = self._pending, []
        self._something_pending = trio.Event()
        batch = Batch(
            packets,
            packets[0].role is PacketRole.KEYFRAME or self._begins_anywhere,
            self._configuration_before,
            self._headers_before,
            self._pending_since,
        )
        for form, subscribers in self._subscribers.items():
            piece = form.encode(packets)
            if piece:
                _offer_to_all(subscribers, piece, batch if form.tracks.video else _sound_of(batch))

    # --- the stream's own task ---

    async def run(self) -> None:
        """Keep the stream's time: send pending packets when they are due, decide on the tracks. Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._decide_on_tracks)
            while self.limits.merge_s:
                await self._something_pending.wait()
                await trio.sleep(self.limits.merge_s)
                self.flush()

    async def _decide_on_tracks(self) -> None:
        while True:
            with self._publication:
                await self._something_pushed.wait()
                with trio.move_on_after(self.limits.tracks_wait_s):
                    await self.tracks_known.wait()
                self.tracks_known.set()
                await trio.sleep_forever()

    def end(self) -> None:
        """Tell every viewer that nothing will come any more."""
        self.flush()
        self.ended.set()
        self.tracks_known.set()
        now = trio.current_time()
        for form, subscribers in self._subscribers.items():
            for subscriber in subscribers:
                subscriber.end(form.closing, now)

    # --- to the viewers ---

    @property
    def _begins_anywhere(self) -> bool:
        """Whether a viewer need not wait for a keyframe."""
        return self._video_is_silent or self._without_keyframes

    async def wait_tracks_known(self) -> None:
        """Wait until an FLV header would tell the truth: at most `tracks_wait_s` behind the first packet."""
        while not self.tracks_known.is_set():
            await self.tracks_known.wait()

    @contextmanager
    def subscribed(self, subscriber: Subscriber) -> Iterator[None]:
        """Send the stream to `subscriber` while the block runs, from its opening on."""
        self.flush()  # whoever joins gets what was pending out of the cache, and must not get it twice
        form = subscriber.form
        now = trio.current_time()
        pieces, at_keyframe = self._joining_pieces(form)
        opening = form.opening(has_audio=self.has_audio, has_video=self.has_video)
        subscriber.begin(pieces, now=now, configuration=self._configuration, at_keyframe=at_keyframe, opening=opening)
        subscriber.lacks_picture = at_keyframe and not len(self._cache)
        group = self._subscribers.setdefault(form, {})
        group[subscriber] = None
        self.unwatched_since = None
        if self.ended.is_set():
            subscriber.end(form.closing, now)
        try:
            yield
        finally:
            self._skipped += subscriber.skipped
            del group[subscriber]
            if not group:
                del self._subscribers[form]
            if not self._subscribers:
                self.unwatched_since = trio.current_time()

    def _joining_pieces(self, form: Form) -> tuple[list[bytes], bool]:
        packets = self._cache.joined()
        at_keyframe = bool(packets) or self._begins_anywhere
        if not packets:
            packets = self._cache.headers(self._timeline.now)
        if form not in self._joined:
            self._joined[form] = list(filter(None, _encode_in_pieces(form, packets)))
        return self._joined[form], at_keyframe


def _offer_to_all(subscribers: Iterable[Subscriber], piece: bytes, batch: Batch) -> None:
    """The loop that the hub's cost is made of: for a viewer who keeps up, the system call and little else."""
    size = len(piece)
    for subscriber in subscribers:
        if not subscriber.flows:
            subscriber.offer(piece, batch)
            continue
        try:
            sent = subscriber.send(piece)
        except OSError:
            sent = 0
        subscriber.meter.bytes += sent
        if sent != size:
            subscriber.hold_up(piece, sent, batch)


def _sound_of(batch: Batch) -> Batch:
    return batch if batch.begins_at_keyframe else replace(batch, begins_at_keyframe=True)


def _encode_in_pieces(form: Form, packets: Sequence[Packet]) -> Iterator[bytes]:
    """The packets as pieces of a bounded size, so that none of them takes a slow viewer for ever."""
    group: list[Packet] = []
    size = 0
    for packet in packets:
        group.append(packet)
        size += len(packet.payload)
        if size >= _JOIN_PIECE_BYTES:
            yield form.encode(group)
            group, size = [], 0
    if group:
        yield form.encode(group)
