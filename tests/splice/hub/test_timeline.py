"""One clock out of many: it begins at 0, never goes back, and keeps what makes sense of a publisher's times."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import timestamp_add, timestamp_difference
from protocol.rtmp import MediaKind
from splice.hub.timeline import Timeline

AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO
MODULUS = 1 << 32
DAY_MS = 24 * 60 * 60 * 1000


def placed(timeline: Timeline, *frames: tuple[MediaKind, int]) -> list[int]:
    """Where frames of track 0 come to stand."""
    return [timeline.place(kind, 0, timestamp) for kind, timestamp in frames]


def video(timeline: Timeline, *timestamps: int) -> list[int]:
    return placed(timeline, *[(VIDEO, timestamp) for timestamp in timestamps])


@pytest.mark.parametrize("first", [0, 1, 1_000_000, MODULUS - 1])
def test_time_begins_at_0_wherever_the_publishers_clock_stands(first: int) -> None:
    assert video(Timeline(), first, (first + 40) % MODULUS) == [0, 40]


def test_what_lies_before_the_first_frame_is_as_late_as_that() -> None:
    assert placed(Timeline(), (VIDEO, 500), (AUDIO, 480), (AUDIO, 503), (VIDEO, 540)) == [0, 0, 3, 40]


def test_a_wrap_is_no_jump() -> None:
    timeline = Timeline()
    assert video(timeline, MODULUS - 60, MODULUS - 20, 20, 60) == [0, 40, 80, 120]
    assert timeline.now == 120


def test_the_streams_own_clock_wraps_too() -> None:
    timeline = Timeline()
    stride = 30_000
    for timestamp in range(0, MODULUS + stride, stride):
        last = timeline.place(VIDEO, 0, timestamp % MODULUS)
        assert last == timestamp % MODULUS
    assert timeline.now == last < stride


def test_interleaving_of_up_to_a_second_is_kept_as_it_is() -> None:
    timeline = Timeline()
    video(timeline, 0, 2000)
    assert placed(timeline, (AUDIO, 1000), (VIDEO, 2040), (AUDIO, 1040)) == [1000, 2040, 1040]


def test_a_pause_of_30_seconds_is_kept_and_a_longer_one_is_bridged() -> None:
    timeline = Timeline()
    assert video(timeline, 0, 30_000, 60_001, 60_041) == [0, 30_000, 30_020, 30_060]


def test_a_second_back_within_a_track_stands_still_and_more_is_a_jump() -> None:
    timeline = Timeline()
    assert video(timeline, 0, 5000, 4000, 4960, 5040) == [0, 5000, 5000, 5000, 5040]
    assert video(timeline, 4039, 4079) == [5060, 5100]


@pytest.mark.parametrize("jump_ms", [-3_600_000, -1001, 30_001, 3_600_000], ids="{:+}".format)
def test_a_jump_is_bridged_for_audio_and_video_together(jump_ms: int) -> None:
    timeline = Timeline()
    start = 10_000_000
    placed(timeline, (VIDEO, start), (AUDIO, start + 10), (VIDEO, start + 40), (AUDIO, start + 33))
    after = start + 40 + jump_ms
    times = placed(timeline, (VIDEO, after), (AUDIO, after + 10), (VIDEO, after + 40), (AUDIO, after + 33))
    assert times == [60, 70, 100, 93]


def test_a_track_that_lags_behind_a_jump_keeps_its_distance() -> None:
    timeline = Timeline()
    placed(timeline, (VIDEO, 10_000), (AUDIO, 9_950), (VIDEO, 10_040), (AUDIO, 9_973), (VIDEO, 10_080))
    assert placed(timeline, (VIDEO, 500), (AUDIO, 480), (VIDEO, 540), (AUDIO, 503)) == [100, 80, 140, 103]


def test_another_publisher_goes_on_where_the_last_one_stopped() -> None:
    timeline = Timeline()
    video(timeline, 70_000, 70_040)
    timeline.restart()
    assert placed(timeline, (VIDEO, 9), (AUDIO, 9), (VIDEO, 49)) == [60, 60, 100]


def test_another_publisher_of_nearly_the_same_time_does_not_go_back_either() -> None:
    timeline = Timeline()
    video(timeline, 0, 5000)
    timeline.restart()
    assert video(timeline, 4990, 5030) == [5020, 5060]


def test_tracks_of_one_kind_stand_still_each_by_itself() -> None:
    timeline = Timeline()
    timeline.place(VIDEO, 0, 0)
    assert timeline.place(VIDEO, 0, 100) == 100
    assert timeline.place(VIDEO, 1, 80) == 80
    assert timeline.place(VIDEO, 1, 60) == 80
    assert timeline.place(VIDEO, 0, 90) == 100


def test_a_track_that_was_silent_for_25_days_goes_on_at_the_right_time() -> None:
    timeline = Timeline()
    placed(timeline, (AUDIO, 0), (VIDEO, 0))
    for timestamp in range(0, 25 * DAY_MS, 30_000):
        timeline.place(VIDEO, 0, timestamp)
    assert placed(timeline, (AUDIO, timestamp), (AUDIO, timestamp - 5)) == [timestamp, timestamp]
    assert timeline.place(AUDIO, 1, timestamp - 5) == timestamp - 5, "a track that begins only now"


def test_configurations_and_data_of_time_0_in_mid_stream_disturb_nothing() -> None:
    timeline = Timeline()
    placed(timeline, (VIDEO, 0), (VIDEO, 20_000), (AUDIO, 19_990))
    assert timeline.place_configuration(VIDEO, 0) == 20_000
    assert timeline.place_configuration(AUDIO, 0) == 19_990
    assert timeline.place_data(0) == 20_000
    assert placed(timeline, (AUDIO, 19_995), (VIDEO, 20_040)) == [19_995, 20_040]


def test_before_the_first_frame_and_after_a_restart_it_is_now() -> None:
    timeline = Timeline()
    assert (timeline.place_configuration(VIDEO, 0), timeline.place_data(7000)) == (0, 0)
    video(timeline, 7000, 7040)
    timeline.restart()
    assert (timeline.place_configuration(VIDEO, 0), timeline.place_data(7100)) == (40, 40)


def test_data_keeps_a_time_that_makes_sense_and_does_not_go_back() -> None:
    timeline = Timeline()
    video(timeline, 1000, 1040)
    assert [timeline.place_data(timestamp) for timestamp in (1080, 1060, 0, 2040, 2041)] == [80, 80, 80, 1040, 1040]


def test_data_25_days_apart_is_not_taken_for_data_that_goes_back() -> None:
    timeline = Timeline()
    timeline.place(VIDEO, 0, 0)
    timeline.place_data(0)
    for timestamp in range(0, 25 * DAY_MS, 30_000):
        timeline.place(VIDEO, 0, timestamp)
    assert timeline.place_data(0) == timestamp


TIMES = st.integers(0, MODULUS - 1) | st.integers(0, 3000) | st.integers(MODULUS - 3000, MODULUS - 1)
STEPS = st.tuples(st.sampled_from(["audio", "video", "video 1", "configuration", "data", "restart"]), TIMES)


@given(st.lists(STEPS, max_size=60))
def test_whatever_a_publisher_sends_no_track_goes_back_and_none_runs_away(steps: list[tuple[str, int]]) -> None:
    timeline = Timeline()
    given_out: dict[tuple[MediaKind, int], list[int]] = {(AUDIO, 0): [], (VIDEO, 0): [], (VIDEO, 1): []}
    data = []
    for what, timestamp in steps:
        before = timeline.now
        if what == "restart":
            timeline.restart()
        elif what == "data":
            data.append(timeline.place_data(timestamp))
            assert timeline.now == before
        elif what == "configuration":
            for (kind, track), times in given_out.items():
                times.append(timeline.place_configuration(kind, track))
            assert timeline.now == before
        else:
            key = (AUDIO if what == "audio" else VIDEO, int(what.endswith("1")))
            given_out[key].append(timeline.place(*key, timestamp))
            assert -1000 <= timestamp_difference(given_out[key][-1], timeline.now) <= 0
        assert 0 <= timestamp_difference(timeline.now, before) <= 30_000
    for times in [*given_out.values(), data]:
        assert all(timestamp_difference(later, earlier) >= 0 for earlier, later in pairwise(times))


@given(st.lists(st.tuples(st.sampled_from([AUDIO, VIDEO]), st.integers(0, 40)), min_size=1), st.integers(0, MODULUS))
def test_what_makes_sense_is_moved_as_a_whole(steps: list[tuple[MediaKind, int]], first: int) -> None:
    timeline = Timeline()
    times: list[tuple[int, int]] = []
    elapsed = 0
    for kind, step_ms in steps:
        elapsed += step_ms if times else 0
        times.append((elapsed, timeline.place(kind, 0, timestamp_add(first, elapsed))))
    assert all(sent == received for sent, received in times)
