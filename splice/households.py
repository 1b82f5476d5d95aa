"""Whose an address is, for limits by address: of IPv6 a household is given a whole network, 2**64 addresses or more."""

from ipaddress import IPv6Network

__all__ = ["household"]

_PREFIX_BITS = 64  # what a link has (RFC 4291, 2.5.4), and the least that a provider hands out (RFC 6177, 2)


def household(address: str) -> str:
    """What `address` counts as: IPv4 as itself, IPv6 as its network of 64 bits, what is neither as it is."""
    if ":" not in address:
        return address
    try:
        return str(IPv6Network((address.partition("%")[0], _PREFIX_BITS), strict=False))
    except ValueError:
        return address
