"""What enhanced audio and video messages share: ModEx packets and the multitrack envelope (Enhanced RTMP v2).

The two media differ in one number (Multitrack is packet type 5 for audio and 6 for video) and in the composition time
that some video codecs put before their coded frames. Everything else of the envelope is read and written here.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocol._base import LocalProtocolError, RemoteProtocolError
from protocol.flv._bits import ByteReader
from protocol.flv._codec_ids import fourcc_bytes

__all__ = [
    "FOURCC_BYTES",
    "MOD_EX",
    "ModEx",
    "ModExType",
    "MultitrackType",
    "RawTrack",
    "encode_mod_ex",
    "encode_multitrack",
    "offset_nanoseconds",
    "read_fourcc",
    "read_mod_ex",
    "read_multitrack",
]

FOURCC_BYTES: Final = 4
MOD_EX: Final = 7
"""AudioPacketType.ModEx and VideoPacketType.ModEx."""

_MAX_OFFSET_NS: Final = 999_999
_MAX_MOD_EX_BYTES: Final = 0x10000
_LONG_MOD_EX: Final = 256
_NO_OFFSET: Final = f"a timestamp offset that is no number of nanoseconds: 3 bytes, 0 to {_MAX_OFFSET_NS}"
_SPEC: Final = "Enhanced RTMP v2, Enhanced Audio and Enhanced Video"


class MultitrackType(enum.IntEnum):
    """AvMultitrackType."""

    ONE_TRACK = 0
    MANY_TRACKS = 1
    MANY_TRACKS_MANY_CODECS = 2


class ModExType(enum.IntEnum):
    """AudioPacketModExType and VideoPacketModExType."""

    TIMESTAMP_OFFSET_NANO = 0


@dataclass(frozen=True, slots=True)
class ModEx:
    """One ModEx packet: a modifier of the message that follows it.

    Attributes:
        type: a `ModExType`, or another number of 0 to 15.
        data: 1 to 65,536 bytes.
    """

    type: int
    data: bytes

    @classmethod
    def timestamp_offset(cls, nanoseconds: int) -> "ModEx":
        """A TimestampOffsetNano of 0 to 999,999 ns.

        Raises:
            LocalProtocolError: outside that range.
        """
        if not 0 <= nanoseconds <= _MAX_OFFSET_NS:
            raise LocalProtocolError(f"a timestamp offset is 0 to {_MAX_OFFSET_NS} ns", spec=_SPEC)
        return cls(ModExType.TIMESTAMP_OFFSET_NANO, nanoseconds.to_bytes(3, "big"))


@dataclass(frozen=True, slots=True)
class RawTrack:
    """One track's share of a message, its payload not looked at."""

    fourcc: str | None
    track_id: int
    data: bytes


def offset_nanoseconds(mod_ex: Sequence[ModEx]) -> int:
    """What the TimestampOffsetNano packets of a message add to its timestamp; 0 where there is none."""
    for packet in mod_ex:
        if packet.type == ModExType.TIMESTAMP_OFFSET_NANO:
            return int.from_bytes(packet.data[:3], "big")
    return 0


def _is_offset(data: bytes) -> bool:
    return len(data) >= 3 and int.from_bytes(data[:3], "big") <= _MAX_OFFSET_NS


def read_mod_ex(reader: ByteReader, packet_type: int) -> tuple[tuple[ModEx, ...], int]:
    """The ModEx packets that stand before the message proper, and the packet type that follows them."""
    packets = []
    while packet_type == MOD_EX:
        size = reader.number(1) + 1
        if size == _LONG_MOD_EX:
            size = reader.number(2) + 1
        data = reader.take(size)
        types = reader.number(1)
        mod_ex_type, packet_type = types >> 4, types & 0x0F
        if mod_ex_type == ModExType.TIMESTAMP_OFFSET_NANO:
            mod_ex_type = ModExType.TIMESTAMP_OFFSET_NANO
            if not _is_offset(data):
                raise RemoteProtocolError(_NO_OFFSET, spec=_SPEC)
        packets.append(ModEx(mod_ex_type, data))
    return tuple(packets), packet_type


