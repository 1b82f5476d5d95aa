"""The PROXY header without I/O: what a proxy says, before all else, of the connection that it passes on.

    v1   PROXY TCP4 192.0.2.7 192.0.2.1 49152 18090 CRLF                                        (2.1)
    v2   signature | version, command | family, transport | length | addresses | TLVs            (2.2)

Sections are those of HAProxy's "The PROXY protocol, Versions 1 & 2" (proxy-protocol.txt, 2020/03/05). Whether there is
a header is never guessed from the bytes (section 2): who makes a parser has decided that one must come. Of all that a
header may hold the client's address is wanted alone; TLVs are skipped, unread.
"""

import ipaddress
import re
from typing import Final, NamedTuple

from protocol import NEED_DATA, NeedDataType, RemoteProtocolError

__all__ = ["MAX_HEADER_BYTES", "ProxyHeader", "ProxyHeaderParser"]

MAX_HEADER_BYTES: Final = 4096
"""The longest header that is taken. The specification means them to fit 536 bytes (2) and lets a length say 65,551;
certificates in TLVs pass the first, and nobody needs the second. nginx takes as many."""

_V1_BEGINNING: Final = b"PROXY "
_V1_MAX_BYTES: Final = 107  # the longest line that 2.1 knows, its CRLF included
_V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED_BYTES: Final = 16

_V2_VERSION: Final = 2
_V2_LOCAL: Final = 0
_V2_PROXY: Final = 1
_V2_HIGHEST_FAMILY: Final = 3  # AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX
_V2_HIGHEST_TRANSPORT: Final = 2  # UNSPEC, STREAM, DGRAM
# Family and transport in one byte, and the bytes of one address: source, destination, and a port of two bytes for each.
_V2_ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}  # TCP over IPv4, over IPv6

# Ports are "a decimal integer in the range [0..65535] inclusive. Heading zeroes are not permitted"         (2.1)
_PORT: Final = rb"(0|[1-9][0-9]{0,4})"
_V1_TCP: Final = re.compile(rb"TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) " + _PORT + rb" " + _PORT)
_V1_UNKNOWN: Final = re.compile(rb"UNKNOWN(?: .*)?", re.DOTALL)  # what stands behind it "must" be ignored

_Address = tuple[str, int]


class ProxyHeader(NamedTuple):
    """A header.

    Attributes:
        client: the address and port of whom the proxy speaks for, IPv4 also where it came as IPv6 (`::ffff:192.0.2.7`);
            None: the proxy speaks for itself, as for a health check, or for somebody whose address it does not know, or
            who did not come by TCP. Then the connection's own address counts (2.1, UNKNOWN; 2.2, LOCAL and UNSPEC).
    """

    client: _Address | None


