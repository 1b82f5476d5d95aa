"""A media packet as the hub holds it: one message, on the stream's own clock, and its FLV tag, made once."""

import enum
from typing import Final

from protocol.flv import encode_tag, is_codec_configuration, is_keyframe, is_metadata_frame, track_id
from protocol.rtmp import MediaKind

__all__ = ["Packet", "PacketRole", "role_of"]


class PacketRole(enum.Enum):
    """What a packet is to those who join and those who skip."""

    KEYFRAME = "keyframe"  # of the default video track: decoding can begin here
    CONFIGURATION = "configuration"  # a codec configuration, or colours in force until the next such frame
    METADATA = "metadata"  # onMetaData
    MEDIA = "media"


class Packet:
    """One audio, video or data message; immutable.

    Attributes:
        kind: what it carries.
        role: see `PacketRole`.
        timestamp: milliseconds modulo 2**32, on the stream's own clock.
        payload: the body of an FLV tag.
        track: 0, or the multitrack message's first track id.
    """

    __slots__ = ("_flv", "kind", "payload", "role", "timestamp", "track")

    def __init__(self, kind: MediaKind, role: PacketRole, timestamp: int, payload: bytes, track: int = 0) -> None:
        self.kind: Final = kind
        self.role: Final = role
        self.timestamp: Final = timestamp
        self.payload: Final = payload
        self.track: Final = track
        self._flv: bytes | None = None

    def __repr__(self) -> str:
        return f"<Packet {self.kind.name} {self.role.value} at {self.timestamp} ms, {len(self.payload)} bytes>"

    @property
    def flv(self) -> bytes:
        """The packet's FLV tag with its PreviousTagSize; made when first asked for."""
        if self._flv is None:
            self._flv = encode_tag(self.kind, self.timestamp, self.payload)
        return self._flv

    def at(self, timestamp: int) -> "Packet":
        """The same packet at another time, as it is inserted where a viewer joins."""
        return Packet(self.kind, self.role, timestamp, self.payload, self.track)


def role_of(kind: MediaKind, payload: bytes) -> tuple[PacketRole, int]:
    """The role and the track of a message."""
    if kind is MediaKind.DATA:
        return PacketRole.MEDIA, 0
    track = track_id(kind, payload)
    if is_codec_configuration(kind, payload):
        return PacketRole.CONFIGURATION, track
    if kind is MediaKind.VIDEO:
        if is_metadata_frame(payload):
            return PacketRole.CONFIGURATION, track
        if track == 0 and is_keyframe(payload):
            return PacketRole.KEYFRAME, track
    return PacketRole.MEDIA, track
