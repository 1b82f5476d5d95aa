"""What the figures were measured on: the machine, its busyness, the versions of all programs."""

import datetime
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["CpuTimes", "cpu_times", "describe", "program_version"]

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CpuTimes:
    """CPU seconds of the whole machine since its start, all CPUs together."""

    busy_s: float
    idle_s: float

    def __sub__(self, earlier: "CpuTimes") -> "CpuTimes":
        return CpuTimes(self.busy_s - earlier.busy_s, self.idle_s - earlier.idle_s)

    @property
    def idle_share(self) -> float:
        """From 0 to 1."""
        whole = self.busy_s + self.idle_s
        return self.idle_s / whole if whole > 0 else 0.0


def cpu_times() -> CpuTimes:
    """The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5))."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return CpuTimes((sum(fields) - idle) / TICKS_PER_S, idle / TICKS_PER_S)


def program_version(command: Sequence[str]) -> str:
    """The version number that a program says of itself, or "unknown"."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(r"\d+\.\d+[\w.+~-]*", answer.stdout + answer.stderr)
    return found.group() if found else "unknown"


def _package_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def describe() -> dict[str, str]:
    """Date, kernel, CPUs, Python, Trio and the load average, as words."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "kernel": f"{platform.system()} {platform.release()}",
        "cpus": f"{os.cpu_count()} x {_cpu_model()}",
        "python": platform.python_version(),
        "trio": _package_version("trio"),
        "splice-live": _package_version("splice-live"),
        "load average": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
