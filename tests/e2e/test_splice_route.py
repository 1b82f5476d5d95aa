"""Scheme one with real parts: ffmpeg -> node-media-server or ffmpeg -listen -> the door -> ffprobe, ffmpeg, ffplay."""

import json
import signal
import sys
from pathlib import Path

import pytest
import trio

from tests.e2e.door import Door, running_door
from tests.e2e.origins import NodeMediaServer, ffmpeg_as_http_server, publishing
from tests.e2e.processes import Child, running
from tests.e2e.viewers import Watched, ffmpeg_watching, ffplay_watching, watch

# The user's own address, with the door's in place of 192.168.8.14:18090.
TARGET = "/live?src={src}&port=1935&app=myapp&stream=test"
USERS_TARGET = TARGET.format(src="a")


def before(**origins: NodeMediaServer) -> str:
    """The configuration of a door before node-media-servers, which know a stream by its path."""
    tables = [
        f'[origins.{name}]\nurl = "{origin.http_url}"\ntarget = "/{{app}}/{{stream}}.flv"'
        for name, origin in origins.items()
    ]
    return "\n".join(tables)


async def viewer_ended(door: Door) -> str:
    """Why the door's first viewer has ended, once it has."""
    return (await door.logged("viewer.end"))["reason"]


async def door_refuses(door: Door) -> None:
    """Wait until the door takes no new connection."""
    with trio.fail_after(5):
        while True:
            try:
                async with await trio.open_tcp_stream("127.0.0.1", door.port):
                    await trio.sleep(0.02)
            except OSError:
                return


async def test_the_users_url_plays_from_the_origin_that_src_names(
    tmp_path: Path, origin: NodeMediaServer, other_origin: NodeMediaServer, encoder: Child
) -> None:
    seen: dict[str, Watched] = {}

    async def see(src: str) -> None:
        seen[src] = await watch(door.http_url + TARGET.format(src=src), 3)

    async with (
        publishing(other_origin.rtmp_url("myapp/test"), size="426x240"),
        running_door(tmp_path, config=before(a=origin, b=other_origin)) as door,
    ):
        await other_origin.child.printed("start push /myapp/test")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(see, "a")
            nursery.start_soon(see, "b")
    for watched in seen.values():
        watched.shows(seconds=3)
    assert {src: watched.size for src, watched in seen.items()} == {"a": (320, 180), "b": (426, 240)}


async def test_an_origin_without_a_target_is_asked_with_the_viewers_request_line_byte_for_byte(tmp_path: Path) -> None:
    async with (
        ffmpeg_as_http_server() as (server, url),
        running_door(tmp_path, "--origin", f"a={url}") as door,
    ):
        (await watch(door.http_url + USERS_TARGET, 3)).shows(seconds=3)
        assert f"GET {USERS_TARGET} HTTP/1.1" in server.output


@pytest.mark.parametrize("player", [ffmpeg_watching, ffplay_watching])
async def test_players_play_and_the_log_says_who_saw_what(
    tmp_path: Path, origin: NodeMediaServer, encoder: Child, player: type
) -> None:
    async with running_door(tmp_path, config=before(a=origin)) as door:
        async with player(door.http_url + USERS_TARGET):
            pass
        start = await door.logged("viewer.start")
        end = await door.logged("viewer.end")
    for event in (start, end):
        assert (event["route"], event["origin"], event["app"], event["stream"]) == ("splice", "a", "myapp", "test")
        assert event["peer"].startswith("127.0.0.1")
    assert end["reason"] == "viewer_left"
    assert end["bytes"] > 10_000
    assert end["seconds"] > 0


async def test_no_query_value_but_the_names_is_logged(tmp_path: Path, origin: NodeMediaServer, encoder: Child) -> None:
    async with running_door(tmp_path, config=before(a=origin)) as door:
        async with ffmpeg_watching(f"{door.http_url}{USERS_TARGET}&token=geheim"):
            pass
        await door.logged("viewer.end")
        assert "geheim" not in door.child.output


