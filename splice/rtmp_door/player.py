"""What an RTMP player says while it plays, and what it is told: the other half of a connection whose stream flows.

Its answers go into the stream's own queue, for both are written to one socket, and a piece of the stream may be half
sent.
"""

from typing import Final

import structlog
import trio

from protocol import RemoteProtocolError
from protocol.rtmp import Code, PauseChanged, PlayRequested, PlayStopped, PublishRequested, ServerState
from splice.hub import LiveStream, RtmpForm, Subscriber, Tracks, only
from splice.rtmp_door.connection import RTMP_CHUNK_SIZE, RtmpConnection
from splice.stats import Viewer
from splice.viewer_socket import ViewerLeftError

__all__ = ["RtmpPlayer"]

_UNREAD_ANSWERS_BYTES: Final = 64 * 1024

_log = structlog.get_logger()


class RtmpPlayer:
    """What a player says from its request on: heard all the while, so that it is seen to leave also while it waits."""

    def __init__(self, connection: RtmpConnection, request: PlayRequested) -> None:
        self._connection: Final = connection
        self._request: Final = request
        self._subscriber: Subscriber | None = None
        self._unread_bytes = 0  # of answers, since the player had last taken all that was sent

    def accept(self, live: LiveStream, viewer: Viewer, tracks: Tracks) -> Subscriber:
        """Say that the stream is here; what is to be subscribed to it, the answer in front."""
        self._request.accept()  # and no trust: a player has nothing to say that is long
        self._subscriber = Subscriber(
            only(RtmpForm(self._request.message_stream_id, RTMP_CHUNK_SIZE), tracks),
            send=self._connection.socket.send_now,
            meter=viewer,
            max_bytes=live.limits.backlog_bytes,
            max_s=live.limits.backlog_s,
        )
        self._subscriber.insert(self._connection.session.data_to_send(), trio.current_time())
        return self._subscriber

    async def listen(self) -> None:
        """Hear the player until it stops, breaks a rule or leaves."""
        try:
            while self.hear():
                await self._connection.receive()
        except ViewerLeftError:
            return

    def hear(self) -> bool:
        """Answer what the player has said so far; whether it goes on. Before `accept` it is not listened to."""
        try:
            while (event := self._connection.next_event_nowait()) is not None:
                if isinstance(event, PlayStopped) and event.message_stream_id == self._request.message_stream_id:
                    return False
                if isinstance(event, PauseChanged) and self._subscriber is not None:
                    self._subscriber.pause(paused=event.paused)
                elif isinstance(event, PublishRequested | PlayRequested):
                    event.reject(Code.PLAY_FAILED, "One connection plays one stream here: open another.")
        except RemoteProtocolError as error:
            self._log_broken(str(error))
            return False
        return self._subscriber is None or self._answer(self._subscriber)

    def last_words(self) -> bytes:
        """What tells the player that its stream is over, where it has not stopped by itself a moment ago."""
        session, message_stream_id = self._connection.session, self._request.message_stream_id
        if session.stream_state(message_stream_id) is ServerState.PLAYING:
            return session.end_play(message_stream_id)
        return session.data_to_send()

    def _answer(self, subscriber: Subscriber) -> bool:
        """Send what the session has to say; False where the player asks and asks, and takes no answer."""
        if subscriber.next_piece is None:
            self._unread_bytes = 0
        if data := self._connection.session.data_to_send():
            # Not by flush(): the stream writes to the same socket, and a piece of it may be half sent.
            subscriber.insert(data, trio.current_time())
            self._unread_bytes += len(data)
        if self._unread_bytes > _UNREAD_ANSWERS_BYTES:
            self._log_broken("the player asks for more than it reads")
            return False
        return True

    def _log_broken(self, error: str) -> None:
        _log.warning("rtmp.broken", peer=self._connection.socket.peer, error=error)
