"""Chunks in, messages out; the bytes here were put together by hand. RTMP 1.0, sections 5.3 and 5.4."""

import dataclasses
import tracemalloc

import pytest

from protocol import NEED_DATA, Limits, LocalProtocolError, RemoteProtocolError
from protocol.rtmp.chunks import PAUSED, ChunkReader, ExtendedTimestamps, RawMessage, SharedBudget

LIMITS = Limits()
# Extended timestamps from 16,777,215 on: 0x01000000 and 0x01000028 are 40 ms apart.
EXTENDED_FMT_0 = b"\x04\xff\xff\xff\x00\x00\x0a\x09\x01\x00\x00\x00\x01\x00\x00\x00"


def set_chunk_size(value: int) -> bytes:
    return b"\x02\0\0\0\0\0\x04\x01\0\0\0\0" + value.to_bytes(4, "big")


def fmt_0(csid: int, length: int, *, timestamp: int = 0, type_id: int = 9, stream_id: int = 1) -> bytes:
    """A fmt 0 header on chunk stream 2 to 63."""
    return (
        bytes([csid])
        + timestamp.to_bytes(3, "big")
        + length.to_bytes(3, "big")
        + bytes([type_id])
        + stream_id.to_bytes(4, "little")
    )


def read(data: bytes, reader: ChunkReader | None = None) -> list[RawMessage]:
    """Everything in `data`, which must be used up by it."""
    reader = ChunkReader() if reader is None else reader
    reader.receive_data(data)
    messages = drain(reader)
    assert reader.bytes_held == 0
    return messages


def drain(reader: ChunkReader) -> list[RawMessage]:
    messages = []
    while (event := reader.next_event()) is not NEED_DATA:
        assert isinstance(event, RawMessage)
        messages.append(event)
    return messages


def refusal(data: bytes, reader: ChunkReader | None = None) -> RemoteProtocolError:
    reader = ChunkReader() if reader is None else reader
    reader.receive_data(data)
    with pytest.raises(RemoteProtocolError) as caught:
        drain(reader)
    with pytest.raises(RemoteProtocolError) as again:
        reader.next_event()
    assert again.value is caught.value
    assert reader.bytes_held == 0
    return caught.value


# Headers


def test_a_fmt_0_header_is_read_field_by_field_and_the_message_stream_id_is_little_endian():
    data = b"\x05\x01\x02\x03\x00\x00\x02\x14\x0a\x0b\x0c\x0dhi"
    assert read(data) == [RawMessage(0x010203, 0x14, 0x0D0C0B0A, b"hi", 5)]


@pytest.mark.parametrize(
    ("header", "csid"),
    [
        (b"\x02", 2),
        (b"\x3f", 63),
        (b"\x00\x00", 64),
        (b"\x00\xff", 319),
        (b"\x01\x00\x00", 64),
        (b"\x01\x00\x01", 320),
        (b"\x01\x01\x00", 65),
        (b"\x01\xff\xff", 65_599),
    ],
)
def test_the_basic_header_has_three_forms(header, csid):
    data = header + b"\0\0\x07\0\0\x01\x08\x01\0\0\0x"
    assert read(data) == [RawMessage(7, 8, 1, b"x", csid)]


def test_two_forms_of_one_id_are_one_chunk_stream():
    first = b"\x00\x05\0\0\x07\0\0\x01\x08\x01\0\0\0x"
    second = b"\x81\x05\x00\0\0\x02y"
    assert [message.timestamp for message in read(first + second)] == [7, 9]


def test_the_specifications_first_example_costs_one_byte_a_message_in_the_end():
    sound = bytes(range(32))
    data = fmt_0(3, 32, timestamp=1000, type_id=8, stream_id=12345) + sound
    data += b"\x83\x00\x00\x14" + sound + b"\xc3" + sound + b"\xc3" + sound
    assert read(data) == [RawMessage(time, 8, 12345, sound, 3) for time in (1000, 1020, 1040, 1060)]


def test_the_specifications_second_example_takes_a_message_of_307_bytes_apart():
    picture = bytes(i % 256 for i in range(307))
    data = fmt_0(4, 307, timestamp=1000, stream_id=12346) + picture[:128]
    data += b"\xc4" + picture[128:256] + b"\xc4" + picture[256:]
    assert read(data) == [RawMessage(1000, 9, 12346, picture, 4)]


