"""What a request that asks for WebSocket is judged by, in the order of all requests, and its plain answers."""

import json

import pytest
import trio
from trio.testing import MockClock

from tests.splice.hub_house import FlvViewer, House, open_house
from tests.splice.websocket_client import LIVE, raw_handshake, watch


async def answered(house: House, request: bytes) -> FlvViewer:
    """The answer's head, by HTTP."""
    return await FlvViewer(house.dial(house.door.serve)).ask(request)


@pytest.mark.parametrize("target", [LIVE, "/myapp/test.flv"])
async def test_both_forms_of_the_url_switch_to_websocket(autojump_clock: MockClock, target: str) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        viewer = await watch(house, target)
        assert viewer.rejected is None
        (record,) = house.viewers
        assert (record.protocol, record.route, record.app, record.stream) == ("ws-flv", "hub", "myapp", "test")


@pytest.mark.parametrize(
    ("status", "changed"),
    [
        (400, {"Sec_WebSocket_Version": None}),
        (426, {"Sec_WebSocket_Version": "8"}),
        (400, {"Sec_WebSocket_Key": None}),
        (400, {"Sec_WebSocket_Key": "short"}),
    ],
)
async def test_a_bad_handshake_is_refused_before_anything_is_looked_for(
    autojump_clock: MockClock, status: int, changed: dict[str, str | None]
) -> None:
    async with open_house(limits={"viewers": 1}, cors_origins=["https://page.example"]) as house:
        answer = await answered(house, raw_handshake(Origin="https://other.example", **changed))
        assert answer.head.status == status
        assert answer.head.get(b"content-type") == b"application/problem+json"
        if status == 426:
            assert answer.head.get(b"sec-websocket-version") == b"13"
            assert answer.head.get(b"upgrade") == b"websocket"


async def test_a_stream_that_nobody_publishes_is_a_plain_404(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        viewer = await watch(house)
        assert viewer.rejected is not None
        assert viewer.rejected.status_code == 404
        assert json.loads(viewer.rejected_body)["status"] == 404


async def test_an_unknown_origin_is_a_plain_404(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        viewer = await watch(house, f"{LIVE}&src=nobody")
        assert viewer.rejected is not None
        assert viewer.rejected.status_code == 404


async def test_a_page_that_is_not_listed_is_refused_whether_the_stream_exists_or_not(autojump_clock: MockClock) -> None:
    async with open_house(cors_origins=["https://page.example"]) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        for target in (LIVE, f"{LIVE}2"):
            viewer = await watch(house, target, Origin="https://other.example")
            assert viewer.rejected is not None
            assert viewer.rejected.status_code == 403
            assert "cors_origins" in viewer.rejected_body.decode()


@pytest.mark.parametrize("fields", [{"Origin": "https://page.example"}, {"Origin": "http://door"}, {}])
async def test_a_listed_page_the_doors_own_and_a_program_that_is_no_browser_are_let_in(
    autojump_clock: MockClock, fields: dict[str, str]
) -> None:
    async with open_house(cors_origins=["https://page.example"]) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        assert (await watch(house, **fields)).rejected is None


async def test_an_unlisted_page_may_still_ask_by_http_and_read_nothing(autojump_clock: MockClock) -> None:
    async with open_house(cors_origins=["https://page.example"]) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        answer = await answered(house, raw_handshake(Origin="https://other.example", Upgrade="h2c"))
        assert answer.head.status == 200
        assert answer.head.get(b"access-control-allow-origin") is None


async def test_a_limit_answers_503_by_http(autojump_clock: MockClock) -> None:
    async with open_house(limits={"viewers_per_address": 1}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        await watch(house)
        viewer = await watch(house)
        assert viewer.rejected is not None
        assert viewer.rejected.status_code == 503


@pytest.mark.parametrize(
    ("request_head", "content_type"),
    [
        (raw_handshake(Upgrade="h2c"), b"video/x-flv"),
        (raw_handshake(Connection="keep-alive"), b"video/x-flv"),
        (raw_handshake(version="1.0"), b"video/x-flv"),
        (raw_handshake(method="HEAD"), b"video/x-flv"),
        (raw_handshake("/"), b"text/html; charset=utf-8"),
    ],
)
async def test_what_does_not_ask_for_a_stream_by_websocket_is_answered_by_http(
    autojump_clock: MockClock, request_head: bytes, content_type: bytes
) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        answer = await answered(house, request_head)
        assert answer.head.status == 200
        assert answer.head.get(b"content-type") == content_type


async def test_post_is_refused_with_or_without_an_upgrade(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        assert (await answered(house, raw_handshake(method="POST"))).head.status == 405


async def test_a_viewer_who_talks_much_before_it_was_answered_goes(autojump_clock: MockClock) -> None:
    async with open_house(hub={"wait_for_stream_s": 60}) as house:
        began = trio.current_time()
        stream = await house.dial_loopback(house.door.serve)
        await stream.send_all(raw_handshake())
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(1000):
                await stream.send_all(bytes(8192))
                await trio.lowlevel.checkpoint()
        assert trio.current_time() - began < 1


async def test_the_page_offers_the_hub_and_websocket(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        page = await (await answered(house, b"GET / HTTP/1.1\r\nHost: door\r\n\r\n")).text()
        assert '<label class="check" hidden>' not in page
        assert "<div hidden>" not in page
