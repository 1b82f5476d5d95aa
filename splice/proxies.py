"""Whose address a request comes from, when proxies stand before the door (X-Forwarded-For).

A proxy appends the address that it saw. So the field is believed from its right end only, and only as far as trusted
proxies wrote it: the client is the rightmost address that is not one of theirs.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

__all__ = ["TrustedProxies"]

_WITH_PORT: Final = re.compile(r"(?:(?P<v4>[0-9.]+)|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::[0-9]{1,5})?")


class TrustedProxies:
    """The networks whose word on the client's address is taken."""

    def __init__(self, networks: tuple[IPv4Network | IPv6Network, ...]) -> None:
        self._networks: Final = networks

    def trusts(self, address: str) -> bool:
        """Whether a proxy may be at `address`."""
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client(self, peer: str, forwarded_for: bytes | None) -> str:
        """The client's address: the rightmost one that is not trusted.

        Args:
            peer: the address that the connection came from.
            forwarded_for: the request's X-Forwarded-For, its field lines joined by commas.
        """
        client = peer
        hops = (forwarded_for or b"").decode("latin-1").split(",")
        while hops and self.trusts(client):
            hop = _parse(_without_port(hops.pop().strip()))
            if hop is None or "%" in str(hop):
                # Not an address, or one with a zone of another machine, which may hold any text (RFC 4007, 11.2):
                # whoever wrote it knows no better than the proxy behind it.
                break
            client = str(hop)
        return client

    def forwarded_for(self, peer: str, forwarded_for: bytes | None) -> bytes:
        """What an origin is told: the chain where a trusted proxy brought it, and the peer behind it."""
        if forwarded_for and self.trusts(peer):
            return forwarded_for + b", " + peer.encode()
        return peer.encode()


def _without_port(text: str) -> str:
    """The address of a hop: some gateways write `192.0.2.7:49152`, or `[2001:db8::7]:49152`."""
    match = _WITH_PORT.fullmatch(text)
    return text if match is None else match["v4"] or match["v6"]


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A proxy with one socket for both families writes ::ffff:192.0.2.7 (RFC 4291, 2.5.5.2): the same client.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