def test_fmt_1_keeps_the_message_stream_and_adds_its_delta():
    data = fmt_0(4, 1, timestamp=100, stream_id=7) + b"a" + b"\x44\0\0\x28\0\0\x02\x08bc"
    assert read(data)[1] == RawMessage(140, 8, 7, b"bc", 4)


def test_fmt_3_behind_fmt_0_repeats_the_timestamp_as_the_delta():
    data = fmt_0(4, 1, timestamp=1000) + b"a" + b"\xc4b" + b"\xc4c"
    assert [message.timestamp for message in read(data)] == [1000, 2000, 3000]


def test_fmt_1_may_open_a_chunk_stream_as_librtmp_does():
    data = b"\x42\0\0\x05\0\0\x02\x04\0\x07"
    assert read(data) == [RawMessage(5, 4, 0, b"\0\x07", 2)]


@pytest.mark.parametrize("header", [b"\xc4", b"\x84\0\0\0", b"\xc0\x05", b"\x81\x05\x00\0\0\0"])
def test_fmt_2_and_3_without_a_predecessor_are_refused(header):
    error = refusal(header)
    assert "repeats a header that never came" in str(error)
    assert error.spec == "RTMP 1.0, 5.3.1.2"


def test_messages_without_a_payload_are_messages():
    data = fmt_0(4, 0, timestamp=5, type_id=8) + b"\x84\0\0\x03" + b"\xc4"
    assert read(data) == [RawMessage(time, 8, 1, b"", 4) for time in (5, 8, 11)]


def test_timestamps_wrap_at_32_bits():
    data = b"\x04\xff\xff\xff\0\0\x01\x09\x01\0\0\0\xff\xff\xff\xf0a\x84\0\0\x20b"
    assert [message.timestamp for message in read(data)] == [0xFFFFFFF0, 0x10]


# Interleaving, chunk sizes, Abort


def test_messages_on_other_chunk_streams_come_between_the_chunks_of_one():
    data = fmt_0(6, 200, type_id=9) + b"v" * 128 + fmt_0(4, 3, type_id=8) + b"aaa" + b"\xc6" + b"v" * 72
    assert [(message.type_id, len(message.payload)) for message in read(data)] == [(8, 3), (9, 200)]


def test_a_new_chunk_size_counts_between_two_chunks_of_a_message():
    data = fmt_0(6, 200) + b"v" * 128 + set_chunk_size(50) + b"\xc6" + b"w" * 50 + b"\xc6" + b"x" * 22
    reader = ChunkReader()
    first, second = read(data, reader)
    assert first == RawMessage(0, 1, 0, b"\0\0\0\x32", 2)
    assert second.payload == b"v" * 128 + b"w" * 50 + b"x" * 22
    assert reader.chunk_size == 50


@pytest.mark.parametrize("value", [1, 127, 128, 0xFFFFFF, 0x1000000, 0x7FFFFFFF])
def test_every_chunk_size_from_1_to_31_bits_is_legal(value):
    payload = b"abc"
    size = min(value, 3)
    data = set_chunk_size(value) + fmt_0(6, 3) + payload[:size]
    for start in range(size, 3, size):
        data += b"\xc6" + payload[start : start + size]
    assert read(data)[1].payload == payload


@pytest.mark.parametrize("value", [0, 0x80000000, 0x80000001, 0xFFFFFFFF])
def test_chunk_size_0_and_a_set_top_bit_are_refused(value):
    error = refusal(set_chunk_size(value))
    assert error.spec == "RTMP 1.0, 5.4.1"
    assert f"chunk size {value:#x} lies outside 1 to 0x7fffffff" in str(error)


@pytest.mark.parametrize(("type_id", "section"), [(1, "5.4.1"), (2, "5.4.2")])
@pytest.mark.parametrize("length", [0, 1, 3])
def test_short_chunk_control_messages_are_refused(type_id, section, length):
    data = fmt_0(2, length, type_id=type_id, stream_id=0) + bytes([1] * length)
    error = refusal(data)
    assert error.spec == f"RTMP 1.0, {section}"
    assert f"has {length} bytes; it needs 4" in str(error)


