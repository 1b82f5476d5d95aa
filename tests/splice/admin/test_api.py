"""What the API tells, and what it ends."""

from typing import Any

import httpx
import pytest
import structlog
import trio
import trio.testing

from protocol.flv import FlvHeader, TagType, encode_header, encode_tag
from protocol.rtmp import MediaKind
from splice.admin.models import Origins, Publishers, Streams, Viewers
from splice.config import OriginSettings
from splice.http import CLOSE, ResponseHead
from splice.stats import EndReason
from tests.splice.admin.admin_house import CAMERA, AdminHouse, push_group
from tests.splice.hub_house import AUDIO_CONFIGURATION, VIDEO_CONFIGURATION


async def told(house: AdminHouse, path: str) -> Any:
    async with house.client() as client:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        return answer.json()


def assert_problem(answer: httpx.Response, status: int, words: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert words in problem["detail"]
    assert problem["detail"][-1] in ".?"


# --- streams ---


async def test_a_published_stream_is_told_with_its_publisher_and_what_is_in_it(
    house: AdminHouse, autojump_clock: trio.testing.MockClock
) -> None:
    house.publish()
    house.watch("hub", None, bytes=100)
    house.watch("hub", None, bytes=23)
    (stream,) = (await told(house, "/api/v1/streams"))["streams"]
    assert (stream["name"], stream["route"], stream["origin"], stream["viewers"]) == ("myapp/test", "hub", None, 2)
    assert stream["publisher"]["protocol"] == "rtmp"
    assert stream["publisher"]["stream"] == "myapp/test"
    assert stream["video"] == {
        "codec": "avc1.42c00d",
        "width": 640,
        "height": 112,
        "frame_rate": None,
        "keyframe_interval_ms": None,
        "bit_rate_kbps": None,
    }
    assert stream["audio"] == {"codec": "mp4a.40.2", "sample_rate": 44100, "channels": 2, "bit_rate_kbps": None}
    assert stream["bytes_out"] == 123
    assert stream["bytes_in"] > 2000
    Streams.model_validate({"streams": [stream], "total": 1})


async def test_rates_are_measured_over_the_last_seconds(
    house: AdminHouse, autojump_clock: trio.testing.MockClock
) -> None:
    live, _ = house.publish()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.admin.keep_time)
        for group in range(1, 9):
            await trio.sleep(0.48)
            push_group(live, 480 * group)
        nursery.cancel_scope.cancel()
    (stream,) = (await told(house, "/api/v1/streams"))["streams"]
    assert stream["video"]["keyframe_interval_ms"] == 480
    assert stream["video"]["frame_rate"] == pytest.approx(25, rel=0.2)
    assert stream["video"]["bit_rate_kbps"] == pytest.approx(8 * 7.6 / 0.48, rel=0.2)
    assert stream["audio"]["bit_rate_kbps"] == pytest.approx(8 * 1.1 / 0.48, rel=0.2)
    assert stream["bit_rate_kbps"] == pytest.approx(8 * 8.7 / 0.48, rel=0.2)


async def test_a_pulled_stream_is_told_beside_a_published_one_of_the_same_name(house: AdminHouse) -> None:
    house.publish()
    house.pull("b")
    house.watch("hub", "b")
    published, pulled = (await told(house, "/api/v1/streams"))["streams"]
    assert (published["origin"], published["viewers"]) == (None, 0)
    assert (pulled["origin"], pulled["viewers"], pulled["publisher"]["origin"]) == ("b", 1, "b")
    assert (pulled["video"], pulled["audio"]) == (None, None)
    assert published["id"] != pulled["id"]


