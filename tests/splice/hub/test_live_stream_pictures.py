"""Where pictures begin: at the first keyframe of a publisher, or after a silence; sound never waits for them."""

import pytest
import trio
from trio.testing import MockClock

from protocol.rtmp import MediaKind
from splice.hub import LiveStream
from tests.splice.hub.viewing import (
    Watcher,
    aac,
    aac_configuration,
    begin,
    configuration,
    inter_frame,
    keyframe,
    running,
)

AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO


async def sound(live: LiveStream, begin_s: int, end_s: int) -> None:
    """Push audio, a packet at each of these seconds of virtual time."""
    for second in range(begin_s, end_s):
        await trio.sleep_until(second)
        live.push(AUDIO, second * 1000, aac(b"%d" % second))


# --- before the first keyframe ---


async def test_inter_frames_before_the_first_keyframe_are_left_out_and_sound_is_not() -> None:
    async with running() as live:
        with Watcher().watching(live) as watcher:
            live.push(VIDEO, 0, configuration())
            live.push(VIDEO, 0, inter_frame(b"of a group that nobody has"))
            live.push(AUDIO, 0, aac(b"1"))
            live.push(VIDEO, 40, inter_frame(b"of the same"))
            live.push(VIDEO, 80, keyframe())
            live.push(VIDEO, 120, inter_frame(b"of this one"))
            expected = [configuration(), aac(b"1"), keyframe(), inter_frame(b"of this one")]
            assert watcher.bodies == expected
        assert live.video_frames == 4


async def test_who_joins_before_the_first_keyframe_gets_sound_at_once() -> None:
    async with running() as live:
        for payload in (configuration(), inter_frame()):
            live.push(VIDEO, 0, payload)
        with Watcher().watching(live) as watcher:
            live.push(AUDIO, 0, aac(b"1"))
            live.push(VIDEO, 40, keyframe())
            live.push(VIDEO, 80, inter_frame(b"2"))
            assert watcher.bodies == [configuration(), aac(b"1"), keyframe(), inter_frame(b"2")]


async def test_another_publisher_begins_with_its_own_first_keyframe() -> None:
    async with running() as live:
        begin(live)
        with Watcher().watching(live) as watcher:
            before = len(watcher.bodies)
            live.restart()
            live.push(VIDEO, 0, inter_frame(b"cut"))
            live.push(AUDIO, 0, aac(b"1"))
            live.push(VIDEO, 40, keyframe(b"whole"))
            assert watcher.bodies[before:] == [aac(b"1"), keyframe(b"whole")]


async def test_other_tracks_do_not_wait_for_the_default_tracks_keyframe() -> None:
    one_track = bytes.fromhex("96 01 'a v c 1' 01".replace("'a v c 1'", b"avc1".hex())) + b"picture"
    async with running() as live:
        with Watcher().watching(live) as watcher:
            live.push(VIDEO, 0, one_track)
            assert watcher.bodies == [one_track]


async def test_video_that_has_no_keyframes_goes_out_after_twelve_seconds(autojump_clock: MockClock) -> None:
    async with running() as live:
        with Watcher().watching(live) as watcher:
            for second in range(14):
                live.push(VIDEO, second * 1000, inter_frame(b"%d" % second))
                await trio.sleep(1)
            assert watcher.bodies == [inter_frame(b"13")]
            with Watcher().watching(live) as late:
                live.push(VIDEO, 14_000, inter_frame(b"14"))
                assert late.bodies == [inter_frame(b"14")]
            live.push(VIDEO, 15_000, keyframe())
            live.push(VIDEO, 15_040, inter_frame(b"15"))
        with Watcher().watching(live) as latest:
            assert latest.bodies == [keyframe(), inter_frame(b"15")]


async def test_video_that_had_no_keyframes_and_has_one_is_waited_for_again(autojump_clock: MockClock) -> None:
    async with running(gop_cache_s=0) as live:
        for second in range(14):
            live.push(VIDEO, second * 1000, inter_frame())
            await trio.sleep(1)
        live.push(VIDEO, 14_000, keyframe())
        with Watcher().watching(live) as watcher:
            live.push(VIDEO, 14_040, inter_frame())
            assert watcher.bodies == []


async def test_where_there_are_no_keyframes_video_goes_on_for_all_after_a_silence(autojump_clock: MockClock) -> None:
    async with running() as live:
        for second in range(14):
            live.push(VIDEO, second * 1000, inter_frame())
            await trio.sleep(1)
        await sound(live, 14, 22)
        with Watcher().watching(live) as watcher:
            await sound(live, 22, 23)
            live.push(VIDEO, 22_000, inter_frame(b"again"))
            assert watcher.bodies == [aac(b"22"), inter_frame(b"again")]


# --- video that stops ---


