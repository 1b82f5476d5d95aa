"""The body of an audio tag or RTMP audio message: `AudioData`, read and written (FLV 10.1, E.4.2; Enhanced RTMP v2).

The legacy header names a SoundFormat and the sound's rate, size and type; the enhanced one, SoundFormat 9, a packet
type and a FourCC, after ModEx packets and inside a multitrack envelope where there is one. A body without a byte means
silence from here on.
"""

import enum
from dataclasses import dataclass
from typing import Final

from protocol._base import LocalProtocolError
from protocol.flv._bits import ByteReader
from protocol.flv._codec_ids import SoundFormat, fourcc_bytes, legacy_audio_fourcc
from protocol.flv._extension import (
    ModEx,
    RawTrack,
    encode_mod_ex,
    encode_multitrack,
    offset_nanoseconds,
    read_fourcc,
    read_mod_ex,
    read_multitrack,
)

__all__ = [
    "AudioChannelOrder",
    "AudioData",
    "AudioPacketType",
    "AudioTrack",
    "MultichannelConfig",
    "decode_audio_data",
    "encode_audio_data",
]

_LEGACY_SPEC: Final = "FLV 10.1, E.4.2.1"
_SPEC: Final = "Enhanced RTMP v2, Enhanced Audio"

_SOUND_RATES_HZ: Final = (5512, 11025, 22050, 44100)


class AudioPacketType(enum.IntEnum):
    """AudioPacketType; 3 and 6 are reserved."""

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    MULTICHANNEL_CONFIG = 4
    MULTITRACK = 5
    MOD_EX = 7


class AudioChannelOrder(enum.IntEnum):
    """AudioChannelOrder."""

    UNSPECIFIED = 0
    NATIVE = 1
    CUSTOM = 2


_PACKET_TYPES: Final = {int(known): known for known in AudioPacketType}
_LEGACY_PACKET_TYPES: Final = (AudioPacketType.SEQUENCE_START, AudioPacketType.CODED_FRAMES)  # AACPacketType
_CHANNEL_ORDERS: Final = {int(known): known for known in AudioChannelOrder}


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One track's share of an audio message.

    Attributes:
        fourcc: the codec, also for a legacy SoundFormat that has a name; None where it is not known.
        data: the payload: a codec configuration record, coded frames, a `MultichannelConfig`, or nothing.
        track_id: 0 to 255; 0 in a message without multitrack.
    """

    fourcc: str | None
    data: bytes = b""
    track_id: int = 0


@dataclass(frozen=True, slots=True)
class AudioData:
    """An audio message.

    Attributes:
        packet_type: an `AudioPacketType` (a legacy codec without packet types has CODED_FRAMES), or another number of
            0 to 15. None for silence, and for a legacy AACPacketType above 1, which then stands in the track's data
            with all that follows.
        tracks: one without multitrack, none for silence.
        sound_format: the legacy SoundFormat, 0 to 15 without 9; None for an enhanced message and for silence.
        sound_rate: 0 to 3, the legacy SoundRate; for AAC always 3, whatever the sound.
        sound_size: 0 for samples of 8 bits, 1 for 16.
        sound_type: 0 for mono, 1 for stereo.
        multitrack_type: a `MultitrackType`, or another number of 3 to 15; None without multitrack.
        mod_ex: modifiers of the message.
    """

    packet_type: int | None
    tracks: tuple[AudioTrack, ...] = ()
    sound_format: int | None = None
    sound_rate: int = 3
    sound_size: int = 1
    sound_type: int = 1
    multitrack_type: int | None = None
    mod_ex: tuple[ModEx, ...] = ()

    @property
    def is_silence(self) -> bool:
        """The message without a byte: no sound comes until the next one."""
        return self.packet_type is None and not self.tracks

    @property
    def legacy_sample_rate_hz(self) -> int | None:
        """What SoundFormat and SoundRate say, in Hz; None for an enhanced message. AAC's own record knows better."""
        if self.sound_format is None:
            return None
        if self.sound_format in (SoundFormat.NELLYMOSER_16K_MONO, SoundFormat.SPEEX):
            return 16000
        if self.sound_format in (
            SoundFormat.NELLYMOSER_8K_MONO,
            SoundFormat.MP3_8K,
            SoundFormat.G711_A_LAW,
            SoundFormat.G711_MU_LAW,
        ):
            return 8000
        return _SOUND_RATES_HZ[self.sound_rate]

    @property
    def timestamp_offset_ns(self) -> int:
        """TimestampOffsetNano: what to add to the tag's timestamp, 0 to 999,999 ns."""
        return offset_nanoseconds(self.mod_ex)


