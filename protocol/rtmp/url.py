"""RTMP URLs: rtmp://host/app/stream taken apart, put together, and shown without their secrets.

RTMP 1.0, section 7.2.1.1 gives the form of a tcUrl only, protocol://servername:port/appName/appInstance; where the
application ends and the stream begins in a whole URL is custom. The custom here is ffmpeg's, and OBS's where the
stream is given apart. Nothing is percent-decoded but user and password: names travel over RTMP as they are written.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from protocol._base import LocalProtocolError

__all__ = ["DEFAULT_PORTS", "RtmpUrl", "parse_url", "redact", "resolve_tc_url", "split_query"]

DEFAULT_PORTS: Final = {"rtmp": 1935, "rtmps": 443}
"""The port of each scheme where a URL names none."""

_SPEC: Final = "RTMP 1.0, 7.2.1.1"
_HIDDEN: Final = "***"
_NO_URL: Final = "not a URL of the form rtmp://host/app/stream"
_URL: Final = re.compile(
    r"""(?P<scheme> [A-Za-z][A-Za-z0-9+.-]* ) ://
        (?: (?P<user> [^/?#@:]* ) (?: : (?P<password> [^/?#@]* ) )? @ )?
        (?: \[ (?P<ipv6> [0-9A-Fa-f:.]+ (?: %[^\]/]+ )? ) \] | (?P<name> [^/?#@:\[\]]+ ) )
        (?: : (?P<port> [0-9]{1,5} )? )?
        (?: / (?P<rest> .* ) )?""",
    re.VERBOSE,
)
_NOT_IN_A_URL: Final = re.compile(r"[\x00-\x20\x7f]")
_BEHIND_USER: Final = re.compile(
    r"""(?<= :// ) (?! \[ [^\]/@]* \] ) (?P<user> [^/?#@:\s]* ) :
        (?! [0-9]{1,5} (?: [/?#\s] | $ ) )  # a port
        (?P<rest> \S+ )""",
    re.VERBOSE,
)
_QUERY_VALUE: Final = re.compile(r"([?&](?:[^=&?\s]*=)?)[^&\s]+")
_REFERENCE_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, repr=False)
class RtmpUrl:
    """Where a stream is. `str()` and `repr()` hide the password and all query values; `text` does not.

    Attributes:
        scheme: "rtmp" or "rtmps".
        host: a name or an address, IPv6 without its brackets.
        port: 1 to 65535; the scheme's own where the URL names none.
        app: the application as it goes into connect, with its instance and its query: "live/one", "myapp?key=x".
        stream: the stream's name as it goes into publish or play, with its query; empty where the URL ends at the app.
        username: percent-decoded; empty where there is none.
        password: percent-decoded; empty where there is none.
    """

    scheme: str
    host: str
    port: int
    app: str
    stream: str = ""
    username: str = ""
    password: str = ""

    @property
    def tc_url(self) -> str:
        """The tcUrl of connect: without user, password, stream and the scheme's own port; with the app's query."""
        return f"{self.scheme}://{self._authority}/{self.app}"

    @property
    def text(self) -> str:
        """The whole URL with the stream and its query, without user and password: for the wire, not for a log."""
        return f"{self.tc_url}/{self.stream}" if self.stream else self.tc_url

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        userinfo = self.username + (f":{_HIDDEN}" if self.password else "")
        authority = f"{userinfo}@{self._authority}" if userinfo else self._authority
        path = "/".join(redact(part) for part in (self.app, self.stream) if part)
        return f"{self.scheme}://{authority}/{path}"

    def __repr__(self) -> str:
        return f"<RtmpUrl {self}>"


def parse_url(text: str, *, stream: str | None = None) -> RtmpUrl:
    """Take a URL apart.

    Without `stream`, as ffmpeg does: of rtmp://host/a/b the app is "a", of rtmp://host/a/b/c it is "a/b", of a longer
    path still "a/b", and the rest is the stream's name, query included. A query before the last slash belongs to the
    app (rtmp://host/a?vhost=x/b), and a single name is an app without a stream (nginx's push).

    Args:
        text: the URL; OBS calls it the server where the stream is given apart.
        stream: the stream's name with its query, OBS's stream key; the URL's whole path is the app then.

    Raises:
        LocalProtocolError: it is no RTMP URL; the message says why, and shows no password.
    """
    match = _URL.fullmatch(text)
    if _NOT_IN_A_URL.search(text):
        raise LocalProtocolError(f"{_NO_URL}: it holds a space or a control character", spec=_SPEC)
    if match is None:
        # Without "://" nobody can say where a password begins.
        shown = redact(text) if "://" in text or "@" not in text else f"{_HIDDEN}@{text.rpartition('@')[2]}"
        raise LocalProtocolError(f"{_NO_URL}: {shown!r}", spec=_SPEC)
    scheme = match["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise LocalProtocolError(f"{scheme}:// is not spoken here, only rtmp:// and rtmps://", spec=_SPEC)
    port = int(match["port"] or DEFAULT_PORTS[scheme])
    if not 1 <= port <= 65535:
        raise LocalProtocolError(f"port {port} is outside 1 to 65535", spec=_SPEC)
    rest = match["rest"] or ""
    if stream is None:
        app, stream = _split_path(rest)
    else:
        app = rest.rstrip("/") if "?" not in rest else rest
    if _NOT_IN_A_URL.search(stream):
        raise LocalProtocolError("a stream's name holds a space or a control character", spec=_SPEC)
    username, password = unquote(match["user"] or ""), unquote(match["password"] or "")
    return RtmpUrl(scheme, match["ipv6"] or match["name"], port, app, stream, username, password)


def _split_path(rest: str) -> tuple[str, str]:
    path, question_mark, query = rest.partition("?")
    parts = path.split("/", 2)
    if len(parts) == 1:
        before, slash, name = query.rpartition("/")
        if question_mark and slash:
            return f"{path}?{before}", name
        return rest, ""
    if len(parts) == 3 and parts[2]:
        return f"{parts[0]}/{parts[1]}", parts[2] + question_mark + query
    return parts[0], parts[1] + question_mark + query


def split_query(name: str) -> tuple[str, str]:
    """An app's or stream's name as sent, and the query behind its first "?" (empty where there is none)."""
    before, _, query = name.partition("?")
    return before, query


def redact(text: str) -> str:
    """`text` with the passwords and query values of the URLs in it replaced by ***.

    It hides rather too much: a name behind a query in mid-path goes with it, and a host before a later "@".
    """
    return _QUERY_VALUE.sub(rf"\1{_HIDDEN}", _BEHIND_USER.sub(_without_password, text))


def _without_password(match: re.Match[str]) -> str:
    """Passwords come with "/", "?" and "@" in them too, so one reaches to the last "@" before a space.

    Where a "?" stands before that "@", either may be part of a query's value: then the rest is hidden as well.
    """
    password, at, behind = match["rest"].rpartition("@")
    if not at:
        return match[0]
    return f"{match['user']}:{_HIDDEN}" if "?" in password else f"{match['user']}:{_HIDDEN}@{behind}"


def resolve_tc_url(base: str, reference: str) -> str:
    """The tcUrl that a reconnect request means, from the connection's own (Enhanced RTMP v2, reconnect request).

    Args:
        base: the tcUrl of the connection in place.
        reference: absolute ("rtmp://other/app"), without a scheme ("//other/app"), a path ("/app") or a name ("app");
            empty for `base` itself.
    """
    if not reference:
        return base
    if _REFERENCE_SCHEME.match(reference):
        return reference
    scheme, _, rest = base.partition("://")
    if reference.startswith("//"):
        return f"{scheme}:{reference}"
    authority, _, path = rest.partition("/")
    if reference.startswith("/"):
        return f"{scheme}://{authority}{reference}"
    parent, _, _ = path.partition("?")[0].rpartition("/")
    return f"{scheme}://{authority}/{parent + '/' if parent else ''}{reference}"
