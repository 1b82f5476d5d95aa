"""From a request to the stream it means: paths, parameters, and what the origin will be asked for.

A parameter that two parsers read differently is a hole: the door would check one stream and the origin serve another.
So what is forwarded byte for byte must have one reading only. `app`, `stream`, `src` and `port` stand there once, in
plain characters, and neither a letter's case nor a `;` may hide a second one.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from splice.config import OriginAddress, OriginSettings
from splice.config.targets import filled, is_one_stream, masked

__all__ = [
    "HubRoute",
    "Origin",
    "PublishedRoute",
    "Query",
    "RelayRoute",
    "Route",
    "Router",
    "RoutingError",
    "SpliceRoute",
    "is_name",
    "renamed_target",
]

_NAME: Final = re.compile(rb"[A-Za-z0-9._~@-]{1,128}")
_PORT: Final = re.compile(rb"[1-9][0-9]{0,4}")
_STREAM_PATH: Final = re.compile(rb"/(?P<app>[^/]+)/(?P<stream>[^/]+)\.flv")
_WORD: Final = re.compile(rb"[a-z0-9_.-]+")
_PARAMETERS: Final = (b"src", b"port", b"app", b"stream")


class RoutingError(Exception):
    """The request names no stream of ours. `status` is 400 or 404, `detail` one sentence that says what to do."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status: Final = status
        self.detail: Final = detail


@dataclass(frozen=True, slots=True)
class Origin:
    """A server that the door dials, and how it is asked.

    Attributes:
        name: the configuration's, which viewers say as `src`.
        addresses: where, in the order in which to try.
        target: what an address is asked for that says nothing of its own; empty: see `forwards_targets`.
        ports: what ?port= may say; empty: anything.
        relayed: whether its streams are pulled once for all viewers, in place of a connection for each.
        tls: whom to trust, where an address is dialled by TLS.
    """

    name: str
    addresses: tuple[OriginAddress, ...]
    target: str
    ports: frozenset[int]
    relayed: bool = False
    tls: ssl.SSLContext | None = None

    @classmethod
    def from_settings(cls, name: str, settings: OriginSettings) -> "Origin":
        ports = frozenset(settings.ports)
        return cls(name, settings.addresses, settings.target, ports, settings.relayed, settings.tls_context)

    @property
    def forwards_targets(self) -> bool:
        """Whether some address of it is asked for the viewer's own request-target, byte for byte."""
        return not self.target and not all(address.target for address in self.addresses)

    @property
    def is_one_stream(self) -> bool:
        """Whether it gives the same stream whatever app and stream it is asked for, as a camera does."""
        return all(is_one_stream(address.target or self.target, by_rtmp=address.by_rtmp) for address in self.addresses)

    @property
    def only_port(self) -> str:
        """What a pull says for ?port=, which nobody gives it; empty: nothing."""
        return str(*self.ports) if len(self.ports) == 1 else ""

    def target_at(self, address: OriginAddress, app: str, stream: str, port: str) -> str:
        """What the operator says that `address` is asked for; empty: nothing."""
        return filled(address.target or self.target, app=app, stream=stream, port=port)

    def has_secrets_at(self, address: OriginAddress) -> bool:
        """Whether asking `address` tells it something that is not for viewers."""
        target = address.target or self.target
        return bool(address.authorization) or masked(target) != target


@dataclass(frozen=True, slots=True)
class Query:
    """What a viewer asked for, checked in form alone: nothing of it says that the stream exists.

    Attributes:
        encoded: the parameter whose name or value holds a %, which not every origin may be sent; None where none does.
        by_path: whether the path named the stream, so that none of the four parameters was looked at.
        unnamed_port: what ?port= says where there is no src: nothing to the hub, but an origin may be sent it.
    """

    src: str | None
    port: int | None
    app: str
    stream: str
    encoded: str | None = None
    by_path: bool = False
    unnamed_port: bytes | None = None


