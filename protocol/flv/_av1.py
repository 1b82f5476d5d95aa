"""AV1: the AV1CodecConfigurationRecord (AV1 in ISOBMFF, 2.3) and its sequence header OBU (AV1, 5.5).

MPEG2TSSequenceStart carries the same four bytes behind the two of an MPEG-2 TS descriptor.
"""

from typing import Final

from protocol._base import RemoteProtocolError
from protocol.flv._bits import BitReader, ByteReader
from protocol.flv._configuration import VideoConfiguration

__all__ = ["read_av1_configuration", "read_av1_ts_descriptor"]

_RECORD_SPEC: Final = "AV1 in ISOBMFF, 2.3"
_OBU_SPEC: Final = "AV1, 5.5"

_OBU_SEQUENCE_HEADER: Final = 1
_MARKER_AND_VERSION: Final = 0x81
_TS_DESCRIPTOR_TAG: Final = 0x80
_LONGEST_LEB128: Final = 8


def read_av1_configuration(data: bytes) -> VideoConfiguration:
    """Read an av1C record. The size is None where its configOBUs hold no sequence header.

    Raises:
        RemoteProtocolError: it is damaged.
    """
    reader = ByteReader(data, spec=_RECORD_SPEC)
    if reader.number(1) != _MARKER_AND_VERSION:
        raise RemoteProtocolError("marker and version are not 1 and 1", spec=_RECORD_SPEC)
    codec = _codec_string(reader.number(1), reader.number(1))
    reader.take(1)  # initial_presentation_delay
    while reader.bytes_left:
        header = reader.number(1)
        if header & 0x04:  # obu_extension_flag
            reader.take(1)
        payload = reader.take(_leb128(reader)) if header & 0x02 else reader.rest()  # obu_has_size_field
        if header >> 3 & 0x0F == _OBU_SEQUENCE_HEADER:
            return VideoConfiguration(codec, *_picture_size(payload))
    return VideoConfiguration(codec)


def read_av1_ts_descriptor(data: bytes) -> VideoConfiguration:
    """Read an AV1VideoDescriptor, which has no size (AV1 in MPEG-2 TS, 2.1).

    Raises:
        RemoteProtocolError: it is damaged.
    """
    reader = ByteReader(data, spec="AV1 in MPEG-2 TS, 2.1")
    tag, length, version, first, second = (reader.number(1) for _ in range(5))
    if tag != _TS_DESCRIPTOR_TAG or length < 4 or version != _MARKER_AND_VERSION:
        raise RemoteProtocolError("this is no AV1 video descriptor", spec="AV1 in MPEG-2 TS, 2.1")
    return VideoConfiguration(_codec_string(first, second))


def _codec_string(first: int, second: int) -> str:
    """The mandatory fields of AV1 in ISOBMFF, section 5; players take the optional ones from the stream."""
    profile, level = first >> 5, first & 0x1F
    tier = "H" if second & 0x80 else "M"
    high_bit_depth, twelve_bit = second & 0x40, second & 0x20
    depth = (12 if twelve_bit else 10) if high_bit_depth else 8
    return f"av01.{profile}.{level:02d}{tier}.{depth:02d}"


def _leb128(reader: ByteReader) -> int:
    value = 0
    for index in range(_LONGEST_LEB128):
        byte = reader.number(1)
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value
    raise RemoteProtocolError("a leb128 number of more than 8 bytes", spec="AV1, 4.10.5")


def _picture_size(obu: bytes) -> tuple[int, int]:
    bits = BitReader(obu, spec=_OBU_SPEC)
    bits.skip(3)  # seq_profile
    bits.skip(1)  # still_picture
    if bits.flag():  # reduced_still_picture_header
        bits.skip(5)  # seq_level_idx
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _skip_operating_points(bits: BitReader) -> None:
    delay_bits = None
    if bits.flag():  # timing_info_present_flag
        bits.skip(64)  # num_units_in_display_tick, time_scale
        if bits.flag():  # equal_picture_interval
            bits.ue()  # num_ticks_per_picture_minus_1
        if bits.flag():  # decoder_model_info_present_flag
            delay_bits = bits.read(5) + 1
            bits.skip(32 + 5 + 5)  # num_units_in_decoding_tick and two lengths
    delays_present = bits.flag()  # initial_display_delay_present_flag
    for _ in range(bits.read(5) + 1):
        bits.skip(12)  # operating_point_idc
        if bits.read(5) > 7:  # seq_level_idx
            bits.skip(1)  # seq_tier
        if delay_bits is not None and bits.flag():  # decoder_model_present_for_this_op
            bits.skip(2 * delay_bits + 1)  # operating_parameters_info
        if delays_present and bits.flag():  # initial_display_delay_present_for_this_op
            bits.skip(4)
