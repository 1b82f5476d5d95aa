"""What is in the streams of the splice route: codec, size and sound, out of the first bytes of one viewer's body.

    origin's body --the first 64 KiB, as they pass--> Look --> FoundTracks, kept for all viewers of the stream

Spliced bytes are read by nobody. A viewer's first bytes are shown to a `Look` beside their way, once for each stream;
another viewer within the next minutes is spliced unseen. What is no FLV says nothing, and harms nobody.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import trio

from protocol import NEED_DATA, RemoteProtocolError
from protocol.flv import (
    AudioConfiguration,
    FlvDecoder,
    FlvHeader,
    StreamSummary,
    Tag,
    TagType,
    VideoConfiguration,
    decode_audio_data,
    decode_script_data,
    decode_video_data,
)
from splice.http import BodyDecoder, Framing, ResponseError, ResponseHead
from splice.stats import Viewer

__all__ = ["FoundTracks", "Look", "SplicedTracks"]

_OK: Final = 200
_LOOK_BYTES: Final = 64 * 1024
_LOOK_AGAIN_AFTER_S: Final = 300.0  # an encoder may have come back with other settings
_STREAMS: Final = 4096  # an origin may answer 200 for every name that a viewer makes up

_Key: TypeAlias = tuple[str | None, str, str]


@dataclass(frozen=True, slots=True)
class FoundTracks:
    """A stream's default tracks, as far as its first bytes say.

    Attributes:
        video, audio: None: there is none, or the bytes did not tell. A codec of "" is one without a name.
    """

    video: VideoConfiguration | None = None
    audio: AudioConfiguration | None = None


class SplicedTracks:
    """The streams that were looked at lately. All methods are for Trio's thread."""

    def __init__(self) -> None:
        self._looks: OrderedDict[_Key, Look] = OrderedDict()

    def of(self, origin: str | None, app: str, stream: str) -> FoundTracks:
        """What is known of a stream, which may be nothing yet."""
        look = self._looks.get((origin, app, stream))
        return FoundTracks() if look is None else look.tracks

    @contextmanager
    def looking(self, viewer: Viewer, answer: ResponseHead) -> "Iterator[Look | None]":
        """A look at the body behind `answer`, for while the block serves `viewer` with it.

        None: the stream is known already, or looked at by way of another viewer, or this is no stream.
        """
        if answer.status != _OK:
            yield None
            return
        key = (viewer.origin, viewer.app, viewer.stream)
        before = self._looks.pop(key, None)
        now = trio.current_time()
        if before is not None and now < before.holds_until:
            self._looks[key] = before
            yield None
            return
        look = self._looks[key] = Look(
            answer.framing,
            holds_until=now + _LOOK_AGAIN_AFTER_S,
            tracks=FoundTracks() if before is None else before.tracks,
        )
        if len(self._looks) > _STREAMS:
            self._looks.popitem(last=False)
        try:
            yield look
        finally:
            if not look.over:  # the viewer has left too early: the next one is looked at
                look.stop()
                look.holds_until = now


class Look:
    """Takes a body's first bytes, as a pump's tap does: called by one thread at a time, and quick.

    Attributes:
        tracks: what was found so far; at first, what an earlier look has found.
        over: whether nothing more is wanted.
        holds_until: in Trio's time, when the stream is to be looked at again.
    """

    def __init__(self, framing: Framing, *, holds_until: float, tracks: FoundTracks) -> None:
        self.tracks = tracks
        self.holds_until = holds_until
        self._left = _LOOK_BYTES
        self._reader: _Reader | None = _Reader(framing)

    @property
    def over(self) -> bool:
        return self._reader is None

    def __call__(self, data: bytes | memoryview) -> bool:
        """Take the next bytes of the body; whether more are wanted."""
        if self._reader is None:
            return False
        data = data[: self._left]
        self._left -= len(data)
        try:
            self._reader.receive_data(data)
        except (RemoteProtocolError, ResponseError):
            self._left = 0
        self.tracks = self._reader.tracks
        if self._reader.complete or not self._left:
            self.stop()
        return not self.over

    def stop(self) -> None:
        """Want nothing more, and hold nothing of the stream."""
        self._reader = None


class _Reader:
    """A body's bytes become tracks."""

    def __init__(self, framing: Framing) -> None:
        self._body: Final = BodyDecoder(framing)
        self._flv: Final = FlvDecoder(lenient=True)
        self._summary: Final = StreamSummary()
        self._header: FlvHeader | None = None
        self.tracks = FoundTracks()

    @property
    def complete(self) -> bool:
        """Whether of each track that the FLV header names all is known."""
        header, video, audio = self._header, self.tracks.video, self.tracks.audio
        if header is None or not (header.has_video or header.has_audio):
            return False
        knows_video = video is not None and bool(video.codec and video.width and video.height)
        knows_audio = audio is not None and bool(audio.codec and audio.sample_rate)
        return (knows_video or not header.has_video) and (knows_audio or not header.has_audio)

    def receive_data(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            RemoteProtocolError: they are no FLV.
            ResponseError: their framing is broken.
        """
        for payload in self._body.receive_data(data):
            self._flv.receive_data(payload)
        while not self.complete and (event := self._flv.next_event()) is not NEED_DATA:
            if isinstance(event, FlvHeader):
                self._header = event
            elif isinstance(event, Tag) and not event.filtered:
                self._read(event)

    def _read(self, tag: Tag) -> None:
        if tag.type == TagType.VIDEO:
            self._summary.add_video(decode_video_data(tag.body), tag.timestamp)
        elif tag.type == TagType.AUDIO:
            self._summary.add_audio(decode_audio_data(tag.body), tag.timestamp)
        elif tag.type in (TagType.SCRIPT, TagType.AMF3_SCRIPT):
            self._summary.add_script(decode_script_data(tag.body, tag_type=tag.type))
        report: dict[str, Any] = self._summary.as_json()
        video, audio = report["video"], report["audio"]
        self.tracks = FoundTracks(
            video and VideoConfiguration(video["codec"] or "", video["width"], video["height"]),
            audio and AudioConfiguration(audio["codec"] or "", audio["sample_rate"], audio["channels"]),
        )