async def test_a_camera_is_one_stream_by_whatever_names_it_is_watched(house: AdminHouse) -> None:
    house.origins["cam"] = CAMERA
    _, puller = house.pull("cam", stream="front")
    viewers = [house.watch("hub", "cam", stream=name, bytes=10) for name in ("front", "back", "any")]
    other = house.watch("hub", "b", stream="back")
    house.leave(viewers.pop())
    gone = {"event": "viewer.end", "level": "info", "route": "hub", "origin": "cam", "app": "myapp", "stream": "any"}
    house.admin.hear({**gone, "bytes": 7, "reason": "viewer_left", "id": "v9"})
    (stream,) = (await told(house, "/api/v1/streams"))["streams"]
    assert (stream["name"], stream["viewers"], stream["bytes_out"]) == ("myapp/front", 2, 27)
    listed = (await told(house, "/api/v1/viewers?stream=myapp/front"))["viewers"]
    assert [(each["id"], each["stream"]) for each in listed] == [(each.id, "myapp/front") for each in viewers]
    assert (await told(house, "/api/v1/viewers?text=myapp/front"))["total"] == 2
    async with house.client() as client:
        assert (await client.delete(f"/api/v1/streams/{stream['id']}")).status_code == 204
    assert [each.ended_by for each in (*viewers, other)] == [EndReason.KICKED, EndReason.KICKED, None]
    assert puller.ended_by is EndReason.KICKED


async def test_of_a_spliced_stream_its_first_bytes_tell_codec_and_size_and_nothing_tells_rates(
    house: AdminHouse, autojump_clock: trio.testing.MockClock
) -> None:
    watching = house.watch("splice", "a")
    head = ResponseHead((1, 1), 200, b"", (), CLOSE)
    with house.tracks.looking(watching, head) as look:
        assert look is not None
        look(encode_header(FlvHeader(has_audio=True, has_video=True)))
        (stream,) = (await told(house, "/api/v1/streams"))["streams"]
        assert (stream["video"], stream["audio"]) == (None, None)
        look(encode_tag(TagType.VIDEO, 0, VIDEO_CONFIGURATION) + encode_tag(TagType.AUDIO, 0, AUDIO_CONFIGURATION))
    (stream,) = (await told(house, "/api/v1/streams"))["streams"]
    rates = {"frame_rate": None, "keyframe_interval_ms": None, "bit_rate_kbps": None}
    assert stream["video"] == {"codec": "avc1.42c00d", "width": 640, "height": 112} | rates
    assert stream["audio"] == {"codec": "mp4a.40.2", "sample_rate": 44100, "channels": 2, "bit_rate_kbps": None}
    Streams.model_validate({"streams": [stream], "total": 1})


async def test_viewers_of_one_spliced_stream_are_one_item(house: AdminHouse) -> None:
    house.watch(bytes=10)
    house.watch(bytes=5)
    house.watch(stream="other")
    both, other = (await told(house, "/api/v1/streams"))["streams"]
    assert (both["route"], both["origin"], both["viewers"], both["bytes_out"]) == ("splice", "a", 2, 15)
    assert (both["publisher"], both["video"], both["audio"]) == (None, None, None)
    assert (other["name"], other["viewers"]) == ("myapp/other", 1)


async def test_bytes_of_viewers_who_have_left_still_count_while_the_stream_is_there(house: AdminHouse) -> None:
    house.watch(bytes=10)
    gone = {"event": "viewer.end", "level": "info", "route": "splice", "origin": "a", "app": "myapp", "stream": "test"}
    house.admin.hear({**gone, "bytes": 7, "reason": "viewer_left", "id": "v9"})
    (stream,) = (await told(house, "/api/v1/streams"))["streams"]
    assert stream["bytes_out"] == 17


async def test_a_broken_configuration_hides_the_codec_alone(house: AdminHouse) -> None:
    live, _ = house.publish()
    live.restart()
    live.push(MediaKind.VIDEO, 0, b"\x17\x00\x00\x00\x00\xff")
    (stream,) = (await told(house, "/api/v1/streams"))["streams"]
    assert stream["video"]["codec"] is None
    assert stream["audio"] is None


