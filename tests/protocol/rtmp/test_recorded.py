"""Conversations between real programs give the same messages however their bytes arrive; see vectors/README.md."""

import random
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import NEED_DATA, RemoteProtocolError
from protocol.rtmp.chunks import ChunkReader, ChunkWriter, ExtendedTimestamps, RawMessage
from protocol.rtmp.handshake import PACKET_SIZE, ClientHandshake, HandshakeDone, HandshakeScheme, ServerHandshake

VECTORS = Path(__file__).with_name("vectors")
NAMES = sorted({path.name.split(".")[0] for path in VECTORS.glob("*.bin")})
DIRECTIONS = sorted(path.name.removesuffix(".bin") for path in VECTORS.glob("*.bin"))
HANDSHAKE_SIZE = 1 + 2 * PACKET_SIZE
SET_CHUNK_SIZE, AUDIO, VIDEO, DATA, COMMAND = 1, 8, 9, 18, 20


def recorded(direction: str) -> bytes:
    return VECTORS.joinpath(f"{direction}.bin").read_bytes()


def receiver(direction: str) -> ServerHandshake | ClientHandshake:
    """The machine on the other side of this direction; its own random bytes matter to nobody here."""
    if direction.endswith(".client"):
        return ServerHandshake(random_bytes=random.Random(1).randbytes)
    return ClientHandshake(random_bytes=random.Random(1).randbytes, scheme=HandshakeScheme.SCHEME_1)


class Replay(NamedTuple):
    scheme: HandshakeScheme
    messages: list[RawMessage]
    error: str


def replay(direction: str, pieces: list[bytes], setting: ExtendedTimestamps = ExtendedTimestamps.DETECT) -> Replay:
    """What the handshake and the chunk reader make of these pieces."""
    handshake: ServerHandshake | ClientHandshake | None = receiver(direction)
    reader = ChunkReader(extended_timestamp_on_fmt3=setting)
    scheme = HandshakeScheme.PLAIN
    messages = []
    try:
        for piece in pieces:
            data = piece
            if handshake is not None:
                handshake.receive_data(data)
                done = handshake.next_event()
                if not isinstance(done, HandshakeDone):
                    continue
                handshake = None
                scheme = done.scheme
                data = done.trailing_data
            reader.receive_data(data)
            while (event := reader.next_event()) is not NEED_DATA:
                assert isinstance(event, RawMessage)
                messages.append(event)
    except RemoteProtocolError as error:
        return Replay(scheme, messages, str(error))
    return Replay(scheme, messages, "")


def whole(direction: str) -> Replay:
    return replay(direction, [recorded(direction)])


def media(direction: str, type_id: int) -> list[RawMessage]:
    return [message for message in whole(direction).messages if message.type_id == type_id]


def test_there_are_recordings_of_both_directions():
    assert len(NAMES) >= 14
    assert sorted(f"{name}.{side}" for name in NAMES for side in ("client", "server")) == DIRECTIONS


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_recording_is_read_without_an_error(direction):
    result = whole(direction)
    assert result.error == ""
    commands = [message.payload for message in result.messages if message.type_id == COMMAND]
    assert commands[0].startswith(b"\x02\0\x07connect" if direction.endswith(".client") else b"\x02\0\x07_result")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_byte_by_byte_gives_the_same_messages(direction):
    data = recorded(direction)
    assert replay(direction, [data[i : i + 1] for i in range(len(data))]) == whole(direction)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_split_gives_the_same_messages(data):
    direction = data.draw(st.sampled_from(DIRECTIONS))
    stream = recorded(direction)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True) if start < end]
    assert replay(direction, pieces) == whole(direction)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_recording_cut_off_anywhere_only_waits(direction):
    """One reader is fed byte by byte; before each byte, what it has said so far is the whole answer to that prefix."""
    data = recorded(direction)
    expected = whole(direction).messages
    reader = ChunkReader()
    count = 0
    for position in range(HANDSHAKE_SIZE, len(data)):
        reader.receive_data(data[position : position + 1])
        while (event := reader.next_event()) is not NEED_DATA:
            assert event == expected[count]
            count += 1
    assert count == len(expected)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_recording_cut_off_in_its_handshake_only_waits(direction):
    data = recorded(direction)
    for end in (0, 1, 2, PACKET_SIZE, PACKET_SIZE + 1, PACKET_SIZE + 2, HANDSHAKE_SIZE - 1):
        handshake = receiver(direction)
        handshake.receive_data(data[:end])
        assert handshake.next_event() is NEED_DATA


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_mutated_recording_is_refused_or_read(data):
    direction = data.draw(st.sampled_from(DIRECTIONS))
    stream = bytearray(recorded(direction))
    for _ in range(data.draw(st.integers(1, 5))):
        position = data.draw(st.integers(0, len(stream) - 1))
        stream[position] = data.draw(st.integers(0, 255))
    result = replay(direction, [bytes(stream)])
    assert result.error == "" or "(RTMP 1.0, 5." in result.error


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_was_recorded_can_be_written_and_read_again(direction):
    messages = whole(direction).messages
    writer, reader = ChunkWriter(), ChunkReader()
    for message in messages:
        reader.receive_data(writer.send(message))
    again = []
    while (event := reader.next_event()) is not NEED_DATA:
        again.append(event)
    assert again == messages


