"""The RTMP side of the door: whoever connects becomes a publisher or a player, or is told why not.

    accept -> handshake, connect -> publish -> access, limits, name -> every message to the LiveStream
                                 -> play    -> access, limits, name -> the LiveStream's packets to the socket

One connection is one task, which owns all that is opened for it. From accept to publish or play it has `head_s`.
"""

import socket
import ssl
from collections.abc import Awaitable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, Self
from urllib.parse import unquote

import structlog
import trio

from protocol import RemoteProtocolError
from protocol.rtmp import (
    Code,
    ConnectRequested,
    MediaMessage,
    PlayRequested,
    PublishRequested,
    PublishStopped,
    Request,
    SharedBudget,
)
from splice.access import (
    RTMP_PATH,
    Access,
    AccessRefusedError,
    Caller,
    PlayRequest,
    PublishRequest,
    read_parameters,
)
from splice.hub import Hub, LiveStream, NameTakenError, Subscriber
from splice.hub.feeding import feed, feed_by
from splice.listeners import socket_address
from splice.origins import OriginError
from splice.routing import RoutingError, is_name
from splice.rtmp_connection import RtmpConnection
from splice.rtmp_player import RtmpPlayer
from splice.stats import EndReason, LimitReachedError, Publisher, Publishers, Viewer, Viewers
from splice.tls import shake_hands
from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["RtmpDoor", "RtmpRules"]

_UNFINISHED_BYTES: Final = 512 * 1024 * 1024

_log = structlog.get_logger()


class FindStream(Protocol):
    """Finds the live stream that a player asks for, and holds it while the block runs."""

    def __call__(self, app: str, stream: str, src: str | None) -> AbstractAsyncContextManager[LiveStream]: ...


@dataclass(frozen=True, slots=True)
class RtmpRules:
    """What of the configuration a connection is judged and served by; a reload puts another in place.

    Args:
        access: says who may publish and play.
        head_s: seconds from accept to publish or play.
        publish_idle_s: seconds without media from a publisher.
        stall_s: seconds in which a player must take something.
        pending: how many connections may neither publish nor play yet.
    """

    access: Access
    head_s: float
    publish_idle_s: float
    stall_s: float
    pending: int


@dataclass(frozen=True, slots=True)
class _Client:
    """What a client said when it connected."""

    app: str
    app_query: str
    caller: Caller

    @classmethod
    def connecting(cls, event: ConnectRequested) -> Self:
        connect = event.connect
        caller = Caller(connect.flash_version, connect.swf_url, connect.tc_url, connect.page_url)
        return cls(connect.app.removesuffix("/"), connect.query, caller)

    def arguments(self, query: str) -> str:
        """The app's query, where nginx's push has it, and the stream's own."""
        return "&".join(filter(None, (self.app_query, query)))


class _Refused(Exception):  # noqa: N818 -- not an error of ours: the answer that this client gets
    def __init__(self, request: Request, code: str, description: str) -> None:
        super().__init__(description)
        self.request: Final = request
        self.code: Final = code
        self.description: Final = description


