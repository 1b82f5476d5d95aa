"""`python -m bench tls`: what a viewer costs by HTTP/1.1 over TLS and by HTTP/2, beside the plain door; both routes."""

import argparse
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trustme

from bench import machine, report
from bench.markdown import Target, number, ratio, table
from bench.measure import Load, Run, load_program, run_sink
from bench.processes import free_port, raise_descriptor_limit, start
from bench.report import Figures
from bench.table_hub import GOP_S, STREAM
from bench.table_splice import FRAME_BYTES, INTERVAL_US, WARM_MS

__all__ = ["add_parser"]

SINK = Path(__file__).with_name("secure_sink.py")
MODES = {"plain": "HTTP/1.1, plain", "tls": "HTTP/1.1 over TLS", "h2": "HTTP/2 over TLS"}
PATHS = {"splice": "/live?src=a&app=live&stream=s0", "hub": "/live?app=live&stream=s0"}


@dataclass(frozen=True)
class Row:
    """One load."""

    route: str
    viewers: int

    @property
    def title(self) -> str:
        """As the table has it."""
        return f"{self.viewers}, {self.route} route"


ROWS = {f"{viewers}-{route}": Row(route, viewers) for viewers in (100, 300) for route in ("splice", "hub")}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("tls", help="HTTPS, HTTP/1.1 and HTTP/2, beside the plain door")
    report.add_options(parser)
    parser.add_argument("--streams-each", type=int, default=20, help="of an HTTP/2 connection (default 20)")
    parser.set_defaults(run=main)


def main(options: argparse.Namespace) -> None:
    """Measure, print the table, and write the JSON."""
    raise_descriptor_limit()
    rounds = report.QUICK_ROUNDS if options.quick else options.rounds
    seconds = report.QUICK_SECONDS if options.quick else options.seconds
    rows = report.choose(ROWS, options.rows, "row")
    modes = report.choose(MODES, options.peers, "server")

    def run(row: str, mode: str, directory: Path) -> Run:
        return measure(ROWS[row], mode, directory, seconds, options.streams_each)

    figures = report.measure_in_turn(rows, lambda _row: modes, rounds, run)
    words = report.command("tls", options, rounds, seconds) + f" --streams-each {options.streams_each}"
    heading = report.heading("HTTPS", figures, {"door": machine.describe()["splice-live"]}, words)
    targets: list[Target] = []  # the figures are to be known; nothing was promised of them
    report.finish(figures, heading, [cost_table(figures)], targets, options.json)


def measure(row: Row, mode: str, directory: Path, seconds: float, streams_each: int) -> Run:
    """One run: a fresh origin or publisher, a fresh door with all its listeners, viewers at one of them."""
    origin_load: Load = {"frame_bytes": FRAME_BYTES, "interval_us": INTERVAL_US, "spread": 1}
    with ExitStack() as stack:
        origin, ready = stack.enter_context(load_program("origin", directory, origin_load))
        ports = {name: free_port() for name in ("listen", "rtmp_listen", "tls")}
        write_configuration(directory, ports, int(str(ready["port"])))
        command = [sys.executable, "-m", "splice", "--config", "splice.toml", "--log-format", "json"]
        door = stack.enter_context(start("door", command, directory))
        door.wait_for_event("ready")
        helpers = [origin]
        if row.route == "hub":
            publishing: Load = {**STREAM, "port": ports["rtmp_listen"], "app": "live", "stream": "s", "count": 1}
            publisher, _ = stack.enter_context(load_program("publish", directory, publishing))
            helpers.append(publisher)
            time.sleep(1.25 * GOP_S)  # a keyframe is in the cache
        watching: Load = {
            "mode": mode,
            "port": ports["listen" if mode == "plain" else "tls"],
            "path": PATHS[row.route],
            "viewers": row.viewers,
            "streams_each": streams_each,
            "ramp_ms": 10 * row.viewers,  # a handshake takes some milliseconds on either side
            "warm_ms": WARM_MS,
            "measure_ms": int(seconds * 1000),
        }
        return run_sink(
            directory,
            watching,
            server=door,
            idle_bytes=door.resident_bytes(),
            helpers=helpers,
            program=[sys.executable, str(SINK)],
        )


def write_configuration(directory: Path, ports: dict[str, int], origin_port: int) -> None:
    """The door's, with a certificate of this run's."""
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(directory / "door.pem"))
    (directory / "splice.toml").write_text(
        f"""listen = ["127.0.0.1:{ports["listen"]}"]
rtmp_listen = ["127.0.0.1:{ports["rtmp_listen"]}"]
[tls]
listen = ["127.0.0.1:{ports["tls"]}"]
cert = "{directory}/door.pem"
key = "{directory}/door.pem"
[origins.a]
url = "http://127.0.0.1:{origin_port}"
"""
    )


def cost_table(figures: Figures) -> str:
    """CPU, memory and latency."""
    head = ["viewers", "by", "CPU, cores", "ms of CPU a second and viewer", "of the plain door's"]
    head += ["resident memory, KiB a viewer", "latency p50, ms", "p99", "frames delivered, %"]
    lines = []
    for name, modes in figures.runs.items():
        row = ROWS[name]
        for mode in modes:
            cores = figures.median(name, mode, lambda run: run.cores)
            line = [row.title, MODES[mode], number(cores, 3)]
            line.append(number(None if cores is None else 1000 * cores / row.viewers))
            line.append(number(ratio(cores, figures.median(name, "plain", lambda run: run.cores)), 1))
            line.append(number(figures.median(name, mode, partial(kib_a_viewer, row)), 1))
            line += [number(figures.percentile(name, mode, "latency_ms", p), 1) for p in ("p50", "p99")]
            line.append(number(figures.median(name, mode, partial(delivered, row)), 1))
            lines.append(line)
    return table(head, lines)


def kib_a_viewer(row: Row, run: Run) -> float:
    """Resident memory that a viewer takes."""
    return run.resident_growth_bytes / 1024 / row.viewers


def delivered(row: Row, run: Run) -> float:
    """The share of the frames due in the window that reached their viewers, in percent."""
    return 100 * run.frames / (row.viewers * run.seconds * 1e6 / INTERVAL_US)
