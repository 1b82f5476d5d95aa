"""/stat: the XML that people's scripts know from nginx-rtmp, read as they read it."""

from xml.etree import ElementTree as ET

import pytest
import trio
from trio.testing import MockClock

from protocol.amf import amf0
from protocol.rtmp import MediaKind
from tests.splice.admin.admin_house import CAMERA, AdminHouse, push_group
from tests.splice.admin.test_api import assert_problem


async def stat(house: AdminHouse) -> ET.Element:
    async with house.client() as client:
        answer = await client.get("/stat")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/xml"
    assert answer.text.startswith("<?xml version='1.0' encoding='utf-8'?>")
    return ET.fromstring(answer.content)


def texts(element: ET.Element, *paths: str) -> list[str | None]:
    return [element.findtext(path) for path in paths]


async def test_a_published_stream_is_told_with_its_clients_and_what_is_in_it(
    house: AdminHouse, autojump_clock: MockClock
) -> None:
    live, publisher = house.publish()
    publisher.program, publisher.bytes = "FMLE/3.0 (compatible)", 5000
    publisher.clock = live.now_ms
    viewer = house.watch("hub", None, bytes=4000)
    viewer.begun(live.now_ms)
    await trio.sleep(2.5)
    root = await stat(house)
    assert root.tag == "rtmp"
    assert texts(root, "nginx_version", "nginx_rtmp_version", "uptime") == ["1.2.3", "1.2.3", "2"]
    assert texts(root, "bytes_in", "bytes_out") == ["5000", "4000"]
    [application] = root.findall("server/application")
    assert texts(application, "name", "live/nclients") == ["myapp", "2"]
    [stream] = application.findall("live/stream")
    assert texts(stream, "name", "time", "bytes_out", "nclients") == ["test", "2500", "4000", "2"]
    assert int(stream.findtext("bytes_in", "")) > 2000
    assert stream.find("publishing") is not None
    assert stream.find("active") is not None
    watching, publishing = stream.findall("client")
    assert texts(watching, "id", "address", "time", "timestamp", "dropped", "avsync", "flashver", "publishing") == [
        viewer.id,
        "192.0.2.7",
        "2500",
        "440",
        "0",
        "",
        None,
        None,
    ]
    assert texts(publishing, "id", "flashver", "timestamp") == [publisher.id, "FMLE/3.0 (compatible)", "440"]
    assert publishing.find("publishing") is not None
    video = ["width", "height", "frame_rate", "codec", "profile", "compat", "level"]
    assert texts(stream, *(f"meta/video/{name}" for name in video)) == [
        "640",
        "112",
        "0",
        "H264",
        "Baseline",
        "192",
        "1.3",
    ]
    audio = ["codec", "profile", "channels", "sample_rate"]
    assert texts(stream, *(f"meta/audio/{name}" for name in audio)) == ["AAC", "LC", "2", "44100"]


async def test_bandwidth_is_bits_a_second(house: AdminHouse, autojump_clock: MockClock) -> None:
    live, _ = house.publish()
    viewer = house.watch("hub", None)
    assert (await stat(house)).findtext("server/application/live/stream/bw_out") == "0"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.admin.keep_time)
        for group in range(1, 26):
            await trio.sleep(0.48)
            push_group(live, 480 * group)
            viewer.bytes += 6000
        nursery.cancel_scope.cancel()
    root = await stat(house)
    [stream] = root.iter("stream")
    figures = {name: int(stream.findtext(name, "")) for name in ("bw_in", "bw_out", "bw_video", "bw_audio")}
    assert figures["bw_out"] == pytest.approx(100_000, rel=0.05)
    assert figures["bw_in"] == pytest.approx(8 * 8700 / 0.48, rel=0.2)
    assert figures["bw_video"] + figures["bw_audio"] == pytest.approx(figures["bw_in"], abs=200)
    assert texts(root, "bw_in", "bw_out") == texts(stream, "bw_in", "bw_out")
    await trio.sleep(5)
    viewer.bytes += 1_000_000
    assert (await stat(house)).findtext("bw_out") == str(figures["bw_out"])  # within the window


