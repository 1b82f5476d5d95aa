"""The forms, read back by independent readers: the kit's FLV decoder and chunk reader, BodyDecoder, and wsproto."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, Event

from protocol import NEED_DATA
from protocol.rtmp import ChunkReader, ChunkWriter, MediaKind, RawMessage
from splice.http import CHUNKED, BodyDecoder
from splice.hub import CHUNKED_FLV, FLV, WEBSOCKET_FLV, Form, RtmpForm
from splice.hub.packet import Packet, PacketRole
from tests.splice.hub.viewing import (
    aac,
    aac_configuration,
    configuration,
    inter_frame,
    keyframe,
    packet,
    read_flv,
    script,
)

AUDIO, VIDEO, DATA = MediaKind.AUDIO, MediaKind.VIDEO, MediaKind.DATA

PACKETS = [
    packet(DATA, 0, script(width=640.0)),
    packet(VIDEO, 0, configuration(b"avc")),
    packet(AUDIO, 0, aac_configuration(b"aac")),
    packet(VIDEO, 16_777_215, keyframe(bytes(70_000))),
    packet(AUDIO, 16_777_216, aac(b"\xc3" * 300)),
    packet(VIDEO, (1 << 32) - 1, inter_frame()),
]
TAG_OVERHEAD_BYTES = 11 + 4
FLAGS = [(True, True), (True, False), (False, True)]

PACKET_LISTS = st.lists(
    st.builds(
        Packet,
        st.sampled_from([AUDIO, VIDEO]),
        st.just(PacketRole.MEDIA),
        st.integers(0, (1 << 32) - 1),
        st.binary(min_size=1, max_size=400),
    ),
    min_size=1,
    max_size=6,
)


def content(packets: list[Packet]) -> list[tuple[int, int, bytes]]:
    return [(each.kind, each.timestamp, each.payload) for each in packets]


def flv_content(data: bytes) -> list[tuple[int, int, bytes]]:
    return [(tag.type, tag.timestamp, tag.body) for tag in read_flv(data)[1]]


def websocket_messages(data: bytes) -> list[bytes]:
    """The messages that a WebSocket client sees; every one of them must be whole."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(data)
    events: list[Event] = list(client.events())
    assert all(isinstance(event, BytesMessage) and event.message_finished and event.frame_finished for event in events)
    return [bytes(event.data) for event in events if isinstance(event, BytesMessage)]


def rtmp_messages(data: bytes, chunk_size: int) -> list[RawMessage]:
    """What an RTMP client reads that knows this chunk size."""
    reader = ChunkReader()
    reader.receive_data(ChunkWriter().set_chunk_size(chunk_size) + data)
    messages = []
    while (message := reader.next_event()) is not NEED_DATA:
        assert isinstance(message, RawMessage)
        messages.append(message)
    return messages[1:]


# --- FLV ---


@pytest.mark.parametrize(("has_audio", "has_video"), FLAGS)
def test_an_flv_body_begins_with_a_header_of_the_true_flags(has_audio: bool, has_video: bool) -> None:
    opening = FLV.opening(has_audio=has_audio, has_video=has_video)
    header, tags = read_flv(opening)
    assert (header.has_audio, header.has_video, tags) == (has_audio, has_video, [])


@pytest.mark.parametrize("at_once", [1, 2, len(PACKETS)])
def test_flv_pieces_are_whole_tags(at_once: int) -> None:
    data = FLV.opening(has_audio=True, has_video=True)
    for start in range(0, len(PACKETS), at_once):
        data += FLV.encode(PACKETS[start : start + at_once])
        read_flv(data)
    assert flv_content(data + FLV.closing) == content(PACKETS)


@given(PACKET_LISTS)
def test_any_packets_come_back_out_of_flv(packets: list[Packet]) -> None:
    assert flv_content(FLV.opening(has_audio=True, has_video=True) + FLV.encode(packets)) == content(packets)


def test_a_piece_of_one_packet_is_its_tag_without_a_copy() -> None:
    assert FLV.encode(PACKETS[3:4]) is PACKETS[3].flv


# --- chunked coding ---