@dataclass(frozen=True, slots=True)
class SpliceRoute:
    """Scheme one: ask `origin` for `app/stream` and splice its answer.

    Attributes:
        target: what an address is asked for that has no target of its own.
        port: what ?port= says; empty: nothing.
    """

    origin: Origin
    target: bytes
    app: str
    stream: str
    port: str = ""

    def target_at(self, address: OriginAddress) -> bytes:
        """What `address` is asked for."""
        if not address.target:
            return self.target
        return self.origin.target_at(address, self.app, self.stream, self.port).encode()


@dataclass(frozen=True, slots=True)
class RelayRoute:
    """Scheme two: `app/stream` of `origin`, pulled once and shared."""

    origin: Origin
    app: str
    stream: str


@dataclass(frozen=True, slots=True)
class PublishedRoute:
    """Scheme two: the stream `app/stream` that is published here; else `otherwise`, where there is a default origin."""

    app: str
    stream: str
    otherwise: SpliceRoute | RelayRoute | None = None


HubRoute: TypeAlias = PublishedRoute | RelayRoute
Route: TypeAlias = SpliceRoute | HubRoute


class Router:
    """Reads requests by the configured paths and origins. It keeps no state, so a reload makes a new one.

    Attributes:
        origins: by name.
    """

    def __init__(
        self, *, live_paths: tuple[str, ...], origins: Mapping[str, OriginSettings], default_origin: str = ""
    ) -> None:
        self._live_paths = frozenset(path.encode() for path in live_paths)
        self.origins: Final = {name: Origin.from_settings(name, settings) for name, settings in origins.items()}
        self._default = self.origins.get(default_origin)

    def query(self, path: bytes, query: bytes | None) -> Query | None:
        """The stream that a request-target names, or None where the path is none of a stream's.

        Raises:
            RoutingError: 400, with the parameter that is wrong.
        """
        if path in self._live_paths:
            return _live_query(query or b"")
        match = _STREAM_PATH.fullmatch(path)
        if match is None:
            return None
        app, stream = [_name(name, unquote_to_bytes(match[name])) for name in ("app", "stream")]
        encoded = next((name for name in ("app", "stream") if b"%" in match[name]), None)
        return Query(None, None, app, stream, encoded, by_path=True)

    def route(self, query: Query, target: bytes) -> Route:
        """The way that serves a query; `target` is the request-target it came from, byte for byte.

        Raises:
            RoutingError: 404: there is no such origin; 400: this one takes no such port, or no %.
        """
        if query.src is None:
            otherwise = None if self._default is None else _default_route(self._default, query, target)
            return PublishedRoute(query.app, query.stream, otherwise)
        origin = self.origins.get(query.src)
        if origin is None:
            raise RoutingError(404, "no origin has this name; ask the operator which src there are")
        return _origin_route(origin, query, target)


def renamed_target(target: bytes, query: Query, stream: str) -> bytes:
    """A request-target, out of which `query` was read, that names another stream; all else stays, byte for byte."""
    path, question_mark, parameters = target.partition(b"?")
    if query.by_path:
        return b"%s/%s.flv%s%s" % (path.rpartition(b"/")[0], stream.encode(), question_mark, parameters)
    fields = [
        b"stream=" + stream.encode() if unquote_to_bytes(field.partition(b"=")[0]) == b"stream" else field
        for field in parameters.split(b"&")
    ]
    return path + question_mark + b"&".join(fields)


def _default_route(origin: Origin, query: Query, target: bytes) -> SpliceRoute | RelayRoute:
    """The way to the default origin, which may find more in a target that it is sent as it is than the hub does."""
    if origin.relayed or not origin.forwards_targets:
        return _origin_route(origin, query, target)
    if query.by_path:
        # An origin whose location is a prefix of this path goes by the parameters, as nginx-http-flv-module does.
        given, _ = _parameters(target.partition(b"?")[2])
        for name in given:
            raise RoutingError(
                400, f"the parameter {name.decode()} stands behind a path that names the stream; leave it out"
            )
    if query.unnamed_port is not None:
        query = replace(query, port=_port(query.unnamed_port))
    return _origin_route(origin, query, target)


