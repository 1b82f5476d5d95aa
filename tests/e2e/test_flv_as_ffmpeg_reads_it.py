"""FLV files as ffmpeg takes them apart, and as our decoder does: the same packets, times, keyframes and codecs.

By Debian's ffprobe where the codec is an old one; by an ffmpeg 9 for all, whose framemd5 knows Enhanced RTMP's.
"""

import hashlib
import json
import shlex
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from protocol.flv import AudioPacketType, Tag, TagType, VideoPacketType, decode_audio_data, decode_video_data
from tests.e2e.modern import FFMPEG
from tests.e2e.processes import need
from tests.protocol.flv.replay import NAMES, VECTORS, replay

OF_OLD_CODECS = ["a_law", "aac", "adpcm", "avc_high", "avc_high_444", "avc_interlaced", "avc_main", "both"]
OF_OLD_CODECS += ["mp3", "mp3_48k", "mu_law", "nellymoser", "pcm", "screen", "sorenson", "speex"]

MADE = {
    "H.264 with B-frames and AAC": "-c:v libx264 -preset ultrafast -bf 2 -g 10 -pix_fmt yuv420p -c:a aac",
    "Sorenson and MP3": "-c:v flv -g 10 -c:a libmp3lame -ar 44100",
    "sound alone": "-vn -c:a aac",
    "a picture alone": "-an -c:v libx264 -preset ultrafast -tune zerolatency -g 10 -pix_fmt yuv420p",
    "times of nine hours, past 24 bits": "-c:v libx264 -bf 2 -pix_fmt yuv420p -c:a aac -output_ts_offset 33000",
}
"""What to have Debian's ffmpeg make, as arguments of its."""

CODECS = {
    "avc1": "h264",
    "hvc1": "hevc",
    "vvc1": "vvc",
    "av01": "av1",
    "vp09": "vp9",
    "FLV1": "flv1",
    "FSV1": "flashsv",
    "mp4a": "aac",
    ".mp3": "mp3",
    "Opus": "opus",
    "fLaC": "flac",
    "ac-3": "ac3",
    "ec-3": "eac3",
    "spex": "speex",
    "NELL": "nellymoser",
    "SWFA": "adpcm_swf",
    "alaw": "pcm_alaw",
    "ulaw": "pcm_mulaw",
    "lpcm": "pcm_s16le",
}
"""FFmpeg's names for them, by FourCC."""


class Packet(NamedTuple):
    """A frame of one track; times in milliseconds, and an MD5 of its bytes."""

    pts_ms: int
    dts_ms: int
    size: int
    hash: str


def packet(tag: Tag, data: bytes, composition_time_ms: int = 0) -> Packet:
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return Packet(tag.timestamp + composition_time_ms, tag.timestamp, len(data), digest)


def by_us(file: Path) -> list[tuple[str, Packet, bool]]:
    """Each frame in the file's order: its codec, the frame, and whether decoding can begin with it."""
    found = []
    for tag in replay([file.read_bytes()]):
        if not isinstance(tag, Tag):
            continue
        if tag.type == TagType.AUDIO:
            audio = decode_audio_data(tag.body)
            if audio.packet_type is AudioPacketType.CODED_FRAMES:
                found += [(CODECS[track.fourcc or ""], packet(tag, track.data), True) for track in audio.tracks]
        elif tag.type == TagType.VIDEO:
            video = decode_video_data(tag.body)
            if video.packet_type in (VideoPacketType.CODED_FRAMES, VideoPacketType.CODED_FRAMES_X):
                found += [
                    (CODECS[track.fourcc or ""], packet(tag, track.data, track.composition_time_ms), video.is_keyframe)
                    for track in video.tracks
                ]
    return found


def by_ffprobe(file: Path) -> list[tuple[str, Packet, bool]]:
    said = subprocess.run(
        [need("ffprobe"), *shlex.split("-v error -show_packets -show_streams -show_data_hash md5 -of json"), file],
        capture_output=True,
        check=True,
    )
    told = json.loads(said.stdout)
    codecs = {stream["index"]: stream["codec_name"] for stream in told["streams"]}
    return [
        (
            codecs[each["stream_index"]],
            Packet(each["pts"], each["dts"], int(each["size"]), each["data_hash"].removeprefix("MD5:")),
            "K" in each["flags"],
        )
        for each in told["packets"]
        if codecs[each["stream_index"]] in CODECS.values()  # it makes streams of script data as well
    ]


def by_ffmpeg_9(file: Path) -> dict[str, list[Packet]]:
    arguments = f"-nostdin -v error -copyts -i {file} -map 0:v? -map 0:a? -c copy -f framemd5 -"
    said = subprocess.run([FFMPEG, *shlex.split(arguments)], capture_output=True, check=True, text=True)
    codecs: dict[str, str] = {}
    found: dict[str, list[Packet]] = defaultdict(list)
    for line in said.stdout.splitlines():
        if line.startswith("#codec_id "):
            number, _, codec = line.removeprefix("#codec_id ").partition(": ")
            codecs[number] = codec
        elif not line.startswith("#"):
            number, dts, pts, _, size, digest, *_ = [part.strip() for part in line.split(",")]
            if size != "0":
                found[codecs[number]].append(Packet(int(pts), int(dts), int(size), digest))
    return found


def by_codec(frames: list[tuple[str, Packet, bool]]) -> dict[str, list[Packet]]:
    found: dict[str, list[Packet]] = defaultdict(list)
    for codec, each, _ in frames:
        if each.size:  # ffmpeg ends FLAC with a packet of nothing, and framemd5 tells of two
            found[codec].append(each)
    return found


@pytest.mark.parametrize("name", OF_OLD_CODECS)
def test_a_recorded_file_is_to_us_what_it_is_to_ffprobe(name: str) -> None:
    assert by_us(VECTORS / f"{name}.flv") == by_ffprobe(VECTORS / f"{name}.flv") != []


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_file_is_to_us_what_it_is_to_a_newer_ffmpeg(name: str) -> None:
    assert by_codec(by_us(VECTORS / f"{name}.flv")) == by_ffmpeg_9(VECTORS / f"{name}.flv") != {}


@pytest.mark.parametrize("what", MADE)
def test_what_ffmpeg_has_made_is_to_us_what_it_is_to_ffprobe(tmp_path: Path, what: str) -> None:
    file = tmp_path / "made.flv"
    sources = "-f lavfi -i testsrc=size=160x90:rate=25 -f lavfi -i sine=frequency=440:sample_rate=44100"
    arguments = f"-nostdin -v error {sources} {MADE[what]} -t 2 -f flv {file}"
    subprocess.run([need("ffmpeg"), *shlex.split(arguments)], check=True, capture_output=True)
    ours = by_us(file)
    assert ours == by_ffprobe(file)
    assert by_codec(ours) == by_ffmpeg_9(file)
    assert len(ours) > 40
