"""What `next_event()` of a session returns.

Media comes as `MediaMessage`, statuses as `Status`. A request holds the conversation up until it is answered by its
`accept()` or `reject()`; the answer's bytes then wait in `data_to_send()`. Queries of names, where stream keys stand,
are left out of every `repr`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from protocol._base import LocalProtocolError
from protocol.amf import Value
from protocol.rtmp.capabilities import Capabilities
from protocol.rtmp.commands import Command, ConnectParameters, PlayParameters, PublishParameters, Status
from protocol.rtmp.messages import MediaKind, MediaMessage, Message

__all__ = [
    "CommandReceived",
    "ConnectRequested",
    "Connected",
    "Event",
    "MessageReceived",
    "PauseChanged",
    "PlayRequested",
    "PlayStarted",
    "PlayStopped",
    "PublishRequested",
    "PublishStarted",
    "PublishStopped",
    "ReceiveChanged",
    "ReconnectRequested",
    "Refused",
    "Request",
    "StreamEnded",
]


class Request:
    """What waits for `accept()` or `reject()`, once."""

    __slots__ = ("_decide",)

    _WHAT: str

    def __init__(self, decide: Callable[[tuple[str, str] | None], None]) -> None:
        self._decide: Callable[[tuple[str, str] | None], None] | None = decide

    def accept(self) -> None:
        """Let it happen.

        Raises:
            LocalProtocolError: it was answered before.
        """
        self._answer(None)

    def reject(self, code: str, description: str) -> None:
        """Refuse it, at level error.

        Args:
            code: a `Code`, such as "NetStream.Publish.BadName".
            description: a sentence for people.

        Raises:
            LocalProtocolError: it was answered before, or AMF cannot hold the code or the description; then it still
                waits for its answer.
        """
        self._answer((code, description))

    def _answer(self, refusal: tuple[str, str] | None) -> None:
        if self._decide is None:
            raise LocalProtocolError(f"this {self._WHAT} was answered before", spec="RTMP 1.0, 7.2")
        self._decide(refusal)
        self._decide = None


class ConnectRequested(Request):
    """A client asks for an application (section 7.2.1.1). When rejected, the session is closed.

    Attributes:
        connect: what it says of itself.
    """

    __slots__ = ("connect",)

    _WHAT = "connect"

    def __init__(self, decide: Callable[[tuple[str, str] | None], None], connect: ConnectParameters) -> None:
        super().__init__(decide)
        self.connect: Final = connect

    def __repr__(self) -> str:
        return f"<ConnectRequested {self.connect}>"


class PublishRequested(Request):
    """A client asks to publish (section 7.2.2.6). When rejected, the message stream is idle again.

    Attributes:
        publish: the name, and the rest of what it asks.
        message_stream_id: where its media will come.
    """

    __slots__ = ("message_stream_id", "publish")

    _WHAT = "publish"

    def __init__(
        self, decide: Callable[[tuple[str, str] | None], None], publish: PublishParameters, message_stream_id: int
    ) -> None:
        super().__init__(decide)
        self.publish: Final = publish
        self.message_stream_id: Final = message_stream_id

    def __repr__(self) -> str:
        return f"<PublishRequested {self.publish} on message stream {self.message_stream_id}>"


class PlayRequested(Request):
    """A client asks to play (section 7.2.2.1). When rejected, the message stream is idle again.

    Attributes:
        play: the name, and the rest of what it asks.
        message_stream_id: where it wants the media.
    """

    __slots__ = ("message_stream_id", "play")

    _WHAT = "play"

    def __init__(
        self, decide: Callable[[tuple[str, str] | None], None], play: PlayParameters, message_stream_id: int
    ) -> None:
        super().__init__(decide)
        self.play: Final = play
        self.message_stream_id: Final = message_stream_id

    def __repr__(self) -> str:
        return f"<PlayRequested {self.play} on message stream {self.message_stream_id}>"


@dataclass(frozen=True, slots=True)
class PublishStopped:
    """The client has ended its publishing; a connection that just breaks says nothing."""

    message_stream_id: int


@dataclass(frozen=True, slots=True)
class PlayStopped:
    """The client has ended its playing."""

    message_stream_id: int


@dataclass(frozen=True, slots=True)
class PauseChanged:
    """The client pauses or goes on (section 7.2.2.8); the notice that it waits for is in `data_to_send()`.

    Attributes:
        message_stream_id: which stream.
        paused: whether to send no media.
        position_ms: the client's stream time.
    """

    message_stream_id: int
    paused: bool
    position_ms: float


@dataclass(frozen=True, slots=True)
class ReceiveChanged:
    """The client wants audio, or video, or wants it no longer (sections 7.2.2.4 and 7.2.2.5)."""

    message_stream_id: int
    kind: MediaKind
    wanted: bool


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A command that the session does not know; if it asks for an answer, it has got `_error`."""

    command: Command


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message that the session has no use for: an acknowledgement, a user control event, a shared object, another."""

    message: Message


@dataclass(frozen=True, slots=True)
class Connected:
    """The server has accepted the client's connect.

    Attributes:
        capabilities: what it says of Enhanced RTMP.
        properties: both objects of its `_result` in one.
    """

    capabilities: Capabilities
    properties: Mapping[str, Value] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PublishStarted:
    """The server takes our media from here on."""

    message_stream_id: int


@dataclass(frozen=True, slots=True)
class PlayStarted:
    """The server sends media, as soon as there is some."""

    message_stream_id: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The server has refused connect, publish or play, or broken it off.

    Attributes:
        what: "connect", "publish" or "play".
        code: "NetStream.Play.StreamNotFound", "NetConnection.Connect.Rejected", ...
        description: the server's sentence.
    """

    what: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """What we played, or published, has ended at the server's side.

    Attributes:
        message_stream_id: which stream.
        code: the status that said so, or "" for a Stream EOF.
    """

    message_stream_id: int
    code: str


@dataclass(frozen=True, slots=True)
class ReconnectRequested:
    """The server asks to be left for another one, at a keyframe; it goes on serving meanwhile (Enhanced RTMP v2).

    Attributes:
        tc_url: where to go, absolute; our own tcUrl where the server named none.
        description: the server's sentence.
    """

    tc_url: str = field(repr=False)
    description: str


Event: TypeAlias = (
    MediaMessage
    | ConnectRequested
    | PublishRequested
    | PlayRequested
    | PublishStopped
    | PlayStopped
    | PauseChanged
    | ReceiveChanged
    | Connected
    | PublishStarted
    | PlayStarted
    | Refused
    | StreamEnded
    | ReconnectRequested
    | Status
    | CommandReceived
    | MessageReceived
)
"""All that `next_event()` of either session gives, beside NEED_DATA and PAUSED."""
