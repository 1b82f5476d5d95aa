"""Which streams are sent on, and where to; and how a target is shown to those who must not have its key.

    rtmp://10.0.0.20/backup            names an app: the stream's own name goes behind it
    rtmps://a.rtmps.youtube.com/live2/KEY      names a stream: exactly that
    rtmp://10.0.0.20/all/{app}-{stream}        the fields are replaced

What stands behind the first name of the path is the stream's, further slashes and the query included, as nginx-rtmp's
push reads it. A name that the operator wrote is somebody's stream key more often than not, so it is never shown.
"""

import re
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final, Self

from protocol.rtmp import RtmpUrl, parse_url, split_query

__all__ = ["ForwardRule", "Target"]

_HIDDEN: Final = "***"
_FIELDS_ALONE: Final = re.compile(r"(?:\{app\}|\{stream\}|[._~/@-])+")
_QUERY_VALUE: Final = re.compile(r"[?&](?:[^=&?]*=)?([^&?]+)")


@dataclass(frozen=True, slots=True)
class Target:
    """Where one stream is sent.

    Attributes:
        url: the whole of it, for the wire.
        keyless: the same without the name that is a key.
    """

    url: RtmpUrl = field(repr=False)
    keyless: RtmpUrl

    @classmethod
    def of(cls, url: RtmpUrl, stream: str) -> Self:
        """The target of a stream that is called `stream` here; only under that name is it shown there."""
        return cls(url, url if url.stream == stream else replace(url, stream=_HIDDEN))

    @property
    def shown(self) -> str:
        """For logs and people: without key, password and the values of a query."""
        return str(self.keyless)

    def hide(self, text: str) -> str:
        """What a server has said, without what `shown` does not show: some name the key that they refuse."""
        name, query = split_query(self.url.stream)
        secrets = {self.url.password, *_QUERY_VALUE.findall(f"{self.url.app}?{query}")}
        if self.keyless.stream != self.url.stream:
            secrets |= {self.url.stream, name}
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return text


@dataclass(frozen=True, slots=True)
class ForwardRule:
    """Which streams go where.

    Attributes:
        streams: app/stream, where * stands for any characters.
        to: an RTMP URL, in which {app} and {stream} are replaced; where it names no stream, the stream's own name is
            put behind its app.
    """

    streams: str
    to: str = field(repr=False)

    def target(self, app: str, stream: str) -> Target | None:
        """Where `app/stream` is sent; None where the rule is not about it.

        Raises:
            LocalProtocolError: `to` is no RTMP URL.
        """
        if not fnmatchcase(f"{app}/{stream}", self.streams):
            return None
        template = _parsed(self.to)

        def filled(text: str) -> str:
            return text.replace("{app}", app).replace("{stream}", stream)

        urls = (template, _keyless(template))
        return Target(*(replace(url, app=filled(url.app), stream=filled(url.stream) or stream) for url in urls))

    @property
    def shown(self) -> str:
        """`to`, for logs and people."""
        return str(_keyless(_parsed(self.to)))


def _parsed(text: str) -> RtmpUrl:
    """A URL whose app is the first name of its path, where `parse_url` takes two, as ffmpeg does."""
    url = parse_url(text)
    app, query = split_query(url.app)
    first, slash, rest = app.partition("/")
    if not slash or query:
        return url
    return replace(url, app=first, stream=f"{rest}/{url.stream}" if url.stream else rest)


def _keyless(template: RtmpUrl) -> RtmpUrl:
    """Without the name that stands in it, unless that is made of fields alone."""
    name, _ = split_query(template.stream)
    return template if not name or _FIELDS_ALONE.fullmatch(name) else replace(template, stream=_HIDDEN)
