"""The built-in clip, and the arithmetic of playing it round and round."""

from itertools import pairwise

import pytest

from splice.demo import Clip, Playback
from tests.splice.demo.flv import AUDIO, SCRIPT_DATA, VIDEO, tags_of


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip.built_in()


def played(playback: Playback, until_ms: int) -> list:
    return tags_of(b"".join(playback.opening() + playback.due(until_ms)))


def media_of(tags: list) -> list:
    return [tag for tag in tags if tag.kind != SCRIPT_DATA and not tag.is_configuration]


def test_the_built_in_clip_is_small_and_loops_on_a_whole_number_of_frames_and_aac_blocks(clip: Clip) -> None:
    assert clip.duration_ms == 8000
    video = [tag for tag in clip.media if tag.is_video]
    assert len(video) == 200
    assert len(clip.media) - len(video) == 375  # 8 s at 48 kHz, 1024 samples a block
    assert sum(tag.is_keyframe for tag in video) == 8
    assert sum(len(tag.data) for tag in clip.media) < 300 * 1024


def test_the_metadata_names_no_duration_because_a_live_stream_has_none(clip: Clip) -> None:
    metadata = clip.opening[0].data
    assert b"onMetaData" in metadata
    assert b"videocodecid" in metadata
    assert b"duration" not in metadata


def test_a_viewer_gets_metadata_and_both_configurations_before_the_first_keyframe(clip: Clip) -> None:
    tags = played(Playback(clip, 0), 0)
    assert [tag.kind for tag in tags[:3]] == [SCRIPT_DATA, VIDEO, AUDIO]
    assert [tag.is_configuration for tag in tags[1:3]] == [True, True]
    assert tags[3].is_keyframe


@pytest.mark.parametrize("joined_ms", [0, 1, 999, 1000, 7999, 8000, 12_345, 10**12 + 7])
def test_a_viewer_joins_at_the_newest_keyframe_with_timestamps_from_0(clip: Clip, joined_ms: int) -> None:
    media = media_of(played(Playback(clip, joined_ms), joined_ms))
    assert media[0].is_keyframe
    assert media[0].timestamp_ms == 0
    assert not any(tag.is_keyframe for tag in media[1:])
    assert media[-1].timestamp_ms <= joined_ms % 1000


def test_timestamps_go_on_evenly_across_loops(clip: Clip) -> None:
    media = media_of(played(Playback(clip, 0), 3 * clip.duration_ms))
    video_ms = [tag.timestamp_ms for tag in media if tag.kind == VIDEO]
    audio_ms = [tag.timestamp_ms for tag in media if tag.kind == AUDIO]
    assert video_ms == list(range(0, 24_001, 40))
    assert {later - earlier for earlier, later in pairwise(audio_ms)} <= {20, 21, 22, 23}
    assert all(earlier.timestamp_ms <= later.timestamp_ms for earlier, later in pairwise(media))


def test_timestamps_wrap_at_32_bits_and_play_on(clip: Clip) -> None:
    playback = Playback(clip, 500, first_timestamp_ms=2**32 - 9000)
    video_ms = [tag.timestamp_ms for tag in media_of(played(playback, 20_000)) if tag.kind == VIDEO]
    assert video_ms[0] == 2**32 - 9000
    assert video_ms[225] == 0
    assert {(later - earlier) % 2**32 for earlier, later in pairwise(video_ms)} == {40}


def test_two_viewers_see_the_same_picture_at_the_same_moment(clip: Clip) -> None:
    early, late = Playback(clip, 0), Playback(clip, 11_300)
    early.due(11_959)
    late.due(11_959)
    now_early, now_late = early.due(12_200), late.due(12_200)
    assert len(now_early) == len(now_late) > 10
    assert [tag[8:] for tag in now_early] == [tag[8:] for tag in now_late]


def test_nothing_is_given_twice_and_nothing_before_its_time(clip: Clip) -> None:
    whole = played(Playback(clip, 0), 9000)
    playback = Playback(clip, 0)
    pieces = playback.opening()
    while (due_ms := playback.next_due_ms) <= 9000:
        assert playback.due(due_ms - 1) == []
        pieces += playback.due(due_ms)
    assert tags_of(b"".join(pieces)) == whole


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"RIFF" + bytes(100),
        b"FLV\x01\x05\0\0\0\x09" + bytes(4),
        b"FLV\x01\x05\0\0\0\x09" + bytes(4) + b"\x09\xff\xff\xff" + bytes(40),
    ],
)
def test_what_is_no_clip_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="the demo's clip"):
        Clip(broken)
