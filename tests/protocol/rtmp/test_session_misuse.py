"""What the owner of a session asks wrongly is refused at once, and leaves nothing behind; it never comes out later."""

from collections.abc import Callable

import pytest

from protocol import NEED_DATA, LocalProtocolError
from protocol.amf import Value
from protocol.rtmp import (
    Capabilities,
    ClientSession,
    ClientState,
    Command,
    Connected,
    ConnectRequested,
    MessageReceived,
    PlayRequested,
    PublishRequested,
    PublishStarted,
    Refused,
    RtmpUrl,
    ServerSession,
    ServerState,
    parse_url,
)
from tests.protocol.rtmp.conversation import (
    Peer,
    connected_server,
    counted_bytes,
    drain,
    playing_server,
    told,
)

URL = parse_url("rtmp://h/myapp/test?key=x")
LONE = "\ud800"
"""A surrogate that stands for no byte: no AMF string holds it."""


def new_session(kind: type[ClientSession] | type[ServerSession], **options: object) -> ClientSession | ServerSession:
    wanted = {"url": URL} if kind is ClientSession else {}
    return kind(random_bytes=counted_bytes, **wanted, **options)  # type: ignore[arg-type]  # options of any type


def connected_pair() -> tuple[ClientSession, ServerSession]:
    client, server = ClientSession(URL, random_bytes=counted_bytes), ServerSession(random_bytes=counted_bytes)
    (request,) = exchange(client, server)
    assert isinstance(request, ConnectRequested)
    request.accept()
    assert any(isinstance(event, Connected) for event in exchange(client, server))
    return client, server


def exchange(client: ClientSession, server: ServerSession, said: bytes = b"") -> list[object]:
    """Carry bytes both ways until nobody has more to say; the events of both, in order."""
    events: list[object] = []
    to_server = said
    while True:
        to_server += client.data_to_send()
        server.receive_data(to_server)
        events += drain(server)
        to_client, to_server = server.data_to_send(), b""
        client.receive_data(to_client)
        events += drain(client)
        to_server = client.data_to_send()
        if not to_client and not to_server:
            return events


@pytest.mark.parametrize("kind", [ClientSession, ServerSession])
@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ({"chunk_size": 0}, "RTMP 1.0, 5.4.1"),
        ({"chunk_size": 0x80000000}, "RTMP 1.0, 5.4.1"),
        ({"window_bytes": -1}, "RTMP 1.0, 5.4.4"),
        ({"window_bytes": 1 << 32}, "RTMP 1.0, 5.4.4"),
        ({"capabilities": Capabilities(fourcc_list=(LONE,))}, "AMF 0, 2.4"),
    ],
)
def test_a_session_that_could_not_say_what_it_must_is_not_made(
    kind: type[ClientSession] | type[ServerSession], options: dict[str, object], spec: str
) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        new_session(kind, **options)
    assert caught.value.spec == spec


