"""What an origin is asked for: a request-target of constants and fields, such as `/{app}/{stream}.flv`.

It may hold a camera's password in its query, so nothing here repeats a target that is wrong, and `masked` is what is
shown of one that is right. An rtmp:// target names the app and the stream, as a whole RTMP URL does.
"""

import re
from dataclasses import replace
from typing import Final

from protocol.rtmp import RtmpUrl, parse_url

__all__ = ["HIDDEN", "check_rtmp_target", "check_target", "filled", "is_one_stream", "masked", "rtmp_url"]


HIDDEN: Final = "***"

_FIELDS: Final = ("app", "stream", "port")
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_KNOWN_FIELD: Final = re.compile(rf"\{{(?:{'|'.join(_FIELDS)})\}}")
_NOT_IN_A_TARGET: Final = re.compile(r"[\x00-\x20\x7f{}#]")
_USERINFO: Final = re.compile(r"(?<=://)([^:@/?#]*)(:?)[^/?#]*@")  # RFC 3986, 3.2.1
_QUERY_VALUE: Final = re.compile(r"([^=&#]*=)?([^&#]*)")


def check_target(target: str) -> None:
    """Make sure that an origin can be asked for a target.

    Raises:
        ValueError: no; the message does not repeat it.
    """
    if any(name not in _FIELDS for name in _FIELD.findall(target)):
        raise ValueError(
            "the fields of a target are {app}, {stream} and {port}; write a brace that is none as %7B, %7D"
        )
    plain = _KNOWN_FIELD.sub("x", target)
    if not plain.startswith("/") or not plain.isascii() or _NOT_IN_A_TARGET.search(plain):
        raise ValueError(
            "it is not a target such as /{app}/{stream}.flv, which begins with / and holds plain ASCII without spaces, "
            "single braces and #"
        )


def check_rtmp_target(target: str) -> None:
    """The same of an RTMP server, which is asked for a stream of an app.

    Raises:
        ValueError: no; the message does not repeat it.
    """
    check_target(target)
    url = rtmp_url("rtmp", "x", filled(target, app="app", stream="stream", port=""), "stream")
    if not url.app.partition("?")[0]:
        raise ValueError("an rtmp target is /app/stream, as in /{app}/{stream}?key=..., or /app alone")


def filled(target: str, *, app: str, stream: str, port: str) -> str:
    """The target with its fields filled in."""
    return target.format(app=app, stream=stream, port=port)


def rtmp_url(scheme: str, authority: str, target: str, stream: str) -> RtmpUrl:
    """Where an RTMP server has what a filled target says; it is read as ffmpeg reads URLs.

    Of /a/b the app is a, of /a/b/c it is a/b; what is behind is the stream, with the query. A single segment is an app,
    with its query, and `stream` the name in it, as with nginx-rtmp's pull.
    """
    url = parse_url(f"{scheme}://{authority}{target}")
    return url if url.stream else replace(url, stream=stream)


def is_one_stream(target: str, *, by_rtmp: bool) -> bool:
    """Whether a target means the same stream whatever app and stream are asked for, as a camera's URL does."""
    if not target or "{app}" in target or "{stream}" in target:
        return False
    return not by_rtmp or bool(rtmp_url("rtmp", "x", filled(target, app="", stream="", port=""), "").stream)


def masked(text: str) -> str:
    """A URL, or what stands behind its port, with its password and the values of its query as ***.

    Fields stay, since nobody's secret is `{app}`; a user without a password may be a token, and goes.
    """
    before, mark, query = text.partition("?")
    before = _USERINFO.sub(lambda match: f"{match[1]}:{HIDDEN}@" if match[2] else f"{HIDDEN}@", before)
    return before + mark + _QUERY_VALUE.sub(_masked_value, query)


def _masked_value(match: re.Match[str]) -> str:
    name, value = match[1] or "", match[2]
    return match[0] if not value or _KNOWN_FIELD.fullmatch(value) else name + HIDDEN
