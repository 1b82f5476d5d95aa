"""Requests that two servers in a row could read in two ways: none of them reaches an origin, and no second one ever."""

import pytest
import trio
import trio.testing

from tests.splice.splice_house import GET, OK, TARGET, splicing

SECRET = b"GET /secret HTTP/1.1\r\nHost: origin\r\n\r\n"
START = b"GET " + TARGET + b" HTTP/1.1\r\n"
HOST = b"Host: door\r\n"

# (the request's head, what of the answer's sentence tells the cause)
SMUGGLED = {
    "a body by length": (START + HOST + b"Content-Length: 41\r\n\r\n", "body"),
    "a chunked body": (START + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "body"),
    "both framings": (START + HOST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "body"),
    "both, the other way round": (START + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "body"),
    "an obfuscated coding": (START + HOST + b"Transfer-Encoding: xchunked\r\n\r\n", "body"),
    "a coding with a tab": (START + HOST + b"Transfer-Encoding:\tchunked\r\n\r\n", "body"),
    "a coding in capitals": (START + HOST + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n", "body"),
    "identity": (START + HOST + b"Transfer-Encoding: identity\r\n\r\n", "body"),
    "two codings": (START + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", "body"),
    "no coding at all": (START + HOST + b"Transfer-Encoding:\r\n\r\n", "body"),
    "two lengths": (START + HOST + b"Content-Length: 0\r\nContent-Length: 41\r\n\r\n", "more than once"),
    "two equal lengths": (START + HOST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", "more than once"),
    "a list of lengths": (START + HOST + b"Content-Length: 0, 0\r\n\r\n", "digits"),
    "a length with a sign": (START + HOST + b"Content-Length: +41\r\n\r\n", "digits"),
    "a negative length": (START + HOST + b"Content-Length: -1\r\n\r\n", "digits"),
    "a hexadecimal length": (START + HOST + b"Content-Length: 0x29\r\n\r\n", "digits"),
    "an empty length": (START + HOST + b"Content-Length:\r\n\r\n", "digits"),
    "a length in other digits": (START + HOST + b"Content-Length: \xd9\xa4\r\n\r\n", "digits"),
    "an endless length": (START + HOST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n", "Content-Length"),
    "space before the colon": (START + HOST + b"Transfer-Encoding : chunked\r\n\r\n", "well-formed"),
    "a tab before the colon": (START + HOST + b"Content-Length\t: 41\r\n\r\n", "well-formed"),
    "a folded line": (START + HOST + b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n", "well-formed"),
    "a fold in front": (START + b" Transfer-Encoding: chunked\r\n" + HOST + b"\r\n", "well-formed"),
    "a bare LF": (START + HOST + b"X: a\nTransfer-Encoding: chunked\r\n\r\n", "well-formed"),
    "a bare CR": (START + HOST + b"X: a\rTransfer-Encoding: chunked\r\n\r\n", "well-formed"),
    "an empty line by LF": (START + HOST + b"\n" + SECRET, "well-formed"),
    "a NUL in a value": (START + HOST + b"X: a\0b\r\n\r\n", "well-formed"),
    "a NUL in a name": (START + HOST + b"Content-Length\0: 41\r\n\r\n", "well-formed"),
    "a vertical tab": (START + HOST + b"Transfer-Encoding:\x0bchunked\r\n\r\n", "well-formed"),
    "no colon": (START + HOST + b"Transfer-Encoding chunked\r\n\r\n", "well-formed"),
    "no name": (START + HOST + b": chunked\r\n\r\n", "well-formed"),
    "no host": (START + b"\r\n", "Host is missing"),
    "two hosts": (START + HOST + b"Host: evil\r\n\r\n", "more than once"),
    "two equal hosts": (START + HOST + HOST + b"\r\n", "more than once"),
    "a host that is none": (START + b"Host: door/evil\r\n\r\n", "Host is malformed"),
    "a host with a user": (START + b"Host: a@door\r\n\r\n", "Host is malformed"),
    "another authority": (b"GET http://evil" + TARGET + b" HTTP/1.1\r\n" + HOST + b"\r\n", "another host"),
    "another scheme": (b"GET file:///etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", "well-formed"),
    "spaces in the target": (b"GET " + TARGET + b" &x=1 HTTP/1.1\r\n" + HOST + b"\r\n", "well-formed"),
    "a tab for a space": (b"GET\t" + TARGET + b" HTTP/1.1\r\n" + HOST + b"\r\n", "well-formed"),
    "two spaces": (b"GET  " + TARGET + b" HTTP/1.1\r\n" + HOST + b"\r\n", "well-formed"),
    "a fragment": (b"GET " + TARGET + b"#x HTTP/1.1\r\n" + HOST + b"\r\n", "percent-encoded"),
    "raw bytes in the target": (b"GET " + TARGET + b"&x=\xff HTTP/1.1\r\n" + HOST + b"\r\n", "percent-encoded"),
    "a line end in the target": (b"GET " + TARGET + b"\r\nX: HTTP/1.1\r\n" + HOST + b"\r\n", "well-formed"),
    "no version": (b"GET " + TARGET + b"\r\n\r\n", "well-formed"),
    "many empty lines": (b"\r\n\r\n" + GET, "well-formed"),
    "TLS": (bytes.fromhex("16 0301 0200 01 0001fc 0303") + bytes(500), "https"),
}


@pytest.mark.parametrize(("head", "says"), SMUGGLED.values(), ids=SMUGGLED)
async def test_what_can_be_read_in_two_ways_is_a_400_and_no_origin_hears_of_it(head: bytes, says: str) -> None:
    async with splicing() as (origin, house):
        with origin.nobody_comes():
            answer = await house.answer(head + SECRET)
    assert answer.status == 400
    assert says in answer.detail
    assert answer.ended == "fin"


@pytest.mark.parametrize("version", [b"HTTP/1.10", b"HTTP/1.2", b"HTTP/3.0", b"HTTP/0.9"])
async def test_a_version_that_others_may_round_is_a_505_or_a_400(version: bytes) -> None:
    async with splicing() as (origin, house):
        with origin.nobody_comes():
            answer = await house.answer(GET.replace(b"HTTP/1.1", version))
    assert answer.status in (400, 505)
    assert answer.detail


@pytest.mark.parametrize(
    "request_", [GET + SECRET * 3, GET + b"0\r\n\r\n" + SECRET, GET[:-2] + b"Content-Length: 0\r\n\r\n" + SECRET]
)
async def test_what_is_pipelined_behind_a_request_is_dropped(request_: bytes) -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer(request_)
        asked = await origin.asked()
        await asked.send(OK + b"FLV")
        await viewer.until(b"FLV")
        await viewer.send(SECRET)  # while the stream runs
        await asked.send(b"and more")
        await viewer.until(b"and more")
        await asked.half_close()
        await viewer.ended()
        with origin.nobody_comes():
            viewer.close()
            await asked.ended()
    assert b"secret" not in asked.received
    assert asked.received.count(b"\r\n\r\n") == 1
    assert viewer.received.count(b"HTTP/1.1") == 1  # and there is one answer


async def test_an_origin_that_answers_twice_is_heard_once() -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()
        await asked.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nFLVHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        )
        answer = await viewer.answer()
    assert answer.body == b"FLV"


@pytest.mark.parametrize("target", [b"/live?src=a&app=myapp&stream=test&x=%0d%0aHost:%20evil", TARGET + b"&x=%00"])
async def test_encoded_line_ends_stay_encoded(target: bytes) -> None:
    async with splicing() as (origin, house):
        await house.viewer(b"GET " + target + b" HTTP/1.1\r\nHost: door\r\n\r\n")
        asked = await origin.asked()
        assert asked.received.split(b" ")[1] == target
        assert asked.received.count(b"\r\nHost:") == 1


async def test_values_of_fields_that_are_passed_on_cannot_begin_a_line() -> None:
    async with splicing() as (origin, house):
        await house.viewer(GET[:-2] + b"Referer: a\tb \xe4\xff\r\n\r\n")
        asked = await origin.asked()
        assert b"\r\nReferer: a\tb \xe4\xff\r\n" in asked.received


async def test_an_answer_that_the_viewer_is_slow_to_read_is_not_eaten_by_what_it_sent_too_much() -> None:
    async with splicing() as (_, house):
        viewer = await house.viewer(b"GET nonsense HTTP/1.1\r\n\r\n" + bytes(40_000))
        await trio.testing.wait_all_tasks_blocked(0.02)
        answer = await viewer.answer()
    assert (answer.status, answer.ended) == (400, "fin")
