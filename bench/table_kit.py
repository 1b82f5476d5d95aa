"""`python -m bench kit`: what the protocol kit costs by itself, and the parser of request heads beside it.

Each bench of the kit is a module of its own here, run as a program in a fresh process. It prints one JSON object: names
of figures, and for each its `value` and `unit`, with `at_most` or `at_least` where the project set itself a limit.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import report
from bench.markdown import Target, table, targets_table
from bench.processes import BenchError
from bench.report import Figures

__all__ = ["add_parser"]

MODULES = {"flv": "bench.kit_flv", "chunks": "bench.kit_chunks", "heads": "bench.kit_heads"}
LIMIT_S = 300.0

Figure = dict[str, Any]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("kit", help="the protocol kit by itself")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each bench, in turn (default 5)")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rows", default="", metavar="NAME,...", help=f"only these: {', '.join(MODULES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every run and every verdict here")
    parser.set_defaults(run=main)


def main(options: argparse.Namespace) -> None:
    """Measure, print the tables, and write the JSON."""
    rounds = report.QUICK_ROUNDS if options.quick else options.rounds
    benches = report.choose(MODULES, options.rows, "bench of the kit")
    runs: dict[str, list[dict[str, Figure]]] = {bench: [] for bench in benches}
    for turn in range(rounds):
        for bench in benches:
            print(f"{turn + 1}/{rounds} {bench}", file=sys.stderr, flush=True)
            runs[bench].append(run_bench(MODULES[bench]))

    heading = report.heading("Protocol kit", Figures(), {}, f"python -m bench kit --rounds {rounds}")
    lines, targets = [], []
    for bench, all_figures in runs.items():
        for name, figure in all_figures[0].items():
            values = [float(figures[name]["value"]) for figures in all_figures]
            median = statistics.median(values)
            unit = str(figure.get("unit", ""))
            lines.append([bench, name, f"{median:.4g}", unit, f"{min(values):.4g}", f"{max(values):.4g}"])
            for bound, at_least in (("at_most", False), ("at_least", True)):
                if bound in figure:
                    words = f"{bench}: {name}, {unit}" if unit else f"{bench}: {name}"
                    targets.append(Target(words, median, float(figure[bound]), at_least=at_least))
    text = "\n".join(
        [heading, table(["bench", "figure", "median", "unit", "least", "most"], lines), targets_table(targets)]
    )
    report.emit(text, {"about": heading, "runs": runs, "targets": [t.as_json() for t in targets]}, options.json)


def run_bench(module: str) -> dict[str, Figure]:
    """Run one bench of the kit in a process of its own, and read its figures.

    Raises:
        BenchError: it fails, takes longer than `LIMIT_S`, or prints something else than figures.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{module} took longer than {LIMIT_S:g} s") from error
    if done.returncode:
        raise BenchError(f"{module} ended with status {done.returncode}:\n{done.stderr.strip()}")
    try:
        figures: dict[str, Figure] = json.loads(done.stdout)
        return {name: figure if isinstance(figure, dict) else {"value": figure} for name, figure in figures.items()}
    except (ValueError, AttributeError) as error:
        raise BenchError(f"{module} did not print one JSON object") from error
