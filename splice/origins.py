"""A connection to an origin: dial one of its addresses, send the request's head, read the answer's.

An origin may have several addresses; the next is tried when one refuses, times out or answers nonsense.
"""

import errno
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import structlog
import trio

from protocol import NEED_DATA
from splice.config import OriginAddress
from splice.http import ResponseError, ResponseHead, ResponseParser

__all__ = ["OriginConnection", "OriginError"]

_READ_BYTES: Final = 16 * 1024

_log = structlog.get_logger()


class OriginError(Exception):
    """No address of the origin gave an answer.

    Attributes:
        status: 502, 503 (no descriptor was left to dial with) or 504.
        detail: one sentence for the viewer; it holds no address.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status: Final = status
        self.detail: Final = detail


class OriginConnection:
    """At most one open connection to an origin; a context manager that closes it, also when `ask` was cancelled.

    Attributes:
        stream: the connection, after `ask` has returned.
        socket: the same as a non-blocking socket, for the pump.
        first_bytes: what came behind the response head.
    """

    def __init__(self, *, connect_s: float, head_s: float) -> None:
        """Args: seconds for an address to accept, and for it to send its whole response head."""
        self._connect_s = connect_s
        self._head_s = head_s
        self.first_bytes = b""
        self.socket: socket.socket
        self.stream: trio.SocketStream
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open; the origin sees it at once."""
        if self._open:
            self._open = False
            self.stream.socket.close()

    async def ask(
        self, addresses: tuple[OriginAddress, ...], request: Callable[[OriginAddress], bytes]
    ) -> ResponseHead:
        """The first response head that one of `addresses` answers to the request head `request(address)`.

        Raises:
            OriginError: the last one's failure, when all have failed.

        After a cancellation, `close` is all that can be done with it.
        """
        failure: OriginError | None = None
        for address in addresses:
            try:
                await self._dial(address)
                return await self._converse(request(address))
            except OriginError as error:
                self.close()
                _log.warning("origin.failed", address=str(address), status=error.status, error=error.detail)
                failure = error
        raise failure or OriginError(502, "the origin has no address")

    async def _dial(self, address: OriginAddress) -> None:
        try:
            with trio.fail_after(self._connect_s):
                dialled = await trio.open_tcp_stream(address.host, address.port)
        except trio.TooSlowError:
            detail = f"the origin did not accept a connection within {self._connect_s:g} s; try again later"
            raise OriginError(504, detail) from None
        except OSError as error:
            raise _dial_error(error) from None
        # The pump works on plain sockets; Trio's gives its descriptor away.
        trio_socket = dialled.socket
        self.socket = socket.socket(
            trio_socket.family, trio_socket.type, trio_socket.proto, fileno=trio_socket.detach()
        )
        self.socket.setblocking(False)
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(self.socket))
        self._open = True

    async def _converse(self, request: bytes) -> ResponseHead:
        parser = ResponseParser()
        try:
            with trio.fail_after(self._head_s):
                await self.stream.send_all(request)
                while (head := parser.next_event()) is NEED_DATA:
                    data = await self.stream.receive_some(_READ_BYTES)
                    if not data:
                        raise OriginError(502, "the origin closed the connection without a whole answer")
                    parser.receive_data(data)
        except trio.TooSlowError:
            raise OriginError(
                504,
                f"the origin took the request and sent no answer within {self._head_s:g} s; some origins stay silent "
                "while nobody publishes the stream: check that its encoder is running",
            ) from None
        except trio.BrokenResourceError:
            raise OriginError(502, "the origin reset the connection without a whole answer") from None
        except ResponseError as error:
            raise OriginError(502, f"the origin's answer cannot be passed on: {error.detail}") from None
        self.first_bytes = parser.trailing_data
        return head


def _dial_error(error: OSError) -> OriginError:
    # Trio tries every address of a name, and raises one error with all of theirs as its cause.
    causes = error.__cause__.exceptions if isinstance(error.__cause__, ExceptionGroup) else (error.__cause__,)
    if any(isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE) for cause in (error, *causes)):
        return OriginError(503, "this door has no descriptor left for one more connection; try again soon")
    if isinstance(error, socket.gaierror):
        return OriginError(502, "the origin's name cannot be resolved; tell the operator")
    return OriginError(502, "the origin refuses connections; it may be starting, or down")
