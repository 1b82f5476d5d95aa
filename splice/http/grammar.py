"""The grammar of HTTP/1.1 as compiled byte patterns, and the functions that ask them.

Lines go in without their CR LF, names and values come out, or `MalformedError` with a sentence about what is wrong.
Whose fault that is (a viewer's or an origin's) is for the parser above to say. RFC 9110 (5, 7.2, 8.6), RFC 9112
(2 to 7) and RFC 3986 (3.2); the ABNF stands above each pattern. No pattern nests one repetition in another, so none
takes more than linear time.
"""

import ipaddress
import re
from typing import Final

__all__ = [
    "MalformedError",
    "OversizedError",
    "is_authority",
    "is_content_length",
    "is_field_value",
    "is_reason",
    "is_target",
    "is_token",
    "parse_chunk_size",
    "parse_field_line",
    "parse_status_line",
    "parse_version",
    "split_absolute_form",
    "starts_like_a_method",
]


class MalformedError(Exception):
    """Bytes that break the grammar. Its text is half a sentence that says what is wrong, and what is right."""


class OversizedError(MalformedError):
    """A line, or the lines together, past the bound that the reader was given."""


# OWS            = *( SP / HTAB )                                                  (RFC 9110, 5.6.3)
_OWS: Final = b" \t"

# token          = 1*tchar                                                        (RFC 9110, 5.6.2)
# tchar          = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"
#                / DIGIT / ALPHA
_TCHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TOKEN: Final = re.compile(_TCHAR + rb"+")
_FIRST_TCHAR: Final = re.compile(_TCHAR)

# field-line     = field-name ":" OWS field-value OWS                             (RFC 9112, 5)
# field-name     = token
# field-value    = *field-content                                                 (RFC 9110, 5.5)
# field-content  = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ]
# field-vchar    = VCHAR / obs-text
# obs-text       = %x80-FF
#
# That is to say: any of HTAB, SP, VCHAR and obs-text, with no white space at either end. Written so, with the OWS
# stripped afterwards, there is nothing to backtrack over. Every CTL but HTAB is out, NUL, CR and VT among them.
# obs-text is let through: names of places in Referer use it, and no parser takes it for a delimiter.
_FIELD_TEXT: Final = rb"[\t\x20-\x7e\x80-\xff]*"
_FIELD_LINE: Final = re.compile(rb"(" + _TCHAR + rb"+):(" + _FIELD_TEXT + rb")")
_FIELD_VALUE: Final = re.compile(_FIELD_TEXT)

# HTTP-version   = HTTP-name "/" DIGIT "." DIGIT                                  (RFC 9112, 2.3)
# HTTP-name      = %s"HTTP"                                                       ; case-sensitive
_VERSION: Final = re.compile(rb"HTTP/([0-9])\.([0-9])")

# status-line    = HTTP-version SP status-code SP [ reason-phrase ]               (RFC 9112, 4)
# status-code    = 3DIGIT
# reason-phrase  = 1*( HTAB / SP / VCHAR / obs-text )
#
# The SP behind the code is asked for by the grammar and left out by enough servers that everyone takes it as optional.
# A code's first digit is its class, 1 to 5 (RFC 9110, 15).
_STATUS_LINE: Final = re.compile(rb"HTTP/([0-9])\.([0-9]) ([1-5][0-9]{2})(?: (" + _FIELD_TEXT + rb"))?")

# request-target = origin-form / absolute-form / authority-form / asterisk-form   (RFC 9112, 3.2)
#
# All four are visible ASCII, and none has a fragment. RFC 3986 forbids more ( " < > \ ^ ` { | } ), but browsers send
# some of these, and origins get them byte for byte as they came, so nothing hangs on their meaning here.
_TARGET: Final = re.compile(rb"[\x21\x22\x24-\x7e]+")

# absolute-form  = absolute-URI                                                   (RFC 9112, 3.2.2)
# absolute-URI   = scheme ":" hier-part [ "?" query ]                             (RFC 3986, 4.3)
# hier-part      = "//" authority path-abempty                                    ; for the scheme http
_ABSOLUTE_FORM: Final = re.compile(rb"[Hh][Tt][Tt][Pp]://([^/?]*)((?:[/?].*)?)")

# Host           = uri-host [ ":" port ]                                          (RFC 9110, 7.2)
# uri-host       = IP-literal / IPv4address / reg-name                            (RFC 3986, 3.2.2)
# IP-literal     = "[" ( IPv6address / IPvFuture  ) "]"
# reg-name       = *( unreserved / pct-encoded / sub-delims )
# port           = *DIGIT
#
# Narrower in three ways: a name has at least one byte, for an http URI without a host is invalid (RFC 9110, 4.2.1);
# a port has at most five digits; and IPvFuture, of which there is none, is refused. IPv4address is within reg-name.
_REG_NAME: Final = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+(?::[0-9]{0,5})?")
_IP_LITERAL: Final = re.compile(rb"\[([0-9A-Fa-f:.]+)\](?::[0-9]{0,5})?")

