"""Which streams are sent on, and where to; and how a target is shown to those who must not have its key.

What a URL means, `splice.config` says; a name that the operator wrote is somebody's stream key more often than not.
"""

import re
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final, Self

from protocol.rtmp import RtmpUrl, split_query
from splice.config.forward_url import filled, keyless, parse_forward_url
from splice.config.targets import HIDDEN

__all__ = ["ForwardRule", "Target"]

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
        return cls(url, url if url.stream == stream else replace(url, stream=HIDDEN))

    @property
    def shown(self) -> str:
        """For logs and people: without key, password and the values of a query."""
        return str(self.keyless)

    @property
    def server(self) -> str:
        """Host and port alone, by which its servers are counted."""
        return _server(self.url)

    def hide(self, text: str) -> str:
        """What a server has said, without what `shown` does not show: some name the key that they refuse."""
        name, query = split_query(self.url.stream)
        secrets = {self.url.password, *_QUERY_VALUE.findall(f"{self.url.app}?{query}")}
        if self.keyless.stream != self.url.stream:
            secrets |= {self.url.stream, name}
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
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
        template = parse_forward_url(self.to)
        return Target(filled(template, app, stream), filled(keyless(template), app, stream))

    @property
    def shown(self) -> str:
        """`to`, for logs and people."""
        return str(keyless(parse_forward_url(self.to)))

    @property
    def server(self) -> str:
        """Host and port of `to`, which are those of all its targets."""
        return _server(parse_forward_url(self.to))


def _server(url: RtmpUrl) -> str:
    return f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}"
