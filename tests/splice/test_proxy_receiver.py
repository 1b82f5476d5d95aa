"""Before the doors: whose connection it is, as trusted proxies say it, and what becomes of those who say nonsense."""

import socket
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_network
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from splice.proxies import TrustedProxies
from splice.proxy_receiver import ProxyReceiver, ProxyRules

PROXY, STRANGER = ("10.0.0.1", 40000), ("198.51.100.9", 40001)
V1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 49152 18090\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 10, 0, 0, 1, 0xC0, 0, 0x46, 0xAA])
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
CLIENT = ("192.0.2.7", 49152)
GET = b"GET / HTTP/1.1\r\n\r\n"
HEAD_S = 10


def rules(*kinds: str) -> ProxyRules:
    return ProxyRules(frozenset(kinds), TrustedProxies((ip_network("10.0.0.0/8"),)), HEAD_S)


class Connection:
    """A connection to a listener of the kind "http", and what came of it.

    Attributes:
        client: the test's end.
        served: what the door was given: an address, and the bytes that it could read then.
        log: the events.
    """

    def __init__(self, client: trio.SocketStream, log: list[MutableMapping[str, Any]]) -> None:
        self.client = client
        self.log = log
        self.served: tuple[tuple[str, int], bytes] | None = None
        self.over = trio.Event()

    async def sent(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self.client.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()

    async def refused(self) -> str:
        """What the log says of it; the connection was closed, and the door did not see it."""
        await self.over.wait()
        assert self.served is None
        await self.is_closed()
        (event,) = self.log
        assert (event["event"], event["log_level"]) == ("proxy.refused", "warning")
        assert (event["peer"], event["listener"]) == ("10.0.0.1:40000", "http")
        return str(event["error"])

    async def is_closed(self) -> None:
        try:
            assert await self.client.receive_some(1) == b""
        except trio.BrokenResourceError:
            pass  # what it had sent was left unread


@asynccontextmanager
async def connected(
    peer: tuple[str, int] = PROXY, *, receiver: ProxyReceiver | None = None
) -> AsyncIterator[Connection]:
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    with capture_logs() as log:
        connection = Connection(trio.SocketStream(trio.socket.from_stdlib_socket(ours)), log)

        async def door(accepted: socket.socket, client: tuple[str, int]) -> None:
            with accepted:
                await trio.lowlevel.wait_readable(accepted)
                connection.served = client, accepted.recv(65536)

        async def serve() -> None:
            try:
                await (receiver or ProxyReceiver(rules("http"))).before("http", door)(theirs, peer)
            finally:
                connection.over.set()

        async with connection.client, trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield connection
            nursery.cancel_scope.cancel()
    assert theirs.fileno() == -1


@pytest.mark.parametrize(
    ("header", "client"), [(V1, CLIENT), (V2, CLIENT), (LOCAL, PROXY), (b"PROXY UNKNOWN\r\n", PROXY)]
)
async def test_the_door_sees_the_client_and_every_byte_behind_the_header(
    header: bytes, client: tuple[str, int]
) -> None:
    for pieces in ([header + GET], [header, GET], [header[:1], header[1:9], header[9:] + GET]):
        async with connected() as connection:
            await connection.sent(*pieces)
            await connection.over.wait()
            assert connection.served == (client, GET)
            assert connection.log == []


async def test_a_strangers_header_is_the_doors_to_refuse_and_names_nobody() -> None:
    for header in (V1, V2):
        async with connected(STRANGER) as connection:
            await connection.sent(header + GET)
            await connection.over.wait()
            assert connection.served == (STRANGER, header + GET)


async def test_where_no_header_was_agreed_on_none_is_read_whoever_sends_it() -> None:
    for none_here in (rules(), rules("rtmp", "https", "rtmps")):
        async with connected(receiver=ProxyReceiver(none_here)) as connection:
            await connection.sent(V1 + GET)
            await connection.over.wait()
            assert connection.served == (PROXY, V1 + GET)


async def test_a_reload_counts_from_the_next_connection_on() -> None:
    receiver = ProxyReceiver(rules())
    serve = receiver.before("http", _unreachable)
    receiver.rules = rules("http")
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, capture_logs():
        ours.sendall(GET)
        await serve(theirs, PROXY)
    assert theirs.fileno() == -1


async def _unreachable(_accepted: socket.socket, _client: tuple[str, int]) -> None:
    raise AssertionError("the door was given a connection without a header")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (GET, "it begins as no PROXY header of either version does"),
        (b"\x16\x03\x01\x02\x00", "it begins as no PROXY header"),
        (b"PROXY TCP4 1.1.1.1\r\n", "of version 1, its line is not TCP4"),
        (b"PROXY TCP4 " + b"1" * 10_240, "has not ended within 107 bytes"),
        (V2[:14] + (10_240 - 16).to_bytes(2, "big") + bytes(10_224), "it is 10240 bytes long, and 4096 are taken"),
    ],
)
async def test_a_trusted_proxy_that_sends_no_header_is_refused_with_a_sentence_that_says_what_to_do(
    data: bytes, fault: str
) -> None:
    async with connected() as connection:
        await connection.sent(data)
        error = await connection.refused()
        assert fault in error
        assert error.endswith("let the proxy send one (HAProxy: send-proxy-v2), or take http out of proxy_protocol")


