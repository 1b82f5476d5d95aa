"""The server's session: what a publisher and a player are told, in which order, and what breaks the connection."""

from dataclasses import replace

import pytest

from protocol import NEED_DATA, Limits, LocalProtocolError, RemoteProtocolError
from protocol.amf import Value, amf0
from protocol.rtmp import (
    FORWARD_ANY,
    MEDIA_CHUNK_STREAM_IDS,
    PAUSED,
    Abort,
    Acknowledgement,
    AggregateMessage,
    Capabilities,
    Code,
    Command,
    CommandMessage,
    CommandReceived,
    ConnectRequested,
    LimitType,
    MediaKind,
    MediaMessage,
    MessageReceived,
    PauseChanged,
    PingRequest,
    PingResponse,
    PlayRequested,
    PlayStopped,
    PublishRequested,
    PublishStopped,
    RawMessage,
    ReceiveChanged,
    ServerSession,
    ServerState,
    SetBufferLength,
    SetChunkSize,
    SetPeerBandwidth,
    SharedBudget,
    SharedObjectMessage,
    Status,
    StreamBegin,
    StreamEof,
    WindowAcknowledgementSize,
    encode_standalone,
    join_aggregate,
)
from protocol.rtmp.commands import read_status
from protocol.rtmp.server_session import _ANSWERS
from protocol.rtmp.states import Answer
from tests.protocol.rtmp.conversation import (
    Peer,
    connected_server,
    counted_bytes,
    playing_server,
    publishing_server,
    told,
)

VIDEO = MediaMessage(MediaKind.VIDEO, 40, b"\x17\x01\x00\x00\x00frame", 1)
AUDIO = MediaMessage(MediaKind.AUDIO, 41, b"\xaf\x01sound", 1)
DATA = MediaMessage(MediaKind.DATA, 0, amf0.encode_all(["@setDataFrame", "onMetaData", {}]), 1)


def new_server(**options: object) -> tuple[ServerSession, Peer]:
    session = ServerSession(random_bytes=counted_bytes, **options)  # type: ignore[arg-type]  # options of any type
    return session, Peer(session)


def test_every_answer_of_the_table_can_be_given() -> None:
    assert set(_ANSWERS) == set(Answer) - {Answer.HOLD, Answer.IGNORE, Answer.BREAK}


# --- connect ---


def test_a_connect_becomes_a_request_and_is_answered_as_adobes_servers_do() -> None:
    session, peer = new_server()
    peer.say(Command("connect", 1, {"app": "myapp?key=X", "objectEncoding": 3.0, "flashVer": "FMLE/3.0"}))
    (request,) = peer.events()
    assert isinstance(request, ConnectRequested)
    assert (request.connect.app, request.connect.query, request.connect.flash_version) == ("myapp", "key=X", "FMLE/3.0")
    assert "myapp" in repr(request)
    assert "key=X" not in repr(request)
    assert session.state is ServerState.UNDECIDED
    request.accept()
    *control, result = peer.listen()
    assert control == [
        WindowAcknowledgementSize(2_500_000),
        SetPeerBandwidth(2_500_000, LimitType.DYNAMIC),
        SetChunkSize(4096),
        StreamBegin(0),
    ]
    assert isinstance(result, Command)
    assert (result.name, result.transaction_id) == ("_result", 1)
    properties, information = result.command_object, result.arguments[0]
    assert isinstance(properties, dict)
    assert properties["fmsVer"] == "FMS/3,5,7,7009"
    assert properties["capabilities"] == 31
    assert Capabilities.from_properties(properties) == FORWARD_ANY
    assert information == {
        "level": "status",
        "code": "NetConnection.Connect.Success",
        "description": "Connection succeeded.",
        "objectEncoding": 3.0,
    }
    assert session.state is ServerState.CONNECTED
    assert session.chunk_size == 4096


