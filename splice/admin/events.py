"""The log's events for those who listen by HTTP, as server-sent events (HTML Living Standard, 9.2).

    structlog --hear()--> one bounded queue a listener --> EventStream --> GET /api/v1/events

The log never waits. A listener who does not keep up loses the oldest of what waits for it, and is told how many.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["EventFeed", "EventStream", "FeedFullError", "Listener"]

_KEEP_ALIVE_S: Final = 15.0
_KEEP_ALIVE: Final = ":\n\n"
_NOT_SHOWN: Final = ("exc_info", "exception", "stack_info")  # tracebacks are for the log


class Listener:
    """One listener's queue."""

    def __init__(self, length: int) -> None:
        """Args: how many events may wait."""
        self._length: Final = length
        self._waiting: deque[str] = deque()
        self._lost = 0
        self._news = trio.Event()

    def offer(self, message: str) -> None:
        """Add a message; the oldest makes room."""
        if len(self._waiting) >= self._length:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(message)
        self._news.set()

    async def next(self) -> str:
        """All that waits, at least one message; what was lost is said first.

        A cancellation loses nothing.
        """
        await self._news.wait()
        self._news = trio.Event()
        messages = [*self._waiting]
        if self._lost:
            messages.insert(0, _message("lost", {"event": "lost", "count": self._lost}))
        self._waiting.clear()
        self._lost = 0
        return "".join(messages)


class FeedFullError(Exception):
    """As many listen as may."""


class EventFeed:
    """All listeners."""

    def __init__(self, *, listeners: int = 64, length: int = 1000) -> None:
        """Args:
        listeners: the most that there may be.
        length: how many events may wait for each.
        """
        self._most: Final = listeners
        self._length: Final = length
        self._listeners: dict[Listener, None] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the log's."""
        if self._listeners:
            message = _message(str(event.get("event", "")), event)
            for listener in self._listeners:
                listener.offer(message)

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener, while the block runs.

        Raises:
            FeedFullError: there is no room for one more.
        """
        if len(self._listeners) >= self._most:
            raise FeedFullError
        listener = Listener(self._length)
        self._listeners[listener] = None
        try:
            yield listener
        finally:
            del self._listeners[listener]


class EventStream(Response):
    """The answer that does not end until its reader leaves, or the door stops."""

    media_type = "text/event-stream"

    def __init__(self, feed: EventFeed) -> None:
        super().__init__()
        self._feed: Final = feed
        self.raw_headers = [field for field in self.raw_headers if field[0] != b"content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the reader disconnects.

        Raises:
            FeedFullError: as many listen as may; nothing was sent.
        """
        with self._feed.listening() as listener:  # before the first wait, else many at once would all find room
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_write, listener, send)
                while (await receive())["type"] != "http.disconnect":
                    pass
                nursery.cancel_scope.cancel()


async def _write(listener: Listener, send: Send) -> None:
    text = _KEEP_ALIVE  # at once, so that the reader sees the answer's head
    while True:
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        text = _KEEP_ALIVE
        with trio.move_on_after(_KEEP_ALIVE_S):
            text = await listener.next()


def _message(name: str, event: Mapping[str, Any]) -> str:
    shown = {"event": name, **{key: value for key, value in event.items() if key not in _NOT_SHOWN}}
    # json.dumps escapes line feeds, which would end the message.
    return f"event: {' '.join(name.split())}\ndata: {json.dumps(shown, default=str)}\n\n"
