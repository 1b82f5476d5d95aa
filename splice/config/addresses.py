"""Addresses as an operator writes them: `[HOST:]PORT` to listen on, `http://host[:port]` to dial."""

import ipaddress
import re
from typing import Final, NamedTuple, Self
from urllib.parse import urlsplit

__all__ = ["ListenAddress", "OriginAddress", "format_authority"]

_LISTEN: Final = re.compile(r"(?:(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+)):)?(?P<port>[0-9]{1,5})")
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")
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
        if match is None or int(match["port"]) > 65535:
            raise ValueError(f"{text!r} is not [HOST:]PORT, such as 18090, 127.0.0.1:18090 or [::1]:18090")
        if match["v6"]:
            _require_ipv6(match["v6"])
        return cls(match["v6"] or match["host"], int(match["port"]))

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
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
            raise ValueError("an origin is http://host[:port] or rtmp://host[:port]")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("an origin's url ends behind its port; what the origin is asked for is its `target`")
        if parts.username is not None:
            raise ValueError("an origin's url takes no user or password")
        try:
            port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        except ValueError:
            port = 0
        if not 1 <= port <= 65535:
            raise ValueError("an origin's port is a number from 1 to 65535")
        host = parts.hostname or ""
        if "[" in parts.netloc:
            _require_ipv6(host)
        elif not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} is not a host name or an address")
        return cls(parts.scheme, host, port)

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


def _require_ipv6(text: str) -> None:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"[{text}] is not an IPv6 address") from None
