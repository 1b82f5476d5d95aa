"""The dashboard's files: what a browser gets at `/` of the admin side, and under `/-/`.

Pure functions, and no secret: the page is for everyone who may know the door's name, and what it shows comes from the
API, which asks who calls. It speaks English and Chinese, runs under a strict Content-Security-Policy, and plays by the
same mpegts.js as the door's own page, where `make run` has fetched it.
"""

import functools
from collections.abc import Iterable
from importlib.resources import files
from typing import Final

import splice.page

__all__ = ["asset", "content_security_policy"]

_PLAYER: Final = "/-/mpegts.js"

_HTML: Final = "text/html; charset=utf-8"
_SCRIPT: Final = "text/javascript; charset=utf-8"

# Path: file and Content-Type.
_FILES: Final = {
    "/": ("index.html", _HTML),
    "/-/page.js": ("page.js", _SCRIPT),
    "/-/api.js": ("api.js", _SCRIPT),
    "/-/charts.js": ("charts.js", _SCRIPT),
    "/-/log.js": ("log.js", _SCRIPT),
    "/-/players.js": ("players.js", _SCRIPT),
    "/-/rates.js": ("rates.js", _SCRIPT),
    "/-/standing.js": ("standing.js", _SCRIPT),
    "/-/tables.js": ("tables.js", _SCRIPT),
    "/-/words.js": ("words.js", _SCRIPT),
    "/-/page.css": ("page.css", "text/css; charset=utf-8"),
    "/-/icon.svg": ("icon.svg", "image/svg+xml"),
}


def asset(path: str) -> tuple[str, bytes] | None:
    """The dashboard's file at `path`, as Content-Type and content; None where there is none.

    `path` is looked up in a table and never joined to a directory, so nothing but these files can be asked for.
    """
    if path == _PLAYER:
        return splice.page.asset(_PLAYER)
    if path not in _FILES:
        return None
    name, content_type = _FILES[path]
    return content_type, _content(name)


@functools.cache  # of the few names of the table above, never of what a browser asked for
def _content(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()


def content_security_policy(media_ports: Iterable[int]) -> str:
    """The header to send with the page: it loads its own files alone, and talks to us and to the media door.

    Args:
        media_ports: where the door serves streams. Any host is let through with them, because a policy cannot name an
            IPv6 address (CSP Level 3, 2.3.1), and the browser knows the door by a name that is its own.
    """
    media = [f"{scheme}://*:{port}" for port in sorted(set(media_ports)) for scheme in ("http", "ws")]
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "media-src blob:",  # Media Source Extensions: mpegts.js hands the video element an object URL
            " ".join(("connect-src 'self'", *media)),
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
