"""Whose an address is, for limits by address: of IPv6 a household is given a whole network, 2**64 addresses or more."""

from ipaddress import IPv6Address, IPv6Network

__all__ = ["household"]

_PREFIX_BITS = 64  # what a link has (RFC 4291, 2.5.4), and the least that a provider hands out (RFC 6177, 2)


def household(address: str) -> str:
    """What `address` counts as: IPv4 as itself, however it is written, IPv6 as its /64, what is neither as it is."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, _PREFIX_BITS), strict=False))
