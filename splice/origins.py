"""A connection to an origin: dial one of its addresses, send the request's head, read the answer's.

An origin may have several addresses; the next is tried when one refuses, times out, answers nonsense, or has not got
what it is asked for. Names are resolved anew at each dial.
"""

import errno
import functools
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import structlog
import trio

from protocol import NEED_DATA
from splice.config import OriginAddress
from splice.http import ResponseError, ResponseHead, ResponseParser

__all__ = ["Dialled", "OriginConnection", "OriginError", "dial"]

_READ_BYTES: Final = 16 * 1024
_MISSING: Final = 404

_log = structlog.get_logger()


class OriginError(Exception):
    """No address of the origin gave an answer.

    Attributes:
        status: 502, 503 (no descriptor was left to dial with) or 504.
        detail: one sentence for the viewer; it holds no address.
        for_log: what the operator is told besides: `error`, and the `cause` where somebody else's words have one.
    """

    def __init__(self, status: int, detail: str, *, cause: str = "") -> None:
        super().__init__(detail)
        self.status: Final = status
        self.detail: Final = detail
        self.for_log: Final = {"error": detail, "cause": cause} if cause else {"error": detail}


@dataclass(frozen=True, slots=True)
class Dialled:
    """A connection that we have made, open until `close`.

    Attributes:
        socket: plain and non-blocking, for the pump, and for who sends without waiting; not to be used under TLS.
        stream: the same as Trio's stream, with TLS over it where that was asked for.
    """

    socket: socket.socket
    stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]

    @property
    def by_tls(self) -> bool:
        return isinstance(self.stream, trio.SSLStream)

    def close(self) -> None:
        """Close it, without TLS's farewell: the other side sees it at once."""
        transport = self.stream.transport_stream if isinstance(self.stream, trio.SSLStream) else self.stream
        transport.socket.close()


async def dial(
    host: str, port: int, *, connect_s: float, tls: ssl.SSLContext | None = None, whom: str = "the origin"
) -> Dialled:
    """Connect to a server, and shake hands with it where there is TLS.

    Args:
        connect_s: seconds for all of it, the name's resolution too.
        tls: whom to trust; None: no TLS.
        whom: what the server is called in sentences.

    Raises:
        OriginError: 502: it refuses, has no address, or is not trusted; 503: no descriptor is left; 504: it is mute.

    A cancellation leaves nothing open.
    """
    try:
        with trio.fail_after(connect_s):
            plain, stream = await _connect(host, port)
            if tls is None:
                return Dialled(plain, stream)
            return Dialled(plain, await _shake_hands(stream, tls, host, whom))
    except trio.TooSlowError:
        detail = f"{whom} did not accept a connection within {connect_s:g} s; try again later"
        raise OriginError(504, detail) from None
    except OSError as error:
        raise _dial_error(error, whom) from None


async def _connect(host: str, port: int) -> tuple[socket.socket, trio.SocketStream]:
    family = _family(host)
    if family is None:
        return _plain(await trio.open_tcp_stream(host, port))
    # An address needs none of what a name does, several attempts in tasks of their own: half of what a dial costs.
    plain = socket.socket(family, socket.SOCK_STREAM)
    try:
        plain.setblocking(False)
        transport = trio.socket.from_stdlib_socket(plain)
        await transport.connect((host, port))
        return plain, trio.SocketStream(transport)
    except BaseException:
        plain.close()
        raise


