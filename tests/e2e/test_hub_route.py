"""Scheme two with real parts: encoders -> nginx-rtmp -> the door, or straight to it -> ffprobe, ffplay, rtmpdump."""

import shlex
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from protocol import NEED_DATA
from protocol.flv import FlvDecoder, Tag, TagType, is_codec_configuration
from tests.e2e.door import Door, running_door
from tests.e2e.modern import CODECS, publishing_file, record
from tests.e2e.origins import NodeMediaServer, nginx_rtmp, publishing
from tests.e2e.processes import Child, free_port, need, running
from tests.e2e.viewers import Watched, ffmpeg_watching, ffplay_watching, watch

LIVE = "/live?app=myapp&stream=test"
RTMP = ("--rtmp", "127.0.0.1:0")

pytestmark = pytest.mark.usefixtures("nginx_rtmp_is_here")


@pytest.fixture(autouse=True)
def _programs_are_here() -> None:
    for program in ("gst-launch-1.0", "rtmpdump"):
        need(program)


class FlvReader:
    """A viewer that takes everything it gets, and remembers the tags."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._decoder = FlvDecoder()
        self.tags: list[Tag] = []

    async def read_until(self, done: Callable[[Tag], bool]) -> Tag:
        """The next tag of which `done` is true."""
        with trio.fail_after(15):
            while True:
                event = self._decoder.next_event()
                if event is NEED_DATA:
                    data = await self._stream.receive_some()
                    assert data, "the door ended the stream"
                    self._decoder.receive_data(data)
                elif isinstance(event, Tag):
                    self.tags.append(event)
                    if done(event):
                        return event


@asynccontextmanager
async def reading(door: Door) -> AsyncIterator[FlvReader]:
    """Watch with nothing but the kit, and take every tag."""
    async with await trio.open_tcp_stream("127.0.0.1", door.port) as stream:
        await stream.send_all(f"GET {LIVE} HTTP/1.0\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some(1)
        assert b" 200 " in head
        yield FlvReader(stream)


def is_media(tag: Tag) -> bool:
    return tag.type in (TagType.AUDIO, TagType.VIDEO) and not is_codec_configuration(tag.type, tag.body)


def never_goes_back(tags: list[Tag]) -> bool:
    """Whether the tags of each kind keep the order of time."""
    kinds = (TagType.AUDIO, TagType.VIDEO)
    times = [[int(tag.timestamp) for tag in tags if tag.type == kind and is_media(tag)] for kind in kinds]
    return all(each == sorted(each) for each in times)


# --- watching ---


async def test_what_an_encoder_pushes_to_nginx_is_watched_at_the_door_by_ffprobe(tmp_path: Path) -> None:
    seen: list[Watched] = []

    async def see(url: str) -> None:
        seen.append(await watch(url, 2))

    async with (
        running_door(tmp_path, *RTMP) as door,
        nginx_rtmp(tmp_path, push_to_port=door.rtmp_port) as nginx,
        publishing(nginx.rtmp_url("myapp/test")),
        trio.open_nursery() as nursery,
    ):
        await door.logged("publisher.start", app="myapp", stream="test")
        for url in (door.http_url + LIVE, f"{door.http_url}/myapp/test.flv", door.rtmp_url("myapp/test")):
            nursery.start_soon(see, url)
    for watched in seen:
        watched.shows(seconds=2)
        assert watched.size == (320, 180)


async def test_nginx_brings_an_applications_key_in_the_url_that_it_pushes_to(tmp_path: Path) -> None:
    config = 'publish.keys = {"myapp/*" = "the-key"}'
    async with (
        running_door(tmp_path, *RTMP, config=config) as door,
        nginx_rtmp(tmp_path, push_to_port=door.rtmp_port, query="?key=the-key") as nginx,
        publishing(nginx.rtmp_url("myapp/test")),
    ):
        await door.logged("publisher.start", app="myapp", stream="test")
        (await watch(door.http_url + LIVE, 2)).shows(seconds=2)


async def test_nginx_with_another_key_is_refused(tmp_path: Path) -> None:
    config = 'publish.keys = {"myapp/*" = "the-key"}'
    async with (
        running_door(tmp_path, *RTMP, config=config) as door,
        nginx_rtmp(tmp_path, push_to_port=door.rtmp_port, query="?key=another") as nginx,
        publishing(nginx.rtmp_url("myapp/test")),
    ):
        refused = await door.logged("rtmp.refused")
        assert refused["detail"] == "This is not the key of myapp/test: the operator has it in [publish] keys."
        assert "another" not in door.child.output


async def test_ffplay_and_rtmpdump_watch_it_too_and_everything_is_given_back(tmp_path: Path) -> None:
    dump = tmp_path / "dump.flv"
    async with running_door(tmp_path, *RTMP, config="hub.republish_grace_s = 0.5") as door:
        descriptors = door.descriptors
        async with (
            nginx_rtmp(tmp_path, push_to_port=door.rtmp_port) as nginx,
            publishing(nginx.rtmp_url("myapp/test")),
        ):
            await door.logged("publisher.start")
            rtmpdump = [need("rtmpdump"), *shlex.split(f"--quiet --live -r {door.rtmp_url('myapp/test')} -o {dump}")]
            async with (
                ffplay_watching(door.http_url + LIVE),
                ffplay_watching(door.rtmp_url("myapp/test")),
                running(*rtmpdump) as dumping,
            ):
                await grown(dump, 150_000)
                await dumping.stop(signal.SIGINT)
            ends = await door.logged_times("viewer.end", 3)
        assert {end["reason"] for end in ends} == {"viewer_left"}
        await door.logged("stream.end")
        await door.has_descriptors(descriptors)
    (await watch(str(dump), 1)).shows(seconds=1)


async def test_both_schemes_run_side_by_side_in_one_door(
    tmp_path: Path, origin: NodeMediaServer, encoder: Child
) -> None:
    table = f'[origins.a]\nurl = "{origin.http_url}"\ntarget = "/{{app}}/{{stream}}.flv"'
    scheme_one = f"hub.republish_grace_s = 0.5\n{table}"
    seen: list[Watched] = []

    async def see(url: str) -> None:
        seen.append(await watch(url, 2))

    async with running_door(tmp_path, *RTMP, config=scheme_one) as door:
        descriptors = door.descriptors
        async with (
            nginx_rtmp(tmp_path, push_to_port=door.rtmp_port) as nginx,
            publishing(nginx.rtmp_url("myapp/test"), size="426x240"),
        ):
            await door.logged("publisher.start")
            async with (
                ffmpeg_watching(f"{door.http_url}/live?src=a&port=1935&app=myapp&stream=test") as spliced,
                trio.open_nursery() as nursery,
            ):
                for url in (door.http_url + LIVE, door.rtmp_url("myapp/test")):
                    nursery.start_soon(see, url)
            ends = await door.logged_times("viewer.end", 3)
        await door.logged("stream.end")
        await door.has_descriptors(descriptors)
    for watched in seen:
        watched.shows(seconds=2)
        assert watched.size == (426, 240)
    # ffprobe would not do: node-media-server's metadata is of time 0, so that 2 s may be over at the first frame.
    assert "320x180" in spliced.output
    assert sorted(end["route"] for end in ends) == ["hub", "hub", "splice"]


async def test_gstreamer_publishes(tmp_path: Path) -> None:
    async with running_door(tmp_path, *RTMP) as door:
        pipeline = (
            "-q videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1"
            " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=12 ! h264parse ! mux."
            " audiotestsrc is-live=true ! voaacenc ! aacparse ! mux."
            f" flvmux name=mux streamable=true ! rtmp2sink location={door.rtmp_url('myapp/test')}"
        )
        async with running(need("gst-launch-1.0"), *shlex.split(pipeline), name="gstreamer") as gstreamer:
            await door.logged("publisher.start", seconds=20)
            watched = await watch(f"{door.http_url}/myapp/test.flv", 2)
            await gstreamer.stop(signal.SIGINT)
        assert (await door.logged("publisher.end"))["reason"] == "publisher_left"
    watched.shows(seconds=2)


async def grown(file: Path, size: int) -> None:
    """Wait until a file has so many bytes."""
    with trio.fail_after(15):
        while not (file.exists() and file.stat().st_size >= size):
            await trio.sleep(0.05)


# --- those who die ---


async def test_an_encoder_that_is_killed_and_comes_back_keeps_its_viewers(tmp_path: Path) -> None:
    async with (
        running_door(tmp_path, *RTMP) as door,
        publishing(door.rtmp_url("myapp/test")) as encoder,
        ffmpeg_watching(door.http_url + LIVE) as viewer,
        ffmpeg_watching(door.rtmp_url("myapp/test")) as player,
        reading(door) as reader,
    ):
        await encoder.stop(signal.SIGKILL)
        assert (await door.logged("publisher.end"))["reason"] == "publisher_left"
        lines = len(viewer.lines), len(player.lines)
        async with publishing(door.rtmp_url("myapp/test")):
            first = await reader.read_until(is_media)
            await reader.read_until(lambda tag: int(tag.timestamp) > int(first.timestamp) + 1500)
            assert never_goes_back(reader.tags)
            for each, after in zip((viewer, player), lines, strict=True):
                await each.printed("^progress=continue", after=after)
            assert "viewer.end" not in door.child.output
            for each in (viewer, player):
                await each.stop()  # now: ffmpeg takes its time to end while nothing comes


async def test_another_codec_may_come_back_under_the_same_name(tmp_path: Path) -> None:
    file = await record(CODECS["HEVC and Opus"], tmp_path / "hevc.flv")
    async with (
        running_door(tmp_path, *RTMP) as door,
        publishing(door.rtmp_url("myapp/test")) as encoder,
        reading(door) as reader,
    ):
        await reader.read_until(is_media)
        await encoder.stop(signal.SIGKILL)
        async with publishing_file(file, door.rtmp_url("myapp/test")):
            configuration = await reader.read_until(lambda tag: tag.body.startswith(b"\x90hvc1"))
            frame = await reader.read_until(lambda tag: tag.body[1:5] == b"hvc1" and is_media(tag))
            assert int(frame.timestamp) >= int(configuration.timestamp)
            assert never_goes_back(reader.tags)


async def test_a_viewer_that_is_killed_is_gone_at_once(tmp_path: Path) -> None:
    async with running_door(tmp_path, *RTMP) as door, publishing(door.rtmp_url("myapp/test")):
        for url in (door.http_url + LIVE, door.rtmp_url("myapp/test")):
            descriptors = door.descriptors
            async with ffmpeg_watching(url) as viewer:
                ended_before = sum(event["event"] == "viewer.end" for event in door.events)
                await viewer.stop(signal.SIGKILL)
                ends = await door.logged_times("viewer.end", ended_before + 1, seconds=1)
                assert ends[-1]["reason"] == "viewer_left"
            await door.has_descriptors(descriptors)


async def test_an_nginx_that_is_killed_and_comes_back_keeps_its_viewers(tmp_path: Path) -> None:
    rtmp_port = free_port()
    directories = [tmp_path / name for name in ("first", "second")]
    for directory in directories:
        directory.mkdir()
    async with running_door(tmp_path, *RTMP) as door, trio.open_nursery() as nursery:
        first = nginx_rtmp(directories[0], push_to_port=door.rtmp_port, rtmp_port=rtmp_port)
        async with first as nginx, publishing(nginx.rtmp_url("myapp/test")):
            await door.logged("publisher.start")
            reader = await nursery.start(_read_for_ever, door)
            await nginx.child.stop(signal.SIGKILL)
            await door.logged("publisher.end")
        second = nginx_rtmp(directories[1], push_to_port=door.rtmp_port, rtmp_port=rtmp_port)
        async with second as nginx, publishing(nginx.rtmp_url("myapp/test")):
            await door.logged_times("publisher.start", 2)
            seen = len(reader.tags)
            with trio.fail_after(10):
                while len(reader.tags) < seen + 50:
                    await trio.sleep(0.05)
        assert never_goes_back(reader.tags)
        nursery.cancel_scope.cancel()


async def _read_for_ever(door: Door, task_status: trio.TaskStatus[FlvReader]) -> None:
    async with reading(door) as reader:
        task_status.started(reader)
        while True:
            await reader.read_until(is_media)


async def test_a_stream_that_does_not_come_back_ends_for_its_viewers_and_is_404_then(tmp_path: Path) -> None:
    async with (
        running_door(tmp_path, *RTMP, config="hub.republish_grace_s = 0.5") as door,
        publishing(door.rtmp_url("myapp/test")) as encoder,
        ffmpeg_watching(door.http_url + LIVE) as viewer,
        ffmpeg_watching(door.rtmp_url("myapp/test")) as player,
    ):
        await encoder.stop()
        assert await viewer.ended(seconds=5) == 0
        assert await player.ended(seconds=5) == 0
        with pytest.raises(AssertionError, match="404"):
            await watch(door.http_url + LIVE, 1)
        ends = await door.logged_times("viewer.end", 3)
        assert [end["reason"] for end in ends] == ["origin_ended", "origin_ended", "refused"]


async def test_an_encoder_whose_network_drops_is_taken_over_when_it_comes_back(tmp_path: Path) -> None:
    # A stopped process keeps its connection open and sends nothing, as one whose network is gone.
    async with (
        running_door(tmp_path, *RTMP, config="hub.takeover_s = 1") as door,
        publishing(door.rtmp_url("myapp/test")) as encoder,
        reading(door) as reader,
    ):
        before = await reader.read_until(is_media)
        encoder.send_signal(signal.SIGSTOP)
        try:
            async with running(*publish_command(door.rtmp_url("myapp/test")), name="ffmpeg, too early") as early:
                assert await early.ended() != 0
                assert "is being published already" in early.output
            await trio.sleep(1)
            async with publishing(door.rtmp_url("myapp/test")):
                assert (await door.logged("publisher.end"))["reason"] == "replaced"
                await reader.read_until(lambda tag: int(tag.timestamp) > int(before.timestamp) + 1500)
                assert never_goes_back(reader.tags)
        finally:
            encoder.send_signal(signal.SIGCONT)


async def test_a_door_that_is_stopped_tells_everyone_of_the_hub(tmp_path: Path) -> None:
    async with (
        running_door(tmp_path, *RTMP) as door,
        publishing(door.rtmp_url("myapp/test")) as encoder,
        ffmpeg_watching(door.http_url + LIVE) as viewer,
        ffmpeg_watching(door.rtmp_url("myapp/test")) as player,
    ):
        assert await door.stop() == 0
        for each in (encoder, viewer, player):
            await each.ended(seconds=5)
        reasons = [event["reason"] for event in door.events if event["event"] in ("viewer.end", "publisher.end")]
        assert reasons == ["drained"] * 3


# --- refusals, as encoders show them ---


async def test_an_encoder_is_told_why_it_may_not_publish(tmp_path: Path) -> None:
    async with (
        running_door(tmp_path, *RTMP, config='publish.allow = ["192.0.2.0/24"]') as door,
        running(*publish_command(door.rtmp_url("myapp/test")), name="ffmpeg") as encoder,
    ):
        assert await encoder.ended() != 0
        assert "[publish] allow" in encoder.output


async def test_an_application_with_a_slash_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with (
        running_door(tmp_path, *RTMP) as door,
        running(*publish_command(door.rtmp_url("a/b/test")), name="ffmpeg") as encoder,
    ):
        assert await encoder.ended() != 0
        assert "no slash" in encoder.output


def publish_command(url: str) -> tuple[str, ...]:
    """An ffmpeg that publishes a second of nothing much."""
    source = "-nostdin -hide_banner -f lavfi -i testsrc2=size=64x64:rate=25 -t 1 -c:v flv -f flv"
    return (need("ffmpeg"), *shlex.split(source), url)
