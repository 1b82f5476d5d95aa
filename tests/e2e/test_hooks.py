"""Callbacks between real programs: ffmpeg and nginx push, ffprobe watches, and a program answers well or ill."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.door import Door, running_door
from tests.e2e.origins import nginx_rtmp, publishing
from tests.e2e.processes import free_port, need, running
from tests.e2e.viewers import ffmpeg_watching, watch
from tests.splice.access.hook_server import HookServer, open_hook_server

SECRET = "k3y-of-the-encoder"
ALL = ("publish", "publish_done", "play", "play_done", "update", "demand", "idle")


@asynccontextmanager
async def hooked_door(
    directory: Path, *names: str, answers: dict[str, str] | None = None, config: str = ""
) -> AsyncIterator[tuple[HookServer, Door]]:
    """A door and the program that it calls for each of `names`."""
    async with open_hook_server() as server:
        server.answers = answers or {}
        keys = [f'hooks.on_{name} = "{server.url}"' for name in names or ALL[:4]]
        async with running_door(directory, "--rtmp", "127.0.0.1:0", config="\n".join([*keys, config])) as door:
            yield server, door


async def test_an_encoder_publishes_to_a_secret_key_and_viewers_play_the_public_name(tmp_path: Path) -> None:
    async with (
        hooked_door(tmp_path, answers={"publish": "test"}) as (server, door),
        publishing(door.rtmp_url(f"myapp/{SECRET}?token=t")),
    ):
        started = await door.logged("publisher.start")
        assert (started["app"], started["stream"]) == ("myapp", "test")
        for url in (f"{door.http_url}/live?app=myapp&stream=test", door.rtmp_url("myapp/test")):
            (await watch(url, 1)).shows(seconds=1)
        assert SECRET not in door.child.output
        with pytest.raises(AssertionError, match="404"):
            await watch(f"{door.http_url}/myapp/{SECRET}.flv", 1)
    assert (server.calls[0]["name"], server.calls[0]["token"]) == (SECRET, "t")


async def test_nginx_pushes_a_secret_key_too(tmp_path: Path, nginx_rtmp_is_here: None) -> None:
    async with (
        hooked_door(tmp_path, answers={"publish": "test"}) as (server, door),
        nginx_rtmp(tmp_path, push_to_port=door.rtmp_port) as nginx,
        publishing(nginx.rtmp_url(f"myapp/{SECRET}")),
    ):
        await door.logged("publisher.start", stream="test")
        (await watch(f"{door.http_url}/myapp/test.flv", 1)).shows(seconds=1)
    assert server.calls[0]["call"] == "publish"
    assert server.calls[0]["name"] == SECRET


async def test_a_viewer_with_a_ticket_gets_the_stream_that_it_is_for(tmp_path: Path) -> None:
    async with (
        hooked_door(tmp_path, answers={"play": "test"}) as (_, door),
        publishing(door.rtmp_url("myapp/test")),
    ):
        await door.logged("publisher.start")
        for url in (f"{door.http_url}/live?app=myapp&stream=ticket-1", door.rtmp_url("myapp/ticket-2")):
            (await watch(url, 1)).shows(seconds=1)


async def test_a_viewer_is_sent_to_an_origin_and_a_publisher_to_another_server(
    tmp_path: Path, nginx_rtmp_is_here: None
) -> None:
    directories = [tmp_path / name for name in ("nginx", "door")]
    for directory in directories:
        directory.mkdir()
    async with nginx_rtmp(directories[0], push_to_port=None) as nginx:
        to = nginx.rtmp_url("myapp/sent-on")
        answers = {"publish": to, "play": to}
        config = f'origins.b.url = "{to.removesuffix("/myapp/sent-on")}"'
        async with (
            hooked_door(directories[1], answers=answers, config=config) as (_, door),
            publishing(door.rtmp_url("myapp/test")) as encoder,
        ):
            await door.logged("forward.running")
            # From the encoder to the door, to nginx, and back by a pull.
            (await watch(f"{door.http_url}/live?app=myapp&stream=anything", 1)).shows(seconds=1)
            assert (await door.logged("viewer.end"))["origin"] == "b"
            await encoder.stop()
            await door.logged("forward.end", seconds=5)


@pytest.mark.parametrize(
    "answer", ["403", "hang", "die", "nonsense", "endless head", "rtmp://169.254.169.254/a/b", "a/b"]
)
async def test_who_is_refused_ill_answered_or_misdirected_neither_publishes_nor_watches(
    tmp_path: Path, answer: str
) -> None:
    async with hooked_door(tmp_path, "publish", "play", config="hooks.timeout_s = 0.5") as (server, door):
        server.answer = answer
        command = "-nostdin -hide_banner -f lavfi -i testsrc2=size=64x64:rate=25 -t 1 -c:v flv -f flv"
        async with running(need("ffmpeg"), *command.split(), door.rtmp_url("myapp/test"), name="ffmpeg") as encoder:
            assert await encoder.ended() != 0
            assert "[hooks] on_publish" in encoder.output
        with pytest.raises(AssertionError, match="403"):
            await watch(f"{door.http_url}/myapp/test.flv", 1)
        server.answer = "10 MB"
        async with publishing(door.rtmp_url("myapp/test")):  # nothing is left that would disturb who comes next
            await door.logged("publisher.start")
            (await watch(f"{door.http_url}/myapp/test.flv", 1)).shows(seconds=1)


async def test_an_update_that_is_refused_ends_encoder_and_viewer(tmp_path: Path) -> None:
    async with (
        hooked_door(tmp_path, "update", config="hooks.update_s = 0.5") as (server, door),
        publishing(door.rtmp_url("myapp/test")) as encoder,
        ffmpeg_watching(f"{door.http_url}/live?app=myapp&stream=test") as viewer,
    ):
        calls: set[str] = set()
        while calls != {"update_publish", "update_play"}:
            calls.add((await server.called(len(server.calls) + 1))["call"])
        server.answer = "403"
        assert (await door.logged("publisher.end", seconds=3))["reason"] == "kicked"
        assert (await door.logged("viewer.end", seconds=3))["reason"] in ("kicked", "origin_ended")
        await encoder.ended()
        await viewer.ended()


async def test_a_source_starts_when_somebody_asks_and_stops_when_nobody_watches(tmp_path: Path) -> None:
    config = "hub.wait_for_stream_s = 10\nhub.idle_stop_s = 1\nhub.republish_grace_s = 0"
    async with hooked_door(tmp_path, "demand", "idle", config=config) as (server, door), trio.open_nursery() as nursery:

        async def start_and_stop() -> None:
            assert (await server.called(1))["call"] == "demand"
            async with publishing(door.rtmp_url("myapp/test")) as encoder:
                assert (await server.called(2, seconds=20))["call"] == "idle"
                await encoder.stop()

        async def see(url: str) -> None:
            (await watch(url, 1)).shows(seconds=1)

        nursery.start_soon(start_and_stop)
        for url in (f"{door.http_url}/live?app=myapp&stream=test", door.rtmp_url("myapp/test")):
            nursery.start_soon(see, url)
    assert [(call["call"], call["app"], call["name"]) for call in server.calls] == [
        ("demand", "myapp", "test"),
        ("idle", "myapp", "test"),
    ]


async def test_a_viewer_who_is_sent_in_a_circle_is_told_and_the_others_watch_on(tmp_path: Path) -> None:
    port = free_port()
    config = f'origins.me.url = "rtmp://127.0.0.1:{port}"\nhub.idle_stop_s = 0'
    async with open_hook_server() as server:
        keys = f'hooks.on_play = "{server.url}"\n{config}'
        async with (
            running_door(tmp_path, "--rtmp", f"127.0.0.1:{port}", config=keys, first_tag_s=1) as door,
            publishing(door.rtmp_url("myapp/test")),
        ):
            await door.logged("publisher.start")
            async with ffmpeg_watching(f"{door.http_url}/myapp/test.flv") as other:
                descriptors = door.descriptors
                server.answer = f"rtmp://127.0.0.1:{port}/myapp/circle"
                with pytest.raises(AssertionError, match="5XX"):
                    await watch(f"{door.http_url}/myapp/test.flv", 1)
                await door.has_descriptors(descriptors, seconds=5)
                await other.printed("^progress=continue", after=len(other.lines))
