"""Browsers: ten players of mpegts.js on one page, in Debian's Chromium, nine of them by WS-FLV.

A browser opens at most six connections by HTTP/1.1 to one host, which is why pages with more streams use WebSocket.
"""

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from playwright.sync_api import Error, sync_playwright

from tests.e2e.door import running_door
from tests.e2e.origins import NodeMediaServer, publishing
from tests.e2e.processes import Child, free_port, listening, need, need_file, running

PLAYER = Path(__file__).parent / "peers" / "node_modules" / "mpegts.js" / "dist" / "mpegts.js"

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Players</title>
<script src="mpegts.js"></script>
<script>
  const errors = [];
  function play(urls) {
    for (const url of urls) {
      const video = document.body.appendChild(document.createElement("video"));
      video.muted = true;
      const player = mpegts.createPlayer({ type: "flv", isLive: true, url });
      player.on(mpegts.Events.ERROR, (...what) => errors.push(url + ": " + what.map(String).join(" ")));
      player.attachMediaElement(video);
      player.load();
      player.play().catch((error) => errors.push(url + ": " + error));
    }
  }
  // For how many seconds each has played, and how many frames it has shown.
  const seen = () => [...document.querySelectorAll("video")].map((video) => {
    let seconds = 0;
    for (let range = 0; range < video.played.length; range++) {
      seconds += video.played.end(range) - video.played.start(range);
    }
    return [seconds, video.getVideoPlaybackQuality().totalVideoFrames];
  });
</script>
"""


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


async def played_in_chromium(chromium: str, page_url: str, urls: list[str], seconds: float) -> list[int]:
    """Play all of `urls` on one page until each has played for so long; how many frames each has shown."""
    return await trio.to_thread.run_sync(_play, chromium, page_url, urls, seconds)


def _play(chromium: str, page_url: str, urls: list[str], seconds: float) -> list[int]:
    # Playwright's face for plain threads, since its other one wants asyncio.
    arguments = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            page = browser.new_page()
            page.goto(page_url)
            page.evaluate("urls => play(urls)", urls)
            all_have_played = "seconds => errors.length || seen().every(([played]) => played >= seconds)"
            try:
                page.wait_for_function(all_have_played, arg=seconds, timeout=20_000)
            except Error:
                pytest.fail(f"after 20 s they have played, in seconds and frames: {page.evaluate('seen()')}")
            assert page.evaluate("errors") == []
            return [frames for _, frames in page.evaluate("seen()")]
        finally:
            browser.close()


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
        frames = await played_in_chromium(chromium, page_url, urls, seconds=2)
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
        frames = await played_in_chromium(chromium, page_url, urls, seconds=2)
    assert frames[0] >= 25
    assert frames[1] == 0
