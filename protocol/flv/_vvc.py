"""VVC: the VVCDecoderConfigurationRecord (ISO/IEC 14496-15, 11.2.4.2) and its SPS (H.266, 7.3.2.4).

The record has the largest coded size of its own; the sequence parameter set knows what is cropped from that.
"""

import base64
from typing import Final

from protocol._base import RemoteProtocolError
from protocol.flv._bits import BitReader, ByteReader, unescape_rbsp
from protocol.flv._configuration import VideoConfiguration

__all__ = ["read_vvc_configuration"]

_RECORD_SPEC: Final = "ISO/IEC 14496-15, 11.2.4.2"
_SPS_SPEC: Final = "H.266, 7.3.2.4"

_SPS_NUT: Final = 15
_NAL_TYPES_WITHOUT_COUNT: Final = (12, 13)  # OPI and DCI: one of each at most
_MAX_SIDE: Final = 1 << 16


def read_vvc_configuration(data: bytes) -> VideoConfiguration:
    """Read a vvcC record. Without its profile, tier and level the codec is plain ``vvc1``.

    Raises:
        RemoteProtocolError: it is damaged.
    """
    reader = ByteReader(data, spec=_RECORD_SPEC)
    codec, size = "vvc1", None
    if reader.number(1) & 0x01:  # ptl_present_flag
        sub_layers = reader.number(2) >> 4 & 0x07
        reader.take(1)  # bit_depth_minus8
        codec = _codec_string(reader, sub_layers)
        size = reader.number(2), reader.number(2)
        reader.take(2)  # avg_frame_rate
    for _ in range(reader.number(1)):
        nal_unit_type = reader.number(1) & 0x1F
        for _ in range(1 if nal_unit_type in _NAL_TYPES_WITHOUT_COUNT else reader.number(2)):
            nal_unit = reader.take(reader.number(2))
            if nal_unit_type == _SPS_NUT:
                size = _picture_size(nal_unit) or size
                return VideoConfiguration(codec, *size) if size else VideoConfiguration(codec)
    return VideoConfiguration(codec, *size) if size else VideoConfiguration(codec)


def _codec_string(reader: ByteReader, sub_layers: int) -> str:
    """VvcPTLRecord to its last byte, as ISO/IEC 14496-15, E.6 spells it: profile, tier with level, constraints."""
    constraint_bytes = reader.number(1) & 0x3F
    profile, level = reader.number(1), reader.number(1)
    constraints = reader.take(constraint_bytes).rstrip(b"\x00")
    if sub_layers > 1:
        present = reader.number(1) >> (9 - sub_layers)  # one bit for each but the highest; the rest is reserved
        reader.take(present.bit_count())  # sublayer_level_idc
    reader.take(4 * reader.number(1))  # general_sub_profile_idc
    codec = f"vvc1.{profile >> 1}.{'H' if profile & 0x01 else 'L'}{level}"
    return f"{codec}.C{base64.b32encode(constraints).decode().rstrip('=')}" if constraints else codec


def _picture_size(nal_unit: bytes) -> tuple[int, int] | None:
    bits = BitReader(unescape_rbsp(nal_unit), spec=_SPS_SPEC)
    bits.skip(16 + 4 + 4)  # nal_unit_header, sps_seq_parameter_set_id, sps_video_parameter_set_id
    sub_layers = bits.read(3)
    chroma_format = bits.read(2)
    bits.skip(2)  # sps_log2_ctu_size_minus5
    if bits.flag() and not _skip_profile_tier_level(bits, sub_layers):  # sps_ptl_dpb_hrd_params_present_flag
        return None
    bits.skip(1)  # sps_gdr_enabled_flag
    if bits.flag():  # sps_ref_pic_resampling_enabled_flag
        bits.skip(1)  # sps_res_change_in_clvs_allowed_flag
    width, height = bits.ue(), bits.ue()
    if bits.flag():  # sps_conformance_window_flag, in chroma samples
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= (2 if chroma_format in (1, 2) else 1) * (left + right)
        height -= (2 if chroma_format == 1 else 1) * (top + bottom)
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise RemoteProtocolError(f"a picture of {width} by {height} pixels", spec=_SPS_SPEC)
    return width, height


def _skip_profile_tier_level(bits: BitReader, sub_layers: int) -> bool:
    """Whether it could be skipped: general constraints, which grow with every edition, are not read here."""
    bits.skip(16 + 2)  # general profile, tier and level; two flags
    if bits.flag():  # gci_present_flag
        return False
    bits.align()
    present = [bits.flag() for _ in range(sub_layers)]
    bits.align()
    bits.skip(8 * sum(present))  # sublayer_level_idc
    bits.skip(32 * bits.read(8))  # general_sub_profile_idc
    return True
