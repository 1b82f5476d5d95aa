"""Lines and field sections out of bytes that come in any pieces.

What both heads and the chunked coding's trailer have in common: `LineBuffer` holds what was received and gives it out
line by line or by the byte, `FieldSection` reads field lines up to the empty one. RFC 9112, 2.2 and 5, but a bare LF
is never taken for an end of line: a recipient "MAY" do so, and two that differ on it can be played against each other.

Every byte is searched once: the search goes on where the last one ended, however the bytes were cut.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from splice.http.grammar import MalformedError, OversizedError, parse_field_line

__all__ = ["FieldLines", "FieldSection", "Fields", "LineBuffer"]

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Field lines in their order: name and value."""

_CR: Final = 0x0D


class LineBuffer:
    """Bytes received and not yet taken."""

    __slots__ = ("_data", "_searched", "_start")

    def __init__(self) -> None:
        self._data = bytearray()
        self._start = 0  # the first byte that was not taken yet
        self._searched = 0  # there is no LF between _start and here

    def __len__(self) -> int:
        return len(self._data) - self._start

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes at the end."""
        if self._start:
            # Deleting from the front of a bytearray moves nothing: CPython remembers where the rest begins.
            del self._data[: self._start]
            self._searched -= self._start
            self._start = 0
        self._data += data

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, or as many as there are."""
        return bytes(self._data[self._start : self._start + count])

    def take_line(self, limit: int) -> bytes | None:
        """The next line without its CR LF, or None where its end has not come yet.

        Args:
            limit: how many bytes the line may have, its CR LF included.

        Raises:
            OversizedError: the line is longer; known as soon as that many bytes have come without an LF.
            MalformedError: it ends with a bare LF.
        """
        data, start = self._data, self._start
        end = data.find(b"\n", self._searched)
        size = (len(data) if end < 0 else end + 1) - start
        if size > limit:
            raise OversizedError(f"a line goes on past the {limit} bytes that are left for it")
        if end < 0:
            self._searched = len(data)
            return None
        if end == start or data[end - 1] != _CR:
            raise MalformedError("a line ends with a bare LF; lines end with CR LF")
        self._start = self._searched = end + 1
        return bytes(data[start : end - 1])

    def take_up_to(self, count: int) -> bytes:
        """The next `count` bytes, or as many as there are; they are taken."""
        taken = self.peek(count)
        self._start += len(taken)
        self._searched = self._start
        return taken


class FieldSection:
    """Field lines up to the empty line that ends them: of a head, or of a chunked body's trailer (RFC 9112, 5, 7.1.2).

    Args:
        lines: where the lines come from; bytes behind the empty line stay there.
        max_bytes: how much all lines together may have, their CR LF and the empty line included.
        max_lines: how many field lines there may be.
    """

    __slots__ = ("_bytes_left", "_fields", "_lines", "_max_lines")

    def __init__(self, lines: LineBuffer, *, max_bytes: int, max_lines: int) -> None:
        self._lines = lines
        self._bytes_left = max_bytes
        self._max_lines = max_lines
        self._fields: list[tuple[bytes, bytes]] = []

    def read(self) -> tuple[tuple[bytes, bytes], ...] | None:
        """All field lines once the empty line has come, None before that.

        Raises:
            OversizedError: more bytes or lines than allowed.
            MalformedError: a line that is no field line.
        """
        while (line := self._lines.take_line(self._bytes_left)) is not None:
            if not line:
                return tuple(self._fields)
            if len(self._fields) == self._max_lines:
                raise OversizedError(f"there are more than {self._max_lines} field lines")
            self._fields.append(parse_field_line(line))
            self._bytes_left -= len(line) + 2
        return None


class FieldLines:
    """Looking fields up in a head, by name in any case; the head has `fields`."""

    __slots__ = ()

    fields: tuple[tuple[bytes, bytes], ...]

    def get_all(self, name: bytes) -> list[bytes]:
        """The values of all field lines called `name`, in their order; empty where there is none."""
        wanted = name.lower()
        return [value for field_name, value in self.fields if field_name.lower() == wanted]

    def get(self, name: bytes) -> bytes | None:
        """The value of the field `name`, those of several lines joined by ", " (RFC 9110, 5.3); None where absent."""
        values = self.get_all(name)
        return b", ".join(values) if values else None
