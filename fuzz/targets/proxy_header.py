"""PROXY headers (splice/proxy_header.py; HAProxy's proxy-protocol.txt, 2).

Invariant: any bytes give a header, a wait for more, or `RemoteProtocolError`; however they are cut, the same header or
error, and the same bytes behind it. A wait is for no more than 4096 bytes, an address is one, and written down again by
either version it is read as it was.
"""

from ipaddress import IPv4Address, ip_address
from typing import Final

from fuzz.pieces import pieces
from protocol import NEED_DATA, RemoteProtocolError
from splice.proxy_header import MAX_HEADER_BYTES, ProxyHeader, ProxyHeaderParser

CODE: Final = ("splice/proxy_header.py",)
MAX_BYTES: Final = 512
_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"


def check(data: bytes) -> None:
    header, error, behind = _read([data])
    in_pieces = _read(pieces(data))
    assert in_pieces == (header, error, behind), f"whole: {header} {error} {behind!r}; in pieces: {in_pieces}"
    if header is None:
        assert error or _read([data + b"x" * MAX_HEADER_BYTES])[:2] != (None, ""), "it waits for more than it may"
        return
    assert data.endswith(behind) and len(behind) < len(data)
    if header.client is not None:
        _write_and_read_again(*header.client)


def _write_and_read_again(host: str, port: int) -> None:
    address = ip_address(host)
    version, protocol = (4, 0x11) if isinstance(address, IPv4Address) else (6, 0x21)
    line = f"PROXY TCP{version} {host} {host} {port} {port}\r\n".encode()
    body = 2 * address.packed + 2 * port.to_bytes(2, "big")
    binary = _SIGNATURE + bytes([0x21, protocol]) + len(body).to_bytes(2, "big") + body
    for written in (line, binary):
        assert _read([written]) == (ProxyHeader((host, port)), "", b"")


def _read(received: list[bytes]) -> tuple[ProxyHeader | None, str, bytes]:
    parser = ProxyHeaderParser()
    header: ProxyHeader | None = None
    try:
        for piece in received:
            parser.receive_data(piece)
            if (event := parser.next_event()) is not NEED_DATA:
                assert header is None, "there are two"
                header = event
    except RemoteProtocolError as refusal:
        return None, str(refusal), b""
    return header, "", parser.trailing_data