@dataclass(frozen=True, slots=True)
class MultichannelConfig:
    """AudioPacketType.MultichannelConfig: which channel is which speaker.

    Attributes:
        order: an `AudioChannelOrder`, or another number of 0 to 255.
        channel_count: 0 to 255.
        mapping: CUSTOM: one AudioChannel number for each channel, in the order of the bitstream.
        flags: NATIVE: the AudioChannelMask bits of the channels that are there.
    """

    order: int
    channel_count: int
    mapping: bytes = b""
    flags: int = 0

    @classmethod
    def decode(cls, data: bytes) -> "MultichannelConfig":
        """Read a MULTICHANNEL_CONFIG track's data.

        Raises:
            RemoteProtocolError: it ends too early.
        """
        reader = ByteReader(data, spec=_SPEC)
        order, count = reader.number(1), reader.number(1)
        mapping = reader.take(count) if order == AudioChannelOrder.CUSTOM else b""
        flags = reader.number(4) if order == AudioChannelOrder.NATIVE else 0
        return cls(_CHANNEL_ORDERS.get(order, order), count, mapping, flags)

    def encode(self) -> bytes:
        """The data of a MULTICHANNEL_CONFIG track.

        Raises:
            LocalProtocolError: a value does not fit its field, the mapping is not one entry a channel, or the order has
                no room for one of the two.
        """
        custom, native = self.order == AudioChannelOrder.CUSTOM, self.order == AudioChannelOrder.NATIVE
        if not (0 <= self.order <= 0xFF and 0 <= self.channel_count <= 0xFF and 0 <= self.flags <= 0xFFFFFFFF):
            raise LocalProtocolError("an order and a count of channels are 0 to 255, flags 32 bits", spec=_SPEC)
        if len(self.mapping) != (self.channel_count if custom else 0):
            raise LocalProtocolError("a CUSTOM order alone has a mapping, of one entry a channel", spec=_SPEC)
        if self.flags and not native:
            raise LocalProtocolError("a NATIVE order alone has flags", spec=_SPEC)
        encoded = bytes((self.order, self.channel_count)) + self.mapping
        return encoded + self.flags.to_bytes(4, "big") if native else encoded


def decode_audio_data(body: bytes) -> AudioData:
    """Read the body of an audio tag or message, to its last byte.

    Raises:
        RemoteProtocolError: it ends inside a field, or nests multitrack. Values that nobody knows do not raise: they
            pass through as numbers.
    """
    if not body:
        return AudioData(None)
    first = body[0]
    if first >> 4 != SoundFormat.EX_HEADER:
        return _decode_legacy(body, first)
    reader = ByteReader(body, spec=_SPEC)
    reader.take(1)
    mod_ex, packet_type = read_mod_ex(reader, first & 0x0F)
    if packet_type == AudioPacketType.MULTITRACK:
        multitrack_type, packet_type, raw = read_multitrack(reader, AudioPacketType.MULTITRACK)
        tracks = tuple([AudioTrack(track.fourcc, track.data, track.track_id) for track in raw])
    else:
        multitrack_type = None
        tracks = (AudioTrack(read_fourcc(reader), reader.rest()),)
    packet_type = _PACKET_TYPES.get(packet_type, packet_type)
    return AudioData(packet_type, tracks, multitrack_type=multitrack_type, mod_ex=mod_ex)


