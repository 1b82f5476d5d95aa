"""Strict cancellation at every step on the way from an origin's address to its next one; see test_checkpoints_hub.

Each time nobody counts as served any more by an address, and no address is left with a connection.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from splice.stats import EndReason, Publishers
from splice.whereabouts import REMEMBERED_S, Whereabouts
from tests.splice.cuts import A_LIFE_TAKES_S, Cuts, Moment, cut_at_every_step, dial, nothing_left, whole_unless_cut
from tests.splice.hub.pulling import origin_of, refused_port, relaying
from tests.splice.hub.servers import KEYFRAME, MISSING, HttpOrigin, Server, mute, says
from tests.splice.hub_house import open_house
from tests.splice.test_checkpoints_hub import BRIEF, HttpViewer, http_origin, watch_to_the_end
from tests.splice.test_checkpoints_tls import plays_on

NAME = "origin.example"
GET = b"GET /live?src=a&app=myapp&stream=test HTTP/1.1\r\nHost: door\r\n\r\n"

BOTH_MOMENTS = pytest.mark.parametrize("moment", Moment)


class Resolver(trio.abc.HostnameResolver):
    """Knows one name, of two addresses; on the first of them nobody listens."""

    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> Any:
        assert host.decode() == NAME
        await trio.lowlevel.checkpoint()
        tcp = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        return [(*tcp, ("127.0.0.2", int(port))), (*tcp, ("127.0.0.1", int(port)))]

    async def getnameinfo(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


@asynccontextmanager
async def first_address(fault: str) -> AsyncIterator[str]:
    """The URL of one that has not got the stream."""
    if fault == "refuses":
        yield f"http://127.0.0.1:{refused_port()}"
        return
    origin = HttpOrigin(says(MISSING) if fault == "misses" else mute())
    async with origin.listening():
        yield f"http://127.0.0.1:{origin.port}"


def nobody_served(whereabouts: Whereabouts) -> bool:
    return not any(sighting.serving for sighting in whereabouts._sightings.values())


@pytest.mark.parametrize("fault", ["refuses", "misses", "is mute"])
@pytest.mark.parametrize("cut", ["cancelled", "left"])
@BOTH_MOMENTS
async def test_a_viewer_of_the_next_address_is_cut_at_every_step(
    moment: Moment, cut: str, fault: str, autojump_clock: MockClock
) -> None:
    async def forgotten() -> None:
        assert nobody_served(house.server.rooms._whereabouts)
        await trio.sleep(REMEMBERED_S + 1)  # so that the first address is asked first again

    async def live(cuts: Cuts) -> None:
        async with nothing_left(house, afterwards=forgotten):
            viewer = HttpViewer(dial(house, house.door.serve, cuts, cut), GET)
            with whole_unless_cut(cuts):
                await viewer.ask()
                await viewer.until(KEYFRAME)
            viewer.close()

    trio.socket.set_custom_hostname_resolver(Resolver())  # for this run of Trio's
    origin = HttpOrigin(plays_on)
    async with origin.listening(), first_address(fault) as first:
        urls = [first, f"http://{NAME}:{origin.port}"]
        async with open_house(origins={"a": {"urls": urls}}) as house:
            assert await cut_at_every_step(live, moment) > 8
            await wait_all_tasks_blocked(0.01)
            assert origin.open == 0


@pytest.mark.parametrize("cut", ["cancelled", "kicked"])
@BOTH_MOMENTS
async def test_a_pull_that_goes_from_address_to_address_is_cut_at_every_step(
    moment: Moment, cut: str, autojump_clock: MockClock
) -> None:
    async def live(cuts: Cuts) -> None:
        (lost, _), (other, _) = http_origin(), http_origin()
        publishers = Publishers(limit=10)

        def kick() -> None:
            for publisher in publishers:
                publisher.end(EndReason.KICKED)

        async with lost.listening(), other.listening(), relaying(limits=BRIEF, publishers=publishers) as pulls:
            cuts.watch(pulls._nursery, pulls._nursery.cancel_scope.cancel if cut == "cancelled" else kick)
            # The cancellation is the pulls' own: who watches is left, and must be told.
            with trio.CancelScope(shield=True), trio.fail_after(A_LIFE_TAKES_S):
                await watch_to_the_end(pulls, origin_of(*map(url_by_name, (lost, other))))
                while pulls._pulls:
                    await trio.sleep(0.5)
            assert len(publishers) == 0
            assert nobody_served(pulls._whereabouts)

    trio.socket.set_custom_hostname_resolver(Resolver())
    assert await cut_at_every_step(live, moment) > 20


def url_by_name(server: Server) -> str:
    return f"http://{NAME}:{server.port}"
