"""`python -m bench admin`: what looking at the door costs its streams, with the door that nobody looks at beside it."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from bench import machine, report
from bench.markdown import Target, number, table
from bench.measure import Load, Run, load_program, run_sink
from bench.processes import free_port, raise_descriptor_limit, start
from bench.report import Figures
from bench.table_splice import FRAME_BYTES, INTERVAL_US, PATH, WARM_MS

__all__ = ["add_parser"]

SCRAPER = Path(__file__).with_name("scraper.py")
ALONE, WATCHED = "alone", "watched"
VIEWERS = {"500": 500, "1000": 1000}
MOST_CORES = 0.05
MOST_P99_MS = 10.0


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("admin", help="the splice route with and without somebody at the admin side")
    report.add_options(parser)
    parser.set_defaults(run=main)


def main(options: argparse.Namespace) -> None:
    """Measure, print the table, and write the JSON."""
    raise_descriptor_limit()
    rounds = report.QUICK_ROUNDS if options.quick else options.rounds
    seconds = report.QUICK_SECONDS if options.quick else options.seconds
    rows = report.choose(VIEWERS, options.rows, "row")
    variants = report.choose([ALONE, WATCHED], options.peers, "server")

    def run(row: str, variant: str, directory: Path) -> Run:
        return measure(VIEWERS[row], directory, seconds, watched=variant == WATCHED)

    figures = report.measure_in_turn(rows, lambda _row: variants, rounds, run)
    words = report.command("admin", options, rounds, seconds)
    heading = report.heading("Admin side", figures, {"door": machine.describe()["splice-live"]}, words)
    report.finish(figures, heading, [cost_table(figures)], judge(figures), options.json)


def measure(viewers: int, directory: Path, seconds: float, *, watched: bool) -> Run:
    """One run: a fresh origin, a fresh door with its admin side, and, where it is watched, who looks at that."""
    origin_load: Load = {"frame_bytes": FRAME_BYTES, "interval_us": INTERVAL_US, "spread": 1, "tick_us": 1000}
    with ExitStack() as stack:
        origin, ready = stack.enter_context(load_program("origin", directory, origin_load))
        port, admin_port = free_port(), free_port()
        command = [sys.executable, "-m", "splice", "--listen", f"127.0.0.1:{port}", "--log-format", "json"]
        command += ["--admin", f"127.0.0.1:{admin_port}", "--origin", f"a=http://127.0.0.1:{ready['port']}"]
        door = stack.enter_context(start("door", command, directory))
        door.wait_for_event("ready")
        helpers = [origin]
        if watched:
            scraper = stack.enter_context(start("scraper", [sys.executable, str(SCRAPER), str(admin_port)], directory))
            scraper.wait_for_event("ready")
            helpers.append(scraper)
        watching: Load = {
            "port": port,
            "path": PATH,
            "viewers": viewers,
            "ramp_ms": viewers,
            "warm_ms": WARM_MS,
            "measure_ms": int(seconds * 1000),
        }
        return run_sink(directory, watching, server=door, idle_bytes=door.resident_bytes(), helpers=helpers)


def grown_cores(figures: Figures, row: str) -> float | None:
    """How much more CPU the door takes with somebody watching."""
    alone, watched = (figures.median(row, variant, lambda run: run.cores) for variant in (ALONE, WATCHED))
    return None if alone is None or watched is None else watched - alone


def grown_p99_ms(figures: Figures, row: str) -> float | None:
    """How much later the latest frames come."""
    alone, watched = (figures.percentile(row, variant, "latency_ms", "p99") for variant in (ALONE, WATCHED))
    return None if alone is None or watched is None else watched - alone


def cost_table(figures: Figures) -> str:
    """CPU and latency, and their growth."""
    head = ["viewers", "admin side", "CPU, cores", "more than alone", "latency p50, ms", "p99", "max"]
    head += ["p99, more than alone", "frames delivered, %"]
    lines = []
    for name, variants in figures.runs.items():
        for variant in variants:
            line = [f"{name}, spread evenly", variant]
            line.append(number(figures.median(name, variant, lambda run: run.cores), 3))
            line.append(number(grown_cores(figures, name), 3) if variant == WATCHED else "")
            line += [number(figures.percentile(name, variant, "latency_ms", p)) for p in ("p50", "p99", "max")]
            line.append(number(grown_p99_ms(figures, name)) if variant == WATCHED else "")
            due = VIEWERS[name] * 1e6 / INTERVAL_US
            line.append(
                number(figures.median(name, variant, lambda run, due=due: 100 * run.frames / run.seconds / due), 1)
            )
            lines.append(line)
    return table(head, lines)


def judge(figures: Figures) -> list[Target]:
    """What the admin side is meant to cost at most."""
    return [
        Target("500 watched: CPU more than alone, cores", grown_cores(figures, "500"), MOST_CORES),
        Target("500 watched: latency p99 more than alone, ms", grown_p99_ms(figures, "500"), MOST_P99_MS),
    ]
