"""The media door's HTTPS side: from an accepted connection to the requests on it, each judged as on the plain door.

What Hypercorn's parsers hand over is written as an HTTP/1.1 head and read again by the door's own, so that a request
which the plain door refuses is refused here too, and an origin never sees what it would not see from there.
"""

import socket
import ssl
from typing import Final

import structlog
import trio

from splice.answers import refusal
from splice.asgi import Receive, Scope, Send, serve_connection
from splice.http import Fields, RequestError
from splice.https.visit import AsgiVisit, request_head
from splice.listeners import socket_address
from splice.reception import DoorRules, Reception, RefusedError
from splice.tls import shake_hands
from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["HttpsDoor"]

_log = structlog.get_logger()


class HttpsDoor:
    """Serves the connections of the HTTPS listeners.

    Attributes:
        rules: what requests are judged by, from the next one on.
        context: what the next connection is greeted with; to be set before the first.
    """

    def __init__(self, *, rules: DoorRules, reception: Reception) -> None:
        self.rules = rules
        self.context: ssl.SSLContext
        self._reception: Final = reception

    async def serve(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        """Serve one connection, and close it. No error of it leaves this method; a cancellation does."""
        head_s = self.rules.head_s
        with ViewerSocket(accepted, peer[0], socket_address(peer)) as connection:

            async def application(scope: Scope, receive: Receive, send: Send) -> None:
                await self._serve(AsgiVisit(connection, self.rules, scope, receive, send))

            try:
                stream = await shake_hands(connection, self.context, seconds=head_s)
                await serve_connection(application, stream, idle_s=head_s, send_s=self.rules.gateway.stall_s + 1)
            except ViewerLeftError:
                pass  # before the handshake was over
            except Exception:  # noqa: BLE001 -- a bug in one connection ends that one alone
                _log.exception("connection.bug", peer=connection.peer)
                connection.abort()

    async def _serve(self, visit: AsgiVisit) -> None:
        """Serve one request."""
        rules = visit.rules
        cors_fields: Fields = rules.cors.fields(None)
        try:
            try:
                visit.head = request_head(visit.scope)
                visit.cors_fields = cors_fields = rules.cors.fields(visit.head.get(b"origin"))
                answer = await self._reception.receive(visit, visit.head, rules, cors_fields)
            except RequestError as error:
                raise RefusedError(error.status, error.detail) from None
        except RefusedError as refused:
            _log.info("request.refused", peer=visit.peer, status=refused.status, detail=refused.detail)
            answer = refusal(refused.status, refused.detail, cors_fields=cors_fields)
        except ViewerLeftError:
            return
        except Exception:  # noqa: BLE001 -- a bug in one request ends that one alone
            _log.exception("connection.bug", peer=visit.peer)
            return
        if answer is not None:
            with trio.move_on_after(rules.gateway.stall_s):
                await visit.answer(answer)
