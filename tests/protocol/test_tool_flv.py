"""`python -m protocol flv`: its lines, its summary, its exit status, and that it never shows a traceback."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import __main__ as tool
from protocol import _tool_rtmp
from protocol._tool_flv import FlvReport
from protocol.amf import UNDEFINED, Date, TypedObject, amf0
from protocol.flv import FlvHeader, encode_header, encode_tag

VECTORS = Path(__file__).parent / "flv" / "vectors"
HEADER = encode_header(FlvHeader(has_audio=True, has_video=True))


def report(data: bytes, *, piece: int = 1 << 16) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The JSON lines of a file's tags, and its summary."""
    made = FlvReport(json_lines=True)
    lines = [line for start in range(0, len(data), piece) for line in made.feed(data[start : start + piece])]
    *tags, summary = [json.loads(line) for line in [*lines, *made.finish()]]
    assert list(summary) == ["summary"]
    return tags, summary["summary"]


def text(data: bytes) -> list[str]:
    made = FlvReport()
    return [*made.feed(data), *made.finish()]


def recorded(name: str) -> bytes:
    return (VECTORS / f"{name}.flv").read_bytes()


def file(*tags: bytes) -> bytes:
    return HEADER + b"".join(tags)


def test_a_tag_is_one_json_object_with_its_decoded_header() -> None:
    tags, _ = report(recorded("hevc"))
    assert tags[0]["name"] == "onMetaData"
    assert tags[0]["values"][0]["width"] == 160
    assert {key: tags[0][key] for key in ("offset", "tag", "timestamp_ms", "data_size")} == {
        "offset": 13,
        "tag": "script",
        "timestamp_ms": 0,
        "data_size": 159,
    }
    assert tags[3] == {
        "offset": 13 + (15 + 159) + (15 + 116) + (15 + 38),
        "tag": "video",
        "timestamp_ms": 0,
        "data_size": 1129,
        "codec": "hvc1",
        "packet": "coded_frames",
        "keyframe": True,
        "composition_time_ms": 80,
        "track": 0,
    }
    assert [tag["packet"] for tag in tags[1:4]] == ["sequence_start", "metadata", "coded_frames"]


@pytest.mark.parametrize(
    ("name", "codec"), [("avc_high", "avc1"), ("aac", "mp4a"), ("mp3", ".mp3"), ("hevc", "hvc1"), ("opus", "Opus")]
)
def test_codecs_have_their_fourcc_also_for_legacy_numbers(name: str, codec: str) -> None:
    tags, _ = report(recorded(name))
    assert {tag["codec"] for tag in tags if tag["tag"] != "script"} == {codec}


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.flv")), ids=lambda path: path.stem)
def test_every_recorded_file_is_whole_and_without_fault(path: Path) -> None:
    data = path.read_bytes()
    made = report(data)
    tags, summary = made
    assert summary["tags"] == len(tags)
    assert summary["faults"] == []
    assert report(data, piece=7) == made
    for offset, tag in [(tag["offset"], tag) for tag in tags]:
        assert int.from_bytes(data[offset + 1 : offset + 4], "big") == tag["data_size"]
    for kind, key in (("video", "frame_rate"), ("audio", "sample_rate")):
        if summary[kind]:
            assert summary[kind]["codec"]
            assert summary[kind][key] > 0
    if summary["video"]:
        assert summary["video"]["frame_rate"] == 25
        assert summary["video"]["width"] == 160
        assert summary["video"]["frames"] == 6


def test_the_summary_says_what_the_stream_is() -> None:
    _, summary = report(recorded("avc_high"))
    size = sum(tag["data_size"] for tag in report(recorded("avc_high"))[0] if tag["packet"] == "coded_frames")
    assert summary == {
        "tags": 9,
        "duration_ms": 200,
        "video": {
            "codec": "avc1.64000b",
            "width": 160,
            "height": 90,
            "frames": 6,
            "frame_rate": 25.0,
            "keyframe_interval_ms": 200,
            "bit_rate_kbps": round((size - 6 * 5) * 8 / 240, 3),
        },
        "audio": None,
        "faults": [],
    }


def test_the_summary_says_what_the_sound_is() -> None:
    _, summary = report(recorded("ac3"))
    assert summary["audio"] == {
        "codec": "ac-3",
        "sample_rate": 48000,
        "channels": 1,
        "frames": 8,
        "bit_rate_kbps": 96.0,
    }
    assert summary["video"] is None


