"""The tables of states, walked cell by cell: each command and each reply gets the answer that its cell names."""

import pytest

from protocol import NEED_DATA, RemoteProtocolError
from protocol.amf import Value
from protocol.rtmp import PAUSED, ClientSession, ClientState, Command, Event, RtmpUrl, ServerSession, ServerState
from protocol.rtmp.states import CLIENT_TABLE, OTHER_COMMAND, SERVER_TABLE, Answer, ClientAnswer, Reply
from tests.protocol.rtmp.conversation import (
    Peer,
    connected_server,
    counted_bytes,
    drain,
    playing_server,
    publishing_server,
    told,
)

COMMANDS = sorted({command for _, command in SERVER_TABLE})

# What goes with each command, so that it is well formed; stream 1 is the one in the state under test.
ARGUMENTS: dict[str, tuple[Value, ...]] = {
    "publish": ("other", "live"),
    "play": ("other",),
    "play2": ({"streamName": "other"},),
    "pause": (True, 1500.0),
    "seek": (1000.0,),
    "receiveAudio": (False,),
    "receiveVideo": (False,),
    "deleteStream": (1.0,),
    "releaseStream": ("test",),
    "FCPublish": ("test",),
    "FCUnpublish": ("elsewhere",),
    "FCSubscribe": ("test",),
    "getStreamLength": ("test",),
    "onStatus": ({"code": "a.b"},),
}

# What a cell's answer looks like from outside, for a command with a transaction id: what is sent, what events come.
SEEN: dict[Answer, tuple[list[str], list[str]]] = {
    Answer.IGNORE: ([], []),
    Answer.ASK_CONNECT: ([], ["ConnectRequested"]),
    Answer.ASK_PUBLISH: ([], ["PublishRequested"]),
    Answer.ASK_PLAY: ([], ["PlayRequested"]),
    Answer.RESULT: (["_result"], []),
    Answer.ZERO_LENGTH: (["_result"], []),
    Answer.CREATE_STREAM: (["_result"], []),
    Answer.FC_PUBLISH: (["_result"], []),
    Answer.FC_UNPUBLISH: (["onFCUnpublish", "_result"], []),
    Answer.FC_SUBSCRIBE: (["_result", "onFCSubscribe"], []),
    Answer.PAUSE: (["NetStream.Pause.Notify"], ["PauseChanged"]),
    Answer.RECEIVE: ([], ["ReceiveChanged"]),
    Answer.REFUSE_SEEK: (["_error"], []),
    Answer.REFUSE_PUBLISH: (["NetStream.Publish.BadName"], []),
    Answer.REFUSE_PLAY: (["NetStream.Play.Failed"], []),
    Answer.REFUSE: (["_error"], []),
    Answer.HAND_ON: (["_error"], ["CommandReceived"]),
}

# The two answers that depend on what the stream was doing.
END_SEEN: dict[ServerState, tuple[list[str], list[str]]] = {
    ServerState.CONNECTED: ([], []),
    ServerState.IDLE: ([], []),
    ServerState.PUBLISHING: (["NetStream.Unpublish.Success"], ["PublishStopped"]),
    ServerState.PLAYING: ([], ["PlayStopped"]),
}


def server_in(state: ServerState) -> tuple[ServerSession, Peer]:
    match state:
        case ServerState.AWAITING_CONNECT:
            session = ServerSession(random_bytes=counted_bytes)
            return session, Peer(session)
        case ServerState.CLOSED:
            session, peer = server_in(ServerState.AWAITING_CONNECT)
            peer.say(Command("connect", 1, {"app": "myapp"}))
            (request,) = peer.events()
            request.reject("NetConnection.Connect.Rejected", "No.")  # type: ignore[union-attr]  # a ConnectRequested
            assert told(peer.listen()) == ["_error"]
            return session, peer
        case ServerState.CONNECTED:
            return connected_server()
        case ServerState.PUBLISHING:
            return publishing_server()
        case ServerState.PLAYING:
            return playing_server()
        case _:
            session, peer = connected_server()
            peer.call("createStream", transaction_id=2)
            peer.events()
            peer.listen()
            return session, peer


