"""The dashboard in Debian's Chromium: a real door's streams seen, played, ended; and what only a made-up API shows."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from playwright.sync_api import Locator, Page, Route, expect, sync_playwright
from pydantic import BaseModel

from splice.admin.models import ForwardItem, StreamItem, Video, ViewerItem
from splice.page import asset
from tests.e2e.door import Door, running_door
from tests.e2e.origins import publishing
from tests.e2e.processes import free_port, need, need_file
from tests.e2e.viewers import ffmpeg_watching

TOKEN = "a-token-of-some-length"
ELSEWHERE = "splice.example.org"
PLAYER = Path(__file__).parent / "peers" / "node_modules" / "mpegts.js" / "dist" / "mpegts.js"
SOON_MS = 15_000


@pytest.fixture
def chromium() -> str:
    need_file(PLAYER)
    return need("chromium")


@contextmanager
def page_of(chromium: str, door: Door, *, host: str = "127.0.0.1", locale: str = "en-GB") -> Iterator[Page]:
    """The dashboard, not yet loaded; nothing may break its policy, and none of its scripts may fail."""
    port = door.ready["admin"][0].rpartition(":")[2]
    arguments = [
        *("--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"),
        f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            page = browser.new_page(base_url=f"http://{host}:{port}", locale=locale)
            page.set_default_timeout(SOON_MS)
            expect.set_options(timeout=SOON_MS)
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda said: faults.append(said.text) if "Security Policy" in said.text else None)
            if asset("/-/mpegts.js") is None:  # only `make run` puts it into the package
                page.route("**/-/mpegts.js", lambda route: route.fulfill(path=PLAYER, content_type="text/javascript"))
            yield page
            assert faults == []
        finally:
            browser.close()


async def browsed(look: Callable[[], None]) -> None:
    """Run what a test does in the browser: in a thread, since playwright's face for tasks wants asyncio."""
    await trio.to_thread.run_sync(look)


def row(page: Page, table: str, text: str) -> Locator:
    return page.locator(f"#{table} tbody tr").filter(has_text=text)


def example_of(model: type[BaseModel]) -> dict[str, Any]:
    (example,) = model.model_json_schema()["examples"]
    return example


def wait_played(page: Page, videos: int) -> None:
    playing = (
        "count => [...document.querySelectorAll('video')].filter(video => video.currentTime > 0.5).length >= count"
    )
    page.wait_for_function(playing, arg=videos)


async def test_streams_are_seen_played_and_their_viewers_kicked_by_the_keyboard(tmp_path: Path, chromium: str) -> None:
    def look() -> None:
        with page_of(chromium, door) as page:
            page.goto("/")
            stream = row(page, "streams", "myapp/test")
            expect(stream).to_contain_text("320×180")
            expect(stream).to_contain_text(re.compile(r"avc1\.\w+ · mp4a\.40\.2"))
            expect(stream).to_contain_text(re.compile(r"\d+ kbit/s"))
            demo = row(page, "streams", "demo/clock")
            expect(demo).to_contain_text("splice")
            expect(demo).to_contain_text(re.compile(r"avc1\.\w+ · mp4a\.40\.2"))
            expect(demo).to_contain_text("640×360")
            expect(row(page, "origins", "demo")).to_contain_text("up")

            stream.get_by_text("Play", exact=True).click()
            wait_played(page, 1)
            expect(page.locator("#player-delay")).to_contain_text(re.compile(r"\d\.\d s behind live · 320×180"))
            page.locator("#transport").select_option("http")
            expect(row(page, "viewers", "http-flv")).to_have_count(3)
            page.locator("#wall-all").click()
            wait_played(page, 3)
            expect(row(page, "viewers", "ws-flv")).to_have_count(2)
            page.locator("#wall-close").click()
            page.locator("#player-stop").click()
            expect(page.locator("#viewers tbody tr")).to_have_count(2)

            button = row(page, "viewers", "myapp/test").get_by_text("End", exact=True)
            button.focus()
            page.keyboard.press("Enter")
            expect(page.locator("#question")).to_contain_text("myapp/test?")
            page.keyboard.press("Escape")
            expect(button).to_be_focused()
            page.keyboard.press("Enter")
            expect(page.locator("#question")).to_be_visible()
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            expect(page.locator("#viewers tbody tr")).to_have_count(1)
            expect(page.locator("#log")).to_contain_text("reason=kicked")
            expect(page.locator("#state")).to_have_text("Live")

    async with (
        running_door(tmp_path, "--demo", "--admin", "0", "--rtmp", "127.0.0.1:0") as door,
        publishing(door.rtmp_url("myapp/test")),
        ffmpeg_watching(f"{door.http_url}/live?src=demo&app=demo&stream=clock"),
        ffmpeg_watching(f"{door.http_url}/myapp/test.flv") as kicked,
    ):
        await browsed(look)
        await kicked.ended()
        await door.logged("viewer.end", stream="test", reason="kicked")


