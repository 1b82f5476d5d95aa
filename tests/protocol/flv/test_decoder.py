"""The incremental decoder: every split the same events, every fault named, nothing held that was only announced."""

import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import NEED_DATA, Limits, RemoteProtocolError, Timestamp
from protocol.flv import FlvDecoder, FlvEvent, FlvFault, FlvHeader, Tag, TagType, encode_header, encode_tag

from .replay import NAMES, cut, drain, recorded, replay

BOTH = FlvHeader(has_audio=True, has_video=True)
HEADER = encode_header(BOTH)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_file_gives_the_same_events_byte_by_byte(name: str) -> None:
    data = recorded(name)
    assert replay(data[index : index + 1] for index in range(len(data))) == replay([data])


@settings(deadline=None)  # whole files on a busy machine
@given(st.sampled_from(NAMES), st.lists(st.integers(0, 2**16), max_size=20))
def test_a_recorded_file_gives_the_same_events_however_it_is_split(name: str, places: list[int]) -> None:
    data = recorded(name)
    assert replay(cut(data, places)) == replay([data])


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_file_is_encoded_again_byte_for_byte(name: str) -> None:
    header, *tags = replay([recorded(name)])
    assert isinstance(header, FlvHeader)
    encoded = [encode_tag(tag.type, tag.timestamp, tag.body) for tag in tags if isinstance(tag, Tag)]
    assert b"".join([encode_header(header), *encoded]) == recorded(name)


@pytest.mark.parametrize("name", ["hevc", "aac", "screen"])
def test_a_truncated_file_gives_its_whole_tags_and_then_says_that_it_ends(name: str) -> None:
    data = recorded(name)
    whole = replay([data])
    ends = {13, *itertools.accumulate([13, *[15 + len(event.body) for event in whole if isinstance(event, Tag)]])}
    for size in range(len(data)):
        decoder = FlvDecoder()
        decoder.receive_data(data[:size])
        events = drain(decoder)
        assert events == whole[: len(events)]
        if size in ends:
            decoder.end()
        else:
            with pytest.raises(RemoteProtocolError, match="the file ends"):
                decoder.end()


@settings(deadline=None)  # whole files on a busy machine
@given(st.sampled_from(NAMES), st.data())
def test_a_mutated_file_raises_remote_protocol_error_or_decodes(name: str, data: st.DataObject) -> None:
    mutated = bytearray(recorded(name))
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, min(len(mutated), 600) - 1))] = data.draw(st.integers(0, 255))
    for lenient in (False, True):
        decoder = FlvDecoder(lenient=lenient)
        decoder.receive_data(mutated)
        try:
            drain(decoder)
            decoder.end()
        except RemoteProtocolError as error:
            assert error.spec.startswith("FLV 10.1, E.")


def test_a_tag_comes_out_before_the_size_behind_it() -> None:
    decoder = FlvDecoder()
    decoder.receive_data(HEADER + encode_tag(9, 7, b"body")[:-4])
    assert drain(decoder) == [BOTH, Tag(TagType.VIDEO, Timestamp(7), b"body")]


def test_the_header_comes_out_before_the_size_behind_it() -> None:
    decoder = FlvDecoder()
    decoder.receive_data(HEADER[:9])
    assert drain(decoder) == [BOTH]


def test_events_know_where_in_the_file_they_begin() -> None:
    decoder = FlvDecoder()
    decoder.receive_data(HEADER + encode_tag(9, 0, b"12345") + encode_tag(8, 0, b"123"))
    offsets = []
    while decoder.next_event() is not NEED_DATA:
        offsets.append(decoder.event_offset)
    assert offsets == [0, 13, 13 + 11 + 5 + 4]
    assert decoder.bytes_read == 13 + 20 + 18
    assert decoder.bytes_held == 0


def test_a_larger_header_is_skipped() -> None:
    larger = b"FLV\x01\x05\x00\x00\x00\x0c" + b"new" + bytes(4)
    for places in itertools.combinations(range(len(larger)), 2):
        assert replay(cut(larger + encode_tag(8, 1, b"a"), places)) == [BOTH, Tag(TagType.AUDIO, Timestamp(1), b"a")]


def test_a_larger_header_is_never_held() -> None:
    decoder = FlvDecoder(limits=Limits(buffered_bytes=1000))
    decoder.receive_data(b"FLV\x01\x05\xff\xff\xff\xff")
    for _ in range(1000):
        decoder.receive_data(bytes(900))
        drain(decoder)
        assert decoder.bytes_held == 0


@pytest.mark.parametrize("start", [b"G", b"FLW", b"HTTP/1.1 200 OK", b"\x00FLV"])
def test_what_is_no_flv_is_refused_at_its_first_wrong_byte(start: bytes) -> None:
    decoder = FlvDecoder()
    decoder.receive_data(start)
    with pytest.raises(RemoteProtocolError, match=r"no FLV.*E\.2"):
        decoder.next_event()


def test_an_error_is_raised_again_and_again() -> None:
    decoder = FlvDecoder()
    decoder.receive_data(b"MP4")
    with pytest.raises(RemoteProtocolError) as first:
        decoder.next_event()
    decoder.receive_data(HEADER)
    with pytest.raises(RemoteProtocolError) as second:
        decoder.next_event()
    with pytest.raises(RemoteProtocolError) as third:
        decoder.end()
    assert first.value is second.value is third.value
    assert decoder.bytes_held == 0


