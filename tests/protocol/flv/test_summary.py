"""What `StreamSummary` says of a stream whose bodies it was given."""

from typing import Any

import pytest

from protocol import RemoteProtocolError
from protocol.flv import ScriptData, StreamSummary, decode_audio_data, decode_video_data

KEYFRAME = decode_video_data(b"\x17\x01\x00\x00\x00" + b"k" * 95)
FRAME = decode_video_data(b"\x27\x01\x00\x00\x00" + b"f" * 45)
SOUND = decode_audio_data(b"\xaf\x01" + b"s" * 18)
NELLYMOSER_FRAME = decode_audio_data(b"\x6e" + b"s" * 18)


def video_of(summary: StreamSummary) -> dict[str, Any]:
    video = summary.as_json()["video"]
    assert isinstance(video, dict)
    return video


def messages_of(summary: StreamSummary) -> list[str]:
    return [fault.message for fault in summary.faults()]


def test_rates_and_the_keyframes_distance_come_from_the_timestamps() -> None:
    summary = StreamSummary()
    for frame in range(51):
        summary.add_video(FRAME if frame % 25 else KEYFRAME, frame * 40)
    assert video_of(summary) == {
        "codec": "avc1",
        "width": None,
        "height": None,
        "frames": 51,
        "frame_rate": 25.0,
        "keyframe_interval_ms": 1000,
        "bit_rate_kbps": round((48 * 45 + 3 * 95) * 8 * 50 / (51 * 2000), 3),
    }


def test_a_timestamp_that_wraps_goes_on_and_one_that_goes_back_is_a_fault_at_its_place() -> None:
    summary = StreamSummary()
    for offset, timestamp in enumerate((2**32 - 20, 20, 60, 10)):
        summary.add_video(FRAME, timestamp, offset=offset)
    assert [(fault.offset, fault.message) for fault in summary.faults()] == [
        (3, "video track 0 goes back 50 ms, to 10 ms")
    ]
    assert not summary.damaged


def test_each_track_has_its_own_order() -> None:
    summary = StreamSummary()
    summary.add_video(FRAME, 1000)
    summary.add_audio(SOUND, 980)
    summary.add_video(FRAME, 1040)
    assert messages_of(summary) == []


def test_a_jump_of_more_than_ten_seconds_is_a_fault() -> None:
    summary = StreamSummary()
    summary.add_audio(SOUND, 0)
    summary.add_audio(SOUND, 10_000)
    summary.add_audio(SOUND, 20_001)
    assert messages_of(summary) == ["audio track 0 jumps ahead 10001 ms, to 20001 ms"]


def test_the_faults_beyond_a_hundred_are_counted() -> None:
    summary = StreamSummary()
    for timestamp in range(103, 0, -1):
        summary.add_video(FRAME, timestamp)
    assert len(summary.faults()) == 101
    assert messages_of(summary)[-1] == "and 2 more after this"


def test_metadata_fills_in_what_no_record_says() -> None:
    summary = StreamSummary()
    summary.add_video(KEYFRAME, 0)
    summary.add_script(ScriptData("@setDataFrame", ("onMetaData", {"width": 640.0, "height": 360.0})))
    summary.add_script(ScriptData("onTextData", ({"width": 1.0},)))
    assert (video_of(summary)["width"], video_of(summary)["height"]) == (640, 360)


def test_a_legacy_sounds_header_says_its_rate_and_channels() -> None:
    summary = StreamSummary()
    summary.add_audio(NELLYMOSER_FRAME, 0)
    audio = summary.as_json()["audio"]
    assert isinstance(audio, dict)
    assert (audio["sample_rate"], audio["channels"]) == (44100, 1)


def test_a_damaged_record_is_told_to_who_handed_it_over() -> None:
    summary = StreamSummary()
    with pytest.raises(RemoteProtocolError):
        summary.add_video(decode_video_data(b"\x17\x00\x00\x00\x00\x01"), 0)
    with pytest.raises(RemoteProtocolError):
        summary.add_audio(decode_audio_data(b"\xaf\x00\x11"), 0)
    assert summary.as_json()["faults"] == []
