"""The client's session: connects, publishes, plays, and tells its owner why it may not."""

from dataclasses import replace

import pytest

from protocol import NEED_DATA, LocalProtocolError, RemoteProtocolError
from protocol.amf import EcmaArray, Value, amf0
from protocol.rtmp import (
    FORWARD_ANY,
    AggregateMessage,
    Capabilities,
    CapsEx,
    ClientHandshake,
    ClientSession,
    ClientState,
    Code,
    Command,
    CommandReceived,
    Connected,
    HandshakeScheme,
    MediaKind,
    MediaMessage,
    MessageReceived,
    PingRequest,
    PingResponse,
    PlayStarted,
    PublishStarted,
    RawMessage,
    ReconnectRequested,
    Refused,
    SetBufferLength,
    SetChunkSize,
    Status,
    StreamBegin,
    StreamEnded,
    StreamEof,
    WindowAcknowledgementSize,
    join_aggregate,
    parse_url,
)
from protocol.rtmp.client_session import _ANSWERS
from protocol.rtmp.states import ClientAnswer
from tests.protocol.rtmp.conversation import Heard, Peer, counted_bytes, told

URL = parse_url("rtmp://jo:pw@h/myapp/test?key=x")
VIDEO = MediaMessage(MediaKind.VIDEO, 40, b"\x17\x01\x00\x00\x00frame", 1)
SUCCESS: dict[str, Value] = {"level": "status", "code": "NetConnection.Connect.Success", "description": "Hello."}


def new_client(**options: object) -> tuple[ClientSession, Peer, Command]:
    """A client, its server, and the connect command that it has sent."""
    session = ClientSession(URL, random_bytes=counted_bytes, **options)  # type: ignore[arg-type]  # options of any type
    peer = Peer(session)
    (connect,) = peer.listen()
    assert isinstance(connect, Command)
    return session, peer, connect


def connected_client(**options: object) -> tuple[ClientSession, Peer]:
    session, peer, _ = new_client(**options)
    peer.say(Command("_result", 1, {"fmsVer": "FMS/3"}, (SUCCESS,)))
    peer.events()
    peer.listen()
    return session, peer


def create_stream_id(heard: list[Heard]) -> float:
    (command,) = [item for item in heard if isinstance(item, Command) and item.name == "createStream"]
    return command.transaction_id


def starting_client(purpose: str) -> tuple[ClientSession, Peer]:
    session, peer = connected_client()
    heard = peer.listen(session.publish() if purpose == "publish" else session.play())
    peer.say(Command("_result", create_stream_id(heard), None, (1.0,)))
    peer.events()
    return session, peer


def streaming_client(purpose: str) -> tuple[ClientSession, Peer]:
    session, peer = starting_client(purpose)
    peer.listen()
    peer.say(on_status("NetStream.Publish.Start" if purpose == "publish" else "NetStream.Play.Start"))
    peer.events()
    return session, peer


def on_status(code: str, level: str = "status", **others: Value) -> Command:
    return Command("onStatus", 0, None, ({"level": level, "code": code, "description": "So.", **others},), 1)


def test_every_answer_of_the_table_can_be_given() -> None:
    assert set(_ANSWERS) == set(ClientAnswer)


def test_connect_says_app_tc_url_and_capabilities_but_no_password() -> None:
    session, _, connect = new_client(connect_properties={"pageUrl": "http://h/", "flashVer": "mine"})
    assert (connect.name, connect.transaction_id, connect.message_stream_id) == ("connect", 1, 0)
    properties = connect.command_object
    assert isinstance(properties, dict)
    assert properties["app"] == "myapp"
    assert properties["tcUrl"] == "rtmp://h/myapp"
    assert properties["pageUrl"] == "http://h/"
    assert properties["flashVer"] == "mine"
    assert properties["objectEncoding"] == 0
    assert Capabilities.from_properties(properties) == FORWARD_ANY
    assert session.state is ClientState.CONNECTING


def test_a_client_can_keep_silent_about_enhanced_rtmp() -> None:
    _, _, connect = new_client(capabilities=Capabilities())
    assert isinstance(connect.command_object, dict)
    assert not {"fourCcList", "capsEx", "videoFourCcInfoMap", "audioFourCcInfoMap"} & set(connect.command_object)


def test_the_first_bytes_are_there_from_the_start_and_may_hold_a_digest() -> None:
    session = ClientSession(URL, random_bytes=counted_bytes, handshake_scheme=HandshakeScheme.SCHEME_1, now_ms=5)
    expected = ClientHandshake(random_bytes=counted_bytes, scheme=HandshakeScheme.SCHEME_1, now_ms=5).data_to_send()
    assert session.data_to_send() == expected


