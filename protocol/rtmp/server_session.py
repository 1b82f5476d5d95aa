"""The server's side of an RTMP connection: who connects, publishes and plays is asked for, all else is answered here.

`states.SERVER_TABLE` says which answer a command gets, and the methods below give them, in the words and the order
that ffmpeg, OBS, librtmp, GStreamer, VLC and nginx-rtmp wait for (RTMP 1.0, sections 7.2.1 and 7.2.2; what it lacks,
FCPublish, releaseStream and their kin, as Adobe's servers and encoders do it).
"""

from collections.abc import Callable
from typing import Final

from protocol._base import Limits, LocalProtocolError, RemoteProtocolError
from protocol.amf import Value, amf0
from protocol.rtmp.capabilities import FORWARD_ANY, Capabilities
from protocol.rtmp.chunks import ExtendedTimestamps, SharedBudget
from protocol.rtmp.commands import (
    Code,
    Command,
    ConnectParameters,
    Level,
    PlayParameters,
    PublishParameters,
    Status,
    command_result,
    read_boolean,
    read_connect,
    read_number,
    read_play,
    read_publish,
    read_stream_name,
    status_command,
    status_information,
)
from protocol.rtmp.events import (
    CommandReceived,
    ConnectRequested,
    PauseChanged,
    PlayRequested,
    PlayStopped,
    PublishRequested,
    PublishStopped,
    ReceiveChanged,
)
from protocol.rtmp.handshake import ServerHandshake
from protocol.rtmp.messages import (
    LimitType,
    MediaKind,
    SetChunkSize,
    SetPeerBandwidth,
    WindowAcknowledgementSize,
)
from protocol.rtmp.session import DEFAULT_WINDOW_BYTES, RandomBytes, Session
from protocol.rtmp.states import Answer, ServerState, server_answer
from protocol.rtmp.url import split_query
from protocol.rtmp.user_control import StreamBegin, StreamEof

__all__ = ["ServerSession"]

_CONNECTION_COMMANDS: Final = "RTMP 1.0, 7.2.1"
_DELETE_STREAM: Final = "RTMP 1.0, 7.2.2.3"
_PAUSE: Final = "RTMP 1.0, 7.2.2.8"
_RECEIVE_SECTIONS: Final = {"receiveAudio": "RTMP 1.0, 7.2.2.4", "receiveVideo": "RTMP 1.0, 7.2.2.5"}
_RECEIVE_KINDS: Final = {"receiveAudio": MediaKind.AUDIO, "receiveVideo": MediaKind.VIDEO}
_FC_SECTION: Final = "RTMP 1.0, 7.2.1.2"
"""The FC commands stand in no specification; they are calls."""

# What encoders look for in a server: the version that brought H.264, and all capability bits of its day.
_FMS_VERSION: Final = "FMS/3,5,7,7009"
_FMS_CAPABILITIES: Final = 31.0
_DEFAULT_LIMITS: Final = Limits()

_SHOWN_NAME: Final = 200
"""How much of a stream's name our descriptions repeat: one may be sixteen megabytes long, and fill its message."""

_SAMPLE_ACCESS: Final = amf0.encode_all(["|RtmpSampleAccess", True, True])
"""Lets Flash players look at the pictures that they show; others pass it over."""


