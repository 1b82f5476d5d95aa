"""Signed URLs in use: made by `splice sign` from the door's own file, played by ffprobe and in Debian's Chromium."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from splice.access import SignKey
from splice.tools.sign import sign
from tests.e2e.browser import PLAYER, played
from tests.e2e.door import Door, running_door
from tests.e2e.origins import publishing
from tests.e2e.processes import need, need_file, running
from tests.e2e.viewers import watch

NEW_SECRET = "another-secret-of-some-length"
NEW_KEY = SignKey(NEW_SECRET.encode(), address=False)
KEYS = f"""
[play]
sign_keys = {{old = "a-secret-of-some-length", new = "{NEW_SECRET}"}}
"""
PAGE_URL = "https://page.example/"  # from which a browser reaches loopback without TLS, and nothing else


@pytest.fixture
def chromium() -> str:
    need_file(PLAYER)
    return need("chromium")


async def signed(directory: Path, url: str, *flags: str) -> str:
    """What `splice sign` prints for the door of this directory."""
    command = (sys.executable, "-m", "splice", "sign", url, "--config", directory / "splice.toml", *flags)
    async with running(*command, name="sign") as child:
        assert await child.ended() == 0, child.output
        return child.output.strip()


async def status_of(url: str) -> int:
    async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
        return answer.status_code


async def test_what_is_signed_plays_in_every_way_and_nothing_else_does(tmp_path: Path, chromium: str) -> None:
    async with (
        running_door(tmp_path, "--rtmp", "127.0.0.1:0", config=KEYS) as door,
        publishing(door.rtmp_url("myapp/test")),
    ):
        await door.logged("publisher.start")
        ways: list[Callable[[Door], str]] = [
            lambda door: f"{door.http_url}/live?app=myapp&stream=test",
            lambda door: f"{door.http_url}/myapp/test.flv",
            lambda door: door.rtmp_url("myapp/test"),
        ]
        for way, kid in zip(ways, ("old", "new", "old"), strict=True):
            (await watch(await signed(tmp_path, way(door), "--kid", kid), 2)).shows(2)

        query, path = ways[0](door), ways[1](door)
        good = await signed(tmp_path, query, "--kid", "new")
        assert await status_of(query) == 401
        assert await status_of(good.replace("stream=test", "stream=other")) == 401
        assert await status_of(path + "?" + good.partition("test&")[2]) == 401
        assert await status_of(sign(query, NEW_KEY, "new", exp=int(time.time()) - 1)) == 401
        assert await status_of(sign(query, NEW_KEY, "new", exp=int(time.time()) + 60)) == 200

        socket = (await signed(tmp_path, path, "--kid", "old")).replace("http://", "ws://")
        frames = await played(chromium, PAGE_URL, [good, socket], seconds=1)
        assert min(frames) >= 10
