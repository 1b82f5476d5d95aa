"""One URL, wherever the stream is: the hub is asked first, then the default origin, alike by every way of viewing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from trio.testing import MockClock

from splice.config import Settings
from tests.splice.hub.servers import KEYFRAME, HttpOrigin, plays
from tests.splice.hub_house import House, keyframe, open_house
from tests.splice.websocket_client import watch

TARGETS = [
    "/live?app=myapp&stream=test",
    "/live?app=myapp&stream=test&port=1935",
    "/myapp?app=myapp&stream=test",
    "/myapp/test.flv",
]


@asynccontextmanager
async def door(mode: str = "relay") -> AsyncIterator[House]:
    """A door whose default origin has every stream."""
    origin = HttpOrigin(plays(3600))
    async with origin.listening():
        origins = {"b": {"url": f"http://127.0.0.1:{origin.port}", "mode": mode, "target": "/{app}/{stream}.flv"}}
        paths = ["/live", "/myapp"]
        async with open_house(origins=origins, default_origin="b", live_path=paths, hub={"idle_stop_s": 0}) as house:
            yield house


async def first_keyframes(house: House, body: bytes) -> None:
    """See by every way that what comes is this."""
    for target in TARGETS:
        viewer = await house.http(target)
        assert viewer.head.status == 200
        await viewer.tag_with(body)
        await viewer.leave()
        websocket = await watch(house, target)
        while await websocket.bodies(1) != [body]:
            pass
        await websocket.leave()
    player = await house.rtmp().play()
    await player.media_with(body)
    await player.leave()


@pytest.mark.parametrize("mode", ["relay", "splice"])
async def test_what_nobody_publishes_here_is_the_default_origins(autojump_clock: MockClock, mode: str) -> None:
    async with door(mode) as house:
        await first_keyframes(house, KEYFRAME)


@pytest.mark.parametrize("mode", ["relay", "splice"])
async def test_what_is_published_here_is_the_hubs(autojump_clock: MockClock, mode: str) -> None:
    async with door(mode) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin(label=b"ours")
        await first_keyframes(house, keyframe(b"ours"))


@pytest.mark.parametrize("name", ["myapp/test?src=b", "myapp?src=b/test", "myapp/test?a=1&src=%62"])
async def test_an_rtmp_player_names_an_origin_as_http_does(autojump_clock: MockClock, name: str) -> None:
    async with door() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin(label=b"ours")
        await (await house.rtmp(name).play()).media_with(KEYFRAME)
        await (await house.http("/live?src=b&app=myapp&stream=test")).tag_with(KEYFRAME)


async def test_what_a_player_has_pulled_of_an_origin_that_http_splices_goes_on_where_a_reload_says(
    autojump_clock: MockClock,
) -> None:
    origin, other = HttpOrigin(plays(5)), HttpOrigin(plays())

    def at(server: HttpOrigin) -> dict[str, Any]:
        return {"b": {"url": f"http://127.0.0.1:{server.port}", "mode": "splice"}}

    async with origin.listening(), other.listening(), open_house(origins=at(origin), hub={"idle_stop_s": 0}) as house:
        player = await house.rtmp("myapp/test?src=b").play()
        await player.media_with(KEYFRAME)
        house.server.reload(lambda: Settings.model_validate({"origins": at(other)}))
        while not other.connections:
            await player.media_with(KEYFRAME)
        await player.media_with(KEYFRAME)
        await player.leave()
    assert len(origin.connections) == 1
