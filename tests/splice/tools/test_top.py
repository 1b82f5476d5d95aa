"""`python -m splice top`: what it reads of a door's admin side, what a terminal shows, and its sentences of errors."""

import functools
import io
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from splice.admin.models import OriginItem, StreamItem, Video, ViewerItem
from splice.tools.top import main
from splice.tools.top.client import DoorClient, DoorError, Look
from splice.tools.top.command import _keys_at_once, _leaving_key, _show_once, _show_until_left
from splice.tools.top.rates import Rates
from splice.tools.top.view import view
from tests.splice.admin.admin_house import TOKEN, AdminHouse, open_admin_house

URL = "http://127.0.0.1:18091"
EVIL = "[red]x[/] \x1b]0;owned\x07\u202e"


@pytest.fixture
async def house() -> AsyncIterator[AdminHouse]:
    async with open_admin_house() as house:
        yield house


@asynccontextmanager
async def asking(house: AdminHouse, token: str = "", peer: str = "127.0.0.1", **more: Any) -> AsyncIterator[DoorClient]:
    """A client of a house's admin side."""
    transport = httpx.ASGITransport(house.admin.app, client=(peer, 50000))
    async with DoorClient(URL, token, transport=transport, **more) as door:
        yield door


@asynccontextmanager
async def answered(answer: Callable[[httpx.Request], httpx.Response]) -> AsyncIterator[DoorClient]:
    """A client of something that answers otherwise."""
    async with DoorClient(URL, transport=httpx.MockTransport(answer)) as door:
        yield door


def stream(name: str = "myapp/test", **fields: Any) -> StreamItem:
    example = StreamItem.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index, call-overload] -- ours
    return StreamItem.model_validate({**example, "name": name, "id": name, **fields})


def viewer(number: int = 1, **fields: Any) -> ViewerItem:
    example = ViewerItem.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index, call-overload] -- ours
    return ViewerItem.model_validate({**example, "id": f"v{number}", "peer": f"192.0.2.7:{number}", **fields})


def origin(**fields: Any) -> OriginItem:
    example = OriginItem.model_config["json_schema_extra"]["examples"][0]  # type: ignore[index, call-overload] -- ours
    return OriginItem.model_validate({**example, **fields})


def look(
    streams: list[StreamItem] | None = None,
    viewers: list[ViewerItem] | None = None,
    origins: list[OriginItem] | None = None,
    at: float = 0.0,
) -> Look:
    streams, viewers = streams or [], viewers or []
    return Look(at, "1.2.3", streams, len(streams), viewers, len(viewers), origins or [])


def shown(
    now: Look, before: Look | None = None, *, width: int = 160, height: int | None = None, note: str = ""
) -> list[str]:
    """The lines of a terminal, without the empty ones."""
    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=False)
    console.print(view(now, Rates(before, now), width=width, height=height, note=note))
    return [line.rstrip() for line in screen.getvalue().split("\n") if line.strip()]


# --- what a door tells ---


async def test_a_look_is_what_the_api_tells(house: AdminHouse) -> None:
    house.publish()
    house.watch("hub", None, bytes=7)
    house.watch()
    async with asking(house) as door:
        found = await door.look()
    assert [(each.name, each.route, each.viewers) for each in found.streams] == [
        ("myapp/test", "hub", 1),
        ("myapp/test", "splice", 1),
    ]
    assert [each.bytes for each in found.viewers] == [7, 0]
    assert [each.name for each in found.origins] == ["a", "b"]
    assert (found.version, found.streams_total, found.viewers_total) == ("1.2.3", 2, 2)


async def test_viewers_are_asked_for_as_many_as_can_be_shown_and_counted_all(house: AdminHouse) -> None:
    for _ in range(5):
        house.watch()
    async with asking(house, most_viewers=2) as door:
        found = await door.look()
    assert (len(found.viewers), found.viewers_total) == (2, 5)