async def test_forwards_and_kept_pulls_are_seen_and_only_the_operators_own_can_be_ended_here(
    tmp_path: Path, chromium: str
) -> None:
    def look() -> None:
        with page_of(chromium, door) as page:
            page.goto("/")
            lost = row(page, "forwards", "/live2/***")
            expect(lost).to_contain_text(re.compile(r"myapp/test.*(trying again|connecting)"))
            expect(lost).to_contain_text("refuses connections")
            expect(lost.get_by_role("button")).to_have_count(0)
            added = row(page, "forwards", "/backup/test")
            expect(added).to_contain_text(re.compile(r"running\d\d:\d\d\d+ kbit/s"))
            expect(row(page, "forwards", "other/*")).to_contain_text("no stream")
            expect(page.locator("#forwards-count")).to_have_text("2")
            expect(page.locator("#forwards tbody tr").first).to_contain_text("/live2/***")  # what is in trouble
            expect(row(page, "pulls", "cams/front")).to_contain_text("trying again")
            expect(row(page, "pulls", "cams/front")).to_contain_text("refuses connections")
            assert "geheim" not in page.content()

            added.get_by_role("button", name="End: myapp/* → rtmp://127.0.0.1:").click()
            expect(page.locator("#question")).to_contain_text("End the forward myapp/* → rtmp://127.0.0.1:")
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            expect(added).to_have_count(0)
            expect(page.locator("#forwards tbody tr")).to_have_count(2)
            row(page, "pulls", "cams/back").get_by_role("button").click()
            expect(page.locator("#question")).to_contain_text("b · cams/back")
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            expect(page.locator("#pulls tbody tr")).to_have_count(1)
            expect(page.locator("#state")).to_have_text("Live")

    down = free_port()
    config = "\n".join(
        (
            "[[forward]]",
            'streams = "myapp/*"',
            f'to = "rtmp://127.0.0.1:{down}/live2/geheim"',
            "[[forward]]",
            'streams = "other/*"',
            f'to = "rtmp://127.0.0.1:{down}/later"',
            "[origins.b]",
            f'url = "rtmp://127.0.0.1:{down}"',
            'keep = ["cams/front"]',
        )
    )
    for name in ("door", "target"):
        (tmp_path / name).mkdir()
    async with (
        running_door(tmp_path / "target", "--rtmp", "127.0.0.1:0") as target,
        running_door(tmp_path / "door", "--admin", "0", "--rtmp", "127.0.0.1:0", config=config) as door,
        publishing(door.rtmp_url("myapp/test")),
        httpx.AsyncClient(base_url=f"http://{door.ready['admin'][0]}") as api,
    ):
        added = {"streams": "myapp/*", "to": target.rtmp_url("backup")}
        assert (await api.post("/api/v1/forwards", json=added)).status_code == 201
        kept = {"origin": "b", "app": "cams", "stream": "back"}
        assert (await api.post("/api/v1/pulls", json=kept)).status_code == 201
        await browsed(look)


