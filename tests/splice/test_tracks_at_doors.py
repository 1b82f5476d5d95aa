"""?tracks= by every way of viewing, and the default of an application; on the splice route it is the origin's own."""

from typing import Any

import pytest
from trio.testing import MockClock

from protocol.flv import FlvHeader
from protocol.rtmp import Code, MediaKind, Refused
from tests.splice.https.https_house import open_https
from tests.splice.hub.servers import HttpOrigin, plays
from tests.splice.hub_house import (
    AUDIO_CONFIGURATION,
    VIDEO_CONFIGURATION,
    House,
    RtmpClient,
    audio,
    inter_frame,
    keyframe,
    open_house,
)
from tests.splice.splice_house import GET, OK, splicing
from tests.splice.websocket_client import watch

LIVE = "/live?app=myapp&stream=test"
PATH_FORM = "/myapp/test.flv"
PICTURES = FlvHeader(has_audio=False, has_video=True)
SOUND = FlvHeader(has_audio=True, has_video=False)
BOTH = FlvHeader(has_audio=True, has_video=True)


async def publishing(house: House, name: str = "myapp/test") -> RtmpClient:
    publisher = await house.rtmp(name).publish()
    await publisher.begin()
    return publisher


async def header(house: House, target: str) -> FlvHeader | None:
    """What a viewer's stream begins with."""
    viewer = await house.http(target)
    await viewer.next_tag()
    return viewer.header


@pytest.mark.parametrize("target", [LIVE + "&tracks=video", PATH_FORM + "?tracks=video", PATH_FORM + "?tracks=v%69deo"])
async def test_pictures_alone_by_both_forms_of_the_url(autojump_clock: MockClock, target: str) -> None:
    async with open_house() as house:
        publisher = await publishing(house)
        viewer = await house.http(target)
        await publisher.audio(10, audio(b"1"))
        await publisher.video(40, inter_frame(b"2"))
        await viewer.tag_with(inter_frame(b"2"))
        assert viewer.header == PICTURES
        assert [tag.body for tag in viewer.tags] == [VIDEO_CONFIGURATION, keyframe(), inter_frame(b"2")]


async def test_sound_alone_waits_for_no_picture(autojump_clock: MockClock) -> None:
    async with open_house(hub={"gop_cache_s": 0}) as house:
        publisher = await publishing(house)
        viewer = await house.http(LIVE + "&tracks=audio")
        await publisher.video(40, inter_frame())
        await publisher.audio(50, audio(b"1"))
        await viewer.tag_with(audio(b"1"))
        assert viewer.header == SOUND
        assert [tag.body for tag in viewer.tags] == [AUDIO_CONFIGURATION, audio(b"1")]


async def test_by_websocket(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await publishing(house)
        viewer = await watch(house, LIVE + "&tracks=audio")
        assert await viewer.bodies(2) == [AUDIO_CONFIGURATION, audio()]


async def test_by_rtmp(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await publishing(house)
        for name in ("myapp/test?tracks=audio", "myapp?tracks=audio/test"):
            player = await house.rtmp(name).play()
            await publisher.video(40, inter_frame())
            await publisher.audio(50, audio(b"1"))
            kinds = []
            while (message := await player.next_media()).payload != audio(b"1"):
                kinds.append(message.kind)
            assert set(kinds) == {MediaKind.AUDIO}


async def test_by_https(autojump_clock: MockClock) -> None:
    async with open_https() as door:
        await publishing(door.house)
        viewer = await door.http1(LIVE + "&tracks=video")
        await viewer.tag_with(keyframe())
        assert viewer.header == PICTURES


async def test_of_a_relayed_origin_too(autojump_clock: MockClock) -> None:
    origin = HttpOrigin(plays(3600))
    async with origin.listening():
        origins = {"b": {"url": f"http://127.0.0.1:{origin.port}", "mode": "relay"}}
        async with open_house(origins=origins, hub={"idle_stop_s": 0}) as house:
            assert await header(house, LIVE + "&src=b&tracks=video") == PICTURES
            assert b"tracks" not in origin.connections[0].head, "the pull is for all who watch"


# --- the default of an application ---


async def test_an_application_has_a_default_and_a_viewer_a_wish(autojump_clock: MockClock) -> None:
    async with open_house(apps={"myapp": {"tracks": "video"}}) as house:
        publisher = await publishing(house)
        await publishing(house, "other/test")
        assert await header(house, LIVE) == PICTURES
        assert await header(house, LIVE + "&tracks=all") == BOTH
        assert await header(house, LIVE + "&tracks=audio") == SOUND
        assert await header(house, "/other/test.flv") == BOTH
        player = await house.rtmp().play()
        await publisher.audio(10, audio())
        await publisher.video(40, inter_frame(b"1"))
        kinds = set()
        while (message := await player.next_media()).payload != inter_frame(b"1"):
            kinds.add(message.kind)
        assert kinds == {MediaKind.VIDEO}


# --- what is refused ---

WRONG = [
    ("tracks=sound", "The parameter tracks is video or audio, or all for both."),
    ("tracks=", "The parameter tracks is video or audio, or all for both."),
    ("tracks", "The parameter tracks is video or audio, or all for both."),
    ("tracks=VIDEO", "The parameter tracks is video or audio, or all for both."),
    ("tracks=video&tracks=video", "The parameter tracks is given twice; give it once."),
    ("tracks=video&%74racks=audio", "The parameter tracks is given twice; give it once."),
    ("Tracks=video", "Write the parameter's name as tracks, in small letters without a %."),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG)
async def test_another_word_or_a_second_one_is_a_400(autojump_clock: MockClock, wrong: str, says: str) -> None:
    async with open_house() as house:
        await publishing(house)
        for target in (f"{LIVE}&{wrong}", f"{PATH_FORM}?{wrong}"):
            viewer = await house.http(target)
            assert viewer.head.status == 400
            assert says in await viewer.text()


@pytest.mark.parametrize(("wrong", "says"), WRONG)
async def test_an_rtmp_player_is_told_so_too(autojump_clock: MockClock, wrong: str, says: str) -> None:
    async with open_house() as house:
        await publishing(house)
        player = await house.rtmp(f"myapp/test?{wrong}").connect()
        await player.send(player.session.play())
        refused = await player.last_event()
        assert isinstance(refused, Refused)
        assert (refused.code, refused.description) == (Code.PLAY_FAILED, says)


# --- the splice route ---


@pytest.mark.parametrize("query", [b"&tracks=video", b"&tracks=1,2&tracks=3", b"&Tracks=x"])
@pytest.mark.parametrize("src", [b"src=a&", b""])
async def test_where_nothing_is_parsed_it_is_the_origins_parameter(query: bytes, src: bytes) -> None:
    apps: dict[str, Any] = {"myapp": {"tracks": "audio", "chunked": False}}
    async with splicing(default_origin="a", apps=apps) as (origin, house):
        request = GET.replace(b"src=a&", src).replace(b" HTTP", query + b" HTTP")
        viewer = await house.viewer(request)
        asked = await origin.asked()
        assert asked.received.split(b"\r\n")[0] == request.split(b"\r\n")[0]
        await asked.send(OK + b"FLV, with whatever the origin gives")
        await viewer.until(b"FLV, with whatever the origin gives")
