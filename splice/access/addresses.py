"""Who may come from where: networks that are let in, and networks that are not, IPv4 and IPv6."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

__all__ = ["AddressRules", "canonical_address"]

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


class AddressRules:
    """Judges clients by their addresses."""

    def __init__(self, *, allow: Iterable[_Network] | None, deny: Iterable[_Network] = ()) -> None:
        """Args: networks that are let in, None for all of them; and those that are not, which wins."""
        self._allow = None if allow is None else tuple(allow)
        self._deny = tuple(deny)

    def admits(self, text: str) -> bool:
        """Whether a client of this address is let in. What is no address is, where there is no rule at all."""
        address = _parse(text)
        if address is None:
            return self._allow is None and not self._deny
        if any(address in network for network in self._deny):
            return False
        return self._allow is None or any(address in network for network in self._allow)


def canonical_address(text: str) -> str:
    """One spelling of each address, which is what signatures are made over; what is no address stays as it is.

    IPv6 as RFC 5952 has it, without a zone, which is the door's own matter; IPv4 that came in IPv6's clothes as IPv4.
    """
    address = _parse(text)
    return text if address is None else str(address)


def _parse(text: str) -> _Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
