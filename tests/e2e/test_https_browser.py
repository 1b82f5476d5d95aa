"""A page that came by https plays in Debian's Chromium: more than six streams by HTTP/2, and WSS beside them.

Browsers take nothing by plain HTTP into such a page, and by HTTP/1.1 no more than six streams of one host.
"""

from pathlib import Path

import pytest

from tests.e2e.browser import PLAYER, played
from tests.e2e.origins import NodeMediaServer, publishing
from tests.e2e.processes import Child, need, need_file
from tests.e2e.test_https import secure_door

PAGE_URL = "https://page.example/"


@pytest.fixture
def chromium() -> str:
    need_file(PLAYER)
    return need("chromium")


async def test_nine_players_of_one_https_page_play_on_both_routes_eight_of_them_by_one_connection(
    tmp_path: Path, chromium: str, origin: NodeMediaServer, encoder: Child
) -> None:
    table = f'[origins.a]\nurl = "{origin.http_url}"\ntarget = "/{{app}}/{{stream}}.flv"'
    async with (
        secure_door(tmp_path, config=table) as secure,
        publishing(secure.door.rtmp_url("myapp/test")),
    ):
        await secure.door.logged("publisher.start")
        descriptors = secure.door.descriptors
        shared, spliced = "/live?app=myapp&stream=test", "/live?src=a&app=myapp&stream=test"
        urls = [f"{secure.https_url}{shared}&number={number}" for number in range(5)]
        urls += [f"{secure.https_url}{spliced}&number={number}" for number in range(3)]
        urls.append(secure.https_url.replace("https", "wss") + shared)
        frames = await played(chromium, PAGE_URL, urls, seconds=2, any_certificate=True)
        assert len(frames) == 9
        assert min(frames) >= 25
        starts = [event for event in secure.door.events if event["event"] == "viewer.start"]
        assert len(starts) == 9
        assert len({start["peer"] for start in starts}) == 2
        ends = await secure.door.logged_times("viewer.end", 9)
        assert {end["reason"] for end in ends} == {"viewer_left"}
        await secure.door.has_descriptors(descriptors)
