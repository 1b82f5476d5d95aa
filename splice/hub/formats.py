"""The forms in which packets leave the hub. A batch is encoded once for each form, however many viewers want it.

    FLV tags | FLV tags in HTTP's chunked coding | FLV tags in a WebSocket message | RTMP chunks

Every piece that a form makes stands by itself: between two pieces a viewer may be moved on to a later one. Each of the
four is there with all tracks, and with those of one kind alone (`only`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from protocol.flv import FlvHeader, encode_header
from protocol.rtmp import MEDIA_CHUNK_STREAM_IDS, RawMessage, encode_standalone
from splice.http import LAST_CHUNK, binary_message, chunk
from splice.hub.packet import Packet
from splice.hub.tracks import Tracks

__all__ = ["CHUNKED_FLV", "FLV", "WEBSOCKET_FLV", "Form", "RtmpForm", "only"]


class Form(Protocol):
    """Hashable; equal forms share their encodings."""

    @property
    def tracks(self) -> Tracks:
        """Which tracks it has."""
        ...

    def opening(self, *, has_audio: bool, has_video: bool) -> bytes:
        """What comes before the first packet."""
        ...

    def encode(self, packets: Sequence[Packet]) -> bytes:
        """At least one packet, as one piece; b"" where the form has none of their tracks."""
        ...

    @property
    def closing(self) -> bytes:
        """What ends the stream behind the last packet; the connection is closed after it."""
        ...


class _Flv:
    tracks = Tracks.ALL
    closing = b""

    def opening(self, *, has_audio: bool, has_video: bool) -> bytes:
        return encode_header(FlvHeader(has_audio, has_video))

    def encode(self, packets: Sequence[Packet]) -> bytes:
        return packets[0].flv if len(packets) == 1 else b"".join([packet.flv for packet in packets])


class _ChunkedFlv(_Flv):
    closing = LAST_CHUNK

    def opening(self, *, has_audio: bool, has_video: bool) -> bytes:
        return chunk(super().opening(has_audio=has_audio, has_video=has_video))

    def encode(self, packets: Sequence[Packet]) -> bytes:
        return chunk(super().encode(packets))


class _WebSocketFlv(_Flv):
    def opening(self, *, has_audio: bool, has_video: bool) -> bytes:
        return binary_message(super().opening(has_audio=has_audio, has_video=has_video))

    def encode(self, packets: Sequence[Packet]) -> bytes:
        return binary_message(super().encode(packets))


FLV: Final[Form] = _Flv()
"""Tags until the connection closes: HTTP/1.0, and bodies that another server frames."""
CHUNKED_FLV: Final[Form] = _ChunkedFlv()
"""Tags in HTTP/1.1's chunked coding, a chunk a piece."""
WEBSOCKET_FLV: Final[Form] = _WebSocketFlv()
"""Tags in binary WebSocket messages, a message a piece. Its close frame depends on the connection and is not here."""


@dataclass(frozen=True, slots=True)
class RtmpForm:
    """RTMP chunks that are the same for all players, and so are made once; a session's `send_media` makes its own.

    Args:
        message_stream_id: where the player wants its media; 1 for all but odd ones.
        chunk_size: what the door has announced to every player.
    """

    message_stream_id: int
    chunk_size: int

    @property
    def tracks(self) -> Tracks:
        return Tracks.ALL

    def opening(self, *, has_audio: bool, has_video: bool) -> bytes:
        return b""

    def encode(self, packets: Sequence[Packet]) -> bytes:
        number, chunk_size = self.message_stream_id, self.chunk_size
        return b"".join(
            encode_standalone(
                RawMessage(packet.timestamp, packet.kind, number, packet.payload, MEDIA_CHUNK_STREAM_IDS[packet.kind]),
                chunk_size,
            )
            for packet in packets
        )

    @property
    def closing(self) -> bytes:
        return b""


@dataclass(frozen=True, slots=True)
class _FormOfOneKind:
    """Another form, with the tracks of one kind alone."""

    form: Form
    tracks: Tracks

    def opening(self, *, has_audio: bool, has_video: bool) -> bytes:
        tracks = self.tracks
        return self.form.opening(has_audio=has_audio and tracks.audio, has_video=has_video and tracks.video)

    def encode(self, packets: Sequence[Packet]) -> bytes:
        chosen = self.tracks.of(packets)
        return self.form.encode(chosen) if chosen else b""

    @property
    def closing(self) -> bytes:
        return self.form.closing


def only(form: Form, tracks: Tracks) -> Form:
    """A form with all tracks, or with some: who asks for the same of both gets the same encodings."""
    return form if tracks is Tracks.ALL else _FormOfOneKind(form, tracks)