def say_command(peer: Peer, state: ServerState, name: str) -> None:
    command_object: Value = {"app": "myapp"} if name == "connect" else None
    on = 0 if state in (ServerState.CONNECTED, ServerState.AWAITING_CONNECT, ServerState.UNDECIDED) else 1
    wire_name = "noSuchMethod" if name == OTHER_COMMAND else name
    peer.say(Command(wire_name, 9, command_object, ARGUMENTS.get(name, ()), on))


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_the_server_table_has_a_cell_for_every_state_and_command() -> None:
    assert set(SERVER_TABLE) == {(state, command) for state in ServerState for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "state", [state for state in ServerState if state is not ServerState.UNDECIDED], ids=lambda state: state.value
)
def test_a_server_gives_the_answer_that_the_cell_names(state: ServerState, command: str) -> None:
    answer = SERVER_TABLE[state, command]
    _, peer = server_in(state)
    say_command(peer, state, command)
    if answer is Answer.BREAK:
        with pytest.raises(RemoteProtocolError) as caught:
            peer.events()
        assert caught.value.spec == "RTMP 1.0, 7.2.1"
        assert peer.listen() == []
        return
    ends = answer in (Answer.END_STREAM, Answer.DELETE_STREAM)
    sent, events = END_SEEN[state] if ends else SEEN[answer]
    assert names(peer.events()) == events
    assert told(peer.listen()) == sent


@pytest.mark.parametrize("command", COMMANDS)
def test_while_a_request_is_undecided_every_command_waits(command: str) -> None:
    assert SERVER_TABLE[ServerState.UNDECIDED, command] is Answer.HOLD
    session, peer = server_in(ServerState.AWAITING_CONNECT)
    peer.say(Command("connect", 1, {"app": "myapp"}))
    (request,) = peer.events()
    assert session.state is ServerState.UNDECIDED
    say_command(peer, ServerState.UNDECIDED, command)
    assert session.next_event() is PAUSED
    assert peer.listen() == []

    request.accept()  # type: ignore[union-attr]  # a ConnectRequested
    peer.listen()
    answer = SERVER_TABLE[ServerState.CONNECTED, command]
    if answer is Answer.BREAK:
        with pytest.raises(RemoteProtocolError):
            peer.events()
        return
    sent, events = SEEN.get(answer, ([], []))
    assert names(peer.events()) == events
    assert told(peer.listen()) == sent


@pytest.mark.parametrize("name", ["publish", "play"])
def test_publish_and_play_with_false_for_a_name_close_the_stream(name: str) -> None:
    for state in (ServerState.PUBLISHING, ServerState.PLAYING):
        session, peer = server_in(state)
        peer.call(name, False, on=1)
        sent, events = END_SEEN[state]
        assert names(peer.events()) == events
        assert told(peer.listen()) == sent
        assert session.stream_state(1) is ServerState.IDLE


# --- the client's table ---

URL = RtmpUrl("rtmp", "h", 1935, "myapp", "test?key=x")
STREAM_ID = 1.0
OK: dict[str, Value] = {"level": "status", "code": "NetConnection.Connect.Success"}
NO: dict[str, Value] = {"level": "error", "code": "NetStream.Failed", "description": "No."}


def on_status(code: str, level: str = "status") -> Command:
    return Command("onStatus", 0, None, ({"level": level, "code": code},), 1)


def reply_command(reply: Reply, purpose: str, transaction_id: float) -> Command:
    match reply:
        case Reply.CONNECT_RESULT:
            return Command("_result", 1, {}, (OK,))
        case Reply.CONNECT_ERROR:
            return Command("_error", 1, None, (NO,))
        case Reply.STREAM_RESULT:
            return Command("_result", transaction_id, None, (STREAM_ID,))
        case Reply.STREAM_ERROR | Reply.START_ERROR:
            return Command("_error", transaction_id, None, (NO,))
        case Reply.STARTED:
            return on_status("NetStream.Publish.Start" if purpose == "publish" else "NetStream.Play.Start")
        case Reply.ENDED:
            return on_status("NetStream.Unpublish.Success" if purpose == "publish" else "NetStream.Play.Stop")
        case Reply.FAILED:
            return on_status("NetStream.Failed", "error")
        case Reply.RECONNECT:
            return on_status("NetConnection.Connect.ReconnectRequest")
        case Reply.STATUS:
            return on_status("NetStream.Data.Start")
        case Reply.CALL:
            return Command("onBWDone", 8, None)


