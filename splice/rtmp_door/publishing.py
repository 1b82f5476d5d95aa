"""A connection that publishes: access, limits and the name first, then every message goes to the LiveStream."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
import trio

from protocol.rtmp import Code, MediaMessage, PlayRequested, PublishRequested, PublishStopped, RtmpUrl
from splice.access import Access, Forwarded, PublishRequest, Renamed
from splice.http import as_sentence
from splice.hub import Hub, LiveStream, NameTakenError
from splice.rtmp_door.connection import RtmpConnection
from splice.rtmp_door.requests import Ask, ConnectedClient, RefusedRequestError, RtmpRules, require_name
from splice.stats import PROGRAM_LENGTH, EndReason, LimitReachedError, Publisher, Publishers
from splice.viewer_socket import ViewerLeftError

__all__ = ["ForwardStream", "Publishing"]

_log = structlog.get_logger()


class ForwardStream(Protocol):
    """Sends a stream on to an RTMP URL while the block runs."""

    def __call__(self, live: LiveStream, url: RtmpUrl, /) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class _Arrival:
    """One publisher on its connection, what it asks for, and who judges that."""

    connection: RtmpConnection
    client: ConnectedClient
    request: PublishRequested
    rules: RtmpRules
    access: Access
    asked: PublishRequest


class Publishing:
    """Serves those who publish."""

    def __init__(self, hub: Hub, publishers: Publishers, forwarded: ForwardStream) -> None:
        self._hub: Final = hub
        self._publishers: Final = publishers
        self._forwarded: Final = forwarded

    async def serve(
        self,
        connection: RtmpConnection,
        client: ConnectedClient,
        request: PublishRequested,
        *,
        rules: RtmpRules,
        ask: Ask,
    ) -> None:
        """Serve a client from its request to publish until it stops.

        Raises:
            RefusedRequestError: it may not publish, or not this.
            ViewerLeftError: it has left before it was accepted.
            RemoteProtocolError: it breaks the protocol.
        """
        name = request.publish.stream
        require_name(request, name, Code.PUBLISH_BAD_NAME)
        if client.passage.closes_at(self._hub.door):
            raise RefusedRequestError(
                request,
                Code.PUBLISH_BAD_NAME,
                "This stream has come from this very door: its forwards go in a circle; take one of them out.",
            )
        asked = PublishRequest(
            client_id=self._publishers.next_id(),
            address=connection.socket.address,
            app=client.app,
            stream=name,
            arguments=client.arguments(request.publish.query),
            caller=client.caller,
        )
        access = rules.of_app(asked.app).access
        redirect = await ask(access.may_publish(asked), request, Code.PUBLISH_DENIED)
        try:
            await self._take_in(_Arrival(connection, client, request, rules, access, asked), redirect)
        finally:
            access.publish_ended(asked)

    async def _take_in(self, arrival: _Arrival, redirect: Renamed | Forwarded | None) -> None:
        """Receive from a publisher who may publish, if there is room and the name is free."""
        connection, request, asked = arrival.connection, arrival.request, arrival.asked
        app = asked.app
        name = redirect.stream if isinstance(redirect, Renamed) else asked.stream
        try:
            self._publishers.check_room(app, replaces=self._hub.publisher(app, name))
        except LimitReachedError as error:
            raise RefusedRequestError(request, Code.CONNECT_REJECTED, as_sentence(str(error))) from None
        publisher = Publisher(
            id=asked.client_id,
            peer=connection.socket.peer,
            address=asked.address,
            app=app,
            stream=name,
            protocol="rtmp",
            program=asked.caller.flash_version[:PROGRAM_LENGTH],
        )
        log = _log.bind(id=publisher.id, peer=publisher.peer, app=app, stream=name)
        try:
            with self._hub.published(publisher) as live, self._publishers.present(publisher):
                request.accept()
                connection.trust()
                log.info("publisher.start")
                publisher.clock = live.now_ms
                live.passage = arrival.client.passage
                forwarded = self._forwarded(live, redirect.to) if isinstance(redirect, Forwarded) else nullcontext()
                reason = EndReason.ERROR
                try:
                    with forwarded, arrival.access.updated(asked, publisher), publisher.scope:
                        reason = await self._receive(arrival, live, publisher)
                except ViewerLeftError:
                    reason = EndReason.PUBLISHER_LEFT
                finally:
                    reason = publisher.ended_by or reason
                    seconds = round(publisher.seconds, 3)
                    log.info("publisher.end", bytes=publisher.bytes, seconds=seconds, reason=reason)
        except NameTakenError:
            raise RefusedRequestError(
                request, Code.PUBLISH_BAD_NAME, f"{app}/{name} is being published already: choose another name."
            ) from None
        await connection.socket.finish(connection.session.data_to_send())

    async def _receive(self, arrival: _Arrival, live: LiveStream, publisher: Publisher) -> EndReason:
        connection, idle_s = arrival.connection, arrival.rules.publish_idle_s
        media_by = trio.current_time() + idle_s
        while True:
            while (event := connection.next_event_nowait()) is not None:
                # The hot path of a publisher: one look, one call.
                if type(event) is MediaMessage:
                    publisher.bytes += len(event.payload)
                    live.push(event.kind, event.timestamp, event.payload)
                    media_by = live.last_packet_at + idle_s
                elif isinstance(event, PublishStopped) and event.message_stream_id == arrival.request.message_stream_id:
                    return EndReason.PUBLISHER_LEFT
                elif isinstance(event, PublishRequested | PlayRequested):
                    event.reject(Code.PUBLISH_DENIED, "One connection publishes one stream here: open another.")
            with trio.move_on_at(media_by) as patience:
                await connection.refill()
            if patience.cancelled_caught:
                return EndReason.STALLED
            if publisher.ended_by is not None:
                return publisher.ended_by  # in the turn in which this came; the stream may be another's by now