class ServerSession(Session):
    """A connection that was accepted, from the first byte of the handshake."""

    def __init__(
        self,
        *,
        random_bytes: RandomBytes,
        limits: Limits = _DEFAULT_LIMITS,
        chunk_size: int = 4096,
        window_bytes: int = DEFAULT_WINDOW_BYTES,
        capabilities: Capabilities = FORWARD_ANY,
        max_streams: int = 16,
        sample_access: bool = True,
        now_ms: int = 0,
        extended_timestamp_on_fmt3: ExtendedTimestamps = ExtendedTimestamps.DETECT,
        budget: SharedBudget | None = None,
    ) -> None:
        """Wait for a client's handshake.

        Args:
            random_bytes: gives so many random bytes, as `os.urandom` does.
            limits: what is held for the client.
            chunk_size: of our chunks once connect is accepted, 1 to 0x7FFFFFFF.
            window_bytes: how often the client is asked to acknowledge, 0 to 2**32 - 1.
            capabilities: what we say of Enhanced RTMP.
            max_streams: how many message streams the client may have at a time.
            sample_access: whether |RtmpSampleAccess is sent before what is played.
            now_ms: our clock, for the handshake; any epoch.
            extended_timestamp_on_fmt3: see `ExtendedTimestamps`.
            budget: for unfinished messages, shared with other sessions; then `close()` must be called at the end.

        Raises:
            LocalProtocolError: `chunk_size` or `window_bytes` is out of its range, or AMF cannot hold the capabilities.
        """
        super().__init__(
            ServerHandshake(random_bytes=random_bytes, now_ms=now_ms),
            limits=limits,
            chunk_size=chunk_size,
            window_bytes=window_bytes,
            extended_timestamp_on_fmt3=extended_timestamp_on_fmt3,
            budget=budget,
        )
        self._properties: dict[str, Value] = {
            "fmsVer": _FMS_VERSION,
            "capabilities": _FMS_CAPABILITIES,
            "mode": 1.0,
            **capabilities.to_properties(),
        }
        amf0.encode(self._properties)  # said only when connect is accepted: what AMF cannot hold is refused now
        self._max_streams = max_streams
        self._sample_access = sample_access
        self._state = ServerState.AWAITING_CONNECT
        self._streams: dict[int, ServerState] = {}
        self._publishing: dict[int, str] = {}  # the names as sent, by message stream id
        self._fc_published = False

    @property
    def state(self) -> ServerState:
        """The connection's state: AWAITING_CONNECT, UNDECIDED, CONNECTED or CLOSED."""
        return ServerState.UNDECIDED if self._holding else self._state

    def stream_state(self, message_stream_id: int) -> ServerState | None:
        """The state of a message stream: IDLE, PUBLISHING or PLAYING; None where there is none."""
        return self._streams.get(message_stream_id)

    def end_play(self, message_stream_id: int = 1, description: str = "The stream has ended.") -> bytes:
        """Tell a player that its stream is over: NetStream.Play.UnpublishNotify, then Stream EOF.

        Raises:
            LocalProtocolError: the message stream does not play, or AMF cannot hold the description.
        """
        if self._streams.get(message_stream_id) is not ServerState.PLAYING:
            raise LocalProtocolError(f"message stream {message_stream_id} does not play", spec="RTMP 1.0, 7.2.2.1")
        self._write(
            Status(Code.PLAY_UNPUBLISH_NOTIFY, description, message_stream_id=message_stream_id),
            StreamEof(message_stream_id),
        )
        self._streams[message_stream_id] = ServerState.IDLE
        return self.data_to_send()

    def request_reconnect(self, tc_url: str = "", description: str = "") -> bytes:
        """Ask the client to go elsewhere at its next keyframe (Enhanced RTMP v2, reconnect request).

        Go on serving it until it leaves. Clients whose capabilities lack CapsEx.RECONNECT pass it over.

        Args:
            tc_url: where to, absolute or relative; empty for here again.
            description: a sentence for people.

        Raises:
            LocalProtocolError: the client is not connected, or AMF cannot hold one of the two.
        """
        if self._state is not ServerState.CONNECTED:
            raise LocalProtocolError("there is no client to ask before connect", spec=_CONNECTION_COMMANDS)
        self._write(Status(Code.RECONNECT_REQUEST, description, information={"tcUrl": tc_url} if tc_url else {}))
        return self.data_to_send()

    def _opened(self) -> None:
        """Nothing: the client speaks first."""

    def _may_send_media(self, message_stream_id: int) -> bool:
        return self._streams.get(message_stream_id) is ServerState.PLAYING

    def _handle_command(self, command: Command) -> None:
        state = self._state
        if state is ServerState.CONNECTED:
            state = self._streams.get(command.message_stream_id, state)
        name = command.name
        if name in ("publish", "play") and command.arguments and command.arguments[0] is False:
            name = "closeStream"  # as ActionScript ends both
        answer = server_answer(state, name)
        if answer is Answer.BREAK:
            raise RemoteProtocolError(f"{name} while {state.value}", spec=_CONNECTION_COMMANDS)
        if answer is not Answer.IGNORE:
            _ANSWERS[answer](self, command)

    # --- requests ---

    def _hold_until_decided(
        self, accept: Callable[[], None], refuse: Callable[[str, str], None]
    ) -> Callable[[tuple[str, str] | None], None]:
        """Read no further; what is returned reads on, by way of `accept` or `refuse`."""

        def decide(refusal: tuple[str, str] | None) -> None:
            if refusal is None:
                accept()
            else:
                refuse(*refusal)
            self._holding = False

        self._holding = True
        return decide

    def _ask_connect(self, command: Command) -> None:
        connect = read_connect(command)
        decide = self._hold_until_decided(
            lambda: self._accept_connect(command, connect),
            lambda code, description: self._reject_connect(command, code, description),
        )
        self._events.append(ConnectRequested(decide, connect))

    def _accept_connect(self, command: Command, connect: ConnectParameters) -> None:
        status = Status(
            Code.CONNECT_SUCCESS,
            "Connection succeeded.",
            information={"objectEncoding": float(connect.object_encoding)},
        )
        self._write(
            WindowAcknowledgementSize(self._window_bytes),
            SetPeerBandwidth(self._window_bytes, LimitType.DYNAMIC),
            SetChunkSize(self._chunk_size),
            StreamBegin(0),
            command_result(command, self._properties, status_information(status)),
        )
        self._state = ServerState.CONNECTED

    def _reject_connect(self, command: Command, code: str, description: str) -> None:
        self._write_error(command, code, description)
        self._state = ServerState.CLOSED
        self.close()

    def _ask_publish(self, command: Command) -> None:
        publish, message_stream_id = read_publish(command), command.message_stream_id
        decide = self._hold_until_decided(
            lambda: self._accept_publish(publish, message_stream_id),
            lambda code, description: self._write_error_status(message_stream_id, code, description),
        )
        self._events.append(PublishRequested(decide, publish, message_stream_id))

    def _accept_publish(self, publish: PublishParameters, message_stream_id: int) -> None:
        self._streams[message_stream_id] = ServerState.PUBLISHING
        self._publishing[message_stream_id] = publish.raw_name
        self._media_streams.add(message_stream_id)
        self._write(StreamBegin(message_stream_id))
        description = f"{publish.stream[:_SHOWN_NAME]} is now published."
        status = Status(Code.PUBLISH_START, description, message_stream_id=message_stream_id)
        if self._fc_published:
            self._fc_published = False
            self._write(status_command(status, name="onFCPublish"))
        self._write(status)

    def _ask_play(self, command: Command) -> None:
        play, message_stream_id = read_play(command), command.message_stream_id
        decide = self._hold_until_decided(
            lambda: self._accept_play(play, message_stream_id),
            lambda code, description: self._write_error_status(message_stream_id, code, description),
        )
        self._events.append(PlayRequested(decide, play, message_stream_id))

    def _accept_play(self, play: PlayParameters, message_stream_id: int) -> None:
        self._streams[message_stream_id] = ServerState.PLAYING
        self._write(StreamBegin(message_stream_id))
        if play.reset:
            description = f"Playing and resetting {play.stream[:_SHOWN_NAME]}."
            self._write(Status(Code.PLAY_RESET, description, message_stream_id=message_stream_id))
        description = f"Started playing {play.stream[:_SHOWN_NAME]}."
        self._write(Status(Code.PLAY_START, description, message_stream_id=message_stream_id))
        if self._sample_access:
            self._write_data(_SAMPLE_ACCESS, message_stream_id)

    # --- answers ---

    def _write_error_status(self, message_stream_id: int, code: str, description: str) -> None:
        self._write(Status(code, description, Level.ERROR, message_stream_id))

    def _refuse(self, command: Command, code: str, description: str) -> None:
        """An `_error`, where the command has a transaction id to answer to."""
        if command.transaction_id:
            self._write_error(command, code, description)

    def _write_error(self, command: Command, code: str, description: str) -> None:
        information = status_information(Status(code, description, Level.ERROR))
        self._write(command_result(command, None, information, error=True))

    def _answer_result(self, command: Command) -> None:
        if command.transaction_id:
            self._write(command_result(command, None, None))

    def _answer_zero_length(self, command: Command) -> None:
        self._write(command_result(command, None, 0.0))

    def _answer_create_stream(self, command: Command) -> None:
        if len(self._streams) >= self._max_streams:
            self._refuse(command, Code.CALL_FAILED, f"There are {self._max_streams} streams already: delete one.")
            return
        message_stream_id = next(number for number in range(1, self._max_streams + 1) if number not in self._streams)
        self._streams[message_stream_id] = ServerState.IDLE
        self._write(command_result(command, None, float(message_stream_id)))

    def _answer_fc_publish(self, command: Command) -> None:
        read_stream_name(command, spec=_FC_SECTION)
        self._fc_published = True
        self._answer_result(command)

    def _answer_fc_unpublish(self, command: Command) -> None:
        name = read_stream_name(command, spec=_FC_SECTION)
        self._write(status_command(Status(Code.UNPUBLISH_SUCCESS, "Publishing has ended."), name="onFCUnpublish"))
        self._answer_result(command)
        for message_stream_id in self._publishing_as(name):
            self._end_stream(message_stream_id)

    def _answer_fc_subscribe(self, command: Command) -> None:
        read_stream_name(command, spec=_FC_SECTION)
        self._answer_result(command)
        self._write(status_command(Status(Code.PLAY_START, "Subscribed."), name="onFCSubscribe"))

    def _answer_end_stream(self, command: Command) -> None:
        self._end_stream(command.message_stream_id)

    def _answer_delete_stream(self, command: Command) -> None:
        if command.arguments and isinstance(command.arguments[0], str):
            # GStreamer's rtmp2sink gives the stream's name where the specification asks for its id.
            doomed = self._publishing_as(command.arguments[0])
        else:
            number = read_number(command, 0, spec=_DELETE_STREAM)
            doomed = [known for known in self._streams if known == number]
        for message_stream_id in doomed:
            self._end_stream(message_stream_id)
            del self._streams[message_stream_id]

    def _publishing_as(self, name: str) -> list[int]:
        """The message streams that publish under `name`, given with its query or without."""
        return [number for number, raw in self._publishing.items() if name in (raw, split_query(raw)[0])]

    def _end_stream(self, message_stream_id: int) -> None:
        state = self._streams[message_stream_id]
        self._streams[message_stream_id] = ServerState.IDLE
        if state is ServerState.PUBLISHING:
            self._media_streams.discard(message_stream_id)
            del self._publishing[message_stream_id]
            self._write(Status(Code.UNPUBLISH_SUCCESS, "Publishing has ended.", message_stream_id=message_stream_id))
            self._events.append(PublishStopped(message_stream_id))
        elif state is ServerState.PLAYING:
            self._events.append(PlayStopped(message_stream_id))

    def _answer_pause(self, command: Command) -> None:
        paused = read_boolean(command, 0, spec=_PAUSE)
        position_ms = read_number(command, 1, spec=_PAUSE, default=0.0)
        code, what = (Code.PAUSE_NOTIFY, "Paused.") if paused else (Code.UNPAUSE_NOTIFY, "Going on.")
        self._write(Status(code, what, message_stream_id=command.message_stream_id))
        self._events.append(PauseChanged(command.message_stream_id, paused, position_ms))

    def _answer_receive(self, command: Command) -> None:
        wanted = read_boolean(command, 0, spec=_RECEIVE_SECTIONS[command.name])
        self._events.append(ReceiveChanged(command.message_stream_id, _RECEIVE_KINDS[command.name], wanted))

    def _answer_refuse_seek(self, command: Command) -> None:
        description = "A live stream has no other place to go to."
        if command.transaction_id:
            # ffmpeg takes an onStatus of level error for the end of the stream, an _error not.
            self._refuse(command, Code.SEEK_FAILED, description)
        else:
            self._write_error_status(command.message_stream_id, Code.SEEK_FAILED, description)

    def _answer_refuse_publish(self, command: Command) -> None:
        description = "This message stream is in use, or was never created: create another to publish."
        self._write_error_status(command.message_stream_id, Code.PUBLISH_BAD_NAME, description)

    def _answer_refuse_play(self, command: Command) -> None:
        if command.name == "play2":
            description = "Switching between streams is not possible here."
        else:
            description = "This message stream is in use, or was never created: create another to play."
        self._write_error_status(command.message_stream_id, Code.PLAY_FAILED, description)

    def _answer_refuse(self, command: Command) -> None:
        self._refuse(command, Code.CALL_FAILED, f"{command.name} is not possible on this message stream now.")

    def _answer_hand_on(self, command: Command) -> None:
        self._refuse(command, Code.CALL_FAILED, "There is no such method here.")
        self._events.append(CommandReceived(command))


