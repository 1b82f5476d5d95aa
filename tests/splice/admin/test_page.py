"""The dashboard's files: who gets them, under which policy, and that nothing of a stream's ever becomes markup."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

import splice.admin.page
import splice.page
from splice.admin.page import asset, content_security_policy
from tests.splice.admin.admin_house import AdminHouse

STRANGER = "192.0.2.7"
SCRIPTS = ("page", "api", "charts", "log", "players", "rates", "standing", "tables", "words")
PATHS = ("/", *(f"/-/{name}.js" for name in SCRIPTS), "/-/page.css", "/-/icon.svg")


def text_of(path: str) -> str:
    found = asset(path)
    assert found is not None, f"{path} is not there"
    return found[1].decode()


class Elements(HTMLParser):
    """Every element of the page with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text_of("/"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


# --- the files ---


def test_files_have_their_types_and_nothing_else_can_be_asked_for() -> None:
    types = {path: asset(path) for path in PATHS}
    assert {path: found[0].partition(";")[0] for path, found in types.items() if found} == {
        "/": "text/html",
        **{f"/-/{name}.js": "text/javascript" for name in SCRIPTS},
        "/-/page.css": "text/css",
        "/-/icon.svg": "image/svg+xml",
    }
    for path in ("", "/-/", "/index.html", "/-/index.html", "/-/__init__.py", "/-/../app.py", "//-/page.js"):
        assert asset(path) is None


def test_every_file_of_the_directory_is_served() -> None:
    served = {path.rpartition("/")[2] or "index.html" for path in PATHS}
    assert {file.name for file in files(splice.admin.page).iterdir() if file.is_file()} - served == {"__init__.py"}


def test_the_player_is_the_one_of_the_doors_own_page(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"/-/mpegts.js": ("text/javascript", b"// the player")}
    monkeypatch.setattr(splice.page, "asset", installed.get)
    assert asset("/-/mpegts.js") == ("text/javascript", b"// the player")
    installed.clear()
    assert asset("/-/mpegts.js") is None


def test_the_page_loads_its_own_files_alone_and_has_no_inline_script_or_style() -> None:
    for tag, attributes in Elements().elements:
        assert tag != "style"
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        loaded = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        if tag == "script" or loaded is not None:
            assert loaded is not None
            assert asset(loaded) is not None, f"{loaded} is asked for and not there"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_imports_what_is_there_and_makes_no_markup_of_text(name: str) -> None:
    script = text_of(f"/-/{name}.js")
    for imported in re.findall(r'from "(.*?)"', script):
        assert asset("/-/" + imported.removeprefix("./")) is not None
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", script)
    assert set(re.findall(r'"\w+://[^"]*"', script)) <= {'"http://www.w3.org/2000/svg"'}  # a name, never asked for


# --- the words ---


def words_of(table: str) -> dict[str, str]:
    found = re.search(rf"const {table} = {{\n(.*?)\n}};", text_of("/-/words.js"), re.DOTALL)
    assert found
    return dict(re.findall(r'^  (\w+): "(.*)",$', found[1], re.MULTILINE))


def test_both_languages_say_the_same_things_with_the_same_values() -> None:
    english, chinese = words_of("ENGLISH"), words_of("CHINESE")
    assert len(english) > 50
    assert english.keys() == chinese.keys()
    for key, words in english.items():
        assert set(re.findall(r"{\w+}", words)) == set(re.findall(r"{\w+}", chinese[key])), key


def test_every_word_that_is_asked_for_is_there() -> None:
    english = words_of("ENGLISH")
    asked = {key for script in SCRIPTS for key in re.findall(r'\bsay\("(\w+)"', text_of(f"/-/{script}.js"))}
    for _, attributes in Elements().elements:
        names = ("data-text", "data-placeholder", "data-label")
        asked |= {str(attributes[name]) for name in names if attributes.get(name)}
    assert asked <= english.keys()


# --- who gets them ---


def test_the_policy_lets_the_page_talk_to_us_and_to_the_media_doors_ports_alone() -> None:
    directives = dict(directive.split(" ", 1) for directive in content_security_policy([18090, 443, 18090]).split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["connect-src"] == "'self' http://*:443 ws://*:443 http://*:18090 ws://*:18090"
    assert directives["frame-ancestors"] == directives["base-uri"] == directives["form-action"] == "'none'"
    assert "unsafe" not in content_security_policy([1])


@pytest.mark.parametrize("path", PATHS)
async def test_the_page_is_for_everyone_since_it_asks_for_the_token_itself(path: str, house: AdminHouse) -> None:
    house.allow()
    async with house.client(peer=STRANGER) as client:
        answer = await client.get(path)
        assert answer.status_code == 200
        assert (answer.headers["content-type"], answer.content) == asset(path)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert (await client.head(path)).status_code == 200
        assert (await client.get("/api/v1/door")).status_code == 401
        assert (await client.get("/api/v1/streams")).status_code == 401


async def test_the_page_is_not_shown_under_a_foreign_name_and_takes_no_other_method(house: AdminHouse) -> None:
    async with house.client(host="evil.example") as client:
        assert (await client.get("/")).status_code == 421
    async with house.client() as client:
        assert (await client.get("/-/nothing.js")).status_code == 404
        assert (await client.post("/")).status_code == 405


async def test_the_page_is_told_where_viewers_come(house: AdminHouse) -> None:
    async with house.client() as client:
        answer = await client.get("/api/v1/door")
        assert answer.json() == {"version": "1.2.3", "http": [], "https": [], "live_path": "/live"}


async def test_viewers_are_found_by_any_of_their_words(house: AdminHouse) -> None:
    house.watch(stream="test")
    other = house.watch("hub", None, stream="Other")
    async with house.client() as client:
        for text in ("other", "HUB", "myapp/other"):
            found = (await client.get("/api/v1/viewers", params={"text": text})).json()
            assert [viewer["id"] for viewer in found["viewers"]] == [other.id]
            assert found["total"] == 1
        for text, total in (("192.0.2.7:5000", 2), ("http-flv", 2), ("nobody", 0), ("", 2)):
            assert (await client.get("/api/v1/viewers", params={"text": text})).json()["total"] == total
        assert (await client.get("/api/v1/viewers", params={"text": "x" * 129})).status_code == 422