def test_a_rejected_connect_gets_an_error_and_nothing_more_is_heard() -> None:
    session, peer = new_server()
    peer.say(Command("connect", 1, {"app": "a/b"}))
    (request,) = peer.events()
    assert isinstance(request, ConnectRequested)
    request.reject(Code.CONNECT_REJECTED, "No application of that name.")
    (answer,) = peer.listen()
    assert isinstance(answer, Command)
    assert (answer.name, answer.transaction_id) == ("_error", 1)
    assert answer.arguments[0] == {
        "level": "error",
        "code": "NetConnection.Connect.Rejected",
        "description": "No application of that name.",
    }
    assert session.state is ServerState.CLOSED
    peer.say(PingRequest(1))
    session.receive_data(b"\xff" * 10_000)
    assert session.next_event() is NEED_DATA
    assert session.data_to_send() == b""
    assert session.bytes_held == 0


def test_a_rejected_connect_is_told_so_even_without_a_transaction_id() -> None:
    _, peer = new_server()
    peer.say(Command("connect", 0, {"app": "myapp"}))
    (request,) = peer.events()
    assert isinstance(request, ConnectRequested)
    request.reject(Code.CONNECT_REJECTED, "No.")
    assert told(peer.listen()) == ["_error"]


def test_a_request_is_answered_once() -> None:
    session, peer = new_server()
    peer.say(Command("connect", 1, {"app": "myapp"}))
    (request,) = peer.events()
    assert isinstance(request, ConnectRequested)
    request.accept()
    sent = session.data_to_send()
    for again in (request.accept, lambda: request.reject("a", "b")):
        with pytest.raises(LocalProtocolError, match="answered before"):
            again()
    assert sent
    assert session.data_to_send() == b""


def test_the_handshake_can_be_asked_for_once_it_is_over() -> None:
    session = ServerSession(random_bytes=counted_bytes)
    assert session.handshake is None
    Peer(session)
    assert session.handshake is not None
    assert session.handshake.answer_matched


def test_what_is_no_rtmp_breaks_at_the_first_byte_and_again_on_every_call() -> None:
    session = ServerSession(random_bytes=counted_bytes)
    session.receive_data(b"GET / HTTP/1.1\r\n")
    for _ in range(2):
        with pytest.raises(RemoteProtocolError) as caught:
            session.next_event()
        assert caught.value.spec == "RTMP 1.0, 5.2.2"
        session.receive_data(b"more")


# --- publish ---


def test_an_encoders_whole_way_is_answered_in_the_order_that_it_waits_for() -> None:
    session, peer = connected_server()
    peer.call("releaseStream", "test?key=s3cret", transaction_id=2)
    peer.call("FCPublish", "test?key=s3cret", transaction_id=3)
    peer.call("createStream", transaction_id=4)
    peer.call("publish", "test?key=s3cret", "live", transaction_id=5, on=1)
    (request,) = peer.events()
    assert isinstance(request, PublishRequested)
    assert (request.publish.stream, request.publish.query) == ("test", "key=s3cret")
    assert request.publish.raw_name == "test?key=s3cret"
    assert request.message_stream_id == 1
    assert "s3cret" not in repr(request)
    answers = peer.listen()
    assert answers == [Command("_result", 2, None, (None,)), Command("_result", 3, None, (None,)), answers[2]]
    assert answers[2] == Command("_result", 4, None, (1.0,))
    request.accept()
    begin, on_fc_publish, on_status = peer.listen()
    assert begin == StreamBegin(1)
    assert isinstance(on_fc_publish, Command)
    assert isinstance(on_status, Command)
    assert on_fc_publish.name == "onFCPublish"
    assert read_status(on_status) == Status(Code.PUBLISH_START, "test is now published.", message_stream_id=1)
    peer.say(DATA, VIDEO, AUDIO)
    assert peer.events() == [DATA, VIDEO, AUDIO]
    peer.call("FCUnpublish", "test?key=s3cret", transaction_id=6)
    peer.call("deleteStream", 1.0, transaction_id=7)
    assert peer.events() == [PublishStopped(1)]
    assert told(peer.listen()) == ["onFCUnpublish", "_result", "NetStream.Unpublish.Success"]
    assert session.stream_state(1) is None


