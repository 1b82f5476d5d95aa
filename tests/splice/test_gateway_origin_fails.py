"""Origins that do not answer, or answer nonsense: 502 and 504 with a sentence that helps, and the next address."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import trio
import trio.testing

from tests.splice.hub_house import descriptors
from tests.splice.splice_house import GET, OK, Answer, Asked, FakeOrigin, House, open_house, splicing

HEAD = GET.replace(b"GET", b"HEAD", 1)
LONG = b"x" * 1_000_000

NONSENSE = [
    pytest.param(b"garbage\r\n\r\n", "malformed", id="garbage"),
    pytest.param(b"\x03" + bytes(1536), "another protocol", id="RTMP"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: " + LONG + b"\r\n\r\n", "malformed", id="a field of 1 MB"),
    pytest.param(b"HTTP/1.1 200 " + LONG + b"\r\n\r\n", "malformed", id="a reason of 1 MB"),
    pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n", "malformed", id="100,000 fields"),
    pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", "101", id="101"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 20, "interim", id="interim for ever"),
    pytest.param(b"HTTP/2 200 OK\r\n\r\n", "malformed", id="HTTP/2"),
    pytest.param(b"HTTP/1.1 200 OK\nContent-Type: x\n\n", "malformed", id="bare LF"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "malformed", id="obs-fold"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "malformed", id="space before the colon"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "malformed", id="NUL"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n", "malformed", id="bare CR"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both", id="both framings"
    ),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "once", id="two lengths"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "digits", id="negative length"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "chunked", id="another coding"),
    pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1.0", id="chunked in 1.0"),
]


async def say(asked: Asked, data: bytes) -> None:
    """As an origin: answer, however soon the door has heard enough."""
    with contextlib.suppress(trio.BrokenResourceError):
        await asked.send(data)


def address_free(answer: Answer, *origins: FakeOrigin) -> Answer:
    """The answer, which names no address of an origin's."""
    for origin in origins:
        assert str(origin.port) not in answer.detail
    assert "127.0.0.1" not in answer.detail
    return answer


@pytest.mark.parametrize(("nonsense", "says"), NONSENSE)
async def test_nonsense_is_a_502_and_nothing_of_it_reaches_the_viewer(nonsense: bytes, says: str) -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say, asked, nonsense)
            answer = address_free(await viewer.answer(), origin)
            viewer.close()
            await asked.ended()
        await house.nobody_served()
        end = house.logged("viewer.end")
    assert answer.status == 502
    assert says in answer.detail
    assert (end["reason"], end["status"]) == ("refused", 502)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1", b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_origin_that_closes_before_its_head_is_whole_is_a_502(said: bytes, how: str) -> None:
    async with splicing() as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()
        await asked.send(said)
        getattr(asked, how)()
        answer = address_free(await viewer.answer(), origin)
    assert answer.status == 502
    assert "without a whole answer" in answer.detail


def refusing_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@contextlib.contextmanager
def deaf_url() -> Iterator[str]:
    """The address of somebody who accepts nobody: the queue is full, and the kernel drops each further SYN."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def answer_of(house: House, request: bytes = GET) -> Answer:
    return address_free(await house.answer(request))


async def test_an_origin_that_refuses_is_a_502() -> None:
    async with open_house(origins={"a": {"url": refusing_url()}}) as house:
        answer = await answer_of(house)
        assert house.logged("origin.failed")["address"].startswith("http://127.0.0.1")  # the log has it
    assert answer.status == 502
    assert "refuses" in answer.detail


class NobodyKnows(trio.abc.HostnameResolver):
    """Knows no name; the machine's own resolver might take its time."""

    async def getaddrinfo(self, *args: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *args: object) -> NoReturn:
        raise NotImplementedError


async def test_an_origin_whose_name_is_unknown_is_a_502_that_says_so() -> None:
    trio.socket.set_custom_hostname_resolver(NobodyKnows())
    async with open_house(origins={"a": {"url": "http://no-such-host.invalid"}}) as house:
        answer = await answer_of(house)
    assert answer.status == 502
    assert "name" in answer.detail
    assert "invalid" not in answer.detail


async def test_an_origin_that_does_not_accept_is_a_504_after_connect_s(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with deaf_url() as url:
        async with open_house(origins={"a": {"url": url}}, timeouts={"connect_s": 5}) as house:
            began_s = trio.current_time()
            viewer = await house.viewer()
            answer = address_free(await viewer.answer())
            assert 5 <= trio.current_time() - began_s < 6
    assert answer.status == 504
    assert "did not accept" in answer.detail


@pytest.mark.parametrize("dribble", [False, True])
async def test_an_origin_without_a_whole_head_is_a_504_after_origin_head_s_that_tells_of_the_encoder(
    autojump_clock: trio.testing.MockClock, dribble: bool
) -> None:
    async with splicing(timeouts={"origin_head_s": 10}) as (origin, house):
        began_s = trio.current_time()
        viewer = await house.viewer()
        asked = await origin.asked()

        async def say_a_byte_a_second() -> None:  # the time is for the whole head, not for a byte
            await say(asked, b"HTTP/1.1 200 OK\r\nX: ")
            while dribble:
                await trio.sleep(1)
                await say(asked, b"x")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say_a_byte_a_second)
            answer = address_free(await viewer.answer(), origin)
            nursery.cancel_scope.cancel()
        assert 10 <= trio.current_time() - began_s < 11
        await asked.ended()
    assert answer.status == 504
    assert "encoder" in answer.detail


