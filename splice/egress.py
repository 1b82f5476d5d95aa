"""Scheme two, towards the viewer: HTTP-FLV out of a live stream (DESIGN section 3, "The hub route's response")."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from splice.http import Fields, RequestHead, encode_response_head, reason_phrase
from splice.hub import CHUNKED_FLV, FLV, Form, LiveStream, Subscriber
from splice.hub.feeding import feed
from splice.stats import EndReason, Viewer
from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["Egress"]

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
        cors_fields: Fields,
    ) -> EndReason:
        """Serve one viewer until the stream ends or the viewer leaves; the reason why it ended.

        Args:
            found: finds the stream, and holds it while the viewer watches. What entering it raises passes through;
                nothing was sent then.

        A cancellation takes the viewer out of the stream before it is delivered.
        """
        chunked = head.version >= (1, 1)
        response = _response_head(chunked=chunked, cors_fields=cors_fields)

        async def play() -> EndReason:
            async with found as live:
                if head.method == b"HEAD":
                    return EndReason.ORIGIN_ENDED
                await connection.send(response)
                return await self._play(connection, live, viewer, CHUNKED_FLV if chunked else FLV)

        try:
            reason = await connection.unless_left(play)
        except ViewerLeftError:
            return EndReason.VIEWER_LEFT
        if reason is EndReason.ORIGIN_ENDED:
            await connection.finish(response if head.method == b"HEAD" else b"")
        elif reason is EndReason.STALLED:
            connection.abort()
        return reason

    async def _play(self, connection: ViewerSocket, live: LiveStream, viewer: Viewer, form: Form) -> EndReason:
        await live.wait_tracks_known()
        subscriber = Subscriber(
            form,
            send=connection.socket.send,
            meter=viewer,
            max_bytes=live.limits.backlog_bytes,
            max_s=live.limits.backlog_s,
        )
        with live.subscribed(subscriber):
            viewer.begun()
            return await feed(subscriber, connection.socket, stall_s=self.stall_s)


def _response_head(*, chunked: bool, cors_fields: Fields) -> bytes:
    fields = [
        (b"Content-Type", b"video/x-flv"),
        (b"Cache-Control", b"no-store"),
        *cors_fields,
        (b"Connection", b"close"),
    ]
    if chunked:
        fields.append((b"Transfer-Encoding", b"chunked"))
    return encode_response_head((1, 1), _OK, reason_phrase(_OK), fields)
