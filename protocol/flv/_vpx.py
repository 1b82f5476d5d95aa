"""VP8 and VP9: the VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding, 2.2) and the size in key frames.

The record tells profile, level and bit depth but no size; a key frame's first bytes do (RFC 6386, 9.1; VP9, 6.2).
"""

from typing import Final

from protocol._base import RemoteProtocolError
from protocol.flv._bits import BitReader, ByteReader
from protocol.flv._configuration import VideoConfiguration

__all__ = ["read_vp8_picture_size", "read_vp9_picture_size", "read_vpx_configuration"]

_RECORD_SPEC: Final = "VP Codec ISO Media File Format Binding, 2.2"
_VP8_SPEC: Final = "RFC 6386, 9.1"
_VP9_SPEC: Final = "VP9, 6.2"

_VP8_START_CODE: Final = b"\x9d\x01\x2a"
_VP9_SYNC_CODE: Final = 0x498342
_VP9_SRGB: Final = 7


def read_vpx_configuration(fourcc: str, data: bytes) -> VideoConfiguration:
    """Read a vpcC record, of version 1, for ``vp08`` or ``vp09``.

    Raises:
        RemoteProtocolError: it is damaged.
    """
    reader = ByteReader(data, spec=_RECORD_SPEC)
    if reader.number(1) != 1:
        raise RemoteProtocolError("the record's version is not 1", spec=_RECORD_SPEC)
    reader.take(3)  # flags
    profile, level, depth = reader.number(1), reader.number(1), reader.number(1) >> 4
    reader.take(5)  # colour, codecInitializationDataSize
    return VideoConfiguration(f"{fourcc}.{profile:02d}.{level:02d}.{depth:02d}")


def read_vp8_picture_size(frame: bytes) -> tuple[int, int]:
    """Width and height, in pixels, of a VP8 key frame.

    Raises:
        RemoteProtocolError: it is none.
    """
    reader = ByteReader(frame, spec=_VP8_SPEC)
    frame_tag = reader.take(3)
    if frame_tag[0] & 0x01 or reader.take(3) != _VP8_START_CODE:
        raise RemoteProtocolError("this is no VP8 key frame", spec=_VP8_SPEC)
    # Little-endian, unlike all else here; the two upper bits ask the player to scale.
    width, height = (int.from_bytes(reader.take(2), "little") & 0x3FFF for _ in range(2))
    return width, height


def read_vp9_picture_size(frame: bytes) -> tuple[int, int]:
    """Width and height, in pixels, of a VP9 key frame.

    Raises:
        RemoteProtocolError: it is none.
    """
    bits = BitReader(frame, spec=_VP9_SPEC)
    marker = bits.read(2)
    profile = bits.read(1) | bits.read(1) << 1
    if profile == 3:
        bits.skip(1)  # reserved_zero
    shown_again, not_key = bits.flag(), bits.flag()
    bits.skip(2)  # show_frame, error_resilient_mode
    if marker != 2 or shown_again or not_key or bits.read(24) != _VP9_SYNC_CODE:
        raise RemoteProtocolError("this is no VP9 key frame", spec=_VP9_SPEC)
    if profile >= 2:
        bits.skip(1)  # ten_or_twelve_bit
    subsampled = profile in (1, 3)
    if bits.read(3) != _VP9_SRGB:
        bits.skip(1 + (3 if subsampled else 0))  # color_range, subsampling_x, subsampling_y, reserved_zero
    elif subsampled:
        bits.skip(1)  # reserved_zero
    return bits.read(16) + 1, bits.read(16) + 1
