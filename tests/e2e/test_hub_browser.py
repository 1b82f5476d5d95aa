"""Browsers: ten players of mpegts.js on one page, in Debian's Chromium, nine of them by WS-FLV.

A browser opens at most six connections by HTTP/1.1 to one host, which is why pages with more streams use WebSocket.
"""

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.browser import PAGE, PLAYER, played
from tests.e2e.door import running_door
from tests.e2e.origins import NodeMediaServer, publishing
from tests.e2e.processes import Child, free_port, listening, need, need_file, running


@pytest.fixture
def chromium() -> str:
    need_file(PLAYER)
    return need("chromium")


@pytest.fixture
async def page_url(tmp_path: Path, chromium: str) -> AsyncIterator[str]:
    """The page, on a site of its own."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(PAGE)
    shutil.copy(PLAYER, site / "mpegts.js")
    port = free_port()
    server = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", site, str(port))
    async with running(*server, name="the site"):
        await listening(port)
        yield f"http://127.0.0.1:{port}/"


async def test_ten_players_of_one_page_all_play_on_both_routes(
    tmp_path: Path, chromium: str, page_url: str, origin: NodeMediaServer, encoder: Child
) -> None:
    table = f'[origins.a]\nurl = "{origin.http_url}"\ntarget = "/{{app}}/{{stream}}.flv"'
    async with (
        running_door(tmp_path, "--rtmp", "127.0.0.1:0", config=table) as door,
        publishing(door.rtmp_url("myapp/test")),
    ):
        descriptors = door.descriptors
        by_websocket = door.http_url.replace("http", "ws")
        shared, spliced = "/live?app=myapp&stream=test", "/live?src=a&app=myapp&stream=test"
        urls = [
            *[f"{by_websocket}{shared}"] * 4,
            *[f"{by_websocket}/myapp/test.flv"] * 2,
            *[f"{by_websocket}{spliced}"] * 3,
            f"{door.http_url}{shared}",
        ]
        frames = await played(chromium, page_url, urls, seconds=2)
        assert len(frames) == 10
        assert min(frames) >= 25
        ends = await door.logged_times("viewer.end", 10)
        assert {end["reason"] for end in ends} == {"viewer_left"}
        await door.has_descriptors(descriptors)


async def test_streams_of_one_track_play_since_the_flags_tell_the_truth(
    tmp_path: Path, chromium: str, page_url: str
) -> None:
    # A player that was promised a track waits for it before it shows anything.
    async with (
        running_door(tmp_path, "--rtmp", "127.0.0.1:0") as door,
        publishing(door.rtmp_url("myapp/video"), tracks="-an"),
        publishing(door.rtmp_url("myapp/audio"), tracks="-vn"),
    ):
        urls = [f"{door.http_url}/myapp/{name}.flv" for name in ("video", "audio")]
        frames = await played(chromium, page_url, urls, seconds=2)
    assert frames[0] >= 25
    assert frames[1] == 0
