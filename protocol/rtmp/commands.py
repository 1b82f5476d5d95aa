"""RTMP's commands: a name, a transaction id, a command object and arguments, in AMF (RTMP 1.0, section 7.2).

`CommandMessage`s come in from the message layer and `Command`s go out, and back. The readers below take a known
command's arguments out of it, and refuse those of a wrong type with the section that says which it must be; the
makers build the answers. What follows from a command is the session's business.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from protocol._base import Limits, RemoteProtocolError
from protocol.amf import UNDEFINED, Value, amf0
from protocol.rtmp.capabilities import Capabilities
from protocol.rtmp.messages import CommandMessage
from protocol.rtmp.url import split_query

__all__ = [
    "Code",
    "Command",
    "ConnectParameters",
    "Level",
    "PlayParameters",
    "PublishParameters",
    "Status",
    "command_result",
    "decode_command",
    "encode_command",
    "read_boolean",
    "read_connect",
    "read_number",
    "read_play",
    "read_publish",
    "read_status",
    "read_stream_name",
    "status_command",
    "status_information",
]

_COMMAND: Final = "RTMP 1.0, 7.1.1"
_CONNECT: Final = "RTMP 1.0, 7.2.1.1"
_ON_STATUS: Final = "RTMP 1.0, 7.2.2"
_PLAY: Final = "RTMP 1.0, 7.2.2.1"
_PUBLISH: Final = "RTMP 1.0, 7.2.2.6"
_DEFAULT_LIMITS: Final = Limits()


class Level(enum.StrEnum):
    """How serious a status is (section 7.2.2)."""

    STATUS = "status"
    WARNING = "warning"
    ERROR = "error"


class Code(enum.StrEnum):
    """The codes of statuses that the sessions send or understand; any other string is a code too."""

    CALL_FAILED = "NetConnection.Call.Failed"
    CONNECT_REJECTED = "NetConnection.Connect.Rejected"
    CONNECT_SUCCESS = "NetConnection.Connect.Success"
    RECONNECT_REQUEST = "NetConnection.Connect.ReconnectRequest"
    PAUSE_NOTIFY = "NetStream.Pause.Notify"
    PLAY_COMPLETE = "NetStream.Play.Complete"
    PLAY_FAILED = "NetStream.Play.Failed"
    PLAY_RESET = "NetStream.Play.Reset"
    PLAY_START = "NetStream.Play.Start"
    PLAY_STOP = "NetStream.Play.Stop"
    PLAY_STREAM_NOT_FOUND = "NetStream.Play.StreamNotFound"
    PLAY_UNPUBLISH_NOTIFY = "NetStream.Play.UnpublishNotify"
    PUBLISH_BAD_NAME = "NetStream.Publish.BadName"
    PUBLISH_DENIED = "NetStream.Publish.Denied"
    PUBLISH_START = "NetStream.Publish.Start"
    SEEK_FAILED = "NetStream.Seek.Failed"
    UNPAUSE_NOTIFY = "NetStream.Unpause.Notify"
    UNPUBLISH_SUCCESS = "NetStream.Unpublish.Success"


@dataclass(frozen=True, slots=True)
class Command:
    """A remote procedure call, or the answer to one (section 7.1.1).

    Attributes:
        name: such as "connect", "_result", "onStatus".
        transaction_id: what an answer repeats; 0 where none is wanted.
        command_object: a dict, or None.
        arguments: what follows it.
        message_stream_id: 0 for the connection's commands, else the stream's.
        amf3: whether it travels as message 17 rather than as 20.
    """

    name: str
    transaction_id: float = 0
    command_object: Value = field(default=None, repr=False)  # connect's holds URLs with keys
    arguments: tuple[Value, ...] = field(default=(), repr=False)
    message_stream_id: int = 0
    amf3: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """What an onStatus command says of a stream, or of the connection (section 7.2.2).

    Attributes:
        code: a `Code`, or any string of that form.
        description: for people.
        level: a `Level`, or what came in its place.
        message_stream_id: the stream it is about; 0 for the connection.
        information: the other properties of the information object.
    """

    code: str
    description: str = ""
    level: str = Level.STATUS
    message_stream_id: int = 0
    information: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectParameters:
    """What a client says when it connects (section 7.2.1.1). What it left out is empty.

    Attributes:
        app: the application, its query taken off.
        query: what stood behind the app's "?" ("key=X" of nginx's `push rtmp://door/myapp?key=X`).
        raw_app: both as sent.
        tc_url: the URL that the client dialled, up to the app.
        flash_version: which program it is, "FMLE/3.0 (compatible; FMSc/1.0)".
        page_url: the web page that holds the player.
        swf_url: the player itself.
        object_encoding: 0, or 3 where it takes AMF3 messages too.
        capabilities: what it says of Enhanced RTMP.
        properties: the whole command object.
    """

    app: str
    query: str = field(repr=False)
    raw_app: str = field(repr=False)
    tc_url: str = field(repr=False)
    flash_version: str
    page_url: str = field(repr=False)
    swf_url: str = field(repr=False)
    object_encoding: int
    capabilities: Capabilities
    properties: Mapping[str, Value] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PublishParameters:
    """What a publish command asks for (section 7.2.2.6).

    Attributes:
        stream: the stream's name, its query taken off.
        query: what stood behind the name's "?".
        raw_name: both as sent.
        publish_type: "live", "record" or "append"; "live" where it was left out.
    """

    stream: str
    query: str = field(repr=False)
    raw_name: str = field(repr=False)
    publish_type: str


@dataclass(frozen=True, slots=True)
class PlayParameters:
    """What a play command asks for (section 7.2.2.1).

    Attributes:
        stream: the stream's name, its query taken off.
        query: what stood behind the name's "?".
        raw_name: both as sent.
        start: seconds into a recording, -1 for live alone, -2 for live first; ffmpeg sends thousands of them.
        duration: seconds, -1 for all.
        reset: whether what played before is to be forgotten.
    """

    stream: str
    query: str = field(repr=False)
    raw_name: str = field(repr=False)
    start: float
    duration: float
    reset: bool


def decode_command(message: CommandMessage, *, limits: Limits = _DEFAULT_LIMITS) -> Command:
    """Read a command message. Where its transaction id is left out, as in ffmpeg's onFCPublish, it is 0.

    Raises:
        RemoteProtocolError: its AMF is damaged or passes a limit, or it does not begin with a string and a number.
    """
    values = amf0.decode_all(message.payload, limits=limits)
    if not values:
        raise RemoteProtocolError("a command without a name", spec=_COMMAND)
    name, transaction_id = values[0], _as_number(values[1]) if len(values) > 1 else 0.0
    if not isinstance(name, str):
        raise RemoteProtocolError(f"a command's name is {_kind(name)}, not a string", spec=_COMMAND)
    if transaction_id is None:
        raise RemoteProtocolError(f"a command's transaction id is {_kind(values[1])}, not a number", spec=_COMMAND)
    command_object = values[2] if len(values) > 2 else None
    return Command(name, transaction_id, command_object, tuple(values[3:]), message.message_stream_id, message.amf3)


def encode_command(command: Command) -> CommandMessage:
    """Make the message of a command.

    Raises:
        LocalProtocolError: AMF cannot hold one of its values.
    """
    values = (command.name, command.transaction_id, command.command_object, *command.arguments)
    return CommandMessage(amf0.encode_all(values), command.message_stream_id, amf3=command.amf3)


def command_result(command: Command, command_object: Value = None, *arguments: Value, error: bool = False) -> Command:
    """The `_result`, or the `_error`, of `command`."""
    name = "_error" if error else "_result"
    return Command(name, command.transaction_id, command_object, arguments, command.message_stream_id)


def status_command(status: Status, *, name: str = "onStatus") -> Command:
    """The onStatus command of `status` (or onFCPublish and its kin, which hold the same)."""
    return Command(name, 0, None, (status_information(status),), status.message_stream_id)


def status_information(status: Status) -> dict[str, Value]:
    """The information object of `status`."""
    return {
        "level": str(status.level),
        "code": str(status.code),
        "description": status.description,
        **status.information,
    }


def read_status(command: Command) -> Status:
    """The status in an onStatus command, or in the answer to connect, whose information object is also an argument.

    Raises:
        RemoteProtocolError: there is no information object with a code.
    """
    information = command.arguments[0] if command.arguments else command.command_object
    if not isinstance(information, dict):
        raise RemoteProtocolError(f"{command.name}'s information is {_kind(information)}, no object", spec=_ON_STATUS)
    others = dict(information)
    code, level, description = others.pop("code", None), others.pop("level", None), others.pop("description", None)
    if not isinstance(code, str):
        raise RemoteProtocolError(f"{command.name}'s code is {_kind(code)}, not a string", spec=_ON_STATUS)
    return Status(
        code,
        description if isinstance(description, str) else "",
        level if isinstance(level, str) else Level.STATUS,
        command.message_stream_id,
        others,
    )


def read_connect(command: Command) -> ConnectParameters:
    """What a connect command says.

    Raises:
        RemoteProtocolError: the command object is none, or its app or objectEncoding is of a wrong type.
    """
    properties = command.command_object
    if not isinstance(properties, dict):
        raise RemoteProtocolError(f"connect's command object is {_kind(properties)}, no object", spec=_CONNECT)
    raw_app = properties.get("app", "")
    if not isinstance(raw_app, str):
        raise RemoteProtocolError(f"connect's app is {_kind(raw_app)}, not a string", spec=_CONNECT)
    object_encoding = _as_number(properties.get("objectEncoding", 0.0))
    if object_encoding is None:
        raise RemoteProtocolError("connect's objectEncoding is not a number", spec=_CONNECT)
    app, query = split_query(raw_app)
    return ConnectParameters(
        app,
        query,
        raw_app,
        # Flash Player sends undefined for what it does not know.
        tc_url=_text(properties.get("tcUrl")),
        flash_version=_text(properties.get("flashVer")),
        page_url=_text(properties.get("pageUrl")),
        swf_url=_text(properties.get("swfUrl")),
        object_encoding=3 if object_encoding == 3 else 0,
        capabilities=Capabilities.from_properties(properties),
        properties=properties,
    )


def read_publish(command: Command) -> PublishParameters:
    """What a publish command asks for.

    Raises:
        RemoteProtocolError: the name is no string, or the type is something else than a string or nothing.
    """
    raw_name = read_stream_name(command, spec=_PUBLISH)
    publish_type = _argument(command, 1)
    if publish_type is None:
        publish_type = "live"
    if not isinstance(publish_type, str):
        raise RemoteProtocolError(f"publish's type is {_kind(publish_type)}, not a string", spec=_PUBLISH)
    return PublishParameters(*split_query(raw_name), raw_name, publish_type)


def read_play(command: Command) -> PlayParameters:
    """What a play command asks for.

    Raises:
        RemoteProtocolError: the name is no string, or another argument of a wrong type.
    """
    raw_name = read_stream_name(command, spec=_PLAY)
    start = read_number(command, 1, spec=_PLAY, default=-2.0)
    duration = read_number(command, 2, spec=_PLAY, default=-1.0)
    reset = _argument(command, 3)
    if reset is None:
        reset = True
    if not isinstance(reset, (bool, int, float)):
        raise RemoteProtocolError(f"play's reset is {_kind(reset)}, no boolean and no number", spec=_PLAY)
    return PlayParameters(*split_query(raw_name), raw_name, start, duration, bool(reset))


def read_stream_name(command: Command, *, spec: str) -> str:
    """The name that is a command's first argument.

    Raises:
        RemoteProtocolError: it is no string.
    """
    name = _argument(command, 0)
    if not isinstance(name, str):
        raise RemoteProtocolError(f"{command.name}'s stream name is {_kind(name)}, not a string", spec=spec)
    return name


def read_number(command: Command, index: int, *, spec: str, default: float | None = None) -> float:
    """A command's argument that must be a number; `default` where it was left out, if there is one.

    Raises:
        RemoteProtocolError: it is no number, or was left out and has no default.
    """
    value = _argument(command, index)
    if value is None and default is not None:
        return default
    number = _as_number(value)
    if number is None:
        raise RemoteProtocolError(f"argument {index + 1} of {command.name} is {_kind(value)}, not a number", spec=spec)
    return number


def read_boolean(command: Command, index: int, *, spec: str) -> bool:
    """A command's argument that must be a boolean.

    Raises:
        RemoteProtocolError: it is none.
    """
    value = _argument(command, index)
    if not isinstance(value, bool):
        raise RemoteProtocolError(f"argument {index + 1} of {command.name} is {_kind(value)}, not a boolean", spec=spec)
    return value


def _argument(command: Command, index: int) -> Value:
    """An argument; None where it was left out, is null or undefined."""
    value = command.arguments[index] if index < len(command.arguments) else None
    return None if value is UNDEFINED else value


def _as_number(value: Value) -> float | None:
    """A number as it is, None for anything else; Python's booleans are numbers, AMF's are not."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _kind(value: Value) -> str:
    return "null" if value is None else type(value).__name__