def test_a_publisher_that_skips_fcpublish_gets_no_on_fc_publish() -> None:
    _, peer = publishing_server()
    assert told(peer.heard)[-2:] == ["StreamBegin", "NetStream.Publish.Start"]


def test_media_sent_before_the_answer_waits_for_it() -> None:
    session, peer = connected_server()
    peer.call("createStream", transaction_id=2)
    peer.call("publish", "test", on=1)
    peer.say(VIDEO)
    (request,) = peer.events()
    assert isinstance(request, PublishRequested)
    assert session.next_event() is PAUSED
    request.accept()
    assert peer.events() == [VIDEO]


def test_a_rejected_publish_leaves_the_stream_idle_and_the_connection_open() -> None:
    session, peer = connected_server()
    peer.call("createStream", transaction_id=2)
    peer.call("publish", "test", on=1)
    (request,) = peer.events()
    assert isinstance(request, PublishRequested)
    peer.listen()
    request.reject(Code.PUBLISH_DENIED, "Not from your address: see [publish] allow.")
    (answer,) = peer.listen()
    assert isinstance(answer, Command)
    assert answer.message_stream_id == 1
    assert read_status(answer) == Status(
        "NetStream.Publish.Denied", "Not from your address: see [publish] allow.", "error", 1
    )
    assert session.stream_state(1) is ServerState.IDLE
    peer.say(VIDEO)
    assert peer.events() == []
    peer.call("publish", "again", on=1)
    assert isinstance(peer.events()[0], PublishRequested)


def test_media_on_a_stream_that_does_not_publish_is_dropped() -> None:
    _, peer = publishing_server()
    inside = join_aggregate([RawMessage(0, 8, 2, b"x")])
    peer.say(VIDEO._replace(message_stream_id=2), VIDEO._replace(message_stream_id=0), inside)
    peer.say(RawMessage(0, 15, 2, b""))
    assert peer.events() == []


def test_an_amf3_data_message_comes_as_data() -> None:
    _, peer = publishing_server()
    peer.say(RawMessage(7, 15, 1, b"\x00" + DATA.payload))
    assert peer.events() == [DATA._replace(timestamp=7)]


def test_an_aggregate_comes_as_its_parts() -> None:
    _, peer = publishing_server()
    parts = [RawMessage(5, 9, 1, b"video"), RawMessage(6, 8, 1, b"audio"), RawMessage(7, 77, 1, b"")]
    peer.say(join_aggregate(parts), AUDIO)
    assert peer.events() == [
        MediaMessage(MediaKind.VIDEO, 5, b"video", 1),
        MediaMessage(MediaKind.AUDIO, 6, b"audio", 1),
        MessageReceived(RawMessage(7, 77, 1, b"")),
        AUDIO,
    ]


def test_an_aggregate_in_an_aggregate_breaks_the_connection() -> None:
    _, peer = publishing_server()
    body = bytes.fromhex("16 000000 000000 00 000000 0000000b")
    peer.say(AggregateMessage(body, 1, 0))
    with pytest.raises(RemoteProtocolError) as caught:
        peer.events()
    assert caught.value.spec == "RTMP 1.0, 7.1.6"


def test_the_parts_of_an_aggregate_count_against_the_allowance() -> None:
    session, peer = publishing_server()
    session.chunk_allowance = 3
    peer.say(join_aggregate([RawMessage(0, 8, 1, b"")] * 5))
    assert len(peer.events()) == 2
    assert session.next_event() is PAUSED
    session.chunk_allowance = 10
    assert len(peer.events()) == 3
    assert session.chunk_allowance == 6


