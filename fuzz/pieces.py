"""Cutting an input into pieces, as a network would; where, the input itself decides, so that a crash replays."""

import zlib
from typing import Final

__all__ = ["choice", "pieces"]

_BYTE_BY_BYTE_UP_TO: Final = 64


def choice(data: bytes, count: int) -> int:
    """A number below `count`, at most 256, out of the input; for a setting that both settings' users want tried."""
    return zlib.adler32(data) % 251 % count


def pieces(data: bytes) -> list[bytes]:
    """`data` in up to four pieces, some of them maybe empty; a short input now and then byte by byte."""
    number = zlib.crc32(data)
    if len(data) <= _BYTE_BY_BYTE_UP_TO and not number & 0x0F:
        return [data[index : index + 1] for index in range(len(data))]
    places = len(data) + 1
    first, second, third = sorted(((number >> 4) % places, (number >> 12) % places, (number >> 20) % places))
    return [data[:first], data[first:second], data[second:third], data[third:]]
