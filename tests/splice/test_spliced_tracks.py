"""What the splice route's streams are known to be: out of one viewer's first bytes, for the others too."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from trio.testing import MockClock

from protocol.flv import (
    AudioConfiguration,
    FlvHeader,
    TagType,
    VideoConfiguration,
    encode_header,
    encode_script_data,
    encode_tag,
)
from protocol.flv import ScriptData as Script
from splice.http import CHUNKED, CLOSE, LAST_CHUNK, Framing, ResponseHead, chunk
from splice.pump import PortablePump
from splice.pump.epoll import EpollPump
from splice.spliced_tracks import FoundTracks, Look, SplicedTracks
from splice.stats import Viewer
from tests.splice.hub_house import AUDIO_CONFIGURATION, VIDEO_CONFIGURATION, audio, inter_frame, keyframe
from tests.splice.splice_house import GET, splicing
from tests.splice.websocket_client import raw_handshake

HEADER = encode_header(FlvHeader(has_audio=True, has_video=True))
VIDEO = encode_tag(TagType.VIDEO, 0, VIDEO_CONFIGURATION)
AUDIO = encode_tag(TagType.AUDIO, 0, AUDIO_CONFIGURATION)
FRAMES = encode_tag(TagType.VIDEO, 0, keyframe(bytes(2000))) + encode_tag(TagType.AUDIO, 0, audio(bytes(300)))
OPENING = HEADER + VIDEO + AUDIO
BOTH = FoundTracks(VideoConfiguration("avc1.42c00d", 640, 112), AudioConfiguration("mp4a.40.2", 44100, 2))


def answer(framing: Framing = CLOSE, status: int = 200) -> ResponseHead:
    return ResponseHead((1, 1), status, b"", (), framing)


def viewer(stream: str = "test", origin: str = "a") -> Viewer:
    return Viewer("v1", "192.0.2.7:5000", "192.0.2.7", "myapp", stream, "http-flv", route="splice", origin=origin)


class Known:
    """The tracks of some streams, asked for by their names."""

    def __init__(self) -> None:
        self.tracks = SplicedTracks()

    def of(self, stream: str = "test", origin: str = "a") -> FoundTracks:
        return self.tracks.of(origin, "myapp", stream)

    @contextmanager
    def look(self, framing: Framing = CLOSE, stream: str = "test", origin: str = "a") -> Iterator[Look]:
        """A look by way of a viewer of a stream that is not known."""
        with self.tracks.looking(viewer(stream, origin), answer(framing)) as look:
            assert look is not None
            yield look

    def is_not_looked_at(self, stream: str = "test", status: int = 200) -> bool:
        with self.tracks.looking(viewer(stream), answer(CLOSE, status)) as look:
            return look is None


@pytest.fixture
async def known(autojump_clock: MockClock) -> Known:
    return Known()


# --- what the bytes say ---


async def test_codecs_and_size_are_read_and_then_no_more_is_wanted(known: Known) -> None:
    with known.look() as look:
        assert look(HEADER + VIDEO)
        assert known.of() == FoundTracks(video=BOTH.video)
        assert not look(AUDIO + FRAMES)
        assert known.of() == BOTH
        assert not look(FRAMES)


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (CLOSE, OPENING),
        (Framing.of_length(len(OPENING)), OPENING),
        (CHUNKED, b"".join(chunk(OPENING[at : at + 7]) for at in range(0, len(OPENING), 7)) + LAST_CHUNK),
    ],
    ids=["until close", "of a length", "chunked"],
)
async def test_however_the_body_is_framed_and_cut_the_same_is_read(known: Known, framing: Framing, body: bytes) -> None:
    with known.look(framing) as look:
        for byte in range(len(body)):
            wants_more = look(memoryview(body)[byte : byte + 1])
        assert not wants_more
    assert known.of() == BOTH


async def test_one_track_is_enough_where_the_header_names_one(known: Known) -> None:
    with known.look() as look:
        assert not look(encode_header(FlvHeader(has_audio=False, has_video=True)) + VIDEO)
    assert known.of() == FoundTracks(video=BOTH.video)
    with known.look(stream="radio") as look:
        assert not look(encode_header(FlvHeader(has_audio=True, has_video=False)) + AUDIO)
    assert known.of("radio") == FoundTracks(audio=BOTH.audio)


async def test_a_header_that_names_no_track_is_not_believed(known: Known) -> None:
    with known.look() as look:
        assert look(encode_header(FlvHeader(has_audio=False, has_video=False)))
        assert look(VIDEO)
    assert known.of() == FoundTracks(video=BOTH.video)


async def test_metadata_says_what_frames_do_not(known: Known) -> None:
    script = encode_script_data(Script("onMetaData", ({"width": 320.0, "height": 240.0, "audiosamplerate": 22050.0},)))
    with known.look() as look:
        look(HEADER + encode_tag(TagType.SCRIPT, 0, script) + encode_tag(TagType.VIDEO, 0, inter_frame(bytes(9))))
        look(encode_tag(TagType.AUDIO, 0, audio(bytes(9))))
    assert known.of() == FoundTracks(VideoConfiguration("avc1", 320, 240), AudioConfiguration("mp4a", 22050, None))


async def test_tags_that_nobody_can_read_are_read_past(known: Known) -> None:
    filtered = encode_tag(TagType.VIDEO, 0, b"encrypted", filtered=True)
    with known.look() as look:
        assert not look(HEADER + filtered + encode_tag(20, 0, b"of another time") + VIDEO + AUDIO)
    assert known.of() == BOTH


async def test_after_64_kib_no_more_is_wanted_whatever_is_missing(known: Known) -> None:
    promised = HEADER + VIDEO
    frames = encode_tag(TagType.VIDEO, 0, inter_frame(bytes(1000))) * 70
    with known.look() as look:
        assert look(promised)
        assert look(frames[: 65535 - len(promised)])
        assert not look(AUDIO)
    assert known.of() == FoundTracks(video=BOTH.video)


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (CLOSE, b"<html>no FLV</html>"),
        (CHUNKED, b"no chunk\r\n"),
        (CHUNKED, chunk(b"<html>")),
        (CLOSE, HEADER + encode_tag(TagType.VIDEO, 0, b"\x97")),
    ],
)
async def test_what_is_no_flv_says_nothing_and_is_not_asked_again(known: Known, framing: Framing, body: bytes) -> None:
    with known.look(framing) as look:
        assert not look(body)
    assert known.of() == FoundTracks()
    assert known.is_not_looked_at()


# --- once for each stream ---


async def test_others_of_a_known_stream_are_not_looked_at(known: Known) -> None:
    with known.look() as look:
        assert known.is_not_looked_at()
        look(OPENING)
    assert known.is_not_looked_at()
    with known.look(stream="another"), known.look(origin="b"):
        pass


async def test_an_answer_that_is_no_stream_is_not_looked_at(known: Known) -> None:
    assert known.is_not_looked_at(status=404)
    with known.look():
        pass


async def test_a_stream_is_looked_at_again_after_some_minutes_and_known_meanwhile(
    known: Known, autojump_clock: MockClock
) -> None:
    with known.look() as look:
        look(OPENING)
    autojump_clock.jump(299)
    assert known.is_not_looked_at()
    autojump_clock.jump(2)
    with known.look() as look:
        assert known.of() == BOTH
        look(encode_header(FlvHeader(has_audio=False, has_video=True)) + VIDEO)
        assert known.of() == FoundTracks(video=BOTH.video)


async def test_a_viewer_who_left_early_leaves_the_look_to_the_next_and_what_it_saw(known: Known) -> None:
    with known.look() as look:
        look(HEADER + VIDEO)
    assert not look(AUDIO)
    assert known.of() == FoundTracks(video=BOTH.video)
    with known.look() as look:
        look(OPENING)
    assert known.of() == BOTH


async def test_names_that_viewers_make_up_do_not_pile_up(known: Known) -> None:
    for number in range(4100):
        with known.look(stream=f"s{number}") as look:
            look(b"no FLV")
    with known.look(stream="s0"):
        pass
    assert known.is_not_looked_at("s4099")


# --- behind the door ---


@pytest.mark.parametrize("pump_kind", [EpollPump, PortablePump])
@pytest.mark.parametrize("at_once", [True, False], ids=["with the head", "by the pump"])
async def test_a_spliced_viewers_first_bytes_tell_and_pass_untouched(
    pump_kind: type[EpollPump] | type[PortablePump], at_once: bool
) -> None:
    async with splicing(pump_kind=pump_kind) as (origin, house):
        watching = await house.viewer()
        asked = await origin.asked()
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = chunk(OPENING) + chunk(FRAMES)
        await asked.send(head + body if at_once else head)
        await watching.head()
        if not at_once:
            await asked.send(body)
        assert await watching.see(len(body)) == body
        await asked.send(chunk(b"more"))
        assert await watching.see(9) == chunk(b"more")
        assert house.server.rooms.tracks.of("a", "myapp", "test") == BOTH


@pytest.mark.parametrize("request_head", [GET.replace(b"/1.1", b"/1.0"), raw_handshake(GET.split()[1].decode())])
async def test_a_viewer_who_gets_the_payload_alone_tells_as_well(request_head: bytes) -> None:
    async with splicing() as (origin, house):
        watching = await house.viewer(request_head)
        asked = await origin.asked()
        await asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(OPENING))
        await watching.until(OPENING)
        assert house.server.rooms.tracks.of("a", "myapp", "test") == BOTH
        await asked.send(chunk(FRAMES))
        await watching.until(FRAMES)