@functools.lru_cache(maxsize=1024)
def _family(host: str) -> socket.AddressFamily | None:
    """Of an address; None: it is a name."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _plain(stream: trio.SocketStream) -> tuple[socket.socket, trio.SocketStream]:
    # The pump and forwards work on plain sockets; Trio's gives its descriptor away.
    given = stream.socket
    plain = socket.socket(given.family, given.type, given.proto, fileno=given.detach())
    plain.setblocking(False)
    return plain, trio.SocketStream(trio.socket.from_stdlib_socket(plain))


async def _shake_hands(
    transport: trio.SocketStream, context: ssl.SSLContext, host: str, whom: str
) -> trio.SSLStream[trio.SocketStream]:
    stream = trio.SSLStream(transport, context, server_hostname=host, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        transport.socket.close()
        raise _tls_error(error.__cause__, whom) from None
    except BaseException:
        transport.socket.close()
        raise
    return stream


def _tls_error(cause: BaseException | None, whom: str) -> OriginError:
    if isinstance(cause, ssl.SSLCertVerificationError):
        detail = f"the certificate of {whom} is not to be trusted; tell the operator, who has tls_ca and tls_verify"
        return OriginError(502, detail, cause=cause.verify_message)
    words = str(getattr(cause, "reason", None) or "the connection was closed").lower().replace("_", " ")
    return OriginError(502, f"{whom} does not agree on TLS; it may speak none at this port", cause=words)


class OriginConnection:
    """At most one open connection to an origin; a context manager that closes it, also when `ask` was cancelled.

    Attributes:
        address: whose answer it is, after `ask` has returned; the next two as well.
        stream: the connection.
        socket: the same as a non-blocking socket, for the pump.
        first_bytes: what came behind the response head.
    """

    def __init__(self, *, connect_s: float, head_s: float, tls: ssl.SSLContext | None = None) -> None:
        """Args:
        connect_s, head_s: seconds for an address to accept, and for it to send its whole response head.
        tls: whom to trust at https:// addresses.
        """
        self._connect_s: Final = connect_s
        self._head_s: Final = head_s
        self._tls: Final = tls
        self.first_bytes = b""
        self.address: OriginAddress
        self.socket: socket.socket
        self.stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
        self._open: list[Dialled] = []
        self._until_closed: Final = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open; the origin sees it at once."""
        while self._open:
            self._open.pop().close()
        self._until_closed.close()

    def until_closed(self, context: AbstractContextManager[object]) -> None:
        """Enter a context, which is left when the connection is closed."""
        self._until_closed.enter_context(context)

    async def ask(self, addresses: Sequence[OriginAddress], request: Callable[[OriginAddress], bytes]) -> ResponseHead:
        """The response head that one of `addresses` answers to the request head `request(address)`.

        The first answer that is no 404 counts, or else the last 404.

        Raises:
            OriginError: the last one's failure, when none has answered.

        After a cancellation, `close` is all that can be done with it.
        """
        failure: OriginError | None = None
        missing: _Answer | None = None
        for address in addresses:
            try:
                answer = await self._answer(address, request(address))
            except OriginError as error:
                _log.warning("origin.failed", address=str(address), status=error.status, **error.for_log)
                failure = error
                continue
            if missing is not None:
                self._drop(missing.connection)
            if answer.head.status != _MISSING:
                return self._taken(answer)
            missing = answer
            if len(addresses) > 1:
                _log.info("origin.missing", address=str(address))
        if missing is not None:
            return self._taken(missing)
        raise failure or OriginError(502, "the origin has no address")

    def _taken(self, answer: "_Answer") -> ResponseHead:
        self.address = answer.address
        self.socket = answer.connection.socket
        self.stream = answer.connection.stream
        self.first_bytes = answer.first_bytes
        return answer.head

    def _drop(self, connection: Dialled) -> None:
        self._open.remove(connection)
        connection.close()

    async def _answer(self, address: OriginAddress, request: bytes) -> "_Answer":
        tls = self._tls if address.by_tls else None
        connection = await dial(address.host, address.port, connect_s=self._connect_s, tls=tls)
        self._open.append(connection)
        try:
            head, first_bytes = await self._converse(connection, request)
        except OriginError:
            self._drop(connection)
            raise
        return _Answer(address, connection, head, first_bytes)

    async def _converse(self, connection: Dialled, request: bytes) -> tuple[ResponseHead, bytes]:
        parser = ResponseParser()
        try:
            with trio.fail_after(self._head_s):
                await connection.stream.send_all(request)
                while (head := parser.next_event()) is NEED_DATA:
                    data = await connection.stream.receive_some(_READ_BYTES)
                    if not data:
                        raise OriginError(502, "the origin closed the connection without a whole answer")
                    parser.receive_data(bytes(data))
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
        return head, parser.trailing_data


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an address has said, on a connection that is open."""

    address: OriginAddress
    connection: Dialled
    head: ResponseHead
    first_bytes: bytes


def _dial_error(error: OSError, whom: str) -> OriginError:
    # Trio tries every address of a name, and raises one error with all of theirs as its cause.
    causes = error.__cause__.exceptions if isinstance(error.__cause__, ExceptionGroup) else (error.__cause__,)
    if any(isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE) for cause in (error, *causes)):
        return OriginError(503, "this door has no descriptor left for one more connection; try again soon")
    if isinstance(error, socket.gaierror):
        return OriginError(502, f"the name of {whom} cannot be resolved; tell the operator")
    return OriginError(502, f"{whom} refuses connections; it may be starting, or down")