async def test_spliced_and_pulled_streams_stand_beside_published_ones(house: AdminHouse) -> None:
    house.publish()
    house.publish("other")
    house.pull("b")
    house.watch(bytes=10)
    root = await stat(house)
    [live] = root.findall("server/application/live")
    assert [stream.findtext("name") for stream in live.findall("stream")] == ["test", "other", "test", "test"]
    published, _, pulled, spliced = live.findall("stream")
    assert [stream.find("publishing") is not None for stream in (published, pulled, spliced)] == [True, True, False]
    assert texts(spliced, "bytes_in", "bytes_out", "nclients", "meta/video/width") == ["10", "10", "1", "0"]
    assert spliced.find("active") is not None
    assert live.findtext("nclients") == "4"


async def test_viewers_of_a_camera_stand_in_its_stream_by_whatever_name_they_came(house: AdminHouse) -> None:
    house.origins["cam"] = CAMERA
    house.pull("cam", stream="front")
    viewer = house.watch("hub", "cam", stream="back")
    [stream] = (await stat(house)).findall("server/application/live/stream")
    assert texts(stream, "name", "nclients") == ["front", "2"]
    assert stream.findtext("client/id") == viewer.id


async def test_a_stream_whose_publisher_has_gone_is_neither_publishing_nor_active(house: AdminHouse) -> None:
    house.publish()
    house.close()
    [stream] = (await stat(house)).iter("stream")
    assert [stream.find(name) for name in ("publishing", "active", "meta", "client")] == [None] * 4
    assert texts(stream, "name", "nclients", "time") == ["test", "0", "0"]


async def test_those_who_have_left_still_count(house: AdminHouse) -> None:
    for event in (
        {"event": "viewer.start", "route": "hub", "origin": None},
        {"event": "publisher.start"},
        {"event": "publisher.end", "reason": "publisher_left", "bytes": 70},
        {"event": "pull.start", "origin": "b"},
        {"event": "pull.end", "origin": "b", "reason": "viewer_left", "bytes": 7},
        {
            "event": "viewer.end",
            "route": "hub",
            "origin": None,
            "app": "a",
            "stream": "s",
            "bytes": 5,
            "reason": "x",
            "id": "v1",
        },
    ):
        house.admin.hear({"level": "info", **event})
    assert texts(await stat(house), "naccepted", "bytes_in", "bytes_out") == ["2", "77", "5"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("<b>&\"'", "<b>&\"'"),
        ("a\0b\x1b\ufffe\ud800c", "abc"),
        ("日本 \U0001f600", "日本 \U0001f600"),
    ],
)
async def test_what_a_client_says_of_itself_breaks_no_xml(said: str, told: str, house: AdminHouse) -> None:
    _, publisher = house.publish()
    publisher.program = said
    [client] = (await stat(house)).iter("client")
    assert client.findtext("flashver") == told


@pytest.mark.parametrize(
    ("metadata", "video", "audio"),
    [
        ({"videocodecid": 12.0, "audiocodecid": 2.0}, "H265", "MP3"),
        ({"videocodecid": 2.0, "audiocodecid": 11.0}, "Sorenson-H263", "Speex"),
        ({"videocodecid": "av01", "audiocodecid": "Opus"}, "AV1", "Opus"),
        ({"videocodecid": "x<\0y", "audiocodecid": 7.0}, "x<y", "G711A"),
    ],
)
async def test_codecs_have_nginxs_names_where_it_has_one(
    metadata: dict[str, float | str], video: str, audio: str, house: AdminHouse
) -> None:
    live, _ = house.publish()
    live.restart()
    live.push(MediaKind.DATA, 0, amf0.encode_all(["onMetaData", metadata]))
    [stream] = (await stat(house)).iter("stream")
    assert texts(stream, "meta/video/codec", "meta/audio/codec") == [video, audio]
    assert stream.find("meta/video/profile") is None


async def test_it_is_for_those_who_may_use_the_api(house: AdminHouse) -> None:
    house.allow()
    async with house.client(peer="192.0.2.1") as client:
        assert_problem(await client.get("/stat"), 401, "token")
