"""Where streams are sent on to, as an operator writes it: an RTMP URL with fields, and often with somebody's key.

    rtmp://10.0.0.20/backup                    names an app: the stream's own name goes behind it
    rtmps://a.rtmps.youtube.com/live2/KEY      names a stream: exactly that
    rtmp://10.0.0.20/all/{app}-{stream}        the fields are replaced

What stands behind the first name of the path is the stream's, further slashes and the query included, as nginx-rtmp's
push reads it. Nothing here repeats a URL that is wrong, and `keyless` is what is shown of one that is right.
"""

import re
from dataclasses import replace
from typing import Final

from protocol import LocalProtocolError
from protocol.rtmp import RtmpUrl, parse_url, split_query
from splice.config.addresses import require_host
from splice.config.targets import HIDDEN

__all__ = ["check_forward_url", "filled", "keyless", "parse_forward_url"]

_FIELDS_ALONE: Final = re.compile(r"(?:\{app\}|\{stream\}|[._~/@-])+")


def parse_forward_url(text: str) -> RtmpUrl:
    """A URL with its fields in place; its app is the first name of the path, where `parse_url` may take two.

    Raises:
        LocalProtocolError: it is no RTMP URL.
    """
    url = parse_url(text)
    app, query = split_query(url.app)
    first, slash, rest = app.partition("/")
    if not slash or query:
        return url
    return replace(url, app=first, stream=f"{rest}/{url.stream}" if url.stream else rest)


def filled(url: RtmpUrl, app: str, stream: str) -> RtmpUrl:
    """The URL for one stream, whose own name it gets where it has none."""

    def fill(text: str) -> str:
        return text.replace("{app}", app).replace("{stream}", stream)

    return replace(url, app=fill(url.app), stream=fill(url.stream) or stream)


def keyless(url: RtmpUrl) -> RtmpUrl:
    """Without the stream's name in it, unless that is made of fields alone, and without a user who may be a token.

    `str` of it hides the password and the values of a query as well.
    """
    name, _ = split_query(url.stream)
    if name and not _FIELDS_ALONE.fullmatch(name):
        url = replace(url, stream=HIDDEN)
    return replace(url, username=HIDDEN) if url.username and not url.password else url


def check_forward_url(text: str) -> None:
    """Make sure that streams can be sent on to a URL.

    Raises:
        ValueError: no; the message does not repeat it.
    """
    try:
        template = parse_forward_url(text)
        url = filled(template, "app", "stream")
    except LocalProtocolError:
        raise ValueError(
            "a forward goes to rtmp://host[:port]/app or rtmps://host[:port]/app, with or without a stream's name "
            "behind the app"
        ) from None
    if url.username or url.password:
        raise ValueError(
            "a forward's URL takes no user and password, as RTMP has no common way to send them; a key stands in its "
            "path or query"
        )
    if set("{}") & set(url.host):
        raise ValueError("{app} and {stream} stand behind the host alone, which is not for publishers to choose")
    require_host(*((url.host, None) if ":" in url.host else (None, url.host)))
    if not url.app:
        raise ValueError("a forward names an app: rtmp://host[:port]/app")
    if set("{}") & set(url.app + url.stream):
        raise ValueError("the fields of a forward are {app} and {stream}")
