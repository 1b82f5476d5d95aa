"""Where a decoder stands in its bytes, and what its peer may still make it hold: the ground of both AMF decoders.

The bytes are there in whole (an AMF value has no length of its own, so nothing can be said about half of one). Depth
and number of values are counted as they come; a count that the peer announces is never more than the end of a loop.
"""

import math
from typing import Final

from protocol._base import Limits, LocalProtocolError, RemoteProtocolError

__all__ = ["DEFAULT_LIMITS", "DEPTH_CEILING", "Cursor", "as_double", "decode_utf8", "deepest", "encode_utf8", "shown"]

DEFAULT_LIMITS: Final = Limits()

DEPTH_CEILING: Final = 128
"""Values nest no deeper than this whatever `Limits.amf_depth` says. The codecs recurse, up to four Python frames a
level, and the interpreter stops at 1000 frames by default: a setting must not turn a peer's bytes into a
RecursionError."""


def deepest(limits: Limits) -> int:
    """The depth that the codecs allow under `limits`."""
    return min(limits.amf_depth, DEPTH_CEILING)


def decode_utf8(data: bytes) -> str:
    """Text of a string on the wire. Bytes that are not UTF-8 become surrogate escapes, and encode to the same bytes.

    The specifications ask for UTF-8, real programs send file names and titles in their machine's encoding, and a stream
    must not die of its title. (AMF 0, 1.3.1; AMF 3, 1.3.2)
    """
    return data.decode("utf-8", "surrogateescape")


def encode_utf8(text: str, spec: str) -> bytes:
    """The wire's bytes of `text`, the inverse of `decode_utf8`.

    Raises:
        LocalProtocolError: a surrogate that stands for no byte, or no str at all.
    """
    try:
        return str.encode(text, "utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise LocalProtocolError(
            f"the string {shown(text)} holds a lone surrogate, which UTF-8 lacks", spec=spec
        ) from error
    except TypeError as error:
        raise LocalProtocolError(f"a text is a str, not a {type(text).__name__}", spec=spec) from error


def as_double(value: int | float, spec: str) -> float:
    """`value` as the double that AMF sends for it.

    Raises:
        LocalProtocolError: an int that no double holds exactly, or no number at all.
    """
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        number = math.nan
    if number != value and value == value:
        raise LocalProtocolError(f"no double holds this {type(value).__name__} exactly; send it as a string", spec=spec)
    return number


def shown(text: str) -> str:
    """`text` for an error's message: quoted, and short whatever the peer sent."""
    return repr(text if len(text) <= 64 else text[:64] + "...")


class Cursor:
    """A position in `data`, the current depth, and how many more values may come."""

    __slots__ = ("data", "deepest", "depth", "position", "values_left")

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data: Final = data
        self.deepest: Final = deepest(limits)
        self.depth = 1
        self.position = 0
        self.values_left = limits.amf_values

    def follow(self, other: "Cursor") -> None:
        """Stand where `other`, which reads the same data under the same limits, stands now."""
        self.position = other.position
        self.depth = other.depth
        self.values_left = other.values_left

    def take(self, count: int, spec: str) -> bytes:
        """The next `count` bytes.

        Raises:
            RemoteProtocolError: fewer are left.
        """
        start = self.position
        self.position = end = start + count
        if end > len(self.data):
            raise RemoteProtocolError(f"truncated: {count} bytes announced, {len(self.data) - start} left", spec=spec)
        return self.data[start:end]

    def charge(self, count: int, spec: str) -> None:
        """Count `count` values more.

        Raises:
            RemoteProtocolError: they pass `Limits.amf_values`.
        """
        self.values_left -= count
        if self.values_left < 0:
            raise RemoteProtocolError("more values than Limits.amf_values allows", spec=spec)

    def refuse(self, spec: str) -> RemoteProtocolError:
        """The error for a value that may not begin here: nothing left, too deep, or one too many."""
        if self.position >= len(self.data):
            return RemoteProtocolError("truncated: a value is missing", spec=spec)
        if self.depth > self.deepest:
            return RemoteProtocolError(f"values nest deeper than {self.deepest} (Limits.amf_depth)", spec=spec)
        return RemoteProtocolError("more values than Limits.amf_values allows", spec=spec)
