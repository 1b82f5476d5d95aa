"""One connection that Hypercorn speaks on, HTTP/1.1 or HTTP/2, and the ASGI application behind it.

    stream --_read--> what came, 64 KiB at most --_handle--> Hypercorn's protocol --> the application's tasks
    stream <-_write-- what waits <-------------------------- Hypercorn's protocol <-- the application's sends

Hypercorn's own TCPServer does all three in whatever task is at hand, its sends shielded: so a client that takes nothing
holds up a cancellation, and one that says more than was asked is not seen to leave. Here one task reads, one writes,
and a cancelled application leaves no half of a TLS record behind.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias, TypeVar, cast

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError, H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from splice.asgi.http2 import Http2

__all__ = ["App", "Receive", "Scope", "Send", "serve_connection"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_Protocol = TypeVar("_Protocol", H11Protocol, Http2)
_Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]

_READ_BYTES: Final = 16 * 1024
_UNHEARD_BYTES: Final = 64 * 1024
_UNSENT_BYTES: Final = 1024 * 1024
_LINGER_S: Final = 1.0

_log = structlog.get_logger()


async def serve_connection(app: App, stream: _Stream, *, idle_s: float, send_s: float) -> None:
    """Serve `app` on a connection, whose TLS handshake is done, until either side ends it; then close it.

    Args:
        idle_s: seconds without a request, from the first on.
        send_s: seconds in which the client must take what is sent at one time.

    A cancellation cancels the application, whose last words of a second's shield still go out.
    """
    connection = _Connection(app, stream, idle_s=idle_s, send_s=send_s)
    graceful = False
    try:
        graceful = await connection.run()
    finally:
        if not graceful:
            await trio.aclose_forcefully(stream)
    with trio.move_on_after(_LINGER_S):
        await _finish(stream)
    await trio.aclose_forcefully(stream)


class _Connection:
    def __init__(self, app: App, stream: _Stream, *, idle_s: float, send_s: float) -> None:
        self._app: Final = app
        self._stream: Final = stream
        self._idle_s: Final = idle_s
        self._send_s: Final = send_s
        self._protocol: H11Protocol | Http2
        self._group: TaskGroup
        self._reading: Final = trio.CancelScope()
        self._writing: Final = trio.CancelScope(shield=True)
        self._received = bytearray()
        self._received_some = trio.Event()
        self._over = False  # nothing that comes is heard any more
        self._outgoing: list[bytes] = []
        self._something_waits = trio.Event()
        self._written = trio.Event()  # of what is put into `_outgoing` now
        self._lost = False

    async def run(self) -> bool:
        """Serve; whether all that was sent has gone out."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            try:
                async with TaskGroup() as self._group:
                    http2 = isinstance(self._stream, trio.SSLStream) and self._stream.selected_alpn_protocol() == "h2"
                    self._protocol = self._made(Http2) if http2 else self._made(H11Protocol)
                    self._reading.deadline = trio.current_time() + self._idle_s
                    await self._protocol.initiate()
                    nursery.start_soon(self._handle)
                    await self._read()
                    self._over = True
                    await self._protocol.handle(Closed())
            finally:
                self._writing.cancel()
                nursery.cancel_scope.cancel()
        return not (self._lost or self._outgoing)

    def _made(self, protocol: type[_Protocol]) -> _Protocol:
        secure = isinstance(self._stream, trio.SSLStream)
        transport = self._stream.transport_stream if isinstance(self._stream, trio.SSLStream) else self._stream
        try:
            client = transport.socket.getpeername()[:2]
            server = transport.socket.getsockname()[:2]
        except OSError:
            client = server = None  # the peer has gone, which reading will show
        made = protocol(
            ASGIWrapper(cast(ASGIFramework, self._serve)),
            _config(),
            WorkerContext(None),
            self._group,
            ConnectionState({}),
            secure,
            client,
            server,
            self._send,
        )
        if isinstance(made, Http2):
            made.send_s = self._send_s
        return made

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Of requests that came together the next one may begin behind the end, and would never hear of it.
        if not self._over:
            await self._app(scope, receive, send)

    async def _read(self) -> None:
        """Receive until the client leaves, says more than anybody listens to, or the connection is to end."""
        with self._reading:
            while len(self._received) <= _UNHEARD_BYTES:
                try:
                    data = await self._stream.receive_some(_READ_BYTES)
                except trio.BrokenResourceError:
                    return
                if not data:
                    return
                self._received += data
                self._received_some.set()

    async def _handle(self) -> None:
        while True:
            await self._received_some.wait()
            self._received_some = trio.Event()
            data, self._received = bytes(self._received), bytearray()
            if self._over:
                return
            try:
                try:
                    await self._protocol.handle(RawData(data))
                except (H2CProtocolRequiredError, H2ProtocolAssumedError) as error:
                    await self._switch(error)
            except Exception as error:  # noqa: BLE001 -- whatever it is, these bytes of the client's have brought it about
                _log.warning("http.broken", error=repr(error))
                self._reading.cancel()

    async def _switch(self, error: H2CProtocolRequiredError | H2ProtocolAssumedError) -> None:
        """Go on by HTTP/2, for a client that begins with its preface, or asks for it (RFC 7540, 3.2 and 3.4)."""
        self._protocol = self._made(Http2)
        if isinstance(error, H2CProtocolRequiredError):
            await self._protocol.initiate(error.headers, error.settings)
        else:
            await self._protocol.initiate()
        if error.data:
            await self._protocol.handle(RawData(error.data))

    async def _send(self, event: Event) -> None:
        """What Hypercorn calls: send, or end the connection, or let it wait for the next request."""
        if isinstance(event, RawData):
            await self._send_data(event.data)
        elif isinstance(event, Closed):
            self._reading.cancel()
        elif isinstance(event, Updated):
            self._reading.deadline = trio.current_time() + self._idle_s if event.idle else float("inf")

    async def _send_data(self, data: bytes) -> None:
        # Before anything waits: what HTTP/2 gives away here it has counted as sent, whoever is cancelled meanwhile.
        if sum(map(len, self._outgoing)) > _UNSENT_BYTES:
            self._lose()  # of applications that were cancelled, one after the other
        self._outgoing.append(data)
        self._something_waits.set()
        if self._lost:
            self._outgoing.clear()
            await trio.lowlevel.checkpoint()
            return
        await self._written.wait()

    async def _write(self) -> None:
        with self._writing:
            while not self._lost:
                await self._something_waits.wait()
                self._something_waits = trio.Event()
                data = b"".join(self._outgoing)
                self._outgoing.clear()
                written, self._written = self._written, trio.Event()
                with trio.move_on_after(self._send_s) as patience:
                    try:
                        await self._stream.send_all(data)
                    except trio.BrokenResourceError:
                        self._lose()
                if patience.cancelled_caught:
                    self._lose()
                written.set()

    def _lose(self) -> None:
        self._lost = True
        self._written.set()
        self._reading.cancel()


def _config() -> Config:
    config = Config()
    config.errorlog = None  # what matters is logged by the house, in its own form
    config.include_server_header = False
    config.websocket_max_message_size = _UNHEARD_BYTES
    return config


async def _finish(stream: _Stream) -> None:
    """Say that nothing more comes, and wait for the client to close, so that no reset eats the answer."""
    try:
        if isinstance(stream, trio.SSLStream):
            await stream.unwrap()
            return
        await stream.send_eof()
        while await stream.receive_some(_READ_BYTES):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
