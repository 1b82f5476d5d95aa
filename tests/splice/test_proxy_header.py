"""PROXY headers: of real proxies, of the specification, of anybody; whole, in pieces, and with more behind them."""

import ipaddress
import itertools
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import NEED_DATA, RemoteProtocolError
from splice.proxy_header import MAX_HEADER_BYTES, ProxyHeader, ProxyHeaderParser

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
GET = b"GET / HTTP/1.1\r\nHost: door\r\n\r\n"

# What Debian's HAProxy 2.6.12 sent, in mode tcp: send-proxy, send-proxy-v2, its health check by the latter, and
# proxy-v2-options crc32c,unique-id. The first is the example of the specification, 2.1.
REAL: list[tuple[bytes, tuple[str, int] | None]] = [
    (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", ("192.168.0.1", 56324)),
    (b"PROXY TCP6 ::1 ::1 41220 28001\r\n", ("::1", 41220)),
    (
        SIGNATURE + bytes.fromhex("2121002400000000000000000000000000000001") + bytes(15) + b"\x01\xd4Jmb",
        ("::1", 54346),
    ),
    (SIGNATURE + b"\x20\0\0\0", None),
    (SIGNATURE + bytes.fromhex("211100177f0000017f00000182f86d630300043f19b39105000134"), ("127.0.0.1", 33528)),
]


def version_2(protocol: int, addresses: bytes, *, command: int = 0x21, tlvs: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, protocol, len(addresses + tlvs)) + addresses + tlvs


def heard(pieces: list[bytes]) -> tuple[ProxyHeader | str | None, bytes]:
    """The header or the error, None where more has to come; and what is behind the header."""
    parser = ProxyHeaderParser()
    for number, piece in enumerate(pieces):
        parser.receive_data(piece)
        try:
            event = parser.next_event()
        except RemoteProtocolError as error:
            with pytest.raises(RemoteProtocolError):
                parser.next_event()
            assert parser.trailing_data == b""
            return str(error), b""
        if event is not NEED_DATA:
            assert parser.next_event() is NEED_DATA
            for rest in pieces[number + 1 :]:
                parser.receive_data(rest)
            return event, parser.trailing_data
        assert parser.trailing_data == b""
    return None, b""


def refused(data: bytes) -> str:
    found, _ = heard([data])
    assert isinstance(found, str), found
    assert found.isprintable()
    return found


@pytest.mark.parametrize(("header", "client"), REAL)
def test_a_real_proxys_header_names_its_client_and_ends_where_the_request_begins(
    header: bytes, client: tuple[str, int] | None
) -> None:
    assert heard([header + GET]) == (ProxyHeader(client), GET)
    assert heard([header]) == (ProxyHeader(client), b"")
    assert heard([bytes([byte]) for byte in header + GET]) == (ProxyHeader(client), GET)
    for size in range(len(header)):
        assert heard([header[:size]]) == (None, b"")


@pytest.mark.parametrize(
    ("line", "client"),
    [
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", ("255.255.255.255", 65535)),
        (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0", ("0.0.0.0", 0)),
        (b"PROXY TCP6 " + 2 * (b"ffff:" * 7 + b"FFFF ") + b"65535 65535", (":".join(["ffff"] * 8), 65535)),
        (b"PROXY TCP6 2001:DB8:0:0::7 ::1 1 2", ("2001:db8::7", 1)),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:10.0.0.1 1 2", ("192.0.2.7", 1)),
        (b"PROXY UNKNOWN", None),
        (b"PROXY UNKNOWN ", None),
        (b"PROXY UNKNOWN \xff\0 whatever", None),
        (b"PROXY UNKNOWN " + 2 * (b"ffff:" * 7 + b"ffff ") + b"65535 65535", None),
    ],
)
def test_every_line_that_version_1_allows_is_taken(line: bytes, client: tuple[str, int] | None) -> None:
    assert heard([line + b"\r\n" + GET]) == (ProxyHeader(client), GET)


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY ",
        b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2",
        b"PROXY TCP 1.1.1.1 2.2.2.2 1 2",
        b"PROXY tcp4 1.1.1.1 2.2.2.2 1 2",
        b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2",
        b"PROXY UNKNOWNS",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 ",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3",
        b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2",
        b"PROXY TCP4 1.1.1.01 2.2.2.2 1 2",
        b"PROXY TCP4 1.1.1 2.2.2.2 1 2",
        b"PROXY TCP4 1.1.1.256 2.2.2.2 1 2",
        b"PROXY TCP4 ::1 ::1 1 2",
        b"PROXY TCP4 1.1.1.1 x 1 2",
        b"PROXY TCP4 1.1.1.1 ::1 1 2",
        b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2",
        b"PROXY TCP6 ::1%eth0 ::1 1 2",
        b"PROXY TCP6 1::2::3 ::1 1 2",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 65536 1",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2",
        b"PROXY TCP4 \xd9\xa1.1.1.1 2.2.2.2 1 2",
        b"PROXY TCP4 1.1.1.1\r2.2.2.2 1 2",
    ],
)
def test_a_line_that_version_1_does_not_allow_is_refused(line: bytes) -> None:
    assert refused(line + b"\r\n" + GET).startswith("of version 1, ")
    assert heard([bytes([byte]) for byte in line + b"\r\n"])[0] == refused(line + b"\r\n")


