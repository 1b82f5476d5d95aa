"""Signed URLs: kid, exp and sig, by which an operator's own pages let viewers in.

    sig = base64url without padding of HMAC-SHA256(secret of kid, canonical string)
    canonical string = path LF src LF port LF app LF stream LF exp LF kid [ LF address ]

What is absent is empty; the address's line is there only where the key says so. None of the fields can hold a line
feed, so no two requests have one canonical string.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from splice.access.addresses import canonical_address
from splice.access.requests import AccessRefusedError

__all__ = ["SIGNATURE_PARAMETERS", "SignKey", "Signatures", "SignedParts", "signed_query"]

SIGNATURE_PARAMETERS: Final = ("kid", "exp", "sig")

_KEY_ID: Final = re.compile(r"[A-Za-z0-9._~@-]{1,128}")
_EXPIRY: Final = re.compile(r"[0-9]{1,12}")  # Unix seconds, of the next 30,000 years
_PORT: Final = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class SignKey:
    """A key of signed URLs.

    Attributes:
        secret: what the HMAC is keyed with.
        address: whether a signature holds for one viewer's address only.
    """

    secret: bytes = field(repr=False)
    address: bool = False


@dataclass(frozen=True, slots=True)
class SignedParts:
    """What of a request is signed, beside its own three parameters; empty where it is absent.

    Attributes:
        path: of the request-target, as it was sent, or "rtmp".
        port: as it was given, also where the door itself has no use for it: an origin may.
    """

    path: str
    src: str
    port: str
    app: str
    stream: str


def signed_query(key: SignKey, kid: str, parts: SignedParts, *, exp: int, address: str = "") -> str:
    """The query fields that sign a URL: `kid=...&exp=...&sig=...`.

    Args:
        exp: the last second, since 1970, in which it holds.
        address: the viewer's; used where the key says so.
    """
    return f"kid={kid}&exp={exp}&sig={_signature(key, kid, parts, str(exp), address)}"


class Signatures:
    """Checks requests against the keys in force; several may be, so that they can be changed one by one."""

    def __init__(self, keys: Mapping[str, SignKey], *, clock: Callable[[], float]) -> None:
        """Args: the keys by their ids, and what tells the time, in seconds since 1970."""
        self._keys: Final = dict(keys)
        self._clock: Final = clock

    def check(self, given: Mapping[str, str], parts: SignedParts, address: str) -> None:
        """Make sure that a request is signed, and for now.

        Args:
            given: its kid, exp and sig as they were sent, each where it is there.
            parts: the request itself.
            address: the viewer's.

        Raises:
            AccessRefusedError: 400 or 401.
        """
        missing = [name for name in SIGNATURE_PARAMETERS if name not in given]
        if len(missing) == len(SIGNATURE_PARAMETERS):
            raise AccessRefusedError(401, "a stream here takes a signed URL; ask the operator for one")
        if missing:
            raise AccessRefusedError(401, f"a signed URL has kid, exp and sig, and here {missing[0]} is missing")
        kid, exp, sig = (unquote(given[name]) for name in SIGNATURE_PARAMETERS)
        if not _KEY_ID.fullmatch(kid):
            raise AccessRefusedError(
                400, "the parameter kid takes 1 to 128 characters out of letters, digits and . _ ~ - @"
            )
        if not _EXPIRY.fullmatch(exp):
            raise AccessRefusedError(400, "the parameter exp takes seconds since 1970, in 1 to 12 digits")
        if parts.port and not _PORT.fullmatch(parts.port):
            raise AccessRefusedError(400, "the parameter port takes a number from 1 to 65535")
        key = self._keys.get(kid)
        if key is None or not _equal(sig, _signature(key, kid, parts, exp, address)):
            whose = " or for another address than yours" if key is not None and key.address else ""
            raise AccessRefusedError(
                401,
                f"the sig was made with another key, for another URL{whose}; use the signed URL as you were given it",
            )
        late_s = self._clock() - int(exp)
        if late_s > 0:
            raise AccessRefusedError(
                401, f"this URL was good until {late_s:.0f} seconds ago, by the door's clock; ask for a new one"
            )


def _signature(key: SignKey, kid: str, parts: SignedParts, exp: str, address: str) -> str:
    lines = [parts.path, parts.src, parts.port, parts.app, parts.stream, exp, kid]
    if key.address:
        lines.append(canonical_address(address))
    digest = hmac.digest(key.secret, "\n".join(lines).encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _equal(given: str, right: str) -> bool:
    # Of text compare_digest takes ASCII only.
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