async def test_from_elsewhere_the_token_lets_in(house: AdminHouse) -> None:
    house.allow()
    async with asking(house, TOKEN, peer="192.0.2.9") as door:
        assert (await door.look()).version == "1.2.3"


async def test_without_the_token_it_says_where_to_put_one(house: AdminHouse) -> None:
    house.allow()
    async with asking(house, peer="192.0.2.9") as door:
        with pytest.raises(
            DoorError, match=r"wants the token of its \[admin\]: .*--token-file, or set SPLICE_ADMIN__TOKEN"
        ):
            await door.look()


async def test_a_wrong_token_is_called_so_and_not_repeated(house: AdminHouse) -> None:
    house.allow()
    async with asking(house, "a-wrong-one", peer="192.0.2.9") as door:
        with pytest.raises(DoorError, match=r"refuses \(401\): This is not the token\.") as caught:
            await door.look()
    assert "a-wrong-one" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda request: httpx.Response(200, text="<html>"), "is no door's admin side, or one of another version"),
        (
            lambda request: httpx.Response(200, json={"streams": 5}),
            "is no door's admin side, or one of another version",
        ),
        (lambda request: httpx.Response(404, text="<html>"), "is no door's admin side: it says 404"),
        (lambda request: httpx.Response(302, headers={"Location": "http://else"}), "no door's admin side: it says 302"),
        (lambda request: httpx.Response(200, content=bytes(17 * 1024 * 1024)), "sends more than a door would"),
    ],
)
async def test_what_is_no_door_is_said_to_be_none(
    answer: Callable[[httpx.Request], httpx.Response], sentence: str
) -> None:
    async with answered(answer) as door:
        with pytest.raises(DoorError) as caught:
            await door.look()
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            httpx.ConnectError("refused"),
            "nobody answers at http://127.0.0.1:18091: is the door running, and with --admin",
        ),
        (httpx.ConnectError("CERTIFICATE_VERIFY_FAILED"), "the certificate of http://127.0.0.1:18091 is not trusted"),
        (httpx.ReadError("reset"), "the connection to http://127.0.0.1:18091 broke off"),
    ],
)
async def test_a_broken_connection_is_one_sentence(error: httpx.HTTPError, sentence: str) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    async with answered(fail) as door:
        with pytest.raises(DoorError) as caught:
            await door.look()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


