"""One request under ASGI: its head, its stream as body pieces or WebSocket messages, and how it ends.

origin's body -> unframe ----+
                             +--> send, which waits until HTTP/2's window and TLS have taken the piece --> viewer
LiveStream -> Subscriber, ---+
all by its backlog
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar

import trio

from protocol import NEED_DATA
from splice.asgi import Receive, Scope, Send
from splice.egress import stream_answer
from splice.gateway import counted, unframe
from splice.http import (
    Answer,
    CloseReason,
    Fields,
    FramingKind,
    RequestError,
    RequestHead,
    RequestParser,
    relayed_answer,
)
from splice.http.grammar import is_token
from splice.hub import FLV, LiveStream, Subscriber, Tracks, only
from splice.hub.feeding import feed_by
from splice.pump import DROPPED_INPUT_BYTES
from splice.reception import DoorRules
from splice.routing import SpliceRoute
from splice.stats import EndReason, Viewer
from splice.viewer_socket import ViewerLeftError, ViewerSocket, unless
from splice.websocket import CLOSES, TOO_MUCH

__all__ = ["AsgiVisit", "request_head"]

T = TypeVar("T")

_OK: Final = 200
_NO_HEAD: Final = RequestHead(b"GET", b"/", (1, 1), ())  # of a request whose own breaks a rule
_LAST_WORDS_S: Final = 1.0

# What concerns one connection of HTTP/1.1 has no place in HTTP/2 (RFC 9113, 8.2.2).
_NOT_IN_HTTP2: Final = frozenset({b"connection", b"upgrade", b"keep-alive", b"proxy-connection", b"transfer-encoding"})


def request_head(scope: Scope) -> RequestHead:
    """The head of a request, as it would be read from the plain door.

    Raises:
        RequestError: it breaks a rule of that door's parser.
    """
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    version = b"1.0" if scope["http_version"] == "1.0" else b"1.1"
    lines = [scope.get("method", "GET").encode("latin-1") + b" " + target + b" HTTP/" + version]
    lines += [name + b": " + value for name, value in scope["headers"]]
    # What HTTP/2's fields may hold beside HTTP/1.1's: it must not become another line, or another field.
    if any(b"\n" in line for line in lines) or not all(is_token(name) for name, _ in scope["headers"]):
        raise RequestError(400, "Send a well-formed request: a field's name or value holds what it may not.")
    parser = RequestParser()
    parser.receive_data(b"\r\n".join([*lines, b"", b""]))
    head = parser.next_event()
    if head is NEED_DATA:
        raise RequestError(400, "Send a well-formed request.")
    return head


class AsgiVisit:
    """See the module.

    Attributes:
        rules: what it is served by.
        scope: ASGI's.
        head, cors_fields: of the request and of its answers, once they are known.
    """

    scheme: Final = "https"

    def __init__(self, connection: ViewerSocket, rules: DoorRules, scope: Scope, receive: Receive, send: Send) -> None:
        """Args: the connection that it came on, by which it is known, and ASGI's three."""
        self.rules: Final = rules
        self.scope: Final = scope
        self.head = _NO_HEAD
        self.cors_fields: Fields = ()
        self.address: Final = connection.address
        self.peer: Final = connection.peer
        self._receive: Final = receive
        self._send: Final = send
        self._websocket: Final[bool] = scope["type"] == "websocket"
        self._answers: Final = "websocket.http.response" if self._websocket else "http.response"
        self._accepted = False  # by WebSocket
        self._says_too_much = False

    # --- what the reception asks of it ---

    def upgrades(self, head: RequestHead) -> bool:
        return self._websocket

    async def unless_left(self, function: Callable[[], Awaitable[T]]) -> T:
        return await unless(self._wait_left, function)

    async def watch_origin(self, route: SpliceRoute, viewer: Viewer, forwarded_for: bytes) -> EndReason:
        gateway = self.rules.gateway
        with gateway.connection() as origin:
            try:
                answer = await self.unless_left(lambda: gateway.ask(origin, self.head, route, forwarded_for))
            except ViewerLeftError:
                return EndReason.VIEWER_LEFT
            # For HTTP/1.0, which knows no chunked coding: how a body is framed here is not the origin's affair.
            response = relayed_answer(answer, cors_fields=self.cors_fields, viewer_version=(1, 0))
            if self.head.method == b"HEAD" or answer.framing.kind is FramingKind.NO_BODY:
                origin.close()
                return await self._answer_alone(response)
            upgrades = self._websocket and answer.status == _OK

            send = counted(self._send_piece, viewer, stall_s=gateway.stall_s)

            async def play() -> EndReason:
                await self._begin(None if upgrades else response)
                viewer.begun()
                try:
                    with gateway.tracks.looking(viewer, answer) as tap:
                        return await unframe(origin, answer.framing, send, stall_s=gateway.stall_s, tap=tap)
                finally:
                    origin.close()

            return await self._play(viewer, play)

    async def watch_live(
        self, found: AbstractAsyncContextManager[LiveStream], viewer: Viewer, *, tracks: Tracks, chunked: bool
    ) -> EndReason:
        # What frames the body is Hypercorn's to say: h11 takes the chunked coding wherever a client knows it.
        response = stream_answer(chunked=False, cors_fields=self.cors_fields)

        async def look() -> None:
            async with found:
                pass

        async def play() -> EndReason:
            async with found as live:
                limits = live.limits
                subscriber = Subscriber(
                    only(FLV, tracks), send=None, meter=viewer, max_bytes=limits.backlog_bytes, max_s=limits.backlog_s
                )
                await self._begin(None if self._websocket else response)
                await live.wait_tracks_known()
                with live.subscribed(subscriber):
                    viewer.begun(live.now_ms)
                    return await feed_by(subscriber, self._send_piece, stall_s=self.rules.egress.stall_s)

        if self.head.method != b"HEAD":
            return await self._play(viewer, play)
        try:
            await self.unless_left(look)
        except ViewerLeftError:
            return EndReason.VIEWER_LEFT
        return await self._answer_alone(response)

    def abort(self) -> None:
        pass  # an answer that is not ended is broken off: by a reset in HTTP/2, in HTTP/1.1 with the connection

    # --- ASGI ---

    async def answer(self, answer: Answer) -> None:
        """Send a whole answer, to HEAD without its body."""
        await self._begin(answer)
        body = b"" if self.head.method == b"HEAD" else answer.body
        await self._send({"type": f"{self._answers}.body", "body": body, "more_body": False})

    async def _answer_alone(self, response: Answer) -> EndReason:
        with trio.move_on_after(self.rules.gateway.stall_s) as patience:
            await self.answer(response)
        return EndReason.STALLED if patience.cancelled_caught else EndReason.ORIGIN_ENDED

    async def _begin(self, response: Answer | None) -> None:
        """Answer with this head, or, without one, go on by WebSocket."""
        if response is not None:
            http2 = self.scope["http_version"] == "2"
            fields = [(name.lower(), value) for name, value in response.fields]
            headers = [(name, value) for name, value in fields if not (http2 and name in _NOT_IN_HTTP2)]
            await self._send({"type": f"{self._answers}.start", "status": response.status, "headers": headers})
            return
        await self._send({"type": "websocket.accept"})
        self._accepted = True

    async def _send_piece(self, piece: bytes) -> None:
        if self._accepted:
            await self._send({"type": "websocket.send", "bytes": piece})
        else:
            await self._send({"type": f"{self._answers}.body", "body": piece, "more_body": True})

    async def _play(self, viewer: Viewer, play: Callable[[], Awaitable[EndReason]]) -> EndReason:
        """Run `play` while the viewer stays, and end the answer as it fits; why it has ended."""
        closing: tuple[CloseReason, str] | None = None
        try:
            reason = await self.unless_left(play)
            closing = CLOSES.get(reason)
        except ViewerLeftError:
            reason = EndReason.VIEWER_LEFT
            closing = TOO_MUCH if self._says_too_much else None
        except Exception:
            closing = CloseReason.INTERNAL_ERROR, "the door has failed"
            raise
        except BaseException:  # a cancellation, or, of several tasks, a group of them
            closing = CLOSES.get(viewer.ended_by or EndReason.DRAINED)
            raise
        finally:
            if self._accepted and closing is not None:
                await self._close(*closing)
        if reason is EndReason.ORIGIN_ENDED and not self._accepted:
            with trio.move_on_after(self.rules.gateway.stall_s) as patience:
                await self._send({"type": f"{self._answers}.body", "body": b"", "more_body": False})
            if patience.cancelled_caught:
                return EndReason.STALLED
        return reason

    async def _close(self, code: CloseReason, reason: str) -> None:
        with trio.move_on_after(_LAST_WORDS_S) as patience:
            patience.shield = True
            await self._send({"type": "websocket.close", "code": int(code), "reason": reason})

    async def _wait_left(self) -> None:
        """Hear the viewer until it leaves, or has said more than anybody listens to."""
        said = 0
        while said <= DROPPED_INPUT_BYTES:
            message = await self._receive()
            if message["type"] in ("http.disconnect", "websocket.disconnect"):
                return
            said += 1 + len(message.get("body") or message.get("bytes") or message.get("text") or b"")
        self._says_too_much = True
