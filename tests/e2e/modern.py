"""An ffmpeg that speaks Enhanced RTMP, as PyPI's imageio-ffmpeg brings it: HEVC, AV1, VP9, Opus and several tracks."""

import shlex
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg
import trio

from tests.e2e.processes import Child, running

__all__ = ["CODECS", "FFMPEG", "Packets", "packets_of", "publishing_file", "record"]

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
_PICTURE = "-f lavfi -i testsrc2=size=160x90:rate=25"
_TONE = "-f lavfi -i sine=frequency=440:sample_rate=48000"
_HEVC = "-c:v libx265 -x265-params log-level=none:keyint=25:bframes=0 -preset ultrafast"
_H264 = "-c:v libx264 -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p"

CODECS = {
    "HEVC and Opus": f"{_PICTURE} {_TONE} {_HEVC} -c:a libopus",
    "AV1 and FLAC": f"{_PICTURE} {_TONE} -c:v libaom-av1 -cpu-used 8 -usage realtime -g 25 -c:a flac -ac 1",
    "VP9 and AC-3": f"{_PICTURE} {_TONE} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -c:a ac3 -ac 1",
    "H.264 and AAC": f"{_PICTURE} {_TONE} {_H264} -c:a aac -ac 1",
    "two tracks of each kind": (
        f"{_PICTURE} {_TONE} -map 0 -map 0 -map 1 -map 1 {_H264} -c:v:1 libx265"
        " -x265-params log-level=none:keyint=25:bframes=0 -c:a:0 aac -c:a:1 libopus -ac 1"
    ),
}
"""What to publish, as arguments of ffmpeg's."""


@dataclass
class Packets:
    """What is in a file or a stream, by codec name.

    Attributes:
        configurations: a hash of the codec's configuration.
        hashes: one of each packet, in order.
    """

    configurations: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, list[str]] = field(default_factory=dict)

    def is_a_piece_of(self, looped: "Packets", *, at_least: int) -> None:
        """Assert that each codec's packets are consecutive ones of a file that is played in a loop, bit for bit."""
        assert self.configurations == looped.configurations
        assert self.hashes.keys() == looped.hashes.keys()
        for codec, hashes in self.hashes.items():
            assert len(hashes) >= at_least, f"only {len(hashes)} packets of {codec}"
            around = looped.hashes[codec] * (2 + len(hashes) // len(looped.hashes[codec]))
            starts = (start for start, found in enumerate(around[: len(looped.hashes[codec])]) if found == hashes[0])
            assert any(around[start : start + len(hashes)] == hashes for start in starts), f"{codec} was changed"


async def record(codecs: str, file: Path, *, seconds: float = 3) -> Path:
    """Encode a moving picture and a tone into an FLV file.

    Copied once, since ffmpeg writes the configuration of VP9 differently when it copies than when it encodes.
    """
    encoded = file.with_suffix(".encoded.flv")
    for arguments in (f"{codecs} -t {seconds} -f flv {encoded}", f"-i {encoded} -map 0 -c copy -f flv {file}"):
        await trio.run_process([FFMPEG, *shlex.split(f"-nostdin -v error -y {arguments}")], capture_stderr=True)
    return file


@asynccontextmanager
async def publishing_file(file: Path, url: str) -> AsyncIterator[Child]:
    """Publish a file in real time and in a loop, its packets as they are."""
    arguments = f"-nostdin -hide_banner -nostats -progress - -stats_period 0.1 -re -stream_loop -1 -i {file}"
    command = [FFMPEG, *shlex.split(f"{arguments} -map 0 -c copy -f flv {url}")]
    async with running(*command, name="ffmpeg 9, publishing") as child:
        await child.printed(r"^out_time_ms=[1-9]")
        yield child


async def packets_of(source: str | Path, *, seconds: float | None = None) -> Packets:
    """Read a file or a stream, for so many seconds of it, without decoding it."""
    until = "" if seconds is None else f"-t {seconds}"
    command = [FFMPEG, *shlex.split(f"-nostdin -v error -i {source} -map 0:v -map 0:a -c copy {until} -f framemd5 -")]
    with trio.fail_after(20):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, f"ffmpeg 9 could not read {source}: {done.stderr.decode(errors='replace')}"
    return _packets(done.stdout.decode())


def _packets(framemd5: str) -> Packets:
    names: dict[str, str] = {}
    configurations: dict[str, str] = {}
    hashes: dict[str, list[str]] = defaultdict(list)
    for line in framemd5.splitlines():
        if line.startswith("#codec_id "):
            number, _, name = line.removeprefix("#codec_id ").partition(": ")
            names[number] = name
        elif line.startswith("#extradata "):
            number, *_, found = (part.strip(" :") for part in line.removeprefix("#extradata ").split(","))
            configurations[number] = found
        elif line and not line.startswith("#"):
            number, _, _, _, size, found = (part.strip() for part in line.split(","))
            if size != "0":  # ffmpeg begins and ends FLAC with a packet of nothing
                hashes[names[number]].append(found)
    return Packets({names[number]: found for number, found in configurations.items()}, dict(hashes))