def test_gstreamer_deletes_its_stream_by_name() -> None:
    session, peer = publishing_server("test?key=x")
    peer.call("deleteStream", "other")
    assert peer.events() == []
    peer.call("deleteStream", "test")
    assert peer.events() == [PublishStopped(1)]
    assert session.stream_state(1) is None


@pytest.mark.parametrize("number", [2.0, 0.0, -1.0, 1.5, float("nan"), float("inf")])
def test_deleting_a_stream_that_is_not_there_changes_nothing(number: float) -> None:
    session, peer = publishing_server()
    peer.call("deleteStream", number)
    assert peer.events() == []
    assert session.stream_state(1) is ServerState.PUBLISHING


def test_a_deleted_streams_id_is_given_again() -> None:
    _, peer = publishing_server()
    peer.call("createStream", transaction_id=3)
    peer.call("deleteStream", 1.0)
    peer.call("createStream", transaction_id=4)
    peer.events()
    results = [item.arguments for item in peer.listen() if isinstance(item, Command) and item.name == "_result"]
    assert results == [(2.0,), (1.0,)]


def test_there_are_no_more_streams_than_allowed() -> None:
    _, peer = connected_server(max_streams=2)
    for transaction_id in (2, 3, 4):
        peer.call("createStream", transaction_id=transaction_id)
    peer.events()
    assert told(peer.listen()) == ["_result", "_result", "_error"]


# --- play ---


def test_a_player_is_told_reset_start_and_sample_access_before_its_media() -> None:
    session, peer = connected_server()
    peer.call("createStream", transaction_id=2)
    peer.call("getStreamLength", "test", transaction_id=3)
    peer.call("play", "test?src=a", -2000.0, on=1)
    (request,) = peer.events()
    assert isinstance(request, PlayRequested)
    assert (request.play.stream, request.play.query, request.play.start) == ("test", "src=a", -2000.0)
    assert "src=a" not in repr(request)
    assert peer.listen()[-1] == Command("_result", 3, None, (0.0,))
    request.accept()
    begin, reset, start, access = peer.listen()
    assert begin == StreamBegin(1)
    assert told([reset, start]) == ["NetStream.Play.Reset", "NetStream.Play.Start"]
    assert isinstance(access, MediaMessage)
    assert amf0.decode_all(access.payload) == ["|RtmpSampleAccess", True, True]
    assert peer.listen(session.send_media(*VIDEO)) == [VIDEO]
    assert peer.listen(session.send(AUDIO)) == [AUDIO]


def test_a_player_that_does_not_ask_for_a_reset_is_not_told_of_one() -> None:
    _, peer = connected_server(sample_access=False)
    peer.call("createStream", transaction_id=2)
    peer.call("play", "test", -2.0, -1.0, False, on=1)
    (request,) = peer.events()
    assert isinstance(request, PlayRequested)
    peer.listen()
    request.accept()
    assert told(peer.listen()) == ["StreamBegin", "NetStream.Play.Start"]


def test_a_missing_stream_is_told_at_level_error() -> None:
    _, peer = connected_server()
    peer.call("createStream", transaction_id=2)
    peer.call("play", "test", on=1)
    (request,) = peer.events()
    assert isinstance(request, PlayRequested)
    peer.listen()
    request.reject(Code.PLAY_STREAM_NOT_FOUND, "Nobody publishes test.")
    (answer,) = peer.listen()
    assert isinstance(answer, Command)
    assert read_status(answer) == Status("NetStream.Play.StreamNotFound", "Nobody publishes test.", "error", 1)


def test_a_player_whose_stream_ends_is_told_unpublish_notify_and_eof() -> None:
    session, peer = playing_server()
    heard = peer.listen(session.end_play())
    assert told(heard) == ["NetStream.Play.UnpublishNotify", "StreamEof"]
    assert heard[-1] == StreamEof(1)
    for misuse in (session.end_play, lambda: session.send(VIDEO)):
        with pytest.raises(LocalProtocolError):
            misuse()
    peer.call("play", "another", on=1)
    assert isinstance(peer.events()[0], PlayRequested)


