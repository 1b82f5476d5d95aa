"""Scheme two, towards the viewer: HTTP-FLV or WS-FLV out of a live stream."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from splice.http import Answer, Fields, RequestHead
from splice.hub import CHUNKED_FLV, FLV, WEBSOCKET_FLV, Form, LiveStream, Subscriber, Tracks, only
from splice.hub.feeding import feed
from splice.stats import EndReason, Viewer
from splice.viewer_socket import ViewerLeftError, ViewerSocket
from splice.websocket import WebSocketViewer

__all__ = ["Egress", "stream_answer"]

_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Egress:
    """Serves viewers from live streams.

    Args:
        stall_s: seconds in which a viewer must take something of what waits for it.
    """

    stall_s: float

    async def serve(
        self,
        connection: ViewerSocket,
        head: RequestHead,
        found: AbstractAsyncContextManager[LiveStream],
        viewer: Viewer,
        *,
        tracks: Tracks,
        chunked: bool,
        cors_fields: Fields,
        accepting_head: bytes | None,
    ) -> EndReason:
        """Serve one viewer until the stream ends or the viewer leaves; the reason why it ended.

        Args:
            found: finds the stream, and holds it while the viewer watches. What entering it raises passes through;
                nothing was sent then.
            tracks: which tracks to send.
            chunked: whether HTTP/1.1 gets the chunked coding; else, as for HTTP/1.0, the body ends with the connection.
            accepting_head: what switches to WebSocket once the stream is there; None: HTTP.

        A cancellation takes the viewer out of the stream before it is delivered.
        """
        if accepting_head is not None:
            by_websocket = WebSocketViewer(connection, accepting_head, viewer)
            return await by_websocket.serve(
                lambda: self._play(connection, found, viewer, only(WEBSOCKET_FLV, tracks), by_websocket.open)
            )
        chunked = chunked and head.version >= (1, 1)
        form = only(CHUNKED_FLV if chunked else FLV, tracks)
        response = stream_answer(chunked=chunked, cors_fields=cors_fields).encode()

        async def look() -> EndReason:
            async with found:
                return EndReason.ORIGIN_ENDED

        async def begin(subscriber: Subscriber) -> None:
            await connection.send(response)

        async def play() -> EndReason:
            return await self._play(connection, found, viewer, form, begin)

        head_only = head.method == b"HEAD"
        try:
            reason = await connection.unless_left(look if head_only else play)
        except ViewerLeftError:
            return EndReason.VIEWER_LEFT
        if reason is EndReason.ORIGIN_ENDED:
            await connection.finish(response if head_only else b"")
        elif reason is EndReason.STALLED:
            connection.abort()
        return reason

    async def _play(
        self,
        connection: ViewerSocket,
        found: AbstractAsyncContextManager[LiveStream],
        viewer: Viewer,
        form: Form,
        begin: Callable[[Subscriber], Awaitable[None]],
    ) -> EndReason:
        """Find the stream, `begin` the answer, and send it."""
        async with found as live:
            subscriber = Subscriber(
                form,
                send=connection.socket.send,
                meter=viewer,
                max_bytes=live.limits.backlog_bytes,
                max_s=live.limits.backlog_s,
            )
            await begin(subscriber)
            await live.wait_tracks_known()
            with live.subscribed(subscriber):
                viewer.begun(live.now_ms)
                return await feed(subscriber, connection.socket, stall_s=self.stall_s)


def stream_answer(*, chunked: bool, cors_fields: Fields) -> Answer:
    """The head that every viewer of a live stream gets."""
    fields = [
        (b"Content-Type", b"video/x-flv"),
        (b"Cache-Control", b"no-store"),
        *cors_fields,
        (b"Connection", b"close"),
    ]
    if chunked:
        fields.append((b"Transfer-Encoding", b"chunked"))
    return Answer(_OK, fields)
