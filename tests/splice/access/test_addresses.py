"""Networks that are let in and networks that are not."""

from ipaddress import ip_network

import pytest

from splice.access import AddressRules
from splice.access.addresses import canonical_address
from splice.config.values import Network

V4, V6, HOST = ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"), ip_network("10.0.0.7")


@pytest.mark.parametrize(
    ("allow", "deny", "address", "admitted"),
    [
        (None, (), "192.0.2.1", True),
        (None, (), "not an address", True),
        (None, (HOST,), "10.0.0.7", False),
        (None, (HOST,), "10.0.0.8", True),
        (None, (HOST,), "::ffff:10.0.0.7", False),
        (None, (HOST,), "2001:db8::1", True),
        (None, (HOST,), "not an address", False),
        ((V4,), (), "10.1.2.3", True),
        ((V4,), (), "::ffff:10.1.2.3", True),
        ((V4,), (), "11.1.2.3", False),
        ((V4,), (), "2001:db8::1", False),
        ((V4, V6), (), "2001:DB8::1", True),
        ((V4, V6), (), "2001:db9::1", False),
        ((V4,), (HOST,), "10.0.0.7", False),
        ((V4,), (), "", False),
        ((ip_network("fe80::/10"),), (), "fe80::1%eth0", True),
        ((), (), "127.0.0.1", False),
    ],
)
def test_denied_wins_over_allowed_and_no_list_lets_everyone_in(
    allow: tuple[Network, ...] | None, deny: tuple[Network, ...], address: str, admitted: bool
) -> None:
    assert AddressRules(allow=allow, deny=deny).admits(address) is admitted


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("door", "door"),
    ],
)
def test_an_address_has_one_spelling(written: str, canonical: str) -> None:
    assert canonical_address(written) == canonical
