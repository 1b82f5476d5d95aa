"""`python -m bench hub`: the hub route beside node-media-server, SRS, nginx-http-flv-module and a bare C loop."""

import argparse
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import report
from bench.hub_peers import STALL_S, Hub, hubs, serving
from bench.markdown import Target, number, ratio, table
from bench.measure import Load, Run, load_program, run_sink
from bench.processes import BenchError, raise_descriptor_limit
from bench.report import Figures

__all__ = ["add_parser"]

# One stream: 2 Mbit/s of video at 25 frames a second, 130 kbit/s of AAC at 44.1 kHz (1024 samples a packet).
STREAM: Load = {
    "frame_bytes": 10_000,
    "interval_us": 40_000,
    "key_every": 50,
    "audio_bytes": 376,
    "audio_interval_us": 23_220,
}
INTERVAL_US = 40_000
GOP_S = 2.0
WARM_MS = 1000
BARE_C = "bare-c"  # the load generator's loop of send(), in the place of a server
NO_GAP_MS = 120.0  # three frames
BOUNDED_MIB = 8.0  # backlog_bytes is 4 MiB


@dataclass(frozen=True)
class Row:
    """One load."""

    title: str
    viewers: int
    publishers: int = 1
    deaf: int = 0
    ramp_ms: int = 1000
    least_s: float = 0.0  # the window is at least this long
    fan_out: bool = False  # whether the bare C loop has something to say here


