"""Strict cancellation at every step on the admin side: Hypercorn's tasks, the gate and the application behind it.

All that serves there is watched, the task that accepts and those that keep time too. "cancelled" is the door's stop,
which must wait for nobody; after a client that was cut off the next one is served, though there is room for one alone.
"""

import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from splice import logs
from splice.admin import serve
from splice.config import ListenAddress
from splice.listeners import open_listeners
from tests.splice.admin.admin_house import TOKEN, AdminHouse, open_admin_house
from tests.splice.cuts import A_LIFE_TAKES_S, Cuts, Moment, cut_at_every_step, leave, no_bugs, whole_unless_cut
from tests.splice.https.https_house import Http2Viewer
from tests.splice.hub_house import descriptors
from tests.splice.splice_house import Viewer
from tests.splice.websocket_client import raw_handshake

GET = b"GET /api/v1/%b HTTP/1.1\r\nHost: localhost\r\n%b\r\n"
LISTEN = GET % (b"events", b"")
FORWARD = b'{"streams": "myapp/*", "to": "rtmp://127.0.0.1:9/backup"}'
POST = (
    b"POST /api/v1/forwards HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)

strangers = map("X-Forwarded-For: 2001:db8:{:x}::1\r\n".format, itertools.count(1))
"""Who has guessed once is looked at later and later, so each life is another's."""


async def reads(client: Viewer, _house: AdminHouse) -> None:
    """By two requests on one connection."""
    await client.send(GET % (b"streams", b""))
    await client.until(b'"streams":[]')
    await client.send(GET % (b"viewers", b""))
    await client.until(b'"viewers":[]')


async def changes(client: Viewer, house: AdminHouse) -> None:
    """Adds a forward, by a body in two pieces, and ends it."""
    await client.send(POST % len(FORWARD) + FORWARD[:10])
    await wait_all_tasks_blocked()
    await client.send(FORWARD[10:])
    await client.until(b"rtmp://127.0.0.1:9/backup")
    (forward,) = house.forwards
    await client.send(f"DELETE /api/v1/forwards/{forward.id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await client.until(b" 204 ")
    assert not list(house.forwards)


async def guesses(client: Viewer, _house: AdminHouse) -> None:
    """Sends a wrong token, then the right one, which must wait, and at once a request that does not end by itself."""
    by_proxy = next(strangers).encode()
    await client.send(GET % (b"streams", by_proxy + b"Authorization: Bearer wrong\r\n"))
    await client.until(b"is not the token")
    await client.send(GET % (b"streams", by_proxy + b"Authorization: Bearer %b\r\n" % TOKEN.encode()) + LISTEN)
    await client.until(b'"streams":[]')
    await client.until(b":\n\n")


async def listens(client: Viewer, house: AdminHouse) -> None:
    """To the log's events, two of them."""
    await client.send(LISTEN)
    await client.until(b":\n\n")
    for number in (b"first", b"second"):
        house.admin.hear({"event": number.decode(), "level": "info"})
        await client.until(b"event: " + number)


async def opens_the_page(client: Viewer, _house: AdminHouse) -> None:
    await client.send(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
    await client.until(b"</html>")


async def wants_a_websocket(client: Viewer, _house: AdminHouse) -> None:
    await client.send(raw_handshake("/api/v1/events"))
    await client.until(b" 4")


async def listens_by_http2(client: Viewer, house: AdminHouse) -> None:
    """And reads besides, by another stream."""
    by_http2 = Http2Viewer(client.stream)
    by_http2.h2.initiate_connection()
    events = await by_http2.ask("/api/v1/events")
    await by_http2.body(events, 1)
    await by_http2.body(await by_http2.ask("/api/v1/streams"))
    house.admin.hear({"event": "first", "level": "info"})
    await by_http2.body(events, 10)
    await by_http2.leave(events)


async def listens_thrice_by_http2(client: Viewer, _house: AdminHouse) -> None:
    """By requests that come together."""
    by_http2 = Http2Viewer(client.stream)
    by_http2.h2.initiate_connection()
    fields = {":method": "GET", ":scheme": "http", ":authority": "localhost", ":path": "/api/v1/events"}
    for stream_id in (1, 3, 5):
        by_http2.bodies[stream_id] = b""
        by_http2.h2.send_headers(stream_id, fields.items(), end_stream=True)
    await by_http2.flush()
    for stream_id in (1, 3, 5):
        await by_http2.body(stream_id, 1)


CALLS = [reads, changes, guesses, listens, opens_the_page, wants_a_websocket, listens_by_http2, listens_thrice_by_http2]


class Census(NamedTuple):
    """What must be as before."""

    descriptors: int
    tasks: int
    listeners: int
    heard_by: int


def census(house: AdminHouse) -> Census:
    tasks = trio.lowlevel.current_statistics().tasks_living
    return Census(descriptors(), tasks, len(house.admin.feed), len(logs._listeners))


@asynccontextmanager
async def nothing_left(house: AdminHouse) -> AsyncIterator[None]:
    """For a life: once the admin side has stopped, all is as before."""
    before = census(house)
    with trio.fail_after(A_LIFE_TAKES_S), no_bugs():
        yield
        for forward in house.forwards:
            house.forwards.remove(forward)
        await wait_all_tasks_blocked()
    assert census(house) == before


async def stopped_or_serves(admin: trio.Nursery, address: tuple[str, int]) -> None:
    """Wait until one more client is served; who comes before the last one is seen to have left is closed on."""
    while not admin.cancel_scope.cancel_called:
        try:
            client = Viewer(await trio.open_tcp_stream(*address))
            try:
                await client.send(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                await client.until(b'"ok"')
                return
            finally:
                client.close()
        except (AssertionError, OSError, trio.BrokenResourceError):
            await trio.sleep(0.5)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("cut", ["cancelled", "left"])
@pytest.mark.parametrize("moment", Moment)
async def test_a_caller_of_the_admin_side_is_cut_at_every_step(
    moment: Moment,
    cut: str,
    call: Callable[[Viewer, AdminHouse], Awaitable[None]],
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "_CONNECTIONS", 1)

    async def serve_admin(listener: socket.socket) -> None:
        with listener:
            await house.admin.serve([listener])

    async def live(cuts: Cuts) -> None:
        async with nothing_left(house), trio.open_nursery() as admin:
            (listener,) = open_listeners([ListenAddress("127.0.0.1", 0)])
            address = listener.getsockname()
            admin.start_soon(serve_admin, listener)
            # The cancellation is the admin side's own: who calls is left, and must not wait for ever.
            with trio.CancelScope(shield=True), trio.fail_after(A_LIFE_TAKES_S):
                stream = await trio.open_tcp_stream(*address)
                cuts.watch(admin, admin.cancel_scope.cancel if cut == "cancelled" else lambda: leave(stream))
                client = Viewer(stream)
                with whole_unless_cut(cuts):
                    await call(client, house)
                client.close()
                await stopped_or_serves(admin, address)
            stopped_at = trio.current_time()
            admin.cancel_scope.cancel()
        assert trio.current_time() - stopped_at < 1

    async with open_admin_house() as house:
        house.allow(proxies=[ip_network("127.0.0.1")])
        assert await cut_at_every_step(live, moment) > 10
