"""What every request for a stream passes, over whichever door it came.

    head -> method -> syntax -> access -> limits -> existence -> its visit watches, or an answer of the door's own

The checks run in this order, so an outsider learns nothing of names. A door brings a `Visit`, which knows how its
connection is spoken on; who may watch is decided here alone, and `Admission` has on record who does.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, TypeVar

from splice.access import Access, AccessRefusedError, Caller, PlayRequest, Pulled, Renamed
from splice.admission import Admission
from splice.answers import ALLOWED_METHODS, CorsPolicy, no_such_path, own_file, preflight
from splice.app_rules import RulesOf
from splice.egress import Egress
from splice.finder import StreamFinder
from splice.gateway import Gateway
from splice.http import Answer, Fields, RequestError, RequestHead
from splice.hub import LiveStream, Tracks
from splice.origins import OriginError
from splice.proxies import ForwardedForError, TrustedProxies
from splice.routing import Query, Route, Router, RoutingError, SpliceRoute, renamed_target
from splice.stats import EndReason, LimitReachedError, Viewer

__all__ = ["DoorRules", "Reception", "RefusedError", "Visit"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DoorRules:
    """What of the configuration a request is judged and served by; a reload puts another in place.

    Args:
        router: reads targets.
        of_app: what holds for one application; its `access` says who may watch.
        gateway: serves the splice route.
        egress: serves the hub route.
        cors: whose pages may read.
        proxies: whose X-Forwarded-For is believed.
        head_s: seconds for a request's head to be whole.
        live_path: the path that the page and the refusals show.
        demo: whether the page shows the demo.
    """

    router: Router
    of_app: RulesOf
    gateway: Gateway
    egress: Egress
    cors: CorsPolicy
    proxies: TrustedProxies
    head_s: float
    live_path: str
    demo: bool


class RefusedError(Exception):
    """The request gets an error's answer.

    Attributes:
        status: what to answer.
        detail: one sentence that says what to do.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status: Final = status
        self.detail: Final = detail


