"""on_demand and on_idle with the whole house behind the doors, for the applications that have them."""

import pytest
import trio

from protocol.rtmp import Code
from splice.config import Settings
from tests.splice.access.hook_server import HookServer, open_hook_server
from tests.splice.access.test_doors import open_door, open_origin, played, status_of
from tests.splice.hub_house import keyframe


async def asked_for(server: HookServer) -> list[tuple[str, str, str]]:
    """What the program was asked and told of, once the door has left all its connections."""
    await server.all_left(len(server.calls))
    return [(call["call"], call["app"], call["name"]) for call in server.calls]


async def test_viewers_of_every_kind_wait_for_the_stream_that_is_being_brought() -> None:
    async with (
        open_hook_server() as server,
        open_door(hooks={"on_demand": server.url}, hub={"wait_for_stream_s": 5, "republish_grace_s": 0}) as house,
        trio.open_nursery() as nursery,
    ):
        statuses: list[int] = []

        async def ask(method: str) -> None:
            statuses.append(await status_of(house, method, "/myapp/test.flv"))

        async def play() -> None:
            player = house.rtmp()
            assert await played(player, "test") is None
            await player.media_with(keyframe())

        for method in ("GET", "HEAD", "WS"):
            nursery.start_soon(ask, method)
        nursery.start_soon(play)
        await server.called(1)
        publisher = await house.rtmp().publish("test")
        await publisher.begin()
        while nursery.child_tasks:
            await trio.sleep(0.01)
        assert sorted(statuses) == [101, 200, 200]
        assert await asked_for(server) == [("demand", "myapp", "test")]


async def test_what_the_program_does_not_bring_is_404_at_once() -> None:
    async with open_hook_server("404") as server:
        hub = {"wait_for_stream_s": 60, "republish_grace_s": 0}
        async with open_door(hooks={"on_demand": server.url}, hub=hub) as house:
            viewer = await house.http()
            assert viewer.head.status == 404
            assert "the operator's program does not bring it" in await viewer.text()
            refused = await played(house.rtmp(), "test")
            assert refused is not None
            assert refused.code == Code.PLAY_STREAM_NOT_FOUND
            assert len(await asked_for(server)) == 1


@pytest.mark.parametrize("target", ["/live?app=myapp&stream=test", "/live?src=a&app=myapp&stream=test"])
async def test_what_an_origin_may_have_is_not_asked_of_the_program(target: str) -> None:
    async with open_hook_server() as server, open_origin() as origin:
        hooks = {"on_demand": server.url, "on_idle": server.url}
        async with open_door(hooks=hooks, origins={"a": {"url": origin.url}}, default_origin="a") as house:
            assert await status_of(house, "GET", target) == 200
    assert server.calls == []


async def test_who_may_not_watch_asks_for_nothing() -> None:
    denied = {"deny": ["127.0.0.0/8"]}
    async with open_hook_server() as server, open_door(hooks={"on_demand": server.url}, play=denied) as house:
        assert await status_of(house, "GET", "/myapp/test.flv") == 403
    assert server.calls == []


async def test_applications_have_programs_of_their_own_and_a_reload_changes_them() -> None:
    async with open_hook_server("404") as server, open_hook_server("404") as other:
        apps = {"cams": {"hooks": {"on_demand": server.url}}}
        async with open_door(apps=apps) as house:
            assert await status_of(house, "GET", "/myapp/test.flv") == 404
            assert await status_of(house, "GET", "/cams/one.flv") == 404
            after = Settings.model_validate({"hooks": {"on_demand": other.url}})
            house.server.reload(lambda: after)
            assert await status_of(house, "GET", "/cams/two.flv") == 404
        assert await asked_for(server) == [("demand", "cams", "one")]
        assert await asked_for(other) == [("demand", "cams", "two")]


async def test_the_program_hears_of_a_stream_that_nobody_watches_any_more() -> None:
    hub = {"idle_stop_s": 0, "republish_grace_s": 0}
    async with open_hook_server() as server, open_door(hooks={"on_idle": server.url}, hub=hub) as house:
        publisher = await house.rtmp().publish("test")
        await publisher.begin()
        viewer = await house.http()
        await viewer.tag_with(keyframe())
        await viewer.leave()
        assert (await server.called(1))["name"] == "test"
        await server.all_left(1)
