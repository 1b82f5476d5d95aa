"""What a session does with each command in each state, as data (RTMP 1.0, sections 7.2.1 and 7.2.2).

Two tables. The server's has a row for every command that clients send and a column for every state, and says which
answer it gets; `server_session` knows how to give each answer, and nothing else decides. The client's has a row for
every kind of reply. A connection has one state; each message stream made by createStream has one too, and a command
is looked up under the state of the stream that it came on (IDLE, PUBLISHING, PLAYING), or under the connection's.
"""

import enum
from collections.abc import Iterable
from typing import Final

__all__ = [
    "CLIENT_TABLE",
    "OTHER_COMMAND",
    "SERVER_TABLE",
    "Answer",
    "ClientAnswer",
    "ClientState",
    "Reply",
    "ServerState",
    "server_answer",
]


class ServerState(enum.Enum):
    """Where a server's connection, or one of its message streams, stands."""

    AWAITING_CONNECT = "awaiting connect"
    UNDECIDED = "undecided"
    """A request waits for `accept()` or `reject()`; nothing behind it is read."""
    CONNECTED = "connected"
    """As a command sees it that came on message stream 0, or on one that was never created."""
    IDLE = "idle"
    """A created message stream that neither publishes nor plays."""
    PUBLISHING = "publishing"
    PLAYING = "playing"
    CLOSED = "closed"
    """connect was rejected."""


class Answer(enum.Enum):
    """What the server does with a command. An `_error` goes only to a command with a transaction id."""

    HOLD = "wait until the request is answered"
    IGNORE = "nothing"
    BREAK = "RemoteProtocolError"
    ASK_CONNECT = "ConnectRequested"
    ASK_PUBLISH = "PublishRequested"
    ASK_PLAY = "PlayRequested"
    RESULT = "_result null"
    ZERO_LENGTH = "_result 0"
    CREATE_STREAM = "_result with the stream's id"
    FC_PUBLISH = "_result null; onFCPublish when publish is accepted"
    FC_UNPUBLISH = "onFCUnpublish, _result null; the publishing ends"
    FC_SUBSCRIBE = "_result null, onFCSubscribe"
    END_STREAM = "the publishing or playing ends"
    DELETE_STREAM = "the stream that it names ends and goes"
    PAUSE = "PauseChanged; NetStream.Pause.Notify or Unpause.Notify"
    RECEIVE = "ReceiveChanged"
    REFUSE_SEEK = "_error, or NetStream.Seek.Failed"
    REFUSE_PUBLISH = "NetStream.Publish.BadName"
    REFUSE_PLAY = "NetStream.Play.Failed"
    REFUSE = "_error"
    HAND_ON = "CommandReceived, _error"


OTHER_COMMAND: Final = "(any other)"
"""The row of commands that the table does not name."""

_ANSWERS_OF_THE_PEER: Final = ("_result", "_error", "onStatus")
_CONNECTED_STATES: Final = (
    ServerState.CONNECTED,
    ServerState.IDLE,
    ServerState.PUBLISHING,
    ServerState.PLAYING,
)


def _everywhere(answer: Answer) -> tuple[Answer, Answer, Answer, Answer]:
    return answer, answer, answer, answer


# Columns: connected, idle, publishing, playing.
_CONNECTED_ROWS: Final = {
    "connect": _everywhere(Answer.BREAK),
    "createStream": _everywhere(Answer.CREATE_STREAM),
    "releaseStream": _everywhere(Answer.RESULT),
    "FCPublish": _everywhere(Answer.FC_PUBLISH),
    "FCUnpublish": _everywhere(Answer.FC_UNPUBLISH),
    "FCSubscribe": _everywhere(Answer.FC_SUBSCRIBE),
    "getStreamLength": _everywhere(Answer.ZERO_LENGTH),
    "_checkbw": _everywhere(Answer.RESULT),
    "publish": (Answer.REFUSE_PUBLISH, Answer.ASK_PUBLISH, Answer.REFUSE_PUBLISH, Answer.REFUSE_PUBLISH),
    "play": (Answer.REFUSE_PLAY, Answer.ASK_PLAY, Answer.REFUSE_PLAY, Answer.REFUSE_PLAY),
    "play2": _everywhere(Answer.REFUSE_PLAY),
    "pause": (Answer.REFUSE, Answer.REFUSE, Answer.REFUSE, Answer.PAUSE),
    "seek": (Answer.REFUSE, Answer.REFUSE, Answer.REFUSE, Answer.REFUSE_SEEK),
    "receiveAudio": (Answer.IGNORE, Answer.RECEIVE, Answer.IGNORE, Answer.RECEIVE),
    "receiveVideo": (Answer.IGNORE, Answer.RECEIVE, Answer.IGNORE, Answer.RECEIVE),
    "closeStream": (Answer.IGNORE, Answer.IGNORE, Answer.END_STREAM, Answer.END_STREAM),
    "deleteStream": _everywhere(Answer.DELETE_STREAM),
    **{name: _everywhere(Answer.IGNORE) for name in _ANSWERS_OF_THE_PEER},
    OTHER_COMMAND: _everywhere(Answer.HAND_ON),
}


