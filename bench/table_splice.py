"""`python -m bench splice`: the splice route beside HAProxy and nginx."""

import argparse
import shlex
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import report
from bench.markdown import Target, number, ratio, table
from bench.measure import Load, Run, load_program, run_sink
from bench.processes import BenchError, Server, raise_descriptor_limit
from bench.report import Figures
from bench.splice_peers import Proxy, proxies, serving

__all__ = ["add_parser"]

FRAME_BYTES = 10_000  # 25 of them a second are 2 Mbit/s
INTERVAL_US = 40_000
WARM_MS = 1000
PATH = "/live?src=a&port=1935&app=live&stream=s1"
DIRECT = "direct"  # the sink straight at the origin: what the load generator itself adds to every latency


@dataclass(frozen=True)
class Row:
    """One load. Bulk means: as fast as the server moves it."""

    viewers: int
    title: str
    spread: bool = False
    bulk: bool = False


ROWS = {
    "300-spread": Row(300, "300, spread evenly", spread=True),
    "300-bursts": Row(300, "300, in bursts"),
    "1000-bursts": Row(1000, "1000, in bursts"),
    "8-bulk": Row(8, "8, in bulk", bulk=True),
}
STORM = "1000-bursts"  # its viewers come within one second; memory is measured on it too


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser("splice", help="the splice route beside HAProxy and nginx")
    report.add_options(parser)
    parser.add_argument("--tick-us", type=int, default=1000, help="how finely the origin spreads its viewers")
    parser.add_argument("--chunked", action="store_true", help="the origin answers in chunked coding, a chunk a frame")
    parser.add_argument("--door-options", default="", metavar="WORDS", help="further options for the door")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another proxy; {port} and {origin_port} in its command are replaced",
    )
    parser.set_defaults(run=main)


def main(options: argparse.Namespace) -> None:
    """Measure, print the tables, and write the JSON."""
    raise_descriptor_limit()
    rounds = report.QUICK_ROUNDS if options.quick else options.rounds
    seconds = report.QUICK_SECONDS if options.quick else options.seconds
    others = dict(text.split("=", 1) for text in options.also if "=" in text)
    if len(others) != len(options.also):
        raise BenchError("--also wants NAME=COMMAND")
    known = {proxy.name: proxy for proxy in proxies(shlex.split(options.door_options), others, chunked=options.chunked)}
    rows = report.choose(ROWS, options.rows, "row")
    peers = report.choose([*known, DIRECT], options.peers, "server")

    def run(row: str, peer: str, directory: Path) -> Run:
        return measure(ROWS[row], known.get(peer), directory, seconds, options.tick_us, options.chunked)

    def peers_of(row: str) -> list[str]:
        return [peer for peer in peers if peer != DIRECT or not ROWS[row].bulk]

    figures = report.measure_in_turn(rows, peers_of, rounds, run)
    words = report.command("splice", options, rounds, seconds) + (" --chunked" if options.chunked else "")
    heading = report.heading(
        "Splice route", figures, {name: known[name].version for name in peers if name in known}, words
    )
    tables = [paced_table(figures), bulk_table(figures), join_table(figures)]
    report.finish(figures, heading, tables, judge(figures), options.json)


def measure(row: Row, proxy: Proxy | None, directory: Path, seconds: float, tick_us: int, chunked: bool) -> Run:
    """One run: a fresh origin, a fresh proxy before it, viewers before that; without a proxy, viewers at the origin."""
    origin_load: Load = {
        "frame_bytes": FRAME_BYTES,
        "interval_us": 0 if row.bulk else INTERVAL_US,
        "spread": int(row.spread),
        "tick_us": tick_us,
        "chunked": int(chunked),
    }
    with ExitStack() as stack:
        origin, ready = stack.enter_context(load_program("origin", directory, origin_load))
        server: Server | None = None
        port = int(ready["port"])
        if proxy is not None:
            server, port = stack.enter_context(serving(proxy, directory, port))
        sink_load: Load = {
            "port": port,
            "viewers": row.viewers,
            "ramp_ms": row.viewers,  # a thousand connections a second
            "warm_ms": WARM_MS,
            "measure_ms": int(seconds * 1000),
            "bulk": int(row.bulk),
            "path": PATH,
        }
        idle_bytes = server.resident_bytes() if server else 0
        return run_sink(directory, sink_load, server=server, idle_bytes=idle_bytes, helpers=[origin])


def delivered(viewers: int, run: Run) -> float:
    """The share of the frames due in the window that reached their viewers, in percent."""
    return 100 * run.frames / (viewers * run.seconds * 1e6 / INTERVAL_US)


