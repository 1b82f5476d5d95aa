"""The RTMP side of the door: whoever connects becomes a publisher or a player, or is told why not.

    accept -> handshake, connect -> publish -> access, limits, name -> every message to the LiveStream
                                 -> play    -> limits, existence    -> the LiveStream's packets to the socket

One connection is one task, which owns all that is opened for it. From accept to publish or play it has `head_s`.
"""

import socket
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, Protocol
from urllib.parse import parse_qsl

import structlog
import trio

from protocol import RemoteProtocolError
from protocol.rtmp import (
    Code,
    ConnectRequested,
    MediaMessage,
    PauseChanged,
    PlayRequested,
    PlayStopped,
    PublishRequested,
    PublishStopped,
    Request,
    SharedBudget,
)
from splice.hub import Hub, LiveStream, NameTakenError, RtmpForm, Subscriber
from splice.hub.feeding import feed
from splice.listeners import socket_address
from splice.origins import OriginError
from splice.routing import RoutingError, is_name
from splice.rtmp_connection import RTMP_CHUNK_SIZE, RtmpConnection
from splice.stats import EndReason, LimitReachedError, Publisher, Publishers, Viewer, Viewers
from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["RtmpDoor", "RtmpRules"]

_UNFINISHED_BYTES: Final = 512 * 1024 * 1024
_UNREAD_ANSWERS_BYTES: Final = 64 * 1024

_log = structlog.get_logger()


class FindStream(Protocol):
    """Finds the live stream that a player asks for, and holds it while the block runs."""

    def __call__(self, app: str, stream: str, src: str | None) -> AbstractAsyncContextManager[LiveStream]: ...


@dataclass(frozen=True, slots=True)
class RtmpRules:
    """What of the configuration a connection is judged and served by; a reload puts another in place.

    Args:
        publish_allow: networks of publishers.
        head_s: seconds from accept to publish or play.
        publish_idle_s: seconds without media from a publisher.
        stall_s: seconds in which a player must take something.
        pending: how many connections may neither publish nor play yet.
    """

    publish_allow: tuple[IPv4Network | IPv6Network, ...]
    head_s: float
    publish_idle_s: float
    stall_s: float
    pending: int


class _Refused(Exception):  # noqa: N818 -- not an error of ours: the answer that this client gets
    def __init__(self, request: Request, code: str, description: str) -> None:
        super().__init__(description)
        self.request: Final = request
        self.code: Final = code
        self.description: Final = description


