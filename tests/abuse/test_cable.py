"""What the kernel's own TCP makes of each weather: it sends again, waits, and puts in order."""

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.abuse.cable import cable
from tests.abuse.far import need_network, worsen

PACKET = bytes(range(250)) * 5

# struct tcp_info, <linux/tcp.h>: where in it these stand.
TOTAL_RETRANS, MIN_RTT_US, RCV_OOOPACK = 100, 148, 224


@pytest.fixture
def _cables_are_allowed() -> None:
    need_network("wire: all three")


@pytest.fixture(params=["wire", "netem"])
def by(request: pytest.FixtureRequest) -> str:
    means: str = request.param
    need_network(f"{means}: all three")
    return means


class Connection:
    """A TCP connection over a cable."""

    def __init__(self, near: trio.SocketStream, far: trio.SocketStream) -> None:
        self._near = near
        self._far = far

    async def brings(self, data: bytes) -> bool:
        """Send data from the far end; whether that is what comes at the near end."""
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                await self._far.send_all(data)
                await self._far.send_eof()

            nursery.start_soon(send)
            return b"".join([piece async for piece in self._near]) == data

    @property
    def sent_again(self) -> int:
        """How many segments the far end has sent more than once."""
        return _told(self._far, TOTAL_RETRANS)

    @property
    def out_of_order(self) -> int:
        """How many segments the near end has had to keep until earlier ones came."""
        return _told(self._near, RCV_OOOPACK)

    @property
    def round_trip_ms(self) -> float:
        """The shortest that the far end has seen."""
        return _told(self._far, MIN_RTT_US) / 1000


def _told(stream: trio.SocketStream, offset: int) -> int:
    info = stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    assert isinstance(info, bytes)
    return int.from_bytes(info[offset : offset + 4], sys.byteorder)


@asynccontextmanager
async def connected(network: str | None) -> AsyncIterator[Connection]:
    """A connection over a cable that this network's weather, or none, is upon from the first packet on."""
    with cable() as to_far:
        if network:
            worsen(to_far, network)
        server = trio.socket.from_stdlib_socket(to_far.at_far_end(socket.create_server, ("", 0)))
        async with trio.SocketListener(server) as listener, trio.open_nursery() as nursery:
            nursery.start_soon(to_far.wire.carry)
            with trio.fail_after(30):
                near = await trio.open_tcp_stream(to_far.address, server.getsockname()[1])
                async with near, await listener.accept() as far:
                    yield Connection(near, far)
            nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("_cables_are_allowed")
async def test_in_fair_weather_the_way_is_short() -> None:
    async with connected(None) as connection:
        assert await connection.brings(PACKET * 100)
        assert connection.round_trip_ms < 40


async def test_tcp_sends_again_what_is_lost(by: str) -> None:
    async with connected(f"{by}: loss") as connection:
        assert await connection.brings(PACKET * 2000)
        assert connection.sent_again > 10


async def test_tcp_finds_the_way_as_long_as_the_delay_makes_it(by: str) -> None:
    async with connected(f"{by}: delay") as connection:
        assert await connection.brings(PACKET * 20)
        assert connection.round_trip_ms >= 2 * (80 - 20)


async def test_tcp_puts_in_order_what_has_overtaken(by: str) -> None:
    async with connected(f"{by}: reordering") as connection:
        assert await connection.brings(PACKET * 400)
        assert connection.out_of_order > 10


async def test_tcp_copes_with_all_three_at_once(by: str) -> None:
    async with connected(f"{by}: all three") as connection:
        assert await connection.brings(PACKET * 600)
        assert connection.sent_again > 0
        assert connection.out_of_order > 0
