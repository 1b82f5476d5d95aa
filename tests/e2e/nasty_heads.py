"""Requests that servers have been known to read in two ways, made out of the lists of the unit tests.

Bounded and always the same: what is random has a seed.
"""

import random
import re
from typing import Final

from fuzz.mutation import mutate
from fuzz.targets import seeds
from tests.splice.http.request_vectors import REFUSED, VALID

__all__ = ["PLAIN_TARGET", "hidden_parameters", "nasty_requests"]

PLAIN_TARGET: Final = b"/live?src=a&app=myapp&stream=test"

_SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: door\r\n\r\n"
_TRANSFER_ENCODINGS: Final = (
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: chunked\x0c",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
    b"Transfer-Encoding:\r\n chunked",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"tRANSFER-eNCODING: CHUNKED",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding: \x00chunked",
    b"Connection: Content-Length",
    b"Connection: close, Host",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Expect: 100-continue",
)
_LENGTHS: Final = (
    b"",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: %d",
    b"Content-Length: +5",
    b"Content-Length: 0\r\nContent-Length: %d",
    b"Content-Length: %d, %d",
    b"Content-Length:\r\n 5",
    b"Content-Length: 0x5",
)
_TOKEN_SPACE_TARGET: Final = re.compile(rb"\A((?:\r\n)*[A-Za-z]+ )/ (?=HTTP/1)")

_FIELDS: Final = (
    b"",
    b"Authorization: Bearer x",
    b"Referer: http://page.example/\t",
    b"Range: bytes=0-",
    b"X-Forwarded-For: 10.0.0.1",
    b"X-Original-URL: /other",
    b"Content-Length: 0",
    b"Connection: Authorization, Host",
    b"Host : other",
    b"TE: trailers",
)
_TARGETS: Final = (
    b"/live?app=myapp&stream=test&src=a",
    b"/live?src=a&app=myapp&stream=test&APP=other",
    b"/live?src=a&app=myapp&stream=test;app=other",
    b"/live?src=a&app=myapp&stream=test&x=1;stream=other",
    b"/live?src=a&app=myapp&stream=test&%61pp=other",
    b"/live?src=a&app=my%61pp&stream=test",
    b"/live?src=a&app=myapp&stream=test?app=other",
    b"/live?src=a&app=myapp&stream=test&&app",
    b"/live?src=a&app=myapp&stream=test&app",
    b"/live?src=a&app=myapp&stream=test&x=%00&y=%0d%0aHost:%20other",
    b"/live?src=a&app=myapp&stream=test&token=a+b%20c",
    b"/live?token=app=x&src=a&app=myapp&stream=test&xapp=y",
    b"/live?src=a&port=1935&app=myapp&stream=test",
    b"/live?src=a&port=01935&app=myapp&stream=test",
    b"/live?src=a&app=myapp&stream=test&port=1935&port=1936",
    b"/live/?src=a&app=myapp&stream=test",
    b"//live?src=a&app=myapp&stream=test",
    b"/./live?src=a&app=myapp&stream=test",
    b"/live/../live?src=a&app=myapp&stream=test",
    b"/%6cive?src=a&app=myapp&stream=test",
    b"/live?src=a&app=myapp&stream=..",
    b'/live?src=a&app=myapp&stream=test&x="|{}\\^`<>',
    b"http://door/live?src=a&app=myapp&stream=test",
)


def nasty_requests(*, changed: int) -> list[bytes]:
    """The recorded heads, every length beside every coding with a second request in the body, and changes of both."""
    written = [wire for _, wire, _ in VALID] + [wire for _, _, wire in REFUSED]
    written += [seed.read_bytes() for seed in seeds("http_request_head")]
    # Most of the recorded heads ask for "/": here they ask for a stream, as one that is refused shows less.
    written = [_TOKEN_SPACE_TARGET.sub(rb"\g<1>" + PLAIN_TARGET + b" ", wire) for wire in written]
    written += [
        _with_body(method, length, coding)
        for method in (b"GET", b"POST")
        for length in _LENGTHS
        for coding in _TRANSFER_ENCODINGS
    ]
    chance = random.Random(9112)
    return written + [mutate(chance.choice(written), chance) for _ in range(changed)]


def _with_body(method: bytes, length: bytes, coding: bytes) -> bytes:
    body = b"0\r\n\r\n" + _SMUGGLED
    length = length.replace(b"%d", b"%d" % len(body))
    lines = [method + b" " + PLAIN_TARGET + b" HTTP/1.1", b"Host: door", *filter(None, (length, coding))]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def hidden_parameters(*, changed: int) -> list[bytes]:
    """Heads whose targets say more than one thing to a careless reader, and such as name a stream of origin `a`."""
    targets = [*_TARGETS, *(seed.read_bytes() for seed in seeds("query_routing"))]
    written = [_get(target, line) for target in targets for line in _FIELDS]
    chance = random.Random(3986)
    return written + [_get(mutate(chance.choice(targets), chance), chance.choice(_FIELDS)) for _ in range(changed)]


def _get(target: bytes, line: bytes) -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: door", *filter(None, [line]), b"", b""])