async def test_many_forwards_are_pages_and_the_focus_follows_one_that_recovers(tmp_path: Path, chromium: str) -> None:
    forward = example_of(ForwardItem)
    (running,) = forward["sending"]
    lost = {**running, "stream": "myapp/lost", "state": "waiting", "last_error": "<b>gone</b>"}
    healthy = [{**running, "stream": f"myapp/s{number}"} for number in range(120)]

    def look() -> None:
        with page_of(chromium, door) as page:
            answer = {**forward, "sending": [*healthy, lost]}
            page.route("**/api/v1/forwards", lambda route: route.fulfill(json={"forwards": [answer], "total": 1}))
            page.goto("/")
            rows = page.locator("#forwards tbody tr")
            expect(rows).to_have_count(100)
            expect(rows.first).to_contain_text("<b>gone</b>")
            expect(page.locator("#forwards-card .pager")).to_contain_text("1 to 100 of 121")
            button = rows.first.get_by_role("button")
            button.focus()
            answer["sending"] = [*healthy[:50], {**lost, "state": "running"}]
            expect(rows).to_have_count(51)
            expect(rows.last).to_contain_text("myapp/lost")
            expect(rows.last.get_by_role("button")).to_be_focused()
            answer["sending"] = []
            answer["state"] = "idle"
            expect(rows).to_have_text([re.compile(r"^myapp/\*.*no stream")])
            page.unroute("**/api/v1/forwards")
            expect(page.locator("#forwards-card")).to_be_hidden()
            expect(page.locator("#pulls-card")).to_be_hidden()

    async with running_door(tmp_path, "--demo", "--admin", "0") as door:
        await browsed(look)


async def test_a_name_with_markup_in_it_is_text_and_a_thousand_viewers_are_pages(tmp_path: Path, chromium: str) -> None:
    name = "<img src=x onerror=document.title='owned'>/<b>bold</b>"
    viewer = example_of(ViewerItem)

    def answer(items: str, found: list[dict[str, Any]], total: int) -> Callable[[Route], None]:
        return lambda route: route.fulfill(json={items: found, "total": total})

    def page_of_viewers(route: Route) -> None:
        first = int(route.request.url.partition("&offset=")[2].partition("&")[0])
        found = [{**viewer, "id": f"v{at}", "peer": f"p{at}:1", "stream": name} for at in range(first, first + 100)]
        route.fulfill(json={"viewers": found, "total": 1000})

    stream = {**example_of(StreamItem), "name": name, "origin": name, "video": {**example_of(Video), "codec": name}}
    stream["publisher"] = {**stream["publisher"], "protocol": name}
    event = {"event": name, "level": "info", "timestamp": "2026-11-23T22:00:00Z", "path": name}

    def look() -> None:
        with page_of(chromium, door) as page:
            page.route("**/api/v1/streams", answer("streams", [stream], 1))
            page.route("**/api/v1/origins", answer("origins", [], 0))
            page.route("**/api/v1/viewers?*", page_of_viewers)
            page.route("**/api/v1/events", lambda route: route.fulfill(body=f"data: {json.dumps(event)}\n\n"))
            page.goto("/")
            expect(page.locator("#streams tbody td").first).to_have_text(name)
            expect(page.locator("#log b").first).to_have_text(name)
            expect(page.locator("#viewers tbody tr")).to_have_count(100)
            expect(page.locator("#viewers tbody td").nth(3)).to_have_text(name)
            row(page, "streams", "bold").get_by_text("End", exact=True).click()
            expect(page.locator("#question")).to_contain_text(name)
            page.keyboard.press("Escape")
            assert page.locator("main img, main b >> text=/^bold$/").count() == 0
            assert page.title() == "splice"

            page.locator("#viewers-title").locator("xpath=../..").get_by_text("Next").click()
            expect(page.locator("#viewers tbody td").first).to_have_text("192.0.2.7 (p100:1)")
            expect(page.locator("#viewers tbody tr")).to_have_count(100)
            expect(page.locator("#viewers ~ .pager")).to_contain_text("101 to 200 of 1,000")
            with page.expect_request(re.compile(r"\?limit=100&offset=0&text=a%20b%26c$")):
                page.locator("#viewers-filter").fill("a b&c")

    async with running_door(tmp_path, "--demo", "--admin", "0") as door:
        await browsed(look)


