"""Request heads from bytes, for the side that is asked: RFC 9112, 2 and 3, and RFC 9110, 7.2 for Host.

Bytes of one viewer flow in; out comes one `RequestHead`, or a `RequestError` with the status to answer. What a lenient
server would repair is refused: the door forwards targets byte for byte, and an origin might repair otherwise. A request
with a body is refused too, so nothing that stands behind the head can ever be taken for a second request.

Errors come in the order of the bytes, each as soon as its line is whole or too long, and those that judge the whole
head (Host, bodies) at its end; so the outcome never depends on how the bytes were cut.
"""

from dataclasses import dataclass
from typing import Final

from protocol import NEED_DATA, NeedDataType
from splice.http.grammar import (
    MalformedError,
    OversizedError,
    is_authority,
    is_content_length,
    is_target,
    is_token,
    parse_version,
    split_absolute_form,
    starts_like_a_method,
)
from splice.http.lines import FieldLines, FieldSection, LineBuffer

__all__ = ["MAX_FIELD_LINES", "MAX_HEAD_BYTES", "MAX_TARGET_BYTES", "RequestError", "RequestHead", "RequestParser"]

MAX_TARGET_BYTES: Final = 4096
MAX_HEAD_BYTES: Final = 16_384
"""The request line, the field lines and the empty line, each with its CR LF."""
MAX_FIELD_LINES: Final = 64

# Until its line is whole a target's end is unknown, so a growing request line is bounded instead: by the longest
# target and ample room for any method and the version. Whoever passes it is told the same, 414 (RFC 9112, 3).
_MAX_REQUEST_LINE_BYTES: Final = MAX_TARGET_BYTES + 256

_KNOWN_VERSIONS: Final = frozenset({(1, 0), (1, 1)})


class RequestError(Exception):
    """The request is refused.

    Attributes:
        status: what to answer: 400, 414, 426, 431 or 505.
        detail: one sentence that says what to do; it never repeats the viewer's bytes.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.status: Final = status
        self.detail: Final = detail

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"


@dataclass(frozen=True, slots=True)
class RequestHead(FieldLines):
    """A request's head, well-formed and without a body.

    Attributes:
        method: a token, as it was sent; methods are case-sensitive. Whether it is one that we serve was not asked.
        target: origin-form byte for byte as it was sent, or the origin-form rest of an absolute-form; ``*`` with
            OPTIONS only; authority-form with CONNECT only (who answers looks at the method first).
        version: (1, 0) or (1, 1).
        fields: name as it was sent, value without the white space around it.
    """

    method: bytes
    target: bytes
    version: tuple[int, int]
    fields: tuple[tuple[bytes, bytes], ...]

    @property
    def path(self) -> bytes:
        """The target up to its first "?"."""
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes | None:
        """The target behind its first "?"; None where there is no "?"."""
        _, question_mark, query = self.target.partition(b"?")
        return query if question_mark else None


@dataclass(frozen=True, slots=True)
class _RequestLine:
    method: bytes
    target: bytes
    version: tuple[int, int]
    authority: bytes | None  # of an absolute-form


class RequestParser:
    """One request's head, from bytes in any pieces.

    One empty line before the request line is ignored, as RFC 9112, 2.2 asks; a second one is refused. It does not
    count towards the head's size.
    """

    def __init__(self) -> None:
        self._lines = LineBuffer()
        self._empty_line_ignored = False
        self._begun: tuple[_RequestLine, FieldSection] | None = None
        self._head: RequestHead | None = None
        self._error: RequestError | None = None

    @property
    def trailing_data(self) -> bytes:
        """What came behind the head; b"" until the head was returned."""
        return b"" if self._head is None else self._lines.peek(len(self._lines))

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes from the viewer; the end of its stream is for the caller to see."""
        self._lines.receive_data(data)

    def next_event(self) -> RequestHead | NeedDataType:
        """The head, once, as soon as it is whole; NEED_DATA before and after.

        Raises:
            RequestError: the request is refused; again at every further call.
        """
        if self._error is not None:
            raise self._error
        if self._head is not None:
            return NEED_DATA
        try:
            return self._parse()
        except OversizedError as error:
            if self._begun is None:
                self._error = _target_too_long()
            else:
                self._error = RequestError(
                    431,
                    f"Send a shorter head: {MAX_HEAD_BYTES} bytes and {MAX_FIELD_LINES} field lines at most "
                    "(cookies for other services of this host are a usual cause).",
                )
            raise self._error from error
        except MalformedError as error:
            self._error = _malformed(str(error))
            raise self._error from error
        except RequestError as error:
            self._error = error
            raise

    def _parse(self) -> RequestHead | NeedDataType:
        if self._begun is None:
            line = self._take_request_line()
            if line is None:
                return NEED_DATA
            left = MAX_HEAD_BYTES - len(line) - 2
            section = FieldSection(self._lines, max_bytes=left, max_lines=MAX_FIELD_LINES)
            self._begun = _parse_request_line(line), section
        request_line, section = self._begun
        fields = section.read()
        if fields is None:
            return NEED_DATA
        head = RequestHead(request_line.method, request_line.target, request_line.version, fields)
        _check_host(head, request_line.authority)
        _check_no_body(head)
        self._head = head
        return head

    def _take_request_line(self) -> bytes | None:
        # A TLS handshake holds no LF for a long time. Its first byte tells, so a viewer that was given https:// for
        # http:// hears of it at once, not when its time is over. CR and LF begin an empty line, which the next
        # lines judge.
        first = self._lines.peek(1)
        if first and first not in b"\r\n" and not starts_like_a_method(first):
            raise MalformedError("it does not begin with a method (is this https:// where http:// is spoken?)")
        line = self._lines.take_line(_MAX_REQUEST_LINE_BYTES)
        if line == b"" and not self._empty_line_ignored:
            self._empty_line_ignored = True
            return self._take_request_line()
        return line