def _decode_legacy(body: bytes, first: int) -> AudioData:
    sound_format = first >> 4
    fourcc = legacy_audio_fourcc(sound_format)
    sound = (sound_format, first >> 2 & 0x03, first >> 1 & 0x01, first & 0x01)
    if sound_format != SoundFormat.AAC:
        return AudioData(AudioPacketType.CODED_FRAMES, (AudioTrack(fourcc, body[1:]),), *sound)
    reader = ByteReader(body, spec=_LEGACY_SPEC)
    reader.take(1)
    aac_packet_type = reader.number(1)
    if aac_packet_type >= len(_LEGACY_PACKET_TYPES):
        return AudioData(None, (AudioTrack(fourcc, body[1:]),), *sound)
    return AudioData(_LEGACY_PACKET_TYPES[aac_packet_type], (AudioTrack(fourcc, reader.rest()),), *sound)


def encode_audio_data(audio: AudioData) -> bytes:
    """The body of an audio tag or message: the reverse of `decode_audio_data`.

    Raises:
        LocalProtocolError: a value does not fit its field, or the parts contradict each other.
    """
    if audio.is_silence:
        return b""
    if audio.sound_format is not None:
        return _encode_legacy(audio, audio.sound_format)
    packet_type = audio.packet_type
    multitrack = audio.multitrack_type is not None
    if (
        packet_type is None
        or not 0 <= packet_type <= 0x0F
        or (not multitrack and packet_type in (AudioPacketType.MULTITRACK, AudioPacketType.MOD_EX))
    ):
        raise LocalProtocolError(f"packet type {packet_type} cannot stand here", spec=_SPEC)
    first = AudioPacketType.MULTITRACK if multitrack else packet_type
    head = encode_mod_ex(SoundFormat.EX_HEADER, audio.mod_ex, first)
    if audio.multitrack_type is not None:
        raw = [RawTrack(track.fourcc, track.track_id, track.data) for track in audio.tracks]
        return head + encode_multitrack(audio.multitrack_type, AudioPacketType.MULTITRACK, packet_type, raw)
    track = _only_track(audio)
    return b"".join((head, fourcc_bytes(track.fourcc or ""), track.data))


def _encode_legacy(audio: AudioData, sound_format: int) -> bytes:
    if (
        not 0 <= sound_format <= 0x0F
        or sound_format == SoundFormat.EX_HEADER
        or not (0 <= audio.sound_rate <= 3 and audio.sound_size in (0, 1) and audio.sound_type in (0, 1))
        or audio.mod_ex
        or audio.multitrack_type is not None
    ):
        raise LocalProtocolError("a legacy message has four fields of their size and no extension", spec=_LEGACY_SPEC)
    first = bytes((sound_format << 4 | audio.sound_rate << 2 | audio.sound_size << 1 | audio.sound_type,))
    track = _only_track(audio)
    if sound_format != SoundFormat.AAC or audio.packet_type is None:
        if sound_format != SoundFormat.AAC and audio.packet_type != AudioPacketType.CODED_FRAMES:
            raise LocalProtocolError("only AAC has packet types in a legacy header", spec=_LEGACY_SPEC)
        return first + track.data
    if audio.packet_type not in _LEGACY_PACKET_TYPES:
        raise LocalProtocolError(f"packet type {audio.packet_type} needs an enhanced header", spec=_LEGACY_SPEC)
    return b"".join((first, bytes((audio.packet_type,)), track.data))


def _only_track(audio: AudioData) -> AudioTrack:
    if len(audio.tracks) != 1 or audio.tracks[0].track_id:
        raise LocalProtocolError("a message without multitrack has one track, of id 0", spec=_SPEC)
    return audio.tracks[0]
