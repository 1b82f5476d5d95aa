"""The client's side of an RTMP connection: connects by itself, then publishes or plays one stream.

`states.CLIENT_TABLE` says what follows from a server's reply (RTMP 1.0, sections 7.2.1 and 7.2.2). What the session
sends is what encoders send: releaseStream and FCPublish before createStream, FCUnpublish before deleteStream.
"""

from collections.abc import Callable, Mapping
from typing import Final

from protocol._base import Limits, LocalProtocolError, RemoteProtocolError
from protocol.amf import EcmaArray, Value, amf0
from protocol.rtmp.capabilities import FORWARD_ANY, Capabilities
from protocol.rtmp.chunks import ExtendedTimestamps, SharedBudget
from protocol.rtmp.commands import (
    Code,
    Command,
    Level,
    Status,
    command_result,
    read_number,
    read_status,
    status_information,
)
from protocol.rtmp.events import (
    CommandReceived,
    Connected,
    PlayStarted,
    PublishStarted,
    ReconnectRequested,
    Refused,
    StreamEnded,
)
from protocol.rtmp.handshake import ClientHandshake, HandshakeScheme
from protocol.rtmp.messages import MediaKind, Message, SetChunkSize, WindowAcknowledgementSize
from protocol.rtmp.session import DEFAULT_WINDOW_BYTES, RandomBytes, Session, encode_item
from protocol.rtmp.states import CLIENT_TABLE, ClientAnswer, ClientState, Reply
from protocol.rtmp.url import RtmpUrl, resolve_tc_url
from protocol.rtmp.user_control import SetBufferLength, StreamEof

__all__ = ["ClientSession"]

_CREATE_STREAM: Final = "RTMP 1.0, 7.2.1.3"
_DEFAULT_LIMITS: Final = Limits()
_FLASH_VERSION: Final = "FMLE/3.0 (compatible; FMSc/1.0)"
_FLASH_CAPABILITIES: Final = 239.0
_ALL_AUDIO_CODECS: Final = float(0x0FFF)
_ALL_VIDEO_CODECS: Final = float(0x00FF)
_CLIENT_SEEK: Final = 1.0
_CONNECT_TRANSACTION_ID: Final = 1
"""Always 1 (RTMP 1.0, 7.2.1.1); the calls behind it count on."""

_STARTED_CODES: Final = frozenset({Code.PUBLISH_START, Code.PLAY_START})
_ENDED_CODES: Final = frozenset(
    {Code.PLAY_STOP, Code.PLAY_COMPLETE, Code.PLAY_UNPUBLISH_NOTIFY, Code.UNPUBLISH_SUCCESS}
)
_RESULTS: Final = {"connect": Reply.CONNECT_RESULT, "createStream": Reply.STREAM_RESULT}
_ERRORS: Final = {
    "connect": Reply.CONNECT_ERROR,
    "createStream": Reply.STREAM_ERROR,
    "publish": Reply.START_ERROR,
    "play": Reply.START_ERROR,
}


