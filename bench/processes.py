"""Processes of a run: started, measured and stopped. Linux only, like the figures.

Everything that a bench starts is started here, in a `with` block, and is gone when the block is left; should the bench
itself be killed, the kernel ends them (setpriv's --pdeathsig).
"""

import json
import resource
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = ["BenchError", "Server", "free_port", "raise_descriptor_limit", "start"]

START_LIMIT_S = 15.0
STOP_LIMIT_S = 3.0
END_WITH_US = ["setpriv", "--pdeathsig", "TERM", "--"]
DESCRIPTORS = 4096  # 1000 viewers and their origins, with room


class BenchError(Exception):
    """The run cannot go on; the message says why in one sentence."""


def raise_descriptor_limit() -> int:
    """Raise this process's limit of open files to its hard limit, for every child to inherit; return it.

    Raises:
        BenchError: the hard limit is too low for the tables.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < DESCRIPTORS:
        raise BenchError(f"the hard limit of open files is {hard}: the benches need {DESCRIPTORS} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Server:
    """A running program, with its child processes."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def pids(self) -> list[int]:
        """The process and all its descendants."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    found += [int(child) for child in task.read_text().split()]
                except OSError:
                    continue  # a thread or process that has just ended
        return found

    def cpu_s(self) -> float:
        """CPU time used so far, user and system, all threads, children that live, in seconds to the nanosecond.

        This is the CPU clock of another process (clock_getcpuclockid): `/proc/PID/stat` has the same time in ticks of
        10 ms.
        """
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self.pids())

    def resident_bytes(self) -> int:
        """Resident memory of the process and its descendants, the kernel's socket buffers not among it.

        From smaps_rollup, which counts pages; the RSS of /proc/PID/statm lags behind by up to 64 pages a thread.
        """
        total = 0
        for pid in self.pids():
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))
        return total

    def descriptors(self) -> int:
        """How many files and sockets the process and its descendants hold open."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids())

    def log_tail(self) -> str:
        """The last lines that the program wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])

    def wait_for_port(self, port: int) -> None:
        """Return when something listens on the port.

        Raises:
            BenchError: the program has ended, or `START_LIMIT_S` has passed.
        """
        for _ in self._until_limit():
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return

    def wait_for_event(self, event: str) -> dict[str, object]:
        """Return the first JSON line of the log whose "event" is this one.

        Raises:
            BenchError: the program has ended, or `START_LIMIT_S` has passed.
        """
        for _ in self._until_limit():
            for line in self.log.read_text(errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # not all that a program says at its start is JSON, and the last line may be half written
                if isinstance(entry, dict) and entry.get("event") == event:
                    return entry
        raise AssertionError("unreachable: _until_limit() raises")

    def _until_limit(self) -> Iterator[None]:
        limit = time.monotonic() + START_LIMIT_S
        while time.monotonic() < limit:
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended with status {self.process.returncode}:\n{self.log_tail()}")
            yield
            time.sleep(0.02)
        raise BenchError(f"{self.name} was not ready after {START_LIMIT_S:g} s:\n{self.log_tail()}")


@contextmanager
def start(
    name: str, command: Sequence[str], directory: Path, *, stdout: int | IO[str] | None = None
) -> Iterator[Server]:
    """Run a program in `directory`, its stderr (and stdout, unless one is given) in a log there; stop it at the end.

    Raises:
        BenchError: there is no setpriv. (A missing program shows when the caller waits for it.)
    """
    log = directory / f"{name}.log"
    with log.open("w") as out:
        try:
            process = subprocess.Popen(
                [*END_WITH_US, *command],
                cwd=directory,
                stdin=subprocess.PIPE,
                stdout=out if stdout is None else stdout,
                stderr=out,
                text=True,
            )
        except FileNotFoundError as error:
            raise BenchError("there is no program setpriv (Debian: util-linux)") from error
    try:
        yield Server(name, process, log)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    # No need to be polite: nothing is kept, and a drain would wait for viewers. nginx's master would leave its worker
    # behind on SIGKILL, and the descendants end on SIGTERM.
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