async def test_from_elsewhere_the_page_asks_for_the_token_once(tmp_path: Path, chromium: str) -> None:
    def look() -> None:
        with page_of(chromium, door, host=ELSEWHERE) as page:
            page.goto("/")
            dialog = page.locator("#sign-in")
            expect(dialog).to_be_visible()
            page.keyboard.press("Escape")
            expect(dialog).to_be_visible()
            page.locator("#sign-in input").fill("a wrong one")
            page.keyboard.press("Enter")
            expect(dialog.get_by_role("alert")).to_have_text("This is not the token.")
            page.locator("#sign-in input").fill(TOKEN)
            page.keyboard.press("Enter")
            expect(dialog).to_be_hidden()
            expect(page.locator("#state")).to_have_text("Live")
            assert TOKEN not in page.url
            page.reload()
            expect(page.locator("#state")).to_have_text("Live")
            expect(dialog).to_be_hidden()

    config = f'[admin]\ntoken = "{TOKEN}"\nallowed_hosts = ["{ELSEWHERE}"]\n'
    async with running_door(tmp_path, "--demo", "--admin", "0", config=config) as door:
        await browsed(look)


async def test_without_its_player_the_page_says_so_in_one_line_and_all_else_works_also_in_chinese(
    tmp_path: Path, chromium: str
) -> None:
    def look() -> None:
        with page_of(chromium, door, locale="zh-CN") as page:
            page.route("**/-/mpegts.js", lambda route: route.fulfill(status=404))
            page.goto("/")
            expect(page.locator("#no-player")).to_contain_text("mpegts.js")
            expect(page.locator("#state")).to_have_text("实时")
            assert page.locator("html").get_attribute("lang") == "zh"
            buttons = row(page, "streams", "demo/clock").get_by_role("button")
            expect(buttons).to_have_text(["断开"])
            expect(page.locator("#wall-all")).to_be_hidden()

    async with (
        running_door(tmp_path, "--demo", "--admin", "0") as door,
        ffmpeg_watching(f"{door.http_url}/live?src=demo&app=demo&stream=clock"),
    ):
        await browsed(look)


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
async def test_both_pages_fit_a_narrow_screen_and_break_no_address_that_is_copied(
    locale: str, tmp_path: Path, chromium: str
) -> None:
    forward = example_of(ForwardItem)
    (running,) = forward["sending"]
    far = {**running, "to": f"rtmps://{'ingest.' * 9}example.org/live2/***", "last_error": "refused: " + "x" * 90}
    found = {"forwards": [{**forward, "sending": [far]}], "total": 1}

    def look() -> None:
        with page_of(chromium, door, locale=locale) as page:
            page.set_viewport_size({"width": 320, "height": 640})
            page.route("**/api/v1/forwards", lambda route: route.fulfill(json=found))
            page.goto("/")
            expect(row(page, "forwards", "example.org")).to_be_visible()
            wide = "() => [document.documentElement, ...document.querySelectorAll('section')].map(e => e.scrollWidth)"
            assert max(page.evaluate(wide)) <= 320
            caption = page.locator(".charts figcaption").last
            busy = """caption => {
                caption.querySelector("strong").textContent = "888.8 Mbit/s";
                caption.querySelector(".peak").textContent = "5 min peak 888.8 Mbit/s";
                return caption.firstElementChild.offsetHeight;
            }"""
            assert caption.evaluate(busy) < 30  # px: one line

            page.goto(door.http_url)
            address = f"{door.http_url}/live?src=demo&app=demo&stream=clock"
            assert page.locator("#address").inner_text() == address
            assert page.locator(".commands code").first.inner_text() == f'ffplay -fflags nobuffer "{address}"'
            assert max(page.evaluate(wide)) <= 320

    async with running_door(tmp_path, "--demo", "--admin", "0") as door:
        await browsed(look)
