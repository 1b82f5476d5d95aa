"""The page at `/` as HTML, the files under `/-/`, and the policy that both are sent with."""

import functools
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Final, Literal, TypeAlias

from splice.page._text import CHINESE, ENGLISH

__all__ = ["CONTENT_SECURITY_POLICY", "PageLanguage", "asset", "index_page", "language_of"]

PageLanguage: TypeAlias = Literal["en", "zh"]

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src blob:",  # Media Source Extensions: mpegts.js hands the video element an object URL
        "connect-src 'self' ws: wss:",  # 'self' leaves WebSocket out in Safari before 15.4
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The header to send with the page. mpegts.js runs without its worker, so that no worker and no eval is allowed."""

_TEXTS: Final[Mapping[PageLanguage, Mapping[str, str]]] = {"en": ENGLISH, "zh": CHINESE}

# Until the script has put location.origin in its place, and for good where no script runs.
_BASE: Final = '<span class="base">http://HOST:PORT</span>'

_PLAYER: Final = "/-/mpegts.js"

_CONTENT_TYPES: Final = {
    "/-/page.js": "text/javascript; charset=utf-8",
    "/-/page.css": "text/css; charset=utf-8",
    "/-/icon.svg": "image/svg+xml",
    _PLAYER: "text/javascript; charset=utf-8",
}


def asset(path: str) -> tuple[str, bytes] | None:
    """The door's own file at `path`, as Content-Type and content; None where there is none.

    `path` is looked up in a table and never joined to a directory, so nothing but these files can be asked for.
    `/-/mpegts.js` is there once `make run`, or `make player`, has fetched it.
    """
    content_type = _CONTENT_TYPES.get(path)
    if content_type is None:
        return None
    content = _data(path.removeprefix("/-/"))
    return None if content is None else (content_type, content)


@functools.cache  # of the few names of the table above, never of what a browser asked for
def _data(name: str) -> bytes | None:
    file = files(__package__).joinpath("data", name)
    return file.read_bytes() if file.is_file() else None


@functools.cache
def _template() -> Template:
    return Template((_data("index.html") or b"").decode())


def index_page(*, live_path: str, demo: bool, language: PageLanguage = "en") -> bytes:
    """The page at `/`: how to watch, a field to try a stream, and the demo's links where the demo runs.

    Args:
        live_path: the path of the splice route; the first where there are several.
        demo: whether the built-in origin runs.
        language: see `language_of`.

    Returns: HTML in UTF-8, to be sent with `CONTENT_SECURITY_POLICY` and ``Vary: Accept-Language``. How the browser
    reached the door stands nowhere in it, because only the browser knows: the page's script fills that in.
    """
    text = _TEXTS[language]
    words = {name: escape(word) for name, word in text.items()}
    query = "src=demo&app=demo&stream=clock" if demo else "src=NAME&app=APP&stream=STREAM"
    example = escape(f"{live_path}?{query}")
    has_player = asset(_PLAYER) is not None
    return (
        _template()
        .substitute(
            words,
            base=_BASE,
            live_path=escape(live_path),
            example=example,
            demo_section=_demo_section(words, example) if demo else "",
            demo_name="demo" if demo else "",
            demo_stream="clock" if demo else "",
            player_hidden=_hidden_unless(has_player),
            no_player_hidden=_hidden_unless(not has_player),
            player_script=f'<script src="{_PLAYER}" defer></script>' if has_player else "",
        )
        .encode()
    )


def _hidden_unless(shown: bool) -> str:
    return "" if shown else "hidden"


def _demo_section(words: Mapping[str, str], url: str) -> str:
    return (
        f'<section class="card" aria-labelledby="demo"><h2 id="demo">{words["demo"]}</h2>'
        f'<p>{words["demo_text"]}</p><p><a href="{url}"><code>{_BASE}{url}</code></a></p></section>'
    )


def language_of(accept_language: str | None) -> PageLanguage:
    """The page's language for an Accept-Language field value (RFC 9110, 12.5.4): Chinese where it comes first.

    What cannot be read counts as not said; the page is English then.
    """
    best: tuple[float, PageLanguage] = (0.0, "en")
    for item in (accept_language or "").split(","):
        tag, _, weight = item.strip().lower().partition(";")
        quality = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", weight) if weight else None
        q = 1.0 if not weight else float(quality[1]) if quality else 0.0
        primary = tag.strip().partition("-")[0]
        if primary == "en" and q > best[0]:
            best = (q, "en")
        elif primary == "zh" and q > best[0]:
            best = (q, "zh")
    return best[1]