def test_what_follows_the_four_bytes_of_a_chunk_control_message_is_passed_over():
    reader = ChunkReader()
    read(fmt_0(2, 5, type_id=1, stream_id=0) + b"\0\0\0\x05x", reader)
    assert reader.chunk_size == 5
    reader.receive_data(fmt_0(6, 7) + b"vvvvv" + fmt_0(2, 5, type_id=2, stream_id=0) + b"\0\0\0\x06x")
    assert reader.next_event() == RawMessage(0, 2, 0, b"\0\0\0\x06x", 2)
    assert reader.bytes_held == 0


def test_abort_forgets_what_came_of_a_message_and_the_next_may_refer_to_its_header():
    abort = fmt_0(2, 4, type_id=2, stream_id=0) + b"\0\0\0\x06"
    reader = ChunkReader()
    reader.receive_data(fmt_0(6, 130, timestamp=100) + b"v" * 128 + abort)
    assert reader.next_event() == RawMessage(0, 2, 0, b"\0\0\0\x06", 2)
    assert reader.bytes_held == 0
    assert read(b"\x46\0\0\x01\0\0\x01\x09w", reader) == [RawMessage(101, 9, 1, b"w", 6)]


@pytest.mark.parametrize("csid", [2, 5, 6, 0xFFFFFFFF])
def test_abort_of_nothing_changes_nothing(csid):
    abort = fmt_0(2, 4, type_id=2, stream_id=0) + csid.to_bytes(4, "big")
    messages = read(fmt_0(6, 1) + b"a" + abort + b"\xc6" + b"b")
    assert [message.type_id for message in messages] == [9, 2, 9]


# A message is frozen until it is complete


@pytest.mark.parametrize(
    "header",
    [
        b"\x06\0\0\x64\0\0\xc9\x09\x01\0\0\0",
        b"\x06\0\0\x64\xff\xff\xff\x09\x01\0\0\0",
        b"\x06\0\0\x64\0\0\x01\x09\x01\0\0\0",
        b"\x06\0\0\x64\0\0\xc8\x08\x01\0\0\0",
        b"\x06\0\0\x64\0\0\xc8\x09\x02\0\0\0",
        b"\x06\0\0\x65\0\0\xc8\x09\x01\0\0\0",
        b"\x46\0\0\0\0\0\xc9\x09",
        b"\x46\0\0\0\0\0\xc8\x08",
        b"\x46\0\0\x01\0\0\xc8\x09",
        b"\x86\0\0\x01",
    ],
)
def test_a_header_that_changes_an_unfinished_message_is_refused(header):
    error = refusal(fmt_0(6, 200, timestamp=100) + b"v" * 128 + header)
    assert error.spec == "RTMP 1.0, 5.3.1.2"
    assert "changes the message on chunk stream 6, of which 72 of 200 bytes are still to come" in str(error)


@pytest.mark.parametrize(
    "header",
    [
        b"\x06\0\0\x64\0\0\xc8\x09\x01\0\0\0",
        b"\x46\0\0\x64\0\0\xc8\x09",
        b"\x46\0\0\0\0\0\xc8\x09",
        b"\x86\0\0\0",
    ],
)
def test_a_header_that_repeats_an_unfinished_message_goes_on_with_it(header):
    data = fmt_0(6, 200, timestamp=100) + b"v" * 128 + header + b"w" * 72
    assert read(data) == [RawMessage(100, 9, 1, b"v" * 128 + b"w" * 72, 6)]


def test_a_fmt_0_header_inside_a_message_repeats_its_time_and_not_the_delta_that_it_came_by():
    begun = fmt_0(6, 1, timestamp=100) + b"u" + b"\x46\0\0\x28\0\0\xc8\x09" + b"v" * 128
    again = read(begun + fmt_0(6, 200, timestamp=140) + b"w" * 72)
    assert again[1] == RawMessage(140, 9, 1, b"v" * 128 + b"w" * 72, 6)
    assert "changes the message" in str(refusal(begun + fmt_0(6, 200, timestamp=40)))


# Extended timestamps


def test_an_extended_timestamp_follows_the_header():
    assert read(EXTENDED_FMT_0 + b"0123456789") == [RawMessage(0x01000000, 9, 1, b"0123456789", 4)]


def test_the_mark_itself_needs_the_extended_timestamp():
    data = b"\x04\xff\xff\xff\0\0\x01\x09\x01\0\0\0\x00\xff\xff\xffa"
    assert read(data)[0].timestamp == 0xFFFFFF


