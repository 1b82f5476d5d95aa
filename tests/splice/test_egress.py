"""HTTP-FLV out of the hub: the response by version and method, what a viewer begins with, and who falls behind."""

import socket
from itertools import pairwise

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from protocol.flv import FlvHeader
from splice.http import FramingKind
from splice.stats import EndReason
from tests.splice.hub_house import (
    AUDIO_CONFIGURATION,
    VIDEO_CONFIGURATION,
    FlvViewer,
    audio,
    inter_frame,
    keyframe,
    open_house,
    reset,
)

LIVE = "/live?app=myapp&stream=test"
PATH_FORM = "/myapp/test.flv"


async def bodies(viewer: FlvViewer, count: int) -> list[bytes]:
    """The bodies of the next tags."""
    found = []
    for _ in range(count):
        tag = await viewer.next_tag()
        assert tag is not None
        found.append(tag.body)
    return found


# --- the response ---


@pytest.mark.parametrize("target", [LIVE, PATH_FORM, "/live?stream=test&app=myapp&port=1935&other=x"])
@pytest.mark.parametrize(("version", "framing"), [("1.1", FramingKind.CHUNKED), ("1.0", FramingKind.CLOSE)])
async def test_a_published_stream_is_served_by_both_forms_of_the_url_and_to_both_versions(
    autojump_clock: MockClock, target: str, version: str, framing: FramingKind
) -> None:
    async with open_house(hub={"republish_grace_s": 0}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        viewer = await house.http(target, version=version)
        assert viewer.head.status == 200
        assert viewer.head.framing.kind is framing
        assert viewer.head.get(b"content-type") == b"video/x-flv"
        assert viewer.head.get(b"cache-control") == b"no-store"
        assert viewer.head.get(b"access-control-allow-origin") == b"*"
        assert viewer.head.get(b"connection") == b"close"
        assert viewer.head.get(b"content-length") is None
        assert await bodies(viewer, 4) == [VIDEO_CONFIGURATION, AUDIO_CONFIGURATION, keyframe(), audio()]
        await publisher.leave()
        assert await viewer.next_tag() is None
        assert viewer.whole


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_head_gets_the_head_alone(autojump_clock: MockClock, version: str) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        shown = await house.http(method="HEAD", version=version)
        assert await shown.text() == ""
        watched = await house.http(version=version)
        assert shown.head.status == 200
        assert shown.head.fields == watched.head.fields


async def test_head_of_a_missing_stream_is_404_without_a_body(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        shown = await house.http(method="HEAD")
        assert shown.head.status == 404
        assert await shown.text() == ""


@pytest.mark.parametrize("target", [LIVE, PATH_FORM])
async def test_a_missing_stream_is_404_with_a_sentence(autojump_clock: MockClock, target: str) -> None:
    async with open_house() as house:
        viewer = await house.http(target)
        assert viewer.head.status == 404
        assert viewer.head.get(b"content-type") == b"application/problem+json"
        assert viewer.head.get(b"access-control-allow-origin") == b"*"
        assert "nobody publishes this stream" in (await viewer.text()).lower()


@pytest.mark.parametrize(
    "target",
    ["/myapp/..flv", "/my%2Fapp/test.flv", "/myapp/a%0d%0ab.flv", "/live?app=myapp", "/live?app=a&app=b&stream=c"],
)
async def test_names_that_are_none_are_400_whether_or_not_there_are_streams(
    autojump_clock: MockClock, target: str
) -> None:
    async with open_house() as house:
        assert (await house.http(target)).head.status == 400


async def test_a_viewer_above_a_limit_is_503_before_anything_is_said_of_names(autojump_clock: MockClock) -> None:
    async with open_house(limits={"viewers_per_stream": 1}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        first = await house.http()
        refused = await house.http()
        assert refused.head.status == 503
        assert refused.head.get(b"retry-after") is not None
        await first.leave()
        await wait_all_tasks_blocked()
        assert (await house.http()).head.status == 200


# --- a stream that is about to come ---


async def test_a_viewer_may_wait_for_a_stream(autojump_clock: MockClock) -> None:
    async with open_house(hub={"wait_for_stream_s": 5}) as house:
        heads: list[int] = []

        async def watch() -> None:
            viewer = await house.http()
            heads.append(viewer.head.status)
            await viewer.tag_with(keyframe())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            nursery.start_soon(watch)
            await trio.sleep(4)
            assert heads == []
            await (await house.rtmp().publish()).begin()
    assert heads == [200, 200]


async def test_a_viewer_waits_no_longer_than_wait_for_stream_s(autojump_clock: MockClock) -> None:
    async with open_house(hub={"wait_for_stream_s": 5}) as house:
        viewer = await house.http()
        assert viewer.head.status == 404
        assert trio.current_time() == pytest.approx(5, abs=0.01)


async def test_a_viewer_who_leaves_while_it_waits_is_gone_at_once(autojump_clock: MockClock) -> None:
    async with open_house(hub={"wait_for_stream_s": 60}) as house:
        stream = house.dial(house.door.serve)
        await stream.send_all(b"GET /myapp/test.flv HTTP/1.1\r\nHost: door\r\n\r\n")
        await wait_all_tasks_blocked()
        assert len(house.viewers) == 1
        await stream.send_eof()
        await wait_all_tasks_blocked()
        assert len(house.viewers) == 0


async def test_the_default_origin_is_asked_for_what_is_not_published_here_and_for_nothing_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:  # its port, once closed, refuses
        origin = f"rtmp://127.0.0.1:{nobody.getsockname()[1]}"
    origins = {"origins": {"b": {"url": origin}}, "default_origin": "b"}
    async with open_house(**origins, hub={"republish_grace_s": 0}) as house:
        assert (await house.http()).head.status == 502
        publisher = await house.rtmp().publish()
        await publisher.begin()
        for target in (LIVE, PATH_FORM):
            await (await house.http(target)).tag_with(keyframe())
        assert (await house.http("/live?src=b&app=myapp&stream=test")).head.status == 502


# --- the flags, which tell the truth ---


async def test_video_alone_says_so_after_tracks_wait_ms(autojump_clock: MockClock) -> None:
    async with open_house(hub={"tracks_wait_ms": 700}) as house:
        publisher = await house.rtmp().publish()
        await publisher.video(0, VIDEO_CONFIGURATION)
        await publisher.video(0, keyframe())
        viewer = await house.http()
        await viewer.tag_with(keyframe())
        assert viewer.header == FlvHeader(has_audio=False, has_video=True)
        assert trio.current_time() == pytest.approx(0.7, abs=0.01)


async def test_audio_alone_says_so_and_begins_at_any_frame(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.audio(0, AUDIO_CONFIGURATION)
        await publisher.audio(0, audio(b"1"))
        await trio.sleep(1)
        viewer = await house.http()
        assert await bodies(viewer, 1) == [AUDIO_CONFIGURATION]
        await publisher.audio(23, audio(b"2"))
        assert await bodies(viewer, 1) == [audio(b"2")]
        assert viewer.header == FlvHeader(has_audio=True, has_video=False)


async def test_metadata_that_names_both_tracks_is_believed_at_once(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        metadata = {"videocodecid": 7.0, "audiocodecid": 10.0}
        await publisher.send(publisher.session.send_metadata(metadata))
        await publisher.video(0, VIDEO_CONFIGURATION)
        await publisher.video(0, keyframe())
        viewer = await house.http()
        await viewer.tag_with(keyframe())
        assert viewer.header == FlvHeader(has_audio=True, has_video=True)
        assert trio.current_time() == 0


async def test_a_viewer_who_comes_before_the_first_packet_gets_its_head_at_once_and_true_flags_later(
    autojump_clock: MockClock,
) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        viewer = await house.http()
        assert viewer.head.status == 200
        await publisher.begin()
        await viewer.tag_with(keyframe())
        assert viewer.header == FlvHeader(has_audio=True, has_video=True)


# --- joining ---


async def test_without_a_cache_who_joins_waits_for_the_next_keyframe(autojump_clock: MockClock) -> None:
    async with open_house(hub={"gop_cache_s": 0}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        viewer = await house.http()
        player = await house.rtmp().play()
        await publisher.video(40, inter_frame(b"too early"))
        await publisher.video(80, keyframe(b"now"))
        assert await bodies(viewer, 3) == [VIDEO_CONFIGURATION, AUDIO_CONFIGURATION, keyframe(b"now")]
        heard = [(await player.next_media()).payload for _ in range(3)]
        assert heard == [VIDEO_CONFIGURATION, AUDIO_CONFIGURATION, keyframe(b"now")]


async def test_a_viewer_gets_each_packet_once_with_merging(autojump_clock: MockClock) -> None:
    async with open_house(hub={"merge_ms": 20}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        await publisher.video(40, inter_frame(b"pending"))
        viewer = await house.http()
        await publisher.video(80, inter_frame(b"after"))
        expected = [VIDEO_CONFIGURATION, AUDIO_CONFIGURATION, keyframe(), audio()]
        assert await bodies(viewer, 6) == [*expected, inter_frame(b"pending"), inter_frame(b"after")]


async def test_a_codec_may_change_in_mid_stream(autojump_clock: MockClock) -> None:
    hevc_configuration = b"\x90hvc1\x01" + bytes(22)
    hevc_keyframe = b"\x91hvc1\0\0\0frame"
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        viewer = await house.http()
        await viewer.tag_with(audio())
        await publisher.video(40, hevc_configuration)
        await publisher.video(40, hevc_keyframe)
        assert await bodies(viewer, 2) == [hevc_configuration, hevc_keyframe]
        late = await house.http()
        assert set(await bodies(late, 2)) == {hevc_configuration, AUDIO_CONFIGURATION}
        assert await bodies(late, 1) == [hevc_keyframe]


# --- falling behind, and leaving ---


async def test_a_viewer_who_falls_behind_goes_on_at_a_keyframe(autojump_clock: MockClock) -> None:
    async with open_house(hub={"backlog_bytes": 300_000}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        viewer = await house.http()
        await viewer.tag_with(audio())
        (live,) = [stream for stream, _ in house.hub]
        for number in range(1, 30):
            begins = number % 5 == 0
            await publisher.video(number * 40, (keyframe if begins else inter_frame)(b"%d " % number + bytes(100_000)))
        await wait_all_tasks_blocked()
        assert live.backlog_bytes < 600_000
        await publisher.video(1200, keyframe(b"30 " + bytes(1000)))
        await viewer.tag_with(keyframe(b"30 " + bytes(1000)))
        numbers = [int(tag.body[5:].split()[0]) for tag in viewer.tags if len(tag.body) > 1000]
        gaps = [later for earlier, later in pairwise(numbers) if later != earlier + 1]
        assert gaps
        assert all(number % 5 == 0 for number in gaps), "what follows a gap is a keyframe"


async def test_a_viewer_who_never_reads_is_dropped_after_stall_s_and_the_others_see_no_gap(
    autojump_clock: MockClock,
) -> None:
    with capture_logs() as logs:
        async with open_house(timeouts={"stall_s": 5}, hub={"backlog_bytes": 200_000}) as house:
            publisher = await house.rtmp().publish()
            await publisher.begin()
            await house.http()
            others = [await house.http(), await house.http(PATH_FORM, version="1.0")]
            (live,) = [stream for stream, _ in house.hub]
            for number in range(1, 200):
                frame = (inter_frame if number % 10 else keyframe)(b"%d" % number + bytes(10_000))
                await publisher.video(number * 40, frame)
                for viewer in others:
                    assert (await viewer.tag_with(frame)).timestamp == number * 40
                assert live.backlog_bytes < 300_000
                await trio.sleep(0.04)
            assert len(house.viewers) == 2
            assert live.backlog_bytes == 0
    (end,) = [event for event in logs if event["event"] == "viewer.end" and event["reason"] != "viewer_left"]
    assert end["reason"] == "stalled"


@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
async def test_a_viewer_who_leaves_is_gone_at_once_though_nothing_flows(how: str) -> None:
    async with open_house(hub={"republish_grace_s": 0}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        viewer = await house.http_over_loopback()
        await viewer.tag_with(audio())
        assert len(house.viewers) == 1
        with trio.fail_after(0.5):  # 100 ms is the promise, the rest is for a machine with more to do
            if how == "half-close":
                await viewer.stream.send_eof()
            else:
                if how == "reset":
                    reset(viewer.stream)
                await viewer.leave()
            while len(house.viewers):
                await trio.sleep(0.001)


async def test_what_a_viewer_still_sends_is_dropped_and_bounded(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        viewer = await house.http()
        await viewer.stream.send_all(b"x" * 10_000)
        await publisher.video(40, inter_frame(b"still"))
        await viewer.tag_with(inter_frame(b"still"))
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await viewer.stream.send_all(b"x" * 10_000)
        assert len(house.viewers) == 0


async def test_the_log_says_what_was_served(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house() as house:
            publisher = await house.rtmp().publish()
            await publisher.begin()
            viewer = await house.http(f"{LIVE}&token=geheim")
            await viewer.tag_with(audio())
            await viewer.leave()
    (end,) = [event for event in logs if event["event"] == "viewer.end"]
    assert (end["route"], end["app"], end["stream"], end["reason"]) == ("hub", "myapp", "test", "viewer_left")
    assert end["bytes"] > 60
    assert "geheim" not in str(logs)


async def test_a_kicked_viewer_is_gone_and_the_others_stay(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        kicked, player, stays = await house.http(), await house.rtmp().play(), await house.http()
        for viewer in list(house.viewers)[:2]:
            viewer.end(EndReason.KICKED)
        await kicked.last_tag()
        assert not kicked.whole
        await player.last_event()
        await publisher.video(40, inter_frame(b"still"))
        await stays.tag_with(inter_frame(b"still"))


async def test_many_viewers_of_one_stream_leave_nothing_behind(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        (live,) = [stream for stream, _ in house.hub]
        viewers = [await house.http(version=version) for version in ("1.0", "1.1") * 20]
        players = [await house.rtmp().play() for _ in range(20)]
        assert live.viewers == len(house.viewers) == 60
        await publisher.video(40, inter_frame(b"for all"))
        for viewer in viewers:
            await viewer.tag_with(inter_frame(b"for all"))
        for player in players:
            await player.media_with(inter_frame(b"for all"))
        for client in (*viewers, *players):
            await client.leave()
        await wait_all_tasks_blocked()
        assert live.viewers == live.backlog_bytes == len(house.viewers) == 0


# --- codecs that are set up late, or in old ways ---


async def test_hevc_by_its_legacy_number_is_joined_at_a_keyframe_with_its_configuration(
    autojump_clock: MockClock,
) -> None:
    configuration, key, inter = b"\x1c\0\0\0\0\x01hvcC", b"\x1c\x01\0\0\0key", b"\x2c\x01\0\0\0inter"
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        for at, payload in ((0, configuration), (0, b"\x1c\x01\0\0\0old"), (1000, key), (1040, inter)):
            await publisher.video(at, payload)
        viewer = await house.http()
        assert await bodies(viewer, 3) == [configuration, key, inter]


async def test_a_configuration_that_comes_late_reaches_those_who_watch_and_those_who_come(
    autojump_clock: MockClock,
) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.video(0, keyframe(b"blind"))
        viewer = await house.http()
        await viewer.tag_with(keyframe(b"blind"))
        await publisher.video(40, VIDEO_CONFIGURATION)
        await publisher.audio(40, AUDIO_CONFIGURATION)
        await publisher.video(80, keyframe(b"seeing"))
        assert await bodies(viewer, 3) == [VIDEO_CONFIGURATION, AUDIO_CONFIGURATION, keyframe(b"seeing")]
        late = await house.http()
        assert await bodies(late, 3) == [VIDEO_CONFIGURATION, AUDIO_CONFIGURATION, keyframe(b"seeing")]


async def test_audio_alone_and_video_alone_may_follow_each_other_under_one_name(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.audio(0, AUDIO_CONFIGURATION)
        await publisher.audio(0, audio(b"1"))
        viewer = await house.http()
        await viewer.tag_with(AUDIO_CONFIGURATION)
        await publisher.leave()
        await wait_all_tasks_blocked()
        publisher = await house.rtmp().publish()
        await publisher.video(0, VIDEO_CONFIGURATION)
        await publisher.video(0, keyframe())
        await viewer.tag_with(keyframe())
        late = await house.http()
        await late.tag_with(keyframe())
        assert late.header == FlvHeader(has_audio=False, has_video=True)