class ClientSession(Session):
    """A connection that was dialled, from the first byte of the handshake."""

    def __init__(
        self,
        url: RtmpUrl,
        *,
        random_bytes: RandomBytes,
        limits: Limits = _DEFAULT_LIMITS,
        chunk_size: int = 4096,
        window_bytes: int = DEFAULT_WINDOW_BYTES,
        capabilities: Capabilities = FORWARD_ANY,
        flash_version: str = _FLASH_VERSION,
        connect_properties: Mapping[str, Value] | None = None,
        handshake_scheme: HandshakeScheme = HandshakeScheme.PLAIN,
        now_ms: int = 0,
        extended_timestamp_on_fmt3: ExtendedTimestamps = ExtendedTimestamps.DETECT,
        budget: SharedBudget | None = None,
    ) -> None:
        """Make the first bytes of the handshake; connect follows it by itself.

        Args:
            url: where to; its app goes into connect, its stream is what `publish` and `play` take by default.
            random_bytes: gives so many random bytes, as `os.urandom` does.
            limits: what is held for the server.
            chunk_size: of our chunks once connect was accepted, 1 to 0x7FFFFFFF.
            window_bytes: how often the server is asked to acknowledge, 0 to 2**32 - 1.
            capabilities: what we say of Enhanced RTMP; `Capabilities()` says nothing, for servers that stumble over it.
            flash_version: what we call ourselves.
            connect_properties: put over those of connect's command object, as pageUrl.
            handshake_scheme: how to open; old Adobe servers want a digest.
            now_ms: our clock, for the handshake; any epoch.
            extended_timestamp_on_fmt3: see `ExtendedTimestamps`.
            budget: for unfinished messages, shared with other sessions; then `close()` must be called at the end.

        Raises:
            LocalProtocolError: `chunk_size` or `window_bytes` is out of its range, or AMF cannot hold what is
                said in connect.
        """
        super().__init__(
            ClientHandshake(random_bytes=random_bytes, now_ms=now_ms, scheme=handshake_scheme),
            limits=limits,
            chunk_size=chunk_size,
            window_bytes=window_bytes,
            extended_timestamp_on_fmt3=extended_timestamp_on_fmt3,
            budget=budget,
        )
        self._url = url
        properties = {
            "app": url.app,
            "flashVer": flash_version,
            "tcUrl": url.tc_url,
            "fpad": False,
            "capabilities": _FLASH_CAPABILITIES,
            "audioCodecs": _ALL_AUDIO_CODECS,
            "videoCodecs": _ALL_VIDEO_CODECS,
            "videoFunction": _CLIENT_SEEK,
            "objectEncoding": 0.0,
            **capabilities.to_properties(),
            **(connect_properties or {}),
        }
        # Made here and not when the handshake is over, so that what AMF cannot hold is refused to who said it.
        self._connect = encode_item(Command("connect", _CONNECT_TRANSACTION_ID, properties))
        self._state = ClientState.HANDSHAKE
        self._last_transaction_id = _CONNECT_TRANSACTION_ID
        self._unanswered: dict[float, str] = {_CONNECT_TRANSACTION_ID: "connect"}  # the commands' names
        self._purpose = ""  # "publish" or "play"
        self._stream = ""
        self._arguments: tuple[Value, ...] = ()
        self._buffer_ms = 0
        self._message_stream_id = 0

    @property
    def state(self) -> ClientState:
        """Where the session stands."""
        return self._state

    def publish(self, stream: str | None = None, *, publish_type: str = "live") -> bytes:
        """Ask to publish; `PublishStarted` or `Refused` follows.

        Args:
            stream: the name, with its query; None for the URL's.
            publish_type: "live", "record" or "append".

        Raises:
            LocalProtocolError: we are not connected, publish or play something already, or AMF cannot hold an argument.
        """
        name = self._url.stream if stream is None else stream
        self._check_startable("publish", name, publish_type)
        self._call("releaseStream", name)  # the longest of the three: where the name is too long, nothing is sent
        self._call("FCPublish", name)
        self._create_stream("publish", name, publish_type)
        return self.data_to_send()

    def play(self, stream: str | None = None, *, start: float = -2.0, buffer_ms: int = 1000) -> bytes:
        """Ask to play; `PlayStarted` or `Refused` follows.

        Args:
            stream: the name, with its query; None for the URL's.
            start: -2 for live or recorded, -1 for live alone, else seconds into a recording.
            buffer_ms: how much we say that we buffer, 0 to 2**32 - 1.

        Raises:
            LocalProtocolError: we are not connected, publish or play something already, or an argument is out of its
                range.
        """
        name = self._url.stream if stream is None else stream
        self._check_startable("play", name, float(start))
        encode_item(SetBufferLength(0, buffer_ms))
        self._buffer_ms = buffer_ms
        self._create_stream("play", name, float(start))
        return self.data_to_send()

    def close_stream(self) -> bytes:
        """End what is published or played; another `publish` or `play` may follow.

        Raises:
            LocalProtocolError: nothing is published or played.
        """
        if self._state not in (ClientState.STARTING, ClientState.STREAMING, ClientState.ENDED):
            raise LocalProtocolError("nothing is published or played", spec="RTMP 1.0, 7.2.2.3")
        if self._purpose == "publish":
            self._call("FCUnpublish", self._stream)
        self._delete_stream()
        return self.data_to_send()

    def send_metadata(self, values: Mapping[str, Value], *, timestamp: int = 0) -> bytes:
        """Publish metadata, width, framerate, audiocodecid and so on, as encoders do: @setDataFrame, onMetaData.

        Raises:
            LocalProtocolError: nothing is being published, or AMF cannot hold a value.
        """
        payload = amf0.encode_all(["@setDataFrame", "onMetaData", EcmaArray(values)])
        return self.send_media(MediaKind.DATA, timestamp, payload, self._message_stream_id)

    def _check_startable(self, purpose: str, *arguments: Value) -> None:
        """Refuse now what could not be sent later, when there is a message stream to send it on."""
        if self._state is not ClientState.CONNECTED:
            raise LocalProtocolError(f"{purpose} while {self._state.value}", spec="RTMP 1.0, 7.2.2")
        encode_item(Command(purpose, 0, None, arguments))

    def _create_stream(self, purpose: str, name: str, argument: Value) -> None:
        self._call("createStream")
        self._purpose, self._stream, self._arguments = purpose, name, (name, argument)
        self._state = ClientState.CREATING_STREAM

    def _delete_stream(self) -> None:
        self._call("deleteStream", float(self._message_stream_id))
        self._forget_stream()

    def _forget_stream(self) -> None:
        self._state = ClientState.CONNECTED
        self._media_streams.clear()

    def _call(self, name: str, *arguments: Value, message_stream_id: int = 0) -> None:
        transaction_id = self._last_transaction_id + 1
        self._write(Command(name, transaction_id, None, arguments, message_stream_id))
        self._last_transaction_id = transaction_id
        self._unanswered[transaction_id] = name

    def _may_send_media(self, message_stream_id: int) -> bool:
        publishing = self._state is ClientState.STREAMING and self._purpose == "publish"
        return publishing and message_stream_id == self._message_stream_id

    # --- what the server says ---

    def _opened(self) -> None:
        self._state = ClientState.CONNECTING
        self._write(self._connect)

    def _handle_message(self, message: Message) -> None:
        if isinstance(message, StreamEof) and self._state is ClientState.STREAMING:
            self._end("")
        else:
            super()._handle_message(message)

    def _handle_command(self, command: Command) -> None:
        reply = self._classify(command)
        if reply is not None:
            _ANSWERS[CLIENT_TABLE[self._state, reply]](self, command)

    def _classify(self, command: Command) -> Reply | None:
        """Which kind of reply it is; None for the answers that nobody waits for, as releaseStream's."""
        if command.name in ("_result", "_error"):
            answered = self._unanswered.pop(command.transaction_id, None)
            if answered is None:
                return Reply.CALL
            return (_RESULTS if command.name == "_result" else _ERRORS).get(answered)
        if command.name != "onStatus":
            return Reply.CALL
        status = read_status(command)
        if status.code == Code.RECONNECT_REQUEST:
            return Reply.RECONNECT
        if status.level == Level.ERROR:
            # Servers are careless with message stream ids, so an error that comes while we wait for an answer is that
            # answer. Later it may be another stream's, which the owner has made with calls of their own.
            others = command.message_stream_id not in (0, self._message_stream_id)
            return Reply.STATUS if others and self._state is ClientState.STREAMING else Reply.FAILED
        if status.code in _STARTED_CODES:
            return Reply.STARTED
        return Reply.ENDED if status.code in _ENDED_CODES else Reply.STATUS

    def _answer_connected(self, command: Command) -> None:
        properties: dict[str, Value] = {}
        for part in (command.command_object, *command.arguments):
            if isinstance(part, dict):
                properties.update(part)
        if properties.get("level") == Level.ERROR:
            self._answer_closed(command)
            return
        self._state = ClientState.CONNECTED
        self._write(WindowAcknowledgementSize(self._window_bytes))
        self._write(SetChunkSize(self._chunk_size))
        self._events.append(Connected(Capabilities.from_properties(properties), properties))

    def _answer_closed(self, command: Command) -> None:
        status = _read_refusal(command)
        self._state = ClientState.CLOSED
        self.close()
        self._events.append(Refused("connect", status.code, status.description))

    def _answer_start(self, command: Command) -> None:
        number = read_number(command, 0, spec=_CREATE_STREAM)
        if not (1 <= number < 1 << 32 and number == int(number)):
            raise RemoteProtocolError(f"createStream gave {number} as a message stream id", spec=_CREATE_STREAM)
        self._message_stream_id = int(number)
        self._state = ClientState.STARTING
        self._call(self._purpose, *self._arguments, message_stream_id=self._message_stream_id)
        if self._purpose == "play":
            # node-media-server plays on message stream 0, whatever number it gave out. One session plays one stream,
            # so what comes there can be nothing else.
            self._media_streams.update((self._message_stream_id, 0))
            self._write(SetBufferLength(self._message_stream_id, self._buffer_ms))

    def _answer_refused(self, command: Command) -> None:
        status = _read_refusal(command)
        if self._state is ClientState.CREATING_STREAM:
            self._forget_stream()
        else:
            self._delete_stream()  # the server has made it, and allows so many at a time
        self._events.append(Refused(self._purpose, status.code, status.description))

    def _answer_started(self, _command: Command) -> None:
        self._state = ClientState.STREAMING
        started = PublishStarted if self._purpose == "publish" else PlayStarted
        self._events.append(started(self._message_stream_id))

    def _answer_ended(self, command: Command) -> None:
        self._end(read_status(command).code)

    def _end(self, code: str) -> None:
        self._state = ClientState.ENDED
        self._events.append(StreamEnded(self._message_stream_id, code))

    def _answer_reconnect(self, command: Command) -> None:
        status = read_status(command)
        target = status.information.get("tcUrl")
        tc_url = resolve_tc_url(self._url.tc_url, target if isinstance(target, str) else "")
        self._events.append(ReconnectRequested(tc_url, status.description))

    def _answer_status(self, command: Command) -> None:
        self._events.append(read_status(command))

    def _answer_hand_on(self, command: Command) -> None:
        if command.transaction_id and command.name not in ("_result", "_error"):
            information = status_information(Status(Code.CALL_FAILED, "There is no such method here.", Level.ERROR))
            self._write(command_result(command, None, information, error=True))
        self._events.append(CommandReceived(command))

    def _answer_ignore(self, command: Command) -> None:
        """Nothing follows."""


def _read_refusal(command: Command) -> Status:
    """The status of an `_error` or onStatus; a server that gives no reason has failed the call."""
    try:
        return read_status(command)
    except RemoteProtocolError:
        return Status(Code.CALL_FAILED, "The server gave no reason.", Level.ERROR)


_ANSWERS: Final[dict[ClientAnswer, Callable[[ClientSession, Command], None]]] = {
    ClientAnswer.CONNECTED: ClientSession._answer_connected,
    ClientAnswer.CLOSED: ClientSession._answer_closed,
    ClientAnswer.START: ClientSession._answer_start,
    ClientAnswer.REFUSED: ClientSession._answer_refused,
    ClientAnswer.STARTED: ClientSession._answer_started,
    ClientAnswer.ENDED: ClientSession._answer_ended,
    ClientAnswer.RECONNECT: ClientSession._answer_reconnect,
    ClientAnswer.STATUS: ClientSession._answer_status,
    ClientAnswer.HAND_ON: ClientSession._answer_hand_on,
    ClientAnswer.IGNORE: ClientSession._answer_ignore,
}