def test_an_extended_delta_is_added():
    data = fmt_0(4, 1, timestamp=1) + b"a" + b"\x84\xff\xff\xff\x01\0\0\0b" + b"\xc4\x01\0\0\0c"
    assert [message.timestamp for message in read(data)] == [1, 0x01000001, 0x02000001]


def in_chunks_of_4(repeated: bytes) -> bytes:
    return set_chunk_size(4) + EXTENDED_FMT_0 + b"0123" + b"\xc4" + repeated + b"4567" + b"\xc4" + repeated + b"89"


@pytest.mark.parametrize("setting", [ExtendedTimestamps.DETECT, ExtendedTimestamps.REPEATED])
def test_fmt_3_repeats_the_extended_timestamp(setting):
    reader = ChunkReader(extended_timestamp_on_fmt3=setting)
    assert read(in_chunks_of_4(b"\x01\0\0\0"), reader)[1].payload == b"0123456789"


@pytest.mark.parametrize("setting", [ExtendedTimestamps.DETECT, ExtendedTimestamps.NOT_REPEATED])
def test_programs_that_do_not_repeat_it_are_understood(setting):
    reader = ChunkReader(extended_timestamp_on_fmt3=setting)
    assert read(in_chunks_of_4(b""), reader)[1].payload == b"0123456789"


def test_the_setting_tells_payload_that_looks_like_the_timestamp():
    data = set_chunk_size(6) + EXTENDED_FMT_0 + b"012345" + b"\xc4" + b"\x01\0\0\0"
    reader = ChunkReader(extended_timestamp_on_fmt3=ExtendedTimestamps.NOT_REPEATED)
    assert read(data, reader)[1].payload == b"012345\x01\0\0\0"


def test_a_stated_repetition_is_not_compared():
    reader = ChunkReader(extended_timestamp_on_fmt3=ExtendedTimestamps.REPEATED)
    assert read(in_chunks_of_4(b"\x01\0\0\x09"), reader)[1] == RawMessage(0x01000000, 9, 1, b"0123456789", 4)


def test_a_stated_repetition_is_the_delta_of_the_message_that_it_starts():
    reader = ChunkReader(extended_timestamp_on_fmt3=ExtendedTimestamps.REPEATED)
    messages = read(EXTENDED_FMT_0 + b"0123456789" + b"\xc4" + b"\x02\0\0\0" + b"0123456789", reader)
    assert [message.timestamp for message in messages] == [0x01000000, 0x03000000]


def test_a_program_that_repeats_the_timestamp_instead_of_the_delta_is_understood():
    data = set_chunk_size(2) + fmt_0(4, 4, timestamp=1) + b"ab\xc4cd"
    data += b"\x84\xff\xff\xff\x01\0\0\0ef\xc4\x01\0\0\x01gh"
    assert read(data)[2] == RawMessage(0x01000001, 9, 1, b"efgh", 4)


def test_the_first_byte_that_differs_decides_that_nothing_was_repeated():
    reader = ChunkReader()
    reader.receive_data(set_chunk_size(9) + EXTENDED_FMT_0 + b"012345678" + b"\xc4")
    assert len(drain(reader)) == 1
    assert read(b"9", reader)[0].payload == b"0123456789"


def test_a_beginning_that_agrees_waits_for_what_follows():
    reader = ChunkReader()
    reader.receive_data(set_chunk_size(7) + EXTENDED_FMT_0 + b"0123456" + b"\xc4" + b"\x01\0")
    assert len(drain(reader)) == 1
    assert read(b"\x01", reader)[0].payload == b"0123456\x01\0\x01"


def test_a_stated_repetition_waits_for_its_four_bytes():
    reader = ChunkReader(extended_timestamp_on_fmt3=ExtendedTimestamps.REPEATED)
    reader.receive_data(set_chunk_size(9) + EXTENDED_FMT_0 + b"012345678" + b"\xc4" + b"\x01\0\0")
    assert len(drain(reader)) == 1
    assert read(b"\x009", reader)[0].payload == b"0123456789"


# What is held