def test_chunked_flv_is_flv_in_the_chunked_coding_a_chunk_a_piece() -> None:
    pieces = [
        CHUNKED_FLV.opening(has_audio=True, has_video=False),
        CHUNKED_FLV.encode(PACKETS[:1]),
        CHUNKED_FLV.encode(PACKETS[1:]),
    ]
    decoder = BodyDecoder(CHUNKED)
    body = []
    for piece in pieces:
        found = decoder.receive_data(piece)
        assert not decoder.finished
        body.append(b"".join(found))
    assert decoder.receive_data(CHUNKED_FLV.closing) == []
    assert decoder.finished
    assert body[0] == FLV.opening(has_audio=True, has_video=False)
    assert body[1:] == [FLV.encode(PACKETS[:1]), FLV.encode(PACKETS[1:])]


@given(PACKET_LISTS, st.integers(1, 50))
def test_chunked_flv_comes_back_however_it_is_cut(packets: list[Packet], step: int) -> None:
    data = CHUNKED_FLV.opening(has_audio=True, has_video=True) + CHUNKED_FLV.encode(packets) + CHUNKED_FLV.closing
    decoder = BodyDecoder(CHUNKED)
    body = [b"".join(decoder.receive_data(data[at : at + step])) for at in range(0, len(data), step)]
    assert decoder.finished
    assert flv_content(b"".join(body)) == content(packets)


# --- WebSocket ---


@pytest.mark.parametrize(
    ("size", "length_bytes"), [(20, 0), (125, 0), (126, 2), (127, 2), (65_535, 2), (65_536, 8), (200_000, 8)]
)
def test_a_piece_is_one_binary_message_whatever_its_length_field(size: int, length_bytes: int) -> None:
    one = packet(VIDEO, 0, inter_frame(bytes(size - TAG_OVERHEAD_BYTES - len(inter_frame()))))
    assert len(one.flv) == size
    encoded = WEBSOCKET_FLV.encode([one])
    assert encoded[0] == 0x82, "FIN, and opcode binary"
    assert len(encoded) == 2 + length_bytes + size, "and no mask"
    assert websocket_messages(encoded) == [one.flv]


def test_messages_in_a_row_are_the_opening_and_the_pieces() -> None:
    data = WEBSOCKET_FLV.opening(has_audio=False, has_video=True) + b"".join(
        WEBSOCKET_FLV.encode([each]) for each in PACKETS
    )
    messages = websocket_messages(data + WEBSOCKET_FLV.encode(PACKETS) + WEBSOCKET_FLV.closing)
    assert messages[0] == FLV.opening(has_audio=False, has_video=True)
    assert messages[1:-1] == [each.flv for each in PACKETS]
    assert messages[-1] == FLV.encode(PACKETS)


# --- RTMP ---


@pytest.mark.parametrize("chunk_size", [1, 128, 4096, 60_000, 1 << 24, 0x7FFFFFFF])
@pytest.mark.parametrize("message_stream_id", [1, 7, 0x01020304])
def test_rtmp_messages_come_back_at_every_chunk_size(chunk_size: int, message_stream_id: int) -> None:
    form = RtmpForm(message_stream_id, chunk_size)
    messages = rtmp_messages(
        form.opening(has_audio=True, has_video=True) + form.encode(PACKETS) + form.closing, chunk_size
    )
    assert [(each.type_id, each.timestamp, each.payload) for each in messages] == content(PACKETS)
    assert {each.message_stream_id for each in messages} == {message_stream_id}


@given(PACKET_LISTS, st.integers(1, 300), st.data())
def test_rtmp_pieces_stand_by_themselves(packets: list[Packet], chunk_size: int, data: st.DataObject) -> None:
    form = RtmpForm(1, chunk_size)
    kept = data.draw(st.lists(st.sampled_from(packets), max_size=6))
    messages = rtmp_messages(b"".join(form.encode([each]) for each in kept), chunk_size)
    assert [(each.type_id, each.timestamp, each.payload) for each in messages] == content(kept)


def test_audio_video_and_data_go_by_chunk_streams_of_their_own() -> None:
    messages = rtmp_messages(RtmpForm(1, 128).encode(PACKETS), 128)
    by_kind = {(each.type_id, each.chunk_stream_id) for each in messages}
    assert len(by_kind) == len({chunk_stream_id for _, chunk_stream_id in by_kind}) == 3


# --- all ---


def test_equal_forms_share_their_encodings_and_others_do_not() -> None:
    forms: list[Form] = [FLV, CHUNKED_FLV, WEBSOCKET_FLV, RtmpForm(1, 4096), RtmpForm(1, 4096), RtmpForm(2, 4096)]
    assert len({*forms, RtmpForm(1, 128)}) == 6
