"""RTMP's messages: bytes written down by hand from the specification, both ways, and what must be refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import LocalProtocolError, RemoteProtocolError
from protocol.rtmp import messages as m
from protocol.rtmp import user_control as uc
from protocol.rtmp.aggregate import join_aggregate, split_aggregate
from protocol.rtmp.chunks import RawMessage

# type id, payload, the message. The numbers are big-endian, as all of RTMP's but the message stream id.
CONTROL_VECTORS = [
    (1, "00001000", m.SetChunkSize(4096)),
    (1, "7fffffff", m.SetChunkSize(0x7FFFFFFF)),
    (2, "00000005", m.Abort(5)),
    (3, "fffffffe", m.Acknowledgement(0xFFFFFFFE)),
    (5, "002625a0", m.WindowAcknowledgementSize(2_500_000)),
    (6, "002625a002", m.SetPeerBandwidth(2_500_000, m.LimitType.DYNAMIC)),
    (6, "0000000109", m.SetPeerBandwidth(1, 9)),
    (4, "000000000001", uc.StreamBegin(1)),
    (4, "000100000001", uc.StreamEof(1)),
    (4, "000200000001", uc.StreamDry(1)),
    (4, "00030000000100000bb8", uc.SetBufferLength(1, 3000)),
    (4, "000400000001", uc.StreamIsRecorded(1)),
    (4, "000601020304", uc.PingRequest(0x01020304)),
    (4, "000701020304", uc.PingResponse(0x01020304)),
    (4, "001f00000001", uc.StreamBufferEmpty(1)),
    (4, "002000000001", uc.StreamBufferReady(1)),
    (4, "001a", uc.OtherUserControl(26, b"")),
    (4, "0005aabb", uc.OtherUserControl(5, b"\xaa\xbb")),
]

STREAM_VECTORS = [
    (RawMessage(7, 8, 1, b"\xaf\x01"), m.MediaMessage(m.MediaKind.AUDIO, 7, b"\xaf\x01", 1)),
    (RawMessage(7, 9, 1, b""), m.MediaMessage(m.MediaKind.VIDEO, 7, b"", 1)),
    (RawMessage(7, 18, 1, b"\x05"), m.MediaMessage(m.MediaKind.DATA, 7, b"\x05", 1)),
    (RawMessage(0, 20, 0, b"\x05"), m.CommandMessage(b"\x05", 0)),
    (RawMessage(0, 17, 3, b"\x00\x05"), m.CommandMessage(b"\x05", 3, amf3=True)),
    (RawMessage(9, 19, 3, b"\x00\x05"), m.SharedObjectMessage(b"\x00\x05", 3, 9)),
    (RawMessage(9, 16, 3, b"\x00\x05"), m.SharedObjectMessage(b"\x05", 3, 9, amf3=True)),
    (RawMessage(9, 22, 3, b"\x00\x05"), m.AggregateMessage(b"\x00\x05", 3, 9)),
    (RawMessage(9, 99, 3, b"\x00\x05"), RawMessage(9, 99, 3, b"\x00\x05")),
]


@pytest.mark.parametrize(("type_id", "payload", "message"), CONTROL_VECTORS)
def test_a_control_message_reads_and_writes_as_the_specification_draws_it(
    type_id: int, payload: str, message: m.Message
) -> None:
    raw = RawMessage(0, type_id, 0, bytes.fromhex(payload), 2)
    assert m.decode_message(raw) == message
    assert type(m.decode_message(raw)) is type(message)
    assert m.encode_message(message) == raw


@pytest.mark.parametrize(("raw", "message"), STREAM_VECTORS)
def test_a_stream_message_keeps_its_time_its_stream_and_its_bytes(raw: RawMessage, message: m.Message) -> None:
    assert m.decode_message(raw) == message
    assert m.encode_message(message)[:4] == raw[:4]


def test_an_amf3_data_message_becomes_data_without_its_format_byte() -> None:
    decoded = m.decode_message(RawMessage(7, 15, 1, b"\x00\x02\x00\x01x"))
    assert decoded == m.MediaMessage(m.MediaKind.DATA, 7, b"\x02\x00\x01x", 1)


@pytest.mark.parametrize(("type_id", "payload", "message"), CONTROL_VECTORS)
def test_bytes_behind_a_control_message_are_passed_over(type_id: int, payload: str, message: m.Message) -> None:
    if not isinstance(message, uc.OtherUserControl):
        assert m.decode_message(RawMessage(0, type_id, 0, bytes.fromhex(payload) + b"\xff\xff")) == message


@pytest.mark.parametrize(("type_id", "payload", "message"), CONTROL_VECTORS)
def test_a_control_message_cut_short_anywhere_is_refused_with_its_section(
    type_id: int, payload: str, message: m.Message
) -> None:
    whole = bytes.fromhex(payload)
    end = 2 if isinstance(message, uc.OtherUserControl) else len(whole)
    for size in range(end):
        with pytest.raises(RemoteProtocolError) as caught:
            m.decode_message(RawMessage(0, type_id, 0, whole[:size]))
        assert caught.value.spec.startswith(("RTMP 1.0, 5.4.", "RTMP 1.0, 6.2", "RTMP 1.0, 7.1.7"))


@pytest.mark.parametrize("size", ["00000000", "80000000", "80000080", "ffffffff"])
def test_a_chunk_size_of_zero_or_with_the_top_bit_is_refused(size: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        m.decode_message(RawMessage(0, 1, 0, bytes.fromhex(size)))
    assert caught.value.spec == "RTMP 1.0, 5.4.1"


@pytest.mark.parametrize("type_id", [15, 16, 17])
@pytest.mark.parametrize("payload", [b"", b"\x03", b"\x11\x05"])
def test_an_amf3_message_without_format_byte_zero_is_refused(type_id: int, payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        m.decode_message(RawMessage(0, type_id, 0, payload))
    assert caught.value.spec.startswith("Enhanced RTMP v2, Important AMF3-encoded")


@pytest.mark.parametrize(
    "message",
    [
        m.SetChunkSize(0),
        m.SetChunkSize(0x80000000),
        m.Abort(-1),
        m.Acknowledgement(2**32),
        m.WindowAcknowledgementSize(2**32),
        m.SetPeerBandwidth(2**32),
        m.SetPeerBandwidth(1, 256),
        uc.StreamBegin(2**32),
        uc.PingRequest(-1),
        uc.OtherUserControl(0x10000, b""),
    ],
)
def test_a_number_that_does_not_fit_its_field_is_your_misuse(message: m.Message) -> None:
    with pytest.raises(LocalProtocolError):
        m.encode_message(message)


@given(st.integers(0, 255), st.binary(max_size=40))
def test_any_payload_of_any_type_decodes_or_is_refused(type_id: int, payload: bytes) -> None:
    try:
        message = m.decode_message(RawMessage(1, type_id, 1, payload))
    except RemoteProtocolError:
        return
    assert m.decode_message(m.encode_message(message)) == message


@pytest.mark.parametrize("thing", [object(), 1.0, None, m.UserControl(), type("Mine", (m.UserControl,), {})()])
def test_what_is_no_message_is_refused(thing: m.Message) -> None:
    with pytest.raises(LocalProtocolError):
        m.encode_message(thing)


# --- aggregates (section 7.1.6) ---

# An audio message of two bytes at 0x01000002 ms and a video message of one byte 40 ms later, as FLV would hold them.
AGGREGATE_BODY = bytes.fromhex("08 000002 000002 01 000000 af01 0000000d 09 000001 00002a 01 000000 17 0000000c")


def test_an_aggregate_comes_apart_with_its_own_stream_and_time() -> None:
    whole = m.AggregateMessage(AGGREGATE_BODY, message_stream_id=5, timestamp=1000)
    assert list(split_aggregate(whole)) == [RawMessage(1000, 8, 5, b"\xaf\x01"), RawMessage(1040, 9, 5, b"\x17")]


def test_an_aggregate_is_put_together_as_flv_lays_it_out() -> None:
    parts = [RawMessage(0x01000002, 8, 5, b"\xaf\x01"), RawMessage(0x0100002A, 9, 5, b"\x17")]
    assert join_aggregate(parts) == m.AggregateMessage(AGGREGATE_BODY, 5, 0x01000002)


def test_an_aggregates_timestamps_may_wrap_on_the_way() -> None:
    body = join_aggregate([RawMessage(0xFFFFFFFF, 8, 1, b""), RawMessage(9, 8, 1, b"")]).payload
    whole = m.AggregateMessage(body, 1, 0xFFFFFFFE)
    assert [part.timestamp for part in split_aggregate(whole)] == [0xFFFFFFFE, 8]


def test_an_empty_aggregate_holds_nothing() -> None:
    assert list(split_aggregate(m.AggregateMessage(b"", 1, 0))) == []


def test_an_aggregate_cut_short_anywhere_is_refused() -> None:
    boundaries = {0, 17}
    for size in range(len(AGGREGATE_BODY)):
        cut = m.AggregateMessage(AGGREGATE_BODY[:size], 1, 0)
        if size in boundaries:
            list(split_aggregate(cut))
            continue
        with pytest.raises(RemoteProtocolError) as caught:
            list(split_aggregate(cut))
        assert caught.value.spec == "RTMP 1.0, 7.1.6"


@pytest.mark.parametrize("type_id", [1, 2, 3, 4, 5, 6, 22])
def test_aggregates_and_control_messages_are_forbidden_inside_an_aggregate(type_id: int) -> None:
    body = bytes((type_id,)) + AGGREGATE_BODY[1:]
    with pytest.raises(RemoteProtocolError, match=f"type {type_id} inside"):
        list(split_aggregate(m.AggregateMessage(body, 1, 0)))
    with pytest.raises(LocalProtocolError):
        join_aggregate([RawMessage(0, type_id, 1, b"")])


def test_a_back_pointer_that_lies_is_refused() -> None:
    body = AGGREGATE_BODY[:16] + b"\x0e" + AGGREGATE_BODY[17:]
    with pytest.raises(RemoteProtocolError, match="back pointer"):
        list(split_aggregate(m.AggregateMessage(body, 1, 0)))


def test_an_aggregate_of_nothing_or_too_much_cannot_be_made() -> None:
    with pytest.raises(LocalProtocolError):
        join_aggregate([])
    with pytest.raises(LocalProtocolError):
        join_aggregate([RawMessage(0, 9, 1, bytes(0x800000))] * 2)


@pytest.mark.parametrize(
    "message",
    [
        RawMessage(0, 9, 1, bytes(0x1000000)),
        RawMessage(-1, 9, 1, b""),
        RawMessage(1 << 32, 9, 1, b""),
        RawMessage(0, 256, 1, b""),
        RawMessage(0, -1, 1, b""),
    ],
    ids=["too long", "too early", "too late", "no type", "no type either"],
)
def test_a_message_that_does_not_fit_an_aggregate_is_refused(message: RawMessage) -> None:
    with pytest.raises(LocalProtocolError):
        join_aggregate([message])


def test_an_aggregate_is_taken_apart_one_message_at_a_time() -> None:
    empty_message = join_aggregate([RawMessage(0, 8, 1, b"")]).payload
    parts = split_aggregate(m.AggregateMessage(empty_message * 100_000, 1, 0))
    assert next(parts) == RawMessage(0, 8, 1, b"")


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.sampled_from([8, 9, 18]), st.binary(max_size=20)), min_size=1))
def test_aggregates_put_together_and_taken_apart_are_the_same(parts: list[tuple[int, int, bytes]]) -> None:
    raw = [RawMessage(timestamp, type_id, 1, payload) for timestamp, type_id, payload in parts]
    assert list(split_aggregate(join_aggregate(raw))) == raw


@given(st.binary(max_size=60))
def test_any_aggregate_body_comes_apart_or_is_refused(body: bytes) -> None:
    try:
        list(split_aggregate(m.AggregateMessage(body, 1, 0)))
    except RemoteProtocolError:
        pass