def test_a_player_pauses_goes_on_and_picks_its_tracks() -> None:
    _, peer = playing_server()
    peer.call("pause", True, 1500.0, on=1)
    peer.call("pause", False, on=1)
    peer.call("receiveAudio", False, on=1)
    peer.call("receiveVideo", True, on=1)
    peer.call("closeStream", on=1)
    assert peer.events() == [
        PauseChanged(1, paused=True, position_ms=1500.0),
        PauseChanged(1, paused=False, position_ms=0.0),
        ReceiveChanged(1, MediaKind.AUDIO, wanted=False),
        ReceiveChanged(1, MediaKind.VIDEO, wanted=True),
        PlayStopped(1),
    ]
    assert told(peer.listen()) == ["NetStream.Pause.Notify", "NetStream.Unpause.Notify"]


def test_a_seek_without_a_transaction_id_is_refused_by_status() -> None:
    _, peer = playing_server()
    peer.call("seek", 1000.0, on=1)
    assert peer.events() == []
    assert told(peer.listen()) == ["NetStream.Seek.Failed"]


def test_a_player_can_be_asked_to_reconnect_elsewhere() -> None:
    session, peer = playing_server()
    (heard,) = peer.listen(session.request_reconnect("rtmp://other/myapp", "Updating."))
    assert isinstance(heard, Command)
    assert read_status(heard) == Status(
        "NetConnection.Connect.ReconnectRequest", "Updating.", "status", 0, {"tcUrl": "rtmp://other/myapp"}
    )
    (heard,) = peer.listen(session.request_reconnect())
    assert isinstance(heard, Command)
    assert read_status(heard).information == {}


def test_nobody_is_asked_to_reconnect_before_connect() -> None:
    session, _ = new_server()
    with pytest.raises(LocalProtocolError):
        session.request_reconnect()


# --- wrong types, wrong order ---

WRONG_TYPES: list[tuple[str, tuple[Value, ...], str]] = [
    ("publish", (None,), "RTMP 1.0, 7.2.2.6"),
    ("publish", (1.0,), "RTMP 1.0, 7.2.2.6"),
    ("publish", (), "RTMP 1.0, 7.2.2.6"),
    ("publish", ("test", 1.0), "RTMP 1.0, 7.2.2.6"),
    ("play", (None,), "RTMP 1.0, 7.2.2.1"),
    ("play", ({},), "RTMP 1.0, 7.2.2.1"),
    ("play", ("test", "start"), "RTMP 1.0, 7.2.2.1"),
    ("deleteStream", (), "RTMP 1.0, 7.2.2.3"),
    ("deleteStream", (True,), "RTMP 1.0, 7.2.2.3"),
    ("receiveAudio", (1.0,), "RTMP 1.0, 7.2.2.4"),
    ("receiveVideo", (), "RTMP 1.0, 7.2.2.5"),
    ("FCPublish", (None,), "RTMP 1.0, 7.2.1.2"),
    ("FCUnpublish", (7.0,), "RTMP 1.0, 7.2.1.2"),
    ("FCSubscribe", (), "RTMP 1.0, 7.2.1.2"),
]


@pytest.mark.parametrize(("name", "arguments", "spec"), WRONG_TYPES)
def test_an_argument_of_a_wrong_type_breaks_the_connection_with_its_section(
    name: str, arguments: tuple[Value, ...], spec: str
) -> None:
    _, peer = connected_server()
    peer.call("createStream", transaction_id=2)
    peer.call(name, *arguments, on=1)
    with pytest.raises(RemoteProtocolError) as caught:
        peer.events()
    assert caught.value.spec == spec