def client_in(state: ClientState, purpose: str) -> tuple[ClientSession, Peer, dict[str, float]]:
    """A client in that state, and the transaction ids of what it has called by then."""
    session = ClientSession(URL, random_bytes=counted_bytes)
    peer = Peer(session)
    way = [ClientState.CONNECTING, ClientState.CONNECTED, ClientState.CREATING_STREAM, ClientState.STARTING]
    way += [ClientState.STREAMING, ClientState.ENDED]
    calls: dict[str, float] = {}

    def listen(data: bytes | None = None) -> None:
        calls.update({item.name: item.transaction_id for item in peer.listen(data) if isinstance(item, Command)})

    listen()
    if state is ClientState.CLOSED:
        peer.say(reply_command(Reply.CONNECT_ERROR, purpose, 1))
        assert names(peer.events()) == ["Refused"]
        return session, peer, calls
    for reached in way[1 : way.index(state) + 1]:
        match reached:
            case ClientState.CONNECTED:
                peer.say(reply_command(Reply.CONNECT_RESULT, purpose, 1))
            case ClientState.CREATING_STREAM:
                listen(session.publish() if purpose == "publish" else session.play())
            case ClientState.STARTING:
                peer.say(reply_command(Reply.STREAM_RESULT, purpose, calls["createStream"]))
            case ClientState.STREAMING:
                peer.say(reply_command(Reply.STARTED, purpose, 0))
            case _:
                peer.say(reply_command(Reply.ENDED, purpose, 0))
        peer.events()
        listen()
    assert session.state is state
    return session, peer, calls


CLIENT_SEEN: dict[ClientAnswer, tuple[list[str], list[str]]] = {
    ClientAnswer.CONNECTED: (["WindowAcknowledgementSize", "SetChunkSize"], ["Connected"]),
    ClientAnswer.CLOSED: ([], ["Refused"]),
    ClientAnswer.REFUSED: ([], ["Refused"]),
    ClientAnswer.ENDED: ([], ["StreamEnded"]),
    ClientAnswer.RECONNECT: ([], ["ReconnectRequested"]),
    ClientAnswer.STATUS: ([], ["Status"]),
    ClientAnswer.HAND_ON: (["_error"], ["CommandReceived"]),
    ClientAnswer.IGNORE: ([], []),
}


# Where a client stands after an answer; the others leave it where it is.
NEW_STATES: dict[ClientAnswer, ClientState] = {
    ClientAnswer.CONNECTED: ClientState.CONNECTED,
    ClientAnswer.CLOSED: ClientState.CLOSED,
    ClientAnswer.START: ClientState.STARTING,
    ClientAnswer.REFUSED: ClientState.CONNECTED,
    ClientAnswer.STARTED: ClientState.STREAMING,
    ClientAnswer.ENDED: ClientState.ENDED,
}


def test_the_client_table_has_a_cell_for_every_state_and_reply() -> None:
    assert set(CLIENT_TABLE) == {(state, reply) for state in ClientState for reply in Reply}


# An answer to a call can come only after the call: the cells below cannot be reached by any server.
POSSIBLE = [
    (state, reply)
    for state, reply in CLIENT_TABLE
    if state is not ClientState.HANDSHAKE
    and (reply not in (Reply.CONNECT_RESULT, Reply.CONNECT_ERROR) or state is ClientState.CONNECTING)
    and (reply not in (Reply.STREAM_RESULT, Reply.STREAM_ERROR) or state is ClientState.CREATING_STREAM)
    and (reply is not Reply.START_ERROR or state in (ClientState.STARTING, ClientState.STREAMING, ClientState.ENDED))
]


@pytest.mark.parametrize("purpose", ["publish", "play"])
@pytest.mark.parametrize(("state", "reply"), POSSIBLE)
def test_a_client_gives_the_answer_that_the_cell_names(state: ClientState, reply: Reply, purpose: str) -> None:
    session, peer, calls = client_in(state, purpose)
    called = purpose if reply is Reply.START_ERROR else "createStream"
    peer.say(reply_command(reply, purpose, calls.get(called, 0)))
    sent, events = CLIENT_SEEN.get(CLIENT_TABLE[state, reply], ([], []))
    match CLIENT_TABLE[state, reply]:
        case ClientAnswer.START:
            sent = ["publish"] if purpose == "publish" else ["play", "SetBufferLength"]
        case ClientAnswer.REFUSED if state is not ClientState.CREATING_STREAM:
            sent = ["deleteStream"]
        case ClientAnswer.STARTED:
            events = ["PublishStarted"] if purpose == "publish" else ["PlayStarted"]
    assert names(peer.events()) == events
    assert told(peer.listen()) == sent
    assert session.state is NEW_STATES.get(CLIENT_TABLE[state, reply], state)


def test_a_closed_client_hears_nothing_more() -> None:
    session, peer, _ = client_in(ClientState.CLOSED, "play")
    peer.say(reply_command(Reply.CALL, "play", 0))
    assert session.next_event() is NEED_DATA
    assert drain(session) == []
