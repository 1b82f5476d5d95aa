"""How much of the code that a target is for its inputs reach: seed corpus and findings, replayed under coverage.py.

A process of its own replays them, so that a module's own lines count as well, and coverage.py sees plain Python.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz.targets import load

__all__ = ["Reach", "reach"]

_ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Reach:
    """The lines of a target's code.

    Attributes:
        lines: how many statements were executed.
        of: how many there are.
        missing: the first lines of those that were not, by file.
    """

    lines: int
    of: int
    missing: Mapping[str, tuple[int, ...]]


def reach(name: str, inputs: list[Path]) -> Reach:
    """Replay inputs, files or directories of them, and count the lines.

    Raises:
        subprocess.CalledProcessError: an input breaks the target's invariant; the process has said which.
    """
    with tempfile.TemporaryDirectory() as directory:
        measured, report = Path(directory, "measured"), Path(directory, "report.json")
        options = [f"--rcfile={Path(directory, 'none')}", f"--data-file={measured}"]
        Path(directory, "none").touch()
        replay = ["-m", "fuzz", name, "--replay", *map(str, inputs)]
        _coverage(["run", *options, f"--include={','.join(load(name).CODE)}", *replay])
        _coverage(["json", "--quiet", *options, f"-o{report}"])
        counted = json.loads(report.read_text())
    totals = counted["totals"]
    missing = {file: tuple(found["missing_lines"]) for file, found in counted["files"].items()}
    return Reach(totals["covered_lines"], totals["num_statements"], missing)


def _coverage(arguments: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=_ROOT, stdout=subprocess.DEVNULL, check=True)
