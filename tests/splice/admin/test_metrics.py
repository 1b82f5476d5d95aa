"""What Prometheus is told, read back by its own parser."""

from typing import Any

import pytest
import trio
import trio.testing
from prometheus_client.parser import text_string_to_metric_families

from protocol.rtmp import MediaKind
from splice.hub import FLV, Subscriber
from splice.hub.forward import ForwardRule
from tests.splice.admin.admin_house import AdminHouse, push_group
from tests.splice.hub.forwarding import to
from tests.splice.hub.pulling import refused_port
from tests.splice.hub.servers import RtmpServer, silent_rtmp
from tests.splice.hub_house import keyframe


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float | None:
        found = [sample.value for sample in self.samples if sample.name == name and sample.labels == labels]
        assert len(found) <= 1
        return found[0] if found else None


async def scrape(house: AdminHouse) -> Scrape:
    async with house.client() as client:
        answer = await client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return Scrape(answer.text)


def log(house: AdminHouse, event: str, level: str = "info", **fields: Any) -> None:
    house.admin.hear({"event": event, "level": level, **fields})


SPLICED = {"route": "splice", "origin": "a", "app": "myapp", "stream": "test"}
STANDING = ("running", "connecting", "waiting")
ENDED = {**SPLICED, "bytes": 100, "first_byte_s": 0.03, "reason": "viewer_left"}


async def test_viewers_and_their_bytes_are_told_by_route_and_origin(house: AdminHouse) -> None:
    house.watch(bytes=10)
    house.watch(bytes=20)
    house.watch("hub", None, bytes=5)
    log(house, "viewer.start", id="v9", **SPLICED)
    log(house, "viewer.end", id="v9", **ENDED)
    told = await scrape(house)
    assert told("splice_viewers", route="splice", origin="a") == 2
    assert told("splice_viewers", route="hub", origin="") == 1
    assert told("splice_sent_bytes_total", route="splice", origin="a") == 130
    assert told("splice_received_bytes_total", route="splice", origin="a") == 130
    assert told("splice_sent_bytes_total", route="hub", origin="") == 5
    assert told("splice_viewer_starts_total", route="splice", origin="a") == 1
    assert told("splice_viewer_ends_total", route="splice", origin="a", reason="viewer_left") == 1


async def test_bytes_come_in_by_publishers_and_pulls(house: AdminHouse) -> None:
    _, publisher = house.publish()
    _, puller = house.pull("b")
    publisher.bytes, puller.bytes = 1000, 500
    log(house, "publisher.start", id="p9", app="myapp", stream="x")
    log(house, "publisher.end", id="p9", app="myapp", stream="x", bytes=11, reason="publisher_left")
    log(house, "pull.start", id="p8", origin="b")
    log(house, "pull.end", id="p8", origin="b", bytes=7, reason="origin_lost")
    told = await scrape(house)
    assert told("splice_received_bytes_total", route="hub", origin="") == 1011
    assert told("splice_received_bytes_total", route="hub", origin="b") == 507
    assert told("splice_publishers") == 1
    assert told("splice_pulls", origin="b") == 1
    assert told("splice_publisher_ends_total", kind="push", origin="", reason="publisher_left") == 1
    assert told("splice_publisher_ends_total", kind="pull", origin="b", reason="origin_lost") == 1


async def test_a_first_byte_counts_once_whether_its_viewer_is_still_there_or_not(house: AdminHouse) -> None:
    viewer = house.watch()
    waiting = house.watch()
    viewer.first_byte_s = 0.03
    for _ in range(2):
        told = await scrape(house)
        assert told("splice_first_byte_seconds_count", route="splice") == 1
        assert told("splice_first_byte_seconds_bucket", route="splice", le="0.025") == 0
        assert told("splice_first_byte_seconds_bucket", route="splice", le="0.05") == 1
    house.leave(viewer)
    log(house, "viewer.end", id=viewer.id, **ENDED)
    house.leave(waiting)
    log(house, "viewer.end", id=waiting.id, **{**ENDED, "first_byte_s": None})
    log(house, "viewer.end", id="v9", **{**ENDED, "first_byte_s": 2})
    assert (await scrape(house))("splice_first_byte_seconds_count", route="splice") == 2


async def test_refusals_are_told_by_status(house: AdminHouse) -> None:
    for status in (404, 404, 503):
        log(house, "request.refused", peer="x", status=status, detail="y")
    log(house, "rtmp.refused", peer="x", code="NetStream.Publish.Denied", detail="y")
    log(house, "rtmp.refused", peer="x", detail="no publish or play in 10 s")
    told = await scrape(house)
    assert told("splice_refusals_total", protocol="http", status="404") == 2
    assert told("splice_refusals_total", protocol="http", status="503") == 1
    assert told("splice_refusals_total", protocol="rtmp", status="NetStream.Publish.Denied") == 1
    assert told("splice_refusals_total", protocol="rtmp", status="other") == 1


async def test_no_label_takes_a_viewers_input(house: AdminHouse) -> None:
    house.watch("hub", 'evil"\n', stream="evil")
    log(house, "viewer.start", id="v9", route="hub", origin="evil", app="evil", stream="evil")
    told = await scrape(house)
    assert told("splice_viewers", route="hub", origin="other") == 1
    assert told("splice_viewer_starts_total", route="hub", origin="other") == 1
    assert not [sample for sample in told.samples if any("evil" in value for value in sample.labels.values())]


