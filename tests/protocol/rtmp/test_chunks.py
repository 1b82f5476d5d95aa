"""The chunk writer's bytes, and writer against reader: round trips, splits, interleaving. RTMP 1.0, section 5.3."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from protocol import NEED_DATA, LocalProtocolError, RemoteProtocolError
from protocol.rtmp.chunks import ChunkReader, ChunkWriter, ExtendedTimestamps, RawMessage, encode_standalone

SETTINGS = settings(max_examples=60, deadline=None)

timestamps = st.one_of(
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 100),
    st.integers(0xFFFFF0, 0x100000F),
    st.integers(0xFFFFFFF0, 0xFFFFFFFF),
)
payloads = st.one_of(st.binary(max_size=8), st.integers(0, 700).map(lambda size: bytes(i % 251 for i in range(size))))
chunk_stream_ids = st.one_of(st.integers(3, 5), st.sampled_from([63, 64, 319, 320, 65_599]))
media_messages = st.builds(
    RawMessage, timestamps, st.sampled_from([8, 9, 18, 20]), st.integers(0, 2), payloads, chunk_stream_ids
)
chunk_sizes = st.one_of(st.integers(1, 300), st.sampled_from([128, 4096, 0xFFFFFF, 0x7FFFFFFF]))


def read_all(reader: ChunkReader) -> list[RawMessage]:
    messages = []
    while (event := reader.next_event()) is not NEED_DATA:
        assert isinstance(event, RawMessage)
        messages.append(event)
    return messages


def media(messages: list[RawMessage]) -> list[RawMessage]:
    return [message for message in messages if message.type_id > 2]


# The writer's bytes


def test_a_first_message_has_the_full_header():
    written = ChunkWriter().send(RawMessage(0x010203, 20, 0x0D0C0B0A, b"hi", 5))
    assert written == b"\x05\x01\x02\x03\0\0\x02\x14\x0a\x0b\x0c\x0dhi"


@pytest.mark.parametrize(
    ("csid", "header"),
    [
        (2, b"\x02"),
        (63, b"\x3f"),
        (64, b"\x00\x00"),
        (319, b"\x00\xff"),
        (320, b"\x01\x00\x01"),
        (575, b"\x01\xff\x01"),
        (65_599, b"\x01\xff\xff"),
    ],
)
def test_the_shortest_basic_header_is_written(csid, header):
    assert ChunkWriter().send(RawMessage(0, 8, 0, b"", csid)) == header + bytes(6) + b"\x08" + bytes(4)


def test_each_message_has_the_smallest_header_that_says_the_same():
    writer = ChunkWriter()
    written = [
        writer.send(RawMessage(timestamp, 8, 1, payload, 4))
        for timestamp, payload in (
            (1000, b"a"),
            (1020, b"bc"),
            (1060, b"de"),
            (1100, b"fg"),
            (1120, b"hi"),
            (1119, b"j"),
        )
    ]
    assert written == [
        b"\x04\x00\x03\xe8\0\0\x01\x08\x01\0\0\0a",
        b"\x44\0\0\x14\0\0\x02\x08bc",
        b"\x84\0\0\x28de",
        b"\xc4fg",
        b"\x84\0\0\x14hi",
        b"\x04\x00\x04\x5f\0\0\x01\x08\x01\0\0\0j",
    ]


def test_the_same_spacing_as_the_first_timestamp_is_still_spelled_out():
    writer = ChunkWriter()
    writer.send(RawMessage(20, 8, 1, b"a", 4))
    assert writer.send(RawMessage(40, 8, 1, b"b", 4)) == b"\x84\0\0\x14b"


def test_behind_a_first_timestamp_of_0_the_same_moment_needs_no_header():
    writer = ChunkWriter()
    writer.send(RawMessage(0, 8, 1, b"a", 4))
    assert writer.send(RawMessage(0, 8, 1, b"b", 4)) == b"\xc4b"


def test_another_message_stream_needs_the_full_header():
    writer = ChunkWriter()
    writer.send(RawMessage(0, 8, 1, b"a", 4))
    assert writer.send(RawMessage(5, 8, 2, b"b", 4))[0] == 0x04


def test_a_timestamp_that_wraps_goes_on_by_its_delta():
    writer = ChunkWriter()
    writer.send(RawMessage(0xFFFFFFF0, 8, 1, b"a", 4))
    assert writer.send(RawMessage(0x10, 8, 1, b"b", 4)) == b"\x84\0\0\x20b"


def test_a_delta_of_hours_is_written_as_a_timestamp():
    writer = ChunkWriter()
    writer.send(RawMessage(0, 8, 1, b"a", 4))
    assert writer.send(RawMessage(0xFFFFFE, 8, 1, b"b", 4)) == b"\x84\xff\xff\xfeb"
    assert writer.send(RawMessage(0x1FFFFFD, 8, 1, b"c", 4))[:4] == b"\x04\xff\xff\xff"


def test_fmt_3_repeats_the_extended_timestamp_of_fmt_0():
    writer = ChunkWriter(chunk_size=2)
    written = writer.send(RawMessage(0x01000000, 8, 1, b"abcde", 4))
    field = b"\x01\0\0\0"
    assert written == b"\x04\xff\xff\xff\0\0\x05\x08\x01\0\0\0" + field + b"ab\xc4" + field + b"cd\xc4" + field + b"e"
    assert writer.send(RawMessage(0x01000001, 8, 1, b"abcde", 4)) == b"\x84\0\0\x01ab\xc4cd\xc4e"


def test_set_chunk_size_counts_behind_itself():
    writer = ChunkWriter(chunk_size=3)
    assert writer.set_chunk_size(2) == b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\0\0\xc2\x02"
    assert writer.chunk_size == 2
    assert writer.send(RawMessage(0, 8, 1, b"abc", 4))[-4:] == b"ab\xc4c"


def test_a_set_chunk_size_message_sent_as_it_is_counts_too():
    writer = ChunkWriter()
    writer.send(RawMessage(0, 1, 0, b"\0\0\x10\0", 2))
    assert writer.chunk_size == 4096


def test_standalone_chunks_are_fmt_0_then_fmt_3():
    written = encode_standalone(RawMessage(40, 9, 1, b"abcde", 70), 2)
    assert written == b"\x00\x06\0\0\x28\0\0\x05\x09\x01\0\0\0ab\xc0\x06cd\xc0\x06e"


def test_standalone_chunks_are_legal_between_a_writers_messages():
    writer = ChunkWriter()
    video = RawMessage(40, 9, 1, bytes(300), 6)
    first, second = RawMessage(0, 20, 0, b"a", 3), RawMessage(0, 20, 0, b"b", 3)
    reader = ChunkReader()
    reader.receive_data(writer.send(first) + encode_standalone(video, 128) + writer.send(second))
    reader.receive_data(encode_standalone(video, 128))
    assert read_all(reader) == [first, video, second, video]


# Misuse


@pytest.mark.parametrize(
    "message",
    [
        RawMessage(-1, 8, 1, b"", 4),
        RawMessage(1 << 32, 8, 1, b"", 4),
        RawMessage(0, 256, 1, b"", 4),
        RawMessage(0, -1, 1, b"", 4),
        RawMessage(0, 8, 1 << 32, b"", 4),
        RawMessage(0, 8, -1, b"", 4),
        RawMessage(0, 8, 1, b"", 1),
        RawMessage(0, 8, 1, b"", 65_600),
        RawMessage(0, 8, 1, bytes(0x1000000), 4),
        RawMessage(0, 1, 0, b"\0\0\0\0", 2),
        RawMessage(0, 1, 0, b"\x80\0\0\0", 2),
        RawMessage(0, 1, 0, b"\0\0\x01", 2),
        RawMessage(0, 2, 0, b"\0\0\0\0\x05", 2),
    ],
    ids=lambda message: f"{message[:3]} {len(message.payload)} bytes on {message.chunk_stream_id}",
)
def test_what_cannot_be_written_is_refused_and_changes_nothing(message):
    writer = ChunkWriter()
    writer.send(RawMessage(5, 9, 1, b"a", 4))
    with pytest.raises(LocalProtocolError):
        writer.send(message)
    assert writer.chunk_size == 128
    assert writer.send(RawMessage(8, 9, 1, b"b", 4)) == b"\x84\0\0\x03b"


@pytest.mark.parametrize("chunk_size", [0, -1, 0x80000000])
def test_chunk_sizes_outside_their_range_are_refused(chunk_size):
    message = RawMessage(0, 8, 1, b"")
    for attempt in (
        lambda: ChunkWriter(chunk_size=chunk_size),
        lambda: ChunkWriter().set_chunk_size(chunk_size),
        lambda: encode_standalone(message, chunk_size),
    ):
        with pytest.raises(LocalProtocolError, match="lies outside 1 to 2147483647"):
            attempt()


def test_a_chunk_stream_carries_one_message_at_a_time():
    writer = ChunkWriter()
    chunks = writer.iter_chunks(RawMessage(0, 9, 1, bytes(300), 6))
    next(chunks)
    with pytest.raises(LocalProtocolError, match="chunk stream 6 has an unfinished message"):
        writer.send(RawMessage(0, 9, 1, b"", 6))
    assert len(list(chunks)) == 2
    writer.send(RawMessage(0, 9, 1, b"", 6))


@pytest.mark.parametrize("type_id", [1, 2])
def test_chunk_control_messages_are_not_taken_apart(type_id):
    writer = ChunkWriter()
    message = RawMessage(0, type_id, 0, b"\0\0\0\x05", 2)
    with pytest.raises(LocalProtocolError, match="sent whole"):
        next(writer.iter_chunks(message))
    with pytest.raises(LocalProtocolError, match="sent whole"):
        writer.send_interleaved([RawMessage(0, 8, 1, b"a", 4), message])
    assert writer.send(RawMessage(0, 8, 1, b"a", 4))[0] == 0x04


def test_interleaved_messages_need_a_chunk_stream_each():
    with pytest.raises(LocalProtocolError, match="a chunk stream each"):
        ChunkWriter().send_interleaved([RawMessage(0, 8, 1, b"a", 4), RawMessage(0, 9, 1, b"b", 4)])


@pytest.mark.parametrize("csid", [-1, 0, 1, 65_600])
def test_there_is_nothing_to_abort_on_chunk_streams_that_cannot_be(csid):
    with pytest.raises(LocalProtocolError, match="there is no chunk stream"):
        ChunkWriter().abort(csid)


# Writer against reader


def test_interleaved_messages_take_turns_chunk_by_chunk():
    video, audio = RawMessage(0, 9, 1, b"v" * 5, 6), RawMessage(0, 8, 1, b"a" * 3, 4)
    written = ChunkWriter(chunk_size=2).send_interleaved([video, audio])
    header = b"\0\0\0\0\0%c%c\x01\0\0\0"
    expected = b"\x06" + header % (5, 9) + b"vv\x04" + header % (3, 8) + b"aa\xc6vv\xc4a\xc6v"
    assert written == expected


def test_a_chunk_size_may_change_between_two_chunks():
    writer, reader = ChunkWriter(), ChunkReader()
    video = RawMessage(0, 9, 1, bytes(range(250)), 6)
    chunks = writer.iter_chunks(video)
    sent = next(chunks) + writer.set_chunk_size(100) + next(chunks) + writer.set_chunk_size(7) + b"".join(chunks)
    reader.receive_data(sent)
    assert media(read_all(reader)) == [video]


def test_an_aborted_message_is_forgotten_by_both():
    writer, reader = ChunkWriter(), ChunkReader()
    chunks = writer.iter_chunks(RawMessage(10, 9, 1, bytes(300), 6))
    reader.receive_data(next(chunks) + writer.abort(6))
    assert list(chunks) == []
    after = RawMessage(12, 9, 1, bytes(300), 6)
    reader.receive_data(writer.send(after))
    assert media(read_all(reader)) == [after]


def test_aborting_nothing_is_legal():
    writer, reader = ChunkWriter(), ChunkReader()
    message = RawMessage(10, 9, 1, b"a", 6)
    reader.receive_data(writer.abort(6) + writer.send(message) + writer.abort(6))
    assert media(read_all(reader)) == [message]


@SETTINGS
@given(messages=st.lists(st.one_of(media_messages, chunk_sizes), max_size=12), detected=st.booleans())
def test_what_is_written_is_read(messages, detected):
    setting = ExtendedTimestamps.DETECT if detected else ExtendedTimestamps.REPEATED
    writer, reader = ChunkWriter(), ChunkReader(extended_timestamp_on_fmt3=setting)
    for message in messages:
        reader.receive_data(writer.send(message) if isinstance(message, RawMessage) else writer.set_chunk_size(message))
    assert media(read_all(reader)) == [message for message in messages if isinstance(message, RawMessage)]
    assert reader.chunk_size == writer.chunk_size


@SETTINGS
@given(messages=st.lists(media_messages, max_size=8), chunk_size=chunk_sizes)
def test_standalone_messages_are_read_by_everybody(messages, chunk_size):
    reader = ChunkReader()
    reader.receive_data(ChunkWriter().set_chunk_size(chunk_size))
    for message in messages:
        reader.receive_data(encode_standalone(message, chunk_size))
    assert media(read_all(reader)) == messages


@SETTINGS
@given(
    messages=st.lists(media_messages, max_size=6),
    chunk_size=chunk_sizes,
    cuts=st.lists(st.integers(0, 4000), max_size=12),
    asks=st.lists(st.booleans(), min_size=1),
)
def test_any_split_gives_the_same_messages(messages, chunk_size, cuts, asks):
    writer = ChunkWriter()
    data = writer.set_chunk_size(chunk_size) + b"".join(writer.send(message) for message in messages)
    reader = ChunkReader()
    read = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        reader.receive_data(data[start:end])
        if asks[number % len(asks)]:
            read += read_all(reader)
    read += read_all(reader)
    assert media(read) == messages
    assert reader.bytes_held == 0


@SETTINGS
@given(messages=st.lists(media_messages, max_size=5), chunk_size=st.sampled_from([1, 2, 7, 128]))
def test_byte_by_byte_gives_the_same_messages(messages, chunk_size):
    writer, reader = ChunkWriter(), ChunkReader()
    read = []
    data = writer.set_chunk_size(chunk_size) + b"".join(writer.send(message) for message in messages)
    for position in range(len(data)):
        reader.receive_data(data[position : position + 1])
        read += read_all(reader)
    assert media(read) == messages


@SETTINGS
@given(
    messages=st.lists(media_messages, min_size=1, max_size=5),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_mutated_chunks_are_refused_or_read(messages, changes):
    writer = ChunkWriter(chunk_size=50)
    data = bytearray(b"".join(writer.send(message) for message in messages))
    for position, value in changes:
        data[position % len(data)] = value
    reader = ChunkReader()
    reader.receive_data(data)
    try:
        read_all(reader)
    except RemoteProtocolError as error:
        assert error.spec.startswith("RTMP 1.0, 5.")


@SETTINGS
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(data):
    reader = ChunkReader()
    reader.receive_data(data)
    try:
        read_all(reader)
    except RemoteProtocolError as error:
        assert error.spec.startswith("RTMP 1.0, 5.")
    assert reader.bytes_held <= len(data)


class WriterAgainstReader(RuleBasedStateMachine):
    """A writer that may do anything at any time; the reader sees each message when its last chunk has come."""

    unfinished = Bundle("unfinished")

    def __init__(self) -> None:
        super().__init__()
        self.writer = ChunkWriter()
        self.reader = ChunkReader()
        self.wire = b""
        self.expected: list[RawMessage] = []
        self.read: list[RawMessage] = []
        self.busy: set[int] = set()

    @rule(message=media_messages)
    def send(self, message):
        if message.chunk_stream_id in self.busy:
            with pytest.raises(LocalProtocolError):
                self.writer.send(message)
        else:
            self.wire += self.writer.send(message)
            self.expected.append(message)

    @rule(target=unfinished, message=media_messages)
    def begin(self, message):
        if message.chunk_stream_id in self.busy:
            return multiple()
        self.busy.add(message.chunk_stream_id)
        return self.take_chunk(message, self.writer.iter_chunks(message), len(message.payload))

    @rule(target=unfinished, started=consumes(unfinished))
    def go_on(self, started):
        return self.take_chunk(*started)

    def take_chunk(self, message, chunks, bytes_left):
        self.wire += next(chunks)
        bytes_left -= self.writer.chunk_size
        if bytes_left > 0:
            return message, chunks, bytes_left
        assert next(chunks, None) is None
        self.busy.remove(message.chunk_stream_id)
        self.expected.append(message)
        return multiple()

    @rule(started=consumes(unfinished))
    def abort(self, started):
        message, chunks, _ = started
        self.wire += self.writer.abort(message.chunk_stream_id)
        self.busy.remove(message.chunk_stream_id)
        assert next(chunks, None) is None

    @rule(messages=st.lists(media_messages, max_size=4, unique_by=lambda message: message.chunk_stream_id))
    def interleave(self, messages):
        if any(message.chunk_stream_id in self.busy for message in messages):
            with pytest.raises(LocalProtocolError):
                self.writer.send_interleaved(messages)
            return
        self.wire += self.writer.send_interleaved(messages)
        chunk_count = {m: max(1, -(-len(m.payload) // self.writer.chunk_size)) for m in messages}
        self.expected += sorted(messages, key=lambda message: chunk_count[message])

    @rule(chunk_size=chunk_sizes)
    def change_chunk_size(self, chunk_size):
        self.wire += self.writer.set_chunk_size(chunk_size)

    @precondition(lambda self: self.wire)
    @rule(fraction=st.floats(0, 1), ask=st.booleans())
    def deliver(self, fraction, ask):
        count = round(len(self.wire) * fraction)
        self.reader.receive_data(self.wire[:count])
        self.wire = self.wire[count:]
        if ask:
            self.read += media(read_all(self.reader))

    @invariant()
    def nothing_is_read_that_was_not_sent(self):
        assert self.read == self.expected[: len(self.read)]

    def teardown(self):
        self.reader.receive_data(self.wire)
        self.read += media(read_all(self.reader))
        assert self.read == self.expected
        assert self.reader.chunk_size == self.writer.chunk_size


WriterAgainstReader.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestWriterAgainstReader = WriterAgainstReader.TestCase


def test_a_set_chunk_size_is_not_encoded_apart_from_its_writer():
    with pytest.raises(LocalProtocolError, match=r"ChunkWriter\.set_chunk_size"):
        encode_standalone(RawMessage(0, 1, 0, b"\0\0\0\1"), 128)