def test_connected_tells_what_the_server_says_of_itself() -> None:
    session, peer, _ = new_client()
    peer.say(Command("_result", 1, {"fmsVer": "FMS/3", "capsEx": 1.0}, (SUCCESS,)))
    (event,) = peer.events()
    assert isinstance(event, Connected)
    assert event.capabilities.flags == CapsEx.RECONNECT
    assert event.properties == {"fmsVer": "FMS/3", "capsEx": 1.0, **SUCCESS}
    assert peer.listen() == [WindowAcknowledgementSize(2_500_000), SetChunkSize(4096)]
    assert session.chunk_size == 4096


def test_a_server_that_says_next_to_nothing_is_connected_to_all_the_same() -> None:
    _, peer, _ = new_client()
    peer.say(Command("_result", 1, None, (None,)))
    assert peer.events() == [Connected(Capabilities(), {})]


@pytest.mark.parametrize(
    "answer",
    [
        Command("_error", 1, None, ({"level": "error", "code": Code.CONNECT_REJECTED.value, "description": "So."},)),
        Command("_result", 1, None, ({"level": "error", "code": Code.CONNECT_REJECTED.value, "description": "So."},)),
        on_status("NetConnection.Connect.Rejected", "error"),
    ],
)
def test_a_rejected_connect_closes_the_session(answer: Command) -> None:
    session, peer, _ = new_client()
    peer.say(answer)
    assert peer.events() == [Refused("connect", "NetConnection.Connect.Rejected", "So.")]
    assert session.state is ClientState.CLOSED
    session.receive_data(b"\xff" * 100)
    assert session.next_event() is NEED_DATA


def test_an_error_without_a_reason_is_a_failed_call() -> None:
    _, peer, _ = new_client()
    peer.say(Command("_error", 1, None))
    assert peer.events() == [Refused("connect", "NetConnection.Call.Failed", "The server gave no reason.")]


def test_publishing_goes_as_encoders_do_it() -> None:
    session, peer = connected_client()
    heard = peer.listen(session.publish())
    assert [(item.name, item.transaction_id, item.arguments) for item in heard if isinstance(item, Command)] == [
        ("releaseStream", 2, ("test?key=x",)),
        ("FCPublish", 3, ("test?key=x",)),
        ("createStream", 4, ()),
    ]
    peer.say(Command("_result", 2, None, (None,)), Command("_error", 3), Command("_result", 4, None, (1.0,)))
    assert peer.events() == []
    assert peer.listen() == [Command("publish", 5, None, ("test?key=x", "live"), 1)]
    peer.say(on_status("NetStream.Publish.Start"))
    assert peer.events() == [PublishStarted(1)]
    (metadata,) = peer.listen(session.send_metadata({"width": 640.0}))
    assert isinstance(metadata, MediaMessage)
    assert amf0.decode_all(metadata.payload) == ["@setDataFrame", "onMetaData", EcmaArray({"width": 640.0})]
    assert peer.listen(session.send_media(*VIDEO)) == [VIDEO]
    ended = peer.listen(session.close_stream())
    assert ended == [Command("FCUnpublish", 6, None, ("test?key=x",)), Command("deleteStream", 7, None, (1.0,))]
    assert session.state is ClientState.CONNECTED


def test_playing_goes_as_players_do_it() -> None:
    session, peer = connected_client()
    heard = peer.listen(session.play("other", start=-1, buffer_ms=500))
    assert told(heard) == ["createStream"]
    peer.say(Command("_result", create_stream_id(heard), None, (3.0,)))
    assert peer.events() == []
    assert peer.listen() == [Command("play", 3, None, ("other", -1.0), 3), SetBufferLength(3, 500)]
    peer.say(StreamBegin(3), on_status("NetStream.Play.Reset"), on_status("NetStream.Play.Start"))
    begin, reset, started = peer.events()
    assert begin == MessageReceived(StreamBegin(3))
    assert isinstance(reset, Status)
    assert reset.code == "NetStream.Play.Reset"
    assert started == PlayStarted(3)
    media = VIDEO._replace(message_stream_id=3)
    peer.say(media, VIDEO, join_aggregate([RawMessage(9, 8, 3, b"a")]))
    assert peer.events() == [media, MediaMessage(MediaKind.AUDIO, 9, b"a", 3)]
    assert told(peer.listen(session.close_stream())) == ["deleteStream"]
    peer.say(media, AggregateMessage(b"", 3, 0))
    assert peer.events() == []


def test_media_on_message_stream_0_is_what_is_played() -> None:
    _, peer = starting_client("play")
    media = VIDEO._replace(message_stream_id=0)
    peer.say(media)
    assert peer.events() == [media]


def test_media_that_comes_before_play_start_is_taken() -> None:
    _, peer = starting_client("play")
    peer.say(VIDEO)
    assert peer.events() == [VIDEO]