async def test_head_is_told_of_a_failure_without_a_body() -> None:
    async with open_house(origins={"a": {"url": refusing_url()}}) as house:
        answer = await house.answer(HEAD)
    assert (answer.status, answer.body) == (502, b"")
    assert int(answer["Content-Length"]) > 50


async def by_the_second(origin: FakeOrigin, house: House) -> Answer:
    viewer = await house.viewer()
    asked = await origin.asked()
    assert f"Host: 127.0.0.1:{origin.port}\r\n".encode() in asked.received  # its own, not the first one's
    await asked.send(OK + b"FLV")
    asked.close()
    return await viewer.answer()


async def test_the_next_address_is_asked_when_one_refuses() -> None:
    before = descriptors()
    async with (
        FakeOrigin().listening() as origin,
        open_house(origins={"a": {"urls": [refusing_url(), origin.url]}}) as house,
    ):
        answer = await by_the_second(origin, house)
    assert (answer.status, answer.body) == (200, b"FLV")
    assert descriptors() == before


async def test_the_next_address_is_asked_when_one_does_not_accept(autojump_clock: trio.testing.MockClock) -> None:
    with deaf_url() as url:
        async with (
            FakeOrigin().listening() as origin,
            open_house(origins={"a": {"urls": [url, origin.url]}}) as house,
        ):
            answer = await by_the_second(origin, house)
    assert (answer.status, answer.body) == (200, b"FLV")


@pytest.mark.parametrize("first", ["closes", "talks nonsense", "resets"])
async def test_the_next_address_is_asked_when_one_has_no_answer_and_the_first_is_left(first: str) -> None:
    before = descriptors()
    async with (
        FakeOrigin().listening() as bad,
        FakeOrigin().listening() as origin,
        open_house(origins={"a": {"urls": [bad.url, origin.url]}}) as house,
    ):
        viewer = await house.viewer()
        asked = await bad.asked()
        if first == "closes":
            asked.close()
        elif first == "resets":
            asked.reset()
        else:
            await asked.send(b"nonsense\r\n")
            await asked.ended()
        second = await origin.asked()
        await second.send(OK + b"FLV")
        second.close()
        answer = await viewer.answer()
    assert (answer.status, answer.body) == (200, b"FLV")
    assert descriptors() == before


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_an_origins_own_refusal_is_an_answer_and_the_next_address_is_not_asked(status: int) -> None:
    async with (
        FakeOrigin().listening() as first,
        FakeOrigin().listening() as second,
        open_house(origins={"a": {"urls": [first.url, second.url]}}) as house,
    ):
        with second.nobody_comes():
            viewer = await house.viewer()
            asked = await first.asked()
            await asked.send(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
            assert (await viewer.answer()).status == status


async def test_the_next_address_is_asked_when_one_has_no_such_stream_and_the_first_is_left() -> None:
    before = descriptors()
    async with (
        FakeOrigin().listening() as first,
        FakeOrigin().listening() as origin,
        open_house(origins={"a": {"urls": [first.url, origin.url]}}) as house,
    ):
        viewer = await house.viewer()
        asked = await first.asked()
        await asked.send(missing(b"first"))
        second = await origin.asked()
        await second.send(OK + b"FLV")
        with trio.fail_after(2):
            assert await asked.ended() == "fin"  # though the viewer is still there
        second.close()
        answer = await viewer.answer()
    assert (answer.status, answer.body) == (200, b"FLV")
    assert descriptors() == before


def missing(body: bytes) -> bytes:
    return b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def test_a_404_passes_when_no_address_has_the_stream_and_it_is_the_last_one_that_does() -> None:
    before = descriptors()
    async with (
        FakeOrigin().listening() as first,
        FakeOrigin().listening() as second,
        open_house(origins={"a": {"urls": [first.url, second.url]}}) as house,
    ):
        viewer = await house.viewer()
        await (await first.asked()).send(missing(b"first"))
        await (await second.asked()).send(missing(b"second"))
        answer = await viewer.answer()
    assert (answer.status, answer.body) == (404, b"second")
    assert descriptors() == before


async def test_a_404_passes_when_the_other_addresses_are_down() -> None:
    before = descriptors()
    async with (
        FakeOrigin().listening() as origin,
        open_house(origins={"a": {"urls": [origin.url, refusing_url()]}}) as house,
    ):
        viewer = await house.viewer()
        await (await origin.asked()).send(missing(b"not here"))
        answer = await viewer.answer()
    assert (answer.status, answer.body) == (404, b"not here")
    assert descriptors() == before


async def test_when_all_addresses_fail_the_last_ones_failure_is_told(autojump_clock: trio.testing.MockClock) -> None:
    with deaf_url() as deaf:
        for urls, status in (([deaf, refusing_url()], 502), ([refusing_url(), deaf], 504)):
            tables: dict[str, Any] = {"origins": {"a": {"urls": urls}}}
            async with open_house(**tables) as house:
                viewer = await house.viewer()
                assert (await viewer.answer()).status == status
