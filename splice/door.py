"""The media door's HTTP side: from an accepted connection to the one who serves it.

    accept -> head -> Reception's checks -> gateway or egress, or an answer of the door's own

One accepted connection is one task, which owns everything that is opened for it.
"""

import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar

import structlog
import trio

from splice.answers import refusal
from splice.http import Fields, RequestError, RequestHead, accepting_head, asks_for_websocket
from splice.hub import LiveStream, Tracks
from splice.listeners import socket_address
from splice.reception import DoorRules, Reception, RefusedError
from splice.routing import SpliceRoute
from splice.stats import EndReason, Viewer
from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["Door"]

T = TypeVar("T")

_log = structlog.get_logger()


class Door:
    """Serves the connections of the media listeners."""

    def __init__(self, *, rules: DoorRules, reception: Reception) -> None:
        self.rules = rules
        self._reception: Final = reception

    async def serve(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        """Serve one connection, and close it. No error of it leaves this method; a cancellation does."""
        rules = self.rules
        with ViewerSocket(accepted, peer[0], socket_address(peer)) as connection:
            try:
                await self._serve(connection, rules)
            except ViewerLeftError:
                pass  # before its head was whole, or while it was told of an error: nobody is left to tell
            except Exception:  # noqa: BLE001 -- a bug in one connection ends that one alone
                _log.exception("connection.bug", peer=connection.peer)
                connection.abort()

    async def _serve(self, connection: ViewerSocket, rules: DoorRules) -> None:
        head: RequestHead | None = None
        cors_fields: Fields = rules.cors.fields(None)
        try:
            head = await self._read_head(connection, rules.head_s)
            cors_fields = rules.cors.fields(head.get(b"origin"))
            visit = _Visit(connection, head, rules, cors_fields)
            answer = await self._reception.receive(visit, head, rules, cors_fields)
        except RefusedError as refused:
            _log.info("request.refused", peer=connection.peer, status=refused.status, detail=refused.detail)
            answer = refusal(refused.status, refused.detail, cors_fields=cors_fields)
        if answer is not None:
            head_only = head is not None and head.method == b"HEAD"
            # The page's player is 270 KB: more than the second of a finish() takes over a slow line.
            with trio.move_on_after(rules.gateway.stall_s):
                await connection.send(answer.encode(head_only=head_only))
                await connection.finish()

    async def _read_head(self, connection: ViewerSocket, head_s: float) -> RequestHead:
        try:
            with trio.fail_after(head_s):
                return await connection.read_head()
        except RequestError as error:
            raise RefusedError(error.status, error.detail) from None
        except trio.TooSlowError:
            raise RefusedError(408, f"the request's head was not whole within {head_s:g} s; send it at once") from None


class _Visit:
    """A request on a plain socket: its stream goes out by the pump and the hub's own sends."""

    scheme: Final = "http"

    def __init__(self, connection: ViewerSocket, head: RequestHead, rules: DoorRules, cors_fields: Fields) -> None:
        self._connection: Final = connection
        self._head: Final = head
        self._rules: Final = rules
        self._cors_fields: Final = cors_fields
        self._handshake: bytes | None = None

    @property
    def address(self) -> str:
        return self._connection.address

    @property
    def peer(self) -> str:
        return self._connection.peer

    def upgrades(self, head: RequestHead) -> bool:
        self._handshake = accepting_head(head) if asks_for_websocket(head) else None
        return self._handshake is not None

    async def unless_left(self, function: Callable[[], Awaitable[T]]) -> T:
        return await self._connection.unless_left(function, None if self._handshake is None else self._connection.keep)

    async def watch_origin(self, route: SpliceRoute, viewer: Viewer, forwarded_for: bytes) -> EndReason:
        return await self._rules.gateway.serve(
            self._connection,
            self._head,
            route,
            viewer,
            cors_fields=self._cors_fields,
            forwarded_for=forwarded_for,
            accepting_head=self._handshake,
        )

    async def watch_live(
        self, found: AbstractAsyncContextManager[LiveStream], viewer: Viewer, *, tracks: Tracks, chunked: bool
    ) -> EndReason:
        return await self._rules.egress.serve(
            self._connection,
            self._head,
            found,
            viewer,
            tracks=tracks,
            chunked=chunked,
            cors_fields=self._cors_fields,
            accepting_head=self._handshake,
        )

    def abort(self) -> None:
        self._connection.abort()