class ProxyHeaderParser:
    """One connection's header, of either version, from bytes in any pieces."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._header_bytes: int | None = None
        self._error: RemoteProtocolError | None = None

    @property
    def started(self) -> bool:
        """Whether any byte has come."""
        return bool(self._received)

    @property
    def trailing_data(self) -> bytes:
        """What came behind the header; b"" until the header was returned."""
        return b"" if self._header_bytes is None else bytes(self._received[self._header_bytes :])

    def receive_data(self, data: bytes) -> None:
        """Add bytes from the proxy; the end of its stream is for the caller to see."""
        self._received += data

    def next_event(self) -> ProxyHeader | NeedDataType:
        """The header, once, as soon as it is whole; NEED_DATA before and after.

        Raises:
            RemoteProtocolError: it is none, or is too long; again at every further call.
        """
        if self._error is not None:
            raise self._error
        if self._header_bytes is not None:
            return NEED_DATA
        try:
            found = _parse(bytes(self._received[:MAX_HEADER_BYTES]))
        except RemoteProtocolError as error:
            self._error = error
            raise
        if found is None:
            return NEED_DATA
        header, self._header_bytes = found
        return header


def _parse(data: bytes) -> tuple[ProxyHeader, int] | None:
    """The header that `data` begins with, and its length in bytes; None: more of it has to come.

    What is wrong is told by the earliest byte that shows it, so that it does not matter how the bytes arrive.
    """
    if data.startswith(_V1_BEGINNING):
        return _parse_v1(data)
    if data.startswith(_V2_SIGNATURE):
        return _parse_v2(data)
    if not any(beginning.startswith(data[: len(beginning)]) for beginning in (_V1_BEGINNING, _V2_SIGNATURE)):
        raise RemoteProtocolError("it begins as no PROXY header of either version does", spec="PROXY protocol, 2")
    return None


def _parse_v1(data: bytes) -> tuple[ProxyHeader, int] | None:
    end = data.find(b"\n", 0, _V1_MAX_BYTES)
    if end < 0 and len(data) < _V1_MAX_BYTES:
        return None
    if end < 0:
        raise _broken_v1(f"its line has not ended within {_V1_MAX_BYTES} bytes")
    if data[end - 1 : end] != b"\r":
        raise _broken_v1("its line ends with LF alone")
    line = data[len(_V1_BEGINNING) : end - 1]
    if _V1_UNKNOWN.fullmatch(line):
        return ProxyHeader(None), end + 1
    match = _V1_TCP.fullmatch(line)
    if match is None:
        raise _broken_v1("its line is not TCP4 or TCP6, two addresses and two ports, nor UNKNOWN")
    family, source, destination, *ports = match.groups()
    parse = ipaddress.IPv4Address if family == b"4" else ipaddress.IPv6Address
    try:
        client, _ = parse(source.decode()), parse(destination.decode())
    except ValueError:
        raise _broken_v1(f"an address of it is not one of IPv{family.decode()}") from None
    source_port, destination_port = map(int, ports)
    if max(source_port, destination_port) > 0xFFFF:
        raise _broken_v1("a port of it is above 65535")
    return ProxyHeader((_text(client), source_port)), end + 1


def _parse_v2(data: bytes) -> tuple[ProxyHeader, int] | None:
    known = len(data) - len(_V2_SIGNATURE)  # of the four bytes behind it, each is judged as soon as it is there
    if known < 1:
        return None
    version, command = data[12] >> 4, data[12] & 0x0F
    if version != _V2_VERSION or command not in (_V2_LOCAL, _V2_PROXY):
        raise _broken_v2(f"its version and command are {data[12]:#04x}, and there are 0x20 and 0x21")
    if known < 2:
        return None
    # Of a LOCAL one all the rest is discarded, "including the family which is ignored".
    if command == _V2_PROXY and (data[13] >> 4 > _V2_HIGHEST_FAMILY or data[13] & 0x0F > _V2_HIGHEST_TRANSPORT):
        raise _broken_v2(f"its family and transport are {data[13]:#04x}, which means nothing")
    if known < 4:
        return None
    size = _V2_FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if size > MAX_HEADER_BYTES:
        raise _broken_v2(f"it is {size} bytes long, and {MAX_HEADER_BYTES} are taken: let the proxy send fewer TLVs")
    # "Provided that it automatically falls back to the UNSPEC mode for the valid combinations above that it does not
    # support": a client by UDP or by a Unix socket is one whose address is not known.
    address_bytes = _V2_ADDRESS_BYTES.get(data[13]) if command == _V2_PROXY else None
    if address_bytes is not None and size < _V2_FIXED_BYTES + 2 * address_bytes + 4:
        raise _broken_v2(f"its {size - _V2_FIXED_BYTES} bytes are too few for the addresses")
    if len(data) < size:
        return None
    if address_bytes is None:
        return ProxyHeader(None), size
    addresses = data[_V2_FIXED_BYTES:]
    client = ipaddress.ip_address(addresses[:address_bytes])
    port = int.from_bytes(addresses[2 * address_bytes : 2 * address_bytes + 2], "big")
    return ProxyHeader((_text(client), port)), size


def _text(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    # A proxy with one socket for both families says ::ffff:192.0.2.7 (RFC 4291, 2.5.5.2): the same client.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _broken_v1(problem: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"of version 1, {problem}", spec="PROXY protocol, 2.1")


def _broken_v2(problem: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"of version 2, {problem}", spec="PROXY protocol, 2.2")