_ANSWERS: Final[dict[Answer, Callable[[ServerSession, Command], None]]] = {
    Answer.ASK_CONNECT: ServerSession._ask_connect,
    Answer.ASK_PUBLISH: ServerSession._ask_publish,
    Answer.ASK_PLAY: ServerSession._ask_play,
    Answer.RESULT: ServerSession._answer_result,
    Answer.ZERO_LENGTH: ServerSession._answer_zero_length,
    Answer.CREATE_STREAM: ServerSession._answer_create_stream,
    Answer.FC_PUBLISH: ServerSession._answer_fc_publish,
    Answer.FC_UNPUBLISH: ServerSession._answer_fc_unpublish,
    Answer.FC_SUBSCRIBE: ServerSession._answer_fc_subscribe,
    Answer.END_STREAM: ServerSession._answer_end_stream,
    Answer.DELETE_STREAM: ServerSession._answer_delete_stream,
    Answer.PAUSE: ServerSession._answer_pause,
    Answer.RECEIVE: ServerSession._answer_receive,
    Answer.REFUSE_SEEK: ServerSession._answer_refuse_seek,
    Answer.REFUSE_PUBLISH: ServerSession._answer_refuse_publish,
    Answer.REFUSE_PLAY: ServerSession._answer_refuse_play,
    Answer.REFUSE: ServerSession._answer_refuse,
    Answer.HAND_ON: ServerSession._answer_hand_on,
}
"""Every answer but HOLD, which is not to read on, IGNORE and BREAK."""
