"""An accepted RTMP connection: the kit's session on a socket. Bytes are read when the session has nothing left to say.

Of each turn a client gets so many chunks and no more: chunks of one byte are legal, and slow for their sender alone.
"""

import os
from typing import Final

import trio

from protocol import NEED_DATA, Limits
from protocol.rtmp import PAUSED, Event, ServerSession, SharedBudget
from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["RTMP_CHUNK_SIZE", "RtmpConnection"]

RTMP_CHUNK_SIZE: Final = 60_000
"""Of the chunks that the door sends, as SetChunkSize announces it: most messages fit into one."""

_CHUNKS_PER_TURN: Final = 512
_READ_BYTES: Final = 64 * 1024
_STRANGER: Final = Limits(buffered_bytes=256 * 1024, message_bytes=256 * 1024)
_ACCEPTED: Final = Limits(buffered_bytes=64 * 1024 * 1024)


class RtmpConnection:
    """See the module. A context manager that gives back what the session holds.

    Attributes:
        session: its requests are answered by whoever gets them from `next_event`.
        socket: the connection.
    """

    def __init__(self, socket: ViewerSocket, budget: SharedBudget) -> None:
        """Args: for unfinished messages, shared by all connections."""
        self.socket: Final = socket
        self.session: Final = ServerSession(
            random_bytes=os.urandom,
            limits=_STRANGER,
            chunk_size=RTMP_CHUNK_SIZE,
            sample_access=False,  # for Flash alone, and ffmpeg takes it for a track of text
            budget=budget,
        )
        self.session.chunk_allowance = _CHUNKS_PER_TURN

    def __enter__(self) -> "RtmpConnection":
        return self

    def __exit__(self, *exception: object) -> None:
        self.session.close()

    def trust(self) -> None:
        """Publish or play was accepted: messages may be as large as messages get."""
        self.session.limits = _ACCEPTED

    def next_event_nowait(self) -> Event | None:
        """The next event out of what was received; None: go on with `refill`.

        Raises:
            RemoteProtocolError: the client broke the protocol.
        """
        event = self.session.next_event()
        return None if event is NEED_DATA or event is PAUSED else event

    async def refill(self) -> None:
        """Send what the session wants to say, and receive more, or, where its turn was used up, let others go on.

        Raises:
            ViewerLeftError: the client has closed or reset the connection.
        """
        await self.flush()
        await self.receive()

    async def receive(self) -> None:
        """The second half of `refill`, for who sends what the session wants to say by another way.

        Raises:
            ViewerLeftError: the client has closed or reset the connection.
        """
        if self.session.chunk_allowance == 0:
            self.session.chunk_allowance = _CHUNKS_PER_TURN
            await trio.lowlevel.checkpoint()
            return
        self.session.chunk_allowance = _CHUNKS_PER_TURN
        try:
            data = await self.socket.stream.receive_some(_READ_BYTES)
        except trio.BrokenResourceError:
            raise ViewerLeftError from None
        if not data:
            raise ViewerLeftError
        self.session.receive_data(data)

    async def next_event(self) -> Event:
        """The next event.

        Raises:
            RemoteProtocolError, ViewerLeftError: as the two methods above.
        """
        while (event := self.next_event_nowait()) is None:
            await self.refill()
        return event

    async def flush(self) -> None:
        """Send what the session wants to say."""
        if data := self.session.data_to_send():
            await self.socket.send(data)
