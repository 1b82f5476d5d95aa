"""The whole door in one process: ready, reloaded, drained, stopped by signals, and what its log says meanwhile."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog
import trio
import trio.testing
from structlog.testing import LogCapture

from splice import __version__
from splice.config import ConfigError, Settings
from splice.hub.forward import Forwards
from splice.listeners import ListenError
from splice.server import serve
from splice.supervisor import hold_signals

WATCH_DEMO = "/live?src=demo&app=demo&stream=clock"
SOON_S = 5  # what takes no time at all, on a busy machine


def settings(*, drain_s: float = 60, **keys: Any) -> Settings:
    return Settings.model_validate({"listen": ["127.0.0.1:0"], "timeouts": {"drain_s": drain_s}, **keys})


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Log(LogCapture):
    """Keeps every event, and wakes who waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self.more = trio.Event()

    def __call__(self, logger: Any, method: str, event: structlog.typing.EventDict) -> NoReturn:
        try:
            super().__call__(logger, method, event)
        finally:
            self.more.set()
            self.more = trio.Event()


@contextmanager
def captured() -> Iterator[Log]:
    log = Log()
    structlog.configure(processors=[log])
    try:
        yield log
    finally:
        structlog.reset_defaults()


class RunningDoor:
    """A door in a task of the test's.

    Attributes:
        address: of its first media listener.
        log: its events.
        next: what a reload will read: settings, or the error that reading raises.
        status: what it returned.
    """

    def __init__(self, log: Log) -> None:
        self.address = ("", 0)
        self.log = log
        self.next: Settings | ConfigError = settings()
        self.status: int | None = None
        self.ended = trio.Event()

    def reload(self) -> Settings:
        if isinstance(self.next, ConfigError):
            raise self.next
        return self.next

    async def run(self, start: Settings, *, demo: bool, task_status: trio.TaskStatus[None]) -> None:
        def on_ready(address: str, _admin: str) -> None:
            host, _, port = address.rpartition(":")
            self.address = host, int(port)
            task_status.started()

        self.status = await serve(start, demo=demo, reload=self.reload, on_ready=on_ready)
        self.ended.set()

    def events(self, name: str) -> list[MutableMapping[str, Any]]:
        return [event for event in self.log.entries if event["event"] == name]

    async def logged(self, name: str, count: int = 1) -> MutableMapping[str, Any]:
        """The last of `count` such events, once it is there."""
        with trio.fail_after(SOON_S):
            while len(self.events(name)) < count:
                await self.log.more.wait()
        return self.events(name)[count - 1]

    async def signalled(self, number: signal.Signals, event: str, count: int = 1) -> MutableMapping[str, Any]:
        os.kill(os.getpid(), number)
        return await self.logged(event, count)

    async def exit_status(self) -> int | None:
        with trio.fail_after(SOON_S):
            await self.ended.wait()
        return self.status

    async def connected(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(*self.address)

    async def answer(self, request: bytes) -> bytes:
        """The first bytes that come back."""
        async with await self.connected() as stream:
            await stream.send_all(request)
            with trio.fail_after(SOON_S):
                return bytes(await stream.receive_some(65536))

    async def watching(self, target: str = WATCH_DEMO, *fields: str) -> trio.SocketStream:
        """A viewer who has seen the first bytes."""
        stream = await self.connected()
        await stream.send_all(get(target, *fields))
        with trio.fail_after(SOON_S):
            assert (await stream.receive_some(64)).startswith(b"HTTP/1.1 200 ")
        return stream


def get(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: door", *fields, "", ""]).encode("latin-1")


async def ends(stream: trio.SocketStream) -> None:
    """Read until the door has closed, or reset, the connection."""
    try:
        with trio.fail_after(SOON_S):
            while await stream.receive_some(65536):
                pass
    except trio.BrokenResourceError:
        pass


@asynccontextmanager
async def a_door(start: Settings | None = None, *, demo: bool = True) -> AsyncIterator[RunningDoor]:
    """A running door with the demo; the test has to stop it."""
    descriptors = open_descriptors()
    with captured() as log:
        door = RunningDoor(log)
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                await nursery.start(
                    lambda task_status: door.run(start or settings(), demo=demo, task_status=task_status)
                )
                yield door
                await door.exit_status()
    assert not [event for event in log.entries if event["log_level"] == "error" and event["event"] != "reload.failed"]
    assert open_descriptors() == descriptors


async def stopped(door: RunningDoor) -> int | None:
    os.kill(os.getpid(), signal.SIGTERM)
    return await door.exit_status()


async def test_ready_says_where_everything_is() -> None:
    async with a_door(settings(listen=["0", "[::1]:0"], rtmp_listen=["127.0.0.1:0"])) as door:
        (ready,) = door.events("ready")
        any4, any6, loopback6 = ready["http"]
        port = any4.removeprefix("0.0.0.0:")
        assert any6 == f"[::]:{port}"
        assert loopback6.startswith("[::1]:")
        (rtmp,) = ready["rtmp"]
        assert rtmp.startswith("127.0.0.1:")
        assert not rtmp.endswith(":0")
        assert [address.rpartition(":")[0] for address in ready["admin"]] == ["127.0.0.1", "[::1]"]  # the demo's
        assert (ready["https"], ready["rtmps"], ready["version"]) == ([], [], __version__)
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.connect((host, int(port)))
        assert await stopped(door) == 0
    assert door.events("stopped") == [{"event": "stopped", "status": 0, "log_level": "info"}]


async def test_a_port_that_is_taken_stops_the_door_before_it_has_begun() -> None:
    descriptors = open_descriptors()
    with socket.create_server(("127.0.0.1", 0)) as taken, captured() as log:
        listen = ["127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}"]
        with pytest.raises(ListenError):
            await serve(settings(listen=listen), demo=True, reload=settings, on_ready=lambda *_: None)
    assert not [event for event in log.entries if event["event"] == "ready"]
    assert open_descriptors() == descriptors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_door_without_viewers_stops_at_once_whoever_else_is_connected(number: signal.Signals) -> None:
    async with a_door(settings(drain_s=60)) as door:
        idle, slow = await door.connected(), await door.connected()
        await slow.send_all(b"GET /live")
        os.kill(os.getpid(), number)
        assert await door.exit_status() == 0
        for stream in (idle, slow):
            await ends(stream)
            await stream.aclose()
    assert door.events("draining")[0]["viewers"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_draining_door_lets_viewers_go_on_and_ends_when_the_last_has_left(number: signal.Signals) -> None:
    async with a_door(settings(drain_s=60)) as door:
        viewers = [await door.watching() for _ in range(2)]
        assert (await door.signalled(number, "draining"))["viewers"] == 2
        with pytest.raises(OSError):
            await door.connected()
        for viewer in viewers:
            assert door.status is None
            with trio.fail_after(SOON_S):
                assert len(await viewer.receive_some(65536)) > 0
            await viewer.aclose()
        assert await door.exit_status() == 0
    assert [event["reason"] for event in door.events("viewer.end")] == ["viewer_left"] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_who_asks_again_at_the_end_does_not_cut_the_last_words_short(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    async def stop_all(_forwards: Forwards) -> None:
        os.kill(os.getpid(), number)
        await trio.lowlevel.checkpoint()
        said.append("that is all")

    monkeypatch.setattr(Forwards, "stop_all", stop_all)
    async with a_door() as door:
        assert await stopped(door) == 0
    assert said == ["that is all"]
    assert door.events("stopped")
    assert signal.getsignal(number) is signal.SIG_DFL


async def test_a_stop_that_came_before_the_door_was_ready_is_a_stop_in_order() -> None:
    with hold_signals():
        signal.raise_signal(signal.SIGTERM)
        try:
            async with a_door() as door:
                assert await door.exit_status() == 0
        finally:
            signal.sigtimedwait([signal.SIGTERM], 0)  # nobody has taken it: it would end the tests
    assert [event["event"] for event in door.log.entries if event["event"] in ("ready", "draining")] == [
        "ready",
        "draining",
    ]


async def test_beside_another_door_a_drain_waits_a_moment_for_who_has_just_come() -> None:
    async with a_door(settings(reuse_port=True)) as door, await door.connected() as late:
        await door.signalled(signal.SIGTERM, "draining")
        await late.send_all(get(WATCH_DEMO))
        with trio.fail_after(SOON_S):
            assert (await late.receive_some(64)).startswith(b"HTTP/1.1 200 ")
        assert (await door.logged("viewer.start"))["stream"] == "clock"
        await late.aclose()
        assert await door.exit_status() == 0


async def test_beside_another_door_the_admin_side_is_left_to_that_one() -> None:
    async with a_door(settings(reuse_port=True)) as door, await door.watching():
        (ready,) = door.events("ready")
        host, _, port = ready["admin"][0].rpartition(":")
        (await trio.open_tcp_stream(host, int(port))).socket.close()
        await door.signalled(signal.SIGTERM, "draining")
        with pytest.raises(OSError):
            await trio.open_tcp_stream(host, int(port))
        os.kill(os.getpid(), signal.SIGINT)
        assert await door.exit_status() == 130


async def test_who_still_watches_when_the_drain_is_over_is_let_go() -> None:
    async with a_door(settings(drain_s=0.1)) as door, await door.watching() as viewer:
        await door.signalled(signal.SIGTERM, "draining")
        await ends(viewer)
        assert await door.exit_status() == 0
    assert [event["reason"] for event in door.events("viewer.end")] == ["drained"]


async def test_a_drain_of_no_seconds_lets_go_at_once() -> None:
    async with a_door(settings(drain_s=0)) as door, await door.watching() as viewer:
        assert await stopped(door) == 0
        await ends(viewer)


async def test_a_second_interrupt_ends_the_drain_with_130() -> None:
    async with a_door(settings(drain_s=60)) as door, await door.watching() as viewer:
        await door.signalled(signal.SIGINT, "draining")
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        await trio.testing.wait_all_tasks_blocked()
        assert door.status is None
        os.kill(os.getpid(), signal.SIGINT)
        assert await door.exit_status() == 130
        await ends(viewer)
    assert [event["reason"] for event in door.events("viewer.end")] == ["drained"]
    assert door.events("stopped")[0]["status"] == 130


async def test_a_reload_is_for_new_requests_and_leaves_running_streams_alone() -> None:
    new_request = get("/tv?src=nobody&app=x&stream=y")
    async with a_door() as door, await door.watching() as viewer:
        assert b"nothing is at this path" in (await door.answer(new_request)).lower()
        door.next = settings(live_path="/tv", limits={"viewers": 1})
        assert (await door.signalled(signal.SIGHUP, "reload.done"))["needs_restart"] == []
        answer = await door.answer(new_request)
        assert answer.startswith(b"HTTP/1.1 503 ")  # the one viewer that there may be is there
        with trio.fail_after(SOON_S):
            assert await viewer.receive_some(65536)
        door.next = settings(live_path="/tv")
        await door.signalled(signal.SIGHUP, "reload.done", 2)
        assert (await door.answer(new_request)).startswith(b"HTTP/1.1 404 ")
        async with await door.watching("/tv?src=demo&app=demo&stream=clock"):
            await door.logged("viewer.start", 2)
        await viewer.aclose()
        await door.logged("viewer.end", 2)
        assert await stopped(door) == 0


async def test_a_wrong_configuration_leaves_the_old_one_in_force_and_says_so() -> None:
    async with a_door() as door:
        door.next = ConfigError("splice.toml: lisen: unknown key; did you mean listen?")
        failed = await door.signalled(signal.SIGHUP, "reload.failed")
        assert failed["error"] == str(door.next)
        assert failed["consequence"] == "the old configuration stays in force"
        await (await door.watching()).aclose()
        assert await stopped(door) == 0
    assert not door.events("reload.done")


async def test_a_reload_names_what_only_a_restart_changes_each_time() -> None:
    async with a_door() as door:
        door.next = settings(listen=["127.0.0.1:1"], rtmp_listen=["127.0.0.1:2"])
        for count in (1, 2):
            done = await door.signalled(signal.SIGHUP, "reload.done", count)
            assert done["needs_restart"] == ["listen", "rtmp_listen"]
        door.next = settings()
        assert (await door.signalled(signal.SIGHUP, "reload.done", 3))["needs_restart"] == []
        assert await stopped(door) == 0


async def test_a_new_drain_time_counts_after_a_reload() -> None:
    async with a_door(settings(drain_s=60)) as door, await door.watching() as viewer:
        door.next = settings(drain_s=0)
        await door.signalled(signal.SIGHUP, "reload.done")
        assert await stopped(door) == 0
        await ends(viewer)


SECRET = "geheim"
REQUESTS_WITH_SECRETS = [
    get(f"{WATCH_DEMO}&sig={SECRET}&token={SECRET}&{SECRET}=1&kid={SECRET}"),
    get(WATCH_DEMO, f"Authorization: Basic {SECRET}", f"Referer: http://x/?t={SECRET}", f"Cookie: {SECRET}"),
    get(f"/live?src=nobody&app=x&stream=y&sig={SECRET}"),
    get(f"/live?src=down&app=x&stream=y&sig={SECRET}", f"X-Forwarded-For: {SECRET}", f"User-Agent: {SECRET}"),
    get(f"/live?src=demo&app={SECRET}%21&stream=y"),
    get(f"/live?src=demo&app=x&stream=y&port={SECRET}"),
    get(f"/live?src=demo&app=x&app={SECRET}&stream=y"),
    get(f"/live?src=demo&app=x&stream=y&z;app={SECRET}"),
    get(f"/{SECRET}?sig={SECRET}"),
    get(f"/?sig={SECRET}"),
    get(f"http://me:{SECRET}@door/live?src=demo&app=x&stream=y"),
    get(f"http://{SECRET}/live"),
    get(f"/live?sig={SECRET}" + "x" * 5000),
    get(WATCH_DEMO, f"X-{SECRET} : x"),
    get(WATCH_DEMO, f"X: {SECRET}\x1b[31m"),
    get(WATCH_DEMO, "Content-Length: 5") + SECRET.encode(),
    get(f"/live?sig={SECRET}").replace(b"GET", SECRET.encode()),
    get(f"/live?sig={SECRET}").replace(b"HTTP/1.1", SECRET.encode()),
    get(f"/live?sig={SECRET}").replace(b"\r\n", b"\n"),
    get(f"/live?sig={SECRET}").replace(b"GET", b"POST"),
]


async def test_no_value_of_a_request_but_src_app_and_stream_is_logged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        down = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    async with a_door(settings(origins={"down": {"url": down}})) as door:
        for request in REQUESTS_WITH_SECRETS:
            assert (await door.answer(request)).startswith(b"HTTP/1.")
        assert await stopped(door) == 0
    assert len(door.events("viewer.end")) == 3
    assert len(door.events("request.refused")) == len(REQUESTS_WITH_SECRETS) - 3
    assert door.events("origin.failed")
    assert SECRET not in repr(door.log.entries)
    assert all(value.isprintable() for event in door.log.entries for value in event.values() if isinstance(value, str))


async def test_the_log_names_the_stream_its_peer_and_how_it_ended() -> None:
    async with a_door() as door:
        async with await door.watching() as viewer:
            peer = "{}:{}".format(*viewer.socket.getsockname()[:2])
        end = await door.logged("viewer.end")
        (start,) = door.events("viewer.start")
        assert await stopped(door) == 0
    named = {"route": "splice", "origin": "demo", "app": "demo", "stream": "clock", "peer": peer, "id": end["id"]}
    assert start == {"event": "viewer.start", "log_level": "info", **named}
    assert end.items() >= named.items()
    assert end["reason"] == "viewer_left"
    assert end["bytes"] > 0
    assert 0 <= end["seconds"] < SOON_S


async def test_behind_a_trusted_proxy_the_log_and_the_limits_go_by_the_client() -> None:
    start = settings(trusted_proxies="127.0.0.0/8", limits={"viewers_per_address": 1})
    async with a_door(start) as door:
        async with await door.watching(WATCH_DEMO, "X-Forwarded-For: 6.6.6.6, 192.0.2.7"):
            (started,) = door.events("viewer.start")
            assert started["client"] == "192.0.2.7"
            assert started["peer"].startswith("127.0.0.1:")
            again = await door.answer(get(WATCH_DEMO, "X-Forwarded-For: 192.0.2.7"))
            assert again.startswith(b"HTTP/1.1 503 ")
            async with await door.watching(WATCH_DEMO, "X-Forwarded-For: 192.0.2.8"):
                pass
        await door.logged("viewer.end", 2)
        assert await stopped(door) == 0


@pytest.mark.parametrize(("limits", "warns"), [({}, False), ({"publishers": 1}, False), ({"viewers": 10000}, True)])
async def test_a_demo_says_nothing_of_the_descriptors_for_viewers_whom_nobody_has_named(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], warns: bool
) -> None:
    monkeypatch.setattr("splice.descriptors.resource.getrlimit", lambda _which: (1024, 4096))
    monkeypatch.setattr("splice.descriptors.resource.setrlimit", lambda _which, _limits: None)
    async with a_door(settings(limits=limits), demo=True) as door:
        assert await stopped(door) == 0
    assert bool(door.events("descriptors.few")) is warns
