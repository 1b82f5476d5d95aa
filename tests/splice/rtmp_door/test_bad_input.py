"""The RTMP door and those who break the rules, or stretch them: each is let go alone, and nothing of theirs is kept."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from protocol.amf import amf0
from protocol.rtmp import (
    ChunkWriter,
    Command,
    MediaKind,
    PingRequest,
    RawMessage,
    SetChunkSize,
)
from tests.splice.hub_house import (
    AUDIO_CONFIGURATION,
    VIDEO_CONFIGURATION,
    FlvViewer,
    House,
    RtmpClient,
    audio,
    inter_frame,
    keyframe,
    open_house,
    reset,
)

MEDIA_STREAM = 1


class Bystanders:
    """A publisher and its viewers, who must notice nothing of what happens beside them."""

    def __init__(self, publisher: RtmpClient, player: RtmpClient, viewer: FlvViewer) -> None:
        self._publisher = publisher
        self._player = player
        self._viewer = viewer
        self._at = 0

    async def are_served(self) -> None:
        """Send one more frame, which must arrive."""
        self._at += 40
        frame = inter_frame(b"frame at %d" % self._at)
        await self._publisher.video(self._at, frame)
        assert (await self._player.media_with(frame)).timestamp == self._at
        assert (await self._viewer.tag_with(frame)).timestamp == self._at


@asynccontextmanager
async def bystanders(house: House) -> AsyncIterator[Bystanders]:
    """They are served when the block begins and when it ends."""
    publisher = await house.rtmp("others/stream").publish()
    await publisher.begin()
    player = await house.rtmp("others/stream").play()
    viewer = await house.http("/others/stream.flv")
    found = Bystanders(publisher, player, viewer)
    await found.are_served()
    yield found
    await found.are_served()


async def closed(stream: trio.SocketStream) -> None:
    """Read until the door closes or resets the connection, which it must do at once: no time-out is to be needed."""
    with trio.fail_after(1):
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass


async def send(stream: trio.SocketStream, data: bytes) -> None:
    """Send what the door takes of it."""
    try:
        await stream.send_all(data)
    except trio.BrokenResourceError:
        pass


def raw_chunk(payload: bytes, *, type_id: int, length: int | None = None, timestamp: int = 0, csid: int = 6) -> bytes:
    """A fmt 0 chunk on message stream 1, with a length that may lie."""
    length = len(payload) if length is None else length
    header = bytes([csid]) + timestamp.to_bytes(3, "big") + length.to_bytes(3, "big") + bytes([type_id])
    return header + MEDIA_STREAM.to_bytes(4, "little") + payload


# --- before publish or play ---


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: door\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"\x06" + bytes(1536),
        b"\xff" * 5000,
        b"\0",
    ],
)
async def test_what_is_no_handshake_is_hung_up_on_with_the_reason_in_the_log(
    autojump_clock: MockClock, garbage: bytes
) -> None:
    with capture_logs() as logs:
        async with open_house() as house, bystanders(house):
            stream = house.dial(house.rtmp_door.serve)
            await send(stream, garbage)
            await closed(stream)
    assert [event["event"] for event in logs if event["log_level"] == "warning"] == ["rtmp.broken"]


async def connected(house: House) -> RtmpClient:
    """A client whose chunks have 128 bytes, as at the beginning."""
    client = await house.rtmp().connect()
    await client.send(client.session.send(SetChunkSize(128)))
    return client


BAD_CHUNKS = {
    "a fmt 3 chunk without a predecessor": b"\xc9",
    "a message of 16 MiB": raw_chunk(b"x", type_id=20, length=0xFFFFFF),
    "a chunk size of nothing": b"\x02" + bytes(3) + b"\0\0\4\1" + bytes(4) + bytes(4),
    "a chunk size above 31 bits": b"\x02" + bytes(3) + b"\0\0\4\1" + bytes(4) + b"\xff\xff\xff\xff",
    "a short control message": b"\x02" + bytes(3) + b"\0\0\1\1" + bytes(4) + b"\0",
    "a command that is no AMF": raw_chunk(b"\xff\xff\xff", type_id=20),
    "a command without a name": raw_chunk(amf0.encode_all([1.0]), type_id=20),
    "AMF that nests for ever": raw_chunk(b"\x02\0\1x\0" + bytes(8) + b"\x03\0\1a" * 24, type_id=20),
    "a connect after connect": raw_chunk(amf0.encode_all(["connect", 2.0, {"app": "myapp"}]), type_id=20),
    "a length that changes within a message": b"\x06" + bytes(3) + b"\0\1\0\x09" + b"\1\0\0\0" + bytes(128)
    + b"\x46" + bytes(3) + b"\0\2\0\x09" + bytes(128),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
async def test_chunks_that_break_the_rules_end_their_connection_alone(autojump_clock: MockClock, bad: bytes) -> None:
    with capture_logs() as logs:
        async with open_house() as house, bystanders(house):
            client = await connected(house)
            await client.send(bad)
            await closed(client.stream)
    (broken,) = [event for event in logs if event["log_level"] in ("warning", "error")]
    assert broken["event"] == "rtmp.broken"
    assert broken["error"]


async def test_a_stranger_may_not_make_the_door_hold_a_megabyte(autojump_clock: MockClock) -> None:
    async with open_house() as house, bystanders(house):
        client = await connected(house)
        # Messages of 200 KiB are allowed; four that stop short of their ends would be 800 KiB.
        for csid in (10, 11, 12, 13):
            length = 200 * 1024
            await client.send(raw_chunk(bytes(128), type_id=20, length=length, csid=csid))
            for _ in range(length // 128 - 2):
                await client.send(bytes([0xC0 | csid]) + bytes(128))
        await closed(client.stream)
        assert house.unfinished_bytes == 0


async def test_a_stranger_may_not_announce_chunk_streams_without_end(autojump_clock: MockClock) -> None:
    async with open_house() as house, bystanders(house):
        client = await connected(house)
        for csid in range(3, 3 + 61):
            await client.send(raw_chunk(b"x", type_id=20, length=1000, csid=csid))
        await client.send(b"".join(b"\x00" + bytes([n]) + raw_chunk(b"", type_id=20)[1:] for n in range(100)))
        await closed(client.stream)


async def test_bytes_behind_a_request_that_waits_for_its_answer_are_bounded(autojump_clock: MockClock) -> None:
    async with open_house(hub={"wait_for_stream_s": 60}) as house, bystanders(house):
        client = await house.rtmp("myapp/late").connect()
        await client.send(client.session.send(Command("createStream", 90, None)))
        await client.send(client.session.send(Command("play", 0, None, ("late",), message_stream_id=1)))
        await send(client.stream, raw_chunk(bytes(128), type_id=8) * 5000)
        await closed(client.stream)


# --- while publishing ---


async def test_a_publisher_that_stops_in_the_middle_of_a_message_leaves_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    async with open_house() as house, bystanders(house):
        publisher = await house.rtmp().publish()
        await publisher.begin()
        player = await house.rtmp().play()
        await player.media_with(audio())
        await publisher.send(publisher.session.send_media(MediaKind.VIDEO, 40, inter_frame(bytes(500_000)))[:300_000])
        await wait_all_tasks_blocked()
        assert house.unfinished_bytes > 250_000
        await publisher.leave()
        await wait_all_tasks_blocked()
        assert house.unfinished_bytes == 0
        publisher = await house.rtmp().publish()
        await publisher.begin(label=b"whole again")
        assert (await player.next_media()).payload == VIDEO_CONFIGURATION
        assert (await player.next_media()).payload == AUDIO_CONFIGURATION
        await player.media_with(keyframe(b"whole again"))


async def test_an_announced_length_costs_nothing_until_its_bytes_come(autojump_clock: MockClock) -> None:
    async with open_house() as house, bystanders(house) as others:
        publisher = await house.rtmp().publish()
        await publisher.send(raw_chunk(b"x" * 100, type_id=9, length=0xFFFFFF, csid=20))
        await wait_all_tasks_blocked()
        assert house.unfinished_bytes <= 100
        await others.are_served()


async def test_garbage_from_a_publisher_ends_it_and_its_viewers_wait_for_it(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house() as house, bystanders(house):
            publisher = await house.rtmp().publish()
            await publisher.begin()
            player, viewer = await house.rtmp().play(), await house.http()
            await publisher.send(b"\xff" * 10_000)
            await closed(publisher.stream)
            publisher = await house.rtmp().publish()
            await publisher.begin(label=b"sober")
            await player.media_with(keyframe(b"sober"))
            await viewer.tag_with(keyframe(b"sober"))
    assert [event["event"] for event in logs if event["log_level"] in ("warning", "error")] == ["rtmp.broken"]


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (MediaKind.VIDEO, b""),
        (MediaKind.VIDEO, b"\x17"),
        (MediaKind.VIDEO, b"\x90"),
        (MediaKind.VIDEO, b"\x97\xff\xff"),
        (MediaKind.VIDEO, b"\x96"),
        (MediaKind.VIDEO, b"\x96\x20av01"),
        (MediaKind.VIDEO, b"\xff" * 50),
        (MediaKind.VIDEO, b"\x52\x00"),
        (MediaKind.AUDIO, b""),
        (MediaKind.AUDIO, b"\xaf"),
        (MediaKind.AUDIO, b"\x90"),
        (MediaKind.AUDIO, b"\x97\xff"),
        (MediaKind.AUDIO, b"\x95\xff\xff"),
        (MediaKind.DATA, b""),
        (MediaKind.DATA, b"\xff"),
        (MediaKind.DATA, amf0.encode_all(["@setDataFrame"])),
        (MediaKind.DATA, amf0.encode_all(["onMetaData"])),
        (MediaKind.DATA, amf0.encode_all(["onMetaData", 5.0])),
        (MediaKind.DATA, amf0.encode_all(["@setDataFrame", "onMetaData", {"width": "wide", "audiocodecid": None}])),
        (MediaKind.DATA, amf0.encode_all(["onMetaData", {"videoTrackIdInfoMap": {"x": 1.0, "1": "y"}}])),
    ],
)
async def test_media_that_means_nothing_is_nobodys_end(
    autojump_clock: MockClock, kind: MediaKind, payload: bytes
) -> None:
    with capture_logs() as logs:
        async with open_house() as house:
            publisher = await house.rtmp().publish()
            await publisher.begin()
            player, viewer = await house.rtmp().play(), await house.http()
            await publisher.media(kind, 20, payload)
            await publisher.video(40, keyframe(b"behind it"))
            await player.media_with(keyframe(b"behind it"))
            await viewer.tag_with(keyframe(b"behind it"))
            late = await house.http()
            await late.tag_with(keyframe(b"behind it"))
    assert not [event for event in logs if event["log_level"] in ("warning", "error")]


@given(payloads=st.lists(st.tuples(st.sampled_from(MediaKind), st.binary(max_size=40)), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_of_media_whatever_break_the_stream(payloads: list[tuple[MediaKind, bytes]]) -> None:
    async def publish_all() -> None:
        async with open_house(hub={"republish_grace_s": 0}) as house:
            publisher = await house.rtmp().publish()
            player = await house.rtmp().play()
            for at, (kind, payload) in enumerate(payloads):
                await publisher.media(kind, at, payload)
            await publisher.video(40, keyframe(b"behind it"))
            await player.media_with(keyframe(b"behind it"))
            late = await house.http()
            await late.tag_with(keyframe(b"behind it"))

    with capture_logs() as logs:
        trio.run(publish_all, clock=MockClock(autojump_threshold=0))
    assert not [event for event in logs if event["log_level"] in ("warning", "error")]


async def test_endless_metadata_is_kept_once(autojump_clock: MockClock) -> None:
    async with open_house() as house, bystanders(house) as others:
        publisher = await house.rtmp().publish()
        for number in range(200):
            values = {"width": float(number), "filler": "x" * 50_000}
            await publisher.send(publisher.session.send_metadata(values))
        await others.are_served()
        await publisher.begin(label=b"at last")
        player = await house.rtmp().play()
        first = await player.next_media()
        assert first.kind is MediaKind.DATA
        assert b"width\0" + bytes.fromhex("4068e00000000000") in first.payload  # 199, the last one
        assert (await player.next_media()).payload == VIDEO_CONFIGURATION


async def test_metadata_of_many_megabytes_passes_and_stays_one_message(autojump_clock: MockClock) -> None:
    values = {"filler": "x" * 3_000_000}
    async with open_house() as house, bystanders(house) as others:
        publisher = await house.rtmp().publish()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publisher.send, publisher.session.send_metadata(values))
        await publisher.begin(label=b"behind it")
        player = await house.rtmp().play()
        assert len((await player.next_media()).payload) > 3_000_000
        await player.media_with(keyframe(b"behind it"))
        await others.are_served()


def in_chunks_of_one_byte(timestamp: int, payload: bytes) -> bytes:
    """A video message as a mean sender would cut it: by hand, as the kit's writer would take longer than the door."""
    header = b"\x04" + timestamp.to_bytes(3, "big") + len(payload).to_bytes(3, "big") + b"\x09" + b"\x01\0\0\0"
    rest = bytearray(2 * (len(payload) - 1))
    rest[0::2] = b"\xc4" * (len(payload) - 1)
    rest[1::2] = payload[1:]
    return header + payload[:1] + rest


