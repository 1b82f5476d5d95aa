"""The admin side of a real door with real streams: seen, counted, kicked, drained, and closed to others."""

import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from splice.admin.models import Origins, Publishers, Streams, Viewers
from tests.e2e.door import Door, running_door
from tests.e2e.origins import publishing
from tests.e2e.processes import Child, running
from tests.e2e.viewers import ffmpeg_watching

RTMP = ("--rtmp", "127.0.0.1:0")
ADMIN = ("--admin", "0")
TOKEN = "a-token-of-some-length"
DEMO = "/live?src=demo&app=demo&stream=clock"


def admin_url(door: Door) -> str:
    return f"http://{door.ready['admin'][0]}"


@asynccontextmanager
async def admin_of(door: Door, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=admin_url(door), headers=headers, timeout=10) as client:
        yield client


async def told(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def measured(client: httpx.AsyncClient) -> dict[str, Any]:
    """The one stream, once its rates are known and it has had two keyframes."""
    with trio.fail_after(15):
        while True:
            (stream,) = (await told(client, "/api/v1/streams"))["streams"]
            if stream["video"] and stream["video"]["keyframe_interval_ms"] and stream["bit_rate_kbps"]:
                return stream
            await trio.sleep(0.1)


async def test_a_published_stream_is_seen_counted_and_kicked(tmp_path: Path) -> None:
    async with running_door(tmp_path, *RTMP, *ADMIN) as door, admin_of(door) as admin:
        url = f"rtmp://{door.ready['rtmp'][0]}/myapp/test"
        async with publishing(url) as encoder, ffmpeg_watching(f"{door.http_url}/myapp/test.flv") as player:
            stream = await measured(admin)
            assert (stream["name"], stream["route"], stream["viewers"]) == ("myapp/test", "hub", 1)
            assert stream["publisher"]["protocol"] == "rtmp"
            video, audio = stream["video"], stream["audio"]
            assert video["codec"].startswith("avc1.")
            assert (video["width"], video["height"]) == (320, 180)
            assert video["frame_rate"] == pytest.approx(25, rel=0.4)
            assert video["keyframe_interval_ms"] == pytest.approx(500, abs=50)
            assert (audio["codec"], audio["channels"]) == ("mp4a.40.2", 1)
            assert stream["bytes_out"] > 0

            Streams.model_validate(await told(admin, "/api/v1/streams"))
            viewers = Viewers.model_validate(await told(admin, "/api/v1/viewers")).viewers
            publishers = Publishers.model_validate(await told(admin, "/api/v1/publishers")).publishers
            metrics = (await admin.get("/metrics")).text
            assert 'splice_viewers{origin="",route="hub"} 1.0' in metrics
            assert "splice_publishers 1.0" in metrics
            assert 'splice_first_byte_seconds_count{route="hub"} 1.0' in metrics

            assert (await admin.delete(f"/api/v1/viewers/{viewers[0].id}")).status_code == 204
            await door.logged("viewer.end", id=viewers[0].id, reason="kicked")
            await player.ended()
            assert (await admin.delete(f"/api/v1/viewers/{viewers[0].id}")).status_code == 404

            assert (await admin.delete(f"/api/v1/publishers/{publishers[0].id}")).status_code == 204
            await door.logged("publisher.end", reason="kicked")
            await encoder.ended()


async def test_kicking_a_spliced_stream_ends_all_its_viewers(
    tmp_path: Path,
) -> None:
    async with running_door(tmp_path, "--demo") as door, admin_of(door) as admin:
        async with ffmpeg_watching(door.http_url + DEMO) as one, ffmpeg_watching(door.http_url + DEMO) as other:
            (stream,) = (await told(admin, "/api/v1/streams"))["streams"]
            assert (stream["name"], stream["route"], stream["viewers"]) == ("demo/clock", "splice", 2)
            (origin,) = Origins.model_validate(await told(admin, "/api/v1/origins")).origins
            assert (origin.name, origin.state, origin.viewers, origin.successes) == ("demo", "up", 2, 2)
            assert (await admin.delete(f"/api/v1/streams/{stream['id']}")).status_code == 204
            await one.ended()
            await other.ended()
        kicked = [event for event in door.events if event["event"] == "viewer.end"]
        assert [event["reason"] for event in kicked] == ["kicked", "kicked"]
        assert (await told(admin, "/api/v1/streams"))["total"] == 0
        assert 'reason="kicked",route="splice"} 2.0' in (await admin.get("/metrics")).text


async def test_events_are_the_logs_own_and_an_open_stream_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with (
        running_door(tmp_path, "--demo", stays=False, drain_s=30) as door,
        admin_of(door) as admin,
        admin.stream("GET", "/api/v1/events", timeout=20) as events,
    ):
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = events.aiter_lines()
        assert await anext(lines) == ":"
        async with ffmpeg_watching(door.http_url + DEMO):
            pass
        seen: list[Any] = []
        while not seen or seen[-1]["event"] != "viewer.end":
            line = await anext(lines)
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
        logged = [event for event in door.events if event["event"].startswith("viewer.")]
        assert [event for event in seen if event["event"].startswith("viewer.")] == logged
        with trio.fail_after(5):
            assert await door.stop() == 0  # nobody watches, so the drain is over
        with pytest.raises((StopAsyncIteration, httpx.RemoteProtocolError)):
            while True:
                await anext(lines)


async def test_a_draining_door_is_alive_and_not_ready(tmp_path: Path) -> None:
    async with running_door(tmp_path, "--demo", stays=False, drain_s=30) as door, admin_of(door) as admin:
        assert (await admin.get("/readyz")).status_code == 200
        async with ffmpeg_watching(door.http_url + DEMO):
            door.child.send_signal(signal.SIGTERM)
            await door.logged("draining")
            assert (await admin.get("/readyz")).status_code == 503
            assert (await admin.get("/healthz")).status_code == 200
            assert "splice_draining 1.0" in (await admin.get("/metrics")).text
            assert (await told(admin, "/api/v1/viewers"))["total"] == 1
        assert await door.child.ended() == 0


async def test_an_origin_that_is_down_is_told(tmp_path: Path) -> None:
    config = '[origins.a]\nurl = "http://127.0.0.1:1"\n'
    async with running_door(tmp_path, *ADMIN, config=config) as door, admin_of(door) as admin:
        async with httpx.AsyncClient(base_url=door.http_url) as viewer:
            assert (await viewer.get("/live?src=a&app=myapp&stream=test")).status_code == 502
        (origin,) = (await told(admin, "/api/v1/origins"))["origins"]
        assert (origin["state"], origin["failures"]) == ("down", 1)
        assert "refuses connections" in origin["last_error"]
        metrics = (await admin.get("/metrics")).text
        assert 'splice_origin_up{origin="a"} 0.0' in metrics
        assert 'splice_refusals_total{protocol="http",status="502"} 1.0' in metrics


async def test_others_need_the_token_and_a_reload_changes_it(tmp_path: Path) -> None:
    config = f'[admin]\ntoken = "{TOKEN}"\nallowed_hosts = ["splice.example.org"]\n'
    async with running_door(tmp_path, "--admin", "0.0.0.0:0", config=config) as door:
        port = door.ready["admin"][0].rpartition(":")[2]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as admin:
            named = {"Host": "splice.example.org"}
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            assert (await admin.get("/metrics")).status_code == 200
            assert (await admin.get("/metrics", headers=named)).status_code == 401
            assert (await admin.get("/metrics", headers={"X-Forwarded-For": "192.0.2.7"})).status_code == 401
            assert (await admin.get("/metrics", headers=named | bearer)).status_code == 200
            assert (await admin.get("/metrics", headers=bearer | {"Host": "evil.example"})).status_code == 421
            foreign = await admin.get("/metrics", headers=bearer | {"Origin": "https://evil.example"})
            assert foreign.status_code == 403
            assert (await admin.post("/api/v1/session", headers=named | bearer)).status_code == 204

            file = tmp_path / "splice.toml"
            file.write_text(file.read_text().replace(TOKEN, "another-token"))
            door.child.send_signal(signal.SIGHUP)
            await door.logged("reload.done")
            assert (await admin.get("/metrics", headers=named | bearer)).status_code == 401
            event = await door.logged("admin.wrong_token")
            assert TOKEN not in json.dumps(door.events)
            assert event["attempts"] == 1


async def refused(*flags: str, env: dict[str, str] | None = None) -> str:
    command = (sys.executable, "-m", "splice", "--listen", "127.0.0.1:0", *flags)
    child: Child
    async with running(*command, name="splice", cwd=Path(__file__).parents[2], env=env) as child:
        assert await child.ended() == 2
        return child.output


async def test_an_address_that_others_reach_is_refused_without_a_token() -> None:
    sentence = await refused("--admin", "0.0.0.0:0")
    assert sentence.startswith("splice: --admin: ")
    assert "[admin] token" in sentence
    assert "\n" not in sentence


async def test_a_second_demo_takes_another_admin_port(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with running_door(tmp_path / "one", "--demo") as one, running_door(tmp_path / "two", "--demo") as two:
        ports = {address.rpartition(":")[2] for door in (one, two) for address in door.ready["admin"]}
        assert len(ports) == 2
        for door in (one, two):
            async with admin_of(door) as admin:
                assert (await admin.get("/healthz")).status_code == 200