def _server_table() -> dict[tuple[ServerState, str], Answer]:
    table: dict[tuple[ServerState, str], Answer] = {}
    for command, answers in _CONNECTED_ROWS.items():
        table.update(zip(((state, command) for state in _CONNECTED_STATES), answers, strict=True))
        table[ServerState.UNDECIDED, command] = Answer.HOLD
        table[ServerState.CLOSED, command] = Answer.IGNORE
        table[ServerState.AWAITING_CONNECT, command] = Answer.BREAK
    table[ServerState.AWAITING_CONNECT, "connect"] = Answer.ASK_CONNECT
    for command in _ANSWERS_OF_THE_PEER:
        table[ServerState.AWAITING_CONNECT, command] = Answer.IGNORE
    return table


SERVER_TABLE: Final = _server_table()
"""The answer to every command in every state of a server."""


def server_answer(state: ServerState, command: str) -> Answer:
    """The cell of `SERVER_TABLE` for a command of any name."""
    answer = SERVER_TABLE.get((state, command))
    return SERVER_TABLE[state, OTHER_COMMAND] if answer is None else answer


class ClientState(enum.Enum):
    """Where a client stands."""

    HANDSHAKE = "handshake"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CREATING_STREAM = "creating a stream"
    STARTING = "starting"
    """publish or play was sent and not yet answered."""
    STREAMING = "streaming"
    ENDED = "ended"
    """What was played, or published, ended at the server's side; nginx-rtmp goes on where the publisher returns."""
    CLOSED = "closed"
    """connect was refused."""


class Reply(enum.Enum):
    """The kinds of commands that a server sends."""

    CONNECT_RESULT = "_result of connect"
    CONNECT_ERROR = "_error of connect"
    STREAM_RESULT = "_result of createStream"
    STREAM_ERROR = "_error of createStream"
    START_ERROR = "_error of publish or play"
    STARTED = "NetStream.Publish.Start, NetStream.Play.Start"
    ENDED = "NetStream.Play.Stop, Complete or UnpublishNotify, NetStream.Unpublish.Success"
    FAILED = "onStatus of level error"
    RECONNECT = "NetConnection.Connect.ReconnectRequest"
    STATUS = "any other onStatus"
    CALL = "any other command"


class ClientAnswer(enum.Enum):
    """What the client does with a reply."""

    CONNECTED = "Connected"
    CLOSED = "Refused; the session is closed"
    START = "publish or play is sent"
    REFUSED = "Refused; the stream is gone"
    STARTED = "PublishStarted or PlayStarted"
    ENDED = "StreamEnded"
    RECONNECT = "ReconnectRequested"
    STATUS = "Status"
    HAND_ON = "CommandReceived, _error"
    IGNORE = "nothing"


def _client_row(
    others: ClientAnswer, cells: Iterable[tuple[ClientState, ClientAnswer]] = ()
) -> dict[ClientState, ClientAnswer]:
    row = dict.fromkeys(ClientState, others)
    row.update(cells)
    row[ClientState.HANDSHAKE] = row[ClientState.CLOSED] = ClientAnswer.IGNORE
    return row


_S, _A = ClientState, ClientAnswer

CLIENT_TABLE: Final = {
    (state, reply): answer
    for reply, row in {
        Reply.CONNECT_RESULT: _client_row(_A.IGNORE, [(_S.CONNECTING, _A.CONNECTED)]),
        Reply.CONNECT_ERROR: _client_row(_A.IGNORE, [(_S.CONNECTING, _A.CLOSED)]),
        Reply.STREAM_RESULT: _client_row(_A.IGNORE, [(_S.CREATING_STREAM, _A.START)]),
        Reply.STREAM_ERROR: _client_row(_A.IGNORE, [(_S.CREATING_STREAM, _A.REFUSED)]),
        Reply.START_ERROR: _client_row(_A.IGNORE, [(_S.STARTING, _A.REFUSED)]),
        Reply.STARTED: _client_row(_A.STATUS, [(_S.STARTING, _A.STARTED), (_S.ENDED, _A.STARTED)]),
        Reply.ENDED: _client_row(_A.STATUS, [(_S.STARTING, _A.ENDED), (_S.STREAMING, _A.ENDED)]),
        Reply.FAILED: _client_row(
            _A.STATUS,
            [
                (_S.CONNECTING, _A.CLOSED),
                (_S.CREATING_STREAM, _A.REFUSED),
                (_S.STARTING, _A.REFUSED),
                (_S.STREAMING, _A.REFUSED),
            ],
        ),
        Reply.RECONNECT: _client_row(_A.RECONNECT),
        Reply.STATUS: _client_row(_A.STATUS),
        Reply.CALL: _client_row(_A.HAND_ON),
    }.items()
    for state, answer in row.items()
}
"""The answer to every kind of reply in every state of a client."""