async def test_a_viewer_who_leaves_takes_the_connection_to_the_origin_along(
    tmp_path: Path, origin: NodeMediaServer, encoder: Child
) -> None:
    async with (
        running_door(tmp_path, config=before(a=origin)) as door,
        ffmpeg_watching(door.http_url + USERS_TARGET) as viewer,
    ):
        await viewer.stop(signal.SIGKILL)
        # 100 ms is the door's promise; the rest is for this machine, and for the origin to print its line.
        await origin.child.printed("FLV session .* close", seconds=1)
        assert await viewer_ended(door) == "viewer_left"


async def test_an_encoder_that_stops_leaves_its_viewers_stalled_and_they_are_let_go(
    tmp_path: Path, origin: NodeMediaServer, encoder: Child
) -> None:
    # node-media-server keeps its players when a publisher leaves, and sends them nothing: only time tells.
    async with (
        running_door(tmp_path, config=before(a=origin), stall_s=2) as door,
        ffmpeg_watching(door.http_url + USERS_TARGET) as viewer,
    ):
        await encoder.stop()
        assert await viewer_ended(door) == "stalled"
        await viewer.ended(seconds=5)
        await origin.child.printed("FLV session .* close", seconds=1)


async def test_an_origin_that_dies_ends_the_stream_for_its_viewers(
    tmp_path: Path, origin: NodeMediaServer, encoder: Child
) -> None:
    async with (
        running_door(tmp_path, config=before(a=origin)) as door,
        ffmpeg_watching(door.http_url + USERS_TARGET) as viewer,
    ):
        await origin.child.stop(signal.SIGKILL)
        # A killed process leaves a FIN behind. Whether the last chunk was there is for the viewer to see: the door
        # moves a chunked body without reading it.
        assert await viewer_ended(door) == "origin_ended"
        await viewer.ended(seconds=5)


async def test_an_origin_that_ends_its_stream_ends_it_for_the_viewer(tmp_path: Path) -> None:
    async with (
        ffmpeg_as_http_server() as (server, url),
        running_door(tmp_path, "--origin", f"a={url}") as door,
        ffmpeg_watching(door.http_url + USERS_TARGET) as viewer,
    ):
        await server.stop(signal.SIGINT)
        # The origin sends its last chunk and closes; the player may close in between. The door reads no bodies, so
        # then it was the viewer who left.
        assert await viewer_ended(door) in ("origin_ended", "viewer_left")
        assert await viewer.ended(seconds=5) == 0


async def test_an_origin_that_is_not_up_is_said_to_be_502(tmp_path: Path, origin: NodeMediaServer) -> None:
    async with running_door(tmp_path, config=before(a=origin)) as door:
        await origin.child.stop(signal.SIGKILL)
        with pytest.raises(AssertionError, match=r"5XX Server Error|502"):
            await watch(door.http_url + USERS_TARGET, 1)


async def test_a_door_that_is_stopped_drains_and_then_lets_everyone_go(
    tmp_path: Path, origin: NodeMediaServer, encoder: Child
) -> None:
    async with (
        running_door(tmp_path, config=before(a=origin)) as door,
        ffmpeg_watching(door.http_url + USERS_TARGET) as viewer,
    ):
        assert await door.stop(signal.SIGTERM) == 0
        assert await viewer_ended(door) == "drained"
        await viewer.ended(seconds=5)
        await origin.child.printed("FLV session .* close", seconds=1)


async def test_a_second_interrupt_ends_the_door_at_once(
    tmp_path: Path, origin: NodeMediaServer, encoder: Child
) -> None:
    async with (
        running_door(tmp_path, config=before(a=origin), stays=False, drain_s=60) as door,
        ffmpeg_watching(door.http_url + USERS_TARGET) as viewer,
    ):
        door.child.send_signal(signal.SIGINT)
        # The door stops accepting when it drains, and that can be seen from outside.
        await door_refuses(door)
        assert await door.stop(signal.SIGINT, seconds=5) == 130
        await viewer.ended(seconds=5)


async def test_the_demo_is_what_a_door_with_nothing_to_serve_plays(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "splice", "--listen", "127.0.0.1:0", "--log-format", "json")
    async with running(*command, name="splice", cwd=tmp_path) as child:
        ready = json.loads((await child.printed('"event": "ready"')).string)
        watched = await watch(f"http://{ready['http'][0]}/live?src=demo&app=demo&stream=clock", 3)
        assert await child.stop() == 0
    watched.shows(seconds=3)
    assert watched.size == (640, 360)
