"""What a viewer gets of an origin's answer: its head without what was for the door alone, and its body untouched."""

from typing import Any

import pytest
import trio

from splice.pump import PortablePump
from splice.pump.epoll import EpollPump
from tests.splice.pump.links import digest, random_bytes
from tests.splice.splice_house import FLV, GET, OK, Answer, splicing

GET_1_0 = GET.replace(b"HTTP/1.1", b"HTTP/1.0")
HEAD = GET.replace(b"GET", b"HEAD", 1)
PAGE = b"Origin: https://page.example\r\n"


async def answered(origins_answer: bytes, request: bytes = GET, **tables: Any) -> Answer:
    """What a viewer gets of this answer, behind which the origin closes."""
    async with splicing(**tables) as (origin, house):
        viewer = await house.viewer(request)
        asked = await origin.asked()
        await asked.send(origins_answer)
        asked.close()
        return await viewer.answer()


async def test_a_body_until_close_passes_to_its_end() -> None:
    answer = await answered(OK + b"FLV and more")
    assert (answer.status, answer.body, answer.ended) == (200, b"FLV and more", "fin")
    assert answer.fields == (
        ("Content-Type", "video/x-flv"),
        ("Access-Control-Allow-Origin", "*"),
        ("Connection", "close"),
    )


async def test_a_chunked_body_passes_with_its_framing_untouched() -> None:
    body = b"3;extension=1\r\nFLV\r\n00005\r\n\r\n\r\n.\r\n0\r\nTrailer: x\r\n\r\n"
    answer = await answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert answer["Transfer-Encoding"] == "chunked"
    assert answer.all("Content-Length") == []
    assert (answer.body, answer.ended) == (body, "fin")


async def test_a_body_of_announced_length_ends_there_though_the_origin_says_more() -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nFLV12HTTP/1.1 200 OK\r\n\r\n")
        answer = await viewer.answer()  # with the origin's connection still open
        assert await asked.ended() in ("fin", "reset")
    assert (answer["Content-Length"], answer.body, answer.ended) == ("5", b"FLV12", "fin")


@pytest.mark.parametrize("pump_kind", [EpollPump, PortablePump])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 3000000\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_megabytes_pass_unchanged_through_the_pump(pump_kind: type, framing: bytes) -> None:
    body = random_bytes(3_000_000)
    async with splicing(pump_kind=pump_kind) as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()

        async def send() -> None:
            await asked.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + body)
            asked.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            answer = await viewer.answer()
        viewer.close()
        await house.nobody_served()
        assert house.logged("viewer.end")["bytes"] == len(body)
    assert digest(answer.body) == digest(body)
    assert answer.ended == "fin"


async def test_a_viewer_of_http_1_0_gets_a_chunked_body_out_of_its_framing() -> None:
    answer = await answered(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nFLV\r\n4\r\n1234\r\n0\r\n\r\n", GET_1_0
    )
    assert answer.all("Transfer-Encoding") == []
    assert (answer.body, answer.ended) == (b"FLV1234", "fin")


async def test_hop_by_hop_fields_and_those_the_origin_says_about_cors_go() -> None:
    answer = await answered(
        b"HTTP/1.1 200 Fine\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: timeout=5\r\nX-Mine: 1\r\n"
        b"Proxy-Status: x\r\nUpgrade: h2c\r\nTE: trailers\r\nTrailer: x\r\nAccess-Control-Allow-Origin: http://evil\r\n"
        b"Access-Control-Allow-Credentials: true\r\naccess-control-expose-headers: x\r\n"
        b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: nginx\r\n\r\n"
    )
    assert answer.fields == (
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Server", "nginx"),
        ("Access-Control-Allow-Origin", "*"),
        ("Connection", "close"),
    )


LISTED = ["https://page.example", "https://other.example"]
CORS = [
    (["*"], PAGE, ["*"], []),
    (["*"], b"", ["*"], []),
    (LISTED, PAGE, ["https://page.example"], ["Origin"]),
    (LISTED, b"Origin: https://evil.example\r\n", [], ["Origin"]),
    (LISTED, b"Origin: null\r\n", [], ["Origin"]),
    (LISTED, b"", [], ["Origin"]),
]


@pytest.mark.parametrize(("cors_origins", "field", "allowed", "vary"), CORS)
async def test_pages_may_read_streams_by_the_list(
    cors_origins: list[str], field: bytes, allowed: list[str], vary: list[str]
) -> None:
    answer = await answered(OK, GET[:-2] + field + b"\r\n", cors_origins=cors_origins)
    assert answer.all("Access-Control-Allow-Origin") == allowed
    assert answer.all("Vary") == vary
    assert answer.all("Access-Control-Allow-Credentials") == []