@pytest.mark.parametrize(
    ("name", "codec", "rate", "channels"),
    [("speex", "spex", 16000, 1), ("a_law", "alaw", 8000, 1), ("aac_5_1", "mp4a.40.2", 48000, 6)],
)
def test_sound_without_a_record_is_described_by_its_header(name: str, codec: str, rate: int, channels: int) -> None:
    audio = report(recorded(name))[1]["audio"]
    assert (audio["codec"], audio["sample_rate"], audio["channels"]) == (codec, rate, channels)


def test_more_tracks_are_listed_each_for_itself() -> None:
    tags, summary = report(recorded("multitrack"))
    assert [track["codec"] for track in summary["video_tracks"]] == ["avc1.64000b", "hvc1.1.6.L30.90"]
    assert [(track["track"], track["codec"]) for track in summary["audio_tracks"]] == [(0, "mp4a.40.2"), (1, "opus")]
    assert summary["video"] == {key: value for key, value in summary["video_tracks"][0].items() if key != "track"}
    assert {tag["track"] for tag in tags if tag["tag"] == "video"} == {0, 1}


def test_a_message_of_many_tracks_lists_them() -> None:
    body = bytes.fromhex("96 21 61766331 00 000004 000028 aa 61763031 01 000001 bb")
    sound = bytes.fromhex("95 11 4f707573 00 000001 aa 01 000001 bb")
    tags, summary = report(file(encode_tag(9, 0, body), encode_tag(8, 0, sound)))
    assert tags[0]["tracks"] == [
        {"track": 0, "codec": "avc1", "composition_time_ms": 40},
        {"track": 1, "codec": "av01", "composition_time_ms": 0},
    ]
    assert tags[1]["tracks"] == [{"track": 0, "codec": "Opus"}, {"track": 1, "codec": "Opus"}]
    assert [track["frames"] for track in summary["video_tracks"]] == [1, 1]


def video(timestamp: int, *, key: bool = False) -> bytes:
    return encode_tag(9, timestamp, (b"\x17" if key else b"\x27") + b"\x01\x00\x00\x00abcd")


def test_timestamps_that_go_back_or_jump_are_faults_and_no_damage() -> None:
    made = FlvReport(json_lines=True)
    lines = [*made.feed(file(video(0, key=True), video(40), video(20), video(10_021), video(30_000))), *made.finish()]
    faults = json.loads(lines[-1])["summary"]["faults"]
    assert [(fault["offset"], fault["message"]) for fault in faults] == [
        (13 + 2 * 24, "video track 0 goes back 20 ms, to 20 ms"),
        (13 + 3 * 24, "video track 0 jumps ahead 10001 ms, to 10021 ms"),
        (13 + 4 * 24, "video track 0 jumps ahead 19979 ms, to 30000 ms"),
    ]
    assert not made.damaged


def test_a_timestamp_that_wraps_is_no_fault() -> None:
    _, summary = report(file(video(2**32 - 80, key=True), video(2**32 - 40), video(0), video(40, key=True)))
    assert summary["faults"] == []
    assert summary["duration_ms"] == 120
    assert summary["video"]["keyframe_interval_ms"] == 120
    assert summary["video"]["frame_rate"] == 25


def test_tracks_may_be_interleaved_a_little_out_of_order() -> None:
    sound = encode_tag(8, 30, b"\xaf\x01a")
    _, summary = report(file(video(0, key=True), video(40), sound, video(80)))
    assert summary["faults"] == []
    assert summary["duration_ms"] == 80


def test_a_single_frame_has_no_rates() -> None:
    _, summary = report(file(video(5, key=True)))
    assert summary["duration_ms"] == 0
    for name in ("frame_rate", "keyframe_interval_ms", "bit_rate_kbps"):
        assert summary["video"][name] is None


def test_frames_at_one_moment_have_no_rates() -> None:
    assert report(file(video(5, key=True), video(5)))[1]["video"]["frame_rate"] is None


def test_the_list_of_faults_has_an_end() -> None:
    _, summary = report(file(*[video(1000 - index) for index in range(151)]))
    assert len(summary["faults"]) == 101
    assert summary["faults"][-1]["message"] == "and 50 more after this"


