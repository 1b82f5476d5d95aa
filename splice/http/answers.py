"""Heads and answers as bytes: what the door says itself, asks of an origin, and relays from it.

Fields flow in as names and values, a head comes out, and no CR, LF or other CTL passes with it: what breaks the grammar
is a bug of ours and raises `ValueError`. A plain connection is sent what `Answer.encode` makes, HTTP/2 its parts.
RFC 9112, 3 to 5; RFC 9110, 7.6.1 for what is hop-by-hop; RFC 9457 for the errors' bodies.

The door's version is HTTP/1.1 in every answer, also to an HTTP/1.0 viewer: a server sends the highest version of the
same major number that it conforms to, not the one it was asked in (RFC 9110, 2.5 and 6.2), and "HTTP/1.1" in an answer
promises nothing about its framing. What such a viewer must not get is a chunked body, so that goes by
`relayed_answer(..., viewer_version=(1, 0))`.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from splice.http.framing import FramingKind
from splice.http.grammar import is_authority, is_field_value, is_reason, is_target, is_token
from splice.http.lines import Fields
from splice.http.response import ResponseHead

__all__ = ["Answer", "as_sentence", "forwarded_request_head", "problem_answer", "reason_phrase", "relayed_answer"]

_HTTP_1_1: Final = (1, 1)

# Python's table has the names of RFC 7231 for these up to 3.12; RFC 9110, 15.5 has renamed them.
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}

_FRAMING_FIELDS: Final = frozenset({b"content-length", b"transfer-encoding"})

# Fields that concern one connection only: RFC 9110, 7.6.1, and those of older days that proxies are still to remove.
# All that begins with "proxy-" is one hop's too.
_HOP_BY_HOP: Final = frozenset({b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"http2-settings"})


def reason_phrase(status: int) -> bytes:
    """The registered reason phrase of a status, b"" for one that is not registered (RFC 9110, 15)."""
    return _REASONS.get(status, "").encode("ascii")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the door's own, or the head of one whose body is a stream.

    Attributes:
        status: 100 to 599.
        fields: in the order in which they are sent.
        body: empty where a stream follows.
        reason: the reason phrase, which may be empty; None: as `reason_phrase` has it.

    Raises:
        ValueError: any of it would break the head.
    """

    status: int
    fields: Fields
    body: bytes = b""
    reason: bytes | None = None

    def __post_init__(self) -> None:
        if not 100 <= self.status <= 599:
            raise ValueError(f"status {self.status} is not from 100 to 599")
        if not is_reason(self.reason or b""):
            raise ValueError(f"a reason phrase cannot be {self.reason!r}")
        _require_fields(self.fields)

    def encode(self, *, head_only: bool = False) -> bytes:
        """The answer as HTTP/1.1; to HEAD without its body (RFC 9112, 4 and 5)."""
        reason = reason_phrase(self.status) if self.reason is None else self.reason
        head = b"HTTP/1.1 %d %b\r\n%b\r\n" % (self.status, reason, _encode_fields(self.fields))
        return head if head_only else head + self.body


def as_sentence(detail: str) -> str:
    """An error's words, which begin small so that others may stand before them, as a sentence by themselves."""
    text = detail[:1].upper() + detail[1:]
    return text if text.endswith((".", "?", "!")) else text + "."


def problem_answer(status: int, detail: str, *, extra_fields: Fields = ()) -> Answer:
    """An error's answer, whose body is ``application/problem+json`` (RFC 9457), of type about:blank.

    Args:
        status: 400 to 599.
        detail: one sentence that says what to do. Any text: it stands in the body alone, JSON in ASCII.
        extra_fields: CORS, Retry-After, Allow, Date.

    Raises:
        ValueError: the status or an extra field would break the head.
    """
    problem = {
        "type": "about:blank",
        "title": reason_phrase(status).decode("ascii"),
        "status": status,
        "detail": detail,
    }
    body = json.dumps(problem).encode("ascii")
    fields = [
        (b"Content-Type", b"application/problem+json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Cache-Control", b"no-store"),
        (b"Connection", b"close"),
        *extra_fields,
    ]
    return Answer(status, fields, body)


def forwarded_request_head(target: bytes, version: tuple[int, int], host: str, fields: Fields) -> bytes:
    """The head that asks an origin: always GET, then Host, Connection: close, and `fields` (RFC 9112, 3).

    Args:
        target: origin-form, written byte for byte.
        version: the viewer's, (1, 0) or (1, 1).
        host: the origin's name or address, with its port where it needs one; ASCII, an IPv6 address in brackets.
        fields: the rest, such as User-Agent, X-Forwarded-For, Referer; neither of the two above, no framing field.

    Raises:
        ValueError: any of it would break the head, or is said twice.
    """
    if not (target.startswith(b"/") and is_target(target)):
        raise ValueError(f"a target cannot be {target!r}")
    host_value = host.encode("ascii")
    if not is_authority(host_value):
        raise ValueError(f"a Host cannot be {host!r}")
    for name, _ in fields:
        if name.lower() in _FRAMING_FIELDS or name.lower() in (b"host", b"connection"):
            raise ValueError(f"the field {name!r} is not the caller's to set")
    _require_fields(fields)
    own_fields = [(b"Host", host_value), (b"Connection", b"close")]
    return b"GET %b HTTP/%d.%d\r\n%b%b\r\n" % (target, *version, _encode_fields(own_fields), _encode_fields(fields))


def relayed_answer(
    head: ResponseHead, *, cors_fields: Fields = (), viewer_version: tuple[int, int] = _HTTP_1_1
) -> Answer:
    """The origin's head as the viewer gets it.

    What concerns the origin's connection goes, its Access-Control fields too; the door's CORS fields and
    Connection: close come. The framing field is made anew from `head.framing`, so that an origin which names it in its
    Connection field cannot take it away. To a viewer of HTTP/1.0 it is left out for a chunked body, which the caller
    then takes out of its framing and ends by closing.

    Args:
        head: as `ResponseParser` returned it.
        cors_fields: the door's own, Vary among them where it is due.
        viewer_version: what the viewer asked in, (1, 0) or (1, 1).

    Raises:
        ValueError: a CORS field would break the head.
    """
    dropped = _HOP_BY_HOP | _FRAMING_FIELDS | _named_by_connection(head)
    fields = [
        (name, value)
        for name, value in head.fields
        if name.lower() not in dropped and not name.lower().startswith((b"proxy-", b"access-control-"))
    ]
    fields += _framing_fields(head, viewer_version)
    fields += [*cors_fields, (b"Connection", b"close")]
    return Answer(head.status, fields, reason=head.reason)


def _named_by_connection(head: ResponseHead) -> set[bytes]:
    """The fields that Connection says are for one hop, in lower case (RFC 9110, 7.6.1)."""
    return {option.strip(b" \t").lower() for value in head.get_all(b"connection") for option in value.split(b",")}


def _framing_fields(head: ResponseHead, viewer_version: tuple[int, int]) -> Fields:
    kind = head.framing.kind
    if kind is FramingKind.CHUNKED:
        return [(b"Transfer-Encoding", b"chunked")] if viewer_version >= _HTTP_1_1 else []
    # A 304 may say how long the body would be (RFC 9110, 8.6); a 204 must not say it.
    length = head.get(b"content-length")
    return [(b"Content-Length", length)] if length is not None and head.status != 204 else []


def _require_fields(fields: Fields) -> None:
    for name, value in fields:
        if not is_token(name) or not is_field_value(value):
            raise ValueError(f"a field cannot be {name!r}: {value!r}")


def _encode_fields(fields: Fields) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])