async def test_a_door_that_is_silent_is_not_waited_for_for_ever(autojump_clock: MockClock) -> None:
    async def silent(_request: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    async with DoorClient(URL, transport=httpx.MockTransport(silent)) as door:
        with pytest.raises(DoorError, match="gave no answer in 5 s"):
            await door.look()
    assert trio.current_time() == pytest.approx(5)


# --- rates ---


def test_rates_are_the_difference_of_two_looks() -> None:
    before = look([stream(bytes_in=0, bytes_out=1000)], [viewer(bytes=500)], at=10)
    now = look([stream(bytes_in=250_000, bytes_out=501_000), stream("new")], [viewer(bytes=250_500), viewer(2)], at=12)
    rates = Rates(before, now)
    assert (rates.into("myapp/test"), rates.out("myapp/test"), rates.viewer("v1")) == (1000, 2000, 1000)
    assert (rates.out("new"), rates.viewer("v2")) == (None, None)
    assert rates.out_in_all == 2000


def test_one_look_alone_has_no_rates() -> None:
    rates = Rates(None, look([stream()], [viewer()]))
    assert (rates.into("myapp/test"), rates.viewer("v1"), rates.out_in_all) == (None, None, None)


def test_a_stream_that_began_anew_has_no_rate_below_zero() -> None:
    assert Rates(look([stream(bytes_out=10**9)]), look([stream(bytes_out=5)], at=1)).out("myapp/test") == 0


# --- what is shown ---


def test_a_wide_terminal_shows_all_there_is() -> None:
    now = look([stream(latency_ms=40)], [viewer(bytes=2_000_000, seconds=3725.0)], [origin()], at=1)
    lines = shown(now, look([stream(bytes_out=55_046_000)], [viewer(bytes=1_750_000)]), note="q leaves")
    assert [re.split("  +", line) for line in lines] == [
        ["splice 1.2.3", "1 stream", "1 viewer", "2.00 Mbit/s out"],
        ["Stream", "Route", "Origin", "Codec", "Size", "fps", "Keyframe", "In", "Out", "Viewers", "Slowest"],
        [
            *("myapp/test", "hub", "-", "avc1.64001f mp4a.40.2", "1280x720", "25.0", "2.0 s"),
            *("2.05 Mbit/s", "2.00 Mbit/s", "3", "40 ms"),
        ],
        ["Viewer", "Stream", "Route", "Origin", "Protocol", "Time", "Bytes", "Rate"],
        ["192.0.2.7:1", "myapp/test", "splice", "a", "http-flv", "1:02:05", "2.0 MB", "2.00 Mbit/s"],
        ["Origin", "State", "Mode", "Viewers", "URL", "Last error"],
        ["a", "up", "splice", "12", "http://10.0.0.8:8080", "-"],
        ["q leaves"],
    ]


def test_what_is_unknown_is_a_dash() -> None:
    spliced = stream(route="splice", video=None, audio=None, bit_rate_kbps=None, latency_ms=None)
    assert shown(look([spliced]))[2].split() == ["myapp/test", "splice", *"-------", "3", "-"]
    no_rates = {"frame_rate": None, "keyframe_interval_ms": None, "bit_rate_kbps": None}
    told = stream(video=Video(codec="hvc1", width=None, height=None, **no_rates), audio=None)
    assert shown(look([told]))[2].split()[3:7] == ["hvc1", "-", "-", "-"]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 200])
def test_no_terminal_is_too_narrow(width: int) -> None:
    now = look([stream(f"myapp/{n}") for n in range(3)], [viewer(n) for n in range(3)], [origin(state="down")])
    lines = shown(now, width=width)
    assert max(map(len, lines)) <= width
    assert any(line.startswith("myapp/") for line in lines)


def test_columns_go_whole_where_the_terminal_is_narrow() -> None:
    assert shown(look([stream()]), width=40)[1].split() == ["Stream", "Viewers"]
    assert shown(look([stream()]), width=80)[1].split() == ["Stream", "Codec", "Size", "fps", "In", "Viewers"]


@pytest.mark.parametrize("height", [1, 24, 40, 100])
def test_a_low_terminal_shows_some_of_each_and_counts_the_rest(height: int) -> None:
    now = look(
        [stream(f"s/{n}") for n in range(50)], [viewer(n) for n in range(60)], [origin(name=f"o{n}") for n in range(9)]
    )
    lines = shown(now, height=height, note="q leaves")
    screen = io.StringIO()
    Console(file=screen, width=160).print(view(now, Rates(None, now), width=160, height=height, note="q leaves"))
    assert screen.getvalue().count("\n") - 1 <= max(height, 22)  # the last line's end is not printed
    streams = sum(line.startswith("s/") for line in lines)
    viewers = sum(line.startswith("192.") for line in lines)
    origins = sum(line.startswith("o") for line in lines)
    assert min(streams, viewers, origins) >= 3
    assert f"and {50 - streams} more" in lines
    assert f"and {60 - viewers} more" in lines
    assert lines[-1] == "q leaves"


def test_few_streams_leave_their_room_to_the_viewers() -> None:
    lines = shown(look([stream()], [viewer(n) for n in range(60)]), height=40)
    assert sum(line.startswith("192.") for line in lines) == 28