@pytest.mark.parametrize(
    ("tag", "packet"),
    [
        (encode_tag(9, 0, b"\x57\x00"), "start_seek"),
        (encode_tag(9, 0, b"\xd0\x07"), "command_7"),
        (encode_tag(9, 0, b"\x17\x05aa"), "unknown_5"),
        (encode_tag(9, 0, b"\x9cav01"), "unknown_12"),
        (encode_tag(9, 0, b"\x95av01\x80\x04\x81\x04\x0c\x00"), "mpeg2ts_sequence_start"),
        (encode_tag(9, 0, b"\x96\x30abc"), "sequence_start"),  # in an envelope of a type that nobody knows
        (encode_tag(8, 0, b"\x95\x30abc"), "sequence_start"),
        (encode_tag(8, 0, b""), "silence"),
        (encode_tag(8, 0, b"\xaf\x07"), "unknown_7"),
        (encode_tag(8, 0, b"\x93Opus"), "unknown_3"),
        (encode_tag(8, 0, b"\xe7\xf0", filtered=True), "encrypted"),
        (encode_tag(7, 0, b"abc"), None),
    ],
)
def test_every_kind_of_packet_has_a_name(tag: bytes, packet: str | None) -> None:
    tags, summary = report(file(tag))
    assert tags[0]["packet"] == packet
    assert tags[0]["tag"] == ("unknown" if packet is None else tags[0]["tag"])
    assert summary["faults"] == []


def test_values_of_every_type_are_json() -> None:
    cyclic: list[Any] = [1.0]
    cyclic.append(cyclic)
    values = [
        *(True, None, 1.5, float("nan"), UNDEFINED, Date(5.0), TypedObject("C", {"a": b"\x01\xff"})),
        *({"nested": [1.0]}, cyclic),
    ]
    body = amf0.encode_all(["onTextData", *values])
    tags, _ = report(file(encode_tag(18, 0, body)))
    assert tags[0]["values"] == [
        *(True, None, 1.5, "nan", None, 5.0, {"a": "01ff"}),
        *({"nested": [1.0]}, [1.0, "..."]),
    ]


def test_a_value_without_a_json_form_is_named() -> None:
    body = b"\x02\x00\x01x" + b"\x0f\x00\x00\x00\x03<a>"
    assert report(file(encode_tag(18, 0, body)))[0][0]["values"] == ["XmlDocument"]


def test_metadata_behind_set_data_frame_counts() -> None:
    body = amf0.encode_all(["@setDataFrame", "onMetaData", {"width": 320.0, "height": 240.0}])
    _, summary = report(file(encode_tag(18, 0, body), encode_tag(9, 0, b"\x12abc")))
    assert (summary["video"]["width"], summary["video"]["height"]) == (320, 240)
    assert report(file(encode_tag(18, 0, amf0.encode("@setDataFrame"))))[1]["faults"] == []


def test_a_body_that_cannot_be_read_is_damage_of_its_tag_alone() -> None:
    tags, summary = report(file(encode_tag(9, 0, b"\x90hv"), video(0, key=True)))
    assert "error" in tags[0]
    assert tags[1]["packet"] == "coded_frames"
    assert [fault["offset"] for fault in summary["faults"]] == [13]
    assert any("cannot be read" in line for line in text(file(encode_tag(9, 0, b"\x90hv"))))


def test_a_wrong_previous_tag_size_is_damage_and_the_tags_behind_it_are_read() -> None:
    made = FlvReport(json_lines=True)
    lines = [*made.feed(file(video(0)[:-1] + b"\x00", video(40))), *made.finish()]
    assert made.damaged
    assert len(lines) == 3
    assert "PreviousTagSize is 0" in json.loads(lines[-1])["summary"]["faults"][0]["message"]


@pytest.mark.parametrize("name", ["hevc", "aac"])
def test_a_file_cut_anywhere_prints_its_whole_tags_and_where_it_broke(name: str) -> None:
    data = recorded(name)
    whole, _ = report(data)
    ends = {tag["offset"] + 15 + tag["data_size"] for tag in whole} | {13}
    for size in range(0, len(data), 3):
        tags, summary = report(data[:size])
        assert tags == whole[: len(tags)]
        assert (summary["faults"] == []) == (size in ends)


