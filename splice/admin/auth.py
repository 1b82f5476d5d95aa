"""Who may use the admin side. No I/O: facts about a request go in, nothing or a refusal comes out.

    Host known? --> Origin our own? --> loopback, straight to us? --> session's cookie? --> token

A page of another site can make a browser call us, also under a name of its own that it points at our address (DNS
rebinding), so both fields are checked before anything else. A token travels in Authorization (RFC 6750, 2.1) or makes
a cookie; never in a URL, which ends up in logs.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import trio

from splice.households import household
from splice.proxies import ForwardedForError, TrustedProxies

__all__ = ["SESSION_COOKIE", "SESSION_S", "AccessRules", "Caller", "Guard", "RefusedError"]

SESSION_COOKIE: Final = "splice_session"
SESSION_S: Final = 12 * 3600

# What proxies add. A proxy on this machine connects from loopback on behalf of anyone.
_PROXY_FIELDS: Final = (
    b"x-forwarded-for",
    b"forwarded",
    b"x-real-ip",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"via",
)

_GUESSERS: Final = 4096
_FORGIVEN_AFTER_S: Final = 900.0
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 5.0
_LONGEST_QUEUE_S: Final = 10.0


class RefusedError(Exception):
    """The request is not let in.

    Attributes:
        status: of the answer.
        fields: more of the answer's head.
        attempts: wrong tokens of this address so far, where this was one; else 0.
    """

    def __init__(self, status: int, detail: str, *, fields: Mapping[str, str] | None = None, attempts: int = 0) -> None:
        super().__init__(detail)
        self.status: Final = status
        self.detail: Final = detail
        self.fields: Final = fields or {}
        self.attempts: Final = attempts


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What of the configuration requests are judged by.

    Args:
        token: empty: there is none, and only loopback is let in.
        allowed_hosts: names, in lower case, beside loopback's and the address that was called.
        proxies: whose X-Forwarded-For says who guesses.
    """

    token: str
    allowed_hosts: Sequence[str]
    proxies: TrustedProxies


