"""The HTTPS door in a test's own process, and viewers by TLS: HTTP/1.1 on a stream of Trio's, HTTP/2 by h2.

A certificate is made by trustme, once for all tests.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import trio
import trustme
from trio.testing import wait_all_tasks_blocked

from splice.admission import Admission
from splice.http import chunk
from splice.https import HttpsDoor
from splice.reception import Reception
from tests.splice.hub.servers import CHUNKED_HEAD, Connection, HttpOrigin, HttpScript
from tests.splice.hub_house import FlvViewer, House, open_house

__all__ = ["LIVE", "SPLICED", "Flood", "Http2Viewer", "HttpsHouse", "authority", "open_https", "write_certificate"]

LIVE = "/live?app=myapp&stream=test"
SPLICED = f"{LIVE}&src=a"
_READ_BYTES = 64 * 1024


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def write_certificate(
    directory: Path, name: str = "door", certificate: trustme.LeafCert | None = None
) -> tuple[str, str]:
    """The paths of a certificate chain and its key, for localhost unless it is given."""
    certificate = certificate or authority().issue_cert("localhost")
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(key)
    return str(cert), str(key)


@cache
def _server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def client_context(*protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


class Flood:
    """An origin's script that sends for ever; `sent` is what was taken."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, connection: Connection) -> None:
        await connection.send(CHUNKED_HEAD)
        try:
            for piece in repeat(bytes(32 * 1024)):
                await connection.send(chunk(piece))
                self.sent += len(piece)
        except trio.BrokenResourceError:
            pass  # the door has left, with bytes of this unread


class Http2Viewer:
    """One HTTP/2 connection.

    Attributes:
        heads: by stream id, the fields of the answers so far.
        bodies: what has come behind them.
        ended, resets: the streams whose end, or reset, has come.
        gives_room: whether it sends WINDOW_UPDATE for what has come.
    """

    def __init__(self, stream: "trio.SSLStream[trio.SocketStream]") -> None:
        self.stream = stream
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.resets: set[int] = set()
        self.closed = False
        self.gives_room = True

    async def ask(
        self, target: str = LIVE, *, method: str = "GET", fields: dict[str, str] | None = None, end: bool = True
    ) -> int:
        """Send a request; its stream's id."""
        stream_id: int = self.h2.get_next_available_stream_id()
        pseudo = {":method": method, ":scheme": "https", ":authority": "localhost", ":path": target}
        self.h2.send_headers(stream_id, [*pseudo.items(), *(fields or {}).items()], end_stream=end)
        self.bodies[stream_id] = b""
        await self.flush()
        return stream_id

    async def flush(self) -> None:
        if data := self.h2.data_to_send():
            await self.stream.send_all(data)

    async def receive(self) -> None:
        """Take what comes next, or note that the door has closed the connection."""
        try:
            data = await self.stream.receive_some(_READ_BYTES)
        except trio.BrokenResourceError:
            data = b""
        if not data:
            self.closed = True
            return
        for event in self.h2.receive_data(bytes(data)):
            match event:
                case h2.events.ResponseReceived():
                    self.heads[event.stream_id] = {str(name): str(value) for name, value in event.headers}
                case h2.events.DataReceived():
                    self.bodies[event.stream_id] += event.data
                    if self.gives_room:
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    self.ended.add(event.stream_id)
                case h2.events.StreamReset():
                    self.resets.add(event.stream_id)
        await self.flush()

    async def head(self, stream_id: int) -> dict[str, str]:
        """The answer's head, once it has come."""
        while stream_id not in self.heads:
            assert not self.closed
            await self.receive()
        return self.heads[stream_id]

    async def body(self, stream_id: int, count: int | None = None) -> bytes:
        """The body, once so many bytes have come, or, without a number, the end."""
        while stream_id not in self.ended if count is None else len(self.bodies[stream_id]) < count:
            assert not self.closed
            assert stream_id not in self.resets
            await self.receive()
        return self.bodies[stream_id]

    async def reset_by_door(self, stream_id: int) -> None:
        """Wait until the door has reset a stream."""
        while stream_id not in self.resets:
            assert not self.closed
            await self.receive()

    async def leave(self, stream_id: int) -> None:
        """Reset a stream."""
        self.h2.reset_stream(stream_id)
        await self.flush()


class HttpsHouse:
    """A house with an HTTPS door.

    Attributes:
        house: all the rest of it.
        origin: `a`, on the splice route.
        door: the HTTPS door.
    """

    def __init__(self, house: House, origin: HttpOrigin) -> None:
        server = house.server
        self.house = house
        self.origin = origin
        finder = server.rooms.door._reception._finder
        self.door = HttpsDoor(
            rules=server.rooms.door.rules, reception=Reception(finder=finder, admission=Admission(server.rooms.viewers))
        )
        self.door.context = _server_context()

    async def dial(self, *protocols: str, address: str = "127.0.0.1") -> "trio.SSLStream[trio.SocketStream]":
        """TLS over a socket pair, after its handshake."""
        self._scope = scope = trio.CancelScope()

        async def serve(*connection: Any) -> None:
            with scope:
                await self.door.serve(*connection)

        transport = self.house.dial(serve, address)
        stream = trio.SSLStream(transport, client_context(*protocols), server_hostname="localhost")
        await stream.do_handshake()
        return stream

    def stop(self) -> None:
        """Cancel what serves the last connection, as the door's stop does."""
        self._scope.cancel()

    async def http1(
        self, target: str = LIVE, *, method: str = "GET", version: str = "1.1", fields: str = ""
    ) -> FlvViewer:
        """A viewer by HTTP/1.1, whose answer's head has come."""
        stream = await self.dial("http/1.1")
        request = f"{method} {target} HTTP/{version}\r\nHost: localhost\r\n{fields}\r\n"
        return await FlvViewer(stream).ask(request.encode())

    async def http2(self) -> Http2Viewer:
        """A viewer by HTTP/2, who has asked for nothing yet."""
        viewer = Http2Viewer(await self.dial("h2"))
        viewer.h2.initiate_connection()
        await viewer.flush()
        return viewer

    async def nobody_watches(self) -> None:
        while len(self.house.viewers):
            await trio.sleep(0.01)


@asynccontextmanager
async def open_https(*scripts: HttpScript, **tables: Any) -> AsyncIterator[HttpsHouse]:
    """An HTTPS door before an origin `a` that plays these scripts; at the end all have left the origin."""
    origin = HttpOrigin(*scripts)
    async with origin.listening():
        url = f"http://127.0.0.1:{origin.port}"
        origins = {"a": {"url": url}, "nobody": {"url": "http://127.0.0.1:1"}}
        async with open_house(origins=origins, **tables) as house:
            yield HttpsHouse(house, origin)
        await wait_all_tasks_blocked(0.01)
        assert origin.open == 0
