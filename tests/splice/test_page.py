"""The door's own page: what it says, in which language, and that it asks for nothing from elsewhere."""

import re
from html.parser import HTMLParser
from importlib.resources import files
from itertools import chain
from string import Template

import pytest

import splice.page
from splice.page import CONTENT_SECURITY_POLICY, asset, index_page, language_of
from splice.page._text import CHINESE, ENGLISH

BASE = "http://HOST:PORT"


def page(**changes: object) -> str:
    return index_page(**{"live_path": "/live", "demo": False, **changes}).decode()


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text that can be seen."""

    VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden: list[bool] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._hidden.append("hidden" in dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self._hidden.pop()

    def handle_data(self, data: str) -> None:
        if not any(self._hidden):
            self.text += data


def test_the_page_shows_every_form_of_address_that_the_door_serves() -> None:
    text = Elements(page()).text
    assert f"{BASE}/live?src=NAME&port=1935&app=APP&stream=STREAM" in text
    assert f"{BASE}/APP/STREAM.flv" in text
    assert "ws://HOST:PORT/live?" in text


@pytest.mark.parametrize("player", ["ffplay", "vlc", "mpv"])
def test_the_page_has_a_ready_command_for_each_player(player: str) -> None:
    text = Elements(page(demo=True)).text
    assert re.search(rf'{player} [^\n]*"{re.escape(BASE)}/live\?src=demo&app=demo&stream=clock"', text)


def test_only_the_demo_has_the_demos_links() -> None:
    demo_url = "/live?src=demo&app=demo&stream=clock"
    with_demo, without = Elements(page(demo=True)), Elements(page())
    assert ("a", {"href": demo_url}) in with_demo.elements
    assert "demo" not in without.text.lower()


def test_another_live_path_is_shown_everywhere_and_stays_text() -> None:
    html = page(live_path="/watch/<b>", demo=True)
    assert "/live?" not in html
    assert "<b>" not in html
    assert "/watch/<b>?src=demo&app=demo&stream=clock" in Elements(html).text


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("demo", [False, True])
def test_the_page_loads_its_own_files_alone_and_has_no_inline_script_or_style(language: str, demo: bool) -> None:
    elements = Elements(page(language=language, demo=demo)).elements
    for tag, attributes in elements:
        assert tag != "style"
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        loaded = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        if loaded is not None:
            assert loaded.startswith("/-/")
            assert asset(loaded) is not None, f"{loaded} is asked for and not there"
        if tag == "script":
            assert "src" in attributes


def test_the_player_is_asked_for_only_where_it_was_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"/-/mpegts.js": ("text/javascript", b"")}
    monkeypatch.setattr(splice.page._page, "asset", installed.get)
    assert "/-/mpegts.js" in page()
    installed.clear()
    without = page()
    assert "/-/mpegts.js" not in without
    assert "mpegts.js" in Elements(without).text  # one line says what is missing


def test_files_have_their_types_and_nothing_else_can_be_asked_for() -> None:
    types = {path: asset(path) for path in ("/-/page.js", "/-/page.css", "/-/icon.svg")}
    assert {path: found[0].partition(";")[0] for path, found in types.items() if found} == {
        "/-/page.js": "text/javascript",
        "/-/page.css": "text/css",
        "/-/icon.svg": "image/svg+xml",
    }
    for path in ("/", "/-/", "/-/index.html", "/-/../_page.py", "/-/%2e%2e/_page.py", "/page.js", "//-/page.js"):
        assert asset(path) is None


def test_the_policy_allows_no_inline_script_no_eval_and_no_other_host() -> None:
    directives = dict(directive.split(" ", 1) for directive in CONTENT_SECURITY_POLICY.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["media-src"] == "blob:"
    sources = set(chain.from_iterable(sources.split() for sources in directives.values()))
    assert sources == {"'none'", "'self'", "blob:", "ws:", "wss:"}


def test_both_languages_say_the_same_things_and_the_page_uses_them_all() -> None:
    assert ENGLISH.keys() == CHINESE.keys()
    assert all(ENGLISH.values())
    assert all(CHINESE.values())
    template = Template(files("splice.page").joinpath("data", "index.html").read_text("utf-8"))
    only_on_the_demo = {"demo", "demo_text"}
    assert set(ENGLISH) - only_on_the_demo <= set(template.get_identifiers())


def test_the_chinese_page_is_chinese() -> None:
    html = page(language="zh")
    assert '<html lang="zh">' in html
    assert "直播" in html


@pytest.mark.parametrize(
    ("accept_language", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("de-CH, de;q=0.9", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("zh-Hant-TW", "zh"),
        ("en-GB,en;q=0.9,zh-CN;q=0.8", "en"),
        ("en;q=0.5, zh;q=0.7", "zh"),
        ("de, zh;q=0.3, en;q=0.2", "zh"),
        ("zh;q=0, en", "en"),
        ("zh;q=0", "en"),
        ("zh;q=nonsense", "en"),
        ("*", "en"),
        ("," * 5000, "en"),
    ],
)
def test_the_language_follows_the_browser(accept_language: str | None, language: str) -> None:
    assert language_of(accept_language) == language