def test_a_line_is_ended_by_crlf_and_by_nothing_else() -> None:
    assert "ends with LF alone" in refused(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n")
    assert "ends with LF alone" in refused(b"PROXY UNKNOWN\n\r\n")


def test_a_line_is_at_most_107_bytes_whatever_stands_in_it() -> None:
    assert heard([b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r\n"])[0] == ProxyHeader(None)
    assert heard([b"PROXY UNKNOWN ".ljust(106, b"x")])[0] is None
    assert "within 107 bytes" in refused(b"PROXY UNKNOWN ".ljust(106, b"x") + b"\r\n")
    assert "within 107 bytes" in refused(b"PROXY TCP4 " + b"1" * 10_000)


@pytest.mark.parametrize("protocol", [0x00, 0x01, 0x10, 0x12, 0x20, 0x22, 0x31, 0x32])
def test_a_client_that_did_not_come_by_tcp_has_no_address_that_counts(protocol: int) -> None:
    for addresses in (b"", bytes(12), bytes(216)):
        assert heard([version_2(protocol, addresses) + GET]) == (ProxyHeader(None), GET)


@pytest.mark.parametrize("protocol", [0x00, 0x11, 0x21, 0xFF])
def test_what_a_local_connection_says_of_addresses_is_discarded(protocol: int) -> None:
    for addresses in (b"", b"\1" * 36):
        assert heard([version_2(protocol, addresses, command=0x20) + GET]) == (ProxyHeader(None), GET)


def test_an_address_that_version_2_maps_into_ipv6_is_the_ipv4_one() -> None:
    mapped = ipaddress.ip_address("::ffff:192.0.2.7").packed
    assert heard([version_2(0x21, mapped + mapped + bytes(4))])[0] == ProxyHeader(("192.0.2.7", 0))


@pytest.mark.parametrize("command", [0x01, 0x11, 0x22, 0x2F, 0x31, 0xFF])
def test_an_unknown_version_or_command_is_refused_by_its_byte(command: int) -> None:
    assert f"version and command are {command:#04x}" in refused(SIGNATURE + bytes([command]))


@pytest.mark.parametrize("protocol", [0x41, 0x13, 0x33, 0xF1, 0x03, 0x40])
def test_an_unknown_family_or_transport_is_refused_by_its_byte(protocol: int) -> None:
    assert f"family and transport are {protocol:#04x}" in refused(SIGNATURE + bytes([0x21, protocol]))


def test_addresses_that_do_not_fit_into_their_length_are_refused() -> None:
    assert "too few for the addresses" in refused(version_2(0x11, bytes(11))[:16])
    assert "too few for the addresses" in refused(version_2(0x21, bytes(35))[:16])


def test_tlvs_are_skipped_up_to_4096_bytes_of_header_and_no_more() -> None:
    addresses = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack(">HH", 49152, 18090)
    fitting = version_2(0x11, addresses, tlvs=b"\xee" * (MAX_HEADER_BYTES - 16 - 12))
    assert len(fitting) == MAX_HEADER_BYTES == 4096
    assert heard([fitting + GET]) == (ProxyHeader(("192.0.2.7", 49152)), GET)
    too_long = version_2(0x11, addresses, tlvs=b"\xee" * (MAX_HEADER_BYTES - 16 - 11))
    assert "it is 4097 bytes long" in refused(too_long[:16])
    assert "it is 10240 bytes long" in refused(version_2(0x00, bytes(10240 - 16)))


@pytest.mark.parametrize(
    "data", [GET, b"P ", b"PROXYY", b"proxy ", b"\r\n\r\n\r", b"\x03", b"\x16\x03\x01", b"\0", b"\n"]
)
def test_what_begins_as_no_header_does_is_refused_at_once(data: bytes) -> None:
    assert refused(data) == "it begins as no PROXY header of either version does (PROXY protocol, 2)"


def test_whether_anything_has_come_is_known() -> None:
    parser = ProxyHeaderParser()
    assert not parser.started
    parser.receive_data(b"")
    assert not parser.started
    parser.receive_data(b"P")
    assert parser.started


PORTS = st.integers(0, 0xFFFF)
CUTS = st.lists(st.integers(0, 200), max_size=4)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


@given(
    ends=st.one_of(*(st.tuples(st.ip_addresses(v=v), st.ip_addresses(v=v)) for v in (4, 6))),
    ports=st.tuples(PORTS, PORTS),
    tlvs=st.binary(max_size=100),
    behind=st.binary(max_size=20),
    places=CUTS,
)
def test_what_is_written_is_read_in_both_versions_however_it_is_cut(
    ends: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...],
    ports: tuple[int, int],
    tlvs: bytes,
    behind: bytes,
    places: list[int],
) -> None:
    version = ends[0].version
    line = f"PROXY TCP{version} {ends[0]} {ends[1]} {ports[0]} {ports[1]}\r\n".encode()
    packed = b"".join(end.packed for end in ends) + struct.pack(">HH", *ports)
    mapped = ends[0].ipv4_mapped if isinstance(ends[0], ipaddress.IPv6Address) else None
    header = ProxyHeader((str(mapped or ends[0]), ports[0]))
    for written in (line, version_2(0x11 if version == 4 else 0x21, packed, tlvs=tlvs)):
        assert heard(cut(written + behind, places)) == (header, behind)


@given(
    seed=st.sampled_from([header + GET for header, _ in REAL]),
    at=st.integers(0, 60),
    instead=st.binary(max_size=3),
    gone=st.integers(0, 3),
    places=CUTS,
)
@example(seed=REAL[4][0], at=14, instead=b"\xff\xff", gone=2, places=[])
def test_a_changed_header_is_a_header_or_an_error_and_the_same_however_it_is_cut(
    seed: bytes, at: int, instead: bytes, gone: int, places: list[int]
) -> None:
    changed = seed[:at] + instead + seed[at + gone :]
    whole = heard([changed])
    assert heard(cut(changed, places)) == whole
    if isinstance(whole[0], ProxyHeader):
        assert changed.endswith(whole[1])
