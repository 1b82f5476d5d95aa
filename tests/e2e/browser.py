"""Debian's Chromium with a page of mpegts.js players, driven by playwright's face for plain threads."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from playwright.sync_api import Error, sync_playwright

__all__ = ["PAGE", "PLAYER", "played"]

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


async def played(
    chromium: str, page_url: str, urls: Sequence[str], *, seconds: float, any_certificate: bool = False
) -> list[int]:
    """Play all of `urls` on one page until each has played for so long; how many frames each has shown.

    Args:
        page_url: where `PAGE` and the player are; an https:// one is made up, and no server is asked for it.
        any_certificate: take those of servers that nobody vouches for.
    """
    return await trio.to_thread.run_sync(_play, chromium, page_url, list(urls), seconds, any_certificate)


def _play(chromium: str, page_url: str, urls: list[str], seconds: float, any_certificate: bool) -> list[int]:
    arguments = [
        *("--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"),
        # A page of the public network has to ask its user before it may reach into a private one, such as loopback.
        "--disable-features=LocalNetworkAccessChecks",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            page = browser.new_page(ignore_https_errors=any_certificate)
            if page_url.startswith("https://"):
                page.route(page_url, lambda route: route.fulfill(body=PAGE, content_type="text/html"))
                page.route(
                    f"{page_url}mpegts.js", lambda route: route.fulfill(path=PLAYER, content_type="text/javascript")
                )
            page.goto(page_url)
            page.evaluate("urls => play(urls)", urls)
            all_have_played = "seconds => errors.length || seen().every(([played]) => played >= seconds)"
            try:
                page.wait_for_function(all_have_played, arg=seconds, timeout=20_000)
            except Error:
                pytest.fail(f"after 20 s they have played, in seconds and frames: {page.evaluate('seen()')}")
            errors = page.evaluate("errors")
            assert not errors, errors
            return [frames for _, frames in page.evaluate("seen()")]
        finally:
            browser.close()