def test_bytes_that_are_no_flv_any_more_end_the_report() -> None:
    made = FlvReport(json_lines=True)
    lines = [*made.feed(b"ID3"), *made.feed(b"more"), *made.finish()]
    assert made.broken
    assert json.loads(lines[-1])["summary"]["faults"][0]["offset"] == 0


@settings(deadline=None)  # whole files on a busy machine
@given(st.sampled_from(sorted(path.stem for path in VECTORS.glob("*.flv"))), st.data())
def test_a_mutated_file_is_reported_in_both_forms(name: str, data: st.DataObject) -> None:
    mutated = bytearray(recorded(name))
    for _ in range(data.draw(st.integers(1, 5))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    report(bytes(mutated))
    for line in text(bytes(mutated)):
        assert line.isascii()
        assert line.isprintable()


def test_text_is_a_line_a_tag_for_people() -> None:
    lines = text(recorded("hevc"))
    assert lines[0] == "FLV version 1, video"
    assert "script" in lines[1]
    assert "onMetaData" in lines[1]
    assert " ".join(lines[4].split()) == "371 video 0 ms 1129 B hvc1 coded_frames keyframe composition +80 ms"
    assert lines[-1].startswith("video: codec hvc1.1.6.L30.90, width 160, height 90, frames 6, frame_rate 25.0")
    assert text(encode_header(FlvHeader(has_audio=False, has_video=False)))[0] == "FLV version 1, no tracks promised"


def test_text_names_tracks_and_faults() -> None:
    lines = text(recorded("multitrack"))
    assert any(line.endswith("track 1") for line in lines)
    assert sum(line.startswith("audio: track") for line in lines) == 2
    assert text(file(video(40), video(0)))[-1] == "fault at byte 37: video track 0 goes back 40 ms, to 0 ms"


def test_text_cuts_long_values_and_shows_no_control_characters() -> None:
    body = amf0.encode_all(["on\x1b[2JText", "long " * 100])
    lines = text(file(encode_tag(18, 0, body), encode_tag(9, 0, b"\x91\x1b[2Jabc")))
    assert lines[1].endswith("...")
    assert len(lines[1]) < 250
    assert not any("\x1b" in line for line in lines)


def run(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "protocol", *arguments]
    return subprocess.run(command, capture_output=True, timeout=30, check=False, **options)


def test_a_whole_file_exits_with_0_and_a_damaged_one_with_1(tmp_path: Path) -> None:
    whole = run("flv", str(VECTORS / "aac.flv"))
    assert (whole.returncode, whole.stderr) == (0, b"")
    damaged = tmp_path / "damaged.flv"
    damaged.write_bytes(recorded("aac")[:-10])
    broken = run("flv", "--json", str(damaged))
    assert (broken.returncode, broken.stderr) == (1, b"")
    assert len(broken.stdout.splitlines()) == len(report(recorded("aac"))[0])  # a tag less, and the summary


def test_the_status_is_what_main_returns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "damaged.flv"
    damaged.write_bytes(recorded("hevc")[:-1])
    assert tool.main(["flv", str(VECTORS / "hevc.flv")]) == 0
    whole = capsys.readouterr().out.splitlines()
    assert whole == text(recorded("hevc"))
    assert tool.main(["flv", str(damaged)]) == 1
    # The last tag is whole, the size behind it is not.
    assert capsys.readouterr().out.splitlines()[:-1] == whole


def test_standard_input_is_read_for_a_dash() -> None:
    result = run("flv", "-", "--json", input=recorded("aac"))
    assert result.returncode == 0
    assert result.stdout == run("flv", "--json", str(VECTORS / "aac.flv")).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], b": the following arguments are required: tool, ...; see python -m protocol --help"),
        (["flv"], b" flv: the following arguments are required: FILE|-; see python -m protocol flv --help"),
        (["flv", "--jason", "x"], b" flv: unrecognized arguments: --jason; see python -m protocol flv --help"),
        (["rtmp", "--chunk", "x"], b" rtmp: unrecognized arguments: --chunk; see python -m protocol rtmp --help"),
        (["mp4", "x"], b": tool: invalid choice: 'mp4' (choose from "),
        (["flv", "does-not-exist.flv"], b": cannot open does-not-exist.flv: No such file or directory"),
        (["flv", "does\nnot"], b": cannot open does\\nnot: No such file or directory"),
        (["rtmp", "does\nnot"], b" rtmp: cannot read does\\nnot: No such file or directory"),
    ],
)
def test_a_usage_error_exits_with_2_and_one_sentence(arguments: list[str], message: bytes) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(b"python -m protocol" + message)
    assert result.stderr.count(b"\n") == 1


