"""Two readers over one codec record: `BitReader` for bit fields and Exp-Golomb codes, `ByteReader` for whole bytes.

Both raise `RemoteProtocolError`, and nothing else, when a record ends too early or a code is longer than any legal one.
"""

from typing import Final

from protocol._base import RemoteProtocolError

__all__ = ["BitReader", "ByteReader", "unescape_rbsp"]

_LONGEST_PREFIX: Final = 31
"""Leading zero bits of the longest ue(v): it codes up to 2**32 - 2, the largest value any syntax element may have."""


class BitReader:
    """Reads bits, the most significant first.

    Args:
        data: the record.
        spec: the section that an error names.
    """

    __slots__ = ("_data", "_length", "_position", "_spec")

    def __init__(self, data: bytes, *, spec: str) -> None:
        self._data = data
        self._length = len(data) * 8
        self._position = 0
        self._spec = spec

    @property
    def bits_left(self) -> int:
        """How many bits have not been read."""
        return self._length - self._position

    def read(self, bits: int) -> int:
        """The next `bits` bits as an unsigned number: u(n)."""
        start, end = self._position, self._position + bits
        if end > self._length:
            raise RemoteProtocolError("the record ends inside a field", spec=self._spec)
        self._position = end
        # Only the bytes that are touched become a number: the cost is the field's, not the record's.
        value = int.from_bytes(self._data[start >> 3 : (end + 7) >> 3], "big")
        return value >> (-end & 7) & ((1 << bits) - 1)

    def flag(self) -> bool:
        """The next bit."""
        return self.read(1) == 1

    def skip(self, bits: int) -> None:
        """Pass over `bits` bits."""
        if self._position + bits > self._length:
            raise RemoteProtocolError("the record ends inside a field", spec=self._spec)
        self._position += bits

    def align(self) -> None:
        """Pass over what is left of the current byte."""
        self._position = (self._position + 7) & ~7

    def ue(self) -> int:
        """An unsigned Exp-Golomb code, 0 to 2**32 - 2: ue(v) of H.264 and H.265, clause 9; uvlc() of AV1."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > _LONGEST_PREFIX:
                raise RemoteProtocolError("an Exp-Golomb code of more than 31 leading zeros", spec=self._spec)
        return (1 << zeros) - 1 + self.read(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb code: se(v)."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


class ByteReader:
    """Reads big-endian numbers and runs of bytes.

    Args:
        data: the message or record.
        spec: the section that an error names.
    """

    __slots__ = ("_data", "_position", "_spec")

    def __init__(self, data: bytes, *, spec: str) -> None:
        self._data = data
        self._position = 0
        self._spec = spec

    @property
    def bytes_left(self) -> int:
        """How many bytes have not been read."""
        return len(self._data) - self._position

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._position + count
        if end > len(self._data):
            raise RemoteProtocolError(f"{count} bytes are announced and {self.bytes_left} are left", spec=self._spec)
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def number(self, size: int) -> int:
        """The next `size` bytes as an unsigned big-endian number: UI8, UI16, UI24, UI32."""
        return int.from_bytes(self.take(size), "big")

    def signed(self, size: int) -> int:
        """The next `size` bytes as a signed big-endian number: SI24."""
        return int.from_bytes(self.take(size), "big", signed=True)

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.bytes_left)


def unescape_rbsp(nal_unit: bytes) -> bytes:
    """A NAL unit without its emulation prevention bytes (H.264 and H.265, 7.3.1.1)."""
    # After `00 00`, a `03` is there only to keep a start code from appearing; the next byte starts the count again.
    first, *others = nal_unit.split(b"\x00\x00\x03")
    return first + b"".join(b"\x00\x00" + part for part in others)