class Visit(Protocol):
    """One request's connection, as a door hands it over.

    Attributes:
        address: the peer's.
        peer: the same as `address:port`.
        scheme: "http" or "https".
    """

    @property
    def address(self) -> str: ...

    @property
    def peer(self) -> str: ...

    @property
    def scheme(self) -> str: ...

    def upgrades(self, head: RequestHead) -> bool:
        """Whether it goes on by WebSocket.

        Raises:
            RequestError: it would, but not so.
        """
        ...

    async def unless_left(self, function: Callable[[], Awaitable[T]]) -> T:
        """What `function` returns, if the viewer stays for so long.

        Raises:
            ViewerLeftError: it has left; `function` was cancelled.
        """
        ...

    async def watch_origin(self, route: SpliceRoute, viewer: Viewer, forwarded_for: bytes) -> EndReason:
        """Serve the viewer from its origin, until either side is done.

        Raises:
            OriginError: there is no answer of the origin's; nothing was sent to the viewer.
        """
        ...

    async def watch_live(
        self, found: AbstractAsyncContextManager[LiveStream], viewer: Viewer, *, tracks: Tracks, chunked: bool
    ) -> EndReason:
        """Serve the viewer from a live stream, until either side is done. What entering `found` raises passes.

        Args:
            tracks: which tracks to send.
            chunked: whether the body may be in the chunked coding, where it is the door's to say.
        """
        ...

    def abort(self) -> None:
        """Let the coming end be an abrupt one."""
        ...


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A viewer with its request, who judges that, and the rules that held when it came."""

    visit: Visit
    head: RequestHead
    query: Query
    rules: DoorRules
    access: Access
    asked: PlayRequest
    protocol: Literal["http-flv", "ws-flv"]


class Reception:
    """Judges requests, and lets in those that may watch."""

    def __init__(self, *, finder: StreamFinder, admission: Admission) -> None:
        self._finder: Final = finder
        self._admission: Final = admission

    async def receive(self, visit: Visit, head: RequestHead, rules: DoorRules, cors_fields: Fields) -> Answer | None:
        """Serve a request; what is still to be answered, None where the stream was the answer.

        Raises:
            RefusedError: with what to answer.
            ViewerLeftError: there is nobody to answer.
        """
        if head.method not in ALLOWED_METHODS:
            raise RefusedError(405, "streams are asked for with GET")
        if head.method == b"OPTIONS":
            return preflight(cors_fields)
        try:
            query = rules.router.query(head.path, head.query)
            if query is None:
                found = own_file(head, live_path=rules.live_path, demo=rules.demo, cors_fields=cors_fields)
                if found is None:
                    raise RefusedError(*no_such_path(rules.live_path))
                return found
            by_websocket = visit.upgrades(head)
            if by_websocket:
                _require_allowed_page(head, rules.cors)
            client = _client(rules.proxies, visit.address, head)
            asked = _play_request(self._admission.next_id(), client, visit.scheme, head, query)
            access = rules.of_app(asked.app).access
            if access.asks_about_viewers:
                redirect = await visit.unless_left(lambda: access.may_play(asked))
            else:
                redirect = await access.may_play(asked)
        except (AccessRefusedError, RequestError, RoutingError) as error:
            raise RefusedError(error.status, error.detail) from None
        try:
            arrival = _Arrival(visit, head, query, rules, access, asked, "ws-flv" if by_websocket else "http-flv")
            await self._let_in(arrival, redirect)
        finally:
            access.play_ended(asked)
        return None

    async def _let_in(self, arrival: _Arrival, redirect: Renamed | Pulled | None) -> None:
        """Serve a viewer who may watch, if there is room and the stream."""
        visit, query, rules, asked = arrival.visit, arrival.query, arrival.rules, arrival.asked
        target = arrival.access.forwarded(arrival.head.target)
        if isinstance(redirect, Renamed):
            target = renamed_target(target, query, redirect.stream)
            query = replace(query, stream=redirect.stream)
        elif redirect is not None:
            query = Query(redirect.origin, None, redirect.app, redirect.stream)

        def find() -> Route:
            if isinstance(redirect, Pulled):
                return self._finder.resolve_live(rules.router, query)
            return self._finder.resolve(rules.router.route(query, target))

        try:
            route = self._admission.route(asked.address, query, find)
            # On the splice route it is the origin, not the door, that reads tracks=.
            of_app = rules.of_app(route.app)
            tracks = of_app.tracks if isinstance(route, SpliceRoute) else of_app.tracks_for(asked.arguments)
        except (AccessRefusedError, RoutingError) as error:
            raise RefusedError(error.status, error.detail) from None
        except LimitReachedError as error:
            raise RefusedError(503, str(error)) from None
        try:
            with self._admission.watching(
                asked,
                route,
                arrival.access,
                peer=visit.peer,
                protocol=arrival.protocol,
                behind_proxy=asked.address != visit.address,
                abort=visit.abort,
            ) as watching:
                if isinstance(route, SpliceRoute):
                    forwarded_for = rules.proxies.forwarded_for(visit.address, arrival.head.get(b"x-forwarded-for"))
                    watching.reason = await visit.watch_origin(route, watching.viewer, forwarded_for)
                else:
                    found = self._finder.found(route)
                    watching.reason = await visit.watch_live(
                        found, watching.viewer, tracks=tracks, chunked=of_app.chunked
                    )
        except (OriginError, RoutingError) as error:
            raise RefusedError(error.status, error.detail) from None


def _client(proxies: TrustedProxies, address: str, head: RequestHead) -> str:
    try:
        return proxies.client(address, head.get(b"x-forwarded-for"))
    except ForwardedForError as error:
        raise RefusedError(400, str(error)) from None


def _play_request(client_id: str, address: str, scheme: str, head: RequestHead, query: Query) -> PlayRequest:
    def text(value: bytes | None) -> str:
        return (value or b"").decode("latin-1")

    return PlayRequest(
        client_id=client_id,
        address=address,
        path=text(head.path),
        src=query.src,
        app=query.app,
        stream=query.stream,
        arguments=text(head.query),
        caller=Caller(
            flash_version=text(head.get(b"user-agent")),
            tc_url=f"{scheme}://{text(head.get(b'host'))}{text(head.path)}",
            page_url=text(head.get(b"referer")),
        ),
    )


def _require_allowed_page(head: RequestHead, cors: CorsPolicy) -> None:
    # A browser asks no leave before it opens a WebSocket, and hides nothing of it from the page: what CORS is for HTTP,
    # the server has to do itself (RFC 6455, 10.2). As with CORS, the door's own page needs no leave, whatever scheme a
    # proxy gives it. Programs that are no browsers send no Origin.
    origin = head.get(b"origin")
    if origin is None or cors.allows(origin) or origin.partition(b"://")[2] == head.get(b"host"):
        return
    raise RefusedError(403, "pages of this origin may not watch by WebSocket: the operator adds it to cors_origins")
