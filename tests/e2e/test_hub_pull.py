"""Pulls with real origins: nginx-rtmp by RTMP, node-media-server by HTTP-FLV; one pull, however many watch."""

import signal
from pathlib import Path

import pytest
import trio

from tests.e2e.door import Door, running_door
from tests.e2e.origins import NodeMediaServer, nginx_rtmp, publishing
from tests.e2e.processes import Child, free_port
from tests.e2e.viewers import Watched, ffmpeg_watching, watch

LIVE = "/live?src=b&app=myapp&stream=test"
SOON = "hub.idle_stop_s = 0.5"


async def watched_by_all(door: Door) -> list[Watched]:
    """What three viewers see who come at the same instant: two by HTTP-FLV, one by RTMP."""
    seen: list[Watched] = []

    async def see(url: str) -> None:
        seen.append(await watch(url, 2))

    async with trio.open_nursery() as nursery:
        for url in (door.http_url + LIVE, door.http_url + LIVE, f"{door.rtmp_url('myapp/test')}?src=b"):
            nursery.start_soon(see, url)
    return seen


async def test_viewers_who_come_at_the_same_instant_make_one_rtmp_pull(
    tmp_path: Path, nginx_rtmp_is_here: None
) -> None:
    async with (
        nginx_rtmp(tmp_path, push_to_port=None) as nginx,
        publishing(nginx.rtmp_url("myapp/test")),
        running_door(
            tmp_path, "--rtmp", "127.0.0.1:0", "--origin", f"b=rtmp://127.0.0.1:{nginx.rtmp_port}", config=SOON
        ) as door,
    ):
        descriptors = door.descriptors
        for watched in await watched_by_all(door):
            watched.shows(seconds=2)
        end = await door.logged("pull.end")
        assert end["reason"] == "viewer_left"
        assert len(await door.logged_times("pull.start", 1)) == 1
        await door.has_descriptors(descriptors)


async def test_viewers_who_come_at_the_same_instant_make_one_http_pull(
    tmp_path: Path, origin: NodeMediaServer, encoder: Child
) -> None:
    table = f'[origins.b]\nurl = "{origin.http_url}"\nmode = "relay"\ntarget = "/{{app}}/{{stream}}.flv"'
    async with running_door(tmp_path, "--rtmp", "127.0.0.1:0", config=f"{SOON}\n{table}") as door:
        descriptors = door.descriptors
        for watched in await watched_by_all(door):
            watched.shows(seconds=2)
        await door.logged("pull.end")
        assert len(await door.logged_times("pull.start", 1)) == 1
        await door.has_descriptors(descriptors)
        await origin.child.printed("FLV session .* close", seconds=1)


async def test_an_origin_that_is_killed_and_comes_back_keeps_the_viewers_of_the_pull(
    tmp_path: Path, nginx_rtmp_is_here: None
) -> None:
    directories = [tmp_path / name for name in ("first", "second")]
    for directory in directories:
        directory.mkdir()
    rtmp_port = free_port()
    async with running_door(tmp_path, "--origin", f"b=rtmp://127.0.0.1:{rtmp_port}", config=SOON) as door:
        async with (
            nginx_rtmp(directories[0], push_to_port=None, rtmp_port=rtmp_port) as nginx,
            publishing(nginx.rtmp_url("myapp/test")),
            ffmpeg_watching(door.http_url + LIVE) as viewer,
        ):
            await nginx.child.stop(signal.SIGKILL)
            await door.logged("pull.lost")
            async with (
                nginx_rtmp(directories[1], push_to_port=None, rtmp_port=rtmp_port) as nginx,
                publishing(nginx.rtmp_url("myapp/test")),
            ):
                frames = int((await viewer.printed(r"^frame=\s*(\d+)")).group(1))
                after = len(viewer.lines)
                with trio.fail_after(15):
                    while True:
                        found = await viewer.printed(r"^frame=\s*(\d+)", after=after)
                        if int(found.group(1)) > frames + 50:
                            break
                        after = viewer.lines.index(found.string, after) + 1
                await viewer.stop()
        assert len(await door.logged_times("pull.start", 1)) == 1


async def test_an_origin_that_is_down_is_502(tmp_path: Path) -> None:
    async with running_door(tmp_path, "--origin", f"b=rtmp://127.0.0.1:{free_port()}") as door:
        with pytest.raises(AssertionError, match=r"5XX Server Error|502"):
            await watch(door.http_url + LIVE, 1)


async def test_an_origin_that_has_nothing_is_504_and_is_asked_once_by_a_crowd(
    tmp_path: Path, nginx_rtmp_is_here: None
) -> None:
    # nginx-rtmp lets anybody play what nobody publishes, and stays mute.
    statuses: list[bytes] = []

    async def ask() -> None:
        async with await trio.open_tcp_stream("127.0.0.1", door.port) as stream:
            await stream.send_all(f"GET {LIVE} HTTP/1.1\r\nHost: door\r\n\r\n".encode())
            statuses.append((await stream.receive_some()).split()[1])

    async with (
        nginx_rtmp(tmp_path, push_to_port=None) as nginx,
        running_door(
            tmp_path, "--origin", f"b=rtmp://127.0.0.1:{nginx.rtmp_port}", first_tag_s=0.5, origin_head_s=1
        ) as door,
    ):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        assert statuses == [b"504"] * 20
        assert len(await door.logged_times("pull.start", 1)) == 1
