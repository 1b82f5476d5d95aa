"""Origins that have nothing, die in mid-stream, are not up yet, or speak TLS: what real programs see of it."""

import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import trio

from tests.e2e.door import Door, running_door
from tests.e2e.origins import NodeMediaServer, nginx_rtmp, publishing
from tests.e2e.processes import Child, free_port
from tests.e2e.test_https import secure_door
from tests.e2e.viewers import Watched, ffmpeg_watching, watch

LIVE = "/live?src=b&app=myapp&stream=test"


def relay_of(*origins: NodeMediaServer, **more: str) -> str:
    urls = ", ".join(f'"{origin.http_url}"' for origin in origins)
    keys = "\n".join(f"{name} = {value}" for name, value in more.items())
    return f'[origins.b]\nurls = [{urls}]\nmode = "relay"\ntarget = "/{{app}}/{{stream}}.flv"\n{keys}'


async def test_an_origin_that_answers_200_and_nothing_is_left_for_the_next(
    tmp_path: Path, origin: NodeMediaServer, other_origin: NodeMediaServer, encoder: Child
) -> None:
    config = relay_of(other_origin, origin)  # the first has no publisher
    async with running_door(tmp_path, config=config, first_tag_s=1) as door:
        (await watch(door.http_url + LIVE, 2)).shows(seconds=2)
        failed = await door.logged("pull.failed")
        assert (failed["status"], failed["address"]) == (504, other_origin.http_url)
        (await watch(door.http_url + LIVE, 2)).shows(seconds=2)
        assert len(await door.logged_times("pull.failed", 1)) == 1


async def test_a_relay_whose_origin_is_killed_goes_on_with_the_next_and_so_do_its_viewers(
    tmp_path: Path, origin: NodeMediaServer, other_origin: NodeMediaServer, encoder: Child
) -> None:
    seen: list[Watched] = []

    async def see() -> None:
        seen.append(await watch(door.http_url + LIVE, 6))

    async with (
        publishing(other_origin.rtmp_url("myapp/test")),
        running_door(tmp_path, config=relay_of(origin, other_origin)) as door,
        ffmpeg_watching(door.http_url + LIVE) as viewer,
    ):
        await door.logged("viewer.start")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(see)
            await door.logged_times("viewer.start", 2)
            await viewer.printed(r"^out_time=00:00:0[2-9]", seconds=15)
            await origin.child.stop(signal.SIGKILL)
            assert (await door.logged("pull.lost"))["pause_s"] == 0
            running = await door.logged_times("pull.running", 2)
            assert [event["address"] for event in running] == [origin.http_url, other_origin.http_url]
        await viewer.printed(r"^out_time=00:00:(0[7-9]|1)", seconds=15)
        assert len(await door.logged_times("pull.start", 1)) == 1
    [watched] = seen
    for kind, times_s in watched.times_s.items():
        assert times_s[-1] - times_s[0] >= 5, f"{kind} has not gone on"
        assert all(0 < later - earlier < 2 for earlier, later in pairwise(times_s)), f"{kind} jumps"


async def test_a_camera_is_kept_by_its_whole_url_and_its_password_is_told_to_nobody(
    tmp_path: Path, nginx_rtmp_is_here: None
) -> None:
    port = free_port()
    config = f"""
        [origins.cam]
        url = "rtmp://127.0.0.1:{port}/myapp/test?channel=0&user=me&password=geheim"
        keep = ["cams/front"]
    """
    async with running_door(tmp_path, "--admin", "127.0.0.1:0", config=config) as door:
        await door.logged("pull.failed")  # it is not up yet
        async with nginx_rtmp(tmp_path, push_to_port=None, rtmp_port=port) as nginx:
            assert nginx.rtmp_port == port
            async with publishing(nginx.rtmp_url("myapp/test")):
                await door.logged("pull.running", seconds=30)
                (await watch(door.http_url + "/live?src=cam&app=cams&stream=front", 2)).shows(seconds=2)
                said = await admin_says(door)
        assert f"rtmp://127.0.0.1:{port}/myapp/test?channel=***&user=***&password=***" in said
        assert "geheim" not in said + door.child.output
        command = [sys.executable, "-m", "splice", "--config", tmp_path / "splice.toml", "--check"]
        checked = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT)
        assert b"geheim" not in checked.stdout
        assert f"rtmp://127.0.0.1:{port}/myapp/test?channel=***&user=***&password=***".encode() in checked.stdout


async def admin_says(door: Door) -> str:
    """All that the admin side tells of origins and pulls."""
    url = f"http://{door.ready['admin'][0]}"
    async with httpx.AsyncClient() as client:
        answers = [await client.get(url + path) for path in ("/api/v1/publishers", "/api/v1/origins", "/metrics")]
    return "".join(answer.raise_for_status().text for answer in answers)


@pytest.mark.parametrize("scheme", ["https", "rtmps"])
async def test_an_origin_is_relayed_by_tls_and_one_that_is_not_trusted_is_not(tmp_path: Path, scheme: str) -> None:
    directories = [tmp_path / name for name in ("origin", "door")]
    for directory in directories:
        directory.mkdir()
    async with (
        secure_door(directories[0]) as origin,
        publishing(origin.door.rtmp_url("myapp/test")),
    ):
        url = f"{scheme}://{origin.door.ready[scheme][0]}"
        config = f"""
            [origins.b]
            url = "{url}"
            tls_ca = "{origin.authority}"
            [origins.stranger]
            url = "{url}"
        """
        async with running_door(directories[1], config=config) as door:
            (await watch(door.http_url + LIVE, 2)).shows(seconds=2)
            with pytest.raises(AssertionError, match=r"5XX Server Error|502"):
                await watch(door.http_url + LIVE.replace("src=b", "src=stranger"), 1)
            failed = await door.logged("pull.failed")
            assert failed["origin"] == "stranger"
            assert "certificate" in failed["error"]
            assert "unable to get local issuer certificate" in failed["cause"]