async def test_who_joins_when_video_has_been_silent_gets_sound_at_once(autojump_clock: MockClock) -> None:
    async with running(gop_cache_s=2) as live:
        begin(live)
        await sound(live, 1, 5)
        with Watcher().watching(live) as early, Watcher().watching(live) as other:
            await sound(live, 5, 6)
            headers = len(early.bodies)
            assert aac(b"5") not in early.bodies, "video may go on any moment"
            await sound(live, 6, 9)
            assert early.bodies[headers:] == other.bodies[headers:] == [aac(b"6"), aac(b"7"), aac(b"8")]
            with Watcher().watching(live) as late:
                live.push(AUDIO, 9000, aac(b"9"))
                assert late.bodies[-1] == aac(b"9")
                live.push(VIDEO, 9100, keyframe(b"again"))
                live.push(VIDEO, 9140, inter_frame(b"again"))
                for watcher in (early, late):
                    assert watcher.bodies[-2:] == [keyframe(b"again"), inter_frame(b"again")]


async def test_who_has_begun_without_a_picture_gets_no_inter_frame_before_a_keyframe(autojump_clock: MockClock) -> None:
    async with running(gop_cache_s=2) as live:
        begin(live)
        with Watcher().watching(live) as watching:
            await sound(live, 1, 8)
            with Watcher().watching(live) as late:
                await sound(live, 8, 9)
                heard = late.bodies
                assert heard[-1] == aac(b"8")
                live.push(VIDEO, 8100, inter_frame(b"of the old group"))
                assert watching.bodies[-1] == inter_frame(b"of the old group"), "who has its pictures sees it go on"
                assert late.bodies == heard
                live.push(VIDEO, 9000, keyframe(b"new"))
                live.push(AUDIO, 9000, aac(b"9"))
                assert late.bodies == [*heard, keyframe(b"new"), aac(b"9")]


async def test_who_was_waiting_when_video_fell_silent_waits_for_a_keyframe_again_once_it_goes_on(
    autojump_clock: MockClock,
) -> None:
    async with running(gop_cache_s=0) as live:
        begin(live)
        with Watcher().watching(live) as watcher:
            await sound(live, 1, 8)
            heard = watcher.bodies
            assert heard[-1] == aac(b"7")
            live.push(VIDEO, 8100, inter_frame(b"of the old group"))
            live.push(VIDEO, 9000, keyframe(b"new"))
            assert watcher.bodies == [*heard, keyframe(b"new")]


async def test_who_has_begun_without_a_picture_has_one_after_the_next_keyframe(autojump_clock: MockClock) -> None:
    async with running(gop_cache_s=2) as live:
        begin(live)
        await sound(live, 1, 8)
        with Watcher().watching(live) as watcher:
            await sound(live, 8, 9)
            live.push(VIDEO, 8000, keyframe(b"new"))
            await sound(live, 9, 17)
            live.push(VIDEO, 17_000, inter_frame(b"of the new group"))
            assert watcher.bodies[-1] == inter_frame(b"of the new group")


async def test_sound_that_is_still_pending_when_video_goes_on_is_lost_to_nobody(autojump_clock: MockClock) -> None:
    async with running(gop_cache_s=2, merge_s=0.02) as live:
        begin(live)
        await sound(live, 1, 8)
        with Watcher().watching(live) as watcher:
            await sound(live, 8, 10)
            live.push(VIDEO, 9010, inter_frame())
            assert watcher.bodies[-1] == aac(b"9")


async def test_who_falls_behind_while_video_is_silent_goes_on_with_sound(autojump_clock: MockClock) -> None:
    async with running(gop_cache_s=2) as live:
        begin(live)
        with Watcher(max_bytes=100).watching(live) as watcher:
            await sound(live, 1, 8)
            watcher.sink.room = 0
            live.push(AUDIO, 8000, aac(bytes(99)))
            live.push(AUDIO, 8100, aac(bytes(99)))
            watcher.drain_all()
            assert watcher.subscriber.skipped == 1
            live.push(AUDIO, 9000, aac(b"9"))
            assert watcher.bodies[-1] == aac(b"9")


async def test_where_all_is_silent_a_keyframe_is_waited_for(autojump_clock: MockClock) -> None:
    async with running(gop_cache_s=0) as live:
        begin(live)
        await trio.sleep(20)
        with Watcher().watching(live) as watcher:
            headers = watcher.bodies
            live.push(VIDEO, 20_000, inter_frame())
            assert watcher.bodies == headers
            live.push(VIDEO, 20_040, keyframe())
            assert watcher.bodies == [*headers, keyframe()]


@pytest.mark.parametrize("gop_cache_s", [0.0, 30.0])
async def test_without_a_cache_who_joins_waits_for_the_next_keyframe(gop_cache_s: float) -> None:
    async with running(gop_cache_s=gop_cache_s) as live:
        begin(live)
        live.push(VIDEO, 40, inter_frame(b"old"))
        with Watcher().watching(live) as watcher:
            live.push(VIDEO, 1000, keyframe(b"new"))
            assert watcher.bodies[1:3] == [configuration(), aac_configuration()]
            assert (inter_frame(b"old") in watcher.bodies) is (gop_cache_s > 0)
            assert watcher.bodies[-1] == keyframe(b"new")