WRONG_FIELDS = {
    "previous tag size 0": (HEADER[:9] + b"\x00\x00\x00\x01" + encode_tag(8, 0, b"a"), 9, "PreviousTagSize is 1"),
    "previous tag size": (
        HEADER + encode_tag(8, 0, b"a")[:-4] + b"\x00\x00\x00\x01" + encode_tag(8, 1, b"b"),
        13 + 12,
        "PreviousTagSize is 1 where the tag before has 12 bytes",
    ),
    "stream id": (HEADER + b"\x08\0\0\1\0\0\0\0\0\0\7a\0\0\0\x0c", 13 + 8, "StreamID is 7"),
    "data offset": (b"FLV\x01\x05\x00\x00\x00\x08" + bytes(4) + encode_tag(8, 0, b"a"), 5, "DataOffset is 8"),
}


@pytest.mark.parametrize("case", WRONG_FIELDS)
def test_a_wrong_field_is_refused(case: str) -> None:
    data, offset, message = WRONG_FIELDS[case]
    with pytest.raises(RemoteProtocolError, match=f"at byte {offset}: {message}"):
        replay([data])


@pytest.mark.parametrize("case", WRONG_FIELDS)
def test_a_lenient_decoder_reports_a_wrong_field_and_reads_on(case: str) -> None:
    data, offset, message = WRONG_FIELDS[case]
    events = replay([data], lenient=True)
    faults = [event for event in events if isinstance(event, FlvFault)]
    assert [fault.offset for fault in faults] == [offset]
    assert faults[0].message.startswith(message)
    assert next(event.body for event in events if isinstance(event, Tag)) == b"a"
    byte_by_byte: list[FlvEvent] = replay([data[index : index + 1] for index in range(len(data))], lenient=True)
    assert byte_by_byte == events


@pytest.mark.parametrize(("limit", "fits"), [(99, False), (100, True), (101, True)])
def test_a_body_may_have_as_many_bytes_as_the_limit(limit: int, fits: bool) -> None:
    data = HEADER + encode_tag(9, 0, bytes(100))
    if fits:
        assert len(replay([data], limits=Limits(message_bytes=limit))) == 2
    else:
        with pytest.raises(RemoteProtocolError, match=r"a tag of 100 bytes, more than the 99 of Limits\.message_bytes"):
            replay([data], limits=Limits(message_bytes=limit))


def test_a_body_larger_than_the_buffer_is_refused_by_its_header() -> None:
    decoder = FlvDecoder(limits=Limits(buffered_bytes=64))
    decoder.receive_data(HEADER + encode_tag(9, 0, bytes(65))[:11])
    assert decoder.next_event() == BOTH
    with pytest.raises(RemoteProtocolError, match="a tag of 65 bytes"):
        decoder.next_event()


@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False)])
def test_input_is_held_up_to_the_limit(size: int, fits: bool) -> None:
    decoder = FlvDecoder(limits=Limits(buffered_bytes=100))
    tag = encode_tag(TagType.VIDEO, 0, bytes(60))
    decoder.receive_data((HEADER + tag + tag)[:size])
    assert drain_whole(decoder) == [BOTH, Tag(TagType.VIDEO, Timestamp(0), bytes(60))]
    if fits:
        assert decoder.next_event() is NEED_DATA
        return
    decoder.receive_data(tag)  # no use any more
    with pytest.raises(RemoteProtocolError, match=r"more than the 100 bytes of Limits\.buffered_bytes"):
        decoder.next_event()
    assert decoder.bytes_held == 0
    with pytest.raises(RemoteProtocolError, match=r"Limits\.buffered_bytes"):
        decoder.end()


def drain_whole(decoder: FlvDecoder) -> list[FlvEvent]:
    """The events of the header and one tag, which are there whatever came behind them."""
    events = [decoder.next_event(), decoder.next_event()]
    return [event for event in events if event is not NEED_DATA]


def test_the_end_of_a_file_that_was_fed_too_much_at_a_time_is_no_end() -> None:
    decoder = FlvDecoder(limits=Limits(buffered_bytes=100))
    decoder.receive_data(HEADER + bytes(200))
    with pytest.raises(RemoteProtocolError, match=r"Limits\.buffered_bytes"):
        decoder.end()


def test_memory_grows_with_bytes_received_and_not_with_sizes_announced() -> None:
    decoders = []
    tracemalloc.start()
    try:
        for _ in range(64):
            decoder = FlvDecoder()
            decoder.receive_data(HEADER + b"\x09\xff\xff\xff" + bytes(7) + b"\x17")
            assert drain(decoder) == [BOTH]
            decoders.append(decoder)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 128 * 1024


class CountingBytes(bytearray):
    """A buffer that counts the bytes that are copied out of it or moved within it."""

    copied = 0

    def __getitem__(self, key):
        taken = super().__getitem__(key)
        CountingBytes.copied += len(taken) if isinstance(key, slice) else 1
        return taken


def work(data: bytes, piece: int) -> int:
    """How many bytes are copied out of the buffer to decode `data`, fed in pieces."""
    decoder = FlvDecoder()
    decoder._buffer._data = CountingBytes()
    CountingBytes.copied = 0
    for start in range(0, len(data), piece):
        decoder.receive_data(data[start : start + piece])
        drain(decoder)
    assert CountingBytes.copied >= len(data)  # the count sees the buffer
    return CountingBytes.copied


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_twice_the_input_is_twice_the_work(piece: int) -> None:
    small = HEADER + b"".join(encode_tag(9, index, bytes(1000)) for index in range(20))
    large = HEADER + b"".join(encode_tag(9, index, bytes(1000)) for index in range(40))
    assert work(large, piece) <= 2.05 * work(small, piece)


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_one_tag_of_twice_the_size_is_twice_the_work(piece: int) -> None:
    small = HEADER + encode_tag(9, 0, bytes(20_000))
    large = HEADER + encode_tag(9, 0, bytes(40_000))
    assert work(large, piece) <= 2.05 * work(small, piece)
