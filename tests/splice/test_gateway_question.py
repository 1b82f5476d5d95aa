"""What an origin is asked: the viewer's request line byte for byte, the door's own short head, and nothing else."""

import pytest
import trio
import trio.testing

from splice import __version__
from tests.splice.splice_house import GET, OK, TARGET, FakeOrigin, House, splicing

OWN_HEAD = "Host: {host}\r\nConnection: close\r\nUser-Agent: splice/{version}\r\nX-Forwarded-For: 127.0.0.1\r\n"


def question(origin: FakeOrigin, target: bytes = TARGET, *, version: str = "1.1", more: str = "") -> bytes:
    """The whole question, byte for byte."""
    head = OWN_HEAD.format(host=f"127.0.0.1:{origin.port}", version=__version__)
    return b"GET " + target + f" HTTP/{version}\r\n{head}{more}\r\n".encode()


async def asked_for(origin: FakeOrigin, house: House, request: bytes) -> bytes:
    """All that the door ever sends to the origin for this request."""
    viewer = await house.viewer(request)
    asked = await origin.asked()
    await asked.send(OK + b"x")
    await asked.half_close()
    await viewer.answer()
    viewer.close()
    await asked.ended()
    return asked.received


async def test_the_question_is_the_viewers_request_line_and_the_doors_own_head() -> None:
    async with splicing() as (origin, house):
        assert await asked_for(origin, house, GET) == question(origin)


@pytest.mark.parametrize(
    "target",
    [
        b"/live?src=a&port=1935&app=myapp&stream=test&token=a%2Fb+c==&x=%20;y&&=&",
        b"/live?src=a&app=my.app~_-@&stream=TEST&note=%e4%B8%ad",
        b"/live?app=myapp&stream=test&src=a&path=../..//etc?more=?&",
    ],
)
async def test_a_target_goes_verbatim_whatever_else_it_holds(target: bytes) -> None:
    async with splicing() as (origin, house):
        request = b"GET " + target + b" HTTP/1.1\r\nHost: door\r\n\r\n"
        assert await asked_for(origin, house, request) == question(origin, target)


async def test_absolute_form_is_asked_for_in_origin_form() -> None:
    async with splicing() as (origin, house):
        request = b"GET http://door" + TARGET + b" HTTP/1.1\r\nHost: door\r\n\r\n"
        assert await asked_for(origin, house, request) == question(origin)


@pytest.mark.parametrize(
    ("template", "target"),
    [
        ("/{app}/{stream}.flv", b"/myapp/test.flv"),
        ("/live?port={port}&app={app}&stream={stream}", b"/live?port=1935&app=myapp&stream=test"),
    ],
)
async def test_an_origins_template_takes_the_place_of_the_target(template: str, target: bytes) -> None:
    async with splicing(origin={"target": template}) as (origin, house):
        assert await asked_for(origin, house, GET) == question(origin, target)


async def test_a_template_decodes_what_was_encoded() -> None:
    async with splicing(origin={"target": "/{app}/{stream}.flv"}) as (origin, house):
        request = GET.replace(b"stream=test", b"stream=%74est")
        assert await asked_for(origin, house, request) == question(origin, b"/myapp/test.flv")


@pytest.mark.parametrize("host", [b"Host: door\r\n", b""])
async def test_a_viewer_of_http_1_0_is_asked_for_in_its_version_and_its_origin_gets_a_host(host: bytes) -> None:
    async with splicing() as (origin, house):
        request = b"GET " + TARGET + b" HTTP/1.0\r\n" + host + b"\r\n"
        assert await asked_for(origin, house, request) == question(origin, version="1.0")


async def test_of_the_viewers_own_fields_only_referer_and_authorization_are_passed_on() -> None:
    request = GET[:-2] + (
        b"Cookie: session=1\r\nAccept: */*\r\nRange: bytes=0-\r\nConnection: keep-alive, Referer\r\nVia: 1.1 x\r\n"
        b"Authorization: Basic dTpw\r\nReferer: http://page/\r\nUser-Agent: VLC\r\nTE: trailers\r\nOrigin: http://p\r\n"
        b"Forwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nKeep-Alive: 5\r\nAccept-Encoding: gzip\r\nExpect: x\r\n"
        b"X-Forwarded-Host: evil\r\nProxy-Authorization: x\r\nContent-Length: 0\r\n\r\n"
    )
    async with splicing() as (origin, house):
        more = "Referer: http://page/\r\nAuthorization: Basic dTpw\r\n"
        assert await asked_for(origin, house, request) == question(origin, more=more)


async def test_head_is_asked_for_by_get_and_the_origin_is_left_once_its_head_is_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer(GET.replace(b"GET", b"HEAD", 1))
        asked = await origin.asked()
        assert asked.received == question(origin)
        began_s = trio.current_time()
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nContent-Length: 1000\r\n\r\nFLV")
        await asked.ended()  # by the door, with the body under way
        assert trio.current_time() == began_s  # though the viewer is still there
        answer = await viewer.answer()
    assert (answer.status, answer["Content-Length"], answer.body) == (200, "1000", b"")


CHAIN = b"X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-For: 10.1.1.1\r\n"


@pytest.mark.parametrize(
    ("trusted", "chain", "told"),
    [
        ([], b"", b"127.0.0.1"),
        ([], CHAIN, b"127.0.0.1"),
        (["10.0.0.0/8"], CHAIN, b"127.0.0.1"),  # the peer itself is none of them
        (["127.0.0.1"], CHAIN, b"203.0.113.5, 10.1.1.1, 127.0.0.1"),
        (["127.0.0.1"], b"", b"127.0.0.1"),
    ],
)
async def test_x_forwarded_for_is_the_peer_and_a_chain_only_from_a_trusted_proxy(
    trusted: list[str], chain: bytes, told: bytes
) -> None:
    async with splicing(trusted_proxies=trusted) as (origin, house):
        received = await asked_for(origin, house, GET[:-2] + chain + b"\r\n")
    lines = [line for line in received.split(b"\r\n") if line.lower().startswith(b"x-forwarded-for")]
    assert lines == [b"X-Forwarded-For: " + told]


async def test_what_a_viewer_sends_behind_its_head_never_reaches_the_origin() -> None:
    async with splicing() as (origin, house):
        assert await asked_for(origin, house, GET + b"GET /secret HTTP/1.1\r\nHost: door\r\n\r\n") == question(origin)


async def test_a_head_that_dribbles_in_byte_by_byte_is_the_same_question() -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer(b"")
        for at in range(len(GET)):
            await viewer.send(GET[at : at + 1])
        asked = await origin.asked()
        assert asked.received == question(origin)