def test_an_origin_that_is_down_stands_first_with_its_error() -> None:
    down = origin(name="b", state="down", last_error="it refuses")
    lines = shown(look(origins=[origin(), down, origin(name="c", state="unknown")]))
    assert lines[0].endswith("1 origin down")
    assert lines[1:3] == ["No stream passes through the door.", "Nobody watches."]
    assert [line.split()[:2] for line in lines[4:]] == [["b", "down"], ["a", "up"], ["c", "not"]]
    assert lines[4].endswith("it refuses")


def test_a_viewer_behind_a_proxy_is_shown_by_its_address() -> None:
    assert shown(look(viewers=[viewer(address="198.51.100.1")]))[3].startswith("198.51.100.1 (192.0.2.7:1)")


def test_words_of_the_network_steer_no_terminal_and_are_no_markup() -> None:
    now = look([stream(EVIL, origin=EVIL)], [viewer(stream=EVIL)], [origin(name=EVIL, state="down", last_error=EVIL)])
    lines = "\n".join(shown(now, note=EVIL, width=400))
    assert lines.count("[red]x[/] ?]0;owned??") == 6
    assert "\x1b" not in lines
    assert "\u202e" not in lines


# --- the command line ---


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    return said


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "ftp://a",
        "http://",
        "http://u:secret@a",
        "http://a/path",
        "http://a?b",
        "http://a:x",
        "http://a:0",
        "http://a:70000",
    ],
)
def test_what_is_no_url_of_an_admin_side_is_a_usage_error(capsys: pytest.CaptureFixture[str], url: str) -> None:
    said = refused(capsys, url)
    assert said.endswith("URL: the admin side's is http[s]://HOST:PORT and no more, such as http://127.0.0.1:18091")


def test_a_name_that_no_resolver_may_be_asked_for_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "http://a..b:18091") == "splice top: 'a..b' is not a host name or an address"


def test_a_misspelt_flag_is_told_what_it_was_meant_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--onec") == "splice top: there is no --onec; did you mean --once?"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff", "cannot be read: it is no text"),
        (b"\n", "is empty; it has to hold the token of [admin]"),
        (b"two\nlines", "holds what no token does: more than one line, or letters beyond ASCII"),
    ],
)
def test_a_token_file_without_a_token_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    assert refused(capsys, "--token-file", str(file)).endswith(f"--token-file {file} {sentence}")


def test_a_door_that_is_not_there_is_one_sentence_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["http://127.0.0.1:1", "--once"]) == 1
    assert capsys.readouterr().err == (
        "splice top: nobody answers at http://127.0.0.1:1: is the door running, and with --admin on that address?\n"
    )


async def test_a_name_that_is_nobodys_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_args: object, **_named: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", nothing)
    async with DoorClient("http://nowhere.example:18091") as door:
        with pytest.raises(DoorError, match=r"the name in http://nowhere\.example:18091 cannot be resolved"):
            await door.look()


def test_it_is_one_of_the_doors_tools() -> None:
    done = subprocess.run([sys.executable, "-m", "splice", "top", "--help"], capture_output=True, text=True, check=True)
    assert "--once" in done.stdout


def test_ctrl_c_before_there_is_anything_to_see_is_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trio, "run", interrupted)
    assert main(["--once"]) == 130
    assert capsys.readouterr().err == ""


# --- keys ---


async def test_q_leaves_and_other_keys_do_not_and_the_terminal_is_as_before() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal, os.fdopen(ours, "wb", buffering=0) as keyboard:
        before = termios.tcgetattr(terminal)
        with _keys_at_once(terminal):
            async with trio.open_nursery() as nursery:
                keyboard.write(b"x\x1b[A")
                nursery.start_soon(_leaving_key, terminal)
                await trio.testing.wait_all_tasks_blocked()
                assert nursery.child_tasks
                keyboard.write(b"q")
        assert termios.tcgetattr(terminal) == before


async def test_a_pipe_for_a_keyboard_is_left_as_it_is() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, _keys_at_once(stdin):
        os.close(writing)
        await _leaving_key(stdin)


# --- its life ---


