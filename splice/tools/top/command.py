"""The command line of `splice top`, and its life: a look a second until `q`, Ctrl-C, or the terminal's end."""

import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import httpx
import trio
from rich.console import Console
from rich.live import Live

from splice.command_line import INTERRUPTED, CommandLine, complain
from splice.config.addresses import require_host
from splice.tools.top.client import DoorClient, DoorError, Look
from splice.tools.top.rates import Rates
from splice.tools.top.view import view

__all__ = ["main"]

_LEFT: Final = 0
_NO_LOOK: Final = 1
_DEFAULT_URL: Final = "http://127.0.0.1:18091"
_TOKEN_VARIABLE: Final = "SPLICE_ADMIN__TOKEN"  # noqa: S105 -- the variable's name, as the door itself reads it
_EVERY_S: Final = 1.0
_VIEWERS: Final = 200  # more fit no terminal
_KEYS: Final = "q leaves"
_LEAVING_KEYS: Final = frozenset("qQ\x04")  # Ctrl-D as well


def main(arguments: list[str]) -> int:
    """Run the tool; the exit status.

    Raises:
        SystemExit: behind --help (0), and behind wrong arguments (2).
    """
    command = CommandLine(
        "splice top",
        "Streams, viewers and origins of a running door, once a second; q leaves.",
        f"Where the admin side wants a token, it is read from --token-file, or from {_TOKEN_VARIABLE}.",
    )
    add = command.add_argument
    add("url", metavar="URL", nargs="?", default=_DEFAULT_URL, help=f"of the admin side; default: {_DEFAULT_URL}")
    add("--token-file", metavar="FILE", type=Path, help="a file that holds the token of [admin]")
    add("--once", action="store_true", help="print the tables once, and leave")
    chosen = command.read(arguments)
    try:
        url, token = _url(chosen.url), _token(chosen.token_file)
    except ValueError as error:
        command.refuse(str(error))
    console = Console(highlight=False, markup=False, emoji=False)
    # Without a terminal nobody can press q, and one look is what a script wants.
    once = chosen.once or not console.is_terminal
    status, fault = INTERRUPTED, None
    try:
        if once:
            with console.capture() as tables:
                fault = trio.run(_show_once, url, token, console)
            command.say(tables.get())
        else:
            fault = trio.run(_show_until_left, url, token, console)
        status = _LEFT if fault is None else _NO_LOOK
    except* KeyboardInterrupt:
        pass  # the status says so
    if fault is not None:
        complain("splice top", fault)
    return status


def _url(text: str) -> str:
    """The admin side's URL.

    Raises:
        ValueError: it is none; the message says what is.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    is_server = bool(url.host) and (url.port is None or 0 < url.port < 65536)
    if url.scheme not in ("http", "https") or not is_server or url.userinfo or url.query or url.path != "/":
        raise ValueError(f"URL: the admin side's is http[s]://HOST:PORT and no more, such as {_DEFAULT_URL}")
    host = url.raw_host.decode()
    if ":" not in host:
        require_host(None, host)
    return str(url)


def _token(file: Path | None) -> str:
    """The token; empty where none is given.

    Raises:
        ValueError: it cannot be one; the message never holds it.
    """
    where = _TOKEN_VARIABLE if file is None else f"--token-file {file}"
    try:
        token = os.environ.get(_TOKEN_VARIABLE, "") if file is None else file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"{where} cannot be read: {reason}") from None
    if file is not None and not token:
        raise ValueError(f"{where} is empty; it has to hold the token of [admin]")
    if not (token.isascii() and token.isprintable()):
        raise ValueError(f"{where} holds what no token does: more than one line, or letters beyond ASCII")
    return token


async def _show_once(url: str, token: str, console: Console) -> str | None:
    """Print one look; or what is wrong, as a sentence."""
    async with DoorClient(url, token) as door:
        try:
            before = await door.look()
            await trio.sleep(_EVERY_S)  # rates take two looks
            now = await door.look()
        except DoorError as error:
            return str(error)
    console.print(view(now, Rates(before, now), width=console.width, height=None))
    return None


async def _show_until_left(url: str, token: str, console: Console) -> str | None:
    """Show look after look; or, where there is not even a first one, what is wrong."""
    fault = None

    async def leave_by_signal() -> None:
        async for _ in signals:
            nursery.cancel_scope.cancel()

    async def leave_by_key() -> None:
        await _leaving_key(sys.stdin)
        nursery.cancel_scope.cancel()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with DoorClient(url, token, most_viewers=_VIEWERS) as door, trio.open_nursery() as nursery:
            nursery.start_soon(leave_by_signal)
            try:
                look = await door.look()
            except DoorError as error:
                fault = str(error)
            else:
                with _keys_at_once(sys.stdin), _screen(console) as live:
                    if sys.stdin.isatty():
                        nursery.start_soon(leave_by_key)
                    await _refresh_for_ever(door, look, console, live)
            nursery.cancel_scope.cancel()
    return fault


def _screen(console: Console) -> Live:
    # Rich's own thread would write while Trio's does.
    return Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)


async def _refresh_for_ever(door: DoorClient, look: Look, console: Console, live: Live) -> None:
    before: Look | None = None
    note = _KEYS
    while True:
        width, height = console.size
        live.update(view(look, Rates(before, look), width=width, height=height, note=note), refresh=True)
        await trio.sleep(_EVERY_S)
        try:
            before, look, note = look, await door.look(), _KEYS
        except DoorError as error:
            note = f"{error} (trying again; {_KEYS})"


@contextmanager
def _keys_at_once(stdin: TextIO) -> Iterator[None]:
    """Let keys come as they are pressed and unseen, and the terminal be as before when the block is left."""
    if not stdin.isatty():
        yield
        return
    before = termios.tcgetattr(stdin)
    tty.setcbreak(stdin, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSANOW, before)


async def _leaving_key(stdin: TextIO) -> None:
    """Wait for a key that leaves, or for the terminal's end."""
    while True:
        await trio.lowlevel.wait_readable(stdin)
        pressed = os.read(stdin.fileno(), 64)
        if not pressed or _LEAVING_KEYS & set(pressed.decode(errors="replace")):
            return
