"""`splice top` beside a real door: in a terminal of its own, as a script calls it, and with the door gone."""

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.door import Door, running_door
from tests.e2e.processes import running
from tests.e2e.viewers import ffmpeg_watching

TREE = Path(__file__).parents[2]
TOKEN = "a-token-of-some-length"
ALTERNATE_SCREEN, ORDINARY_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """A pseudo-terminal in which `splice top` runs."""

    def __init__(self, ours: int, process: trio.Process) -> None:
        self._ours = ours
        self.process = process
        self.seen = b""

    async def shows(self, *words: bytes) -> None:
        """Wait until all of these have been written."""
        with trio.fail_after(15):
            while not all(word in self.seen for word in words):
                await trio.lowlevel.wait_readable(self._ours)
                self.seen += os.read(self._ours, 65536)

    def press(self, key: bytes) -> None:
        os.write(self._ours, key)

    async def ended(self) -> int:
        """Its status; what it wrote last is in `seen`."""
        with trio.fail_after(10):
            status = await self.process.wait()
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # EIO: nobody has the other end open any more
                return status
            self.seen += data


@asynccontextmanager
async def terminal(*arguments: str, columns: int = 120, lines: int = 30) -> AsyncIterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "splice", "top", *arguments]
    try:
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(
                lambda task_status: trio.run_process(
                    command,
                    stdin=theirs,
                    stdout=theirs,
                    stderr=theirs,
                    cwd=TREE,
                    env={**environment, "TERM": "xterm-256color"},
                    start_new_session=True,
                    check=False,
                    task_status=task_status,
                )
            )
            os.close(theirs)
            yield Terminal(ours, process)
            nursery.cancel_scope.cancel()
    finally:
        os.close(ours)


def admin_url(door: Door) -> str:
    return f"http://{door.ready['admin'][0]}"


@pytest.mark.parametrize("columns", [120, 40])
async def test_in_a_terminal_it_shows_the_stream_refreshes_and_leaves_by_q(tmp_path: Path, columns: int) -> None:
    async with (
        running_door(tmp_path, "--demo", "--admin", "0") as door,
        ffmpeg_watching(f"{door.http_url}/live?src=demo&app=demo&stream=clock"),
        terminal(admin_url(door), columns=columns) as screen,
    ):
        await screen.shows(ALTERNATE_SCREEN, b"demo/clock", b"1 stream", b"q leaves")
        if columns == 120:
            await screen.shows(b"avc1.", b"640x360", b"kbit/s out", b"127.0.0.1:")
        screen.press(b"x")
        screen.press(b"q")
        assert await screen.ended() == 0
        assert ORDINARY_SCREEN in screen.seen


async def test_a_door_that_goes_is_said_to_be_gone_and_ctrl_c_leaves(tmp_path: Path) -> None:
    async with running_door(tmp_path, "--demo", "--admin", "0") as door, terminal(admin_url(door)) as screen:
        await screen.shows(b"No stream passes through the door.")
        await door.stop()
        await screen.shows(b"nobody answers at")
        os.kill(screen.process.pid, 2)
        assert await screen.ended() == 0
        assert ORDINARY_SCREEN in screen.seen


async def test_a_script_gets_the_tables_once_by_the_token_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    config = f'[admin]\ntoken = "{TOKEN}"\n'
    async with running_door(tmp_path, "--demo", "--admin", "0", config=config) as door:
        async with ffmpeg_watching(f"{door.http_url}/live?src=demo&app=demo&stream=clock"):
            command = (sys.executable, "-m", "splice", "top", admin_url(door), "--token-file", tmp_path / "token")
            async with running(*command, name="top", cwd=TREE) as child:
                assert await child.ended() == 0
                words = child.output
        assert "demo/clock" in words
        assert "1 stream   1 viewer" in words
        assert "\x1b" not in words
