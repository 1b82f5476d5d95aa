"""What the two sides of an RTMP connection share: one object from the first byte of the handshake to the last message.

Bytes go in at `receive_data` and come out of `next_event` as events; what the session says by itself (the handshake,
acknowledgements, pongs, results) gathers in order for `data_to_send`. Below it stand the handshake (RTMP 1.0, section
5.2), the chunk reader and writer (5.3) and the messages (5.4, 6.2); `server_session` and `client_session` add the
commands (7.2).

Chunk stream ids: the session writes on 2 (control), 3 (the connection's commands) and 5 (a stream's commands and
data of its own); `send_media` on 4 (audio), 6 (video) and 7 (data). Chunks made elsewhere, with `encode_standalone`,
may go between any two pieces that the session returned, on any chunk stream id that it does not write on: 8 and up,
and 4, 6 and 7 on a connection whose `send_media` is never called. They must keep to `chunk_size`.
"""

import abc
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from protocol._base import NEED_DATA, Limits, LocalProtocolError, NeedDataType, RemoteProtocolError
from protocol.rtmp.aggregate import split_aggregate
from protocol.rtmp.chunks import (
    PAUSED,
    ChunkReader,
    ChunkWriter,
    ExtendedTimestamps,
    PausedType,
    RawMessage,
    SharedBudget,
    check_chunk_size,
    check_fields,
)
from protocol.rtmp.commands import Command, Status, decode_command, encode_command, status_command
from protocol.rtmp.events import Event, MessageReceived
from protocol.rtmp.handshake import ClientHandshake, HandshakeDone, ServerHandshake
from protocol.rtmp.messages import (
    MEDIA_KINDS,
    Abort,
    Acknowledgement,
    AggregateMessage,
    CommandMessage,
    LimitType,
    MediaKind,
    MediaMessage,
    Message,
    MessageType,
    SetChunkSize,
    SetPeerBandwidth,
    WindowAcknowledgementSize,
    decode_message,
    encode_message,
)
from protocol.rtmp.user_control import PingRequest, PingResponse

__all__ = ["DEFAULT_WINDOW_BYTES", "MEDIA_CHUNK_STREAM_IDS", "RandomBytes", "Sendable", "Session", "encode_item"]

DEFAULT_WINDOW_BYTES: Final = 2_500_000
"""How much may be under way unacknowledged; what Adobe's and most other servers say."""

MEDIA_CHUNK_STREAM_IDS: Final = {MediaKind.AUDIO: 4, MediaKind.VIDEO: 6, MediaKind.DATA: 7}
"""Where `send_media` writes, and the session itself never does."""

_STREAM_CHUNK_STREAM_ID: Final = 5

RandomBytes: TypeAlias = Callable[[int], bytes]
"""Gives so many random bytes, as `os.urandom` does."""

Sendable: TypeAlias = Message | Command | Status
"""All that `send()` takes."""


