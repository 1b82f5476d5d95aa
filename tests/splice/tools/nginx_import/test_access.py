"""nginx's rules against the networks that stand for them: both must say the same of every address."""

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splice.tools.nginx_import.access import admitted, as_keys

NETWORKS = st.one_of(
    st.builds(lambda address, length: f"{address}/{length}", st.ip_addresses(v=4), st.integers(0, 32)),
    st.builds(lambda low: f"10.0.0.{low}", st.integers(0, 15)),
    st.builds(lambda low, length: f"10.0.0.{low}/{length}", st.integers(0, 15), st.integers(28, 32)),
    st.just("all"),
    st.builds(lambda address, length: f"{address}/{length}", st.ip_addresses(v=6), st.integers(0, 128)),
)
RULES = st.lists(st.tuples(st.booleans(), NETWORKS), max_size=6)


def as_nginx_decides(rules: list[tuple[bool, str]], address: str) -> bool:
    for allows, what in rules:
        if what == "all" or ip_address(address) in ip_network(what, strict=False):
            return allows
    return True


def is_in(address: str, networks: list[str]) -> bool:
    return any(ip_address(address) in ip_network(each) for each in networks)


@given(RULES, st.one_of(st.integers(0, 15).map(lambda low: f"10.0.0.{low}"), st.ip_addresses().map(str)))
def test_the_networks_let_in_whom_the_rules_let_in(rules: list[tuple[bool, str]], address: str) -> None:
    assert is_in(address, [str(each) for each in admitted(rules)]) == as_nginx_decides(rules, address)


@given(RULES, st.one_of(st.integers(0, 15).map(lambda low: f"10.0.0.{low}"), st.ip_addresses().map(str)))
def test_the_keys_let_in_whom_the_rules_let_in(rules: list[tuple[bool, str]], address: str) -> None:
    keys = as_keys(rules)
    let_in = is_in(address, keys["allow"]) and not is_in(address, keys["deny"])
    assert let_in == as_nginx_decides(rules, address)


def test_a_few_who_are_denied_stay_a_few() -> None:
    assert as_keys([(False, "10.0.0.5"), (False, "10.1.0.0/16")]) == {
        "allow": ["0.0.0.0/0", "::/0"],
        "deny": ["10.0.0.5/32", "10.1.0.0/16"],
    }


def test_a_few_who_are_allowed_stay_a_few() -> None:
    assert as_keys([(True, "10.0.0.5"), (False, "all")]) == {"allow": ["10.0.0.5/32"], "deny": []}


def test_what_is_no_network_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        admitted([(True, "example.org")])


def test_the_oracle_itself_goes_by_order() -> None:
    assert as_nginx_decides([(True, "10.0.0.1"), (False, "all")], str(IPv4Address("10.0.0.1")))
    assert not as_nginx_decides([(False, "all"), (True, "10.0.0.1")], "10.0.0.1")