# What the programs are known to do


@pytest.mark.parametrize("name", NAMES)
def test_ffmpeg_opens_with_digest_scheme_1_and_the_others_plainly(name):
    expected = HandshakeScheme.SCHEME_1 if name.startswith("ffmpeg") else HandshakeScheme.PLAIN
    assert whole(f"{name}.client").scheme is expected


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("ffmpeg") and "-nginx" in name])
def test_nginx_answers_a_digest_with_a_digest(name):
    assert whole(f"{name}.server").scheme is HandshakeScheme.SCHEME_1


@pytest.mark.parametrize("name", NAMES)
def test_our_client_in_the_recorded_ones_place_would_have_been_content(name):
    """Given the recorded random bytes, it opens with the recorded C1, and strictly accepts the recorded S1 and S2."""
    c1 = recorded(f"{name}.client")[1 : 1 + PACKET_SIZE]
    client = ClientHandshake(
        random_bytes=lambda count: c1[8 : 8 + count],
        now_ms=int.from_bytes(c1[:4], "big"),
        scheme=whole(f"{name}.client").scheme,
        strict=True,
    )
    assert client.data_to_send()[1:] == c1
    client.receive_data(recorded(f"{name}.server"))
    done = client.next_event()
    assert isinstance(done, HandshakeDone)
    assert done.scheme is whole(f"{name}.server").scheme


@pytest.mark.parametrize("name", NAMES)
def test_publishers_echo_s1_whatever_the_scheme_and_ffmpeg_signs_where_it_plays(name):
    s1 = recorded(f"{name}.server")[1 : 1 + PACKET_SIZE]
    c2 = recorded(f"{name}.client")[1 + PACKET_SIZE : HANDSHAKE_SIZE]
    echoed = c2[:4] == s1[:4] and c2[8:] == s1[8:]
    assert echoed != name.startswith("ffmpeg5-play")


@pytest.mark.parametrize("name", NAMES)
def test_media_timestamps_do_not_go_back(name):
    side = "client" if "publish" in name else "server"
    for type_id in (AUDIO, VIDEO):
        times = [message.timestamp for message in media(f"{name}.{side}", type_id)]
        assert times == sorted(times)


@pytest.mark.parametrize("direction", ["ffmpeg5-publish-ffmpeg9-extended.client", "ffmpeg5-play-nginx-extended.server"])
@pytest.mark.parametrize("setting", [ExtendedTimestamps.DETECT, ExtendedTimestamps.REPEATED])
def test_extended_timestamps_are_read_from_ffmpeg_and_nginx(direction, setting):
    result = replay(direction, [recorded(direction)], setting)
    assert result == whole(direction)
    times = [message.timestamp for message in result.messages if message.type_id == VIDEO]
    assert times[0] == 0, "the codec configuration comes at 0, and the pictures hours after it"
    assert times[1] == 16_778_000
    assert all(16_778_000 <= time < 16_781_000 for time in times[1:])


@pytest.mark.parametrize("direction", ["ffmpeg5-publish-ffmpeg9-extended.client", "ffmpeg5-play-nginx-extended.server"])
def test_the_wrong_setting_reads_other_messages(direction):
    result = replay(direction, [recorded(direction)], ExtendedTimestamps.NOT_REPEATED)
    assert result != whole(direction)


def test_nginx_announces_the_chunk_size_it_was_configured_with():
    for direction, chunk_size in (("ffmpeg5-play-nginx", 4096), ("ffmpeg5-play-nginx-extended", 512)):
        announced = media(f"{direction}.server", SET_CHUNK_SIZE)
        assert [message.payload for message in announced] == [chunk_size.to_bytes(4, "big")]


@pytest.mark.parametrize(
    ("name", "video", "audio"),
    [
        ("ffmpeg5-publish-nginx", b"\x17\0", b"\xaf\0"),
        ("gstreamer-publish-nginx", b"\x17\0", b"\xaf\0"),
        ("ffmpeg9-publish-ffmpeg9-hevc-opus", b"\x90hvc1", b"\x90Opus"),
        ("ffmpeg9-publish-ffmpeg9-av1-flac", b"\x90av01", b"\x90fLaC"),
        ("ffmpeg9-publish-ffmpeg9-vp9-ac3", b"\x90vp09", b"\x90ac-3"),
        ("ffmpeg9-publish-nginx-hevc", b"\x90hvc1", b""),
    ],
)
def test_the_first_media_messages_name_their_codecs(name, video, audio):
    assert media(f"{name}.client", VIDEO)[0].payload.startswith(video)
    if audio:
        assert media(f"{name}.client", AUDIO)[0].payload.startswith(audio)


def test_the_multitrack_recording_holds_multitrack_packets():
    multitrack = 6
    videos = media("ffmpeg9-publish-ffmpeg9-multitrack.client", VIDEO)
    assert any(message.payload[0] & 0x8F == 0x80 | multitrack for message in videos)


def test_the_whole_publication_ends_with_its_farewell():
    commands = [message.payload for message in media("ffmpeg5-publish-nginx-whole.client", COMMAND)]
    assert [command[3 : 3 + command[2]] for command in commands[-2:]] == [b"FCUnpublish", b"deleteStream"]
