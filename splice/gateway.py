"""Scheme one, the splice route: one viewer, one origin connection, nothing kept.

    viewer --request head--> door --the same request line--> origin
    viewer <--head, rewritten-- door <--response head-- origin
    viewer <=================== pump <================= origin      until either side is done

By WebSocket the body is taken out of its framing, and sent as messages; to a viewer of HTTP/1.0 a chunked one is sent
bare. Everything that is opened here is closed here, in the viewer's own task, whichever way it ends.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio

from splice.config import OriginAddress
from splice.health import OriginHealth
from splice.http import (
    CHUNKED,
    BodyDecoder,
    Fields,
    Framing,
    FramingKind,
    RequestHead,
    ResponseError,
    ResponseHead,
    binary_message,
    forwarded_request_head,
    relayed_answer,
)
from splice.hub.feeding import feed
from splice.origins import OriginConnection, OriginError
from splice.pump import Outcome, Pump, Tap
from splice.routing import SpliceRoute
from splice.spliced_tracks import SplicedTracks
from splice.stats import EndReason, Meter, Viewer
from splice.viewer_socket import ViewerLeftError, ViewerSocket
from splice.websocket import Outbox, WebSocketViewer
from splice.whereabouts import Whereabouts

__all__ = ["Gateway", "counted", "unframe"]

_REASONS: Final = {
    Outcome.SOURCE_ENDED: EndReason.ORIGIN_ENDED,
    Outcome.SOURCE_LOST: EndReason.ORIGIN_LOST,
    Outcome.SINK_LEFT: EndReason.VIEWER_LEFT,
    Outcome.STALLED: EndReason.STALLED,
}
_PASSED_ON: Final = (b"Referer", b"Authorization")
_READ_BYTES: Final = 64 * 1024
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Serves viewers from origins, each by a connection of its own.

    Args:
        pump: moves the bodies.
        health: is told how asking each origin went.
        whereabouts: knows which of an origin's addresses had a stream.
        tracks: is shown the first bytes of streams that it does not know.
        user_agent: what origins are told of the door.
        connect_s: seconds for an origin's address to accept.
        origin_head_s: seconds for its response head.
        stall_s: seconds without a byte from the origin, or without one taken by the viewer.
    """

    pump: Pump
    health: OriginHealth
    whereabouts: Whereabouts
    tracks: SplicedTracks
    user_agent: bytes
    connect_s: float
    origin_head_s: float
    stall_s: float

    async def serve(
        self,
        connection: ViewerSocket,
        head: RequestHead,
        route: SpliceRoute,
        viewer: Viewer,
        *,
        cors_fields: Fields,
        forwarded_for: bytes,
        accepting_head: bytes | None,
    ) -> EndReason:
        """Serve one viewer until either side is done; the reason why it ended.

        Args:
            accepting_head: what switches to WebSocket once the origin has answered 200, any other answer of its own
                passes as it is; None: HTTP.

        Raises:
            OriginError: there is no answer of the origin's; nothing was sent to the viewer.

        A cancellation closes the origin's connection before it is delivered.
        """
        with self.connection() as origin:
            try:
                answer = await connection.unless_left(lambda: self.ask(origin, head, route, forwarded_for))
                relayed = relayed_answer(answer, cors_fields=cors_fields, viewer_version=head.version)
                response = relayed.encode()
                if head.method == b"HEAD" or answer.framing.kind is FramingKind.NO_BODY:
                    origin.close()
                    await connection.finish(response)
                    return EndReason.ORIGIN_ENDED
                with self.tracks.looking(viewer, answer) as tap:
                    if accepting_head is not None and answer.status == _OK:
                        by_websocket = WebSocketViewer(connection, accepting_head, viewer)
                        return await self._relay_messages(connection, by_websocket, origin, answer.framing, viewer, tap)
                    if answer.framing.kind is FramingKind.CHUNKED and head.version < (1, 1):
                        return await self._relay_unframed(connection, response, origin, viewer, tap)
                    return await self._relay(connection, response, origin, answer.framing.length, viewer, tap)
            except ViewerLeftError:
                return EndReason.VIEWER_LEFT

    def connection(self) -> OriginConnection:
        """What a viewer's origin is asked on."""
        return OriginConnection(connect_s=self.connect_s, head_s=self.origin_head_s)

    async def ask(
        self, origin: OriginConnection, head: RequestHead, route: SpliceRoute, forwarded_for: bytes
    ) -> ResponseHead:
        """The origin's answer to a viewer's request.

        Raises:
            OriginError: there is none.
        """
        fields = [(b"User-Agent", self.user_agent), (b"X-Forwarded-For", forwarded_for)]
        passed_on = {name: value for name in _PASSED_ON if (value := head.get(name)) is not None}

        def request(address: OriginAddress) -> bytes:
            own = {b"Authorization": address.authorization.encode()} if address.authorization else {}
            all_fields = [*fields, *(passed_on | own).items()]
            return forwarded_request_head(route.target_at(address), head.version, address.authority, all_fields)

        try:
            answer = await origin.ask(self.whereabouts.in_order(route.origin, route.app, route.stream), request)
        except OriginError as error:
            self.health.failed(route.origin.name, error.detail)
            raise
        self.health.succeeded(route.origin.name)
        if answer.status in _REDIRECTS and route.origin.has_secrets_at(origin.address):
            detail = "the origin answered with a redirect, which may hold its password, so it is not passed on"
            raise OriginError(502, detail)
        if answer.status == _OK:
            origin.until_closed(self.whereabouts.serving(route.origin, route.app, route.stream, origin.address))
        return answer

    async def _relay(
        self,
        connection: ViewerSocket,
        response: bytes,
        origin: OriginConnection,
        length: int | None,
        viewer: Viewer,
        tap: Tap | None,
    ) -> EndReason:
        """The body as it stands, framing and all, by the pump."""
        first_bytes = origin.first_bytes if length is None else origin.first_bytes[:length]
        origin.first_bytes = b""
        if rest := connection.send_nowait(response + first_bytes):  # a socket just accepted takes it all
            with trio.move_on_after(self.stall_s) as patience:
                await connection.unless_left(lambda: connection.send(rest))
            if patience.cancelled_caught:
                connection.abort()
                return EndReason.STALLED
        viewer.begun()
        viewer.bytes += len(first_bytes)
        if tap is not None and not tap(memoryview(first_bytes)):
            tap = None
        outcome = await self.pump.relay(
            origin.socket,
            connection.socket,
            length=None if length is None else length - len(first_bytes),
            stall_s=self.stall_s,
            meter=viewer,
            tap=tap,
        )
        origin.close()
        if outcome is Outcome.SOURCE_ENDED:
            await connection.finish()
        elif outcome is Outcome.STALLED or outcome is Outcome.SOURCE_LOST:
            connection.abort()
        return _REASONS[outcome]

    async def _relay_unframed(
        self,
        connection: ViewerSocket,
        response: bytes,
        origin: OriginConnection,
        viewer: Viewer,
        tap: Tap | None,
    ) -> EndReason:
        """A chunked body for a viewer of HTTP/1.0, who does not know chunks: taken out of its framing."""
        send = counted(connection.send, viewer, stall_s=self.stall_s)

        async def copy() -> EndReason:
            with trio.move_on_after(self.stall_s) as patience:
                await connection.send(response)
            if patience.cancelled_caught:
                return EndReason.STALLED
            viewer.begun()
            return await unframe(origin, CHUNKED, send, stall_s=self.stall_s, tap=tap)

        reason = await connection.unless_left(copy)
        if reason is EndReason.ORIGIN_ENDED:
            await connection.finish()
        else:
            connection.abort()
        return reason

    async def _relay_messages(
        self,
        connection: ViewerSocket,
        by_websocket: WebSocketViewer,
        origin: OriginConnection,
        framing: Framing,
        viewer: Viewer,
        tap: Tap | None,
    ) -> EndReason:
        """The body's payload as binary messages; the origin is read no faster than the viewer takes them."""
        outbox = Outbox(viewer)

        async def send(payload: bytes) -> None:
            await outbox.send(binary_message(payload))

        async def play() -> EndReason:
            reason = EndReason.VIEWER_LEFT
            try:
                await by_websocket.open(outbox)
                viewer.begun()
                async with trio.open_nursery() as nursery:

                    async def feed_viewer() -> None:
                        nonlocal reason
                        reason = await feed(outbox, connection.socket, stall_s=self.stall_s)
                        nursery.cancel_scope.cancel()

                    nursery.start_soon(feed_viewer)
                    reason = await unframe(origin, framing, send, stall_s=self.stall_s, tap=tap)
                    nursery.cancel_scope.cancel()
            finally:
                origin.close()
            return reason

        return await by_websocket.serve(play)


