"""Browsers: ten players of mpegts.js on one page, in Debian's Chromium, nine of them by WS-FLV.

A browser opens at most six connections by HTTP/1.1 to one host, which is why pages with more streams use WebSocket.
"""

import shutil
import sys
from pathlib import Path

import pytest
import trio
from playwright.sync_api import sync_playwright

from tests.e2e.door import running_door
from tests.e2e.origins import NodeMediaServer, publishing
from tests.e2e.processes import Child, free_port, listening, need, need_file, running

PLAYER = Path(__file__).parent / "peers" / "node_modules" / "mpegts.js" / "dist" / "mpegts.js"

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Ten players</title>
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
  const shown = (video) => video.getVideoPlaybackQuality().totalVideoFrames;
  const seen = () => [...document.querySelectorAll("video")].map(shown);
</script>
"""


@pytest.fixture
def chromium() -> str:
    need_file(PLAYER)
    return need("chromium")


def played_in_chromium(chromium: str, page_url: str, urls: list[str]) -> tuple[list[str], list[int]]:
    """Play all of `urls` on one page until each has shown 50 frames; what went wrong, and how many were shown.

    Playwright's face for plain threads, since its other one wants asyncio.
    """
    arguments = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            page = browser.new_page()
            page.goto(page_url)
            page.evaluate("urls => play(urls)", urls)
            page.wait_for_function("errors.length || seen().every(frames => frames >= 50)", timeout=30_000)
            return page.evaluate("errors"), page.evaluate("seen()")
        finally:
            browser.close()


async def test_ten_players_of_one_page_all_play_on_both_routes(
    tmp_path: Path, chromium: str, origin: NodeMediaServer, encoder: Child
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(PAGE)
    shutil.copy(PLAYER, site / "mpegts.js")
    site_port = free_port()
    table = f'[origins.a]\nurl = "{origin.http_url}"\ntarget = "/{{app}}/{{stream}}.flv"'
    async with (
        running(
            *(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", site, str(site_port)),
            name="the site",
        ),
        running_door(tmp_path, "--rtmp", "127.0.0.1:0", config=table) as door,
        publishing(door.rtmp_url("myapp/test")),
    ):
        await listening(site_port)
        descriptors = door.descriptors
        by_websocket = door.http_url.replace("http", "ws")
        shared, spliced = "/live?app=myapp&stream=test", "/live?src=a&app=myapp&stream=test"
        urls = [
            *[f"{by_websocket}{shared}"] * 4,
            *[f"{by_websocket}/myapp/test.flv"] * 2,
            *[f"{by_websocket}{spliced}"] * 3,
            f"{door.http_url}{shared}",
        ]
        errors, frames = await trio.to_thread.run_sync(
            played_in_chromium, chromium, f"http://127.0.0.1:{site_port}/", urls
        )
        assert errors == []
        assert len(frames) == 10
        assert min(frames) >= 50
        ends = await door.logged_times("viewer.end", 10)
        assert {end["reason"] for end in ends} == {"viewer_left"}
        await door.has_descriptors(descriptors)
