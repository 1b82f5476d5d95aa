"""What the door answers itself: every status of DESIGN section 3, each with a sentence that helps, in their order."""

import pytest
import trio
import trio.testing

from tests.splice.splice_house import GET, OK, TARGET, open_house, splicing

TEN_KIB = b"x" * 10_240


def get(target: bytes, fields: bytes = b"") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: door\r\n" + fields + b"\r\n"


REFUSED = [
    pytest.param(get(b"/live"), 400, "app is missing", id="no parameter"),
    pytest.param(get(b"/live?src=a&stream=test"), 400, "app is missing", id="no app"),
    pytest.param(get(b"/live?src=a&app=myapp"), 400, "stream is missing", id="no stream"),
    pytest.param(get(b"/live?src=a&name=test&app=myapp"), 400, "stream is missing", id="name for stream"),
    pytest.param(get(TARGET + b"&app=myapp"), 400, "app is given twice", id="app twice"),
    pytest.param(get(TARGET + b"&src=b"), 400, "src is given twice", id="src twice"),
    pytest.param(get(TARGET + b"&port=1936"), 400, "port is given twice", id="port twice"),
    pytest.param(get(TARGET + b"&stream"), 400, "stream is given twice", id="stream twice, once without a value"),
    pytest.param(get(TARGET + b"&%61pp=other"), 400, "app is given twice", id="app twice, encoded"),
    pytest.param(get(TARGET + b"&APP=other"), 400, "app is given twice", id="app twice, in capitals"),
    pytest.param(get(TARGET + b"&str%65am=other"), 400, "stream is given twice", id="stream twice, encoded"),
    pytest.param(get(TARGET + b";app=other"), 400, "stream takes", id="app behind a semicolon"),
    pytest.param(get(TARGET + b"&x=1;app=other"), 400, "semicolon", id="app behind another's semicolon"),
    pytest.param(get(TARGET.replace(b"app=", b"%61pp=")), 400, "app holds a %", id="an encoded name"),
    pytest.param(get(TARGET.replace(b"myapp", b"my%61pp")), 400, "app holds a %", id="an encoded value, verbatim"),
    pytest.param(get(TARGET.replace(b"myapp", b"")), 400, "app takes", id="an empty app"),
    pytest.param(get(TARGET.replace(b"myapp", b"..")), 400, "app takes", id="two dots"),
    pytest.param(get(TARGET.replace(b"myapp", b"a/b")), 400, "app takes", id="a slash"),
    pytest.param(get(TARGET.replace(b"test", b"%2e%2e")), 400, "stream takes", id="two encoded dots"),
    pytest.param(get(TARGET.replace(b"test", b"a%00b")), 400, "stream takes", id="an encoded NUL"),
    pytest.param(get(TARGET.replace(b"test", b"a%0d%0ax")), 400, "stream takes", id="an encoded line end"),
    pytest.param(get(TARGET.replace(b"test", b"te%2573t")), 400, "stream takes", id="encoded twice"),
    pytest.param(get(TARGET.replace(b"test", b"x" * 129)), 400, "stream takes 1 to 128", id="129 characters"),
    pytest.param(get(TARGET.replace(b"test", b"x" * 4000)), 400, "stream takes 1 to 128", id="4000 characters"),
    pytest.param(get(TARGET.replace(b"1935", b"0")), 400, "port takes", id="port 0"),
    pytest.param(get(TARGET.replace(b"1935", b"65536")), 400, "port takes", id="port 65536"),
    pytest.param(get(TARGET.replace(b"1935", b"1935x")), 400, "port takes", id="no number"),
    pytest.param(get(TARGET.replace(b"src=a", b"src=http://127.0.0.1")), 400, "src takes", id="src is a URL"),
    pytest.param(get(TARGET.replace(b"src=a", b"src=")), 400, "src takes", id="src is empty"),
    pytest.param(get(TARGET.replace(b"src=a", b"src=127.0.0.1")), 404, "no origin", id="src is an address"),
    pytest.param(get(TARGET.replace(b"src=a", b"src=A")), 404, "no origin", id="src in capitals"),
    pytest.param(get(b"/live?app=myapp&stream=test"), 404, "nobody publishes", id="not on the hub"),
    pytest.param(get(b"/myapp/test.flv"), 404, "nobody publishes", id="not on the hub, by path"),
    pytest.param(get(b"/nothing?src=a&app=myapp&stream=test"), 404, "/live?src=", id="another path"),
    pytest.param(get(b"/live/?src=a&app=myapp&stream=test"), 404, "/live?src=", id="a slash too many"),
    pytest.param(get(b"/%6cive?src=a&app=myapp&stream=test"), 404, "/live?src=", id="an encoded path"),
    pytest.param(get(b"/-/nothing"), 404, "/live?src=", id="none of its own files"),
    pytest.param(get(b"/-/../splice.toml"), 404, "/live?src=", id="a path that climbs"),
    pytest.param(GET.replace(b"GET", b"POST", 1), 405, "GET", id="POST"),
    pytest.param(GET.replace(b"GET", b"get", 1), 405, "GET", id="get"),
    pytest.param(b"CONNECT a:1935 HTTP/1.1\r\nHost: a:1935\r\n\r\n", 405, "GET", id="CONNECT"),
    pytest.param(get(b"/live?src=a&app=myapp&stream=" + TEN_KIB), 414, "4096 bytes", id="a name of 10 KiB"),
    pytest.param(get(b"/" + TEN_KIB + b"/test.flv"), 414, "4096 bytes", id="a path of 10 KiB"),
    pytest.param(b"GET /live?app=" + TEN_KIB, 414, "4096 bytes", id="a target that never ends"),
    pytest.param(get(TARGET, b"X: " + 2 * TEN_KIB + b"\r\n"), 431, "16384 bytes", id="a field of 20 KiB"),
    pytest.param(get(TARGET, b"X: y\r\n" * 64), 431, "64 field lines", id="65 fields"),
    pytest.param(GET.replace(b"HTTP/1.1", b"HTTP/2.0"), 505, "HTTP/1.1", id="HTTP/2.0"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1", id="HTTP/2's preface"),
]


@pytest.mark.parametrize(("request_", "status", "says"), REFUSED)
async def test_a_refusal_says_what_to_do_and_no_origin_hears_of_it(request_: bytes, status: int, says: str) -> None:
    async with splicing() as (origin, house):
        with origin.nobody_comes():
            answer = await house.answer(request_)
        assert str(origin.port) not in answer.detail
    assert answer.status == status
    assert says.lower() in answer.detail.lower()
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer.ended == "fin"  # no reset eats it, though bytes of the request may be unread
    assert answer.all("Allow") == (["GET, HEAD, OPTIONS"] if status == 405 else [])


async def test_a_port_that_the_origin_does_not_let_through_is_a_400() -> None:
    async with splicing(origin={"ports": [1936]}) as (origin, house):
        with origin.nobody_comes():
            answer = await house.answer(GET)
    assert answer.status == 400
    assert "The parameter port" in answer.detail


async def test_a_template_takes_encoded_values_once() -> None:
    async with splicing(origin={"target": "/{app}/{stream}.flv"}) as (origin, house):
        with origin.nobody_comes():
            answer = await house.answer(get(TARGET.replace(b"test", b"te%2573t")))
    assert answer.status == 400


@pytest.mark.parametrize("sent", [b"", b"GET /live?app=", GET[:-2]])
async def test_a_head_that_is_not_whole_in_time_is_a_408(autojump_clock: trio.testing.MockClock, sent: bytes) -> None:
    async with splicing(timeouts={"head_s": 10}) as (origin, house):
        began_s = trio.current_time()
        with origin.nobody_comes():
            viewer = await house.viewer(sent)
            answer = await viewer.answer()
        assert 10 <= trio.current_time() - began_s < 11
    assert answer.status == 408
    assert "10 s" in answer.detail


async def test_the_time_is_for_the_whole_head_and_not_for_a_byte(autojump_clock: trio.testing.MockClock) -> None:
    async with splicing(timeouts={"head_s": 10}) as (_, house):
        began_s = trio.current_time()
        viewer = await house.viewer(b"")

        async def dribble() -> None:
            for at in range(len(GET)):
                await viewer.send(GET[at : at + 1])
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(dribble)
            answer = await viewer.answer()
            nursery.cancel_scope.cancel()
        assert 10 <= trio.current_time() - began_s < 11
    assert answer.status == 408


@pytest.mark.parametrize("sent", [b"", b"GET /live", GET[:-1]])
@pytest.mark.parametrize("how", ["close", "half_close", "reset"])
async def test_who_leaves_before_its_head_is_whole_is_closed_without_a_word(sent: bytes, how: str) -> None:
    async with splicing() as (origin, house):
        with origin.nobody_comes():
            viewer = await house.viewer(sent)
            if how == "half_close":
                await viewer.half_close()
                assert await viewer.ended() == "fin"
                assert viewer.received == b""
            else:
                getattr(viewer, how)()
            with trio.fail_after(5):
                await house.nobody_served()
        assert [event["event"] for event in house.log if event["log_level"] == "error"] == []


@pytest.mark.parametrize("method", [b"POST", b"HEAD"])
async def test_an_answer_to_other_methods_has_the_same_form(method: bytes) -> None:
    async with splicing() as (_, house):
        answer = await house.answer(GET.replace(b"GET", method, 1).replace(b"src=a", b"src=b"))
    assert answer["Content-Type"] == "application/problem+json"
    assert bool(answer.body) == (method == b"POST")
    assert int(answer["Content-Length"]) > 50


PREFLIGHT = b" HTTP/1.1\r\nHost: door\r\nOrigin: https://page.example\r\nAccess-Control-Request-Method: GET\r\n\r\n"


@pytest.mark.parametrize("target", [TARGET, b"/", b"*", b"/live", b"/nothing"])
async def test_a_preflight_allows_what_players_send_for_a_day(target: bytes) -> None:
    async with splicing() as (origin, house):
        with origin.nobody_comes():
            answer = await house.answer(b"OPTIONS " + target + PREFLIGHT)
    assert (answer.status, answer.body, answer.ended) == (200, b"", "fin")
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert answer["Access-Control-Allow-Headers"] == "Authorization, Range"
    assert answer["Access-Control-Max-Age"] == "86400"
    assert answer["Connection"] == "close"


async def test_a_preflight_of_an_unlisted_page_is_not_allowed() -> None:
    async with splicing(cors_origins=["https://other.example"]) as (_, house):
        answer = await house.answer(b"OPTIONS " + TARGET + PREFLIGHT)
    assert answer.all("Access-Control-Allow-Origin") == []
    assert answer["Vary"] == "Origin"


UNKNOWN = TARGET.replace(b"src=a", b"src=b")
BAD_QUERY = TARGET + b"&app=twice"

# A request that is wrong in several ways is told of the first of them: head, method, syntax, limits, existence.
ORDER = [
    pytest.param(b"POST " + BAD_QUERY + b" HTTP/1.1\r\n\r\n", 400, "Host", id="head before method"),
    pytest.param(b"POST " + BAD_QUERY + b" HTTP/1.1\r\nHost: d\r\n\r\n", 405, "GET", id="method before syntax"),
    pytest.param(get(BAD_QUERY.replace(b"src=a", b"src=b")), 400, "twice", id="syntax before limits"),
    pytest.param(get(UNKNOWN), 503, "viewers", id="limits before existence of an origin"),
    pytest.param(get(b"/myapp/test.flv"), 503, "viewers", id="limits before existence of a stream"),
]


@pytest.mark.parametrize(("request_", "status", "says"), ORDER)
async def test_checks_run_in_their_order_so_that_an_outsider_learns_nothing_of_names(
    request_: bytes, status: int, says: str
) -> None:
    async with splicing(limits={"viewers": 1}) as (origin, house):
        viewer = await house.viewer()
        asked = await origin.asked()
        await asked.send(OK)
        await viewer.head()
        answer = await house.answer(request_)
        assert answer.status == status
        assert says.lower() in answer.detail.lower()


async def test_the_page_is_there_whatever_the_limits() -> None:
    async with splicing(limits={"viewers": 1}) as (origin, house):
        await house.viewer()
        await origin.asked()
        page = await house.answer(b"GET / HTTP/1.1\r\nHost: door\r\n\r\n")
        assert page.status == 200
        assert str(origin.port).encode() not in page.body


async def test_every_configured_path_is_a_live_path() -> None:
    async with open_house(live_path=["/live", "/tv"]) as house:
        for path, says in ((b"/live", "app is missing"), (b"/tv", "app is missing"), (b"/x", "/live?src=")):
            assert says in (await house.answer(get(path))).detail
