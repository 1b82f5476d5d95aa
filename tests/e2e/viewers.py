"""The real viewers: ffprobe for what is in a stream, ffmpeg and ffplay for watching it."""

import json
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import pytest
import trio

from tests.e2e.processes import Child, need, running

__all__ = ["Watched", "ffmpeg_watching", "ffplay_watching", "watch"]


@dataclass(frozen=True)
class Watched:
    """What ffprobe decoded.

    Attributes:
        codecs: media type to codec name: ``{"video": "h264", "audio": "aac"}``.
        size: width and height of the picture.
        times_s: media type to the presentation times of its frames.
    """

    codecs: dict[str, str]
    size: tuple[int, int]
    times_s: dict[str, list[float]]

    def shows(self, seconds: float) -> None:
        """Assert H.264 and AAC that play for `seconds`: times go up, with no hole over a quarter of a second.

        Half a second may be missing: that long is the encoders' distance between keyframes.
        """
        assert self.codecs == {"video": "h264", "audio": "aac"}
        for kind, times_s in self.times_s.items():
            assert times_s[-1] - times_s[0] >= seconds - 0.6, f"{kind} is too short"
            steps_s = [later - earlier for earlier, later in pairwise(times_s)]
            assert all(0 < step_s < 0.25 for step_s in steps_s), f"{kind} jumps by {max(steps_s)} s"


async def watch(url: str, seconds: float, *options: str) -> Watched:
    """Decode `seconds` of the stream at `url` by ffprobe."""
    command = [
        *(need("ffprobe"), "-v", "error", *options, "-read_intervals", f"%+{seconds}", "-of", "json"),
        *("-show_entries", "stream=codec_type,codec_name,width,height:frame=media_type,pts_time"),
        url,
    ]
    with trio.move_on_after(seconds + 15):
        done = await trio.run_process(
            command, capture_stdout=True, capture_stderr=True, check=False, deliver_cancel=_terminate
        )
        assert done.returncode == 0, f"ffprobe {url}: {done.stderr.decode(errors='replace')}"
        return _watched(json.loads(done.stdout))
    pytest.fail(f"ffprobe did not see {seconds} s of {url}")


async def _terminate(process: trio.Process) -> None:
    process.terminate()
    with trio.move_on_after(3):
        await process.wait()
        return
    process.kill()


def _watched(found: dict[str, list[dict[str, str | int]]]) -> Watched:
    # Script tags make a third stream, of data.
    streams = [stream for stream in found["streams"] if stream["codec_type"] in ("audio", "video")]
    codecs = {str(stream["codec_type"]): str(stream.get("codec_name")) for stream in streams}
    pictures = [stream for stream in streams if stream["codec_type"] == "video"]
    size = (int(pictures[0]["width"]), int(pictures[0]["height"])) if pictures else (0, 0)
    times_s: dict[str, list[float]] = {kind: [] for kind in codecs}
    for frame in found["frames"]:
        if "pts_time" in frame:
            times_s[str(frame["media_type"])].append(float(frame["pts_time"]))
    assert all(times_s.values()), f"no frames of {[kind for kind, times in times_s.items() if not times]}"
    return Watched(codecs, size, times_s)


@asynccontextmanager
async def ffmpeg_watching(url: str) -> AsyncIterator[Child]:
    """`ffmpeg -i URL -f null -`, which has decoded the first frames already; it goes on until the stream ends."""
    command = (
        need("ffmpeg"),
        *shlex.split("-hide_banner -nostats -progress - -stats_period 0.2 -i"),
        url,
        "-f",
        "null",
        "-",
    )
    async with running(*command, name="ffmpeg, watching") as child:
        await child.printed(r"^frame=\s*[1-9]")
        yield child


@asynccontextmanager
async def ffplay_watching(url: str) -> AsyncIterator[Child]:
    """ffplay without a screen or a loudspeaker, which shows the picture already."""
    no_devices = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}
    command = (need("ffplay"), *shlex.split("-hide_banner -stats -autoexit"), url)
    async with running(*command, name="ffplay", env=no_devices) as child:
        await child.printed(r"^ *[0-9.]+ (A-V|M-V|M-A):", seconds=15)  # its clock runs
        yield child
