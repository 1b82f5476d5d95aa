import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.frame_protocol import FrameProtocol, Opcode

from splice.http import (
    CloseReason,
    RequestError,
    RequestHead,
    RequestParser,
    WebSocketSession,
    accepting_head,
    asks_for_websocket,
    binary_message,
)

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",  # RFC 6455, 1.3
    "Sec-WebSocket-Version": "13",
}


def head_of(request_line: str = "GET /live HTTP/1.1", extra: str = "", **changed: str | None) -> RequestHead:
    fields = HANDSHAKE | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    parser = RequestParser()
    parser.receive_data(f"{request_line}\r\nHost: door\r\n{''.join(lines)}{extra}\r\n".encode())
    head = parser.next_event()
    assert isinstance(head, RequestHead)
    return head


def client() -> Connection:
    return Connection(ConnectionType.CLIENT)


# --- the handshake ---


@pytest.mark.parametrize(
    "head",
    [
        head_of(),
        head_of(Connection="keep-alive, Upgrade"),
        head_of(Connection="keep-alive,Upgrade,x"),
        head_of(Connection="keep-alive", extra="Connection:UPGRADE\r\n"),
        head_of(Upgrade="WebSocket"),
    ],
)
def test_a_request_that_says_so_in_both_fields_asks_for_websocket(head: RequestHead) -> None:
    assert asks_for_websocket(head)


@pytest.mark.parametrize(
    "head",
    [
        head_of(Connection="keep-alive"),
        head_of(Connection="upgraded"),
        head_of(Connection=None),
        head_of(Upgrade="h2c"),
        head_of(Upgrade=None),
        head_of("HEAD /live HTTP/1.1"),
        head_of("OPTIONS /live HTTP/1.1"),
        head_of("GET /live HTTP/1.0"),
    ],
)
def test_any_other_request_stays_with_http(head: RequestHead) -> None:
    assert not asks_for_websocket(head)


def test_the_answer_carries_the_token_that_the_specification_computes() -> None:
    assert accepting_head(head_of()) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


def test_no_extension_and_no_subprotocol_is_accepted() -> None:
    head = head_of(Sec_WebSocket_Extensions="permessage-deflate", Sec_WebSocket_Protocol="flv")
    assert accepting_head(head) == accepting_head(head_of())


