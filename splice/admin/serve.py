"""Hypercorn's Trio side in the door's own nursery, on sockets that we have opened and accept from ourselves.

    accept --> one task a connection --> hypercorn.trio's TCPServer --> Gate --> FastAPI

Hypercorn shields its sends from cancellation, so a client that reads no more would hold up the door's stop for as long
as it likes. The stream that it writes to has therefore an end of its own: a send ends after `_STALL_S`, and at once
when the door stops.
"""

import socket
from collections.abc import Iterable
from typing import Any, Final, cast

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from splice.admin.gate import App
from splice.listeners import accept_forever, socket_address

__all__ = ["serve_asgi"]

_CONNECTIONS: Final = 128
_STALL_S: Final = 10.0

_log = structlog.get_logger()


async def serve_asgi(app: App, listeners: Iterable[socket.socket]) -> None:
    """Serve `app` on listening sockets, which stay the caller's to close, until cancelled.

    A cancellation ends every connection, open event streams too, before it is delivered.
    """
    config = _config()
    open_streams: set[_Stream] = set()

    async def serve(accepted: socket.socket, peer: tuple[str, int]) -> None:
        stream = _Stream(accepted)
        open_streams.add(stream)
        try:
            server = TCPServer(
                ASGIWrapper(cast(ASGIFramework, app)),
                config,
                WorkerContext(None),
                ConnectionState({}),
                cast(Any, stream),  # Trio's class is final, and ours has all of it that is used
            )
            await server.run()
        except Exception:  # noqa: BLE001 -- a bug in one connection ends that one alone (DESIGN section 4)
            _log.exception("admin.bug", peer=socket_address(peer))
        finally:
            open_streams.discard(stream)
            accepted.close()

    async with trio.open_nursery() as nursery:

        def start(accepted: socket.socket, peer: tuple[str, int]) -> None:
            if len(open_streams) >= _CONNECTIONS:
                _log.warning("admin.full", peer=socket_address(peer), connections=_CONNECTIONS)
                accepted.close()
                return
            nursery.start_soon(serve, accepted, peer)

        for listener in listeners:
            nursery.start_soon(accept_forever, listener, start)
        try:
            await trio.sleep_forever()
        finally:
            for stream in open_streams:
                stream.hurry()


def _config() -> Config:
    config = Config()
    config.errorlog = None  # what matters is logged here and by the gate, in the house's own form
    config.include_server_header = False
    return config


class _Stream:
    """A connection as Hypercorn wants it, whose sends end."""

    def __init__(self, accepted: socket.socket) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket: Final = trio.socket.from_stdlib_socket(accepted)
        self._stream: Final = trio.SocketStream(self.socket)
        self._sending: trio.CancelScope | None = None
        self._hurried = False

    def hurry(self) -> None:
        """Let sends wait no longer."""
        self._hurried = True
        if self._sending is not None:
            self._sending.cancel()

    async def send_all(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            trio.BrokenResourceError: the client has gone, or takes too long.
        """
        with trio.move_on_after(0 if self._hurried else _STALL_S) as self._sending:
            await self._stream.send_all(data)
            return
        raise trio.BrokenResourceError("the client does not read")

    async def receive_some(self, max_bytes: int) -> bytes | bytearray:
        """As Trio's."""
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        """As Trio's."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """As Trio's."""
        await self._stream.aclose()