class RtmpDoor:
    """Serves the connections of the RTMP listeners.

    Attributes:
        rules: what connections are judged by, from the next one on.
        tls: what the next RTMPS connection is greeted with.
    """

    def __init__(
        self, *, rules: RtmpRules, hub: Hub, find_stream: FindStream, publishers: Publishers, viewers: Viewers
    ) -> None:
        self.rules = rules
        self.tls: ssl.SSLContext | None = None
        self._hub: Final = hub
        self._find_stream: Final = find_stream
        self._publishers: Final = publishers
        self._viewers: Final = viewers
        self._budget: Final = SharedBudget(_UNFINISHED_BYTES)
        self._pending = 0

    @property
    def pending(self) -> int:
        """How many connections neither publish nor play yet."""
        return self._pending

    async def serve(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        """Serve one connection, and close it. No error of it leaves this method; a cancellation does."""
        await self._serve_one(accepted, peer, None)

    async def serve_tls(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        """The same for an RTMPS connection; `tls` has to be set."""
        await self._serve_one(accepted, peer, self.tls)

    async def _serve_one(self, accepted: socket.socket, peer: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        with ViewerSocket(accepted, peer[0], socket_address(peer)) as viewer_socket:
            if self._pending >= self.rules.pending:
                _log.warning("rtmp.refused", peer=viewer_socket.peer, detail="too many connections that do nothing")
                return
            with RtmpConnection(viewer_socket, self._budget) as connection:
                try:
                    if tls is not None:
                        with self._one_pending():
                            await shake_hands(viewer_socket, tls, seconds=self.rules.head_s)
                    await self._serve(connection)
                except ViewerLeftError:
                    pass  # before it published or played, or while it was told something: nobody is left to tell
                except RemoteProtocolError as error:
                    _log.warning("rtmp.broken", peer=viewer_socket.peer, error=str(error))
                    viewer_socket.abort()
                except Exception:  # noqa: BLE001 -- a bug in one connection ends that one alone
                    _log.exception("connection.bug", peer=viewer_socket.peer)
                    viewer_socket.abort()

    async def _serve(self, connection: RtmpConnection) -> None:
        rules = self.rules
        try:
            client, request = await self._negotiate(connection, rules)
            if isinstance(request, PublishRequested):
                await self._publish(connection, client, request, rules)
            else:
                await self._play(connection, client, request, rules)
        except _Refused as refused:
            _log.info("rtmp.refused", peer=connection.socket.peer, code=str(refused.code), detail=refused.description)
            refused.request.reject(refused.code, refused.description)
            await connection.socket.finish(connection.session.data_to_send())
        except trio.TooSlowError:
            _log.info("rtmp.refused", peer=connection.socket.peer, detail=f"no publish or play in {rules.head_s:g} s")

    async def _negotiate(
        self, connection: RtmpConnection, rules: RtmpRules
    ) -> tuple[_Client, PublishRequested | PlayRequested]:
        """Who has connected, and the first request to publish or play."""
        client = _Client("", "", Caller())
        with self._one_pending(), trio.fail_after(rules.head_s):
            while True:
                event = await connection.next_event()
                if isinstance(event, ConnectRequested):
                    client = _Client.connecting(event)
                    if not is_name(client.app):
                        raise _Refused(
                            event,
                            Code.CONNECT_REJECTED,
                            "An application's name has 1 to 128 letters, digits and . _ ~ - @, and no slash: "
                            "publish to rtmp://HOST/APP with the stream's name apart.",
                        )
                    event.accept()
                elif isinstance(event, PublishRequested | PlayRequested):
                    return client, event

    async def _ask(self, answer: Awaitable[None], request: Request, code: str) -> None:
        try:
            with self._one_pending():
                await answer
        except AccessRefusedError as error:
            raise _Refused(request, code, _sentence(error.detail)) from None

    @contextmanager
    def _one_pending(self) -> Iterator[None]:
        self._pending += 1
        try:
            yield
        finally:
            self._pending -= 1

    # --- publishers ---

    async def _publish(
        self, connection: RtmpConnection, client: _Client, request: PublishRequested, rules: RtmpRules
    ) -> None:
        name = request.publish.stream
        _require_name(request, name, Code.PUBLISH_BAD_NAME)
        asked = PublishRequest(
            client_id=self._publishers.next_id(),
            address=connection.socket.address,
            app=client.app,
            stream=name,
            arguments=client.arguments(request.publish.query),
            caller=client.caller,
        )
        await self._ask(rules.access.may_publish(asked), request, Code.PUBLISH_DENIED)
        try:
            await self._take_in(connection, asked, request, rules)
        finally:
            rules.access.publish_ended(asked)

    async def _take_in(
        self, connection: RtmpConnection, asked: PublishRequest, request: PublishRequested, rules: RtmpRules
    ) -> None:
        """Receive from a publisher who may publish, if there is room and the name is free."""
        app, name = asked.app, asked.stream
        try:
            self._publishers.check_room()
        except LimitReachedError as error:
            raise _Refused(request, Code.CONNECT_REJECTED, _sentence(str(error))) from None
        publisher = Publisher(
            id=asked.client_id,
            peer=connection.socket.peer,
            address=asked.address,
            app=app,
            stream=name,
            protocol="rtmp",
        )
        log = _log.bind(id=publisher.id, peer=publisher.peer, app=app, stream=name)
        try:
            with self._hub.published(publisher) as live, self._publishers.present(publisher):
                request.accept()
                connection.trust()
                log.info("publisher.start")
                reason = EndReason.ERROR
                try:
                    with publisher.scope:
                        reason = await self._receive(connection, request.message_stream_id, live, publisher, rules)
                except ViewerLeftError:
                    reason = EndReason.PUBLISHER_LEFT
                finally:
                    reason = publisher.ended_by or reason
                    seconds = round(publisher.seconds, 3)
                    log.info("publisher.end", bytes=publisher.bytes, seconds=seconds, reason=reason)
        except NameTakenError:
            raise _Refused(
                request, Code.PUBLISH_BAD_NAME, f"{app}/{name} is being published already: choose another name."
            ) from None
        await connection.socket.finish(connection.session.data_to_send())

    async def _receive(
        self,
        connection: RtmpConnection,
        message_stream_id: int,
        live: LiveStream,
        publisher: Publisher,
        rules: RtmpRules,
    ) -> EndReason:
        media_by = trio.current_time() + rules.publish_idle_s
        while True:
            while (event := connection.next_event_nowait()) is not None:
                # The hot path of a publisher: one look, one call.
                if type(event) is MediaMessage:
                    publisher.bytes += len(event.payload)
                    live.push(event.kind, event.timestamp, event.payload)
                    media_by = live.last_packet_at + rules.publish_idle_s
                elif isinstance(event, PublishStopped) and event.message_stream_id == message_stream_id:
                    return EndReason.PUBLISHER_LEFT
                elif isinstance(event, PublishRequested | PlayRequested):
                    event.reject(Code.PUBLISH_DENIED, "One connection publishes one stream here: open another.")
            with trio.move_on_at(media_by) as patience:
                await connection.refill()
            if patience.cancelled_caught:
                return EndReason.STALLED
            if publisher.ended_by is not None:
                return publisher.ended_by  # in the turn in which this came; the stream may be another's by now

    # --- players ---

    async def _play(
        self, connection: RtmpConnection, client: _Client, request: PlayRequested, rules: RtmpRules
    ) -> None:
        name = request.play.stream
        _require_name(request, name, Code.PLAY_STREAM_NOT_FOUND)
        arguments = client.arguments(request.play.query)
        asked = PlayRequest(
            client_id=self._viewers.next_id(),
            address=connection.socket.address,
            path=RTMP_PATH,
            src=_source(request, arguments),
            app=client.app,
            stream=name,
            arguments=arguments,
            caller=client.caller,
        )
        await self._ask(rules.access.may_play(asked), request, Code.PLAY_FAILED)
        try:
            await self._let_in(connection, asked, request, rules)
        finally:
            rules.access.play_ended(asked)

    async def _let_in(
        self, connection: RtmpConnection, asked: PlayRequest, request: PlayRequested, rules: RtmpRules
    ) -> None:
        """Serve a player who may watch, if there is room and the stream."""
        src, app, name = asked.src, asked.app, asked.stream
        try:
            self._viewers.check_room(asked.address, (src, app, name))
        except LimitReachedError as error:
            raise _Refused(request, Code.CONNECT_REJECTED, _sentence(str(error))) from None
        viewer = Viewer(
            id=asked.client_id,
            peer=connection.socket.peer,
            address=asked.address,
            route="hub",
            origin=src,
            app=app,
            stream=name,
            protocol="rtmp",
        )
        log = _log.bind(id=viewer.id, peer=viewer.peer, route="hub", origin=src, app=app, stream=name)
        log.info("viewer.start")
        reason = EndReason.ERROR
        try:
            with self._viewers.present(viewer), viewer.scope:
                reason = await self._serve_player(connection, request, viewer, rules, src)
        except (RoutingError, OriginError) as error:
            reason = EndReason.REFUSED
            raise _Refused(request, Code.PLAY_STREAM_NOT_FOUND, _sentence(error.detail)) from None
        except ViewerLeftError:
            reason = EndReason.VIEWER_LEFT
        finally:
            reason = viewer.ended_by or reason
            log.info("viewer.end", **viewer.figures, reason=reason)

    @staticmethod
    async def _feed(client: ViewerSocket, subscriber: Subscriber, stall_s: float) -> EndReason:
        if client.send_now is None:
            try:
                return await feed_by(subscriber, client.send, stall_s=stall_s)
            except ViewerLeftError:
                return EndReason.VIEWER_LEFT
        return await feed(subscriber, client.socket, stall_s=stall_s)

    async def _serve_player(
        self, connection: RtmpConnection, request: PlayRequested, viewer: Viewer, rules: RtmpRules, src: str | None
    ) -> EndReason:
        player = RtmpPlayer(connection, request)
        reason = EndReason.VIEWER_LEFT
        failure: RoutingError | OriginError | None = None
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                await player.listen()
                nursery.cancel_scope.cancel()

            nursery.start_soon(listen)
            try:
                async with self._find_stream(viewer.app, viewer.stream, src) as live:
                    subscriber = player.accept(live, viewer)
                    with live.subscribed(subscriber):
                        viewer.begun()
                        if player.hear():
                            reason = await self._feed(connection.socket, subscriber, rules.stall_s)
            except (RoutingError, OriginError) as error:
                failure = error  # carried over the nursery, which would wrap it in a group
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if reason is EndReason.ORIGIN_ENDED:
            await connection.socket.finish(player.last_words())
        elif reason is EndReason.STALLED:
            connection.socket.abort()
        return reason


def _sentence(detail: str) -> str:
    return f"{detail[:1].upper()}{detail[1:]}."


def _source(request: Request, arguments: str) -> str | None:
    """The origin that a player names."""
    try:
        src = read_parameters(arguments, ("src",)).get("src")
    except AccessRefusedError as error:
        raise _Refused(request, Code.PLAY_FAILED, _sentence(error.detail)) from None
    if src is None:
        return None
    src = unquote(src)
    _require_name(request, src, Code.PLAY_STREAM_NOT_FOUND)
    return src


def _require_name(request: Request, name: str, code: str) -> None:
    if not is_name(name):
        raise _Refused(
            request, code, "A stream's name has 1 to 128 letters, digits and . _ ~ - @, and neither slash nor space."
        )