@pytest.mark.parametrize(
    ("status", "head"),
    [
        (400, head_of(Sec_WebSocket_Version=None)),
        (400, head_of(extra="Sec-WebSocket-Version: 13\r\n")),
        (426, head_of(Sec_WebSocket_Version="8")),
        (426, head_of(Sec_WebSocket_Version="13, 8")),
        (400, head_of(Sec_WebSocket_Key=None)),
        (400, head_of(Sec_WebSocket_Key="")),
        (400, head_of(Sec_WebSocket_Key=base64.b64encode(bytes(15)).decode())),
        (400, head_of(Sec_WebSocket_Key=base64.b64encode(bytes(17)).decode())),
        (400, head_of(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ")),
        (400, head_of(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZ*==")),
        (400, head_of(extra="Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")),
    ],
)
def test_a_handshake_that_is_not_as_it_should_be_is_refused(status: int, head: RequestHead) -> None:
    with pytest.raises(RequestError) as refused:
        accepting_head(head)
    assert refused.value.status == status
    assert refused.value.detail.endswith(".")


# --- messages to the viewer ---


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_a_payload_becomes_one_whole_binary_message(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    receiver = client()
    receiver.receive_data(binary_message(payload))
    events = list(receiver.events())
    assert all(isinstance(event, BytesMessage) for event in events)
    assert b"".join(bytes(event.data) for event in events if isinstance(event, Message)) == payload
    assert [event.message_finished for event in events if isinstance(event, Message)][-1]


def test_messages_follow_each_other_as_if_each_had_an_encoder_of_its_own() -> None:
    assert binary_message(b"one") == binary_message(b"one") == b"\x82\x03one"


# --- frames of the viewer ---


def test_a_ping_is_answered_with_its_payload_in_a_pong() -> None:
    session, viewer = WebSocketSession(), client()
    pongs = session.receive_data(viewer.send(Ping(b"one")) + viewer.send(Ping(b"two")))
    viewer.receive_data(pongs)
    assert list(viewer.events()) == [Pong(b"one"), Pong(b"two")]
    assert session.message_bytes == 0


def test_a_ping_between_the_frames_of_a_message_is_answered() -> None:
    session, viewer = WebSocketSession(), FrameProtocol(client=True, extensions=[])
    first, ping, last = viewer.send_data(b"be", fin=False), viewer.ping(b"?"), viewer.send_data(b"gun")
    assert session.receive_data(bytes(first + ping + last)) == b"\x8a\x01?"
    assert session.message_bytes == len(first + last)


def test_messages_and_what_is_no_whole_control_frame_are_counted_and_dropped() -> None:
    session, viewer = WebSocketSession(), client()
    text, binary, ping = viewer.send(TextMessage("grüße")), viewer.send(BytesMessage(bytes(1000))), viewer.send(Ping())
    assert session.receive_data(text + binary + ping[:4]) == b""
    assert session.message_bytes == len(text + binary) + 4
    assert session.receive_data(ping[4:]) == b"\x8a\x00"
    assert session.message_bytes == len(text + binary)
    assert session.control_bytes == len(ping)


@pytest.mark.parametrize("closing", [CloseConnection(1000), CloseConnection(1001, "left"), CloseConnection(4321, "")])
def test_the_viewers_close_is_answered_with_its_own_code(closing: CloseConnection) -> None:
    session, viewer = WebSocketSession(), client()
    assert session.receive_data(viewer.send(closing)) == b""
    assert session.over
    assert session.error is None
    viewer.receive_data(session.close(CloseReason.NORMAL_CLOSURE))
    (answer,) = viewer.events()
    assert isinstance(answer, CloseConnection)
    assert answer.code == closing.code


def test_a_close_without_a_code_is_answered_without_one() -> None:
    session = WebSocketSession()
    session.receive_data(b"\x88\x80" + bytes(4))
    assert session.close(CloseReason.GOING_AWAY) == b"\x88\x00"


def test_the_doors_own_close_says_why_once() -> None:
    session, viewer = WebSocketSession(), client()
    viewer.receive_data(session.close(CloseReason.GOING_AWAY, "the door closes"))
    assert list(viewer.events()) == [CloseConnection(CloseReason.GOING_AWAY, "the door closes")]
    assert session.close(CloseReason.NORMAL_CLOSURE) == b""


def test_the_doors_own_close_may_go_without_words() -> None:
    assert WebSocketSession().close(CloseReason.NORMAL_CLOSURE) == b"\x88\x02\x03\xe8"


def test_behind_the_doors_close_nothing_is_answered() -> None:
    session = WebSocketSession()
    session.close(CloseReason.NORMAL_CLOSURE)
    assert session.receive_data(client().send(Ping())) == b""


@pytest.mark.parametrize(
    ("code", "wire"),
    [
        pytest.param(1002, b"\x81\x05hello", id="unmasked"),
        pytest.param(1002, b"\xc1\x80" + bytes(4), id="compressed, which was not negotiated"),
        pytest.param(1002, b"\x83\x80" + bytes(4), id="an opcode that nobody knows"),
        pytest.param(1002, b"\x80\x80" + bytes(4), id="a continuation of nothing"),
        pytest.param(1002, b"\x01\x80" + bytes(4) + b"\x81\x80" + bytes(4), id="a message within a message"),
        pytest.param(1002, b"\x09\x80" + bytes(4), id="a ping in fragments"),
        pytest.param(1002, b"\x89\xfe\x00\x7e" + bytes(130), id="a ping of 126 bytes"),
        pytest.param(1002, b"\x82\xfe\x00\x01" + bytes(5), id="a length written too long"),
        pytest.param(1002, b"\x82\xff" + b"\xff" * 8 + bytes(4), id="a negative length"),
        pytest.param(1002, b"\x88\x81" + bytes(5), id="half a close code"),
        pytest.param(1002, b"\x88\x82" + bytes(4) + b"\x03\xed", id="a close code that is not for the wire"),
        pytest.param(1007, b"\x81\x81" + bytes(4) + b"\xff", id="text that is no UTF-8"),
    ],
)
def test_a_viewer_who_breaks_the_protocol_is_told_so(code: int, wire: bytes) -> None:
    session, viewer = WebSocketSession(), client()
    session.receive_data(wire)
    assert session.over
    assert session.error
    assert session.receive_data(wire) == b""
    viewer.receive_data(session.close(CloseReason.NORMAL_CLOSURE))
    (closing,) = viewer.events()
    assert isinstance(closing, CloseConnection)
    assert closing.code == code


def test_a_frame_that_announces_much_takes_no_memory_before_it_comes() -> None:
    session = WebSocketSession()
    session.receive_data(b"\x82\xff\x7f" + b"\xff" * 7 + bytes(4))
    for _ in range(8):
        session.receive_data(bytes(8192))
    assert session.message_bytes == 14 + 8 * 8192
    assert len(session._connection._proto._frame_decoder.buffer) == 0


frames = st.builds(
    lambda fin, opcode, payload: bytes(
        FrameProtocol(client=True, extensions=[])._serialize_frame(opcode, payload, fin)
    ),
    st.booleans(),
    st.sampled_from([*Opcode]),
    st.binary(max_size=125),
)


@given(st.lists(st.one_of(frames, st.binary(max_size=40)), max_size=8), st.data())
def test_whatever_comes_in_whichever_pieces_is_answered_alike(parts: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(parts)
    cut = data.draw(st.integers(0, len(wire)))
    outcomes = []
    for pieces in ([wire], [wire[:cut], wire[cut:]], [wire[at : at + 1] for at in range(len(wire))]):
        session, viewer = WebSocketSession(), client()
        answered = b"".join(map(session.receive_data, pieces))
        over = session.over
        answered += session.close(CloseReason.GOING_AWAY)
        viewer.receive_data(answered)
        events = list(viewer.events())
        assert all(isinstance(event, Pong) for event in events[:-1])
        assert isinstance(events[-1], CloseConnection)
        outcomes.append((answered, over, session.control_bytes))
    assert outcomes[0] == outcomes[1] == outcomes[2]
