"""A viewer's connection: the socket, and the three things that every way of serving it needs.

To read its request's head; to notice that it has left while something else is waited for; to close so that the last
answer arrives.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self, TypeVar

import trio

from protocol import NEED_DATA
from splice.http import RequestHead, RequestParser
from splice.pump import DROPPED_INPUT_BYTES

__all__ = ["ViewerLeftError", "ViewerSocket", "unless"]

T = TypeVar("T")

_READ_BYTES: Final = 8192
_LINGER_S: Final = 1.0

# How much the kernel may hold that the network has not taken yet. A viewer who is slower than its stream would else
# have megabytes of the past waiting in there, and stay seconds behind; tcp(7) bounds it for a socket. Half a second of
# a 2 Mbit/s stream also holds a whole keyframe.
_NOT_SENT_BYTES: Final = 128 * 1024
_TCP_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class ViewerLeftError(Exception):
    """The viewer has closed, half-closed or reset its connection."""


class ViewerSocket:
    """One accepted connection; a context manager that closes it.

    Attributes:
        socket: the non-blocking socket, for the pump.
        stream: the same socket as Trio's stream, or, after `start_tls`, TLS over it.
        address: the peer's address.
        peer: the peer as `address:port`, IPv6 in brackets.
        early: what came behind the request's head before anybody asked for it, as far as it is kept.
    """

    def __init__(self, accepted: socket.socket, address: str, peer: str) -> None:
        self.socket: Final = accepted
        self._transport: Final = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
        self.stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] = self._transport
        self.address: Final = address
        self.peer: Final = peer
        self.early = b""
        if _TCP_NOTSENT_LOWAT is not None:
            try:
                accepted.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _NOT_SENT_BYTES)
            except OSError:
                pass  # not a TCP socket (the tests' pairs are Unix sockets), and there is no latency to bound

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._transport.socket.close()

    @property
    def send_now(self) -> Callable[[bytes | memoryview], int] | None:
        """The socket's own non-blocking send; None where what is sent has to pass TLS."""
        return self.socket.send if self.stream is self._transport else None

    async def start_tls(self, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
        """Go on over TLS, which is the client's to begin.

        Raises:
            trio.BrokenResourceError: it does not.
        """
        stream = trio.SSLStream(self._transport, context, server_side=True)
        await stream.do_handshake()
        self.stream = stream
        return stream

    async def read_head(self) -> RequestHead:
        """The head of the viewer's request. A cancellation loses what was read: the connection can only be closed then.

        Raises:
            RequestError: it breaks a rule.
            ViewerLeftError: the connection ended before it was whole.
        """
        parser = RequestParser()
        while (head := parser.next_event()) is NEED_DATA:
            try:
                data = await self.stream.receive_some(_READ_BYTES)
            except trio.BrokenResourceError:
                raise ViewerLeftError from None
            if not data:
                raise ViewerLeftError
            parser.receive_data(data)
        self.early = parser.trailing_data
        return head

    def keep(self, data: bytes) -> bool:
        """Keep what came early, for who reads on; False where it is too much."""
        self.early += data
        return len(self.early) <= DROPPED_INPUT_BYTES

    async def unless_left(
        self, function: Callable[[], Awaitable[T]], receive: Callable[[bytes], bool] | None = None
    ) -> T:
        """What `function` returns or raises, if the viewer stays for so long.

        Args:
            receive: takes what the viewer sends meanwhile, and says whether it stays. None: that is dropped.

        Raises:
            ViewerLeftError: the viewer has left; `function` was cancelled.
        """
        return await unless(lambda: self._wait_left(receive), function)

    def send_nowait(self, data: bytes) -> bytes:
        """Send what the kernel takes of `data` at once; the rest.

        Raises:
            ViewerLeftError: the viewer has closed or reset the connection.
        """
        if self.send_now is None:
            return data
        try:
            return data[self.send_now(data) :]
        except BlockingIOError:
            return data
        except OSError:
            raise ViewerLeftError from None

    async def send(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            ViewerLeftError: the viewer has closed or reset the connection.
        """
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            raise ViewerLeftError from None

    async def finish(self, last: bytes = b"") -> None:
        """Send what is last, shut down the sending side, and wait at most a second for the viewer to close.

        A close with bytes unread in our kernel sends a reset, and a reset that overtakes the answer eats it.
        """
        with trio.move_on_after(_LINGER_S):
            try:
                await self.stream.send_all(last)
                if isinstance(self.stream, trio.SSLStream):
                    await self.stream.unwrap()
                    return
                await self.stream.send_eof()
            except trio.BrokenResourceError:
                return
            await self._wait_left()

    def abort(self) -> None:
        """Make the coming close a reset: nothing of what the kernel still holds is sent, or kept, any longer."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        except OSError:
            pass  # it is gone already

    async def _wait_left(self, receive: Callable[[bytes], bool] | None = None) -> None:
        dropped = 0
        while dropped <= DROPPED_INPUT_BYTES:
            try:
                data = await self.stream.receive_some(_READ_BYTES)
            except trio.BrokenResourceError:
                return
            if not data:
                return
            if receive is None:
                dropped += len(data)
            elif not receive(bytes(data)):
                return


async def unless(left: Callable[[], Awaitable[None]], function: Callable[[], Awaitable[T]]) -> T:
    """What `function` returns or raises, unless `left` returns before.

    Raises:
        ViewerLeftError: it has; `function` was cancelled.
    """
    result: T
    error: Exception | None = None
    has_left = True

    async def call() -> None:
        nonlocal result, error, has_left
        try:
            result = await function()
        except Exception as caught:  # noqa: BLE001 -- carried over the nursery, which would wrap it in a group
            error = caught
        has_left = False
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await left()
        nursery.cancel_scope.cancel()
    if has_left:
        raise ViewerLeftError
    if error is not None:
        raise error
    return result