def test_16_mib_announced_on_64_chunk_streams_are_held_in_128_kib():
    announced = [fmt_0(2 + number, 0xFFFFFF) + b"\0" for number in range(62)]
    announced += [b"\x00" + bytes([number]) + fmt_0(0, 0xFFFFFF)[1:] + b"\0" for number in range(2)]
    reader = ChunkReader()
    reader.receive_data(set_chunk_size(1))
    drain(reader)
    tracemalloc.start()
    try:
        for chunk in announced:
            reader.receive_data(chunk)
            assert reader.next_event() is NEED_DATA
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.bytes_held == 64
    assert held < 128 * 1024
    error = refusal(b"\x00\xff" + fmt_0(0, 1)[1:], reader)
    assert str(error) == "more chunk streams on one connection than the 64 of Limits.chunk_streams (RTMP 1.0, 5.3.1.1)"


@pytest.mark.parametrize(("length", "legal"), [(9, True), (10, True), (11, False)])
def test_a_message_above_the_limit_is_refused_by_its_header(length, legal):
    reader = ChunkReader(limits=dataclasses.replace(LIMITS, message_bytes=10))
    if legal:
        assert len(read(fmt_0(4, length) + bytes(length), reader)) == 1
    else:
        error = refusal(fmt_0(4, length), reader)
        assert (error.spec, "Limits.message_bytes" in str(error)) == ("RTMP 1.0, 5.3.1.2", True)


@pytest.mark.parametrize("header", [fmt_0(4, 0x020001), b"\x44\0\0\0\x02\0\x01\x09"])
def test_a_length_has_three_bytes(header):
    reader = ChunkReader(limits=dataclasses.replace(LIMITS, message_bytes=0x020000))
    assert "131073 bytes is announced" in str(refusal(header, reader))


def test_a_lowered_limit_holds_for_messages_that_repeat_a_length():
    reader = ChunkReader()
    read(fmt_0(4, 100) + bytes(100), reader)
    reader.limits = dataclasses.replace(LIMITS, message_bytes=99)
    assert "100 bytes is announced, more than the 99" in str(refusal(b"\xc4", reader))


@pytest.mark.parametrize("pieces", [1, 1000])
def test_unfinished_messages_together_are_limited_however_they_arrive(pieces):
    limits = dataclasses.replace(LIMITS, buffered_bytes=384)
    start = fmt_0(4, 1000) + bytes(128) + fmt_0(5, 1000) + bytes(128)
    whole = fmt_0(6, 128) + bytes(128)
    for data, legal in ((start + whole + whole, True), (start + b"\xc4" + bytes(128) + whole, False)):
        reader = ChunkReader(limits=limits)
        step = len(data) // pieces + 1
        outcome = []
        try:
            for position in range(0, len(data), step):
                reader.receive_data(data[position : position + step])
                outcome += drain(reader)
        except RemoteProtocolError as error:
            outcome.append(str(error))
        over = "unfinished messages come to more than the 384 bytes of Limits.buffered_bytes (RTMP 1.0, 5.3.1.2)"
        assert outcome == ([outcome[0]] * 2 if legal else [over])


def test_a_raised_limit_counts_at_once():
    reader = ChunkReader(limits=dataclasses.replace(LIMITS, buffered_bytes=128))
    reader.receive_data(fmt_0(4, 200) + bytes(128))
    assert reader.next_event() is NEED_DATA
    reader.limits = LIMITS
    assert len(read(b"\xc4" + bytes(72), reader)) == 1


def test_the_shared_budget_holds_what_stays_unfinished():
    budget = SharedBudget(300)
    first, second = ChunkReader(budget=budget), ChunkReader(budget=budget)
    first.receive_data(fmt_0(4, 500) + bytes(128) + b"\xc4" + bytes(128))
    assert first.next_event() is NEED_DATA
    assert budget.reserved_bytes == 256
    error = refusal(fmt_0(4, 500) + bytes(45), second)
    assert (error.spec, "of their SharedBudget" in str(error)) == ("RTMP 1.0, 5.3", True)
    assert budget.reserved_bytes == 256
    read(b"\xc4" + bytes(128) + b"\xc4" + bytes(116), first)
    assert budget.reserved_bytes == 0


