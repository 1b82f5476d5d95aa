"""Hypercorn's HTTP/2 side, with holes closed that a proxy of live streams cannot leave open.

Its buffers take more while the viewer's window is closed, so a viewer that sends no WINDOW_UPDATE would hold all that
its stream has brought since; an application that stops in the midst of its answer leaves the stream open for ever, one
that ends its answer when the viewer has left, or has closed its window, waits for ever; and one that stops before its
answer breaks those of the other streams.
"""

from dataclasses import replace
from typing import Any, Final

import h2.connection
import h2.errors
import h2.exceptions
import trio
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Body, Data, EndBody, EndData, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol

__all__ = ["Http2"]

_UNREAD_ANSWERS_BYTES: Final = 64 * 1024


class Http2(H2Protocol):
    """One connection's HTTP/2."""

    send_s: float = 30.0
    """Seconds in which a piece must be taken that nobody else sees the time of, such as Hypercorn's own close frame."""

    _handler: trio.lowlevel.Task | None = None  # whose task takes what the viewer sends

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._answered: Final[set[int]] = set()  # the streams whose answer's head was sent

    async def handle(self, event: Event) -> None:
        """Take what the viewer has sent, or that the connection is over."""
        if isinstance(event, RawData):
            self._handler = trio.lowlevel.current_task()
        await super().handle(event)
        if isinstance(event, Closed):
            await self._wake_all()
        elif not self.closed and self.connection.state_machine.state is h2.connection.ConnectionState.CLOSED:
            await self.send(Closed())  # after a thousand requests, as Hypercorn has it: nothing can be sent any more

    async def stream_send(self, event: StreamEvent) -> None:
        """Send for one of the streams; of a body's piece it returns when that is in HTTP/2 frames on its way."""
        if isinstance(event, Response):
            if event.stream_id in self._answered:
                # The application was cancelled while its head was on the way, and Hypercorn sends a head of its own.
                # h2 would refuse that half-way, and HPACK's table then hold what the client is never sent.
                await self._reset_unfinished(event.stream_id)
                return
            self._answered.add(event.stream_id)
            # Hypercorn's 500, for an application that has ended without a word, has a field that RFC 9113, 8.2.2,
            # forbids: h2 refuses it likewise.
            event = replace(event, headers=[field for field in event.headers if field[0] != b"connection"])
        if isinstance(event, EndBody | EndData):
            with trio.move_on_after(self.send_s):
                await self._send_unless_over(event)
        else:
            await self._send_unless_over(event)
        if isinstance(event, Body | Data):
            await self._wait_taken(event.stream_id)
        elif isinstance(event, StreamClosed):
            self._answered.discard(event.stream_id)
            await self._reset_unfinished(event.stream_id)

    async def _send_unless_over(self, event: StreamEvent) -> None:
        # Once the connection is over nobody empties the buffers, and who waited for that would wait for ever.
        if self.closed and not isinstance(event, StreamClosed):
            await trio.lowlevel.checkpoint()
        else:
            await super().stream_send(event)

    async def _wake_all(self) -> None:
        """Let those go who wait until their buffers are taken from."""
        for buffer in self.stream_buffers.values():
            waiting: Any = buffer
            await waiting._is_empty.set()
            await waiting._paused.set()

    async def _wait_taken(self, stream_id: int) -> None:
        buffer: Any = self.stream_buffers.get(stream_id)
        if buffer is None:
            return
        if trio.lowlevel.current_task() is not self._handler:
            with trio.move_on_after(self.send_s) as patience:
                await buffer.drain()
            if patience.cancelled_caught:
                await self._reset_unfinished(stream_id)
        elif len(buffer.buffer) > _UNREAD_ANSWERS_BYTES:
            # A pong, which Hypercorn sends out of the task that has to see the WINDOW_UPDATE: it cannot wait for one.
            await self.send(Closed())

    async def _reset_unfinished(self, stream_id: int) -> None:
        buffer: Any = self.stream_buffers.get(stream_id)
        if buffer is None or buffer.complete:
            return
        try:
            self.connection.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
        except h2.exceptions.ProtocolError:
            pass  # the viewer has reset it, or the connection is over
        await buffer.close()
        if stream_id in self.stream_buffers:
            self.priority.unblock(stream_id)  # so that the sending task finds it reset, and forgets it
        await self.has_data.set()
        await self._flush()
