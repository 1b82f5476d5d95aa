"""`python -m protocol rtmp`, on the recorded conversations and on files put together here."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from protocol._tool_rtmp import main
from protocol.amf import UNDEFINED, TypedObject, amf0
from protocol.rtmp.chunks import ChunkWriter, RawMessage

VECTORS = Path(__file__).with_name("rtmp") / "vectors"
WHOLE = VECTORS / "ffmpeg5-publish-nginx-whole.client.bin"


def run(capsys, *arguments: object) -> tuple[int, list[str]]:
    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr().out.splitlines()


def read(capsys, *arguments: object) -> tuple[int, list[dict], dict]:
    status, lines = run(capsys, "--json", *arguments)
    *messages, last = (json.loads(line) for line in lines)
    return status, messages, last["summary"]


@pytest.fixture
def capture(tmp_path):
    """Writes these messages as chunks into a file without a handshake."""

    def write(*messages: RawMessage, chunk_size: int = 128, behind: bytes = b"") -> Path:
        path = tmp_path / "capture"
        writer = ChunkWriter()
        path.write_bytes(writer.set_chunk_size(chunk_size) + b"".join(map(writer.send, messages)) + behind)
        return path

    return write


def test_a_whole_recording_is_described_message_by_message(capsys):
    status, messages, summary = read(capsys, WHOLE)
    assert status == 0
    assert messages[0] == {
        "offset": 0,
        "message": "handshake",
        "timestamp_ms": 0,
        "data_size": 3073,
        "scheme": "scheme 1",
        "software": "9.0.124.2",
    }
    assert messages[1]["offset"] == 3073
    assert messages[1]["name"] == "connect"
    assert messages[1]["values"][0]["app"] == "live"
    names = [message.get("name") for message in messages]
    assert [name for name in names if name][-2:] == ["FCUnpublish", "deleteStream"]
    sound = next(message for message in messages if message.get("packet") == "coded_frames")
    assert sound == {
        "offset": 3639,
        "tag": "audio",
        "timestamp_ms": 0,
        "data_size": 144,
        "codec": "mp4a",
        "packet": "coded_frames",
        "keyframe": False,
        "composition_time_ms": 0,
        "track": 0,
        "chunk_stream_id": 4,
        "message_stream_id": 1,
    }
    assert summary["messages"] == 58
    assert summary["tags"] == 50
    assert summary["faults"] == []
    assert summary["video"] is None
    assert summary["audio"]["codec"] == "mp4a.40.2"
    assert (summary["audio"]["sample_rate"], summary["audio"]["channels"]) == (48000, 1)


def test_a_cut_off_recording_is_printed_up_to_where_it_ends(capsys):
    status, messages, summary = read(capsys, VECTORS / "ffmpeg9-publish-ffmpeg9-multitrack.client.bin")
    assert status == 1
    assert len(messages) == 1 + summary["messages"]
    assert summary["faults"] == [
        {"offset": 20000, "message": "broken here: the file ends inside the message that starts at 19248"}
    ]
    assert [track["codec"] for track in summary["audio_tracks"]] == ["mp4a.40.2", "ec-3"]
    assert (summary["video"]["width"], summary["video"]["height"], summary["video"]["frame_rate"]) == (192, 144, 10.0)


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.bin")), ids=lambda path: path.stem)
def test_every_recording_is_described(capsys, path):
    status, messages, summary = read(capsys, path)
    # FFmpeg as a server sends onFCPublish without the transaction id that section 7.1.1 asks for.
    errors = [
        message for message in messages if "error" in message and message["data_size"] != len(b"\2\0\x0bonFCPublish")
    ]
    assert errors == []
    sentences = [fault["message"] for fault in summary["faults"] if "without a name and a" not in fault["message"]]
    assert all(sentence.startswith("broken here: the file ends inside") for sentence in sentences)
    assert status == (1 if summary["faults"] else 0)
    assert [message["offset"] for message in messages][:2] == [0, 3073]


def test_text_has_a_line_a_message_and_a_summary(capsys):
    status, lines = run(capsys, WHOLE)
    assert status == 0
    assert lines[0].split() == ["0", "0", "ms", "3073", "B", "handshake", "scheme=scheme", "1", "software=9.0.124.2"]
    assert "58 messages, 50 of media, 1002 ms" in lines
    assert lines[-1].startswith("audio: codec mp4a.40.2, sample_rate 48000")


def test_text_names_the_faults_and_is_safe_for_a_terminal(capsys, capture):
    path = capture(RawMessage(0, 20, 0, amf0.encode_all(["\x1b[31m", 1.5, None])), behind=b"\xff")
    status, lines = run(capsys, "--chunks", path)
    assert status == 1
    assert "\x1b" not in "".join(lines)
    assert "?[31m transaction_id=1.5" in lines[1]
    assert lines[-1].startswith(
        f"fault at byte {path.stat().st_size - 1}: broken here: chunk stream 63 starts with fmt 3"
    )


def test_interleaved_messages_have_the_offset_of_their_first_chunk(capsys, capture):
    path = capture()
    writer = ChunkWriter()
    messages = [RawMessage(0, 9, 1, b"\x12" * 300, 6), RawMessage(0, 8, 1, b"\x3f" * 200, 70)]
    path.write_bytes(writer.send_interleaved(messages))
    status, described, _ = read(capsys, "--chunks", path)
    assert status == 0
    assert [(message["tag"], message["offset"]) for message in described] == [("audio", 140), ("video", 0)]


def test_an_aborted_message_gives_its_place_to_the_next(capsys, capture):
    path = capture()
    writer = ChunkWriter()
    chunks = writer.iter_chunks(RawMessage(0, 9, 1, b"\x12" * 300, 6))
    begin = next(chunks) + writer.abort(6)
    path.write_bytes(begin + writer.send(RawMessage(0, 9, 1, b"\x12" * 30, 6)))
    status, messages, _ = read(capsys, "--chunks", path)
    assert status == 0
    assert messages[0]["message"] == "abort"
    assert messages[0]["values"] == {"chunk_stream_id": 6}
    assert messages[1]["offset"] == len(begin)


def test_control_messages_say_their_numbers_and_user_control_its_event(capsys, capture):
    path = capture(
        RawMessage(0, 4, 0, b"\0\0\0\0\0\x07", 2), RawMessage(0, 5, 0, b"\0\0\x10\0", 2), RawMessage(0, 99, 0, b"?", 3)
    )
    _, messages, _ = read(capsys, "--chunks", path)
    assert messages[0]["values"] == {"chunk_size": 128}
    assert (messages[1]["name"], messages[1]["values"]) == ("StreamBegin", {"message_stream_id": 7})
    assert messages[2]["values"] == {"size": 4096}
    assert messages[3]["message"] == "unknown_99"


def test_a_body_that_cannot_be_read_is_a_fault_of_its_message_alone(capsys, capture):
    path = capture(
        RawMessage(0, 9, 1, b"", 6),
        RawMessage(0, 5, 0, b"\0", 2),
        RawMessage(0, 18, 1, b"\x02\0\x09short", 4),
        RawMessage(0, 8, 1, b"", 4),
    )
    status, messages, summary = read(capsys, "--chunks", path)
    assert status == 1
    assert ["error" in message for message in messages] == [False, True, True, True, False]
    assert [fault["offset"] for fault in summary["faults"]] == [message["offset"] for message in messages[1:4]]
    assert messages[4]["packet"] == "silence"


def test_values_that_json_does_not_have_are_spelled_out(capsys, capture):
    endless: dict = {"half": 0.5, "far": float("inf")}
    endless["self"] = endless
    thing = TypedObject("Thing", {"held": None})
    path = capture(RawMessage(0, 18, 1, amf0.encode_all(["onMetaData", endless, [1.0, True], thing, UNDEFINED]), 4))
    status, messages, _ = read(capsys, "--chunks", path)
    assert status == 0
    assert messages[1]["values"] == [
        {"half": 0.5, "far": "inf", "self": "..."},
        [1, True],
        {"held": None},
        str(UNDEFINED),
    ]


def test_a_keyframe_without_a_configuration_record_tells_its_size(capsys, capture):
    # VP8 as Enhanced RTMP has it: the start code, then 320 x 240 (RFC 6386, section 9.1).
    keyframe = b"\x91vp08" + b"\x10\x02\x00\x9d\x01\x2a" + b"\x40\x01" + b"\xf0\x00"
    _, _, summary = read(capsys, "--chunks", capture(RawMessage(0, 9, 1, keyframe, 6)))
    assert (summary["video"]["width"], summary["video"]["height"]) == (320, 240)


def test_multitrack_messages_list_their_tracks(capsys, capture):
    tracks = b"\x00\0\0\0" + b"\x01\0\0\0"  # both sequences end
    path = capture(RawMessage(0, 9, 1, b"\x96\x12vp08" + tracks, 6), RawMessage(0, 8, 1, b"\x95\x12Opus" + tracks, 4))
    status, messages, _ = read(capsys, "--chunks", path)
    assert [message["tracks"] for message in messages[1:]] == [
        [{"track": 0, "codec": codec}, {"track": 1, "codec": codec}] for codec in ("vp08", "Opus")
    ]
    assert status == 0


def test_video_commands_and_timestamps_that_go_back_are_told(capsys, capture):
    path = capture(
        RawMessage(50, 9, 1, b"\x12frame", 6), RawMessage(10, 9, 1, b"\x22frame", 6), RawMessage(10, 9, 1, b"\x52\0", 6)
    )
    status, messages, summary = read(capsys, "--chunks", path)
    assert status == 0, "a strange timestamp is no damage"
    assert [message.get("packet") for message in messages] == [None, "coded_frames", "coded_frames", "command"]
    assert summary["faults"][0]["offset"] == messages[2]["offset"]
    assert "goes back 40 ms" in summary["faults"][0]["message"]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", (0, "broken here: the file ends inside the handshake")),
        (b"\x03" + bytes(3000), (3001, "broken here: the file ends inside the handshake")),
        (b"\x06", (0, "broken here: C0 asks for version 6, which is RTMPE: use rtmps, or plain rtmp")),
    ],
)
def test_a_file_without_a_whole_handshake_is_damaged(capsys, tmp_path, data, fault):
    path = tmp_path / "capture"
    path.write_bytes(data)
    status, messages, summary = read(capsys, path)
    assert status == 1
    assert messages == []
    offset, sentence = fault
    assert summary["faults"][0]["offset"] == offset
    assert summary["faults"][0]["message"].startswith(sentence)


def test_standard_input_is_read(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(WHOLE.read_bytes())))
    assert read(capsys, "-")[0] == 0


def test_a_missing_file_is_a_usage_error(capsys, tmp_path):
    assert main([str(tmp_path / "nothing")]) == 2
    assert "No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([])
