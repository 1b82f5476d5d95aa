"""Strict cancellation on the splice route, at every step; see test_checkpoints_hub, which does the same for the hub."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import trio

from splice.pump import PortablePump
from splice.pump.epoll import EpollPump
from splice.stats import EndReason
from tests.splice.cuts import Cuts, Moment, cut_at_every_step
from tests.splice.splice_house import GET, OK, TARGET, Asked, FakeOrigin, House, splicing
from tests.splice.websocket_client import raw_handshake

A_LIFE_TAKES_S = 5
PART = b"a part of the stream"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED_PART = b"%x\r\n%b\r\n" % (len(PART), PART)


class Way(NamedTuple):
    """A way of viewing: what the viewer asks, and what the origin answers, piece by piece, with a part in each."""

    request: bytes
    answer: tuple[bytes, ...]


WAYS = {
    "until close": Way(GET, (OK + PART, PART, PART * 20_000)),
    "of a length": Way(GET, (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(PART)) + PART, PART)),
    "unframed": Way(GET.replace(b"HTTP/1.1", b"HTTP/1.0"), (CHUNKED + CHUNKED_PART, CHUNKED_PART, b"0\r\n\r\n")),
    "WS-FLV": Way(raw_handshake(TARGET.decode()), (CHUNKED + CHUNKED_PART, CHUNKED_PART, b"0\r\n\r\n")),
    "HEAD": Way(GET.replace(b"GET", b"HEAD", 1), (OK,)),
    "refused": Way(GET, (b"nonsense\r\n\r\n",)),
}
CUTS = {
    "cancelled": lambda house, scope: scope.cancel(),
    "kicked": lambda house, scope: [viewer.end(EndReason.KICKED) for viewer in house.server.rooms.viewers],
}


async def answer(origin: FakeOrigin, pieces: tuple[bytes, ...]) -> None:
    """One connection of the origin's: it answers as far as the door listens, and closes."""
    asked: Asked = await origin.accepted()
    try:
        await asked.until(b"\r\n\r\n")
        for piece in pieces:
            await asked.send(piece)
            await trio.lowlevel.checkpoint()
    except (AssertionError, trio.BrokenResourceError):
        pass  # the door has been cut
    asked.close()


@pytest.mark.parametrize("pump_kind", [EpollPump, PortablePump])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("moment", Moment)
async def test_a_viewer_of_the_splice_route_is_cut_at_every_step(
    moment: Moment, cut: Callable[[House, trio.CancelScope], object], way: Way, pump_kind: type
) -> None:
    async with splicing(pump_kind=pump_kind) as (origin, house):
        serve = house.server.rooms.door.serve

        async def live(cuts: Cuts) -> None:
            house.server.rooms.door.serve = cuts.serving(serve, lambda scope: cut(house, scope))  # type: ignore[method-assign]  # every connection's task begins there
            before = house.census()
            with trio.fail_after(A_LIFE_TAKES_S):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(answer, origin, way.answer)
                    viewer = await house.viewer(way.request)
                    await viewer.ended()
                    viewer.close()
                    await house.nobody_served()
                    nursery.cancel_scope.cancel()  # where it was cut before it had asked
            origin.close_accepted()
            assert house.census() == before
            assert not house.server.rooms.viewers._counts

        assert await cut_at_every_step(live, moment) > 8
