"""nginx's secure_link, for those who move over: an MD5 over an expression (ngx_http_secure_link_module).

    secure_link     $arg_md5,$arg_expires;                      what is compared; here it is always so
    secure_link_md5 "$secure_link_expires$uri$remote_addr secret";       `[play] secure_link` is this expression

`md5` is the base64url of the binary digest, `expires` in Unix seconds. As in nginx, what the expression does not name
the viewer may choose: on `/live` the stream is in `$arg_src`, `$arg_app` and `$arg_stream`. Those three are always what
the door has read, also from a path of the form `/APP/STREAM.flv`, so an argument can not say another stream than is
served. `$uri` of an RTMP player is `/APP/STREAM`.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote

from splice.access.addresses import canonical_address
from splice.access.parameters import read_parameters
from splice.access.requests import RTMP_PATH, AccessRefusedError, PlayRequest
from splice.config.values import SECURE_LINK_VARIABLE

__all__ = ["SECURE_LINK_PARAMETERS", "SecureLink"]

SECURE_LINK_PARAMETERS: Final = ("md5", "expires")

_EXPIRES: Final = re.compile(r"[0-9]{1,12}")
_ARGUMENT: Final = "arg_"


class SecureLink:
    """Checks requests against one expression."""

    def __init__(self, expression: str, *, clock: Callable[[], float]) -> None:
        """Args: nginx's expression, with its secret, and what tells the time, in seconds since 1970."""
        self._expression: Final = expression
        self._clock: Final = clock
        variables = {match[1] or match[2] for match in SECURE_LINK_VARIABLE.finditer(expression)}
        self._arguments: Final = {
            name.removeprefix(_ARGUMENT).lower() for name in variables if name.startswith(_ARGUMENT)
        }

    def check(self, request: PlayRequest) -> None:
        """Make sure that a request carries the digest of its own expression, and is in time.

        Raises:
            AccessRefusedError: 400 or 401.
        """
        given = read_parameters(request.arguments, {*SECURE_LINK_PARAMETERS, *self._arguments})
        if "md5" not in given:
            raise AccessRefusedError(401, "streams are given to secured links alone here; ask the operator for one")
        if not _EXPIRES.fullmatch(given.get("expires", "")):
            raise AccessRefusedError(400, "a secured link has expires, the seconds since 1970 until which it holds")
        if request.path == RTMP_PATH and request.src is not None and "src" not in self._arguments:
            raise AccessRefusedError(401, "a secured link names no src by RTMP; ask for the stream without it")
        if not _same_digest(given["md5"], hashlib.md5(self._filled(request, given), usedforsecurity=False).digest()):
            raise AccessRefusedError(
                401, "the md5 was made for another link, address or time; use the secured link as you were given it"
            )
        late_s = self._clock() - int(given["expires"])
        if late_s > 0:
            raise AccessRefusedError(
                401, f"this link was good until {late_s:.0f} seconds ago, by the door's clock; ask for a new one"
            )

    def _filled(self, request: PlayRequest, given: Mapping[str, str]) -> bytes:
        rtmp = request.path == RTMP_PATH
        arguments = {**given, "src": request.src or "", "app": request.app, "stream": request.stream}

        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            if name == "uri":
                return f"/{request.app}/{request.stream}" if rtmp else unquote(request.path)
            if name == "remote_addr":
                return canonical_address(request.address)
            if name == "secure_link_expires":
                return given["expires"]
            return arguments.get(name.removeprefix(_ARGUMENT).lower(), "")

        return SECURE_LINK_VARIABLE.sub(value, self._expression).encode("utf-8", "replace")


def _same_digest(given: str, right: bytes) -> bool:
    # As in nginx: 16 bytes, with or without the padding, in the alphabet of URLs.
    try:
        digest = base64.b64decode(given.encode().rstrip(b"=") + b"==", altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return False
    return hmac.compare_digest(digest, right)