# --- the other lists ---


async def test_viewers_are_told_with_what_they_took(house: AdminHouse, autojump_clock: trio.testing.MockClock) -> None:
    viewer = house.watch(bytes=1000)
    await trio.sleep(2)
    viewer.begun()
    found = await told(house, "/api/v1/viewers")
    assert found == {
        "viewers": [
            {
                "id": viewer.id,
                "peer": "192.0.2.7:5000",
                "address": "192.0.2.7",
                "route": "splice",
                "origin": "a",
                "stream": "myapp/test",
                "protocol": "http-flv",
                "bytes": 1000,
                "seconds": 2.0,
                "first_byte_s": 2.0,
            }
        ],
        "total": 1,
    }
    Viewers.model_validate(found)


async def test_long_lists_come_in_pages(house: AdminHouse) -> None:
    ids = [house.watch(stream="a" if number % 2 else "b").id for number in range(10)]
    page = await told(house, "/api/v1/viewers?limit=3&offset=4")
    assert [item["id"] for item in page["viewers"]] == ids[4:7]
    assert page["total"] == 10
    beyond = await told(house, "/api/v1/viewers?offset=20")
    assert (beyond["viewers"], beyond["total"]) == ([], 10)
    of_one = await told(house, "/api/v1/viewers?stream=myapp/a&limit=2")
    assert ([item["id"] for item in of_one["viewers"]], of_one["total"]) == ([ids[1], ids[3]], 5)


async def test_publishers_and_pulls_are_told_apart(house: AdminHouse) -> None:
    house.publish()
    house.pull("b")
    found = await told(house, "/api/v1/publishers")
    assert [(item["protocol"], item["origin"]) for item in found["publishers"]] == [("rtmp", None), ("rtmp-pull", "b")]
    Publishers.model_validate(found)


async def test_origins_are_told_with_how_asking_them_went(house: AdminHouse) -> None:
    house.health.succeeded("a")
    house.health.failed("a", "the origin refuses connections")
    house.watch()
    found = await told(house, "/api/v1/origins")
    a, b = found["origins"]
    assert (a["name"], a["urls"], a["mode"], a["viewers"]) == ("a", ["http://10.0.0.8:8080"], "splice", 1)
    assert (a["state"], a["successes"], a["failures"]) == ("down", 1, 1)
    assert a["last_error"] == "the origin refuses connections"
    assert a["last_success"].endswith("Z")
    assert (b["mode"], b["state"], b["last_success"]) == ("relay", "unknown", None)
    assert b["urls"] == ["rtmp://10.0.0.9:1935", "rtmp://10.0.0.10:1936"]
    house.health.succeeded("a")
    assert (await told(house, "/api/v1/origins"))["origins"][0]["state"] == "up"
    Origins.model_validate(found)


async def test_passwords_in_origins_urls_are_told_to_nobody(house: AdminHouse) -> None:
    house.origins = {
        "cam": OriginSettings(url="rtmp://10.0.0.7/bcs/front.bcs?channel=0&user=me&password=geheim"),
        "web": OriginSettings(
            urls=("https://me:geheim@10.0.0.7/live", "https://geheim@10.0.0.7"), target="/x?key=geheim"
        ),
    }
    found = await told(house, "/api/v1/origins")
    assert [origin["urls"] for origin in found["origins"]] == [
        ["rtmp://10.0.0.7:1935/bcs/front.bcs?channel=***&user=***&password=***"],
        ["https://10.0.0.7:443/live", "https://10.0.0.7:443"],
    ]
    assert "geheim" not in str(found)


# --- kicks ---


