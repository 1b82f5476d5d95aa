"""Sound that is simpler to describe than AAC: Opus and FLAC headers, and the frames of MP3, AC-3 and E-AC-3.

Opus and FLAC have a record in SequenceStart (RFC 7845, 5.1; RFC 9639, 8.2). The other three have none: every frame
begins with a header that says it again (ISO/IEC 11172-3, 2.4.2.3; ETSI TS 102 366, 4.3 and E.1.2).
"""

from typing import Final

from protocol._base import RemoteProtocolError
from protocol.flv._bits import BitReader, ByteReader
from protocol.flv._configuration import AudioConfiguration

__all__ = [
    "read_ac3_frame",
    "read_eac3_frame",
    "read_flac_configuration",
    "read_mp3_frame",
    "read_opus_configuration",
]

_OPUS_SPEC: Final = "RFC 7845, 5.1"
_FLAC_SPEC: Final = "RFC 9639, 8.2"
_MP3_SPEC: Final = "ISO/IEC 11172-3, 2.4.2.3"
_AC3_SPEC: Final = "ETSI TS 102 366, 4.3"
_EAC3_SPEC: Final = "ETSI TS 102 366, E.1.2"

_OPUS_RATE_HZ: Final = 48000
_STREAMINFO: Final = 0
_STREAMINFO_BYTES: Final = 34
_AC3_SYNC: Final = 0x0B77
_AC3_RATES_HZ: Final = (48000, 44100, 32000)
_AC3_CHANNELS: Final = (2, 1, 2, 3, 3, 4, 4, 5)  # by acmod
_MP3_RATES_HZ: Final = (44100, 48000, 32000)
_MP3_RATE_DIVISORS: Final = {3: 1, 2: 2, 0: 4}  # MPEG 1, 2, 2.5; 1 is reserved
_MP3_MONO: Final = 3


def read_opus_configuration(data: bytes) -> AudioConfiguration:
    """Read an OpusHead; the decoder's rate is 48 kHz, whatever the input had.

    Raises:
        RemoteProtocolError: it is damaged.
    """
    reader = ByteReader(data, spec=_OPUS_SPEC)
    # The upper four bits of the version are its major number, and 0 the only one that this layout belongs to.
    if reader.take(8) != b"OpusHead" or reader.number(1) >> 4:
        raise RemoteProtocolError("this is no OpusHead of version 0 to 15", spec=_OPUS_SPEC)
    channels = reader.number(1)
    if not channels:
        raise RemoteProtocolError("an OpusHead without channels", spec=_OPUS_SPEC)
    reader.take(9)  # pre-skip, input sample rate, output gain, mapping family
    return AudioConfiguration("opus", _OPUS_RATE_HZ, channels)


def read_flac_configuration(data: bytes) -> AudioConfiguration:
    """Read ``fLaC`` and its STREAMINFO block; or the block's content alone, which is what ffmpeg writes.

    Raises:
        RemoteProtocolError: it is damaged.
    """
    reader = ByteReader(data, spec=_FLAC_SPEC)
    if len(data) != _STREAMINFO_BYTES:
        if reader.take(4) != b"fLaC" or reader.number(1) & 0x7F != _STREAMINFO:
            raise RemoteProtocolError("this is no STREAMINFO behind 'fLaC'", spec=_FLAC_SPEC)
        reader.take(3)  # the block's length
    bits = BitReader(reader.take(_STREAMINFO_BYTES), spec=_FLAC_SPEC)
    bits.skip(16 + 16 + 24 + 24)  # block and frame sizes
    return AudioConfiguration("fLaC", bits.read(20), bits.read(3) + 1)


def read_mp3_frame(frame: bytes) -> AudioConfiguration:
    """Read the header of an MPEG audio frame, layer III, as it stands in a tag.

    Raises:
        RemoteProtocolError: there is none.
    """
    bits = BitReader(frame, spec=_MP3_SPEC)
    sync, version, layer = bits.read(11), bits.read(2), bits.read(2)
    bits.skip(1 + 4)  # protection_bit, bitrate_index
    rate_index = bits.read(2)
    bits.skip(2)  # padding_bit, private_bit
    mode = bits.read(2)
    if sync != 0x7FF or version == 1 or layer != 1 or rate_index == 3:
        raise RemoteProtocolError("this is no MP3 frame", spec=_MP3_SPEC)
    rate = _MP3_RATES_HZ[rate_index] // _MP3_RATE_DIVISORS[version]
    return AudioConfiguration("mp4a.40.34", rate, 1 if mode == _MP3_MONO else 2)


def read_ac3_frame(frame: bytes) -> AudioConfiguration:
    """Read the header of an AC-3 frame.

    Raises:
        RemoteProtocolError: there is none.
    """
    bits = BitReader(frame, spec=_AC3_SPEC)
    sync = bits.read(16)
    bits.skip(16)  # crc1
    rate = bits.read(2)
    bits.skip(6 + 5 + 3)  # frmsizecod, bsid, bsmod
    mode = bits.read(3)
    if sync != _AC3_SYNC or rate == 3:
        raise RemoteProtocolError("this is no AC-3 frame", spec=_AC3_SPEC)
    if mode & 0x01 and mode != 1:
        bits.skip(2)  # cmixlev
    if mode & 0x04:
        bits.skip(2)  # surmixlev
    if mode == 2:
        bits.skip(2)  # dsurmod
    return AudioConfiguration("ac-3", _AC3_RATES_HZ[rate], _AC3_CHANNELS[mode] + bits.read(1))


def read_eac3_frame(frame: bytes) -> AudioConfiguration:
    """Read the header of an E-AC-3 frame; the channels are those of its independent substream.

    Raises:
        RemoteProtocolError: there is none.
    """
    bits = BitReader(frame, spec=_EAC3_SPEC)
    sync = bits.read(16)
    bits.skip(2 + 3 + 11)  # strmtyp, substreamid, frmsiz
    rate, second = bits.read(2), bits.read(2)  # the second is numblkscod, or fscod2 for half rates
    mode, low_frequency = bits.read(3), bits.read(1)
    if sync != _AC3_SYNC or (rate == 3 and second == 3):
        raise RemoteProtocolError("this is no E-AC-3 frame", spec=_EAC3_SPEC)
    rate_hz = _AC3_RATES_HZ[second] // 2 if rate == 3 else _AC3_RATES_HZ[rate]
    return AudioConfiguration("ec-3", rate_hz, _AC3_CHANNELS[mode] + low_frequency)
