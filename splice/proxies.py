"""Whose address a request comes from, when proxies stand before the door (X-Forwarded-For).

A proxy appends the address that it saw. So the field is believed from its right end only, and only as far as trusted
proxies wrote it: the client is the rightmost address that is not one of theirs.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

__all__ = ["ForwardedForError", "TrustedProxies"]

# An address in the forms of the field Forwarded (RFC 7239, 6), which some proxies write here too: with a port (Azure's
# gateways), in brackets, in quotes.
_NODE: Final = re.compile(
    r"""(?P<quote>"?)(?:(?P<v4>[0-9.]+)(?::[0-9]{1,5})?|\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|"""
    r"""(?P<bare_v6>[0-9A-Fa-f:.]+))(?P=quote)"""
)


class ForwardedForError(Exception):
    """A trusted proxy has said something of its client that is no address; the message says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "the last entry of X-Forwarded-For is no address: let the proxy append its client's, or take the proxy out "
            "of trusted_proxies"
        )


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

        Raises:
            ForwardedForError: a proxy's entry is no address. Whose request it is, nobody knows; to take it for the
                proxy's own would let in whom a list denies.
        """
        client = peer
        hops = forwarded_for.decode("latin-1").split(",") if forwarded_for else []
        while hops and self.trusts(client):
            client = str(_parse_hop(hops.pop().strip()))
        return client

    def forwarded_for(self, peer: str, forwarded_for: bytes | None) -> bytes:
        """What an origin is told: the chain where a trusted proxy brought it, and the peer behind it."""
        if forwarded_for and self.trusts(peer):
            return forwarded_for + b", " + peer.encode()
        return peer.encode()


def _parse_hop(text: str) -> IPv4Address | IPv6Address:
    match = _NODE.fullmatch(text)
    # A zone is of another machine, and may hold any text (RFC 4007, 11.2); the pattern knows none.
    address = None if match is None else _parse(match["v4"] or match["v6"] or match["bare_v6"])
    if address is None:
        raise ForwardedForError
    return address


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A proxy with one socket for both families writes ::ffff:192.0.2.7 (RFC 4291, 2.5.5.2): the same client.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