@pytest.mark.parametrize("arguments", [(), (1.0, 2.0), (True, "now")])
def test_a_pause_of_wrong_types_breaks_the_connection(arguments: tuple[Value, ...]) -> None:
    _, peer = playing_server()
    peer.call("pause", *arguments, on=1)
    with pytest.raises(RemoteProtocolError) as caught:
        peer.events()
    assert caught.value.spec == "RTMP 1.0, 7.2.2.8"


@pytest.mark.parametrize(
    "message",
    [
        RawMessage(0, 20, 0, b""),
        RawMessage(0, 20, 0, b"\x02\x00\x01"),
        RawMessage(0, 17, 0, b""),
        RawMessage(0, 3, 0, b"\x00"),
        RawMessage(0, 4, 0, b"\x00"),
        RawMessage(0, 5, 0, b"\x00\x00\x00"),
        RawMessage(0, 6, 0, b"\x00\x00\x00\x01"),
        RawMessage(0, 20, 0, b"\x0a\x00\x00\x00\x01" * 1000),
    ],
)
def test_a_short_or_damaged_message_breaks_the_connection_for_good(message: RawMessage) -> None:
    session, peer = connected_server()
    peer.say(message)
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            session.next_event()
    assert session.bytes_held == 0


# --- unknown commands and other messages ---


def test_an_unknown_command_is_handed_on_and_refused_where_it_wants_an_answer() -> None:
    _, peer = connected_server()
    peer.call("onCuePoint", "x")
    peer.call("noSuchMethod", transaction_id=5)
    silent, answered = peer.events()
    assert silent == CommandReceived(Command("onCuePoint", 0, None, ("x",)))
    assert isinstance(answered, CommandReceived)
    (answer,) = peer.listen()
    assert isinstance(answer, Command)
    assert (answer.name, answer.transaction_id) == ("_error", 5)


def test_a_release_without_a_transaction_id_is_not_answered() -> None:
    _, peer = connected_server()
    peer.call("releaseStream", "test")
    assert peer.events() == []
    assert peer.listen() == []


def test_commands_in_amf3_messages_are_commands_too() -> None:
    _, peer = connected_server()
    peer.say(Command("createStream", 2, None, amf3=True))
    assert peer.events() == []
    assert told(peer.listen()) == ["_result"]


def test_messages_that_are_nobodys_business_are_handed_on() -> None:
    _, peer = connected_server()
    messages = [
        Acknowledgement(5),
        SetBufferLength(1, 3000),
        SharedObjectMessage(b"x"),
        RawMessage(0, 99, 0, b"x"),
        PingResponse(3),
    ]
    peer.say(*messages)
    assert [event.message for event in peer.events() if isinstance(event, MessageReceived)] == messages


def test_a_chunk_size_of_the_clients_and_an_abort_are_obeyed_silently() -> None:
    _, peer = publishing_server()
    peer.say(SetChunkSize(65536), Abort(4), VIDEO._replace(payload=bytes(60_000)))
    assert peer.events() == [VIDEO._replace(payload=bytes(60_000))]


# --- acknowledgements, pings, bandwidth ---


def test_a_ping_is_answered() -> None:
    _, peer = connected_server()
    peer.say(PingRequest(0xDEADBEEF))
    assert peer.events() == []
    assert peer.listen() == [PingResponse(0xDEADBEEF)]


def test_acknowledgements_come_by_window_and_say_the_total() -> None:
    session, peer = publishing_server()
    peer.say(WindowAcknowledgementSize(2000))
    peer.events()
    peer.listen()
    totals = []
    for _ in range(40):
        peer.say(AUDIO._replace(payload=bytes(100)))
        peer.events()
        for heard in peer.listen():
            assert isinstance(heard, Acknowledgement)
            assert heard.sequence_number == session.bytes_received
            totals.append(heard.sequence_number)
    assert len(totals) == 2
    assert totals[1] - totals[0] >= 2000