async def test_a_million_chunks_of_one_byte_let_others_go_first(autojump_clock: MockClock) -> None:
    """By counts: between two frames of the others, the slow sender gets at most a turn's chunks read."""
    async with open_house() as house, bystanders(house) as others:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        player = await house.rtmp().play()
        await player.media_with(audio())
        frame = inter_frame(os.urandom(1_000_000))
        await publisher.send(publisher.session.send(SetChunkSize(1)))
        arrived = trio.Event()

        async def wait_for_it() -> None:
            assert (await player.media_with(frame)).timestamp == 40
            arrived.set()

        frames = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_it)
            nursery.start_soon(publisher.send, in_chunks_of_one_byte(40, frame))
            while not arrived.is_set():
                await others.are_served()
                frames += 1
        # A million chunks at 512 a turn take 1954 turns, and a frame of the others takes a few of them.
        assert frames >= 250


async def test_a_chunk_size_may_change_between_two_messages_chunks(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        player = await house.rtmp().play()
        for size in (1, 0x7FFFFFFF, 128, 65536):
            await publisher.send(publisher.session.send(SetChunkSize(size)))
            frame = inter_frame(b"%d" % size * 500)
            await publisher.video(40, frame)
            await player.media_with(frame)


# --- timestamps ---


async def played_times(house: House, publisher: RtmpClient, times: list[int]) -> list[int]:
    """The times at which frames published at `times` are played, the first being a keyframe."""
    await publisher.video(times[0], keyframe(b"0"))
    player = await house.rtmp().play()
    played = [(await player.media_with(keyframe(b"0"))).timestamp]
    for number, at in enumerate(times[1:]):
        frame = inter_frame(b"number %d" % number)
        await publisher.video(at, frame)
        played.append((await player.media_with(frame)).timestamp)
    return played


@pytest.mark.parametrize(
    ("published", "played"),
    [
        ([0, 40, 80], [0, 40, 80]),
        ([90_000, 90_040], [0, 40]),
        ([2**32 - 80, 2**32 - 40, 0, 40], [0, 40, 80, 120]),  # a wrap
        ([0xFFFFFE, 0xFFFFFF, 0x1000000, 0x1000001], [0, 1, 2, 3]),  # where the extended timestamp begins
        ([0, 40, 60_000_000, 60_000_040], [0, 40, 60, 100]),  # a jump ahead
        ([50_000, 50_040, 0, 40], [0, 40, 60, 100]),  # a jump back
        ([0, 29_000, 58_000], [0, 29_000, 58_000]),  # a long pause is none
        ([2**31, 2**31 + 40, 5, 45], [0, 40, 60, 100]),
    ],
)
async def test_viewers_see_one_clock_whatever_the_publisher_counts(
    autojump_clock: MockClock, published: list[int], played: list[int]
) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        assert await played_times(house, publisher, published) == played


@given(times=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=40))
@settings(max_examples=30, deadline=None)
def test_time_never_goes_back_whatever_the_publisher_counts(times: list[int]) -> None:
    async def publish_all() -> None:
        async with open_house(hub={"republish_grace_s": 0}) as house:
            publisher = await house.rtmp().publish()
            played = await played_times(house, publisher, times)
            assert played == sorted(played)
            assert played[-1] < 31_000 * len(times)

    trio.run(publish_all, clock=MockClock(autojump_threshold=0))


