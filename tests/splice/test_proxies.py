"""Whose address it is: X-Forwarded-For is believed from its right end, as far as trusted proxies wrote it."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splice.proxies import ForwardedForError, TrustedProxies

PROXY, STRANGER = "10.0.0.1", "192.0.2.7"
PROXIES = TrustedProxies((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("peer", "chain", "client"),
    [
        (STRANGER, None, STRANGER),
        (STRANGER, b"1.1.1.1", STRANGER),
        (PROXY, None, PROXY),
        (PROXY, b"", PROXY),
        (PROXY, b"1.1.1.1", "1.1.1.1"),
        (PROXY, b"6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (PROXY, b"6.6.6.6,1.1.1.1 , 10.0.0.2", "1.1.1.1"),
        (PROXY, b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (PROXY, b"1.1.1.1:49152", "1.1.1.1"),
        (PROXY, b"6.6.6.6, 1.1.1.1:49152, 10.0.0.2:80", "1.1.1.1"),
        (PROXY, b"[2001:db8::1]:49152", "2001:db8::1"),
        (PROXY, b"[2001:db8::1]", "2001:db8::1"),
        (PROXY, b'"[2001:db8::1]:49152"', "2001:db8::1"),
        (PROXY, b'6.6.6.6, "1.1.1.1:80"', "1.1.1.1"),
        (PROXY, b"unknown, 1.1.1.1", "1.1.1.1"),
        (STRANGER, b"unknown", STRANGER),
        (PROXY, b"2001:DB8::1", "2001:db8::1"),
        (PROXY, b"2001:0db8:0:0::1", "2001:db8::1"),
        (PROXY, b"::ffff:1.1.1.1", "1.1.1.1"),
        (PROXY, b"1.1.1.1, ::ffff:10.0.0.2", "1.1.1.1"),
        ("fd00::1", b"1.1.1.1", "1.1.1.1"),
        ("fd00::1%eth0", b"1.1.1.1", "1.1.1.1"),
        ("fe80::1%eth0", b"1.1.1.1", "fe80::1%eth0"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_not_a_proxys(peer: str, chain: bytes | None, client: str) -> None:
    assert PROXIES.client(peer, chain) == client


@pytest.mark.parametrize(
    "chain",
    [
        *(b"1.1.1.1, unknown", b"unknown, 10.0.0.2", b"1.1.1.1,", b"1.1.1.1, ,10.0.0.2", b" ", b"_hidden", b"unix:"),
        *(b"1.1.1.1:x", b"1.1.1.1:", b"1.1.1", b"1.1.1.01", b'"1.1.1.1', b"[::1", b"::1]:80"),
        *(b"fe80::1%x y", b"[fe80::1%eth0]:80", b"1.1.1.1 10.0.0.2", b"for=1.1.1.1", b"example.org", b"\xff", b"\xb2"),
    ],
)
def test_an_entry_of_a_proxy_that_is_no_address_is_no_clients(chain: bytes) -> None:
    with pytest.raises(ForwardedForError, match="let the proxy append its client's, or take the proxy out of trusted"):
        PROXIES.client(PROXY, chain)
    assert PROXIES.client(STRANGER, chain) == STRANGER


@given(chain=st.lists(st.sampled_from([b"1.1.1.1", b"10.0.0.2", b"x", b"", b"::1", b"fd00::2"])).map(b", ".join))
def test_who_writes_into_the_left_of_the_chain_changes_nothing(chain: bytes) -> None:
    assert PROXIES.client(PROXY, chain + b", " + STRANGER.encode()) == STRANGER
    assert PROXIES.client(STRANGER, chain) == STRANGER


@given(st.binary(max_size=40))
def test_whatever_a_proxy_sends_there_is_an_address_or_the_one_error(chain: bytes) -> None:
    try:
        assert ip_address(PROXIES.client(PROXY, chain))
    except ForwardedForError:
        assert chain


def test_an_origin_is_told_the_peer_and_a_chain_only_of_a_proxy() -> None:
    assert PROXIES.forwarded_for(STRANGER, b"6.6.6.6") == STRANGER.encode()
    assert PROXIES.forwarded_for(PROXY, b"6.6.6.6, 1.1.1.1") == b"6.6.6.6, 1.1.1.1, 10.0.0.1"
    assert PROXIES.forwarded_for(PROXY, None) == PROXY.encode()
    assert PROXIES.forwarded_for(PROXY, b"") == PROXY.encode()


def test_without_proxies_nobody_is_believed() -> None:
    nobody = TrustedProxies(())
    assert nobody.client("127.0.0.1", b"1.1.1.1") == "127.0.0.1"
    assert nobody.forwarded_for("127.0.0.1", b"1.1.1.1") == b"127.0.0.1"
    assert not nobody.trusts("127.0.0.1")
    assert not nobody.trusts("no address")
