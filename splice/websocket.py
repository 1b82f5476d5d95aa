"""One viewer by WebSocket, on both routes: the answer to its handshake, its frames, and the close that fits (RFC 6455).

    LiveStream -> Subscriber, its messages made once for all ---+
                                                                +-- feed --> viewer
    origin's body -> Outbox, one message at a time -------------+
                                 ^-- pongs, between messages -- WebSocketViewer <-- viewer's frames

The door pings nobody: a viewer that has died unseen stops taking the stream, which `stall_s` ends, and while no stream
flows its connection is not worth keeping up.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog
import trio

from splice.http import CloseReason, WebSocketSession
from splice.hub import feeding
from splice.pump import DROPPED_INPUT_BYTES
from splice.stats import EndReason, Meter, Viewer
from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["CLOSES", "TOO_MUCH", "Backlog", "Outbox", "WebSocketViewer"]

_CONTROL_INTERVAL_S: Final = 60.0
"""In so long, a viewer's pings and pongs may have as many bytes as all that it has to say else, ever."""

CLOSES: Final = {
    EndReason.ORIGIN_ENDED: (CloseReason.NORMAL_CLOSURE, "the stream has ended"),
    EndReason.ORIGIN_LOST: (CloseReason.INTERNAL_ERROR, "the origin's connection was lost"),
    EndReason.DRAINED: (CloseReason.GOING_AWAY, "the door is closing"),
    EndReason.KICKED: (CloseReason.POLICY_VIOLATION, "the operator has ended this"),
}
"""What a viewer is told when its stream has ended, by the reason."""
_BUG: Final = CloseReason.INTERNAL_ERROR, "the door has failed"
TOO_MUCH: Final = CloseReason.POLICY_VIOLATION, "viewers listen"

_log = structlog.get_logger()


class Backlog(feeding.Backlog, Protocol):
    """What waits for one viewer, messages and the answers put between them."""

    def insert(self, piece: bytes, now: float) -> None: ...

    @property
    def unfinished(self) -> bytes: ...


class Outbox:
    """What waits for one viewer whose messages come one at a time: the one that it is at, and pongs.

    Attributes:
        ended: never; whoever puts messages in knows.
    """

    ended: Final = False

    def __init__(self, meter: Meter) -> None:
        """Args: its `bytes` grows as the viewer takes them."""
        self._meter: Final = meter
        self._pieces: deque[bytes | memoryview] = deque()
        self._begun = False  # the first piece was taken in part
        self._something_waits = trio.Event()
        self._nothing_waits = trio.Event()

    async def send(self, message: bytes) -> None:
        """Send a message, and wait until the viewer has taken it. A cancellation leaves it waiting."""
        self.insert(message, trio.current_time())
        await self._nothing_waits.wait()

    def insert(self, piece: bytes, now: float) -> None:
        """Send something behind what waits already."""
        if not self._pieces:
            self._nothing_waits = trio.Event()
            self._something_waits.set()
        self._pieces.append(piece)

    async def wait_something_to_do(self) -> None:
        """Wait until something waits."""
        await self._something_waits.wait()

    @property
    def next_piece(self) -> bytes | memoryview | None:
        """What is to be sent now; None: nothing."""
        return self._pieces[0] if self._pieces else None

    @property
    def unfinished(self) -> bytes:
        """The rest of a piece that the viewer has taken in part; b"" where there is none."""
        return bytes(self._pieces[0]) if self._begun else b""

    def took(self, count: int) -> None:
        """Say that the viewer has taken `count` bytes of `next_piece`."""
        self._meter.bytes += count
        piece = self._pieces[0]
        self._begun = count < len(piece)
        if self._begun:
            self._pieces[0] = memoryview(piece)[count:]
            return
        self._pieces.popleft()
        if not self._pieces:
            self._something_waits = trio.Event()
            self._nothing_waits.set()


class WebSocketViewer:
    """See the module."""

    def __init__(self, connection: ViewerSocket, accepting_head: bytes, viewer: Viewer) -> None:
        """Args:
        connection: on which the handshake came.
        accepting_head: the answer 101 that it gets.
        viewer: who came on it.
        """
        self._connection: Final = connection
        self._accepting_head: Final = accepting_head
        self._viewer: Final = viewer
        self._session: Final = WebSocketSession()
        self._backlog: Backlog | None = None  # None: the handshake was not answered yet
        self._says_too_much = False
        self._interval_began = 0.0
        self._control_bytes_before = 0

    async def open(self, backlog: Backlog) -> None:
        """Accept the handshake. From now on answers are inserted into `backlog`, for whoever sends what waits there.

        Raises:
            ViewerLeftError: the viewer has reset the connection, or what it sent before has ended it.
        """
        self._backlog = backlog
        early, self._connection.early = self._connection.early, b""
        stays = self._receive(early)
        await self._connection.send(self._accepting_head)
        if not stays:
            raise ViewerLeftError

    async def serve(self, play: Callable[[], Awaitable[EndReason]]) -> EndReason:
        """Run `play`, which calls `open`, while the viewer's frames are answered; then close. Why it has ended.

        What `play` holds is released before the viewer is told anything. A cancellation, and an exception of `play`,
        close too where the handshake was accepted; before that nothing was sent, and it can be answered by HTTP.
        """
        closing: tuple[CloseReason, str] | None = None
        try:
            reason = await self._connection.unless_left(play, self._receive)
            closing = CLOSES.get(reason)
            if reason is EndReason.STALLED:
                self._connection.abort()
        except ViewerLeftError:
            reason = EndReason.VIEWER_LEFT
            if self._session.over or self._says_too_much:
                closing = TOO_MUCH
        except Exception:
            closing = _BUG
            raise
        except BaseException:  # a cancellation, or, of several tasks, a group of them
            closing = CLOSES.get(self._viewer.ended_by or EndReason.DRAINED)
            raise
        finally:
            if closing is not None and self._backlog is not None:
                with trio.CancelScope(shield=True):
                    await self._connection.finish(self._backlog.unfinished + self._session.close(*closing))
        return reason

    def _receive(self, data: bytes) -> bool:
        """Take what the viewer sends; whether it stays."""
        if self._backlog is None:
            return self._connection.keep(data)
        session = self._session
        pongs = session.receive_data(data)
        if pongs:
            self._backlog.insert(pongs, trio.current_time())
        if session.error is not None:
            _log.warning("websocket.broken", peer=self._connection.peer, error=session.error)
        self._says_too_much = session.message_bytes > DROPPED_INPUT_BYTES or self._pings_too_much()
        return not (session.over or self._says_too_much)

    def _pings_too_much(self) -> bool:
        now = trio.current_time()
        if now - self._interval_began > _CONTROL_INTERVAL_S:
            self._interval_began = now
            self._control_bytes_before = self._session.control_bytes
        return self._session.control_bytes - self._control_bytes_before > DROPPED_INPUT_BYTES
