"""One target under atheris, in a process of its own, for libFuzzer ends the process that it runs in.

`run` starts that process and reads from libFuzzer's log what it did; `fuzz_here` is what the process does. New inputs
gather in build/fuzz, from where the next campaign goes on; fuzz/corpus is only read. What breaks an invariant is
written to fuzz/crashes.
"""

import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz.targets import CORPUS, load

__all__ = ["Campaign", "found", "fuzz_here", "run"]

_ROOT: Final = Path(__file__).parents[1]
_FOUND: Final = _ROOT / "build" / "fuzz"
_CRASHES: Final = Path(__file__).with_name("crashes")
_INPUT_S: Final = 10  # an input that takes longer is a hang
_RESIDENT_MIB: Final = 1024

_LAST_LINES: Final = 40
_EXCEPTION: Final = " === Uncaught Python exception: ==="
_EXECUTIONS: Final = re.compile(r"^stat::number_of_executed_units: (\d+)", re.MULTILINE)
_START: Final = re.compile(r"^started in ([\d.]+) s", re.MULTILINE)
_EDGES: Final = re.compile(r"\bcov: (\d+)")
_ARTIFACT: Final = re.compile(r"Test unit written to (\S+)")


@dataclass(frozen=True, slots=True)
class Campaign:
    """How it went.

    Attributes:
        name: the target's.
        executions: how many inputs were tried.
        processor_s: seconds of processor time that it took, without the start of the process.
        edges: how many edges of the instrumented code any of them has reached.
        crash: the input that broke an invariant, hung, or took too much memory; None: none did.
        failed: whether it ended otherwise than by its time.
        log: what libFuzzer and the failure said.
    """

    name: str
    executions: int
    processor_s: float
    edges: int
    crash: Path | None
    failed: bool
    log: str

    @property
    def rate(self) -> int:
        """Executions per second of processor time, which other work on the machine does not change."""
        return round(self.executions / max(self.processor_s, 0.001))

    @property
    def explanation(self) -> str:
        """What the log says about a failure: from the exception on, or its last lines where there is none."""
        start = self.log.find(_EXCEPTION)
        return self.log[start:] if start >= 0 else "\n".join(self.log.splitlines()[-_LAST_LINES:])


def found(name: str) -> Path:
    """Where a target's new inputs gather."""
    return _FOUND / name


def run(name: str, seconds: int) -> Campaign:
    """Fuzz a target for so many seconds, or until it fails."""
    for place in (found(name), _CRASHES / name):
        place.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={_INPUT_S}",
        f"-rss_limit_mb={_RESIDENT_MIB}",
        f"-artifact_prefix={_CRASHES / name}/",
        "-print_final_stats=1",
    ]
    before_s = _children_s()
    process = _start(name, [*options, str(found(name)), str(CORPUS / name)])
    log = process.stdout
    artifact = _ARTIFACT.search(log)
    return Campaign(
        name,
        executions=int(done[1]) if (done := _EXECUTIONS.search(log)) else 0,
        processor_s=_children_s() - before_s - (float(took[1]) if (took := _START.search(log)) else 0.0),
        edges=max(map(int, _EDGES.findall(log)), default=0),
        crash=Path(artifact[1]).relative_to(_ROOT) if artifact else None,
        failed=process.returncode != 0,
        log=log,
    )


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _start(name: str, options: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fuzz", "--here", name, *options],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def fuzz_here(name: str, options: list[str]) -> None:
    """Fuzz in this process, which ends with it; `options` are libFuzzer's, and win over the target's own."""
    import atheris  # only who fuzzes needs it

    # What is imported in here is instrumented, the two packages alone: the ways through other people's code are many,
    # and tell nothing.
    with atheris.instrument_imports(include=["protocol", "splice"]):
        target = load(name)
    atheris.Setup([sys.argv[0], f"-max_len={target.MAX_BYTES}", *options], target.check)
    print(f"started in {time.process_time():.2f} s", file=sys.stderr)
    atheris.Fuzz()
