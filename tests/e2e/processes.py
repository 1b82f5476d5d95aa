"""Child processes for the tests: started here, watched by what they print, and ended here, each by its own id."""

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from os import environ
from pathlib import Path
from typing import Self

import pytest
import trio

__all__ = ["Child", "free_port", "listening", "need", "need_file", "running"]


def need(program: str) -> str:
    """The path of a program that a test cannot do without: where it is missing CI fails, and another machine skips."""
    found = shutil.which(program, path=f"{environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        _missing(f"{program} is not installed (`make test` installs it where it may)")
    return str(found)


def need_file(path: Path) -> Path:
    """As `need`, for a file that a peer is made of."""
    if not path.exists():
        _missing(f"{path.name} is not there (`make test` installs it where it may)")
    return path


def _missing(reason: str) -> None:
    if environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def listening(port: int, *, seconds: float = 10) -> None:
    """Wait until somebody listens on a port of 127.0.0.1, without dialling it: it may serve one viewer alone."""
    entry = f" 0100007F:{port:04X} 00000000:0000 0A "  # proc(5), /proc/net/tcp: local, remote, TCP_LISTEN
    try:
        with trio.fail_after(seconds):
            while entry not in Path("/proc/net/tcp").read_text():
                await trio.sleep(0.01)
    except trio.TooSlowError:
        pytest.fail(f"nobody listens on port {port} after {seconds} s")


class Child:
    """A running child process, and the lines of stdout and stderr together that it has printed so far."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        self.lines: list[str] = []
        self._process = process
        self._news = trio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    async def printed(self, pattern: str, *, seconds: float = 10, after: int = 0) -> re.Match[str]:
        """Wait until a line matches, from the line `after` on (`len(child.lines)` taken earlier)."""
        try:
            with trio.fail_after(seconds):
                at = after
                while True:
                    # Taken before the lines are read, so that no line can come unnoticed in between.
                    news = self._news
                    while at < len(self.lines):
                        if match := re.search(pattern, self.lines[at]):
                            return match
                        at += 1
                    if news.is_set():  # the last event: the output has ended
                        break
                    await news.wait()
        except trio.TooSlowError:
            pass
        pytest.fail(f"{self.name} did not print {pattern!r} within {seconds} s, but:\n{self.output[-4000:]}")

    async def ended(self, *, seconds: float = 10) -> int:
        """Wait for the end of the process; its exit status, or minus the signal's number."""
        try:
            with trio.fail_after(seconds):
                return await self._process.wait()
        except trio.TooSlowError:
            pytest.fail(f"{self.name} was still running after {seconds} s:\n{self.output[-4000:]}")

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 10) -> int:
        """Send a signal, unless it has ended, and wait for the end."""
        if self.returncode is None:
            self.send_signal(number)
        return await self.ended(seconds=seconds)

    async def _collect(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = re.split(rb"[\r\n]+", rest + data)  # CR: the players' running statistics
            self.lines += [line.decode(errors="replace") for line in lines]
            self._tell()
        if rest:
            self.lines.append(rest.decode(errors="replace"))
        self._news.set()

    def _tell(self) -> None:
        news, self._news = self._news, trio.Event()
        news.set()

    @classmethod
    async def start(cls, *command: str | Path, name: str, cwd: Path | None, env: Mapping[str, str] | None) -> Self:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=None if env is None else {**environ, **env},
        )
        return cls(name, process)

    async def _put_away(self) -> None:
        if self.returncode is not None:
            return
        self._process.terminate()
        with trio.move_on_after(3):
            await self._process.wait()
        if self.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def running(
    *command: str | Path, name: str = "", cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[Child]:
    """A child process for as long as the block runs: terminated at its end, and killed if that does not help."""
    child = await Child.start(*command, name=name or Path(command[0]).name, cwd=cwd, env=env)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child._collect)
            try:
                yield child
            finally:
                with trio.CancelScope(shield=True):
                    await child._put_away()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # A test stands in several of these blocks at once; its failed assertion should be seen as itself.
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