def encode_mod_ex(first_bits: int, packets: Sequence[ModEx], packet_type: int) -> bytes:
    """The first byte of a message, its upper half `first_bits`, with the ModEx packets between it and `packet_type`."""
    encoded = bytearray((first_bits << 4,))
    for packet in packets:
        size = len(packet.data)
        if not 1 <= size <= _MAX_MOD_EX_BYTES or not 0 <= packet.type <= 0x0F:
            raise LocalProtocolError("a ModEx packet has a type of 0 to 15 and 1 to 65536 bytes", spec=_SPEC)
        if packet.type == ModExType.TIMESTAMP_OFFSET_NANO and not _is_offset(packet.data):
            raise LocalProtocolError(_NO_OFFSET, spec=_SPEC)
        encoded[-1] |= MOD_EX
        if size < _LONG_MOD_EX:
            encoded.append(size - 1)
        else:
            encoded.append(_LONG_MOD_EX - 1)
            encoded += (size - 1).to_bytes(2, "big")
        encoded += packet.data
        encoded.append(packet.type << 4)
    encoded[-1] |= packet_type
    return bytes(encoded)


def read_fourcc(reader: ByteReader) -> str:
    """The next four bytes as a FourCC."""
    return reader.take(FOURCC_BYTES).decode("latin-1")


def read_multitrack(reader: ByteReader, multitrack: int) -> tuple[int, int, tuple[RawTrack, ...]]:
    """The multitrack envelope: its type, the packet type of its tracks, and the tracks, to the message's last byte.

    A reserved envelope type has tracks in an order that nobody knows yet: its one `RawTrack` has no FourCC and holds
    all that follows the type.
    """
    types = reader.number(1)
    envelope, packet_type = types >> 4, types & 0x0F
    if packet_type == multitrack:
        raise RemoteProtocolError("a multitrack message inside a multitrack message", spec=_SPEC)
    if envelope > MultitrackType.MANY_TRACKS_MANY_CODECS:
        return envelope, packet_type, (RawTrack(None, 0, reader.rest()),)
    if envelope == MultitrackType.ONE_TRACK:
        fourcc = read_fourcc(reader)
        return MultitrackType.ONE_TRACK, packet_type, (RawTrack(fourcc, reader.number(1), reader.rest()),)
    common = read_fourcc(reader) if envelope == MultitrackType.MANY_TRACKS else None
    tracks: list[RawTrack] = []
    while not tracks or reader.bytes_left:
        fourcc = common if common is not None else read_fourcc(reader)
        track_id = reader.number(1)
        tracks.append(RawTrack(fourcc, track_id, reader.take(reader.number(3))))
    return MultitrackType(envelope), packet_type, tuple(tracks)


def encode_multitrack(envelope: int, multitrack: int, packet_type: int, tracks: Sequence[RawTrack]) -> bytes:
    """What follows a message's first byte and ModEx packets: the reverse of `read_multitrack`.

    Raises:
        LocalProtocolError: nested, or the tracks do not fit the envelope.
    """
    if packet_type == multitrack or not 0 <= envelope <= 0x0F:
        raise LocalProtocolError("a multitrack message cannot hold another", spec=_SPEC)
    encoded = bytearray((envelope << 4 | packet_type,))
    many = envelope in (MultitrackType.MANY_TRACKS, MultitrackType.MANY_TRACKS_MANY_CODECS)
    if not tracks or (len(tracks) > 1 and not many):
        raise LocalProtocolError("a multitrack message has a track, and only some types more", spec=_SPEC)
    if envelope == MultitrackType.MANY_TRACKS and len({track.fourcc for track in tracks}) > 1:
        raise LocalProtocolError("tracks of one message, without codecs of their own, share one FourCC", spec=_SPEC)
    if envelope > MultitrackType.MANY_TRACKS_MANY_CODECS:
        return bytes(encoded) + tracks[0].data
    for index, track in enumerate(tracks):
        if not 0 <= track.track_id <= 0xFF or len(track.data) > 0xFFFFFF:
            raise LocalProtocolError("a track has an id of 0 to 255 and at most 0xFFFFFF bytes", spec=_SPEC)
        if index == 0 or envelope == MultitrackType.MANY_TRACKS_MANY_CODECS:
            encoded += fourcc_bytes(track.fourcc or "")
        encoded.append(track.track_id)
        if envelope != MultitrackType.ONE_TRACK:
            encoded += len(track.data).to_bytes(3, "big")
        encoded += track.data
    return bytes(encoded)