def counted(
    send: Callable[[bytes], Awaitable[None]], meter: Meter, *, stall_s: float
) -> Callable[[bytes], Awaitable[None]]:
    """`send` for `unframe`: what it takes within `stall_s` is counted, and what takes longer is a `TooSlowError`."""

    async def send_and_count(payload: bytes) -> None:
        with trio.fail_after(stall_s):
            await send(payload)
        meter.bytes += len(payload)

    return send_and_count


async def unframe(
    origin: OriginConnection,
    framing: Framing,
    send: Callable[[bytes], Awaitable[None]],
    *,
    stall_s: float,
    tap: Tap | None,
) -> EndReason:
    """Give the payload of the origin's body to `send` as it comes, and read on when that has returned.

    Args:
        tap: is shown the body as it came, framing and all, until it wants no more.

    Returns:
        ORIGIN_ENDED, ORIGIN_LOST, or STALLED where nothing came for `stall_s`, or `send` raised `trio.TooSlowError`.
    """
    decoder = BodyDecoder(framing)
    data: bytes | bytearray = origin.first_bytes
    try:
        while True:
            if tap is not None and not tap(memoryview(data)):
                tap = None
            if payload := b"".join(decoder.receive_data(data)):
                await send(payload)
            if decoder.finished:
                return EndReason.ORIGIN_ENDED
            with trio.fail_after(stall_s):
                data = await origin.stream.receive_some(_READ_BYTES)
            if not data:
                decoder.receive_eof()
    except (ResponseError, trio.BrokenResourceError):
        return EndReason.ORIGIN_LOST
    except trio.TooSlowError:
        return EndReason.STALLED