# --- while playing ---


async def test_a_player_who_never_reads_is_dropped_and_nobody_else_waits() -> None:
    """On the real clock: what a kernel's buffers take is part of it."""
    async with open_house(timeouts={"stall_s": 0.3}, hub={"republish_grace_s": 0, "backlog_bytes": 65536}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        others = await house.rtmp().play()
        lazy = await house.rtmp_over_loopback(receive_bytes=4096)
        await lazy.play()
        lazy_viewer = next(viewer for viewer in house.viewers if viewer.id == "v2")
        frames = 0
        with trio.fail_after(10):
            while len(house.viewers) == 2:
                frames += 1
                frame = keyframe(b"%d" % frames + bytes(50_000))
                await publisher.video(frames * 40, frame)
                await others.media_with(frame)
        (live,) = [stream for stream, _ in house.hub]
        assert live.backlog_bytes == 0
        assert lazy_viewer.bytes < 2_000_000
        reset(lazy.stream)


async def test_a_player_who_asks_and_never_reads_makes_the_door_keep_nothing(autojump_clock: MockClock) -> None:
    async with open_house(timeouts={"publish_idle_s": 1000, "stall_s": 500}) as house, bystanders(house) as others:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        player = await house.rtmp().play()
        (live,) = [stream for stream, _ in house.hub if stream.app == "myapp"]
        ping = player.session.send(PingRequest(1))
        with trio.move_on_after(400):
            for _ in range(200):
                await send(player.stream, ping * 1000)
                assert live.backlog_bytes < 300_000
        await others.are_served()


async def test_players_may_not_eat_the_memory_that_publishers_need(autojump_clock: MockClock) -> None:
    # Unfinished messages of all connections share one budget, and anybody may play.
    async with open_house() as house, bystanders(house) as others:
        player = await house.rtmp("others/stream").play()
        await player.send(player.session.send(SetChunkSize(65536)))
        begun = raw_chunk(bytes(65536), type_id=9, length=0xFFFFFF, csid=20)
        await send(player.stream, begun + (b"\xd4" + bytes(65536)) * 20)
        await closed(player.stream)
        assert house.unfinished_bytes == 0
        await others.are_served()


async def test_garbage_from_a_player_ends_it_alone(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house() as house, bystanders(house) as others:
            player = await house.rtmp("others/stream").play()
            await player.send(b"\xff" * 1000)
            await closed(player.stream)
            await others.are_served()
            assert len(house.viewers) == 2
    assert [event["event"] for event in logs if event["log_level"] in ("warning", "error")] == ["rtmp.broken"]


@pytest.mark.parametrize("hard", [False, True])
async def test_a_player_who_is_gone_is_noticed_though_nothing_flows(autojump_clock: MockClock, hard: bool) -> None:
    async with open_house() as house:
        await house.rtmp().publish()
        player = await house.rtmp_over_loopback()
        await player.play()
        assert len(house.viewers) == 1
        if hard:
            reset(player.stream)
        await player.leave()
        while len(house.viewers):
            await trio.sleep(0.001)
        assert trio.current_time() < 1


async def test_media_from_a_player_is_dropped(autojump_clock: MockClock) -> None:
    async with open_house() as house, bystanders(house) as others:
        player = await house.rtmp("others/stream").play()
        await player.send(ChunkWriter().send(RawMessage(0, MediaKind.VIDEO, 1, keyframe(), 6)))
        await others.are_served()
        assert len(house.viewers) == 3


async def test_a_seek_is_refused_and_the_playing_goes_on(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        player = await house.rtmp().play()
        command = Command("seek", 7, None, (1000.0,), message_stream_id=1)
        await player.send(player.session.send(command))
        await publisher.begin(label=b"on")
        await player.media_with(keyframe(b"on"))
