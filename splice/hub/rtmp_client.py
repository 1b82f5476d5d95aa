"""A dialled RTMP connection: the kit's client session on a socket, or on TLS for rtmps://, for pulls and forwards.

Who pulls has the session's own answers sent as they come up; who forwards is in the middle of sending something else,
and puts them in between. Of each turn a server gets so many chunks and no more, as the door's clients do.
"""

import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import trio

from protocol import NEED_DATA, RemoteProtocolError
from protocol.amf import Value
from protocol.rtmp import PAUSED, ClientSession, Event, RtmpUrl
from splice.origins import Dialled, OriginError, dial
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

    def __init__(self, session: ClientSession, dialled: Dialled) -> None:
        self.session: Final = session
        self.socket: Final = dialled.socket
        self.tls: Final = dialled.by_tls
        self._dialled: Final = dialled
        self._stream: Final = dialled.stream
        session.chunk_allowance = _CHUNKS_PER_TURN

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
async def open_rtmp_client(
    url: RtmpUrl,
    *,
    connect_s: float,
    tls: ssl.SSLContext | None = None,
    properties: Mapping[str, Value] | None = None,
) -> AsyncIterator[RtmpClient]:
    """A connection to the server of `url`, closed when the block is left; the session begins with its first event.

    Args:
        connect_s: how many seconds the server has to accept it, and for rtmps:// to shake hands.
        tls: whom to trust where it is rtmps://; None: the system's authorities.
        properties: what connect says besides.

    Raises:
        OriginError: 502: it is refused, or its certificate is; 504: it is not accepted in time.
    """
    context = (tls or client_context()) if url.scheme == "rtmps" else None
    session = ClientSession(url, random_bytes=os.urandom, chunk_size=_CHUNK_SIZE, connect_properties=properties)
    dialled = await dial(url.host, url.port, connect_s=connect_s, tls=context, whom="the RTMP server")
    client = RtmpClient(session, dialled)
    try:
        yield client
    finally:
        client.close()
