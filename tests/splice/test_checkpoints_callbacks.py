"""Strict cancellation at every step of the callbacks that nobody waits for, and of the HTTP client that makes them.

on_demand, on_update, on_idle and the two that tell of an end run in tasks of their own, beside those who are served:
these are watched here. While one is under way the door stops, or whom it is about leaves, or is ended by the operator.
The calls that a viewer or a publisher itself waits for are in test_checkpoints_hub, their redirects here.
"""

from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from protocol.rtmp import parse_url
from splice.demand import Demand
from tests.splice.access.hook_server import HookServer, open_hook_server
from tests.splice.cuts import (
    A_LIFE_TAKES_S,
    CUTS,
    Cuts,
    Moment,
    cut_at_every_step,
    dial,
    kick,
    leave,
    nothing_left,
    whole_unless_cut,
)
from tests.splice.hub.servers import KEYFRAME, RtmpServer, plays_rtmp, silent_rtmp
from tests.splice.hub_house import House, RtmpClient, open_house
from tests.splice.test_checkpoints_hub import LIVE, SOON, WAYS, HttpViewer, until_cut

BOTH_MOMENTS = pytest.mark.parametrize("moment", Moment)


class Turns(NamedTuple):
    """Who has a turn to call, or waits for one."""

    asking: int
    telling: int
    demanding: int
    updates_free: int
    to_be_visited: int
    untold: int


def turns(house: House) -> Turns:
    calls = house.server.rooms.hook_calls
    return Turns(
        calls._askers.borrowed_tokens,
        calls._tellers.borrowed_tokens,
        calls._demanders.borrowed_tokens,
        calls._rounds._turns.value,
        len(calls._rounds),
        calls._untold,
    )


NO_TURNS = Turns(0, 0, 0, 16, 0, 0)


def demand_of(house: House) -> Demand:
    return house.door._reception._finder._demand


async def all_told(house: House) -> None:
    await house.server.rooms.hook_calls.wait_told()
    await wait_all_tasks_blocked(0.01)  # the other program closes its side
    await trio.sleep(1.5)  # who keeps the time for on_update finds nobody left
    demand_of(house)._asked.clear()  # else the next life's stream would be no news
    assert turns(house) == NO_TURNS


@pytest.mark.parametrize("calls", [("demand",), ("update",), ("idle",), ("publish_done", "play_done")], ids="-".join)
@pytest.mark.parametrize("cut", CUTS)
@BOTH_MOMENTS
async def test_calls_that_nobody_waits_for_are_cut_at_every_step(
    moment: Moment, cut: str, calls: tuple[str, ...], autojump_clock: MockClock
) -> None:
    async def publish_and_view(publisher: RtmpClient, viewer: HttpViewer) -> None:
        await viewer.ask()
        await wait_all_tasks_blocked(0.01)  # until the program was asked to bring the stream
        await publisher.publish()
        await publisher.begin(label=b"the first")
        await viewer.until(b"the first")
        await trio.sleep(1.5)  # in which both are told of
        viewer.close()
        await trio.sleep(2.5)  # in which the stream is idle
        await publisher.leave()

    async def live(cuts: Cuts) -> None:
        async with trio.open_nursery() as nursery:
            house.server.rooms.hook_calls._nursery = nursery
            house.server.rooms.hook_calls._rounds._nursery = nursery
            demand_of(house)._nursery = nursery
            # The cancellation is the calls' own: whom they are about is left.
            with trio.CancelScope(shield=True), trio.fail_after(A_LIFE_TAKES_S):
                async with nothing_left(house, afterwards=lambda: all_told(house)):
                    publisher = house.rtmp()
                    viewer = WAYS["HTTP-FLV"].viewer(house.dial(house.door.serve), LIVE)
                    manners = {
                        "cancelled": nursery.cancel_scope.cancel,
                        "kicked": lambda: kick(house),
                        "left": lambda: (leave(viewer.stream), leave(publisher.stream)),
                    }
                    cuts.watch(nursery, manners[cut])
                    with whole_unless_cut(cuts):
                        await publish_and_view(publisher, viewer)
                    viewer.close()
                    publisher.stream.socket.close()

    async with open_hook_server() as server:
        hooks = {f"on_{what}": server.url for what in calls}
        async with open_house(hub=SOON, hooks={**hooks, "update_s": 1}) as house:
            assert await cut_at_every_step(live, moment) > 8
    assert {call["call"].removesuffix("_publish").removesuffix("_play") for call in server.calls} == {*calls}


@pytest.mark.parametrize("who", ["viewer", "publisher"])
@pytest.mark.parametrize("cut", CUTS)
@BOTH_MOMENTS
async def test_who_is_sent_to_another_server_is_cut_at_every_step(
    moment: Moment, cut: str, who: str, autojump_clock: MockClock
) -> None:
    async def live(cuts: Cuts) -> None:
        async with nothing_left(house, afterwards=lambda: all_told(house)):
            if who == "viewer":
                viewer = WAYS["HTTP-FLV"].viewer(dial(house, house.door.serve, cuts, cut), LIVE)
                with whole_unless_cut(cuts):
                    await viewer.ask()
                    await viewer.until(KEYFRAME)
                viewer.close()
            else:
                published = dial(house, house.rtmp_door.serve, cuts, cut)
                publisher = RtmpClient(published, parse_url("rtmp://door/myapp/test"))
                with whole_unless_cut(cuts):
                    await publisher.publish()
                    await publisher.begin()
                    await other.connections[-1].started.wait() if other.connections else None
                published.socket.close()

    server: HookServer
    other = RtmpServer(until_cut(plays_rtmp()) if who == "viewer" else silent_rtmp)
    async with open_hook_server() as server, other.listening():
        url = f"rtmp://127.0.0.1:{other.port}"
        server.answers = {"play" if who == "viewer" else "publish": f"{url}/elsewhere/test"}
        hooks = dict.fromkeys(("on_publish", "on_publish_done", "on_play", "on_play_done"), server.url)
        async with open_house(hub=SOON, hooks=hooks, origins={"b": {"url": url}}) as house:
            assert await cut_at_every_step(live, moment) > 15
        await wait_all_tasks_blocked(0.01)
        assert other.connections and not other.open
