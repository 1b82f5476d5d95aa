"""What Prometheus scrapes: gauges and byte counts read from the tables at that moment, events counted as they come.

    the log's events --hear()--> counters       the tables --collect()--> gauges, bytes       Lag --> a histogram

Nothing is counted per byte, and a door that nobody scrapes pays for the events alone. No label takes a viewer's input:
origins are those of the configuration, targets are hosts and ports that the operator sends streams on to, reasons and
statuses are the door's own words. Names follow Prometheus' own conventions (prometheus.io, Naming): base units,
`_total` for counters.
"""

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import trio
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from splice.admin.inventory import House, Inventory
from splice.admin.standing import FORWARD_STATES, state_of
from splice.hub.forward import ForwardCounts, SendingState

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_FIRST_BYTE_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LAG_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LAG_EVERY_S: Final = 0.25
_OTHER: Final = "other"


class Metrics(Collector):
    """See the module. All its methods are for Trio's thread."""

    def __init__(self, house: House, inventory: Inventory) -> None:
        self._house: Final = house
        self._inventory: Final = inventory
        self._registry: Final = CollectorRegistry()
        self._starts: Counter[tuple[str, ...]] = Counter()
        self._ends: Counter[tuple[str, ...]] = Counter()
        self._publisher_starts: Counter[tuple[str, ...]] = Counter()
        self._publisher_ends: Counter[tuple[str, ...]] = Counter()
        self._refusals: Counter[tuple[str, ...]] = Counter()
        self._wrong_tokens = 0
        self._bugs = 0
        self._sent_before: Counter[tuple[str, str]] = Counter()  # to viewers who have left, by route and origin
        self._received_before: Counter[tuple[str, str]] = Counter()
        self._observed: set[str] = set()  # viewers whose first byte is in the histogram
        self._registry.register(self)  # first of all: it may add to a histogram
        self._first_byte: Final = Histogram(
            "splice_first_byte_seconds",
            "Seconds from a viewer's request until the stream's first bytes were on their way.",
            ["route"],
            buckets=_FIRST_BYTE_BUCKETS_S,
            registry=self._registry,
        )
        self._lag: Final = Histogram(
            "splice_event_loop_lag_seconds",
            "How much later than asked for the event loop woke a task.",
            buckets=_LAG_BUCKETS_S,
            registry=self._registry,
        )
        for route in ("splice", "hub"):
            self._first_byte.labels(route)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    async def watch_lag(self) -> None:
        """Measure the event loop's lag, until cancelled."""
        while True:
            due = trio.current_time() + _LAG_EVERY_S
            await trio.sleep_until(due)
            self._lag.observe(max(0.0, trio.current_time() - due))

    # --- from the log ---

    def hear(self, event: Mapping[str, Any]) -> None:
        """Count an event of the log's."""
        match event["event"]:
            case "viewer.start":
                self._starts[event["route"], self._origin(event["origin"])] += 1
            case "viewer.end":
                self._hear_viewer_end(event)
            case "publisher.start":
                self._publisher_starts["push", ""] += 1
            case "publisher.end":
                self._publisher_ends["push", "", str(event["reason"])] += 1
                self._received_before["hub", ""] += event["bytes"]
            case "pull.start":
                self._publisher_starts["pull", self._origin(event["origin"])] += 1
            case "pull.end":
                origin = self._origin(event["origin"])
                self._publisher_ends["pull", origin, str(event["reason"])] += 1
                self._received_before["hub", origin] += event["bytes"]
            case "request.refused":
                self._refusals["http", str(event["status"])] += 1
            case "rtmp.refused":
                self._refusals["rtmp", str(event.get("code", _OTHER))] += 1
            case "admin.wrong_token":
                self._wrong_tokens += 1
        if event["level"] in ("error", "critical"):
            self._bugs += 1

    def _hear_viewer_end(self, event: Mapping[str, Any]) -> None:
        route, origin = event["route"], self._origin(event["origin"])
        self._ends[route, origin, str(event["reason"])] += 1
        self._sent_before[route, origin] += event["bytes"]
        id_, first_byte_s = event["id"], event.get("first_byte_s")
        if first_byte_s is not None and id_ not in self._observed:
            self._first_byte.labels(route).observe(first_byte_s)
        self._observed.discard(id_)

    def _origin(self, name: str | None) -> str:
        """The label of an origin: an RTMP player may ask for a name that there is not."""
        return "" if name is None else name if name in self._house.origins() else _OTHER

    # --- for a scrape ---

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering this must not read the tables."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All that is read from the tables, and the counters."""
        yield _gauge("splice_build_info", "The door's version.", ("version", "python"), {self._build: 1})
        yield _gauge("splice_draining", "1 while the door has stopped accepting.", (), {(): self._house.draining()})
        yield from self._of_viewers()
        yield from self._of_publishers()
        yield from self._of_origins()
        yield from self._of_forwards()
        yield _counter("splice_refusals", "Requests refused.", ("protocol", "status"), self._refusals)
        backlog = sum(stream.backlog_bytes for stream, _ in self._house.hub)
        backlog += sum(stream.backlog_bytes for _, stream, _ in self._house.pulls)
        yield _gauge("splice_hub_backlog_bytes", "Bytes that wait for viewers of the hub.", (), {(): backlog})
        yield _counter(
            "splice_hub_skips",
            "How many times a viewer that fell behind, or a forward, was moved on to a newer group of pictures.",
            (),
            {(): self._inventory.skipped},
        )
        yield _counter("splice_pump_turns", "How often the pump has woken up.", (), {(): self._house.pump_turns()})
        registrations = self._house.pump_registrations()
        yield _gauge("splice_pump_registrations", "Sockets that the pump watches.", (), {(): registrations})
        tasks = trio.lowlevel.current_statistics().tasks_living
        yield _gauge("splice_tasks", "Tasks of the event loop that have not ended.", (), {(): tasks})
        yield _counter("splice_admin_wrong_tokens", "Wrong tokens.", (), {(): self._wrong_tokens})
        yield _counter("splice_logged_errors", "Events of level error in the log.", (), {(): self._bugs})

    @property
    def _build(self) -> tuple[str, ...]:
        return self._house.version, platform.python_version()

    def _of_viewers(self) -> Iterator[Metric]:
        present: Counter[tuple[str, ...]] = Counter({("splice", ""): 0, ("hub", ""): 0})
        sent = Counter(self._sent_before)
        for viewer in self._house.viewers:
            key = viewer.route, self._origin(viewer.origin)
            present[key] += 1
            sent[key] += viewer.bytes
            if viewer.first_byte_s is not None and viewer.id not in self._observed:
                self._first_byte.labels(viewer.route).observe(viewer.first_byte_s)
                self._observed.add(viewer.id)
        by_route = ("route", "origin")
        yield _gauge("splice_viewers", "Viewers at the moment.", by_route, present)
        yield _counter("splice_viewer_starts", "Viewers let in.", by_route, self._starts)
        yield _counter("splice_viewer_ends", "Viewers gone, by why.", (*by_route, "reason"), self._ends)
        yield _counter("splice_sent_bytes", "Stream bytes that viewers have taken.", by_route, sent)
        received = Counter(self._received_before)
        origins = {publisher.id: origin for origin, _, publisher in self._house.pulls}
        for publisher in self._house.publishers:
            received["hub", self._origin(origins.get(publisher.id))] += publisher.bytes
        for (route, origin), count in sent.items():
            if route == "splice":  # where each viewer's bytes have come in once
                received[route, origin] += count
        yield _counter("splice_received_bytes", "Stream bytes that have come in.", by_route, received)

    def _of_publishers(self) -> Iterator[Metric]:
        pulls: Counter[tuple[str, ...]] = Counter(
            (self._origin(origin),) for origin, _, publisher in self._house.pulls if publisher.ended_by is None
        )
        pulling = {publisher.id for _, _, publisher in self._house.pulls}
        pushing = sum(publisher.id not in pulling for publisher in self._house.publishers)
        yield _gauge("splice_publishers", "Publishers at the moment, pulls apart.", (), {(): pushing})
        yield _gauge("splice_pulls", "Pulls from origins at the moment.", ("origin",), pulls)
        by_kind = ("kind", "origin")
        yield _counter("splice_publisher_starts", "Publishers and pulls begun.", by_kind, self._publisher_starts)
        yield _counter(
            "splice_publisher_ends", "Publishers and pulls gone, by why.", (*by_kind, "reason"), self._publisher_ends
        )

    def _of_origins(self) -> Iterator[Metric]:
        up: dict[tuple[str, ...], float] = {}
        asked: dict[tuple[str, ...], float] = {}
        for name in self._house.origins():
            health = self._house.health.of(name)
            if health.up is not None:
                up[name,] = health.up
            asked[name, "success"] = health.successes
            asked[name, "failure"] = health.failures
        yield _gauge("splice_origin_up", "Whether the origin answered the last time.", ("origin",), up)
        yield _counter("splice_origin_answers", "How asking an origin went.", ("origin", "outcome"), asked)

    def _of_forwards(self) -> Iterator[Metric]:
        table = self._house.standing.table
        forwards: Counter[tuple[str, ...]] = Counter({(state,): 0 for state in FORWARD_STATES})
        forwards.update((state_of(forward),) for forward in table)
        counts = {forward.rule.server: ForwardCounts() for forward in table} | table.counts()
        streams: Counter[tuple[str, ...]] = Counter({(target, state): 0 for target in counts for state in SendingState})
        streams.update((sending.target.server, sending.state) for sending in table.sendings)
        taken = {(target,): each.bytes for target, each in counts.items()}
        losses = {(target,): each.losses for target, each in counts.items()}
        skips = {(target,): each.skipped for target, each in counts.items()}
        yield _gauge("splice_forwards", "Forwards, by their stream in most trouble; idle: none.", ("state",), forwards)
        yield _gauge("splice_forward_streams", "Streams sent on, by how they stand.", ("target", "state"), streams)
        by_target = ("target",)
        yield _counter("splice_forward_sent_bytes", "Bytes that targets have taken.", by_target, taken)
        yield _counter("splice_forward_losses", "Connections to targets that failed, or were lost.", by_target, losses)
        yield _counter("splice_forward_skips", "How often slow targets were moved on to keyframes.", by_target, skips)


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family
