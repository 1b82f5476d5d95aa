"""Whose an address is, for limits by address."""

import pytest

from splice.households import household


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("10.0.0.8", "10.0.0.8"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("64:ff9b::192.0.2.7", "192.0.2.7"),
        ("::1", "::/64"),
        ("::ffff:10.0.0.8", "10.0.0.8"),
        ("unix:", "unix:"),
        ("", ""),
    ],
)
def test_one_network_of_ipv6_counts_as_one(address: str, counted_as: str) -> None:
    assert household(address) == counted_as
