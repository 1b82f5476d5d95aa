"""The operator's callbacks: what is sent, what an answer means, and that a mute program holds up nobody."""

import gc
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
import trustme
from structlog.testing import capture_logs
from trio.testing import MockClock

from splice.access import Caller, HookCalls, Hooks, PlayRequest, PublishRequest
from splice.access.hook_client import HookClient
from splice.stats import EndReason
from tests.splice.access.hook_server import HookServer, open_hook_server

CALLER = Caller(
    flash_version="FMLE/3.0", swf_url="http://p/player.swf", tc_url="rtmp://door/myapp", page_url="http://p/"
)
ALLOWS = ["200", "204", "299", "interim", "half a body", "10 MB"]
REFUSES = ["302", "400", "403", "500"]
FAILS = ["hang", "die", "drip", "endless head", "nonsense"]


def hooks(server: HookServer | str, *, timeout_s: float = 5, allow_on_failure: bool = False) -> Hooks:
    url = server if isinstance(server, str) else server.url
    urls = dict.fromkeys(("publish", "publish_done", "play", "play_done"), url)
    return Hooks(urls, timeout_s=timeout_s, allow_on_failure=allow_on_failure)


def request(**changed: Any) -> PublishRequest:
    return PublishRequest(
        **{"client_id": "p1", "address": "192.0.2.7", "app": "myapp", "stream": "test", "caller": CALLER, **changed}
    )


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@asynccontextmanager
async def open_calls() -> AsyncIterator[HookCalls]:
    async with trio.open_nursery() as nursery:
        calls = HookCalls(nursery, user_agent="splice/test")
        calls.prepare()
        yield calls
        nursery.cancel_scope.cancel()


# --- what is sent ---


async def test_a_question_has_nginx_rtmp_s_fields() -> None:
    async with open_hook_server() as server, open_calls() as calls:
        assert (await calls.ask(hooks(server), "publish", request(arguments="key=a%26b&token=t&flag"))).allows
    assert server.forms == [
        [
            ("call", "publish"),
            ("addr", "192.0.2.7"),
            ("clientid", "p1"),
            ("app", "myapp"),
            ("name", "test"),
            ("flashver", "FMLE/3.0"),
            ("swfurl", "http://p/player.swf"),
            ("tcurl", "rtmp://door/myapp"),
            ("pageurl", "http://p/"),
            ("key", "a&b"),
            ("token", "t"),
            ("flag", ""),
        ]
    ]
    assert server.heads[0]["content-type"] == "application/x-www-form-urlencoded"
    assert server.heads[0]["user-agent"] == "splice/test"
    assert server.heads[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "arguments",
    ["addr=10.0.0.1", "ADDR=10.0.0.1", "%61ddr=10.0.0.1", "addr[]=10.0.0.1", "addr%00=1", "+addr=1", ".addr=1", "=1"],
)
async def test_a_viewer_cannot_speak_for_the_door(arguments: str) -> None:
    async with open_hook_server() as server, open_calls() as calls:
        await calls.ask(hooks(server), "play", request(arguments=f"{arguments}&name=other&call=publish&a=1"))
    fields = server.forms[0]
    assert len(fields) == 10
    assert fields[-1] == ("a", "1")
    assert dict(fields[:9])["addr"] == "192.0.2.7"


async def test_strings_of_any_size_and_kind_are_sent_in_bounds() -> None:
    huge = Caller(flash_version="\ud800\n&=é" + "x" * 100_000)
    async with open_hook_server() as server, open_calls() as calls:
        arguments = "&".join(f"a{n}={'y' * 10_000}" for n in range(1000))
        await calls.ask(hooks(server), "play", request(caller=huge, arguments=arguments))
    fields = dict(server.forms[0])
    assert fields["flashver"].startswith("?\n&=é")
    assert len(server.forms[0]) == 9 + 64
    assert {len(fields["flashver"]), len(fields["a63"])} == {4096}


# --- what an answer means ---


@pytest.mark.parametrize("answer", ALLOWS)
async def test_2xx_lets_in_whatever_its_body(answer: str) -> None:
    async with open_hook_server(answer) as server, open_calls() as calls:
        with trio.fail_after(2):
            assert (await calls.ask(hooks(server), "play", request())).allows
        await server.all_left(1)  # nobody reads the rest