async def test_origins_pump_and_build_are_told(house: AdminHouse) -> None:
    house.health.succeeded("a")
    house.health.failed("b", "refused")
    told = await scrape(house)
    assert told("splice_origin_up", origin="a") == 1
    assert told("splice_origin_up", origin="b") == 0
    assert told("splice_origin_answers_total", origin="b", outcome="failure") == 1
    assert told("splice_pump_turns_total") == 7
    assert told("splice_pump_registrations") == 4
    assert told("splice_tasks") == trio.lowlevel.current_statistics().tasks_living
    assert [sample.labels["version"] for sample in told.families["splice_build_info"].samples] == ["1.2.3"]
    assert told("splice_draining") == 0
    house.draining = True
    assert (await scrape(house))("splice_draining") == 1


async def test_forwards_are_told_by_state_and_their_streams_by_the_server_that_they_go_to(
    house: AdminHouse, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.003  # the kernel's loopback may need a moment
    server, down = RtmpServer(silent_rtmp), f"127.0.0.1:{refused_port()}"
    house.publish()
    async with server.listening():
        up = f"127.0.0.1:{server.port}"
        house.forwards.configure(
            [
                ForwardRule("*", to(server, "a/geheim")),
                ForwardRule("*", to(server, "b")),
                ForwardRule("*", f"rtmp://{down}/c"),
                ForwardRule("other/*", "rtmps://later/d"),
            ]
        )
        await trio.sleep(10)
        told = await scrape(house)
        house.forwards.configure([])
    assert [told("splice_forwards", state=state) for state in ("running", "idle")] == [2, 1]
    assert [told("splice_forward_streams", target=up, state=state) for state in STANDING] == [2, 0, 0]
    assert sum(told("splice_forward_streams", target=down, state=state) or 0 for state in STANDING) == 1
    assert [told("splice_forward_streams", target="later:443", state=state) for state in STANDING] == [0, 0, 0]
    taken = told("splice_forward_sent_bytes_total", target=up)
    assert taken is not None
    assert taken > 2 * 2000
    assert told("splice_forward_sent_bytes_total", target=down) == 0
    assert (
        told("splice_forward_losses_total", target=up) == told("splice_forward_losses_total", target="later:443") == 0
    )
    losses = told("splice_forward_losses_total", target=down)
    assert losses is not None
    assert losses > 2
    assert told("splice_forward_skips_total", target=up) == 0
    assert "geheim" not in str(told.samples)
    await trio.sleep(2)
    told = await scrape(house)
    assert [told("splice_forward_streams", target=up, state=state) for state in STANDING] == [0, 0, 0]
    assert told("splice_forward_losses_total", target=down) == losses
    assert (told("splice_forward_sent_bytes_total", target=up) or 0) >= taken
    assert told("splice_forward_losses_total", target="later:443") is None  # nobody names it any more


async def test_wrong_tokens_and_errors_in_the_log_are_counted(house: AdminHouse) -> None:
    log(house, "admin.wrong_token", "warning", peer="x", address="x", attempts=1)
    log(house, "connection.bug", "error", peer="x")
    told = await scrape(house)
    assert told("splice_admin_wrong_tokens_total") == 1
    assert told("splice_logged_errors_total") == 1


async def test_what_waits_in_the_hub_is_told_and_skips_outlive_their_stream(
    house: AdminHouse, autojump_clock: trio.testing.MockClock
) -> None:
    live, _ = house.publish()
    slow = Subscriber(FLV, send=None, meter=house.watch("hub", None), max_bytes=70_000, max_s=100)
    with live.subscribed(slow):
        waiting = (await scrape(house))("splice_hub_backlog_bytes")
        assert waiting == slow.backlog_bytes > 2000
        live.push(MediaKind.VIDEO, 500, keyframe(bytes(80_000)))
        for group in range(2, 4):
            push_group(live, 500 * group)
        assert slow.skipped
        assert (await scrape(house))("splice_hub_skips_total") == slow.skipped
    house.admin._inventory.sample(trio.current_time())
    house.close()
    await trio.sleep(60)  # past the time of grace
    house.admin._inventory.sample(trio.current_time())
    assert (await scrape(house))("splice_hub_skips_total") == slow.skipped


async def test_the_event_loops_lag_is_measured(house: AdminHouse, autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.admin.keep_time)
        await trio.sleep(1.1)
        autojump_clock.jump(0.3)  # as if somebody had held the loop
        await trio.sleep(0.01)
        told = await scrape(house)
        nursery.cancel_scope.cancel()
    assert told("splice_event_loop_lag_seconds_count") == 5
    assert told("splice_event_loop_lag_seconds_bucket", le="0.1") == 4


async def test_names_follow_prometheus_conventions(house: AdminHouse) -> None:
    house.watch()
    told = await scrape(house)
    for name, family in told.families.items():
        assert name.startswith(("splice_", "process_"))
        assert family.documentation
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)


@pytest.mark.parametrize("viewers", [1000])
async def test_a_scrape_does_not_hold_the_loop_for_long(viewers: int, house: AdminHouse) -> None:
    for number in range(viewers):
        house.watch(stream=f"s{number % 50}")
    before = trio.current_time()
    house.admin._metrics.text()
    assert trio.current_time() - before < 0.2
