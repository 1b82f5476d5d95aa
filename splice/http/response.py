"""An origin's response heads from bytes, for the side that has asked: RFC 9112, 4 and 6.

Bytes of one origin flow in; out comes one `ResponseHead` with the framing of the body that follows, or a
`ResponseError`. Parsed as strictly as a request, for what passes here is relayed to a viewer: an answer that can be
read in two ways is refused, not repaired. Interim answers are skipped.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol import NEED_DATA, NeedDataType
from splice.http.framing import CHUNKED, CLOSE, NO_BODY, Framing, ResponseError
from splice.http.grammar import MalformedError, is_content_length, parse_status_line
from splice.http.lines import FieldLines, FieldSection, LineBuffer

__all__ = ["MAX_INTERIM_ANSWERS", "ResponseHead", "ResponseParser"]

MAX_INTERIM_ANSWERS: Final = 8
_MAX_HEAD_BYTES: Final = 16_384
_MAX_FIELD_LINES: Final = 64
_KNOWN_VERSIONS: Final = frozenset({(1, 0), (1, 1)})
_NAME: Final = b"HTTP/"

_StatusLine: TypeAlias = tuple[tuple[int, int], int, bytes]


@dataclass(frozen=True, slots=True)
class ResponseHead(FieldLines):
    """A final answer's head.

    Attributes:
        version: (1, 0) or (1, 1).
        status: 200 to 599.
        reason: the reason phrase, b"" where there is none.
        fields: name as it was sent, value without the white space around it.
        framing: how the body behind this head ends.
    """

    version: tuple[int, int]
    status: int
    reason: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    framing: Framing


class ResponseParser:
    """One final answer's head, from bytes in any pieces; up to 8 interim answers before it are dropped.

    Args:
        request_method: what was asked with: an answer to HEAD has no body, whatever its fields say.
    """

    def __init__(self, request_method: bytes = b"GET") -> None:
        self._request_method = request_method
        self._lines = LineBuffer()
        self._interim_answers = 0
        self._begun: tuple[_StatusLine, FieldSection] | None = None
        self._head: ResponseHead | None = None
        self._error: ResponseError | None = None

    @property
    def trailing_data(self) -> bytes:
        """What came behind the head: the body's first bytes; b"" until the head was returned."""
        return b"" if self._head is None else self._lines.peek(len(self._lines))

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes from the origin; the end of its stream is for the caller to see."""
        self._lines.receive_data(data)

    def next_event(self) -> ResponseHead | NeedDataType:
        """The final answer's head, once, as soon as it is whole; NEED_DATA before and after.

        Raises:
            ResponseError: the answer is refused; again at every further call.
        """
        if self._error is not None:
            raise self._error
        if self._head is not None:
            return NEED_DATA
        try:
            return self._parse()
        except MalformedError as error:
            self._error = ResponseError(f"The origin's answer is malformed: {error}.")
            raise self._error from error

    def _parse(self) -> ResponseHead | NeedDataType:
        while True:
            if self._begun is None:
                self._begun = self._begin()
                if self._begun is None:
                    return NEED_DATA
            (version, status, reason), section = self._begun
            fields = section.read()
            if fields is None:
                return NEED_DATA
            framing = _framing_of(version, status, fields, self._request_method)
            if status >= 200:
                self._head = ResponseHead(version, status, reason, fields, framing)
                return self._head
            self._skip_interim(status)

    def _begin(self) -> tuple[_StatusLine, FieldSection] | None:
        # An origin that speaks something else (RTMP on the wrong port) may never send an LF: its first bytes tell.
        if not _NAME.startswith(self._lines.peek(len(_NAME))):
            raise MalformedError("it does not begin with HTTP/ (does another protocol live on this port?)")
        line = self._lines.take_line(_MAX_HEAD_BYTES)
        if line is None:
            return None
        status_line = parse_status_line(line)
        if status_line[0] not in _KNOWN_VERSIONS:
            raise MalformedError("its version is neither HTTP/1.1 nor HTTP/1.0")
        left = _MAX_HEAD_BYTES - len(line) - 2
        return status_line, FieldSection(self._lines, max_bytes=left, max_lines=_MAX_FIELD_LINES)

    def _skip_interim(self, status: int) -> None:
        if status == 101:
            raise MalformedError("it switches protocols (101), which nobody asked for")
        self._interim_answers += 1
        if self._interim_answers > MAX_INTERIM_ANSWERS:
            raise MalformedError(f"more than {MAX_INTERIM_ANSWERS} interim answers come before the final one")
        self._begun = None


def _framing_of(
    version: tuple[int, int], status: int, fields: tuple[tuple[bytes, bytes], ...], request_method: bytes
) -> Framing:
    """How the body ends, by RFC 9112, 6.3, without its repairs; a head without a body is checked as well.

    Raises:
        MalformedError: the framing fields can be read in two ways.
    """
    codings = [value for name, value in fields if name.lower() == b"transfer-encoding"]
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    if codings and lengths:
        raise MalformedError("both Transfer-Encoding and Content-Length are there")
    if status < 200 and (codings or lengths):
        raise MalformedError("an interim answer announces a body")
    if codings and version == (1, 0):
        raise MalformedError("Transfer-Encoding stands in an HTTP/1.0 answer")
    # Names of codings are case-insensitive (RFC 9112, 7); anything beside the one word is refused.
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise MalformedError("its Transfer-Encoding is not just chunked")
    if len(lengths) > 1:
        raise MalformedError("Content-Length is there more than once")
    if lengths and not is_content_length(lengths[0]):
        raise MalformedError("its Content-Length is not 1 to 18 decimal digits")
    if request_method == b"HEAD" or status < 200 or status in (204, 304):  # 6.3, rule 1
        return NO_BODY
    if codings:
        return CHUNKED
    return Framing.of_length(int(lengths[0])) if lengths else CLOSE