@pytest.mark.parametrize(("cors_origins", "field", "allowed", "vary"), CORS)
async def test_pages_may_read_errors_by_the_same_list(
    cors_origins: list[str], field: bytes, allowed: list[str], vary: list[str]
) -> None:
    async with splicing(cors_origins=cors_origins) as (_, house):
        answer = await house.answer(GET.replace(b"src=a", b"src=b")[:-2] + field + b"\r\n")
    assert answer.status == 404
    assert answer.all("Access-Control-Allow-Origin") == allowed
    assert answer.all("Vary") == vary


async def test_a_vary_of_the_origin_stays_beside_the_doors() -> None:
    answer = await answered(b"HTTP/1.1 200 OK\r\nVary: Accept\r\n\r\n", GET[:-2] + PAGE + b"\r\n", cors_origins=LISTED)
    assert answer.all("Vary") == ["Accept", "Origin"]


@pytest.mark.parametrize("status", [302, 401, 404, 429, 500, 503])
async def test_an_origins_own_answer_that_is_no_stream_passes_as_it_is(status: int) -> None:
    head = f"HTTP/1.1 {status} Own words\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 4\r\n\r\nbody"
    async with splicing() as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()
        await asked.send(head.encode())
        answer = await viewer.answer()
        with origin.nobody_comes():  # nothing is followed, nothing is tried again
            pass
    assert (answer.status, answer.body, answer["Location"]) == (status, b"body", "http://127.0.0.1:1/")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_ends_with_its_head(status: int) -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()
        await asked.send(f"HTTP/1.1 {status} Nothing\r\n\r\n".encode())
        answer = await viewer.answer()
        await asked.ended()
    assert (answer.status, answer.body, answer.ended) == (status, b"", "fin")


@pytest.mark.parametrize(
    "origins_answer", [OK, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 404 No\r\n\r\n"]
)
async def test_head_gets_the_head_that_get_would_have_got(origins_answer: bytes) -> None:
    of_get = await answered(origins_answer + b"123456789")
    of_head = await answered(origins_answer + b"123456789", HEAD)
    assert of_head.fields == of_get.fields
    assert (of_head.status, of_head.body, of_head.ended) == (of_get.status, b"", "fin")


async def test_interim_answers_are_skipped() -> None:
    answer = await answered(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"FLV")
    assert (answer.status, answer.all("Link"), answer.body) == (200, [], b"FLV")


async def test_an_answer_that_comes_byte_by_byte_is_the_same() -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()
        for at in range(len(OK)):
            await asked.send(OK[at : at + 1])
        await asked.send(b"FLV")
        asked.close()
        answer = await viewer.answer()
    assert (answer.status, answer.body) == (200, b"FLV")


async def test_an_origin_of_http_1_0_is_passed_on_in_the_doors_version() -> None:
    answer = await answered(b"HTTP/1.0 200 OK\r\n" + FLV + b"\r\nFLV")  # Answer.parse looks at the version
    assert (answer.status, answer.body) == (200, b"FLV")


CUT = [
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nFLV", GET, id="length"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nFLV", GET_1_0, id="in a chunk"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nFLV\r\n", GET_1_0, id="no last chunk"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nFLV\r\n-1\r\n", GET_1_0, id="garbage"),
]


@pytest.mark.parametrize(("origins_answer", "request_"), CUT)
async def test_a_body_that_is_cut_short_does_not_look_whole_to_the_viewer(
    origins_answer: bytes, request_: bytes
) -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer(request_)
        asked = await origin.asked()
        await asked.send(origins_answer)
        await viewer.until(b"FLV")
        asked.close()
        assert await viewer.ended() == "reset"
        await house.nobody_served()
        assert house.logged("viewer.end")["reason"] == "origin_lost"


async def test_a_chunked_body_that_is_cut_short_lacks_its_last_chunk() -> None:
    answer = await answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nFLV")
    assert answer.body == b"5\r\nFLV"


async def test_an_origin_that_resets_in_the_middle_resets_its_viewer() -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()
        await asked.send(OK + b"FLV")
        await viewer.until(b"FLV")
        asked.reset()
        assert await viewer.ended() == "reset"
        await house.nobody_served()
        assert house.logged("viewer.end")["reason"] == "origin_lost"


async def test_the_log_says_who_saw_what_and_no_secret() -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer(GET.replace(b"stream=test", b"stream=test&token=geheim"))
        asked = await origin.asked()
        await asked.send(OK + b"12345")
        await viewer.until(b"12345")
        viewer.close()
        await house.nobody_served()
        start, end = house.logged("viewer.start"), house.logged("viewer.end")
        assert "geheim" not in str(house.log)
    for event in (start, end):
        assert (event["route"], event["origin"], event["app"], event["stream"]) == ("splice", "a", "myapp", "test")
        assert event["peer"].startswith("127.0.0.1:")
    assert (end["bytes"], end["reason"]) == (5, "viewer_left")