@pytest.mark.parametrize("kind", [ClientSession, ServerSession])
@pytest.mark.parametrize("options", [{"chunk_size": 1}, {"chunk_size": 0x7FFFFFFF}, {"window_bytes": 0xFFFFFFFF}])
def test_what_is_just_within_its_range_makes_a_session(
    kind: type[ClientSession] | type[ServerSession], options: dict[str, object]
) -> None:
    assert new_session(kind, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"connect_properties": {"x": object()}},
        {"connect_properties": {"x": "a" * 0xFFFFFF}},
        {"flash_version": LONE},
        {"url": RtmpUrl("rtmp", "h", 1935, LONE)},
    ],
)
def test_a_client_whose_connect_cannot_be_sent_is_not_made(options: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        ClientSession(**{"url": URL, "random_bytes": counted_bytes, **options})  # type: ignore[arg-type]  # of any type


ASKING: dict[str, Callable[[ClientSession], bytes]] = {
    "publish a name": lambda client: client.publish(LONE),
    "publish a type": lambda client: client.publish(publish_type=LONE),
    "publish a name too long for releaseStream alone": lambda client: client.publish("a" * 0xFFFFE2, publish_type=""),
    "play a name": lambda client: client.play(LONE),
    "play a name that is too long": lambda client: client.play("a" * 0xFFFFFF),
    "play with a buffer": lambda client: client.play(buffer_ms=-1),
    "play with a large buffer": lambda client: client.play(buffer_ms=1 << 32),
}


@pytest.mark.parametrize("asked", ASKING)
def test_what_cannot_be_asked_for_is_refused_at_once_and_another_may_be_asked_for(asked: str) -> None:
    client, server = connected_pair()
    with pytest.raises(LocalProtocolError):
        ASKING[asked](client)
    assert client.state is ClientState.CONNECTED
    assert client.data_to_send() == b""
    (request,) = exchange(client, server, client.publish("ok"))
    assert isinstance(request, PublishRequested)
    request.accept()
    assert PublishStarted(1) in exchange(client, server)


@pytest.mark.parametrize("purpose", ["publish", "play"])
def test_forty_refusals_in_a_row_are_the_same_refusal_forty_times(purpose: str) -> None:
    client, server = connected_pair()
    for _ in range(40):
        (request,) = exchange(client, server, client.publish() if purpose == "publish" else client.play())
        assert isinstance(request, (PublishRequested, PlayRequested))
        request.reject("NetStream.Failed", "No.")
        (refused,) = [event for event in exchange(client, server) if not isinstance(event, MessageReceived)]
        assert refused == Refused(purpose, "NetStream.Failed", "No.")
    assert client.state is ClientState.CONNECTED


def test_a_stream_that_was_never_made_is_not_deleted() -> None:
    client = ClientSession(URL, random_bytes=counted_bytes)
    peer = Peer(client)
    peer.say(Command("_result", 1, {}, ({"level": "status", "code": "NetConnection.Connect.Success"},)))
    peer.events()
    peer.listen()
    create = peer.listen(client.play())[0]
    assert isinstance(create, Command)
    peer.say(Command("_error", create.transaction_id))
    assert isinstance(peer.events()[0], Refused)
    assert peer.listen() == []


def test_a_rejection_that_cannot_be_sent_leaves_the_request_to_be_answered_again() -> None:
    session = ServerSession(random_bytes=counted_bytes)
    peer = Peer(session)
    peer.say(Command("connect", 1, {"app": "myapp"}))
    (request,) = peer.events()
    assert isinstance(request, ConnectRequested)
    with pytest.raises(LocalProtocolError):
        request.reject("NetConnection.Connect.Rejected", LONE)
    assert session.state is ServerState.UNDECIDED
    assert peer.listen() == []
    request.accept()
    assert session.state is ServerState.CONNECTED
    with pytest.raises(LocalProtocolError, match="answered before"):
        request.accept()


@pytest.mark.parametrize("name", ["publish", "play"])
def test_a_refused_stream_whose_refusal_cannot_be_sent_is_still_undecided(name: str) -> None:
    session, peer = connected_server()
    peer.call("createStream", transaction_id=2)
    peer.call(name, "test", on=1)
    peer.listen()
    (request,) = peer.events()
    peer.listen()
    assert isinstance(request, (PublishRequested, PlayRequested))
    with pytest.raises(LocalProtocolError):
        request.reject(LONE, "No.")
    assert (session.state, session.stream_state(1)) == (ServerState.UNDECIDED, ServerState.IDLE)
    assert peer.listen() == []
    request.reject("NetStream.Failed", "No.")
    assert told(peer.listen()) == ["NetStream.Failed"]


@pytest.mark.parametrize("name", ["publish", "play"])
def test_the_longest_name_that_comes_can_be_accepted(name: str) -> None:
    session, peer = connected_server()
    peer.call("createStream", transaction_id=2)
    longest = "a" * (0xFFFFFF - 40)
    peer.call(name, longest, on=1)
    (request,) = peer.events()
    assert isinstance(request, (PublishRequested, PlayRequested))
    request.accept()
    assert session.stream_state(1) in (ServerState.PUBLISHING, ServerState.PLAYING)


def test_an_end_that_cannot_be_said_ends_nothing() -> None:
    session, peer = playing_server()
    with pytest.raises(LocalProtocolError):
        session.end_play(description=LONE)
    assert session.stream_state(1) is ServerState.PLAYING
    assert told(peer.listen(session.end_play())) == ["NetStream.Play.UnpublishNotify", "StreamEof"]


def test_what_is_nothing_to_send_is_refused() -> None:
    session, _ = connected_server()
    thing: Value = 1.0
    with pytest.raises(LocalProtocolError):
        session.send(thing)  # type: ignore[arg-type]  # the misuse
    assert session.data_to_send() == b""
    assert session.next_event() is NEED_DATA
