"""A live stream's turns: which tracks it has, another publisher who goes on with it, and its end."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocol.flv import FlvHeader
from protocol.rtmp import MediaKind
from splice.http import LAST_CHUNK
from splice.hub import CHUNKED_FLV
from tests.splice.hub.viewing import (
    ON_META_DATA,
    Watcher,
    aac,
    aac_configuration,
    begin,
    inter_frame,
    keyframe,
    read_flv,
    running,
    script,
)

AUDIO, VIDEO, DATA = MediaKind.AUDIO, MediaKind.VIDEO, MediaKind.DATA


def header(watcher: Watcher) -> FlvHeader:
    return read_flv(bytes(watcher.sink.taken))[0]


# --- true flags ---


async def test_audio_and_video_are_known_as_soon_as_both_came(autojump_clock: MockClock) -> None:
    async with running() as live:
        live.push(AUDIO, 0, aac())
        assert not live.tracks_known.is_set()
        live.push(VIDEO, 0, keyframe())
        assert live.tracks_known.is_set()
        await live.wait_tracks_known()
        assert trio.current_time() == 0


@pytest.mark.parametrize(
    ("kind", "payload", "flags"),
    [(AUDIO, aac(), FlvHeader(True, False)), (VIDEO, keyframe(), FlvHeader(False, True))],
    ids=["audio alone", "video alone"],
)
async def test_one_track_alone_is_known_when_the_other_has_not_come_in_time(
    kind: MediaKind, payload: bytes, flags: FlvHeader, autojump_clock: MockClock
) -> None:
    async with running(tracks_wait_s=0.5) as live:
        await trio.sleep(100)  # the wait begins with the first packet
        live.push(kind, 0, payload)
        await live.wait_tracks_known()
        assert trio.current_time() == 100.5
        with Watcher().watching(live) as watcher:
            assert header(watcher) == flags


async def test_a_track_that_comes_within_the_wait_is_promised(autojump_clock: MockClock) -> None:
    async with running(tracks_wait_s=0.5) as live:
        live.push(VIDEO, 0, keyframe())
        await trio.sleep(0.49)
        live.push(AUDIO, 0, aac())
        await live.wait_tracks_known()
        with Watcher().watching(live) as watcher:
            assert header(watcher) == FlvHeader(True, True)


async def test_metadata_that_names_both_decides_at_once() -> None:
    async with running() as live:
        live.push(DATA, 0, ON_META_DATA)
        await live.wait_tracks_known()
        with Watcher().watching(live) as watcher:
            assert header(watcher) == FlvHeader(True, True)


@pytest.mark.parametrize("named", [{"videocodecid": 7.0}, {"audiocodecid": 10.0}, {}])
async def test_metadata_that_does_not_decides_nothing(named: dict[str, float], autojump_clock: MockClock) -> None:
    async with running() as live:
        live.push(DATA, 0, script(**named))
        live.push(AUDIO, 0, aac())
        await live.wait_tracks_known()
        assert (live.has_audio, live.has_video) == (True, False)


async def test_video_that_was_promised_and_never_comes_keeps_no_listener_waiting() -> None:
    async with running() as live:
        live.push(DATA, 0, ON_META_DATA)
        live.push(AUDIO, 0, aac_configuration())
        live.push(AUDIO, 0, aac(b"1"))
        with Watcher().watching(live) as watcher:
            live.push(AUDIO, 23, aac(b"2"))
            assert watcher.bodies == [ON_META_DATA, aac_configuration(), aac(b"2")]


async def test_a_listener_who_falls_behind_goes_on_at_once() -> None:
    async with running() as live:
        live.push(AUDIO, 0, aac_configuration())
        with Watcher(room=14, max_bytes=60).watching(live) as watcher:
            for at in range(4):
                live.push(AUDIO, at, aac(bytes([at]) * 20))
            assert live.skipped
            watcher.drain_all()
            live.push(AUDIO, 9, aac(b"9"))
            assert watcher.bodies[-1] == aac(b"9")


# --- another publisher ---


async def test_a_stream_goes_on_with_another_publisher() -> None:
    async with running() as live:
        with Watcher().watching(live) as watcher:
            begin(live, 5_000, b"1")
            live.push(VIDEO, 5_040, inter_frame(b"1"))
            live.restart()
            second = begin(live, 900_000, b"2")
            assert watcher.bodies[-5:] == second
            times = [tag.timestamp for tag in watcher.tags]
            assert times == [0, 0, 0, 0, 0, 40, 40, 40, 40, 60, 60]
        with Watcher().watching(live) as late:
            assert late.bodies == second


async def test_what_was_pending_at_a_restart_is_not_lost(autojump_clock: MockClock) -> None:
    async with running(merge_s=0.02) as live:
        with Watcher().watching(live) as watcher:
            live.push(AUDIO, 0, aac(b"1"))
            live.restart()
            assert watcher.bodies == [aac(b"1")]


async def test_another_publishers_tracks_are_decided_anew(autojump_clock: MockClock) -> None:
    async with running(tracks_wait_s=0.5) as live:
        begin(live)
        assert live.tracks_known.is_set()
        live.restart()
        assert live.metadata is None
        await trio.sleep(7)
        assert not live.tracks_known.is_set()
        live.push(AUDIO, 0, aac())
        await live.wait_tracks_known()
        assert trio.current_time() == 7.5
        with Watcher().watching(live) as watcher:
            assert header(watcher) == FlvHeader(True, False)


async def test_so_are_those_of_one_who_follows_a_publisher_of_nothing(autojump_clock: MockClock) -> None:
    async with running(tracks_wait_s=0.5) as live:
        await trio.sleep(1)
        live.restart()
        live.push(AUDIO, 0, aac())
        await live.wait_tracks_known()
        assert trio.current_time() == 1.5


async def test_a_decision_that_was_under_way_is_not_made_for_another_publisher(autojump_clock: MockClock) -> None:
    async with running(tracks_wait_s=0.5) as live:
        live.push(VIDEO, 0, keyframe())
        await trio.sleep(0.4)
        live.restart()
        live.restart()
        await trio.sleep(0.4)
        live.push(AUDIO, 0, aac())
        await trio.sleep(0.4)
        assert not live.tracks_known.is_set()
        await live.wait_tracks_known()
        assert trio.current_time() == pytest.approx(1.3)
        assert (live.has_audio, live.has_video) == (True, False)


async def test_who_waits_for_the_tracks_waits_on_over_a_restart(autojump_clock: MockClock) -> None:
    async with running() as live, trio.open_nursery() as nursery:
        nursery.start_soon(live.wait_tracks_known)
        await trio.testing.wait_all_tasks_blocked()
        live.push(DATA, 0, ON_META_DATA)
        live.restart()  # before who waited could run
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks
        live.push(DATA, 0, ON_META_DATA)


async def test_a_publisher_who_has_just_come_has_not_been_silent(autojump_clock: MockClock) -> None:
    async with running() as live:
        live.push(AUDIO, 0, aac())
        await trio.sleep(60)
        live.restart()
        assert live.last_packet_at == 60


# --- the end ---


async def test_the_end_comes_behind_what_was_pending(autojump_clock: MockClock) -> None:
    async with running(merge_s=0.02) as live:
        with Watcher(CHUNKED_FLV).watching(live) as chunked, Watcher().watching(live) as plain:
            live.push(AUDIO, 0, aac())
            live.end()
            assert live.ended.is_set()
            chunked.drain()
            assert chunked.sink.taken.endswith(LAST_CHUNK)
            assert plain.bodies == [aac()]
            assert chunked.subscriber.ended
            assert plain.subscriber.ended


async def test_nothing_comes_behind_the_end() -> None:
    async with running() as live:
        with Watcher(CHUNKED_FLV).watching(live) as watcher:
            live.push(AUDIO, 0, aac())
            live.end()
            live.push(AUDIO, 20, aac(b"the publisher has not noticed"))
            live.restart()
            live.push(VIDEO, 20, keyframe())
            watcher.drain()
            assert watcher.sink.taken.endswith(LAST_CHUNK)


async def test_who_waits_for_the_tracks_of_a_stream_that_ends_waits_no_longer() -> None:
    async with running() as live, trio.open_nursery() as nursery:
        nursery.start_soon(live.wait_tracks_known)
        await trio.testing.wait_all_tasks_blocked()
        live.end()


async def test_who_joins_an_ended_stream_gets_what_there_was_and_the_end() -> None:
    async with running() as live:
        pushed = begin(live)
        live.end()
        with Watcher(CHUNKED_FLV).watching(live) as watcher:
            assert pushed[-1] in watcher.sink.taken
            watcher.drain()
            assert watcher.sink.taken.endswith(LAST_CHUNK)
