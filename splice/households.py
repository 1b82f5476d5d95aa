"""Whose an address is, for limits by address: of IPv6 a household is given a whole network, 2**64 addresses or more."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

__all__ = ["household"]

_PREFIX_BITS: Final = 64  # what a link has (RFC 4291, 2.5.4), and the least that a provider hands out (RFC 6177, 2)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # all of IPv4 behind a translator (RFC 6052, 2.1)


def household(address: str) -> str:
    """What `address` counts as: IPv4 as itself, however it is written, IPv6 as its /64, neighbours and others as is."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.is_link_local:
        return address  # all links have the same network
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    if parsed in _NAT64:
        return str(IPv4Address(parsed.packed[-4:]))
    return str(IPv6Network((parsed, _PREFIX_BITS), strict=False))
