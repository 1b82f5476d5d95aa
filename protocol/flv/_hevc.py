"""HEVC: the HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1) and its SPS (H.265, 7.3.2.2).

The codec string is that of ISO/IEC 14496-15, Annex E.3: profile, compatibility flags in reverse bit order, tier and
level, and the constraint bytes without their trailing zeros.
"""

from typing import Final

from protocol._base import RemoteProtocolError
from protocol.flv._bits import BitReader, ByteReader, unescape_rbsp
from protocol.flv._configuration import VideoConfiguration

__all__ = ["read_hevc_configuration"]

_RECORD_SPEC: Final = "ISO/IEC 14496-15, 8.3.3.1"
_SPS_SPEC: Final = "H.265, 7.3.2.2"

_SPS_NUT: Final = 33
_PROFILE_SPACES: Final = ("", "A", "B", "C")
_MAX_SIDE: Final = 1 << 16


def read_hevc_configuration(data: bytes) -> VideoConfiguration:
    """Read an hvcC record. The size is None where it holds no sequence parameter set (hev1's way).

    Raises:
        RemoteProtocolError: it is damaged.
    """
    reader = ByteReader(data, spec=_RECORD_SPEC)
    # Version 0 is written by encoders that predate the standard's last draft; the layout is the same.
    if reader.number(1) > 1:
        raise RemoteProtocolError("configurationVersion is not 1", spec=_RECORD_SPEC)
    codec = _codec_string(reader)
    reader.take(9)  # min_spatial_segmentation_idc to lengthSizeMinusOne
    for _ in range(reader.number(1)):
        nal_unit_type = reader.number(1) & 0x3F
        for _ in range(reader.number(2)):
            nal_unit = reader.take(reader.number(2))
            if nal_unit_type == _SPS_NUT:
                return VideoConfiguration(codec, *_picture_size(nal_unit))
    return VideoConfiguration(codec)


def _codec_string(reader: ByteReader) -> str:
    profile = reader.number(1)
    space = _PROFILE_SPACES[profile >> 6]
    tier = "H" if profile & 0x20 else "L"
    compatibility = int(f"{reader.number(4):032b}"[::-1], 2)
    constraints = reader.take(6).rstrip(b"\x00")
    level = reader.number(1)
    fields = [f"{space}{profile & 0x1F}", f"{compatibility:X}", f"{tier}{level}"]
    return ".".join(["hvc1", *fields, *[f"{byte:X}" for byte in constraints]])


def _picture_size(nal_unit: bytes) -> tuple[int, int]:
    bits = BitReader(unescape_rbsp(nal_unit), spec=_SPS_SPEC)
    bits.skip(16)  # nal_unit_header
    bits.skip(4)  # sps_video_parameter_set_id
    sub_layers = bits.read(3)
    bits.skip(1)  # sps_temporal_id_nesting_flag
    _skip_profile_tier_level(bits, sub_layers)
    bits.ue()  # sps_seq_parameter_set_id
    chroma_format = bits.ue()
    if chroma_format > 3:
        raise RemoteProtocolError(f"chroma_format_idc is {chroma_format}", spec=_SPS_SPEC)
    if chroma_format == 3 and bits.flag():  # separate_colour_plane_flag
        chroma_format = 0
    width, height = bits.ue(), bits.ue()
    if bits.flag():  # conformance_window_flag, in chroma samples (Table 6-1)
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= (2 if chroma_format in (1, 2) else 1) * (left + right)
        height -= (2 if chroma_format == 1 else 1) * (top + bottom)
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise RemoteProtocolError(f"a picture of {width} by {height} pixels", spec=_SPS_SPEC)
    return width, height


def _skip_profile_tier_level(bits: BitReader, sub_layers: int) -> None:
    bits.skip(88 + 8)  # general profile, tier, flags; general_level_idc
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    if sub_layers:
        bits.skip(2 * (8 - sub_layers))  # reserved_zero_2bits
    for has_profile, has_level in present:
        bits.skip((88 if has_profile else 0) + (8 if has_level else 0))
