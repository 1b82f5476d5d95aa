"""Origins of several addresses on the splice route: each asked in its own way, and who had a stream is asked first."""

import pytest
import trio
import trio.testing

from splice.whereabouts import REMEMBERED_S
from tests.splice.splice_house import GET, OK, FakeOrigin, House, open_house, splicing

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
AUTHORIZED = GET[:-2] + b"Authorization: Basic dmlld2Vy\r\n\r\n"


async def served_by(origin: FakeOrigin, house: House, *, request: bytes = GET) -> bytes:
    """Let a viewer be served by `origin`, which ends the stream; what it was asked."""
    viewer = await house.viewer(request)
    asked = await origin.asked()
    await asked.send(OK + b"FLV")
    asked.close()
    assert (await viewer.answer()).status == 200
    viewer.close()
    return asked.received


async def test_who_served_a_stream_is_asked_first_for_ten_seconds(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        FakeOrigin().listening() as first,
        FakeOrigin().listening() as second,
        open_house(origins={"a": {"urls": [first.url, second.url]}}) as house,
    ):
        viewer = await house.viewer()
        await (await first.asked()).send(NOT_FOUND)
        asked = await second.asked()
        await asked.send(OK + b"FLV")
        await viewer.until(b"FLV")
        await trio.sleep(25)  # it counts from the end
        asked.close()
        await viewer.ended()
        viewer.close()
        await trio.sleep(REMEMBERED_S - 1)
        with first.nobody_comes():
            await served_by(second, house)
        await trio.sleep(REMEMBERED_S + 1)
        with second.nobody_comes():
            await served_by(first, house)


async def test_another_stream_is_asked_for_as_the_operator_wrote_it() -> None:
    async with (
        FakeOrigin().listening() as first,
        FakeOrigin().listening() as second,
        open_house(origins={"a": {"urls": [first.url, second.url]}}) as house,
    ):
        viewer = await house.viewer()
        await (await first.asked()).send(NOT_FOUND)
        asked = await second.asked()
        await asked.send(OK + b"FLV")
        await viewer.until(b"FLV")
        await served_by(first, house, request=GET.replace(b"stream=test", b"stream=other"))
        asked.close()


async def test_who_has_the_stream_no_more_is_told_from_who_has_it_now() -> None:
    async with (
        FakeOrigin().listening() as first,
        FakeOrigin().listening() as second,
        open_house(origins={"a": {"urls": [first.url, second.url]}}) as house,
    ):
        await served_by(first, house)
        for before, now in ((first, second), (second, first)):
            viewer = await house.viewer()
            await (await before.asked()).send(NOT_FOUND)
            asked = await now.asked()
            await asked.send(OK + b"FLV")
            asked.close()
            assert (await viewer.answer()).status == 200
            viewer.close()
            with before.nobody_comes():
                await served_by(now, house)


async def test_an_answer_that_is_no_stream_is_not_remembered() -> None:
    async with (
        FakeOrigin().listening() as first,
        FakeOrigin().listening() as second,
        open_house(origins={"a": {"urls": [first.url, second.url]}}) as house,
    ):
        viewer = await house.viewer()
        await (await first.asked()).send(NOT_FOUND)
        await (await second.asked()).send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        assert (await viewer.answer()).status == 403
        viewer.close()
        with second.nobody_comes():
            await served_by(first, house)


async def test_each_address_is_asked_for_its_own_target_by_its_own_password() -> None:
    async with FakeOrigin().listening() as first, FakeOrigin().listening() as second:
        urls = [first.url.replace("//", "//me:geheim@") + "/cam?n={stream}&p={port}", second.url]
        async with open_house(origins={"a": {"urls": urls, "target": "/{app}/{stream}.flv"}}) as house:
            viewer = await house.viewer(AUTHORIZED)
            asked = await first.asked()
            assert asked.received.startswith(b"GET /cam?n=test&p=1935 HTTP/1.1\r\n")
            assert b"Authorization: Basic bWU6Z2VoZWlt\r\n" in asked.received
            assert b"dmlld2Vy" not in asked.received  # the viewer's is for the door's way of asking
            await asked.send(NOT_FOUND)
            asked = await second.asked()
            assert asked.received.startswith(b"GET /myapp/test.flv HTTP/1.1\r\n")
            assert b"Authorization: Basic dmlld2Vy\r\n" in asked.received
            await asked.send(OK)
            asked.close()
            assert (await viewer.answer()).status == 200


async def test_the_viewers_own_target_goes_to_the_address_that_has_none() -> None:
    async with (
        FakeOrigin().listening() as first,
        FakeOrigin().listening() as second,
        open_house(origins={"a": {"urls": [first.url + "/cam.flv", second.url]}}) as house,
    ):
        viewer = await house.viewer()
        asked = await first.asked()
        assert asked.received.startswith(b"GET /cam.flv HTTP/1.1\r\n")
        await asked.send(NOT_FOUND)
        assert await served_request(second) == GET.partition(b"\r\n")[0]
        assert (await viewer.answer()).status == 200


async def served_request(origin: FakeOrigin) -> bytes:
    asked = await origin.asked()
    await asked.send(OK)
    asked.close()
    return asked.received.partition(b"\r\n")[0]


@pytest.mark.parametrize("secret", ["/live?user=me&password=geheim", "me:geheim@"])
async def test_a_redirect_of_an_origin_that_was_told_a_password_does_not_pass(secret: str) -> None:
    async with FakeOrigin().listening() as origin:
        url = origin.url.replace("//", f"//{secret}") if "@" in secret else origin.url + secret
        async with open_house(origins={"a": {"url": url}}) as house:
            viewer = await house.viewer()
            asked = await origin.asked()
            await asked.send(b"HTTP/1.1 302 Found\r\nLocation: /login?password=geheim\r\nContent-Length: 0\r\n\r\n")
            answer = await viewer.answer()
            assert answer.status == 502
            assert b"geheim" not in answer.body
            assert await asked.ended() == "fin"
        assert "geheim" not in str(house.log)


async def test_a_redirect_of_another_passes_as_ever() -> None:
    async with splicing(origin={"target": "/{app}/{stream}.flv"}) as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()
        await asked.send(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n")
        assert (await viewer.answer()).status == 302