def _origin_route(origin: Origin, query: Query, target: bytes) -> SpliceRoute | RelayRoute:
    # A pull goes to the port of the origin's URL, and serves whoever asks; so that is what ?port= may say there.
    ports = origin.ports or (frozenset(address.port for address in origin.addresses) if origin.relayed else None)
    if query.port is not None and ports and query.port not in ports:
        raise RoutingError(400, "the parameter port is none of those that this origin lets through")
    if origin.relayed:
        return RelayRoute(origin, query.app, query.stream)
    if query.encoded is not None and origin.forwards_targets:
        raise RoutingError(400, f"the parameter {query.encoded} holds a %; write its name and value plainly")
    port = "" if query.port is None else str(query.port)
    if origin.target:
        target = filled(origin.target, app=query.app, stream=query.stream, port=port).encode()
    return SpliceRoute(origin, target, query.app, query.stream, port)


def _live_query(query: bytes) -> Query:
    given, encoded = _parameters(query)
    src = _name("src", unquote_to_bytes(given[b"src"])) if b"src" in given else None
    port = unquote_to_bytes(given[b"port"]) if b"port" in given else None
    return Query(
        src,
        None if port is None or src is None else _port(port),
        _name("app", unquote_to_bytes(_required(given, b"app"))),
        _name("stream", unquote_to_bytes(_required(given, b"stream"))),
        encoded,
        unnamed_port=port if src is None else None,
    )


def _parameters(query: bytes) -> tuple[dict[bytes, bytes], str | None]:
    """The raw values of our four parameters, each given at most once under every reading of the query.

    And the first of them that holds a % in its name or value, which is for the origin's rules to judge.
    """
    given: dict[bytes, bytes] = {}
    encoded: str | None = None
    for field in query.split(b"&"):
        written, _, value = field.partition(b"=")
        name = unquote_to_bytes(written).lower()
        if name not in _PARAMETERS:
            _no_parameter_inside(field)
            continue
        if name in given:
            raise RoutingError(400, f"the parameter {name.decode()} is given twice; give it once")
        if unquote_to_bytes(written) != name:
            raise RoutingError(400, f"write the parameter's name as {name.decode()}, in small letters")
        given[name] = value
        encoded = encoded or (name.decode() if b"%" in field else None)
    return given, encoded


def _no_parameter_inside(field: bytes) -> None:
    """Refuse what some origin may take for a second one of ours.

    That is `x=1;app=other`, where `;` separates, and a name with more to it, as `app[]`, ` app` or `app%00`: there are
    programs that read arrays, trim, or stop at a NUL.
    """
    parts = field.split(b";")
    for part in parts if len(parts) > 1 else ():
        name = unquote_to_bytes(part.partition(b"=")[0]).lower()
        if name in _PARAMETERS:
            raise RoutingError(
                400, f"the parameter {name.decode()} stands beside a semicolon; separate parameters with &"
            )
    for word in _WORD.findall(unquote_to_bytes(field.partition(b"=")[0]).lower()):
        if word in _PARAMETERS:
            raise RoutingError(
                400, f"the parameter {word.decode()} stands inside of another one's name; write it by itself"
            )


def is_name(text: str) -> bool:
    """Whether `text` may name an app or a stream, here and over RTMP."""
    return text not in (".", "..") and text.isascii() and _NAME.fullmatch(text.encode()) is not None


def _required(given: dict[bytes, bytes], name: bytes) -> bytes:
    try:
        return given[name]
    except KeyError:
        raise RoutingError(
            400, f"the parameter {name.decode()} is missing; a stream is asked for as ?src=NAME&app=APP&stream=STREAM"
        ) from None


def _name(name: str, value: bytes) -> str:
    if not _NAME.fullmatch(value) or value in (b".", b".."):
        raise RoutingError(400, f"the parameter {name} takes 1 to 128 characters out of letters, digits and . _ ~ - @")
    return value.decode()


def _port(value: bytes) -> int:
    if not _PORT.fullmatch(value) or int(value) > 65535:
        raise RoutingError(400, "the parameter port takes a number from 1 to 65535")
    return int(value)
