"""A connection that plays: access, limits and the stream first, then the LiveStream's packets go to the socket."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import trio

from protocol.rtmp import Code, PlayRequested, Request
from splice.access import RTMP_PATH, Access, AccessRefusedError, PlayRequest, Pulled, Renamed, read_parameters
from splice.admission import Admission
from splice.app_rules import AppRules
from splice.finder import StreamFinder
from splice.http import as_sentence
from splice.hub import LiveStream, Subscriber, Tracks
from splice.hub.feeding import feed, feed_by
from splice.origins import OriginError
from splice.routing import Query, RoutingError
from splice.rtmp_door.connection import RtmpConnection
from splice.rtmp_door.player import RtmpPlayer
from splice.rtmp_door.requests import Ask, ConnectedClient, RefusedRequestError, RtmpRules, require_name
from splice.stats import EndReason, LimitReachedError, Viewer
from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["Playing"]


@dataclass(frozen=True, slots=True)
class _Arrival:
    """One player on its connection, what it asks for, and who judges that."""

    connection: RtmpConnection
    request: PlayRequested
    rules: RtmpRules
    access: Access
    asked: PlayRequest
    tracks: Tracks


class Playing:
    """Serves those who play."""

    def __init__(self, finder: StreamFinder, admission: Admission) -> None:
        self._finder: Final = finder
        self._admission: Final = admission

    async def serve(
        self,
        connection: RtmpConnection,
        client: ConnectedClient,
        request: PlayRequested,
        *,
        rules: RtmpRules,
        ask: Ask,
    ) -> None:
        """Serve a client from its request to play until it stops, or the stream ends.

        Raises:
            RefusedRequestError: it may not play, or not this.
            ViewerLeftError: it has left before it was accepted.
        """
        name = request.play.stream
        require_name(request, name, Code.PLAY_STREAM_NOT_FOUND)
        arguments = client.arguments(request.play.query)
        of_app = rules.of_app(client.app)
        tracks = _tracks(request, arguments, of_app)
        asked = PlayRequest(
            client_id=self._admission.next_id(),
            address=connection.socket.address,
            path=RTMP_PATH,
            src=_source(request, arguments),
            app=client.app,
            stream=name,
            arguments=arguments,
            caller=client.caller,
        )
        redirect = await ask(of_app.access.may_play(asked), request, Code.PLAY_FAILED)
        try:
            await self._let_in(_Arrival(connection, request, rules, of_app.access, asked, tracks), redirect)
        finally:
            of_app.access.play_ended(asked)

    async def _let_in(self, arrival: _Arrival, redirect: Renamed | Pulled | None) -> None:
        """Serve a player who may watch, if there is room and the stream."""
        asked, request, socket = arrival.asked, arrival.request, arrival.connection.socket
        src, app, name = asked.src, asked.app, asked.stream
        if isinstance(redirect, Renamed):
            name = redirect.stream
        elif redirect is not None:
            src, app, name = redirect.origin, redirect.app, redirect.stream
        query = Query(src, None, app, name)
        try:
            route = self._admission.route(
                asked.address, query, lambda: self._finder.resolve_live(arrival.rules.router, query)
            )
        except LimitReachedError as error:
            raise RefusedRequestError(request, Code.CONNECT_REJECTED, as_sentence(str(error))) from None
        except RoutingError as error:
            raise RefusedRequestError(request, Code.PLAY_STREAM_NOT_FOUND, as_sentence(error.detail)) from None
        try:
            with self._admission.watching(
                asked, route, arrival.access, peer=socket.peer, protocol="rtmp", behind_proxy=False, abort=socket.abort
            ) as watching:
                watching.reason = await self._serve_player(arrival, watching.viewer, self._finder.found(route))
        except (RoutingError, OriginError) as error:
            raise RefusedRequestError(request, Code.PLAY_STREAM_NOT_FOUND, as_sentence(error.detail)) from None

    @staticmethod
    async def _feed(client: ViewerSocket, subscriber: Subscriber, stall_s: float) -> EndReason:
        if client.send_now is None:
            try:
                return await feed_by(subscriber, client.send, stall_s=stall_s)
            except ViewerLeftError:
                return EndReason.VIEWER_LEFT
        return await feed(subscriber, client.socket, stall_s=stall_s)

    async def _serve_player(
        self, arrival: _Arrival, viewer: Viewer, found: AbstractAsyncContextManager[LiveStream]
    ) -> EndReason:
        socket = arrival.connection.socket
        player = RtmpPlayer(arrival.connection, arrival.request)
        reason = EndReason.VIEWER_LEFT
        failure: RoutingError | OriginError | None = None
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                await player.listen()
                nursery.cancel_scope.cancel()

            nursery.start_soon(listen)
            try:
                async with found as live:
                    subscriber = player.accept(live, viewer, arrival.tracks)
                    with live.subscribed(subscriber):
                        viewer.begun(live.now_ms)
                        if player.hear():
                            reason = await self._feed(socket, subscriber, arrival.rules.stall_s)
            except (RoutingError, OriginError) as error:
                failure = error  # carried over the nursery, which would wrap it in a group
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if reason is EndReason.ORIGIN_ENDED:
            await socket.finish(player.last_words())
        elif reason is EndReason.STALLED:
            socket.abort()
        return reason


def _source(request: Request, arguments: str) -> str | None:
    """The origin that a player names."""
    try:
        src = read_parameters(arguments, ("src",)).get("src")
    except AccessRefusedError as error:
        raise RefusedRequestError(request, Code.PLAY_FAILED, as_sentence(error.detail)) from None
    if src is None:
        return None
    src = unquote(src)
    require_name(request, src, Code.PLAY_STREAM_NOT_FOUND)
    return src


def _tracks(request: Request, arguments: str, rules: AppRules) -> Tracks:
    """What a player is sent."""
    try:
        return rules.tracks_for(arguments)
    except AccessRefusedError as error:
        raise RefusedRequestError(request, Code.PLAY_FAILED, as_sentence(error.detail)) from None