def _malformed(fault: str) -> RequestError:
    return RequestError(400, f"Send a well-formed HTTP/1.1 request: {fault}.")


def _target_too_long() -> RequestError:
    return RequestError(414, f"Send a shorter URL: {MAX_TARGET_BYTES} bytes of path and query at most.")


def _parse_request_line(line: bytes) -> _RequestLine:
    # request-line   = method SP request-target SP HTTP-version                   (RFC 9112, 3)
    parts = line.split(b" ")
    if not line or (parts[0] == b"PROXY" and len(parts) != 3):
        # Version 2 of the header begins with two empty lines, so that it passes for no request.
        begins = "is a PROXY header's" if line else "is empty, as where a PROXY header begins"
        raise MalformedError(
            f"the request line {begins}, and such are taken from trusted_proxies alone, where proxy_protocol says so"
        )
    if len(parts) != 3 or not all(parts):
        raise MalformedError("the request line is a method, a target and HTTP/1.1, with one space between them")
    method, target, version_text = parts
    if len(target) > MAX_TARGET_BYTES:
        raise _target_too_long()
    if not is_token(method):
        raise MalformedError("the method holds a character that methods may not hold")
    if not is_target(target):
        raise MalformedError('the target holds a character that must be percent-encoded, or a "#"')
    version = parse_version(version_text)
    if version not in _KNOWN_VERSIONS:
        raise RequestError(505, "Speak HTTP/1.1 or HTTP/1.0; no other version is understood here.")
    exposed, authority = _split_target(method, target)
    return _RequestLine(method, exposed, version, authority)


def _split_target(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """The target to expose, and an absolute-form's authority (RFC 9112, 3.2)."""
    # authority-form is the only one that CONNECT has (3.2.3). It is a well-formed request for what we do not do, and
    # is refused by its method, not here.
    if method == b"CONNECT":
        if not is_authority(target):
            raise MalformedError("the target of CONNECT is host:port")
        return target, None
    if target.startswith(b"/"):
        return target, None
    if target == b"*":
        if method != b"OPTIONS":
            raise MalformedError('the target "*" is for OPTIONS only')
        return target, None
    absolute = split_absolute_form(target)
    if absolute is None:
        raise MalformedError('the target is a path that begins with "/", or a whole http:// URL')
    authority, rest = absolute
    # Without path and query the whole server is meant, which OPTIONS calls "*" (3.2.4) and the others "/" (3.2.1).
    return rest or (b"*" if method == b"OPTIONS" else b"/"), authority


def _check_host(head: RequestHead, authority: bytes | None) -> None:
    """Host is there once and well-formed (RFC 9112, 3.2); HTTP/1.0 may leave it out. It equals an absolute-form's."""
    hosts = head.get_all(b"host")
    if len(hosts) > 1:
        raise MalformedError("the field Host is there more than once")
    if not hosts:
        if head.version == (1, 1):
            raise MalformedError("the field Host is missing")
    elif not is_authority(hosts[0]):
        raise MalformedError("the field Host is malformed; it reads name or name:port")
    # RFC 9112, 3.2.2 lets the target win over a Host that differs. Then two servers in a row can disagree on who is
    # meant, so a difference is refused, also one of spelling (a default port) or a Host that is not there.
    if authority is not None and [authority.lower()] != [host.lower() for host in hosts]:
        raise MalformedError("the target names another host than the field Host")


def _check_no_body(head: RequestHead) -> None:
    """There is no content: no Transfer-Encoding, and a Content-Length of 0 at most (RFC 9112, 6.3)."""
    lengths = head.get_all(b"content-length")
    if head.get_all(b"transfer-encoding"):
        raise MalformedError("the field Transfer-Encoding announces a body, and no request here has one")
    if len(lengths) > 1:
        raise MalformedError("the field Content-Length is there more than once")
    if lengths and not is_content_length(lengths[0]):
        raise MalformedError("the field Content-Length is malformed; it is decimal digits")
    if lengths and int(lengths[0]):
        raise MalformedError("the field Content-Length announces a body, and no request here has one")
