"""Applications with settings of their own, at both doors: who may come, how many, and how they are served."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from protocol.rtmp import Code, Refused
from splice.config import Settings
from splice.http import FramingKind
from splice.rules import hub_limits, pull_timeouts
from splice.stats import EndReason, LimitReachedError, Publisher, Publishers
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
from tests.splice.websocket_client import watch

CAMS = "/live?app=cams&stream=test"
OTHER = "/live?app=myapp&stream=test"


async def publishing(house: House, *names: str) -> list[RtmpClient]:
    publishers = [await house.rtmp(name).publish() for name in names]
    for publisher in publishers:
        await publisher.begin()
    return publishers


async def refused(client: RtmpClient, what: str) -> Refused:
    """What a client is told that may not publish or play."""
    await client.connect()
    await client.send(client.session.publish() if what == "publish" else client.session.play())
    last = await client.last_event()
    assert isinstance(last, Refused)
    return last


# --- who may come ---


async def test_one_application_has_its_own_viewers_at_both_doors(autojump_clock: MockClock) -> None:
    apps = {"cams": {"play": {"allow": ["10.0.0.0/8"]}}}
    async with open_house(apps=apps) as house:
        await publishing(house, "cams/test", "myapp/test")
        for target in (CAMS, "/cams/test.flv"):
            assert (await house.http(target)).head.status == 403
            assert (await house.http(target, address="10.0.0.7")).head.status == 200
        assert (await watch(house, CAMS)).rejected is not None
        assert (await house.http(OTHER)).head.status == 200
        assert (await refused(house.rtmp("cams/test"), "play")).code == Code.PLAY_FAILED
        await house.rtmp("myapp/test").play()


async def test_one_application_has_its_own_publishers_and_keys(autojump_clock: MockClock) -> None:
    apps = {"cams": {"publish": {"keys": {"cams/*": "sesame"}}}, "closed": {"publish": {"allow": []}}}
    async with open_house(publish={"keys": {"myapp/test": "other"}}, apps=apps) as house:
        assert (await refused(house.rtmp("cams/front"), "publish")).code == Code.PUBLISH_DENIED
        assert (await refused(house.rtmp("closed/test"), "publish")).code == Code.PUBLISH_DENIED
        assert (await refused(house.rtmp("myapp/test"), "publish")).code == Code.PUBLISH_DENIED
        for name in ("cams/front?key=sesame", "cams/back?key=sesame", "myapp/test?key=other", "myapp/free"):
            await house.rtmp(name).publish()


async def test_a_key_for_all_streams_comes_in_the_apps_query_as_nginx_sends_it(autojump_clock: MockClock) -> None:
    async with open_house(publish={"keys": {"myapp/*": "sesame"}}) as house:
        await house.rtmp("myapp?key=sesame/test").publish()
        assert (await refused(house.rtmp("myapp?key=other/test"), "publish")).code == Code.PUBLISH_DENIED


async def test_signatures_may_be_asked_for_in_one_application_alone(autojump_clock: MockClock) -> None:
    apps = {"cams": {"play": {"sign_keys": {"k1": "secret"}}}}
    async with open_house(apps=apps) as house:
        await publishing(house, "cams/test", "myapp/test")
        assert (await house.http(CAMS)).head.status == 401
        assert (await house.http(OTHER)).head.status == 200


# --- how many ---


async def until_left(house: House, viewers: int) -> None:
    while len(house.viewers) > viewers:
        await trio.sleep(0.01)


async def test_viewers_of_an_application_are_counted_by_themselves(autojump_clock: MockClock) -> None:
    async with open_house(apps={"cams": {"limits": {"viewers": 1}}}) as house:
        await publishing(house, "cams/test", "cams/other", "myapp/test")
        await house.http(OTHER)
        first = await house.http(CAMS)
        assert first.head.status == 200
        for target in (CAMS, "/cams/other.flv"):
            full = await house.http(target)
            assert full.head.status == 503
            assert "This application has as many viewers as it may" in await full.text()
        assert (await refused(house.rtmp("cams/test"), "play")).code == Code.CONNECT_REJECTED
        assert (await house.http(OTHER)).head.status == 200
        await first.leave()
        await until_left(house, 2)
        assert (await house.http(CAMS)).head.status == 200


async def test_viewers_of_one_address_are_counted_in_their_application(autojump_clock: MockClock) -> None:
    async with open_house(apps={"cams": {"limits": {"viewers_per_address": 1}}}) as house:
        await publishing(house, "cams/test", "myapp/test")
        await house.http(OTHER)
        assert (await house.http(CAMS)).head.status == 200
        assert "Your address has as many viewers of this application" in await (await house.http(CAMS)).text()
        assert (await house.http(CAMS, address="127.0.0.2")).head.status == 200


async def test_an_applications_streams_have_places_of_their_own(autojump_clock: MockClock) -> None:
    async with open_house(apps={"cams": {"limits": {"viewers_per_stream": 1}}}) as house:
        await publishing(house, "cams/test", "cams/other", "myapp/test")
        for target in (CAMS, "/cams/other.flv", OTHER, OTHER):
            assert (await house.http(target)).head.status == 200
        assert "This stream has as many viewers as it may" in await (await house.http(CAMS)).text()


async def test_the_doors_own_limits_hold_besides_an_applications(autojump_clock: MockClock) -> None:
    limits = {"viewers_per_stream": 1}
    async with open_house(limits=limits, apps={"cams": {"limits": {"viewers_per_stream": 5}}}) as house:
        await publishing(house, "cams/test")
        assert (await house.http(CAMS)).head.status == 200
        assert (await house.http(CAMS)).head.status == 503


async def test_an_application_takes_so_many_publishers_and_no_more(autojump_clock: MockClock) -> None:
    async with open_house(apps={"cams": {"limits": {"publishers": 1}}}) as house:
        [first] = await publishing(house, "cams/front")
        full = await refused(house.rtmp("cams/back"), "publish")
        assert full.code == Code.CONNECT_REJECTED
        assert full.description == "This application has as many publishers as it may; try again later."
        await house.rtmp("myapp/test").publish()
        await first.leave()
        while len(house.publishers) > 1:
            await trio.sleep(0.01)
        await house.rtmp("cams/back").publish()


@pytest.mark.parametrize("tables", [{"limits": {"publishers": 1}}, {"apps": {"myapp": {"limits": {"publishers": 1}}}}])
async def test_at_the_limit_an_encoder_can_still_take_its_own_name_over(
    autojump_clock: MockClock, tables: dict[str, Any]
) -> None:
    async with open_house(hub={"takeover_s": 2}, **tables) as house:
        silent = await house.rtmp().publish()
        await silent.begin()
        await trio.sleep(2.1)
        assert (await refused(house.rtmp("myapp/other"), "publish")).code == Code.CONNECT_REJECTED
        again = await house.rtmp().publish()
        await again.begin(label=b"again")
        assert (await refused(house.rtmp("myapp/other"), "publish")).code == Code.CONNECT_REJECTED
        assert len(house.publishers) == 1


async def test_a_publisher_who_is_being_ended_has_left_its_place() -> None:
    publishers = Publishers(limit=1)
    replaced = Publisher("p1", "127.0.0.1:1", "127.0.0.1", "myapp", "test", "rtmp")
    with publishers.present(replaced):
        with pytest.raises(LimitReachedError):
            publishers.check_room("myapp")
        replaced.end(EndReason.REPLACED)
        publishers.check_room("myapp")


async def test_a_player_who_comes_by_the_default_origin_counts_there(autojump_clock: MockClock) -> None:
    origin = HttpOrigin(plays(3600))
    async with origin.listening():
        tables: dict[str, Any] = {
            "origins": {"b": {"url": f"http://127.0.0.1:{origin.port}", "mode": "relay"}},
            "default_origin": "b",
            "limits": {"viewers_per_stream": 1},
            "hub": {"idle_stop_s": 0},
        }
        async with open_house(**tables) as house:
            player = await house.rtmp("myapp/test").play()
            assert [viewer.origin for viewer in house.viewers] == ["b"]
            for target in ("/live?src=b&app=myapp&stream=test", OTHER):
                assert (await house.http(target)).head.status == 503
            for name in ("myapp/test", "myapp/test?src=b"):
                assert (await refused(house.rtmp(name), "play")).code == Code.CONNECT_REJECTED
            await player.leave()
            await until_left(house, 0)
            assert (await house.http(OTHER)).head.status == 200
            assert [viewer.origin for viewer in house.viewers] == ["b"]
            house._close()
            while origin.open:
                await trio.sleep(0.1)


# --- how they are served ---


async def test_without_a_gop_cache_who_joins_waits_for_the_next_keyframe(autojump_clock: MockClock) -> None:
    async with open_house(apps={"cams": {"hub": {"gop_cache_s": 0}}}) as house:
        cams, other = await publishing(house, "cams/test", "myapp/test")
        at_once, waiting = await house.http(OTHER), await house.http(CAMS)
        await at_once.tag_with(keyframe())
        for publisher in (cams, other):
            await publisher.video(40, inter_frame(b"of the old group"))
            await publisher.video(80, keyframe(b"next"))
        await waiting.tag_with(keyframe(b"next"))
        assert [tag.body for tag in waiting.tags] == [VIDEO_CONFIGURATION, AUDIO_CONFIGURATION, keyframe(b"next")]
        await at_once.tag_with(inter_frame(b"of the old group"))


async def test_each_application_has_its_takeover_and_its_wait(autojump_clock: MockClock) -> None:
    apps = {"cams": {"hub": {"takeover_s": 0, "wait_for_stream_s": 3}}}
    async with open_house(apps=apps) as house:
        assert (await house.http(OTHER)).head.status == 404
        assert trio.current_time() == 0
        assert (await house.http(CAMS)).head.status == 404
        assert trio.current_time() == pytest.approx(3, abs=0.01)
        await publishing(house, "cams/test", "myapp/test")
        await house.rtmp("cams/test").publish()
        assert (await refused(house.rtmp("myapp/test"), "publish")).code == Code.PUBLISH_BAD_NAME


def test_every_key_of_the_hub_is_the_applications_own() -> None:
    own = {"merge_ms": 1, "backlog_s": 9, "tracks_wait_ms": 7, "republish_grace_s": 3, "idle_stop_s": 4}
    settings = Settings.model_validate({"apps": {"cams": {"hub": own}}})
    limits, others = hub_limits(settings, "cams"), hub_limits(settings, "myapp")
    assert (limits.merge_s, limits.backlog_s, limits.tracks_wait_s, limits.republish_grace_s) == (0.001, 9, 0.007, 3)
    assert (others.merge_s, others.backlog_s, others.tracks_wait_s, others.republish_grace_s) == (0.02, 3, 0.5, 10)
    assert [pull_timeouts(settings, app).idle_stop_s for app in ("cams", "myapp")] == [4, 10]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_for_old_players_the_body_ends_with_the_connection(autojump_clock: MockClock, version: str) -> None:
    async with open_house(apps={"cams": {"chunked": False}}, hub={"republish_grace_s": 0}) as house:
        [publisher] = await publishing(house, "cams/test")
        viewer = await house.http(CAMS, version=version)
        assert viewer.head.framing.kind is FramingKind.CLOSE
        assert viewer.head.get(b"transfer-encoding") is None
        assert viewer.head.get(b"connection") == b"close"
        await viewer.tag_with(audio())
        await publisher.leave()
        assert await viewer.next_tag() is None
        assert viewer.whole


async def test_old_players_are_of_one_application(autojump_clock: MockClock) -> None:
    async with open_house(apps={"cams": {"chunked": False}}) as house:
        await publishing(house, "cams/test", "myapp/test")
        assert (await house.http(OTHER)).head.framing.kind is FramingKind.CHUNKED
        websocket = await watch(house, CAMS)
        assert (await websocket.bodies(1)) != []


async def test_a_reload_gives_an_application_settings_of_its_own_and_takes_them_back(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await publishing(house, "cams/test")
        assert (await house.http(CAMS)).head.framing.kind is FramingKind.CHUNKED
        own = {"chunked": False, "tracks": "video", "limits": {"viewers": 2}, "play": {"deny": ["10.0.0.66"]}}
        house.server.reload(lambda: Settings.model_validate({"apps": {"cams": own}}))
        old = await house.http(CAMS)
        assert old.head.framing.kind is FramingKind.CLOSE
        await old.next_tag()
        assert old.header is not None
        assert not old.header.has_audio
        assert (await house.http(CAMS)).head.status == 503
        assert (await house.http(CAMS, address="10.0.0.66")).head.status == 403
        house.server.reload(Settings)
        assert (await house.http(CAMS, address="10.0.0.66")).head.framing.kind is FramingKind.CHUNKED
