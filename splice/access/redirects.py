"""Where the operator's program may send somebody by a 3xx answer: nginx-rtmp's rule, and only to configured servers.

    Location: NAME                         the stream is another one of the same application
    Location: rtmp://HOST[:PORT]/APP/NAME  on_play: it is pulled from there; on_publish: it is sent on to there as well

Of such a URL a missing stream is the client's own, and so is a missing app.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from protocol import LocalProtocolError
from protocol.rtmp import RtmpUrl, parse_url
from splice.access.addresses import canonical_address
from splice.access.requests import PublishRequest
from splice.routing import is_name

__all__ = ["Forwarded", "Pulled", "RedirectError", "Redirects", "Renamed", "Server"]

Server = tuple[str, str, int]
"""Scheme, host and port."""


class RedirectError(Exception):
    """The door does not go there; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """The stream is another one of the same application."""

    stream: str


@dataclass(frozen=True, slots=True)
class Pulled:
    """A viewer gets `app/stream` of the configured origin of this name."""

    origin: str
    app: str
    stream: str


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A publisher's stream is sent on to this URL as well, for as long as it publishes."""

    to: RtmpUrl


class Redirects:
    """Reads the Location of an answer."""

    def __init__(self, *, origins: Mapping[Server, str], targets: Collection[Server]) -> None:
        """Args:
        origins: the names of the servers that may be pulled from.
        targets: those that streams may be sent on to, beside the origins.
        """
        self._origins: Final = {_canonical(server): name for server, name in origins.items()}
        self._targets: Final = frozenset(map(_canonical, targets)) | self._origins.keys()

    def of_viewer(self, location: str, request: PublishRequest) -> Renamed | Pulled | None:
        """Where a viewer is sent; None: to what it has asked for.

        Raises:
            RedirectError: nowhere where the door goes.
        """
        url = _url(location, request)
        if url is None:
            return _renamed(location, request)
        origin = self._origins.get(_server(url))
        if origin is None:
            raise RedirectError("a viewer can only be sent to a server that [origins] names, by its host and port")
        if not (is_name(url.app) and is_name(url.stream)):
            raise RedirectError("a viewer can only be sent to rtmp://HOST/APP/STREAM, without a query")
        return Pulled(origin, url.app, url.stream)

    def of_publisher(self, location: str, request: PublishRequest) -> Renamed | Forwarded | None:
        """Where a publisher is sent; None: to what it has asked for.

        Raises:
            RedirectError: nowhere where the door goes.
        """
        url = _url(location, request)
        if url is None:
            return _renamed(location, request)
        server = _server(url)
        if server not in self._targets:
            raise RedirectError(
                "a publisher can only be sent to a server that [[forward]] or [origins] names, by its host and port"
            )
        return Forwarded(replace(url, host=server[1]))  # what is dialled is what was looked up here


def _renamed(location: str, request: PublishRequest) -> Renamed | None:
    if not is_name(location):
        raise RedirectError(
            "a stream's name has 1 to 128 letters, digits and . _ ~ - @; a Location is such a name, or an rtmp:// URL"
        )
    return None if location == request.stream else Renamed(location)


def _url(location: str, request: PublishRequest) -> RtmpUrl | None:
    if not location.lower().startswith(("rtmp://", "rtmps://")):
        return None
    try:
        url = parse_url(location)
    except LocalProtocolError:
        raise RedirectError(
            "a Location that begins with rtmp:// is rtmp://HOST[:PORT]/APP/NAME, without a space, its port up to 65535"
        ) from None
    return replace(url, app=url.app or request.app, stream=url.stream or request.stream)


def _server(url: RtmpUrl) -> Server:
    return _canonical((url.scheme, url.host, url.port))


def _canonical(server: Server) -> Server:
    scheme, host, port = server
    address, percent, zone = host.partition("%")
    return scheme, canonical_address(address.lower().removesuffix(".")) + percent + zone, port