@pytest.mark.parametrize("data", [b"", V1[:-1], V2[:-1]])
async def test_a_header_that_is_not_whole_in_time_is_refused(
    data: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected() as connection:
        before_s = trio.current_time()
        await connection.sent(data)
        assert (await connection.refused()).startswith("no whole PROXY header within 10 s; let the proxy send one")
        assert trio.current_time() - before_s == pytest.approx(HEAD_S)


async def test_a_header_that_is_cut_off_is_refused() -> None:
    async with connected() as connection:
        await connection.sent(V2[:20])
        await connection.client.send_eof()
        assert await connection.refused() == "the proxy closed in the middle of its header"


async def test_a_check_that_the_port_is_open_is_not_worth_a_line() -> None:
    async with connected() as connection:
        await connection.client.send_eof()
        await connection.over.wait()
        await connection.is_closed()
        assert connection.served is None
        assert connection.log == []


async def test_a_reset_is_not_worth_a_line_either() -> None:
    with _tcp_pair() as (ours, theirs), capture_logs() as log:
        ours.sendall(b"PROXY ")
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        ours.close()
        with trio.fail_after(5):
            await ProxyReceiver(rules("http")).before("http", _unreachable)(theirs, PROXY)
        assert theirs.fileno() == -1
    assert log == []


@contextmanager
def _tcp_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as ours:
        theirs, _ = listener.accept()
        theirs.setblocking(False)
        yield ours, theirs


async def test_a_cancellation_closes_the_connection() -> None:
    async with connected() as connection:
        await connection.sent(V1[:10])
    assert connection.served is None
    assert connection.log == []


async def test_what_lies_behind_the_header_stays_in_the_kernels_buffer() -> None:
    async with connected() as connection:
        await connection.sent(V1 + bytes(100_000))
        await connection.over.wait()
        assert connection.served is not None
        client, data = connection.served
        assert client == CLIENT
        assert data == bytes(len(data))
        assert len(data) == 65536


class WokenForNothing(socket.socket):
    """Has nothing to read at first."""

    times = 1

    def recv(self, *arguments: int) -> bytes:
        if self.times:
            self.times -= 1
            raise BlockingIOError
        return super().recv(*arguments)


async def test_to_be_woken_for_nothing_is_no_error() -> None:
    heard: list[object] = []

    async def door(accepted: socket.socket, client: tuple[str, int]) -> None:
        with accepted:
            heard.append(client)

    with _tcp_pair() as (ours, theirs), WokenForNothing(fileno=theirs.detach()) as woken:
        ours.sendall(V2)
        await ProxyReceiver(rules("http")).before("http", door)(woken, PROXY)
    assert heard == [CLIENT]


async def test_a_bug_in_one_connection_ends_that_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splice.proxy_receiver.ProxyHeaderParser.next_event", lambda _parser: 1 // 0)
    with _tcp_pair() as (ours, theirs), capture_logs() as log:
        ours.sendall(V2)
        await ProxyReceiver(rules("http")).before("http", _unreachable)(theirs, PROXY)
        assert theirs.fileno() == -1
    assert [(event["event"], event["peer"]) for event in log] == [("connection.bug", "10.0.0.1:40000")]