def test_without_a_window_or_with_one_of_zero_nothing_is_acknowledged() -> None:
    _, peer = publishing_server()
    peer.say(AUDIO._replace(payload=bytes(5000)), WindowAcknowledgementSize(0), AUDIO._replace(payload=bytes(5000)))
    peer.events()
    assert peer.listen() == []


def test_a_window_that_was_passed_already_is_acknowledged_at_once() -> None:
    session, peer = publishing_server()
    peer.say(AUDIO._replace(payload=bytes(5000)), WindowAcknowledgementSize(1000))
    peer.events()
    assert peer.listen() == [Acknowledgement(session.bytes_received)]


def test_a_bandwidth_limit_is_answered_with_a_window_that_differs_from_the_last() -> None:
    _, peer = connected_server()
    expected = [
        (SetPeerBandwidth(2_500_000, LimitType.DYNAMIC), []),  # what was said at connect
        (SetPeerBandwidth(1_000_000, LimitType.SOFT), [WindowAcknowledgementSize(1_000_000)]),
        (SetPeerBandwidth(3_000_000, LimitType.SOFT), []),  # the smaller one holds
        (SetPeerBandwidth(4_000_000, LimitType.DYNAMIC), []),  # not behind a soft one
        (SetPeerBandwidth(5_000_000, LimitType.HARD), [WindowAcknowledgementSize(5_000_000)]),
        (SetPeerBandwidth(6_000_000, LimitType.DYNAMIC), [WindowAcknowledgementSize(6_000_000)]),
        (SetPeerBandwidth(6_000_000, LimitType.HARD), []),
    ]
    for limit, answer in expected:
        peer.say(limit)
        peer.events()
        assert peer.listen() == answer


# --- limits, allowance, memory ---


def test_limits_may_be_raised_in_mid_connection() -> None:
    limits = Limits(message_bytes=1000)
    session, peer = publishing_server(limits=limits)
    peer.say(VIDEO._replace(payload=bytes(1000)))
    assert len(peer.events()) == 1
    session.limits = replace(limits, message_bytes=2000)
    assert session.limits.message_bytes == 2000
    peer.say(VIDEO._replace(payload=bytes(2000)))
    assert len(peer.events()) == 1
    peer.say(VIDEO._replace(payload=bytes(2001)))
    with pytest.raises(RemoteProtocolError):
        peer.events()


def test_a_turn_ends_when_its_chunks_are_used_up() -> None:
    session, peer = publishing_server()
    peer.say(*[AUDIO] * 5)
    session.chunk_allowance = 2
    assert peer.events() == [AUDIO] * 2
    assert session.next_event() is PAUSED
    session.chunk_allowance = None
    assert peer.events() == [AUDIO] * 3


def test_what_is_sent_on_while_a_request_waits_is_bounded() -> None:
    session, peer = connected_server(limits=Limits(buffered_bytes=10_000))
    peer.call("createStream", transaction_id=2)
    peer.call("publish", "test", on=1)
    peer.events()
    peer.say(VIDEO._replace(payload=bytes(9000)))
    assert session.next_event() is PAUSED
    peer.say(VIDEO._replace(payload=bytes(9000)))
    with pytest.raises(RemoteProtocolError, match="before the request was answered"):
        session.next_event()


def test_a_closed_session_gives_the_shared_budget_its_bytes_back() -> None:
    budget = SharedBudget(100_000)
    session, peer = publishing_server(budget=budget)
    data = peer.writer.send(RawMessage(0, 9, 1, bytes(5000), 6))
    session.receive_data(data[:3000])
    assert session.next_event() is NEED_DATA
    assert budget.reserved_bytes > 2000
    session.close()
    assert budget.reserved_bytes == 0
    session.receive_data(data[3000:])
    assert session.next_event() is NEED_DATA


# --- sending ---


