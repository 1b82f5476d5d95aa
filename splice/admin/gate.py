"""The gate before the API: every request passes `Guard` first, and every answer leaves with the same few fields.

    Hypercorn --> Gate --> FastAPI

Plain ASGI, so that nothing of a request that is not let in reaches the framework. What goes wrong behind it, a bug, is
logged here and answered with a 500, as everywhere a problem (RFC 9457).
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog

from splice.admin.auth import Caller, Guard, RefusedError
from splice.admin.models import problem
from splice.admin.page import asset

__all__ = ["Gate"]

# Whoever asks whether the door is well, a load balancer or an orchestrator, has no token and knows no name.
_FOR_EVERYONE: Final = ("/healthz", "/readyz")

_MOST_BODY_BYTES: Final = 64 * 1024

_FIELDS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))

_log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _BodyTooLargeError(Exception):
    """FastAPI takes it for a body that cannot be read, and answers so."""


class Gate:
    """An ASGI application around another."""

    def __init__(self, app: App, guard: Guard) -> None:
        self._app: Final = app
        self._guard: Final = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            return
        begun = False
        received = 0

        async def receive_bounded() -> MutableMapping[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > _MOST_BODY_BYTES:
                raise _BodyTooLargeError
            return message

        async def send_with_fields(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                given = {name.lower() for name, _ in message["headers"]}
                fields = [field for field in _FIELDS if field[0] not in given]
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        try:
            await self._serve(scope, receive_bounded, send_with_fields)
        except Exception:  # noqa: BLE001 -- a bug ends this request alone
            _log.exception("admin.bug", path=scope["path"])
            if not begun:
                await _answer(send_with_fields, RefusedError(500, "a bug of the door's; its log says where"))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in _FOR_EVERYONE:
            caller = Caller(
                peer=_address(scope.get("client")), called=_address(scope.get("server")), fields=scope["headers"]
            )
            try:
                self._guard.check_site(caller)
                if asset(scope["path"]) is None:  # the dashboard is for everyone: it asks for the token itself
                    await self._guard.check_caller(caller)
            except RefusedError as refused:
                if refused.attempts:
                    client = caller.client(self._guard.rules.proxies)
                    _log.warning("admin.wrong_token", peer=caller.peer, address=client, attempts=refused.attempts)
                await _answer(send, refused)
                return
        await self._app(scope, receive, send)


def _address(name: tuple[str, int] | None) -> str:
    return "" if name is None else name[0]


async def _answer(send: Send, refused: RefusedError) -> None:
    body = problem(refused.status, refused.detail).model_dump_json().encode()
    fields = {"Content-Type": "application/problem+json", "Content-Length": str(len(body)), **refused.fields}
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