ROWS = {
    "500": Row("500 viewers", 500, ramp_ms=500, fan_out=True),
    "1000": Row("1000 viewers", 1000, fan_out=True),
    "join": Row("20 viewers, 5 a second", 20, ramp_ms=4000),
    "publishers": Row("100 publishers, a viewer each", 100, publishers=100),
    "deaf": Row("499 viewers, and one that reads nothing", 500, deaf=1, ramp_ms=500, least_s=STALL_S + 7.0),
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("hub", help="the hub route beside other live-stream servers and a bare C loop")
    report.add_options(parser)
    here = Path(__file__).parent.parent / "tests/e2e/peers/node_modules/node-media-server"
    parser.add_argument("--node-media-server", type=Path, default=here, metavar="DIR", help="npm's package, installed")
    parser.add_argument("--srs", type=Path, metavar="PROGRAM", help="the program srs, where there is one")
    parser.add_argument("--nginx-http-flv", type=Path, metavar="PROGRAM", help="an nginx with nginx-http-flv-module")
    parser.set_defaults(run=main)


def main(options: argparse.Namespace) -> None:
    """Measure, print the tables, and write the JSON."""
    raise_descriptor_limit()
    for program in (options.srs, options.nginx_http_flv):
        if program is not None and not program.exists():
            raise BenchError(f"there is no program {program}")
    rounds = report.QUICK_ROUNDS if options.quick else options.rounds
    seconds = report.QUICK_SECONDS if options.quick else options.seconds
    known = {hub.name: hub for hub in hubs(options.node_media_server, options.srs, options.nginx_http_flv)}
    rows = report.choose(ROWS, options.rows, "row")
    peers = report.choose([*known, BARE_C], options.peers, "server")

    def run(row: str, peer: str, directory: Path) -> Run:
        window_s = max(seconds, ROWS[row].least_s)
        if peer == BARE_C:
            return floor(ROWS[row], directory, window_s)
        return measure(ROWS[row], known[peer], directory, window_s)

    def peers_of(row: str) -> list[str]:
        return [peer for peer in peers if peer != BARE_C or ROWS[row].fan_out]

    figures = report.measure_in_turn(rows, peers_of, rounds, run)
    versions = {name: known[name].version for name in peers if name in known}
    command = report.command("hub", options, rounds, seconds)
    heading = report.heading("Hub route", figures, versions, command)
    report.finish(figures, heading, [cpu_table(figures), delivery_table(figures)], judge(figures), options.json)


def measure(row: Row, hub: Hub, directory: Path, seconds: float) -> Run:
    """One run: a fresh server, its publishers, and viewers once the GOP cache is warm."""
    with ExitStack() as stack:
        server, ports = stack.enter_context(serving(hub, directory))
        publishing: Load = {**STREAM, "port": ports.rtmp, "app": "live", "stream": "s", "count": row.publishers}
        publisher, _ = stack.enter_context(load_program("publish", directory, publishing))
        time.sleep(1.25 * GOP_S)
        watching = _watching(row, ports.http, hub.path(ports), seconds)
        idle_bytes = server.resident_bytes()
        return run_sink(directory, watching, server=server, idle_bytes=idle_bytes, helpers=[publisher])


def floor(row: Row, directory: Path, seconds: float) -> Run:
    """The same stream and viewers at the bare C loop, which stands in the server's place."""
    with load_program("fanout", directory, STREAM) as (server, ready):
        watching = _watching(row, int(ready["port"]), "/", seconds)
        idle_bytes = server.resident_bytes()
        return run_sink(directory, watching, server=server, idle_bytes=idle_bytes, helpers=[])


def _watching(row: Row, port: int, path: str, seconds: float) -> Load:
    return {
        "port": port,
        "path": path,
        "viewers": row.viewers,
        "streams": row.publishers,
        "deaf": row.deaf,
        "ramp_ms": row.ramp_ms,
        "warm_ms": WARM_MS,
        "measure_ms": int(seconds * 1000),
    }


def cores_of(figures: Figures, row: str, peer: str) -> float | None:
    """The median of a server's CPU."""
    return figures.median(row, peer, lambda run: run.cores)


def kib_per_viewer(figures: Figures, row: str, peer: str) -> float | None:
    """Resident memory that a viewer takes, from the server with its publishers alone to the end of the window."""
    return figures.median(row, peer, lambda run: run.resident_growth_bytes / 1024 / ROWS[row].viewers)


def delivered(row: Row, run: Run) -> float:
    """The share of the frames due in the window that reached their viewers, in percent."""
    return 100 * run.frames / ((row.viewers - row.deaf) * run.seconds * 1e6 / INTERVAL_US)


def cpu_table(figures: Figures) -> str:
    """CPU and memory."""
    head = ["load", "server", "CPU, cores", "of node-media-server's", "of bare C's", "resident memory, KiB a viewer"]
    lines = []
    for name, peers in figures.runs.items():
        for peer in peers:
            cores = cores_of(figures, name, peer)
            line = [ROWS[name].title, peer, number(cores, 3)]
            line += [number(ratio(cores, cores_of(figures, name, other))) for other in ("node-media-server", BARE_C)]
            line.append(number(kib_per_viewer(figures, name, peer), 1))
            lines.append(line)
    return table(head, lines)


def delivery_table(figures: Figures) -> str:
    """When the frames came: from the publisher's send to the viewer's receive."""
    head = ["load", "server", "latency p50, ms", "p99", "max", "gap p99, ms", "max", "first keyframe p50, ms", "p99"]
    head += ["frames delivered, %", "missed", "connections lost"]
    lines = []
    for name, peers in figures.runs.items():
        for peer in peers:
            line = [ROWS[name].title, peer]
            line += [number(figures.percentile(name, peer, "latency_ms", p), 1) for p in ("p50", "p99", "max")]
            line += [number(figures.percentile(name, peer, "gap_ms", p), 1) for p in ("p99", "max")]
            line += [number(figures.percentile(name, peer, "first_keyframe_ms", p), 1) for p in ("p50", "p99")]
            line.append(number(figures.median(name, peer, partial(delivered, ROWS[name])), 1))
            line.append(number(figures.median(name, peer, lambda run: run.missed), 0))
            line.append(number(figures.median(name, peer, lambda run: run.lost), 0))
            lines.append(line)
    return table(head, lines)


def judge(figures: Figures) -> list[Target]:
    """What the door is meant to reach."""

    def compared(row: str, door: str, other: str) -> float | None:
        return ratio(cores_of(figures, row, door), cores_of(figures, row, other))

    other = "node-media-server"
    growth = figures.median("deaf", "door", lambda run: run.window_growth_bytes / 2**20)
    dropped = figures.median("deaf", "door", lambda run: run.descriptors_start - run.descriptors_end)
    missed = figures.median("deaf", "door", lambda run: run.missed)
    return [
        Target("500: CPU of node-media-server's, merge_ms = 0", compared("500", "door-merge-0", other), 0.7),
        Target("500: CPU of node-media-server's, merge_ms = 40", compared("500", "door-merge-40", other), 0.3),
        Target("1000: CPU of the bare C loop's, merge_ms = 0", compared("1000", "door-merge-0", BARE_C), 1.5),
        Target("1000: latency p99, ms, default", figures.percentile("1000", "door", "latency_ms", "p99"), 60.0),
        Target("join: first keyframe p99, ms", figures.percentile("join", "door", "first_keyframe_ms", "p99"), 50.0),
        Target("1000: resident memory, KiB a viewer", kib_per_viewer(figures, "1000", "door"), 40.0),
        Target("100 publishers with a viewer each: cores", cores_of(figures, "publishers", "door"), 1.0),
        Target("deaf: longest gap of the others, ms", figures.percentile("deaf", "door", "gap_ms", "max"), NO_GAP_MS),
        Target("deaf: frames that the others missed", missed, 0.0),
        Target("deaf: growth of the door's memory in the window, MiB", growth, BOUNDED_MIB),
        Target(f"deaf: it is dropped (stall_s = {STALL_S})", dropped, 1.0, at_least=True),
    ]
