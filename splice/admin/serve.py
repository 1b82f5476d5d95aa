"""The admin side's connections: accepted from sockets that the door has opened, and served in its own nursery.

accept --> one task a connection --> splice.asgi --> Gate --> FastAPI
"""

import socket
from collections.abc import Iterable
from typing import Final

import structlog
import trio

from splice.admin.gate import App
from splice.asgi import serve_connection
from splice.listeners import accept_forever, socket_address

__all__ = ["serve_asgi"]

_CONNECTIONS: Final = 128
_IDLE_S: Final = 5.0
_SEND_S: Final = 10.0

_log = structlog.get_logger()


async def serve_asgi(app: App, listeners: Iterable[socket.socket]) -> None:
    """Serve `app` on listening sockets, which stay the caller's to close, until cancelled.

    A cancellation ends every connection, open event streams too, before it is delivered.
    """
    connections = 0

    async def serve(accepted: socket.socket, peer: tuple[str, int]) -> None:
        nonlocal connections
        connections += 1
        try:
            with accepted:
                stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
                await serve_connection(app, stream, idle_s=_IDLE_S, send_s=_SEND_S)
        except Exception:  # noqa: BLE001 -- a bug in one connection ends that one alone
            _log.exception("admin.bug", peer=socket_address(peer))
        finally:
            connections -= 1

    async with trio.open_nursery() as nursery:

        def start(accepted: socket.socket, peer: tuple[str, int]) -> None:
            if connections >= _CONNECTIONS:
                _log.warning("admin.full", peer=socket_address(peer), connections=_CONNECTIONS)
                accepted.close()
                return
            nursery.start_soon(serve, accepted, peer)

        for listener in listeners:
            nursery.start_soon(accept_forever, listener, start)
        await trio.sleep_forever()