# Content-Length = 1*DIGIT                                                        (RFC 9110, 8.6)
#
# At most 18 digits: what fits any 64-bit integer of whoever reads the number after us.
_CONTENT_LENGTH: Final = re.compile(rb"[0-9]{1,18}")

# chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF                  (RFC 9112, 7.1)
# chunk-size     = 1*HEXDIG
# chunk-ext      = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
#
# At most 16 digits, with no sign, prefix or white space (FFmpeg CVE-2016-10190, nginx CVE-2013-2028). Extensions are
# never looked at, only kept free of CTL; a BWS without its ";" is refused.
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;" + _FIELD_TEXT + rb")?")


def is_token(data: bytes) -> bool:
    """Whether `data` is a token: a method, or a field's name (RFC 9110, 5.6.2)."""
    return _TOKEN.fullmatch(data) is not None


def starts_like_a_method(data: bytes) -> bool:
    """Whether the first byte of `data` could begin a method; false for an empty line, and for a TLS handshake."""
    return _FIRST_TCHAR.match(data) is not None


def is_field_value(data: bytes) -> bool:
    """Whether `data` can stand behind a field's colon: no CTL but HTAB (RFC 9110, 5.5)."""
    return _FIELD_VALUE.fullmatch(data) is not None


is_reason: Final = is_field_value
"""Whether `data` can be a reason phrase: the same characters, and empty is allowed too (RFC 9112, 4)."""


def is_target(data: bytes) -> bool:
    """Whether `data` is made of what a request-target may hold: visible ASCII without "#" (RFC 9112, 3.2)."""
    return _TARGET.fullmatch(data) is not None


def is_authority(data: bytes) -> bool:
    """Whether `data` is ``uri-host [":" port]``, the value of Host (RFC 9110, 7.2): no userinfo, no empty name."""
    if not data.startswith(b"["):
        return _REG_NAME.fullmatch(data) is not None
    literal = _IP_LITERAL.fullmatch(data)
    if literal is None:
        return False
    try:
        ipaddress.IPv6Address(literal[1].decode("ascii"))
    except ValueError:
        return False
    return True


def is_content_length(data: bytes) -> bool:
    """Whether `data` is 1 to 18 decimal digits (RFC 9110, 8.6)."""
    return _CONTENT_LENGTH.fullmatch(data) is not None


def parse_version(data: bytes) -> tuple[int, int]:
    """The major and minor version, each 0 to 9, of an HTTP-version (RFC 9112, 2.3).

    Raises:
        MalformedError: it is none.
    """
    match = _VERSION.fullmatch(data)
    if match is None:
        raise MalformedError("the HTTP version is malformed; it reads HTTP/1.1")
    return int(match[1]), int(match[2])


def parse_status_line(line: bytes) -> tuple[tuple[int, int], int, bytes]:
    """The version, the status (100 to 599) and the reason phrase, b"" where there is none (RFC 9112, 4).

    Raises:
        MalformedError: it is no status line.
    """
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise MalformedError("the status line is malformed; it reads HTTP/1.1, a status from 100 to 599, a reason")
    return (int(match[1]), int(match[2])), int(match[3]), match[4] or b""


def parse_field_line(line: bytes) -> tuple[bytes, bytes]:
    """The field's name as it was sent, and its value without the white space around it (RFC 9112, 5.1).

    Raises:
        MalformedError: it is no field line; obs-fold (RFC 9112, 5.2) is none.
    """
    match = _FIELD_LINE.fullmatch(line)
    if match is None:
        raise MalformedError(_field_line_fault(line))
    name, value = match.groups()
    return name, value.strip(_OWS)


def _field_line_fault(line: bytes) -> str:
    if line.startswith((b" ", b"\t")):
        return "a field line begins with white space; folding a field over lines is obsolete, one line each is right"
    name, colon, value = line.partition(b":")
    if not colon:
        return "a field line has no colon; it reads Name: value"
    if not is_token(name.rstrip(_OWS)):
        return "a field's name is empty or holds a character that names may not hold"
    if not is_token(name):
        return "white space stands between a field's name and its colon; the colon follows at once"
    if b"\r" in value:
        return "a field's value holds a bare CR; lines end with CR LF, and CR stands nowhere else"
    return "a field's value holds a control character; of these only HTAB is allowed"


def split_absolute_form(target: bytes) -> tuple[bytes, bytes] | None:
    """The authority of an absolute-form target and its origin-form rest, or None where it is no http URI.

    The rest is empty where the URI has neither a path nor a query; a query alone gets its "/" (RFC 9112, 3.2.1).
    """
    match = _ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        return None
    authority, rest = match.group(1, 2)
    return authority, b"/" + rest if rest.startswith(b"?") else rest


def parse_chunk_size(line: bytes) -> int:
    """The size of a chunk, 0 to 2**64 - 1, from the line before it; extensions are skipped (RFC 9112, 7.1).

    Raises:
        MalformedError: anything but 1 to 16 hexadecimal digits stands there.
    """
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise MalformedError("a chunk's size is malformed; it is 1 to 16 hexadecimal digits")
    return int(match[1], 16)