def added_ms(figures: Figures, row: str, peer: str, which: str) -> float | None:
    """A percentile of the latency, less the same percentile without a server between."""
    through = figures.percentile(row, peer, "latency_ms", which)
    direct = figures.percentile(row, DIRECT, "latency_ms", which)
    return None if through is None or direct is None else through - direct


def paced_table(figures: Figures) -> str:
    """CPU and latency of viewers at 2 Mbit/s."""
    head = ["viewers", "server", "CPU, cores", "of HAProxy's", "of nginx's", "latency p50, ms", "p90", "p99", "max"]
    head += ["added p50, ms", "added p99", "frames delivered, %"]
    lines = []
    for name, peers in figures.runs.items():
        row = ROWS[name]
        for peer in peers if not row.bulk else ():
            cores = cores_of(figures, name, peer) if peer != DIRECT else None
            line = [row.title, peer, number(cores, 3)]
            line += [number(ratio(cores, cores_of(figures, name, other))) for other in ("haproxy", "nginx")]
            line += [number(figures.percentile(name, peer, "latency_ms", p)) for p in ("p50", "p90", "p99", "max")]
            line += [number(added_ms(figures, name, peer, p)) for p in ("p50", "p99")] if peer != DIRECT else ["", ""]
            line.append(number(figures.median(name, peer, partial(delivered, row.viewers)), 1))
            lines.append(line)
    return table(head, lines)


def cores_of(figures: Figures, row: str, peer: str) -> float | None:
    """The median of a server's CPU."""
    return figures.median(row, peer, lambda run: run.cores)


def bulk_table(figures: Figures) -> str:
    """CPU for each GB of viewers who take what they can get."""
    lines = []
    for name, peers in figures.runs.items():
        for peer in peers if ROWS[name].bulk else ():
            cost = figures.median(name, peer, lambda run: run.cpu_s_per_gb)
            line = [ROWS[name].title, peer, number(cost, 3)]
            line += [
                number(ratio(cost, figures.median(name, other, lambda run: run.cpu_s_per_gb)))
                for other in ("haproxy", "nginx")
            ]
            line.append(number(figures.median(name, peer, lambda run: run.gb_per_s)))
            lines.append(line)
    return table(["viewers", "server", "CPU s per GB", "of HAProxy's", "of nginx's", "GB/s"], lines)


def kib_per_viewer(figures: Figures, peer: str) -> float | None:
    """Resident memory that a viewer of the storm's row takes."""
    return figures.median(STORM, peer, lambda run: run.resident_growth_bytes / 1024 / ROWS[STORM].viewers)


def join_table(figures: Figures) -> str:
    """Memory, and the join storm: 1000 viewers within one second."""
    lines = []
    for peer in figures.runs.get(STORM, {}):
        line = [ROWS[STORM].title, peer, number(kib_per_viewer(figures, peer), 1) if peer != DIRECT else ""]
        line += [number(figures.percentile(STORM, peer, "first_body_ms", p), 1) for p in ("p50", "p99", "max")]
        line.append(number(figures.median(STORM, peer, lambda run: run.last_first_byte_ms), 0))
        lines.append(line)
    head = ["viewers", "server", "resident memory, KiB a viewer", "first byte after p50, ms", "p99", "max"]
    return table([*head, "last first byte, ms from the storm's begin"], lines)


def judge(figures: Figures) -> list[Target]:
    """What the door is meant to reach."""
    targets = []
    for name in ("300-spread", "300-bursts", "1000-bursts"):
        door = cores_of(figures, name, "door")
        for peer, spoken, limit in (("haproxy", "HAProxy", 1.0), ("nginx", "nginx", 0.75)):
            text = f"{ROWS[name].title}: CPU of {spoken}'s"
            targets.append(Target(text, ratio(door, cores_of(figures, name, peer)), limit))
    title = ROWS["300-spread"].title
    targets.append(Target(f"{title}: added latency p50, ms", added_ms(figures, "300-spread", "door", "p50"), 1.0))
    targets.append(Target(f"{title}: added latency p99, ms", added_ms(figures, "300-spread", "door", "p99"), 5.0))
    bulk = figures.median("8-bulk", "door", lambda run: run.cpu_s_per_gb)
    for peer, spoken, limit in (("haproxy", "HAProxy", 0.75), ("nginx", "nginx", 0.15)):
        cost = figures.median("8-bulk", peer, lambda run: run.cpu_s_per_gb)
        targets.append(Target(f"8, in bulk: CPU per GB of {spoken}'s", ratio(bulk, cost), limit))
    targets.append(Target("1000: resident memory, KiB a viewer", kib_per_viewer(figures, "door"), 40.0))
    storm = figures.median(STORM, "door", lambda run: run.last_first_byte_ms)
    targets.append(Target("1000 join within a second: last first byte, ms", storm, 2000.0))
    return targets