async def test_delete_ends_a_viewer_and_knows_it_no_more(house: AdminHouse) -> None:
    viewer, other = house.watch(), house.watch()
    async with house.client() as client:
        answer = await client.delete(f"/api/v1/viewers/{viewer.id}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert viewer.ended_by is EndReason.KICKED
        assert viewer.scope.cancel_called
        assert other.ended_by is None
        assert_problem(await client.delete(f"/api/v1/viewers/{viewer.id}"), 404, "no viewer")


async def test_delete_ends_a_publisher_and_leaves_its_viewers(house: AdminHouse) -> None:
    _, publisher = house.publish()
    viewer = house.watch("hub", None)
    async with house.client() as client:
        assert (await client.delete(f"/api/v1/publishers/{publisher.id}")).status_code == 204
        assert publisher.ended_by is EndReason.KICKED
        assert viewer.ended_by is None
        assert_problem(await client.delete(f"/api/v1/publishers/{publisher.id}"), 404, "no publisher")


@pytest.mark.parametrize("which", ["published", "pulled", "spliced"])
async def test_delete_ends_a_stream_with_all_its_viewers_and_no_other(which: str, house: AdminHouse) -> None:
    live, publisher = house.publish()
    _, puller = house.pull("b")
    viewers = {"published": house.watch("hub", None), "pulled": house.watch("hub", "b"), "spliced": house.watch()}
    stream = (await told(house, "/api/v1/streams"))["streams"][list(viewers).index(which)]
    async with house.client() as client:
        assert (await client.delete(f"/api/v1/streams/{stream['id']}")).status_code == 204
        assert_problem(await client.delete(f"/api/v1/streams/{stream['id']}"), 404, "no stream")
    assert [name for name, viewer in viewers.items() if viewer.ended_by is EndReason.KICKED] == [which]
    assert live.ended.is_set() == (publisher.ended_by is EndReason.KICKED) == (which == "published")
    assert (puller.ended_by is EndReason.KICKED) == (which == "pulled")


# --- state, errors ---


async def test_readyz_is_503_while_the_door_drains_and_healthz_is_not(house: AdminHouse) -> None:
    async with house.client() as client:
        assert (await client.get("/readyz")).json() == {"status": "ready", "version": "1.2.3"}
        house.draining = True
        assert_problem(await client.get("/readyz"), 503, "stopping")
        assert (await client.get("/healthz")).json() == {"status": "ok", "version": "1.2.3"}


async def test_every_error_is_a_problem_that_says_what_to_do(house: AdminHouse) -> None:
    async with house.client() as client:
        assert_problem(await client.get("/nothing"), 404, "/openapi.json")
        wrong_method = await client.put("/api/v1/streams")
        assert_problem(wrong_method, 405, "Allow")
        assert wrong_method.headers["allow"] == "GET"
        assert_problem(await client.get("/api/v1/viewers?limit=0"), 422, "limit: ")
        assert_problem(await client.get("/api/v1/viewers?limit=many"), 422, "limit: ")
        assert_problem(await client.delete(f"/api/v1/viewers/{'x' * 65}"), 422, "id: ")


async def test_a_bug_is_logged_and_answered_and_the_next_request_served(
    house: AdminHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splice.admin.inventory._viewer_item", lambda viewer: 1 // 0)
    house.watch()
    async with house.client() as client:
        with structlog.testing.capture_logs() as log:
            assert_problem(await client.get("/api/v1/viewers"), 500, "its log says where")
        assert [(event["event"], event["log_level"]) for event in log] == [("admin.bug", "error")]
        assert (await client.get("/healthz")).status_code == 200


async def test_what_those_sent_who_have_left_is_forgotten_with_their_stream(house: AdminHouse) -> None:
    gone = {"event": "viewer.end", "level": "info", "route": "splice", "origin": "a", "app": "myapp", "stream": "test"}
    house.admin.hear({**gone, "bytes": 7, "reason": "viewer_left", "id": "v9"})
    for second in range(40):
        house.admin._inventory.sample(second)
    house.watch(bytes=10)
    (stream,) = (await told(house, "/api/v1/streams"))["streams"]
    assert stream["bytes_out"] == 10