def test_closing_gives_the_shared_budget_its_bytes_back():
    budget = SharedBudget(300)
    reader = ChunkReader(budget=budget)
    reader.receive_data(fmt_0(4, 500) + bytes(100))
    assert reader.next_event() is NEED_DATA
    assert budget.reserved_bytes == reader.bytes_held == 100
    reader.close()
    reader.close()
    assert budget.reserved_bytes == reader.bytes_held == 0
    reader.receive_data(b"more")
    assert reader.bytes_held == 0
    with pytest.raises(LocalProtocolError, match=r"^this reader was closed \(RTMP 1\.0, 5\.3\)$"):
        reader.next_event()


def test_bytes_are_counted_for_acknowledgements():
    reader = ChunkReader()
    read(fmt_0(4, 3) + b"abc", reader)
    reader.receive_data(memoryview(b"\xc4a"))
    reader.receive_data(bytearray(b"b"))
    assert reader.bytes_received == 12 + 3 + 3


def test_what_was_decoded_ends_where_the_next_header_begins():
    reader = ChunkReader()
    reader.receive_data(fmt_0(4, 3) + b"abc" + b"\x44\0")
    reader.receive_data(b"\0")
    assert reader.bytes_read == 0
    reader.next_event()
    assert reader.next_event() is NEED_DATA
    assert (reader.bytes_read, reader.bytes_held) == (15, 3)


# Turns


def test_a_turn_ends_after_its_chunks_and_the_next_goes_on():
    reader = ChunkReader()
    reader.receive_data(set_chunk_size(1) + fmt_0(4, 10) + b"0" + b"".join(b"\xc4%d" % i for i in range(1, 10)))
    reader.chunk_allowance = 5
    assert isinstance(reader.next_event(), RawMessage)
    assert reader.next_event() is PAUSED
    assert reader.next_event() is PAUSED
    assert reader.chunks_read == 5
    reader.chunk_allowance = 6
    event = reader.next_event()
    assert isinstance(event, RawMessage)
    assert event.payload == b"0123456789"
    assert reader.chunks_read == 11
    assert reader.chunk_allowance == 0
    assert reader.next_event() is NEED_DATA


def test_the_chunk_that_was_begun_in_a_turn_goes_on_after_it():
    reader = ChunkReader()
    reader.chunk_allowance = 1
    reader.receive_data(fmt_0(4, 10) + b"01234")
    assert reader.next_event() is NEED_DATA
    reader.receive_data(b"56789" + b"\xc4")
    assert isinstance(reader.next_event(), RawMessage)
    assert reader.next_event() is PAUSED
    reader.chunk_allowance = None
    assert reader.next_event() is NEED_DATA
    assert reader.chunks_read == 2


def test_bytes_received_in_a_pause_wait_within_the_limit():
    reader = ChunkReader(limits=dataclasses.replace(LIMITS, buffered_bytes=100))
    reader.chunk_allowance = 0
    reader.receive_data(fmt_0(4, 1) + b"a")
    for _ in range(43):
        assert reader.next_event() is PAUSED
        reader.receive_data(b"\xc4b")
    assert reader.bytes_held == 99
    reader.receive_data(b"\xc4")
    assert reader.next_event() is PAUSED
    reader.receive_data(b"b")
    with pytest.raises(RemoteProtocolError, match=r"more than the 100 bytes of Limits\.buffered_bytes wait") as caught:
        reader.next_event()
    assert caught.value.spec == "RTMP 1.0, 5.3"


def test_sentinels_print_their_names():
    assert repr(PAUSED) == "PAUSED"


# Work


@pytest.mark.parametrize("pieces", ["whole", "byte by byte"])
def test_a_message_in_tiny_chunks_costs_work_in_proportion(pieces):
    def calls(length: int) -> tuple[int, int]:
        data = set_chunk_size(1) + fmt_0(4, length) + b"x" + b"\xc4x" * (length - 1)
        reader = ChunkReader()
        moved = 0
        messages = []
        for piece in [data] if pieces == "whole" else [data[i : i + 1] for i in range(len(data))]:
            reader.receive_data(piece)
            moved += len(reader._data) + len(reader._pending)
            messages += drain(reader)
        assert messages[1].payload == b"x" * length
        return reader.chunks_read, moved

    small_chunks, small_moved = calls(2_000)
    large_chunks, large_moved = calls(4_000)
    assert large_chunks - 1 == 2 * (small_chunks - 1)
    assert large_moved < 2.1 * small_moved
