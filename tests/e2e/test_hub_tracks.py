"""One kind of tracks alone, for real players: ffprobe sees no other, and begins at once."""

from pathlib import Path

import pytest
import trio

from tests.e2e.door import running_door
from tests.e2e.origins import publishing
from tests.e2e.viewers import watch

LIVE = "/live?app=myapp&stream=test"
RTMP = ("--rtmp", "127.0.0.1:0")
SECONDS = 1
# FFmpeg looks for more tracks wherever an FLV has one alone, for five seconds unless it is told otherwise.
BRIEFLY = ("-analyzeduration", "1000000")
AT_ONCE_S = 4  # for a program's start on a busy machine, and a second of the stream


@pytest.mark.parametrize(("tracks", "codecs"), [("video", {"video": "h264"}), ("audio", {"audio": "aac"})])
async def test_ffprobe_sees_what_was_asked_for_and_at_once(tmp_path: Path, tracks: str, codecs: dict[str, str]) -> None:
    async with running_door(tmp_path, *RTMP) as door, publishing(door.rtmp_url("myapp/test")):
        await door.logged("publisher.start")
        for url in (
            f"{door.http_url}{LIVE}&tracks={tracks}",
            f"{door.http_url}/myapp/test.flv?tracks={tracks}",
            door.rtmp_url(f"myapp/test?tracks={tracks}"),
        ):
            with trio.fail_after(AT_ONCE_S):
                watched = await watch(url, SECONDS, *BRIEFLY)
            assert watched.codecs == codecs
            assert watched.size == ((320, 180) if tracks == "video" else (0, 0))
            [times_s] = watched.times_s.values()
            assert times_s == sorted(times_s)


async def test_an_application_may_leave_sound_out_and_end_bodies_by_close(tmp_path: Path) -> None:
    config = '[apps.myapp]\ntracks = "video"\nchunked = false\nhub.gop_cache_s = 0\n'
    async with running_door(tmp_path, *RTMP, config=config) as door, publishing(door.rtmp_url("myapp/test")):
        await door.logged("publisher.start")
        assert (await watch(door.http_url + LIVE, SECONDS, *BRIEFLY)).codecs == {"video": "h264"}
        (await watch(f"{door.http_url}{LIVE}&tracks=all", SECONDS)).shows(seconds=SECONDS)
