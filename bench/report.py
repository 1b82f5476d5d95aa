"""What the tables share: runs in turn, their medians, the words above a table, and the JSON file."""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from bench import congestion, machine
from bench.markdown import Target, targets_table
from bench.measure import Percentiles, Run
from bench.processes import BenchError

__all__ = ["Figures", "add_options", "choose", "command", "emit", "finish", "heading", "measure_in_turn"]

QUICK_ROUNDS = 1
QUICK_SECONDS = 2.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that the measured tables have in common."""
    parser.add_argument("--rounds", type=int, default=5, help="runs of each row and server, in turn (default 5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured seconds of a run (default 5)")
    parser.add_argument("--quick", action="store_true", help="one round of 2 s: shows that it works, not how fast")
    parser.add_argument("--rows", default="", metavar="NAME,...", help="only these rows")
    parser.add_argument("--peers", default="", metavar="NAME,...", help="only these servers")
    parser.add_argument(
        "--congestion",
        default="",
        metavar="NAME",
        help="all TCP sockets use it, such as cubic (default: the machine's)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every run and every verdict here")


class Figures:
    """The runs of a table, by row and server."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, list[Run]]] = {}
        self.failures: list[str] = []

    def add(self, row: str, peer: str, run: Run) -> None:
        """Keep one run."""
        self.runs.setdefault(row, {}).setdefault(peer, []).append(run)

    def median(self, row: str, peer: str, figure: Callable[[Run], float | None]) -> float | None:
        """The median of a figure over the rounds; None where there is no such run."""
        values = [value for run in self.runs.get(row, {}).get(peer, []) if (value := figure(run)) is not None]
        return statistics.median(values) if values else None

    def percentile(self, row: str, peer: str, of: str, which: str) -> float | None:
        """The median over the rounds of one percentile, such as `latency_ms` and `p99`."""

        def figure(run: Run) -> float | None:
            samples: Percentiles | None = getattr(run, of)
            return None if samples is None else float(getattr(samples, which))

        return self.median(row, peer, figure)

    def every_run(self) -> list[Run]:
        """All runs of all rows."""
        return [run for peers in self.runs.values() for runs in peers.values() for run in runs]


def measure_in_turn(
    rows: Sequence[str], peers_of: Callable[[str], Sequence[str]], rounds: int, run: Callable[[str, str, Path], Run]
) -> Figures:
    """Measure every row with every server, `rounds` times: servers alternate, and each round another one begins.

    A run that fails is noted in the figures and leaves the others standing.
    """
    figures = Figures()
    for turn in range(rounds):
        for row in rows:
            peers = list(peers_of(row))
            first = turn % len(peers) if peers else 0
            for peer in peers[first:] + peers[:first]:
                where = f"{turn + 1}/{rounds} {row}, {peer}"
                try:
                    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                        measured = run(row, peer, Path(directory))
                except BenchError as error:
                    figures.failures.append(f"{where}: {error}")
                    print(f"{where}: failed: {error}", file=sys.stderr, flush=True)
                else:
                    figures.add(row, peer, measured)
                    _progress(where, measured)
    return figures


def _progress(where: str, run: Run) -> None:
    trouble = {"missed": run.missed, "lost": run.lost, "refused": run.refused, "failed": run.failed}
    said = "".join(f", {count} {what}" for what, count in trouble.items() if count)
    print(f"{where}: {run.cores:.3f} cores{said}", file=sys.stderr, flush=True)


def choose(known: Iterable[str], wanted: str, what: str) -> list[str]:
    """The names of `known` that a comma-separated option names; all where it names none.

    Raises:
        BenchError: a name that is not known.
    """
    names = list(known)
    chosen = [name for name in wanted.split(",") if name] or names
    for name in chosen:
        if name not in names:
            raise BenchError(f"there is no {what} {name}: there are {', '.join(names)}")
    return chosen


def command(name: str, options: argparse.Namespace, rounds: int, seconds: float) -> str:
    """The command that measures a table as this run does."""
    words = ["python -m bench", name, "--rounds", str(rounds), "--seconds", f"{seconds:g}"]
    if options.congestion:
        words += ["--congestion", options.congestion]
    return " ".join(words)


def heading(title: str, figures: Figures, versions: dict[str, str], command: str) -> str:
    """The words above a table: where, when, with what, and how quiet the machine was."""
    about = machine.describe() | {"congestion control": congestion.in_use()}
    runs = figures.every_run()
    lines = [f"## {title}", "", f"`{command}`", ""]
    lines += [f"- {name}: {value}" for name, value in about.items()]
    lines += [f"- {name}: {value}" for name, value in versions.items()]
    if runs:
        idle = [run.idle_share for run in runs]
        others = [run.others_cores for run in runs]
        lines.append(f"- idle CPU while measured: median {statistics.median(idle):.0%}, least {min(idle):.0%}")
        lines.append(
            f"- CPU of other programs and interrupts while measured: median {statistics.median(others):.2f} cores, "
            f"most {max(others):.2f}"
        )
    lines += [f"- failed run: {failure.splitlines()[0]}" for failure in figures.failures]
    return "\n".join(lines) + "\n"


def finish(figures: Figures, heading: str, tables: Iterable[str], targets: Sequence[Target], file: Path | None) -> None:
    """Emit the tables and the verdicts on the targets.

    Raises:
        BenchError: some runs failed; what the others measured has been emitted.
    """
    data = {
        "about": heading,
        "runs": figures.runs,
        "failures": figures.failures,
        "targets": [target.as_json() for target in targets],
    }
    emit("\n".join(filter(None, [heading, *tables, targets_table(targets)])), data, file)
    if figures.failures:
        raise BenchError(f"{len(figures.failures)} runs failed, the first one {figures.failures[0]}")


def emit(markdown: str, data: dict[str, Any], file: Path | None) -> None:
    """Print the Markdown; write the JSON where a file is named."""
    print(markdown)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(data, indent=2, default=_plain) + "\n")


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
