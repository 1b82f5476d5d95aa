"""The media door's HTTP side: from an accepted connection to the one who serves it (DESIGN section 3).

    accept -> head -> method -> syntax -> access -> limits -> existence -> gateway, or an answer of the door's own

The checks run in this order, so an outsider learns nothing of names. One accepted connection is one task, which owns
everything that is opened for it.
"""

import socket
from dataclasses import dataclass
from typing import Final

import structlog
import trio

from splice.access import Access, AccessRefusedError, Caller, PlayRequest
from splice.answers import ALLOWED_METHODS, CorsPolicy, no_such_path, own_file, preflight, refusal
from splice.egress import Egress
from splice.finder import StreamFinder
from splice.gateway import Gateway
from splice.http import Fields, RequestError, RequestHead, accepting_head, asks_for_websocket
from splice.listeners import socket_address
from splice.origins import OriginError
from splice.proxies import TrustedProxies
from splice.routing import HubRoute, Query, Route, Router, RoutingError, SpliceRoute
from splice.stats import EndReason, LimitReachedError, Viewer, Viewers
from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["Door", "DoorRules"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DoorRules:
    """What of the configuration a request is judged and served by; a reload puts another in place.

    Args:
        router: reads targets.
        access: says who may watch.
        gateway: serves the splice route.
        egress: serves the hub route.
        cors: whose pages may read.
        proxies: whose X-Forwarded-For is believed.
        head_s: seconds for a request's head to be whole.
        live_path: the path that the page and the refusals show.
        demo: whether the page shows the demo.
    """

    router: Router
    access: Access
    gateway: Gateway
    egress: Egress
    cors: CorsPolicy
    proxies: TrustedProxies
    head_s: float
    live_path: str
    demo: bool


class _Refused(Exception):  # noqa: N818 -- not an error of ours: the answer that this request gets
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status: Final = status
        self.detail: Final = detail


class Door:
    """Serves the connections of the media listeners."""

    def __init__(self, *, rules: DoorRules, finder: StreamFinder, viewers: Viewers) -> None:
        self.rules = rules
        self._finder: Final = finder
        self._viewers: Final = viewers

    async def serve(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        """Serve one connection, and close it. No error of it leaves this method; a cancellation does."""
        rules = self.rules
        with ViewerSocket(accepted, peer[0], socket_address(peer)) as connection:
            try:
                await self._serve(connection, rules)
            except ViewerLeftError:
                pass  # before its head was whole, or while it was told of an error: nobody is left to tell
            except Exception:  # noqa: BLE001 -- a bug in one connection ends that one alone (DESIGN section 4)
                _log.exception("connection.bug", peer=connection.peer)
                connection.abort()

    async def _serve(self, connection: ViewerSocket, rules: DoorRules) -> None:
        head: RequestHead | None = None
        cors_fields: Fields = rules.cors.fields(None)
        try:
            head = await self._read_head(connection, rules.head_s)
            cors_fields = rules.cors.fields(head.get(b"origin"))
            answer = await self._answer(connection, head, rules, cors_fields)
        except _Refused as refused:
            _log.info("request.refused", peer=connection.peer, status=refused.status, detail=refused.detail)
            head_only = head is not None and head.method == b"HEAD"
            answer = refusal(refused.status, refused.detail, cors_fields=cors_fields, head_only=head_only)
        if answer:
            await connection.finish(answer)

    async def _read_head(self, connection: ViewerSocket, head_s: float) -> RequestHead:
        try:
            with trio.fail_after(head_s):
                return await connection.read_head()
        except RequestError as error:
            raise _Refused(error.status, error.detail) from None
        except trio.TooSlowError:
            raise _Refused(408, f"the request's head was not whole within {head_s:g} s; send it at once") from None

    async def _answer(
        self, connection: ViewerSocket, head: RequestHead, rules: DoorRules, cors_fields: Fields
    ) -> bytes:
        """Serve the request; what is still to be sent, b"" where the stream was the answer."""
        if head.method not in ALLOWED_METHODS:
            raise _Refused(405, "streams are asked for with GET")
        if head.method == b"OPTIONS":
            return preflight(cors_fields)
        try:
            query = rules.router.query(head.path, head.query)
            if query is None:
                found = own_file(head, live_path=rules.live_path, demo=rules.demo, cors_fields=cors_fields)
                if found is None:
                    raise _Refused(*no_such_path(rules.live_path))
                return found
            handshake = accepting_head(head) if asks_for_websocket(head) else None
            if handshake is not None:
                _require_allowed_page(head, rules.cors)
            client = rules.proxies.client(connection.address, head.get(b"x-forwarded-for"))
            asked = _play_request(self._viewers.next_id(), client, head, query)
            if rules.access.asks_about_viewers:
                await connection.unless_left(lambda: rules.access.may_play(asked))
            else:
                await rules.access.may_play(asked)
        except (AccessRefusedError, RequestError, RoutingError) as error:
            raise _Refused(error.status, error.detail) from None
        try:
            await self._let_in(connection, head, query, asked, rules, cors_fields, handshake)
        finally:
            rules.access.play_ended(asked)
        return b""

    async def _let_in(
        self,
        connection: ViewerSocket,
        head: RequestHead,
        query: Query,
        asked: PlayRequest,
        rules: DoorRules,
        cors_fields: Fields,
        handshake: bytes | None,
    ) -> None:
        """Serve a viewer who may watch, if there is room and the stream."""
        try:
            self._viewers.check_room(asked.address, (query.src, query.app, query.stream))
            route = rules.router.route(query, rules.access.forwarded(head.target))
        except RoutingError as error:
            raise _Refused(error.status, error.detail) from None
        except LimitReachedError as error:
            raise _Refused(503, str(error)) from None
        route = self._finder.settle(route)
        viewer = Viewer(
            id=asked.client_id,
            peer=connection.peer,
            address=asked.address,
            route="splice" if isinstance(route, SpliceRoute) else "hub",
            origin=None if isinstance(route, HubRoute) else route.origin.name,
            app=route.app,
            stream=route.stream,
            protocol="http-flv" if handshake is None else "ws-flv",
        )
        await self._watch(connection, head, route, viewer, rules, cors_fields, handshake)

    async def _watch(
        self,
        connection: ViewerSocket,
        head: RequestHead,
        route: Route,
        viewer: Viewer,
        rules: DoorRules,
        cors_fields: Fields,
        handshake: bytes | None,
    ) -> None:
        names = {"route": viewer.route, "origin": viewer.origin, "app": viewer.app, "stream": viewer.stream}
        if viewer.address != connection.address:
            names["client"] = viewer.address  # as a trusted proxy says
        log = _log.bind(id=viewer.id, peer=viewer.peer, **names)
        log.info("viewer.start")
        reason, status = EndReason.ERROR, None
        try:
            with self._viewers.present(viewer), viewer.scope:
                if isinstance(route, SpliceRoute):
                    forwarded_for = rules.proxies.forwarded_for(connection.address, head.get(b"x-forwarded-for"))
                    reason = await rules.gateway.serve(
                        connection,
                        head,
                        route,
                        viewer,
                        cors_fields=cors_fields,
                        forwarded_for=forwarded_for,
                        accepting_head=handshake,
                    )
                else:
                    found = self._finder.found(route)
                    reason = await rules.egress.serve(
                        connection, head, found, viewer, cors_fields=cors_fields, accepting_head=handshake
                    )
        except (OriginError, RoutingError) as error:
            reason, status = EndReason.REFUSED, error.status
            raise _Refused(error.status, error.detail) from None
        finally:
            if viewer.ended_by is not None:
                reason = viewer.ended_by
                connection.abort()
            extra = {} if status is None else {"status": status}
            log.info("viewer.end", **viewer.figures, reason=reason, **extra)


def _play_request(client_id: str, address: str, head: RequestHead, query: Query) -> PlayRequest:
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
            tc_url=f"http://{text(head.get(b'host'))}{text(head.path)}",
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
    raise _Refused(403, "pages of this origin may not watch by WebSocket: the operator adds it to cors_origins")
