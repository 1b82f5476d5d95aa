"""Which tracks of a live stream somebody is sent: all, or those of one kind, with metadata to match.

A packet's message type says whether it is sound or video: several tracks of one kind (Enhanced RTMP v2, Multitrack
Streaming) stay or go together, whatever they are coded in.
"""

import copy
import enum
from collections.abc import Iterator, Sequence
from typing import Final

from protocol.flv import ScriptData, decode_script_data, encode_script_data
from protocol.rtmp import MediaKind
from splice.hub.packet import Packet, PacketRole

__all__ = ["Tracks"]

# What onMetaData says of a track (FLV 10.1, E.5; Enhanced RTMP v2, Enhancing onMetaData), and what encoders add to it.
# All else that begins with the kind, as videocodecid and audioTrackIdInfoMap, is of it as well.
_PICTURE_FIELDS: Final = frozenset(
    {"width", "height", "framerate", "fps", "hasvideo", "haskeyframes", "displaywidth", "displayheight"}
    | {"avcprofile", "avclevel", "profile", "level"}
)
_SOUND_FIELDS: Final = frozenset({"stereo", "hasaudio", "samplerate", "samplesize", "channels", "aacaot"})


class Tracks(enum.StrEnum):
    """What is sent; the words are those of `?tracks=` and of an application's `tracks`."""

    ALL = "all"
    VIDEO = "video"
    AUDIO = "audio"

    @property
    def video(self) -> bool:
        """Whether pictures are sent."""
        return self is not Tracks.AUDIO

    @property
    def audio(self) -> bool:
        """Whether sound is sent."""
        return self is not Tracks.VIDEO

    def of(self, packets: Sequence[Packet]) -> Sequence[Packet]:
        """Those of the packets that are sent, in their order; maybe none."""
        return packets if self is Tracks.ALL else list(self._chosen(packets))

    def _chosen(self, packets: Sequence[Packet]) -> Iterator[Packet]:
        left_out = MediaKind.AUDIO if self is Tracks.VIDEO else MediaKind.VIDEO
        for packet in packets:
            if packet.role is PacketRole.METADATA:
                said = self._said_of(packet.payload)
                yield Packet(packet.kind, packet.role, packet.timestamp, said, packet.track)
            elif packet.kind is not left_out:
                yield packet

    def _said_of(self, payload: bytes) -> bytes:
        """An onMetaData without what it says of tracks that are left out; all else stays as the publisher sent it."""
        script = decode_script_data(payload)  # as the live stream has done already, or it would not be here
        values = [copy.copy(value) for value in script.values]
        for members in values:
            if isinstance(members, dict):
                for name in filter(self._leaves_out, list(members)):
                    del members[name]
        return encode_script_data(ScriptData(script.name, tuple(values)))

    def _leaves_out(self, field: str) -> bool:
        name = field.lower()
        if self is Tracks.VIDEO:
            return name.startswith("audio") or name in _SOUND_FIELDS
        return name.startswith("video") or name in _PICTURE_FIELDS
