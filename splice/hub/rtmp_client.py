"""A dialled RTMP connection: the kit's client session on a socket, or on TLS for rtmps://, for pulls and forwards.

Who pulls has the session's own answers sent as they come up; who forwards is in the middle of sending something else,
and puts them in between. Of each turn a server gets so many chunks and no more, as the door's clients do.
"""

import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from protocol import NEED_DATA, RemoteProtocolError
from protocol.rtmp import PAUSED, ClientSession, Event, RtmpUrl
from splice.origins import OriginError
from splice.trust import client_context

__all__ = ["RtmpClient", "open_rtmp_client"]

_CHUNK_SIZE: Final = 60_000  # what ffmpeg announces as well: most messages fit into one
_CHUNKS_PER_TURN: Final = 512
_READ_BYTES: Final = 64 * 1024


class RtmpClient:
    """A connection that is open; `open_rtmp_client` makes and closes it.

    Attributes:
        session: what it says goes out by `send`, or between two pieces that are sent otherwise.
        socket: non-blocking; only where `tls` is false may anything be sent to it past `send`.
        tls: whether the connection is more than its socket.
    """

    def __init__(self, session: ClientSession, dialled: socket.socket) -> None:
        self.session: Final = session
        self.socket: Final = dialled
        self.tls = False
        self._dialled: Final = trio.socket.from_stdlib_socket(dialled)
        self._stream: trio.abc.Stream = trio.SocketStream(self._dialled)
        session.chunk_allowance = _CHUNKS_PER_TURN

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Speak TLS from here on; the server's certificate has to be for `server_hostname`.

        Raises:
            OriginError: 502: it is not, or is not trusted, or the server breaks off the handshake.
        """
        # Servers of RTMP close the socket without a close_notify, as those of HTTPS do.
        secured = trio.SSLStream(self._stream, context, server_hostname=server_hostname, https_compatible=True)
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError as error:
            raise OriginError(502, _tls_fault(error.__cause__)) from None
        self._stream, self.tls = secured, True

    async def send(self, data: bytes) -> None:
        """Send all of `data`. After a cancellation some of it may have gone, and the connection can only be closed.

        Raises:
            OriginError: 502: the connection is lost.
        """
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            raise OriginError(502, "the RTMP server has reset the connection") from None

    async def next_event(self, *, say: Callable[[bytes], None] | None = None) -> Event:
        """The next event; a cancellation loses none.

        Args:
            say: takes what the session answers by itself, where somebody else sends; None: it is sent from here.

        Raises:
            OriginError: 502: the server has closed or reset the connection, or breaks the protocol.
        """
        while True:
            try:
                event = self.session.next_event()
            except RemoteProtocolError as error:
                raise OriginError(502, f"the RTMP server breaks the protocol: {error}") from None
            if event is not NEED_DATA and event is not PAUSED:
                return event
            if data := self.session.data_to_send():
                if say is None:
                    await self.send(data)
                else:
                    say(data)
            if event is PAUSED:
                await trio.lowlevel.checkpoint()
            else:
                await self._receive()
            self.session.chunk_allowance = _CHUNKS_PER_TURN

    async def _receive(self) -> None:
        try:
            data = await self._stream.receive_some(_READ_BYTES)
        except trio.BrokenResourceError:
            raise OriginError(502, "the RTMP server has reset the connection") from None
        if not data:
            raise OriginError(502, "the RTMP server has closed the connection")
        self.session.receive_data(data)

    def close(self) -> None:
        """Close the connection; the server sees it at once."""
        self._dialled.close()
        self.session.close()


@asynccontextmanager
async def open_rtmp_client(url: RtmpUrl, *, connect_s: float) -> AsyncIterator[RtmpClient]:
    """A connection to the server of `url`, closed when the block is left; the session begins with its first event.

    Args:
        connect_s: how many seconds the server has to accept it, and as many for the TLS handshake of rtmps://.

    Raises:
        OriginError: 502: it is refused, or its certificate is; 504: it is not accepted in time.
    """
    session = ClientSession(url, random_bytes=os.urandom, chunk_size=_CHUNK_SIZE)
    client = RtmpClient(session, await _dial(url.host, url.port, connect_s))
    try:
        if url.scheme == "rtmps":
            try:
                with trio.fail_after(connect_s):
                    await client.start_tls(client_context(), url.host)
            except trio.TooSlowError:
                raise OriginError(504, f"the RTMP server did not finish TLS's handshake in {connect_s:g} s") from None
        yield client
    finally:
        client.close()


async def _dial(host: str, port: int, connect_s: float) -> socket.socket:
    try:
        with trio.fail_after(connect_s):
            dialled = (await trio.open_tcp_stream(host, port)).socket
    except trio.TooSlowError:
        detail = f"the RTMP server did not accept a connection within {connect_s:g} s; try again later"
        raise OriginError(504, detail) from None
    except OSError:
        raise OriginError(502, "the RTMP server refuses connections; it may be starting, or down") from None
    # A forward sends without waiting, which Trio's sockets do not offer; so the descriptor moves to a plain one.
    plain = socket.socket(dialled.family, dialled.type, dialled.proto, fileno=dialled.detach())
    plain.setblocking(False)
    return plain


def _tls_fault(error: BaseException | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the RTMP server's certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "the RTMP server speaks no TLS at this port; is it rtmp:// there?"
    return "the RTMP server broke off TLS's handshake"
