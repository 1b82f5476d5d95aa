"""One measured run: a sink of viewers before a server, and what it cost the server.

The load generator (load/) is compiled here on first use, into build/.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench import machine
from bench.processes import BenchError, Server, start

__all__ = ["Load", "Percentiles", "Run", "build", "compile_c", "load_program", "run_sink"]

HERE = Path(__file__).parent
SOURCES = HERE / "load"
PROGRAM = HERE / "build" / "load"

Load = dict[str, int | str]
"""Options of the load generator: `{"frame_bytes": 10000}` is `--frame-bytes 10000`."""


@dataclass(frozen=True)
class Percentiles:
    """Of all samples of one run, in milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True)
class Run:
    """What one run measured. CPU times are those of the measured window alone."""

    seconds: float  # the window, as the sink kept it: of bytes and frames
    cpu_window_s: float  # between the two readings of the CPU clocks
    server_cpu_s: float
    load_cpu_s: float  # the load generator's own, on both sides
    idle_share: float  # of the machine's CPUs
    others_cores: float  # CPU used by neither the server nor the load generator: other programs, and interrupts
    body_bytes: int
    frames: int
    missed: int  # frames whose number a viewer did not see, though it saw a later one
    lost: int  # connections that the server closed
    refused: int  # answers other than 200
    failed: int  # connections that brought no body
    latency_ms: Percentiles | None
    gap_ms: Percentiles | None
    first_byte_ms: Percentiles | None
    first_body_ms: Percentiles | None
    first_keyframe_ms: Percentiles | None
    last_first_byte_ms: float  # from the first connection's opening to the last one's first byte of a body
    resident_growth_bytes: int  # from the idle server to the end of the window
    window_growth_bytes: int  # from the start of the window to its end
    descriptors_start: int  # of the server, at the start of the window
    descriptors_end: int

    @property
    def cores(self) -> float:
        """The server's CPU time for each second of the window."""
        return self.server_cpu_s / self.cpu_window_s

    @property
    def cpu_s_per_gb(self) -> float:
        """The server's CPU seconds for 10**9 bytes that reached a viewer."""
        return self.server_cpu_s / (self.body_bytes / 1e9) if self.body_bytes else float("nan")

    @property
    def gb_per_s(self) -> float:
        """10**9 bytes that reached a viewer, for each second of the window."""
        return self.body_bytes / 1e9 / self.seconds


def build() -> Path:
    """Compile the load generator where it is missing or older than its source; return its path.

    Raises:
        BenchError: there is no C compiler, or it refuses.
    """
    sources = sorted(SOURCES.glob("*.c"))
    newest = max(path.stat().st_mtime for path in SOURCES.iterdir())
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime <= newest:
        compile_c(sources, PROGRAM)
    return PROGRAM


def compile_c(sources: Sequence[Path], result: Path, options: Sequence[str] = ()) -> None:
    """Compile C sources to a program, or to what `options` say.

    Raises:
        BenchError: there is no C compiler, or it refuses.
    """
    if shutil.which("cc") is None:
        raise BenchError("parts of the benches are written in C: install a compiler (Debian: gcc and libc6-dev)")
    result.parent.mkdir(exist_ok=True)
    command = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", *options, "-o", str(result), *map(str, sources)]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    if compiled.returncode:
        raise BenchError(f"cc does not compile {result.name}:\n{compiled.stderr}")


def _command(role: str, load: Load) -> list[str]:
    return [str(build()), role, *_options(load)]


def _options(load: Load) -> list[str]:
    return [word for name, value in load.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@contextmanager
def load_program(role: str, directory: Path, load: Load) -> Iterator[tuple[Server, dict[str, Any]]]:
    """Run the load generator as origin, fanout or publish; yields it, and what it said when it was ready."""
    with start(role, _command(role, load), directory) as program:
        yield program, program.wait_for_event("ready")


def run_sink(
    directory: Path,
    load: Load,
    *,
    server: Server | None,
    idle_bytes: int,
    helpers: Sequence[Server],
    program: Sequence[str] = (),
) -> Run:
    """Send viewers to a port, and measure the server while they watch.

    Args:
        directory: for the sink's log.
        load: the sink's options.
        server: whose CPU and memory is measured; None where the viewers are sent straight to the origin.
        idle_bytes: the server's resident memory before it had a viewer.
        helpers: the other parts of the load generator.
        program: another sink than the load generator's, that takes its options and says what it says.

    Raises:
        BenchError: the sink ended before it had said its result.
    """
    with ExitStack() as stack:
        command = [*program, *_options(load)] if program else _command("sink", load)
        sink = stack.enter_context(start("sink", command, directory, stdout=subprocess.PIPE))
        everyone = [sink, *helpers]
        output = sink.process.stdout
        assert output is not None
        joined = _next_event(sink, output, "joined")
        _next_event(sink, output, "start")
        before = _snapshot(server, everyone)
        window = _next_event(sink, output, "end")
        after = _snapshot(server, everyone)
        result = _next_event(sink, output, "result")

    whole = after.machine - before.machine
    server_cpu_s = after.server_cpu_s - before.server_cpu_s
    load_cpu_s = after.load_cpu_s - before.load_cpu_s
    cpu_window_s = after.at_s - before.at_s
    return Run(
        seconds=float(window["seconds"]),
        cpu_window_s=cpu_window_s,
        server_cpu_s=server_cpu_s,
        load_cpu_s=load_cpu_s,
        idle_share=whole.idle_share,
        others_cores=max(0.0, (whole.busy_s - server_cpu_s - load_cpu_s) / cpu_window_s),
        body_bytes=result["bytes"],
        frames=result["frames"],
        missed=result["missed"],
        lost=result["lost"],
        refused=result["refused"],
        failed=result["failed"],
        latency_ms=_percentiles(result["latency_ms"]),
        gap_ms=_percentiles(result["gap_ms"]),
        first_byte_ms=_percentiles(joined["first_byte_ms"]),
        first_body_ms=_percentiles(joined["first_body_ms"]),
        first_keyframe_ms=_percentiles(result["first_keyframe_ms"]),
        last_first_byte_ms=joined["last_body_ms"],
        resident_growth_bytes=after.resident_bytes - idle_bytes,
        window_growth_bytes=after.resident_bytes - before.resident_bytes,
        descriptors_start=before.descriptors,
        descriptors_end=after.descriptors,
    )


@dataclass(frozen=True)
class _Snapshot:
    at_s: float
    server_cpu_s: float
    load_cpu_s: float
    machine: machine.CpuTimes
    resident_bytes: int
    descriptors: int


def _snapshot(server: Server | None, load: Sequence[Server]) -> _Snapshot:
    # The clocks come first: the rest of the snapshot takes time of its own.
    return _Snapshot(
        at_s=time.monotonic(),
        server_cpu_s=server.cpu_s() if server else 0.0,
        load_cpu_s=sum(program.cpu_s() for program in load),
        machine=machine.cpu_times(),
        resident_bytes=server.resident_bytes() if server else 0,
        descriptors=server.descriptors() if server else 0,
    )


def _next_event(sink: Server, output: IO[str], expected: str) -> dict[str, Any]:
    line = output.readline()
    if not line:
        raise BenchError(f"the sink ended before its {expected}:\n{sink.log_tail()}")
    event: dict[str, Any] = json.loads(line)
    if event["event"] != expected:
        raise BenchError(f"the sink said {event['event']} where {expected} was due")
    return event


def _percentiles(values: dict[str, float] | None) -> Percentiles | None:
    return None if values is None else Percentiles(count=int(values.pop("count")), **values)
