"""What the door pulls without viewers: from its start, after reloads that say otherwise, and no more when it stops."""

import signal

import trio
from trio.testing import wait_all_tasks_blocked

from splice.config import Settings
from tests.splice.hub.servers import Connection, HttpOrigin, plays
from tests.splice.test_server import SOON_S, RunningDoor, a_door, settings, stopped


def keeping(server: HttpOrigin, *streams: str) -> Settings:
    origin = {"url": f"http://127.0.0.1:{server.port}", "mode": "relay", "keep": streams}
    return settings(origins={"cam": origin}, hub={"idle_stop_s": 0})


async def pulled(door: RunningDoor, event: str, stream: str, count: int = 1) -> None:
    """Wait until so many pulls of cams/`stream` have started, or ended."""
    with trio.fail_after(SOON_S):
        while sum(entry["stream"] == stream for entry in door.events(event)) < count:
            await door.log.more.wait()


async def gone(door: RunningDoor, *servers: HttpOrigin) -> None:
    """Stop the door, and wait until the servers' sides of its connections are closed too."""
    assert await stopped(door) == 0
    for server in servers:
        for connection in server.connections:
            await connection.left.wait()
    await wait_all_tasks_blocked()


async def test_what_the_configuration_keeps_is_pulled_from_the_start_and_let_go_by_the_stop() -> None:
    server = HttpOrigin(plays())
    async with server.listening():
        async with a_door(keeping(server, "cams/front", "cams/back"), demo=False) as door:
            for stream in ("front", "back"):
                await pulled(door, "pull.start", stream)
            await gone(door, server)
        assert [event["reason"] for event in door.events("pull.end")] == ["drained", "drained"]
        assert len(door.events("pull.start")) == 2


async def test_a_reload_touches_only_what_differs() -> None:
    server = HttpOrigin(plays())
    async with server.listening(), a_door(keeping(server, "cams/front", "cams/side"), demo=False) as door:
        for stream in ("front", "side"):
            await pulled(door, "pull.start", stream)
        door.next = keeping(server, "cams/side", "cams/back")
        await door.signalled(signal.SIGHUP, "reload.done")
        await pulled(door, "pull.end", "front")
        await pulled(door, "pull.start", "back")
        door.next = keeping(server, "cams/front", "cams/side", "cams/back")
        await door.signalled(signal.SIGHUP, "reload.done", 2)
        await pulled(door, "pull.start", "front", 2)
        assert [entry["stream"] for entry in door.events("pull.end")] == ["front"]
        await gone(door, server)


async def test_an_origin_that_a_reload_takes_away_is_let_go() -> None:
    server = HttpOrigin(plays())
    async with server.listening(), a_door(keeping(server, "cams/front"), demo=False) as door:
        await pulled(door, "pull.start", "front")
        door.next = settings(hub={"idle_stop_s": 0})
        await door.signalled(signal.SIGHUP, "reload.done")
        await pulled(door, "pull.end", "front")
        await gone(door, server)


async def test_new_addresses_of_an_origin_do_not_touch_what_runs() -> None:
    asked = trio.Event()

    async def script(connection: Connection) -> None:
        asked.set()
        await plays()(connection)

    server, other = HttpOrigin(script), HttpOrigin(plays())
    async with (
        server.listening(),
        other.listening(),
        a_door(keeping(server, "cams/front"), demo=False) as door,
    ):
        with trio.fail_after(SOON_S):
            await asked.wait()
        door.next = keeping(other, "cams/front")
        await door.signalled(signal.SIGHUP, "reload.done")
        assert not door.events("pull.end")
        assert (server.open, other.open) == (1, 0)
        await gone(door, server)
