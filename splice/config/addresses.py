"""Addresses as an operator writes them: `[HOST:]PORT` to listen on, `http://host[:port]` to dial."""

import ipaddress
import re
from typing import Final, NamedTuple, Self

__all__ = ["ListenAddress", "OriginAddress", "format_authority"]

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
_DEFAULT_PORTS: Final = {"http": 80, "rtmp": 1935}


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
        _require_host(match["v6"], match["host"])
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

    def __str__(self) -> str:
        return str(self.port) if self.host is None else format_authority(self.host, self.port)


class OriginAddress(NamedTuple):
    """A server that we dial."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `http://host[:port]`.

        Raises:
            ValueError: it is not of that form; the message says what would be.
        """
        match = _URL.fullmatch(url)
        if match is None or match["scheme"] not in _DEFAULT_PORTS:
            raise ValueError("an origin is http://host[:port] or rtmp://host[:port], an IPv6 address in brackets")
        if match["user"] is not None:
            raise ValueError("an origin's url takes no user or password")
        if match["rest"] not in (None, "/"):
            raise ValueError("an origin's url ends behind its port; what the origin is asked for is its `target`")
        _require_host(match["v6"], match["host"])
        port = _DEFAULT_PORTS[match["scheme"]] if match["port"] is None else _port(match["port"])
        return cls(match["scheme"], match["v6"] or match["host"].lower(), port)

    @property
    def authority(self) -> str:
        """What stands in a Host field: the port only where it is not the scheme's own."""
        return format_authority(self.host, None if self.port == _DEFAULT_PORTS[self.scheme] else self.port)

    def __str__(self) -> str:
        return f"{self.scheme}://{format_authority(self.host, self.port)}"


def format_authority(host: str, port: int | None) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def _require_host(v6: str | None, name: str | None) -> None:
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
