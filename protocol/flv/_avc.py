"""AVC: the AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) and its SPS (H.264, 7.3.2.1.1)."""

from typing import Final

from protocol._base import RemoteProtocolError
from protocol.flv._bits import BitReader, ByteReader, unescape_rbsp
from protocol.flv._configuration import VideoConfiguration

__all__ = ["read_avc_configuration"]

_RECORD_SPEC: Final = "ISO/IEC 14496-15, 5.3.3.1"
_SPS_SPEC: Final = "H.264, 7.3.2.1.1"

_HIGH_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""The values of profile_idc whose parameter set names chroma format, bit depth and scaling matrices."""

_MAX_CYCLE: Final = 255
"""num_ref_frames_in_pic_order_cnt_cycle, 7.4.2.1.1."""
_MAX_MACROBLOCKS: Final = 1 << 12
"""A side of 65,536 pixels, four times level 6.2's; more is a damaged record."""


def read_avc_configuration(data: bytes) -> VideoConfiguration:
    """Read an avcC record. The size is None where it holds no sequence parameter set (avc3's way).

    Raises:
        RemoteProtocolError: it is damaged.
    """
    reader = ByteReader(data, spec=_RECORD_SPEC)
    if reader.number(1) != 1:
        raise RemoteProtocolError("configurationVersion is not 1", spec=_RECORD_SPEC)
    codec = f"avc1.{reader.take(3).hex()}"
    reader.take(1)  # lengthSizeMinusOne
    if not reader.number(1) & 0x1F:
        return VideoConfiguration(codec)
    return VideoConfiguration(codec, *_picture_size(reader.take(reader.number(2))))


def _picture_size(nal_unit: bytes) -> tuple[int, int]:
    bits = BitReader(unescape_rbsp(nal_unit), spec=_SPS_SPEC)
    bits.skip(8)  # nal_ref_idc, nal_unit_type
    profile = bits.read(8)
    bits.skip(16)  # constraint flags, level_idc
    bits.ue()  # seq_parameter_set_id
    chroma_format, separate_planes = _chroma(bits) if profile in _HIGH_PROFILES else (1, False)
    bits.ue()  # log2_max_frame_num_minus4
    _skip_picture_order_count(bits)
    bits.ue()  # max_num_ref_frames
    bits.skip(1)  # gaps_in_frame_num_value_allowed_flag
    width_in_mbs = bits.ue() + 1
    map_units = bits.ue() + 1
    if max(width_in_mbs, map_units) > _MAX_MACROBLOCKS:
        raise RemoteProtocolError(f"a picture of {width_in_mbs} by {map_units} macroblocks", spec=_SPS_SPEC)
    frames_only = bits.flag()
    if not frames_only:
        bits.skip(1)  # mb_adaptive_frame_field_flag
    bits.skip(1)  # direct_8x8_inference_flag
    # Table 6-1: monochrome and separate planes crop in samples, 4:2:0 and 4:2:2 in pairs of columns, 4:2:0 of rows.
    chroma_array_type = 0 if separate_planes else chroma_format
    crop_x = 2 if chroma_array_type in (1, 2) else 1
    crop_y = (2 if chroma_array_type == 1 else 1) * (1 if frames_only else 2)
    left = right = top = bottom = 0
    if bits.flag():
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
    width = 16 * width_in_mbs - crop_x * (left + right)
    height = 16 * map_units * (1 if frames_only else 2) - crop_y * (top + bottom)
    if width <= 0 or height <= 0:
        raise RemoteProtocolError("cropping leaves nothing of the picture", spec=_SPS_SPEC)
    return width, height


def _chroma(bits: BitReader) -> tuple[int, bool]:
    chroma_format = bits.ue()
    if chroma_format > 3:
        raise RemoteProtocolError(f"chroma_format_idc is {chroma_format}", spec=_SPS_SPEC)
    separate_planes = bits.flag() if chroma_format == 3 else False
    bits.ue()  # bit_depth_luma_minus8
    bits.ue()  # bit_depth_chroma_minus8
    bits.skip(1)  # qpprime_y_zero_transform_bypass_flag
    if bits.flag():  # seq_scaling_matrix_present_flag
        for index in range(8 if chroma_format != 3 else 12):
            if bits.flag():
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma_format, separate_planes


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        if following:
            last = following


def _skip_picture_order_count(bits: BitReader) -> None:
    kind = bits.ue()
    if kind == 0:
        bits.ue()  # log2_max_pic_order_cnt_lsb_minus4
    elif kind == 1:
        bits.skip(1)  # delta_pic_order_always_zero_flag
        bits.se()  # offset_for_non_ref_pic
        bits.se()  # offset_for_top_to_bottom_field
        cycle = bits.ue()
        if cycle > _MAX_CYCLE:
            raise RemoteProtocolError(f"a picture order count cycle of {cycle} frames", spec=_SPS_SPEC)
        for _ in range(cycle):
            bits.se()