class Session(abc.ABC):
    """The common part of `ServerSession` and `ClientSession`; not to be made by itself."""

    def __init__(
        self,
        handshake: ServerHandshake | ClientHandshake,
        *,
        limits: Limits,
        chunk_size: int,
        window_bytes: int,
        extended_timestamp_on_fmt3: ExtendedTimestamps,
        budget: SharedBudget | None,
    ) -> None:
        # Both are said only once connect is accepted: what cannot be said then is refused now.
        check_chunk_size(chunk_size)
        encode_message(WindowAcknowledgementSize(window_bytes))
        self._handshake: ServerHandshake | ClientHandshake | None = handshake
        self._handshake_done: HandshakeDone | None = None
        self._reader = ChunkReader(limits=limits, extended_timestamp_on_fmt3=extended_timestamp_on_fmt3, budget=budget)
        self._writer = ChunkWriter()
        self._chunk_size = chunk_size
        self._window_bytes = window_bytes
        self._window_said: int | None = None
        self._peer_limit: SetPeerBandwidth | None = None
        self._peer_window: int | None = None
        self._acknowledged = 0
        self._out = bytearray(handshake.data_to_send())
        self._events: deque[Event] = deque()
        self._aggregate: Iterator[RawMessage] | None = None
        self._media_streams: set[int] = set()
        self._holding = False
        self._deaf = False
        self._error: RemoteProtocolError | None = None

    # --- in ---

    @property
    def limits(self) -> Limits:
        """What is held for the peer; may be replaced at any time, as when publishing is accepted."""
        return self._reader.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._reader.limits = limits

    @property
    def chunk_allowance(self) -> int | None:
        """How many more chunks may be read before `next_event()` returns PAUSED; None for any number.

        Messages inside an aggregate count too. Set it anew for each turn.
        """
        return self._reader.chunk_allowance

    @chunk_allowance.setter
    def chunk_allowance(self, chunks: int | None) -> None:
        self._reader.chunk_allowance = chunks

    @property
    def bytes_held(self) -> int:
        """Bytes received and not yet returned in an event, those of the handshake and unfinished messages included.

        After `next_event()` has returned NEED_DATA the handshake holds less than two packets, whatever `limits` says.
        """
        return self._reader.bytes_held if self._handshake is None else self._handshake.bytes_held

    @property
    def bytes_received(self) -> int:
        """Bytes received behind the handshake."""
        return self._reader.bytes_received

    @property
    def handshake(self) -> HandshakeDone | None:
        """How the handshake went, once it is over."""
        return self._handshake_done

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes from the network; `next_event()` tells what they mean."""
        if self._deaf or self._error is not None:
            return
        if self._handshake is not None:
            self._handshake.receive_data(data)
            return
        self._reader.receive_data(data)
        self._acknowledge()

    def next_event(self) -> Event | NeedDataType | PausedType:
        """The next event, NEED_DATA or PAUSED.

        PAUSED means that there may be more to read, but not now: a request waits for its answer, or `chunk_allowance`
        is used up. Read nothing more from the network meanwhile.

        Raises:
            RemoteProtocolError: the peer broke the protocol, or passed a limit; again on every later call.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._next_event()
        except RemoteProtocolError as error:
            self._error = error
            self._reader.close()
            raise

    def close(self) -> None:
        """Forget what was received, and give a shared budget its bytes back. The session is of no use afterwards."""
        self._deaf = True
        self._events.clear()
        self._reader.close()

    def _next_event(self) -> Event | NeedDataType | PausedType:
        while True:
            if self._events:
                return self._events.popleft()
            if self._deaf:
                return NEED_DATA
            if self._holding:
                return self._hold()
            if self._handshake is not None and not self._shake_hands(self._handshake):
                return NEED_DATA
            raw = self._reader.next_event() if self._aggregate is None else self._next_part(self._aggregate)
            if raw is NEED_DATA or raw is PAUSED:
                return raw
            if raw is None:
                self._aggregate = None
                continue
            # The media path, thousands of times a second: one look-up each, no copy, nothing read.
            kind = MEDIA_KINDS.get(raw.type_id)
            if kind is None:
                self._handle_message(decode_message(raw))
            elif raw.message_stream_id in self._media_streams:
                if raw.type_id != MessageType.DATA_AMF3:
                    return MediaMessage(kind, raw.timestamp, raw.payload, raw.message_stream_id)
                self._handle_message(decode_message(raw))

    def _hold(self) -> PausedType:
        held, allowed = self._reader.bytes_held, self._reader.limits.buffered_bytes
        if held > allowed:
            message = (
                f"{held} bytes sent before the request was answered, more than the {allowed} of Limits.buffered_bytes"
            )
            raise RemoteProtocolError(message, spec="RTMP 1.0, 7.2")
        return PAUSED

    def _shake_hands(self, handshake: ServerHandshake | ClientHandshake) -> bool:
        event = handshake.next_event()
        self._out += handshake.data_to_send()
        if event is NEED_DATA:
            return False
        self._handshake, self._handshake_done = None, event
        self._reader.receive_data(event.trailing_data)
        self._opened()
        return True

    def _next_part(self, aggregate: Iterator[RawMessage]) -> RawMessage | PausedType | None:
        allowance = self._reader.chunk_allowance
        if allowance is not None:
            if allowance <= 0:
                return PAUSED
            self._reader.chunk_allowance = allowance - 1
        return next(aggregate, None)

    def _acknowledge(self) -> None:
        received = self._reader.bytes_received
        if self._peer_window and received - self._acknowledged >= self._peer_window:
            self._acknowledged = received
            self._write(Acknowledgement(received % (1 << 32)))

    def _handle_message(self, message: Message) -> None:
        match message:
            case CommandMessage():
                self._handle_command(decode_command(message, limits=self._reader.limits))
            case AggregateMessage():
                if message.message_stream_id in self._media_streams:
                    self._aggregate = split_aggregate(message)
            case MediaMessage():
                self._events.append(message)
            case PingRequest():
                self._write(PingResponse(message.timestamp))
            case WindowAcknowledgementSize():
                self._peer_window = message.size
                self._acknowledge()
            case SetPeerBandwidth():
                self._limit_output(message)
            case SetChunkSize() | Abort():
                pass  # the chunk reader has obeyed already
            case _:
                self._events.append(MessageReceived(message))

    def _limit_output(self, limit: SetPeerBandwidth) -> None:
        """Answer with the window that holds from now on (section 5.4.5); TCP does the limiting."""
        before = self._peer_limit
        if limit.limit_type == LimitType.DYNAMIC:
            if before is not None and before.limit_type != LimitType.HARD:
                return
        elif limit.limit_type == LimitType.SOFT and before is not None:
            limit = SetPeerBandwidth(min(limit.size, before.size), LimitType.SOFT)
        self._peer_limit = limit
        if limit.size != self._window_said:
            self._write(WindowAcknowledgementSize(limit.size))

    # --- for the two sides ---

    @abc.abstractmethod
    def _opened(self) -> None:
        """The handshake is over: say what our side says first."""

    @abc.abstractmethod
    def _handle_command(self, command: Command) -> None:
        """Answer a command, or make an event of it."""

    @abc.abstractmethod
    def _may_send_media(self, message_stream_id: int) -> bool:
        """Whether media of ours is due on that stream."""

    # --- out ---

    @property
    def chunk_size(self) -> int:
        """How large our chunks are at present: 128 until connect is accepted, then what the session was made with."""
        return self._writer.chunk_size

    def data_to_send(self) -> bytes:
        """What is to be sent now, once. Ask after each event, each answer to a request, and at the start."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def send(self, item: Sendable) -> bytes:
        """Send a message, a command or a status; with what waited for `data_to_send`, in front of it.

        `SetChunkSize` takes effect behind itself. Media is sent as by `send_media`.

        Raises:
            LocalProtocolError: the handshake is not over, a field is out of its range, or media is not due; nothing
                was sent.
        """
        if isinstance(item, MediaMessage):
            return self.send_media(item.kind, item.timestamp, item.payload, item.message_stream_id)
        self._check_open()
        self._write(item)
        return self.data_to_send()

    def send_media(self, kind: MediaKind, timestamp: int, payload: bytes, message_stream_id: int = 1) -> bytes:
        """Send audio, video or data on a stream that plays (server) or publishes (client).

        Args:
            kind: what it is.
            timestamp: milliseconds, 0 to 2**32 - 1; `timestamp_add` wraps it.
            payload: the body of an FLV tag.
            message_stream_id: where.

        Returns:
            The message's chunks, behind what waited for `data_to_send`.

        Raises:
            LocalProtocolError: the stream is in no state for it, or a field is out of its range; nothing was sent.
        """
        if not self._may_send_media(message_stream_id):
            message = f"no media may be sent on message stream {message_stream_id} now"
            raise LocalProtocolError(message, spec="RTMP 1.0, 7.2.2")
        chunk_stream_id = MEDIA_CHUNK_STREAM_IDS.get(kind)
        if chunk_stream_id is None:
            raise LocalProtocolError(f"{kind} is no kind of media", spec="RTMP 1.0, 7.1")
        raw = RawMessage(timestamp, kind, message_stream_id, payload, chunk_stream_id)
        chunks = self._writer.send(raw)
        return self.data_to_send() + chunks if self._out else chunks

    def _check_open(self) -> None:
        if self._handshake is not None:
            raise LocalProtocolError("the handshake is not over yet", spec="RTMP 1.0, 5.2.1")

    def _write(self, *items: Sendable) -> None:
        """Say all of it; where one cannot be said, nothing, so that state is changed safely after it.

        Raises:
            LocalProtocolError: a field is out of its range, or AMF cannot hold a value.
        """
        for raw in [encode_item(item) for item in items]:
            self._out += self._writer.send(raw)
            if raw.type_id == MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE:
                self._window_said = int.from_bytes(raw.payload, "big")

    def _write_data(self, payload: bytes, message_stream_id: int) -> None:
        """A data message of the session's own, on none of `send_media`'s chunk streams."""
        raw = RawMessage(0, MessageType.DATA_AMF0, message_stream_id, payload, _STREAM_CHUNK_STREAM_ID)
        self._out += self._writer.send(raw)


def encode_item(item: Sendable) -> RawMessage:
    """The raw message of what `send()` takes, on the session's own chunk stream, fit to be written."""
    if isinstance(item, Status):
        item = status_command(item)
    if isinstance(item, Command):
        item = encode_command(item)
    raw = encode_message(item)
    if isinstance(item, CommandMessage) and item.message_stream_id:
        raw = raw._replace(chunk_stream_id=_STREAM_CHUNK_STREAM_ID)
    check_fields(raw)
    return raw