@pytest.mark.parametrize(
    ("purpose", "code"),
    [
        ("publish", "NetStream.Publish.BadName"),
        ("publish", "NetStream.Publish.Denied"),
        ("play", "NetStream.Play.StreamNotFound"),
    ],
)
def test_a_refusal_says_what_was_refused_and_why_and_another_try_is_possible(purpose: str, code: str) -> None:
    session, peer = starting_client(purpose)
    peer.say(on_status(code, "error"))
    assert peer.events() == [Refused(purpose, code, "So.")]
    assert session.state is ClientState.CONNECTED
    assert session.play("other")


@pytest.mark.parametrize("code", ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop", "NetStream.Play.Complete"])
def test_the_end_of_what_is_played_is_told_once_and_it_may_go_on(code: str) -> None:
    session, peer = streaming_client("play")
    peer.say(on_status(code), StreamEof(1))
    assert peer.events() == [StreamEnded(1, code), MessageReceived(StreamEof(1))]
    assert session.state is ClientState.ENDED
    peer.say(on_status("NetStream.Play.Start"), VIDEO)
    assert peer.events() == [PlayStarted(1), VIDEO]


def test_an_eof_alone_ends_what_is_played() -> None:
    _, peer = streaming_client("play")
    peer.say(StreamEof(1))
    assert peer.events() == [StreamEnded(1, "")]


@pytest.mark.parametrize(
    ("others", "target"),
    [
        ({"tcUrl": "rtmp://new/app"}, "rtmp://new/app"),
        ({"tcUrl": "//new/app"}, "rtmp://new/app"),
        ({"tcUrl": "/app"}, "rtmp://h/app"),
        ({"tcUrl": 1.0}, "rtmp://h/myapp"),
        ({}, "rtmp://h/myapp"),
    ],
)
def test_a_reconnect_request_is_told_with_its_target_and_changes_nothing(others: dict[str, Value], target: str) -> None:
    session, peer = streaming_client("publish")
    peer.say(on_status("NetConnection.Connect.ReconnectRequest", **others))
    assert peer.events() == [ReconnectRequested(target, "So.")]
    assert session.send_media(*VIDEO)


@pytest.mark.parametrize("number", [0.0, -1.0, 1.5, float("nan"), float("inf"), 2.0**32, "1", None, True])
def test_a_message_stream_id_that_is_none_breaks_the_connection(number: Value) -> None:
    session, peer = connected_client()
    transaction_id = create_stream_id(peer.listen(session.play()))
    peer.say(Command("_result", transaction_id, None, (number,)))
    with pytest.raises(RemoteProtocolError) as caught:
        peer.events()
    assert caught.value.spec == "RTMP 1.0, 7.2.1.3"


def test_a_status_that_is_none_breaks_the_connection() -> None:
    _, peer = connected_client()
    peer.say(Command("onStatus", 0, None, ("text",)))
    with pytest.raises(RemoteProtocolError) as caught:
        peer.events()
    assert caught.value.spec == "RTMP 1.0, 7.2.2"


def test_answers_to_your_own_calls_are_handed_on_and_not_answered() -> None:
    session, peer = connected_client()
    peer.listen(session.send(Command("myMethod", 77)))
    result, error = Command("_result", 77, None, (1.0,)), Command("_error", 78)
    peer.say(result, error)
    assert peer.events() == [CommandReceived(result), CommandReceived(error)]
    assert peer.listen() == []


def test_a_refusal_on_a_stream_of_the_owners_own_is_a_status_and_ends_nothing() -> None:
    session, peer = streaming_client("publish")
    refusal = replace(on_status("NetStream.Publish.BadName", "error"), message_stream_id=2)
    peer.say(refusal)
    (status,) = peer.events()
    assert isinstance(status, Status)
    assert (status.code, status.message_stream_id) == ("NetStream.Publish.BadName", 2)
    assert session.send_media(*VIDEO)


def test_a_ping_is_answered() -> None:
    _, peer = connected_client()
    peer.say(PingRequest(7))
    assert peer.events() == []
    assert peer.listen() == [PingResponse(7)]


def test_nothing_is_published_played_or_closed_out_of_order() -> None:
    session, _, _ = new_client()
    for misuse in (session.publish, session.play, session.close_stream, lambda: session.send_media(*VIDEO)):
        with pytest.raises(LocalProtocolError):
            misuse()
    session, _ = streaming_client("publish")
    for misuse in (session.publish, session.play, lambda: session.send_media(MediaKind.AUDIO, 0, b"", 2)):
        with pytest.raises(LocalProtocolError):
            misuse()
    session, _ = streaming_client("play")
    with pytest.raises(LocalProtocolError):
        session.send_media(*VIDEO)


def test_bytes_of_the_handshake_are_held_too() -> None:
    session = ClientSession(URL, random_bytes=counted_bytes)
    session.receive_data(b"\x03" + bytes(1000))
    assert session.bytes_held == 1001
    assert session.next_event() is NEED_DATA
    assert session.bytes_held == 1000
