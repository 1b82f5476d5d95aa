"""The admin side on real sockets: served, bounded, and gone at once when the door stops, whoever still listens."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import h2.connection
import h2.settings
import httpx
import pytest
import structlog
import trio
import trio.testing

from splice.admin import serve
from splice.config import ListenAddress
from splice.listeners import open_listeners
from splice.logs import configure_logs
from tests.splice.admin.admin_house import AdminHouse
from tests.splice.https.https_house import Http2Viewer

SOON_S = 5


@pytest.fixture
def _logs() -> Iterator[None]:
    configure_logs(form="json", level="error")
    yield
    structlog.reset_defaults()


@asynccontextmanager
async def served(house: AdminHouse, *, clients_stay: int = 0) -> AsyncIterator[int]:
    """The port, until the block ends; the end has to be quick, and to leave no descriptor but the clients' own."""
    listeners = open_listeners([ListenAddress("127.0.0.1", 0)])
    before = descriptors()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.admin.serve, listeners)
        yield listeners[0].getsockname()[1]
        nursery.cancel_scope.cancel()
        stopped_at = trio.current_time()
    assert trio.current_time() - stopped_at < 1
    assert descriptors() == before + clients_stay
    for listener in listeners:
        listener.close()


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@asynccontextmanager
async def connected(port: int, request: bytes = b"") -> AsyncIterator[trio.SocketStream]:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(request)
        yield stream


async def read_until(stream: trio.SocketStream, words: bytes) -> bytes:
    data = b""
    with trio.fail_after(SOON_S):
        while words not in data:
            more = await stream.receive_some()
            assert more, data
            data += more
    return data


LISTEN = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_requests_are_served_over_one_connection(house: AdminHouse) -> None:
    async with served(house) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(3):
            answer = await client.get("/api/v1/streams")
            assert answer.json() == {"streams": [], "total": 0}
            assert "server" not in answer.headers
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.usefixtures("_logs")
async def test_an_open_event_stream_gets_the_log_and_does_not_hold_up_the_stop(house: AdminHouse) -> None:
    async with AsyncExitStack() as clients, served(house, clients_stay=1) as port:
        stream = await clients.enter_async_context(connected(port, LISTEN))
        head = await read_until(stream, b":\n\n")
        assert b"text/event-stream" in head
        structlog.get_logger().info("viewer.start", id="v1", route="splice", origin="a")
        assert b'"id": "v1"' in await read_until(stream, b"v1")


@pytest.mark.usefixtures("_logs")
async def test_a_listener_that_reads_nothing_does_not_hold_up_the_stop_either(house: AdminHouse) -> None:
    async with AsyncExitStack() as clients, served(house, clients_stay=1) as port:
        stream = await clients.enter_async_context(connected(port))
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await stream.send_all(LISTEN)
        while not len(house.admin.feed):
            await trio.sleep(0.01)
        (listener,) = house.admin.feed._listeners
        while not listener._lost:  # all buffers are full, and the queue behind them
            for _ in range(500):
                house.admin.hear({"event": "much", "level": "info", "text": "x" * 10_000})
            await trio.sleep(0.01)


async def test_a_listener_that_leaves_is_noticed(house: AdminHouse) -> None:
    async with served(house) as port:
        async with connected(port, LISTEN) as stream:
            await read_until(stream, b":\n\n")
            assert len(house.admin.feed) == 1
        with trio.fail_after(SOON_S):
            while len(house.admin.feed):
                await trio.sleep(0.01)


async def test_connections_are_bounded(house: AdminHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_CONNECTIONS", 2)
    async with served(house) as port, connected(port, LISTEN) as first, connected(port, LISTEN) as second:
        await read_until(first, b":\n\n")
        await read_until(second, b":\n\n")
        with structlog.testing.capture_logs() as log:
            async with connected(port) as third:
                with trio.fail_after(SOON_S):
                    assert await third.receive_some() == b""
        assert [event["event"] for event in log] == ["admin.full"]


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"]
)
async def test_garbage_ends_its_connection_alone(garbage: bytes, house: AdminHouse) -> None:
    async with served(house) as port:
        with structlog.testing.capture_logs() as log:
            async with connected(port, garbage) as stream:
                await stream.send_eof()
                with trio.fail_after(SOON_S):
                    while await stream.receive_some():
                        pass
            async with connected(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as stream:
                await read_until(stream, b'"ok"')
        assert not [event for event in log if event["log_level"] == "error"]


async def test_a_websocket_is_closed(house: AdminHouse) -> None:
    request = (
        b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with served(house) as port, connected(port, request) as stream:
        assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 403")


async def test_http_2_passes_the_same_gate(house: AdminHouse) -> None:
    house.allow()
    async with served(house) as port, connected(port) as stream:
        connection = h2.connection.H2Connection()
        connection.initiate_connection()
        fields = [(":method", "GET"), (":path", "/metrics"), (":scheme", "http"), (":authority", "evil.example")]
        connection.send_headers(1, fields, end_stream=True)
        await stream.send_all(connection.data_to_send())
        status = None
        with trio.fail_after(SOON_S):
            while status is None:
                for event in connection.receive_data(await stream.receive_some()):
                    if type(event).__name__ == "ResponseReceived":
                        status = dict(event.headers)[b":status"]
        assert status == b"421"


async def test_a_bug_of_this_side_leaves_the_rest_of_the_house_alone(
    house: AdminHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.admin, "_inventory", None)
    with structlog.testing.capture_logs() as log:
        await house.admin.serve([])
    assert [event["event"] for event in log] == ["admin.bug"]


async def test_an_event_that_is_not_understood_is_logged_and_hurts_nobody(house: AdminHouse) -> None:
    with structlog.testing.capture_logs() as log:
        house.admin.hear({"event": "viewer.end", "level": "info"})
    assert [(event["event"], event["heard"]) for event in log] == [("admin.bug", "viewer.end")]


async def test_an_http_2_client_that_opens_no_window_does_not_hold_its_place_for_ever(
    house: AdminHouse, autojump_clock: trio.testing.MockClock
) -> None:
    async with served(house) as port, connected(port) as stream:
        client = Http2Viewer(stream)
        client.h2.initiate_connection()
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        asked = await client.ask("/healthz")
        assert (await client.head(asked))[":status"] == "200"
        with trio.fail_after(serve._SEND_S * 2 + serve._IDLE_S + SOON_S):
            await client.reset_by_door(asked)
            while not client.closed:
                await client.receive()