def test_what_waits_goes_in_front_of_what_is_sent() -> None:
    session, peer = playing_server()
    peer.say(PingRequest(7))
    peer.events()
    assert peer.listen(session.send_media(*VIDEO)) == [PingResponse(7), VIDEO]
    peer.say(PingRequest(8))
    peer.events()
    assert peer.listen(session.send(PingRequest(9))) == [PingResponse(8), PingRequest(9)]


def test_messages_commands_and_statuses_can_be_sent() -> None:
    session, peer = connected_server()
    items = [StreamBegin(1), RawMessage(0, 99, 0, b"x"), Command("onBWDone", 0, None, (8192.0,))]
    for item in items:
        assert peer.listen(session.send(item)) == [item]
    assert told(peer.listen(session.send(Status("a.b", "c")))) == ["a.b"]
    assert told(peer.listen(session.send(CommandMessage(amf0.encode_all(["x", 0, None]))))) == ["x"]
    assert peer.listen(session.send(SetChunkSize(100))) == [SetChunkSize(100)]
    assert session.chunk_size == 100


@pytest.mark.parametrize("item", [SetChunkSize(0), Command("x", 0, object()), StreamBegin(-1)])  # type: ignore[arg-type]
def test_what_cannot_be_written_is_your_misuse_and_sends_nothing(item: StreamBegin) -> None:
    session, peer = connected_server()
    with pytest.raises(LocalProtocolError):
        session.send(item)
    assert session.data_to_send() == b""
    assert peer.listen(session.send(StreamBegin(1))) == [StreamBegin(1)]


def test_nothing_can_be_sent_before_the_handshake_or_as_media_to_a_publisher() -> None:
    with pytest.raises(LocalProtocolError, match="handshake"):
        ServerSession(random_bytes=counted_bytes).send(PingRequest(1))
    session, _ = publishing_server()
    with pytest.raises(LocalProtocolError, match="no media"):
        session.send_media(*VIDEO)


def test_what_is_no_media_cannot_be_sent_as_media() -> None:
    session, _ = playing_server()
    with pytest.raises(LocalProtocolError, match="no kind of media"):
        session.send_media(20, 0, b"")  # type: ignore[arg-type]  # the misuse


def test_chunks_made_elsewhere_may_go_between_the_sessions_own() -> None:
    session, peer = playing_server()
    big = VIDEO._replace(payload=bytes(range(256)) * 40)
    video_id, audio_id = MEDIA_CHUNK_STREAM_IDS[MediaKind.VIDEO], MEDIA_CHUNK_STREAM_IDS[MediaKind.AUDIO]
    prepared = encode_standalone(RawMessage(big.timestamp, 9, 1, big.payload, video_id), session.chunk_size)
    prepared_audio = encode_standalone(RawMessage(AUDIO.timestamp, 8, 1, AUDIO.payload, audio_id), session.chunk_size)
    peer.say(PingRequest(1))
    peer.events()
    data = prepared + session.data_to_send() + prepared_audio + prepared + session.end_play()
    heard = peer.listen(data)
    assert heard[:4] == [big, PingResponse(1), AUDIO, big]
    assert told(heard[4:]) == ["NetStream.Play.UnpublishNotify", "StreamEof"]


def test_the_session_itself_writes_on_none_of_the_media_chunk_streams() -> None:
    session, peer = connected_server()
    peer.call("FCPublish", "x", transaction_id=1)
    for stream, name in ((1.0, "publish"), (2.0, "play")):
        peer.call("createStream", transaction_id=2)
        peer.call(name, "test", on=int(stream))
        (request,) = peer.events()
        assert isinstance(request, (PublishRequested, PlayRequested))
        request.accept()
    peer.listen(session.data_to_send() + session.end_play(2) + session.request_reconnect())
    assert peer.chunk_streams_heard == {2, 3, 5}
    assert not peer.chunk_streams_heard & set(MEDIA_CHUNK_STREAM_IDS.values())