class Door:
    """Answers as a door does whose only stream grows by 125,000 bytes a look, until it is `gone`."""

    def __init__(self) -> None:
        self.looks = 0
        self.gone = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.gone:
            raise httpx.ConnectError("refused")
        name = request.url.path.rpartition("/")[2]
        if name == "door":
            self.looks += 1
            return httpx.Response(200, json={"version": "1.2.3", "http": [], "https": [], "live_path": "/live"})
        items = {"streams": [stream(bytes_out=125_000 * self.looks)], "viewers": [viewer()], "origins": []}[name]
        return httpx.Response(200, json={name: [item.model_dump() for item in items], "total": len(items)})


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    door = Door()
    made = functools.partial(DoorClient, transport=httpx.MockTransport(door))
    monkeypatch.setattr("splice.tools.top.command.DoorClient", made)
    return door


@dataclass
class Screen:
    """A terminal of 120 by 30: what was written to it, and its keyboard."""

    written: io.StringIO
    console: Console
    keyboard: BinaryIO


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    ours, theirs = pty.openpty()
    written = io.StringIO()
    with os.fdopen(theirs) as terminal, os.fdopen(ours, "wb", buffering=0) as keyboard:
        monkeypatch.setattr(sys, "stdin", terminal)
        console = Console(file=written, width=120, height=30, force_terminal=True, highlight=False, markup=False)
        yield Screen(written, console, keyboard)


async def test_once_takes_two_looks_for_the_rates_and_writes_no_control_codes(
    door: Door, autojump_clock: MockClock
) -> None:
    written = io.StringIO()
    assert await _show_once(URL, "", Console(file=written, width=120)) is None
    assert (door.looks, trio.current_time()) == (2, pytest.approx(1, abs=0.1))
    assert "1.00 Mbit/s out" in written.getvalue()
    assert "\x1b" not in written.getvalue()


async def test_it_looks_once_a_second_until_q(door: Door, screen: Screen, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_show_until_left, URL, "", screen.console)
        await trio.sleep(3.5)
        assert door.looks == 4
        screen.keyboard.write(b"q")
    assert "1.00 Mbit/s out" in screen.written.getvalue()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_leaves_too_and_the_ordinary_screen_is_back(
    door: Door, screen: Screen, autojump_clock: MockClock, number: signal.Signals
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_show_until_left, URL, "", screen.console)
        await trio.sleep(0.5)
        signal.raise_signal(number)
    assert screen.written.getvalue().endswith("\x1b[?25h\x1b[?1049l")  # the cursor, and the screen, are back


async def test_a_door_that_is_gone_for_a_while_is_asked_again(
    door: Door, screen: Screen, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_show_until_left, URL, "", screen.console)
        await trio.sleep(0.5)
        door.gone = True
        await trio.sleep(1)
        assert "nobody answers at http://127.0.0.1:18091" in screen.written.getvalue()
        door.gone = False
        looks = door.looks
        await trio.sleep(2)
        assert door.looks > looks
        screen.keyboard.write(b"q")


async def test_where_there_is_no_first_look_the_screen_is_left_alone(door: Door, screen: Screen) -> None:
    door.gone = True
    fault = await _show_until_left(URL, "", screen.console)
    assert fault is not None
    assert fault.startswith("nobody answers")
    assert screen.written.getvalue() == ""


async def test_without_a_keyboard_it_shows_all_the_same(
    door: Door, screen: Screen, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_show_until_left, URL, "", screen.console)
            await trio.sleep(1.5)
            signal.raise_signal(signal.SIGTERM)
    assert "myapp/test" in screen.written.getvalue()


async def test_large_figures_have_large_units() -> None:
    lines = shown(look([stream()], [viewer(bytes=3 * 10**12, seconds=59.9), viewer(2, bytes=12, seconds=0.0)]))
    assert lines[4].split()[5:8] == ["0:59", "3.0", "TB"]
    assert lines[5].split()[5:8] == ["0:00", "12", "B"]