def test_a_closed_pipe_ends_it_quietly() -> None:
    many = file(*[video(index, key=True) for index in range(5000)])
    process = subprocess.Popen(
        [sys.executable, "-m", "protocol", "flv", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    try:
        process.stdin.write(many)
        process.stdin.close()
    except BrokenPipeError:
        pass
    process.stdin = None
    process.stdout = None
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, b"")


def test_a_live_stream_is_printed_as_it_comes_and_summed_up_on_an_interrupt() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "protocol", "flv", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(file(video(0, key=True)) + video(40)[:5])
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"FLV version 1")
        assert b"keyframe" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().splitlines()
    assert process.returncode == 130
    assert rest[0] == b"1 tags, 0 ms"
    assert len(rest) == 2  # what an interrupt cuts is no damage


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
def test_output_that_cannot_be_written_is_said_in_a_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "protocol", "flv", str(VECTORS / "aac.flv")]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=30, check=False)
    assert result.returncode == 2
    assert result.stderr == b"python -m protocol: cannot write: No space left on device\n"


class RefusingOutput(io.StringIO):
    """Standard output that fails when it is flushed, over a descriptor of its own for `main` to turn away."""

    def __init__(self, error: OSError, descriptor: int) -> None:
        super().__init__()
        self.error = error
        self.descriptor = descriptor

    def flush(self) -> None:
        raise self.error

    def fileno(self) -> int:
        return self.descriptor


@pytest.mark.parametrize(
    "arguments",
    [["flv", str(VECTORS / "aac.flv")], ["--help"], ["flv", "--help"]],
    ids=["a file", "help", "flv's help"],
)
@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (BrokenPipeError(32, "Broken pipe"), 0, ""),
        (OSError(28, "No space left on device"), 2, "python -m protocol: cannot write: No space left on device\n"),
    ],
)
def test_output_that_fails_is_turned_to_the_null_device(
    arguments: list[str],
    error: OSError,
    status: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "output"
    with target.open("wb") as output:
        monkeypatch.setattr(sys, "stdout", RefusingOutput(error, output.fileno()))
        assert tool.main(arguments) == status
        os.write(output.fileno(), b"the last flush")
    assert target.read_bytes() == b""
    assert capsys.readouterr().err == sentence


def test_an_interrupt_between_two_reads_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(tool._TOOLS, "flv", interrupted)
    assert tool.main(["flv"]) == 130


def test_the_rtmp_tool_gets_its_own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def rtmp(arguments: list[str]) -> int:
        given.append(arguments)
        return 1

    assert tool._TOOLS["rtmp"] is _tool_rtmp.main
    monkeypatch.setitem(tool._TOOLS, "rtmp", rtmp)
    assert tool.main(["rtmp", "capture", "--json"]) == 1
    assert given == [["capture", "--json"]]


def test_a_directory_is_said_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["flv", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("python -m protocol: cannot open")


class BrokenFile(io.BytesIO):
    def read1(self, size: int | None = -1) -> bytes:
        raise OSError(5, os.strerror(5))


class InterruptedFile(io.BytesIO):
    def read1(self, size: int | None = -1) -> bytes:
        raise KeyboardInterrupt


class Input:
    def __init__(self, buffer: io.BytesIO) -> None:
        self.buffer = buffer


def test_a_file_that_cannot_be_read_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Input(BrokenFile()))
    assert tool.main(["flv", "-"]) == 2
    assert capsys.readouterr().err == "python -m protocol: cannot read -: Input/output error\n"


def test_an_interrupt_still_gives_a_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Input(InterruptedFile()))
    assert tool.main(["flv", "-", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["summary"]["faults"] == []


def test_reading_stops_where_the_bytes_are_no_flv(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = io.BytesIO(b"ID3" + bytes(1_000_000))
    monkeypatch.setattr(sys, "stdin", Input(endless))
    positions = []
    monkeypatch.setattr(endless, "close", lambda: positions.append(endless.tell()))
    assert tool.main(["flv", "-"]) == 1
    assert positions == [65536]
