"""The listeners' side: whoever connects becomes a publisher or a player, or is told why not.

One connection is one task, which owns all that is opened for it. From accept to publish or play it has `head_s`.
"""

import socket
import ssl
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import structlog
import trio

from protocol import RemoteProtocolError
from protocol.rtmp import Code, ConnectRequested, PlayRequested, PublishRequested, Request, SharedBudget
from splice.access import AccessRefusedError, Caller
from splice.admission import Admission
from splice.finder import StreamFinder
from splice.http import as_sentence
from splice.hub import Hub
from splice.listeners import socket_address
from splice.routing import is_name
from splice.rtmp_door.connection import RtmpConnection
from splice.rtmp_door.playing import Playing
from splice.rtmp_door.publishing import ForwardStream, Publishing
from splice.rtmp_door.requests import ConnectedClient, RefusedRequestError, RtmpRules
from splice.stats import Publishers
from splice.tls import shake_hands
from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["RtmpDoor"]

T = TypeVar("T")

_UNFINISHED_BYTES: Final = 512 * 1024 * 1024

_log = structlog.get_logger()


class RtmpDoor:
    """Serves the connections of the RTMP listeners.

    Attributes:
        rules: what connections are judged by, from the next one on.
        tls: what the next RTMPS connection is greeted with.
    """

    def __init__(
        self,
        *,
        rules: RtmpRules,
        hub: Hub,
        finder: StreamFinder,
        forwarded: ForwardStream,
        publishers: Publishers,
        admission: Admission,
    ) -> None:
        self.rules = rules
        self.tls: ssl.SSLContext | None = None
        self._publishing: Final = Publishing(hub, publishers, forwarded)
        self._playing: Final = Playing(finder, admission)
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
                await self._publishing.serve(connection, client, request, rules=rules, ask=self._ask)
            else:
                await self._playing.serve(connection, client, request, rules=rules, ask=self._ask)
        except RefusedRequestError as refused:
            _log.info("rtmp.refused", peer=connection.socket.peer, code=str(refused.code), detail=refused.description)
            refused.request.reject(refused.code, refused.description)
            await connection.socket.finish(connection.session.data_to_send())
        except trio.TooSlowError:
            _log.info("rtmp.refused", peer=connection.socket.peer, detail=f"no publish or play in {rules.head_s:g} s")

    async def _negotiate(
        self, connection: RtmpConnection, rules: RtmpRules
    ) -> tuple[ConnectedClient, PublishRequested | PlayRequested]:
        """Who has connected, and the first request to publish or play."""
        client = ConnectedClient("", "", Caller())
        with self._one_pending(), trio.fail_after(rules.head_s):
            while True:
                event = await connection.next_event()
                if isinstance(event, ConnectRequested):
                    client = ConnectedClient.connecting(event)
                    if not is_name(client.app):
                        raise RefusedRequestError(
                            event,
                            Code.CONNECT_REJECTED,
                            "An application's name has 1 to 128 letters, digits and . _ ~ - @, and no slash: "
                            "publish to rtmp://HOST/APP with the stream's name apart.",
                        )
                    event.accept()
                elif isinstance(event, PublishRequested | PlayRequested):
                    return client, event

    async def _ask(self, answer: Awaitable[T], request: Request, code: str) -> T:
        try:
            with self._one_pending():
                return await answer
        except AccessRefusedError as error:
            raise RefusedRequestError(request, code, as_sentence(error.detail)) from None

    @contextmanager
    def _one_pending(self) -> Iterator[None]:
        self._pending += 1
        try:
            yield
        finally:
            self._pending -= 1