@pytest.mark.parametrize("answer", REFUSES)
@pytest.mark.parametrize("allow_on_failure", [True, False])
async def test_any_other_answer_refuses_and_a_redirect_is_not_followed(answer: str, allow_on_failure: bool) -> None:
    async with open_hook_server(answer) as server, open_calls() as calls:
        assert not (await calls.ask(hooks(server, allow_on_failure=allow_on_failure), "play", request())).allows
    assert len(server.calls) == 1


@pytest.mark.parametrize("answer", FAILS)
@pytest.mark.parametrize("allow_on_failure", [True, False])
async def test_no_answer_is_what_the_operator_says_it_is(answer: str, allow_on_failure: bool) -> None:
    before = descriptors()
    with capture_logs() as log:
        async with open_hook_server(answer) as server, open_calls() as calls:
            configured = hooks(server, timeout_s=0.5, allow_on_failure=allow_on_failure)
            with trio.fail_after(5):
                assert (await calls.ask(configured, "play", request())).allows is allow_on_failure
            await server.all_left(1)
    assert [event["event"] for event in log] == ["hook.failed"]
    assert log[0]["hook"] == "on_play"
    assert descriptors() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "nobody.invalid"])
async def test_a_program_that_is_not_there_is_no_answer_either(host: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:geheim@{host}:{unused.getsockname()[1]}/?token=geheim"
        with capture_logs() as log:
            async with open_calls() as calls:
                assert not (await calls.ask(hooks(url), "publish", request())).allows
    assert log[0]["event"] == "hook.failed"
    assert "geheim" not in str(log)


async def test_what_has_no_url_is_not_asked() -> None:
    async with open_calls() as calls:
        configured = Hooks({"play": ""}, timeout_s=1, allow_on_failure=False)
        assert (await calls.ask(configured, "play", request())).allows
        assert (await calls.ask(configured, "publish", request())).allows
        calls.tell(configured, "play_done", request())


async def test_a_question_that_is_cancelled_leaves_no_connection() -> None:
    async with open_hook_server("hang") as server, open_calls() as calls:
        with trio.move_on_after(60) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(calls.ask, hooks(server), "play", request())
                await server.called()
                scope.cancel()
        await server.all_left(1)


async def test_a_question_that_is_given_up_while_it_is_sent_leaves_nothing_behind() -> None:
    before = descriptors()
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        arguments = "&".join(f"a{n}={'é' * 4096}" for n in range(64))  # more than sockets hold
        with capture_logs():
            async with open_calls() as calls:
                configured = hooks(f"http://127.0.0.1:{deaf.getsockname()[1]}/", timeout_s=0.2)
                assert not (await calls.ask(configured, "play", request(arguments=arguments))).allows
    gc.collect()  # what was left to it complains now
    assert descriptors() == before


async def test_a_thousand_questions_to_a_program_that_hangs_take_one_time_out() -> None:
    before = descriptors()
    with capture_logs() as log:
        async with open_hook_server("hang") as server, open_calls() as calls:
            with trio.fail_after(5):
                async with trio.open_nursery() as nursery:
                    for _ in range(1000):
                        nursery.start_soon(calls.ask, hooks(server, timeout_s=0.5), "play", request())
    assert len(log) == 1000
    assert len(server.calls) <= 64
    assert descriptors() == before


# --- what is said of a call that failed ---


@pytest.mark.parametrize("call", ["play", "demand", "play_done", "update"])
async def test_a_call_without_an_answer_is_logged_with_whose_it_was_and_why(
    call: str, autojump_clock: MockClock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, capture_logs() as log:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/hook"
        configured = Hooks({call: f"{url}?token=geheim"}, timeout_s=60, allow_on_failure=False)
        async with open_calls() as calls:
            if call == "play":
                assert not (await calls.ask(configured, call, request())).allows
            elif call == "demand":
                assert await calls.demand(configured, request()) is None
            elif call == "play_done":
                calls.tell(configured, call, request())
                await trio.sleep(61)
            else:
                with calls.updated(configured, request(), Sitting()):
                    await trio.sleep(91)
    assert log == [
        {
            "event": "hook.failed",
            "log_level": "warning",
            "hook": f"on_{call}",
            "url": f"{url}?token=***",
            "id": "p1",
            "error": "no answer within 60 s",
        }
    ]


# --- telling ---


async def test_who_tells_does_not_wait() -> None:
    async with open_hook_server("hang") as server, open_calls() as calls:
        calls.tell(hooks(server), "play_done", request())
        assert (await server.called())["call"] == "play_done"


async def test_the_end_waits_for_all_to_be_told_and_no_longer(mock_clock: MockClock) -> None:
    # No second passes, however long it takes.
    told = []
    async with open_hook_server() as server, open_calls() as calls:
        for number in range(30):
            calls.tell(hooks(server), "play_done", request(client_id=f"v{number}"))

        async def wait() -> None:
            await calls.wait_told()
            told.append(len(server.calls))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await server.all_left(30)
            await trio.testing.wait_all_tasks_blocked()
            assert told == [30]
        await calls.wait_told()
    assert sorted(call["clientid"] for call in server.calls) == sorted(f"v{number}" for number in range(30))


async def test_the_end_waits_a_second_for_a_program_that_hangs(autojump_clock: MockClock) -> None:
    async with open_calls() as calls:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            started = trio.current_time()
            calls.tell(hooks(f"http://127.0.0.1:{deaf.getsockname()[1]}/"), "play_done", request())
            await calls.wait_told()
            assert trio.current_time() - started == 1


async def test_what_nobody_can_be_told_is_dropped_and_said() -> None:
    with capture_logs() as log:
        async with open_hook_server("hang") as server, open_calls() as calls:
            for number in range(10_001):
                calls.tell(hooks(f"{server.url}?token=geheim"), "play_done", request(client_id=f"v{number}"))
            assert log == [
                {
                    "event": "hook.dropped",
                    "log_level": "warning",
                    "hook": "on_play_done",
                    "url": f"{server.url}?token=***",
                    "id": "v10000",
                    "waiting": 10_000,
                }
            ]


async def test_hooks_are_not_logged_by_the_library_that_calls_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with open_hook_server() as server, open_calls() as calls:
        await calls.ask(hooks(server.url + "?token=geheim"), "play", request())
    assert "geheim" not in caplog.text


def test_requests_show_no_secret_when_they_are_printed() -> None:
    asked = PlayRequest(
        client_id="v1", address="::1", app="a", stream="b", path="/live", arguments="key=geheim", caller=CALLER
    )
    assert "geheim" not in repr(asked)


# --- redirects, and what goes with an answer ---


@pytest.mark.parametrize("location", ["test", "a b", "http://[", "rtmp://10.0.0.8/live/test", "é", "/", "x" * 5000])
async def test_the_location_of_an_answer_comes_as_it_was_sent(location: str) -> None:
    async with open_hook_server(location) as server, open_calls() as calls:
        answer = await calls.ask(hooks(server, allow_on_failure=True), "publish", request())
    assert answer.redirects
    assert (answer.allows, answer.status, answer.location) == (False, 302, location)
    assert len(server.calls) == 1


@pytest.mark.parametrize(("answer", "redirects"), [("302 to nowhere", True), ("403", False)])
async def test_an_answer_without_a_location_sends_nowhere(answer: str, redirects: bool) -> None:
    async with open_hook_server(answer) as server, open_calls() as calls:
        said = await calls.ask(hooks(server), "publish", request())
    assert (said.redirects, said.location) == (redirects, "")


async def test_a_cookie_is_not_kept() -> None:
    async with open_hook_server("302 with a cookie") as server, open_calls() as calls:
        for _ in range(2):
            await calls.ask(hooks(server), "publish", request())
    assert not any("cookie" in head for head in server.heads)


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_https_program_is_believed_where_the_system_trusts_its_certificate(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    if trusted:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with capture_logs() as log:
        async with open_hook_server(tls=context) as server, open_calls() as calls:
            answer = await calls.ask(hooks(server.url), "publish", request())
    assert answer.allows is trusted
    assert [call["call"] for call in server.calls] == (["publish"] if trusted else [])
    assert ["certificate" in event["error"] for event in log] == ([] if trusted else [True])


# --- updates ---


class Sitting:
    """Somebody who publishes or watches, since 12.9 s."""

    seconds = 12.9
    clock_ms = 4711

    def __init__(self) -> None:
        self.ended_by: EndReason | None = None

    def end(self, reason: EndReason) -> None:
        self.ended_by = reason


def updating(server: HookServer, *, timeout_s: float = 5) -> Hooks:
    return Hooks({"update": server.url}, timeout_s=timeout_s, allow_on_failure=False, update_s=0.05)


WATCHING = PlayRequest(
    client_id="v1", address="192.0.2.7", app="myapp", stream="test", path="/live", arguments="user=u&time=0&TIMESTAMP=0"
)


@pytest.mark.parametrize(
    ("asked", "call"), [(request(arguments="user=u"), "update_publish"), (WATCHING, "update_play")]
)
async def test_an_update_has_nginx_rtmp_s_fields(asked: PublishRequest, call: str) -> None:
    sitting = Sitting()
    async with open_hook_server() as server, open_calls() as calls:
        with calls.updated(updating(server), asked, sitting):
            form = await server.called(2)
    assert (form["call"], form["name"], form["clientid"]) == (call, "test", asked.client_id)
    assert server.forms[0][9:] == [("time", "12"), ("timestamp", "4711"), ("user", "u")]
    assert sitting.ended_by is None


@pytest.mark.parametrize(("answer", "status"), [("302", 302), ("test", 302), ("404", 404), ("500", 500)])
async def test_an_answer_to_an_update_that_is_not_2xx_ends_the_session(answer: str, status: int) -> None:
    sitting = Sitting()
    with capture_logs() as log:
        async with open_hook_server(answer) as server, open_calls() as calls:
            with calls.updated(updating(server), WATCHING, sitting):
                await server.all_left(1)
                await trio.testing.wait_all_tasks_blocked()
    assert sitting.ended_by is EndReason.KICKED
    assert log[0] == {"event": "hook.ended", "log_level": "info", "hook": "on_update", "id": "v1", "status": status}


@pytest.mark.parametrize("answer", ["hang", "die", "drip", "nonsense"])
async def test_no_answer_to_an_update_ends_nobody_and_is_said_once(answer: str) -> None:
    sitting = Sitting()
    with capture_logs() as log:
        async with open_hook_server(answer) as server, open_calls() as calls:
            with calls.updated(updating(server, timeout_s=0.3), WATCHING, sitting):
                await server.all_left(2)
                server.answer = "200"
                await server.all_left(3)
                await trio.testing.wait_all_tasks_blocked()
                server.answer = answer
                await server.all_left(5)
    assert sitting.ended_by is None
    assert [(event["event"], event["hook"]) for event in log] == [("hook.failed", "on_update")] * 2


async def test_a_session_that_ends_takes_its_update_along() -> None:
    async with open_hook_server("hang") as server, open_calls() as calls:
        with calls.updated(updating(server, timeout_s=60), WATCHING, Sitting()):
            await server.called(1)
        await server.all_left(1)


async def test_without_on_update_a_session_costs_no_task() -> None:
    async with open_calls() as calls:
        before = trio.lowlevel.current_statistics().tasks_living
        with calls.updated(Hooks({}, timeout_s=1, allow_on_failure=False), WATCHING, Sitting()):
            assert trio.lowlevel.current_statistics().tasks_living == before
            assert calls._rounds._queue == []


async def test_a_thousand_sessions_take_one_task_while_they_wait() -> None:
    async with open_calls() as calls:
        before = trio.lowlevel.current_statistics().tasks_living
        with ExitStack() as sittings:
            for _ in range(1000):
                hooked = Hooks({"update": "http://127.0.0.1:1/"}, timeout_s=1, allow_on_failure=False)
                sittings.enter_context(calls.updated(hooked, WATCHING, Sitting()))
            await trio.testing.wait_all_tasks_blocked()
            assert trio.lowlevel.current_statistics().tasks_living == before + 1


async def test_a_bug_in_telling_is_logged_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(HookClient, "post", fail)
    with capture_logs() as log:
        async with open_calls() as calls:
            calls.tell(hooks("http://127.0.0.1:1/"), "play_done", request())
            await calls.wait_told()
    assert [(event["event"], event["hook"], event["exc_info"]) for event in log] == [("hook.bug", "on_play_done", True)]