class Caller:
    """The facts about one request.

    Attributes:
        peer: the address that it came from.
        name: the host that it asked for, without port, in lower case; empty where that is unclear.
    """

    def __init__(self, *, peer: str, called: str, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """Args: the peer's address, our own address that it called, and the request's field lines."""
        self.peer: Final = peer
        self.called: Final = called
        self._fields: Final[dict[bytes, list[bytes]]] = {}
        for name, value in fields:
            self._fields.setdefault(name.lower(), []).append(value)
        hosts = self._fields.get(b"host", [])
        self._host: Final = hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""
        self.name: Final = _host_name(self._host)

    def client(self, proxies: TrustedProxies) -> str:
        """The client's address, which may stand behind a trusted proxy.

        Raises:
            RefusedError: 400, where that proxy's word is no address.
        """
        try:
            return proxies.client(self.peer, b",".join(self._fields.get(b"x-forwarded-for", [])) or None)
        except ForwardedForError as error:
            raise RefusedError(400, str(error)) from None

    @property
    def is_straight_from_loopback(self) -> bool:
        """Whether it comes from this machine, to a name of this machine, and no proxy brought it."""
        return _is_loopback(self.peer) and _is_loopback(self.name) and not any(map(self._fields.get, _PROXY_FIELDS))

    @property
    def is_of_another_site(self) -> bool:
        """Whether a browser says that a page of another site sent it (RFC 6454, 7)."""
        origins = [value.decode("latin-1").lower() for value in self._fields.get(b"origin", [])]
        return any(origin not in (f"http://{self._host}", f"https://{self._host}") for origin in origins)

    @property
    def token(self) -> str | None:
        """What stands behind Bearer; None where nothing does."""
        values = self._fields.get(b"authorization", [])
        scheme, _, token = values[0].decode("latin-1").partition(" ") if len(values) == 1 else ("", "", "")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def session(self) -> str | None:
        """The session's cookie (RFC 6265, 4.2.1)."""
        for line in self._fields.get(b"cookie", []):
            for pair in line.decode("latin-1").split(";"):
                name, _, value = pair.strip().partition("=")
                if name == SESSION_COOKIE:
                    return value
        return None


class Guard:
    """Lets requests in, or says why not.

    Attributes:
        rules: a reload puts others in place; sessions of another token end with it.
    """

    def __init__(self, rules: AccessRules) -> None:
        self.rules = rules
        self._session_key: Final = secrets.token_bytes(32)
        self._guesses: Final = _Guesses()

    def check_site(self, caller: Caller) -> None:
        """Make sure that the request means us, and is of our own pages or of no page.

        Raises:
            RefusedError: 421 or 403.
        """
        known = (
            _is_loopback(caller.name) or caller.name == caller.called.lower() or caller.name in self.rules.allowed_hosts
        )
        if not (caller.name and known):
            raise RefusedError(
                421, "this address does not answer to that Host; the operator adds it to [admin] allowed_hosts"
            )
        if caller.is_of_another_site:
            raise RefusedError(403, "pages of other sites may not call this; open it by its own address")

    async def check_caller(self, caller: Caller) -> None:
        """Make sure that whoever calls may. Where wrong tokens came from, the next one is looked at later and later.

        Raises:
            RefusedError: 401, 429 where too many wait already, or 400 where nobody knows who calls.

        A cancellation leaves the place in the queue taken.
        """
        if caller.is_straight_from_loopback or self._is_session(caller.session):
            return
        if not self.rules.token:
            raise _unauthorised("from elsewhere than this machine itself it needs a token: set [admin] token")
        token = caller.token
        if token is None:
            raise _unauthorised("send the token as Authorization: Bearer, or as the cookie of POST /api/v1/session")
        address = household(caller.client(self.rules.proxies))
        pause_s = self._guesses.pause_s(address)
        if pause_s is None:
            raise RefusedError(
                429,
                "too many wrong tokens have come from your address; try again later",
                fields={"Retry-After": str(int(_LONGEST_QUEUE_S))},
            )
        if pause_s:
            await trio.sleep(pause_s)
        if not hmac.compare_digest(token.encode(), self.rules.token.encode()):
            raise _unauthorised("this is not the token", attempts=self._guesses.wrong(address))
        self._guesses.right(address)

    def new_session(self) -> str:
        """A cookie's value that lets in for `SESSION_S`, or until the token changes or the door stops."""
        return self._signed(int(trio.current_time() + SESSION_S))

    def _is_session(self, cookie: str | None) -> bool:
        ends_at = (cookie or "").partition(".")[0]
        if cookie is None or not (ends_at.isascii() and ends_at.isdigit() and len(ends_at) < 20):
            return False
        right = hmac.compare_digest(cookie.encode(), self._signed(int(ends_at)).encode())
        return right and trio.current_time() < int(ends_at)

    def _signed(self, ends_at: int) -> str:
        # The key is random, so that the cookie tells nothing of the token and cannot be made by guessing tokens.
        signature = hmac.new(self._session_key, f"{ends_at} {self.rules.token}".encode(), hashlib.sha256)
        return f"{ends_at}.{signature.hexdigest()}"


@dataclass(slots=True)
class _Record:
    wrong: int = 0
    places: int = 0  # given out in the queue; each makes the next pause longer, before it is known how it went
    next_at: float = 0.0
    heard_at: float = 0.0


class _Guesses:
    """Wrong tokens, by address. One token of an address is looked at at a time, however many connections bring them:
    giving up early and asking again gains nothing. The oldest addresses are forgotten first.
    """

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def pause_s(self, address: str) -> float | None:
        """Take the address's next place in the queue: in how many seconds it comes; None: the queue is full."""
        record = self._records.get(address)
        now = trio.current_time()
        if record is None or now - record.heard_at > _FORGIVEN_AFTER_S:
            self._records.pop(address, None)
            return 0.0
        at = max(now, record.next_at)
        if at - now > _LONGEST_QUEUE_S:
            return None
        record.places += 1
        record.next_at = at + _pause_s(record.places)
        return at - now

    def wrong(self, address: str) -> int:
        """Count a wrong token; how many there were."""
        record = self._records.setdefault(address, _Record())
        self._records.move_to_end(address)
        if len(self._records) > _GUESSERS:
            self._records.popitem(last=False)
        record.wrong += 1
        record.places = max(record.places, record.wrong)
        record.heard_at = trio.current_time()
        record.next_at = max(record.next_at, record.heard_at + _pause_s(record.places))
        return record.wrong

    def right(self, address: str) -> None:
        """The address knows the token."""
        self._records.pop(address, None)


def _pause_s(places: int) -> float:
    return min(_FIRST_PAUSE_S * 2.0 ** min(places - 1, 16), _LONGEST_PAUSE_S)


def _unauthorised(detail: str, *, attempts: int = 0) -> RefusedError:
    return RefusedError(401, detail, fields={"WWW-Authenticate": 'Bearer realm="splice"'}, attempts=attempts)


def _host_name(host: str) -> str:
    """A Host field's name or address, without port and brackets; empty where it is neither."""
    name, _, port = host.rpartition(":") if ":" in host.rpartition("]")[2] else (host, "", "")
    if port and not (port.isascii() and port.isdigit()):
        return ""
    if name.startswith("["):
        return name[1:-1] if name.endswith("]") else ""
    return "" if ":" in name else name.removesuffix(".")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
