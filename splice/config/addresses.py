"""Addresses as an operator writes them: `[HOST:]PORT` to listen on, `http://host[:port]` to dial."""

import base64
import ipaddress
import re
from dataclasses import dataclass
from typing import Final, NamedTuple, Self
from urllib.parse import unquote

from splice.config.targets import check_rtmp_target, check_target, masked

__all__ = ["ListenAddress", "OriginAddress", "format_authority", "require_host"]

# A name's labels are 1 to 63 characters (RFC 1035, 2.3.4); a resolver is not asked about others. Underscores are no
# part of host names, and container networks use them all the same.
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(?=.{{1,254}}\Z){_LABEL}(?:\.{_LABEL})*\.?")

_LISTEN: Final = re.compile(r"(?:(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^\[\]:]+)):)?(?P<port>[0-9]{1,5})")
_URL: Final = re.compile(
    r"(?P<scheme>[a-z]+)://(?P<user>[^/?#]*@)?(?:\[(?P<v6>[^\[\]/?#]*)\]|(?P<host>[^:/?#]*))(?::(?P<port>[^/?#]*))?"
    r"(?P<rest>[/?#].*)?",
    re.DOTALL,
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443}
_SECURE: Final = ("https", "rtmps")
_RTMP: Final = ("rtmp", "rtmps")


class ListenAddress(NamedTuple):
    """Where to listen. `host` None: every address, IPv4 and IPv6; port 0: the kernel picks one."""

    host: str | None
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[HOST:]PORT`, an IPv6 host in brackets.

        Raises:
            ValueError: it is not of that form; the message says what would be.
        """
        match = _LISTEN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not [HOST:]PORT, such as 18090, 127.0.0.1:18090 or [::1]:18090")
        if int(match["port"]) > 65535:
            raise ValueError(f"{text!r} ends with {match['port']}, and a port is at most 65535")
        require_host(match["v6"], match["host"])
        return cls(match["v6"] or match["host"], int(match["port"]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it, where no host stands for loopback, as it does for the admin side."""
        if self.host is None or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def answers_to(self, host: str, port: int) -> bool:
        """Whether programs of this machine get here by dialling `host` and `port`, as far as those say by themselves.

        No name but localhost is looked up, and what other addresses this machine has is not known here.
        """
        if port != self.port:
            return False
        dialled = ListenAddress("127.0.0.1" if host.lower() == "localhost" else host, port)
        if self.host is None or _is_any(self.host):
            return dialled.is_loopback or _is_any(host)
        if host.lower() == "localhost" or self.host.lower() == "localhost":
            return self.is_loopback and dialled.is_loopback
        return host.lower() == self.host.lower()

    def __str__(self) -> str:
        return str(self.port) if self.host is None else format_authority(self.host, self.port)


@dataclass(frozen=True, slots=True, repr=False)
class OriginAddress:
    """A server that we dial, and what its URL says of how to ask it. `str()` and `repr()` show no secrets.

    Attributes:
        scheme: http, https, rtmp or rtmps.
        host: a name or an address, IPv6 without its brackets.
        port: 1 to 65535.
        target: what it is asked for, by this URL alone; it may hold `{app}`, `{stream}` and `{port}`. Empty: the URL
            ends behind its port.
        authorization: the value of an Authorization field, of the URL's user and password; empty: it has none.
    """

    scheme: str
    host: str
    port: int
    target: str = ""
    authorization: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `http://[user:password@]host[:port][/target]`; user and password are percent-decoded.

        Raises:
            ValueError: it is not of that form; the message says what would be.
        """
        match = _URL.fullmatch(url)
        if match is None or match["scheme"] not in _DEFAULT_PORTS:
            raise ValueError(
                "an origin is http://host[:port] or rtmp://host[:port], or either with TLS, https:// or rtmps://; an "
                "IPv6 address stands in brackets"
            )
        scheme, rest = match["scheme"], match["rest"] or ""
        try:
            require_host(match["v6"], match["host"])
            port = _DEFAULT_PORTS[scheme] if match["port"] is None else _port(match["port"])
        except ValueError:
            if "@" in rest:  # a password cut in two, of which the message would show a half
                raise ValueError("a / ? or # in a url's user or password is written as %2F, %3F or %23") from None
            raise
        if match["user"] and scheme in _RTMP:
            raise ValueError(
                f"an {scheme} url takes no user or password, which RTMP has no common way to send; cameras take "
                f"{scheme}://host/app/stream?user=...&password=..."
            )
        target = "" if rest == "/" else rest
        if target:
            (check_rtmp_target if scheme in _RTMP else check_target)(target)
        host = match["v6"] or match["host"].lower()
        return cls(scheme, host, port, target, _basic(match["user"]) if match["user"] else "")

    @property
    def by_tls(self) -> bool:
        return self.scheme in _SECURE

    @property
    def by_rtmp(self) -> bool:
        return self.scheme in _RTMP

    @property
    def authority(self) -> str:
        """What stands in a Host field: the port only where it is not the scheme's own."""
        return format_authority(self.host, None if self.port == _DEFAULT_PORTS[self.scheme] else self.port)

    def __str__(self) -> str:
        return f"{self.scheme}://{format_authority(self.host, self.port)}{masked(self.target)}"

    def __repr__(self) -> str:
        return f"<OriginAddress {self}>"


def format_authority(host: str, port: int | None) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def _is_any(host: str) -> bool:
    """Whether it is an address that stands for all of them (RFC 6890, 2.2; RFC 4291, 2.5.2)."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def require_host(v6: str | None, name: str | None) -> None:
    """Make sure that a resolver may be asked for `name`, or that `v6` is an IPv6 address.

    Raises:
        ValueError: no; the message says what is wrong.
    """
    if name is not None and not _HOST.fullmatch(name):
        raise ValueError(f"{name!r} is not a host name or an address")
    if v6 is None:
        return
    try:
        ipaddress.IPv6Address(v6 if "%" not in v6 else "")  # a zone means another thing on every machine
    except ValueError:
        raise ValueError(f"{v6!r} is not an IPv6 address, and only these stand in brackets") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValueError(f"{text!r} is not a port, a number from 1 to 65535")
    return int(text)


def _basic(user: str) -> str:
    """The value of an Authorization field for `user:password@`, RFC 7617."""
    name, _, password = user.removesuffix("@").partition(":")
    return "Basic " + base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