class RtmpDoor:
    """Serves the connections of the RTMP listeners."""

    def __init__(
        self, *, rules: RtmpRules, hub: Hub, find_stream: FindStream, publishers: Publishers, viewers: Viewers
    ) -> None:
        self.rules = rules
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
        with ViewerSocket(accepted, peer[0], socket_address(peer)) as viewer_socket:
            if self._pending >= self.rules.pending:
                _log.warning("rtmp.refused", peer=viewer_socket.peer, detail="too many connections that do nothing")
                return
            with RtmpConnection(viewer_socket, self._budget) as connection:
                try:
                    await self._serve(connection)
                except ViewerLeftError:
                    pass  # before it published or played, or while it was told something: nobody is left to tell
                except RemoteProtocolError as error:
                    _log.warning("rtmp.broken", peer=viewer_socket.peer, error=str(error))
                    viewer_socket.abort()
                except Exception:  # noqa: BLE001 -- a bug in one connection ends that one alone (DESIGN section 4)
                    _log.exception("connection.bug", peer=viewer_socket.peer)
                    viewer_socket.abort()

    async def _serve(self, connection: RtmpConnection) -> None:
        rules = self.rules
        try:
            app, request = await self._negotiate(connection, rules)
            if isinstance(request, PublishRequested):
                await self._publish(connection, app, request, rules)
            else:
                await self._play(connection, app, request, rules)
        except _Refused as refused:
            _log.info("rtmp.refused", peer=connection.socket.peer, code=str(refused.code), detail=refused.description)
            refused.request.reject(refused.code, refused.description)
            await connection.socket.finish(connection.session.data_to_send())
        except trio.TooSlowError:
            _log.info("rtmp.refused", peer=connection.socket.peer, detail=f"no publish or play in {rules.head_s:g} s")

    async def _negotiate(
        self, connection: RtmpConnection, rules: RtmpRules
    ) -> tuple[str, PublishRequested | PlayRequested]:
        """The app and the first request to publish or play."""
        app = ""
        self._pending += 1
        try:
            with trio.fail_after(rules.head_s):
                while True:
                    event = await connection.next_event()
                    if isinstance(event, ConnectRequested):
                        app = event.connect.app.removesuffix("/")
                        if not is_name(app):
                            raise _Refused(
                                event,
                                Code.CONNECT_REJECTED,
                                "An application's name has 1 to 128 letters, digits and . _ ~ - @, and no slash: "
                                "publish to rtmp://HOST/APP with the stream's name apart.",
                            )
                        event.accept()
                    elif isinstance(event, PublishRequested | PlayRequested):
                        return app, event
        finally:
            self._pending -= 1

    # --- publishers ---

    async def _publish(self, connection: RtmpConnection, app: str, request: PublishRequested, rules: RtmpRules) -> None:
        name = request.publish.stream
        _require_name(request, name, Code.PUBLISH_BAD_NAME)
        address = connection.socket.address
        if not any(ip_address(address) in network for network in rules.publish_allow):
            raise _Refused(
                request,
                Code.PUBLISH_DENIED,
                f"{address} may not publish here: the operator adds its network to [publish] allow.",
            )
        try:
            self._publishers.check_room()
        except LimitReachedError as error:
            raise _Refused(request, Code.CONNECT_REJECTED, _sentence(str(error))) from None
        publisher = Publisher(
            id=self._publishers.next_id(),
            peer=connection.socket.peer,
            address=address,
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

    # --- players ---

    async def _play(self, connection: RtmpConnection, app: str, request: PlayRequested, rules: RtmpRules) -> None:
        name = request.play.stream
        _require_name(request, name, Code.PLAY_STREAM_NOT_FOUND)
        src = dict(parse_qsl(request.play.query)).get("src")
        if src is not None:
            _require_name(request, src, Code.PLAY_STREAM_NOT_FOUND)
        address = connection.socket.address
        try:
            self._viewers.check_room(address, (src, app, name))
        except LimitReachedError as error:
            raise _Refused(request, Code.CONNECT_REJECTED, _sentence(str(error))) from None
        viewer = Viewer(
            id=self._viewers.next_id(),
            peer=connection.socket.peer,
            address=address,
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

    async def _serve_player(
        self, connection: RtmpConnection, request: PlayRequested, viewer: Viewer, rules: RtmpRules, src: str | None
    ) -> EndReason:
        player = _Player(connection, request)
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
                            reason = await feed(subscriber, connection.socket.socket, stall_s=rules.stall_s)
            except (RoutingError, OriginError) as error:
                failure = error  # carried over the nursery, which would wrap it in a group
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if reason is EndReason.ORIGIN_ENDED:
            await connection.socket.finish(connection.session.end_play(request.message_stream_id))
        elif reason is EndReason.STALLED:
            connection.socket.abort()
        return reason


class _Player:
    """What a player says from its request on: heard all the while, so that it is seen to leave also while it waits."""

    def __init__(self, connection: RtmpConnection, request: PlayRequested) -> None:
        self._connection: Final = connection
        self._request: Final = request
        self._subscriber: Subscriber | None = None
        self._unread_bytes = 0  # of answers, since the player had last taken all that was sent

    def accept(self, live: LiveStream, viewer: Viewer) -> Subscriber:
        """Say that the stream is here; what is to be subscribed to it, the answer in front."""
        self._request.accept()
        self._connection.trust()
        self._subscriber = Subscriber(
            RtmpForm(self._request.message_stream_id, RTMP_CHUNK_SIZE),
            send=self._connection.socket.socket.send,
            meter=viewer,
            max_bytes=live.limits.backlog_bytes,
            max_s=live.limits.backlog_s,
        )
        self._subscriber.insert(self._connection.session.data_to_send(), trio.current_time())
        return self._subscriber

    async def listen(self) -> None:
        """Hear the player until it stops, breaks a rule or leaves."""
        try:
            while self.hear():
                await self._connection.receive()
        except ViewerLeftError:
            return

    def hear(self) -> bool:
        """Answer what the player has said so far; whether it goes on. Before `accept` it is not listened to."""
        try:
            while (event := self._connection.next_event_nowait()) is not None:
                if isinstance(event, PlayStopped) and event.message_stream_id == self._request.message_stream_id:
                    return False
                if isinstance(event, PauseChanged) and self._subscriber is not None:
                    self._subscriber.pause(paused=event.paused)
                elif isinstance(event, PublishRequested | PlayRequested):
                    event.reject(Code.PLAY_FAILED, "One connection plays one stream here: open another.")
        except RemoteProtocolError as error:
            self._log_broken(str(error))
            return False
        return self._subscriber is None or self._answer(self._subscriber)

    def _answer(self, subscriber: Subscriber) -> bool:
        """Send what the session has to say; False where the player asks and asks, and takes no answer."""
        if subscriber.next_piece is None:
            self._unread_bytes = 0
        if data := self._connection.session.data_to_send():
            # Not by flush(): the stream writes to the same socket, and a piece of it may be half sent.
            subscriber.insert(data, trio.current_time())
            self._unread_bytes += len(data)
        if self._unread_bytes > _UNREAD_ANSWERS_BYTES:
            self._log_broken("the player asks for more than it reads")
            return False
        return True

    def _log_broken(self, error: str) -> None:
        _log.warning("rtmp.broken", peer=self._connection.socket.peer, error=error)


def _sentence(detail: str) -> str:
    return f"{detail[:1].upper()}{detail[1:]}."


def _require_name(request: Request, name: str, code: str) -> None:
    if not is_name(name):
        raise _Refused(
            request, code, "A stream's name has 1 to 128 letters, digits and . _ ~ - @, and neither slash nor space."
        )
