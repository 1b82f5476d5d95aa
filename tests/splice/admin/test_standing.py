"""Forwards and kept pulls by the API: added, told without their keys, and taken away again."""

from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from splice.admin.models import Forwards, KeptPulls
from splice.hub.forward import ForwardRule
from splice.routing import Origin
from tests.splice.admin.admin_house import CAMERA, AdminHouse, push_group
from tests.splice.admin.test_api import assert_problem, told
from tests.splice.hub.forwarding import to
from tests.splice.hub.pulling import refused_port
from tests.splice.hub.servers import RtmpServer, silent_rtmp

YOUTUBE = "rtmps://a.rtmps.youtube.com/live2/abcd-efgh-ijkl"


def assert_empty(answer: httpx.Response, status: int = 204) -> None:
    assert (answer.status_code, answer.content) == (status, b"")
    assert "content-type" not in answer.headers


async def forwards_of(house: AdminHouse) -> list[Any]:
    found = await told(house, "/api/v1/forwards")
    Forwards.model_validate(found)
    return list(found["forwards"])


async def pulls_of(house: AdminHouse) -> list[Any]:
    found = await told(house, "/api/v1/pulls")
    KeptPulls.model_validate(found)
    return list(found["pulls"])


# --- forwards ---


async def test_a_forward_begins_at_once_and_ends_when_it_is_deleted(house: AdminHouse) -> None:
    server = RtmpServer(silent_rtmp)
    house.publish()
    async with server.listening(), house.client() as client:
        answer = await client.post("/api/v1/forwards", json={"streams": "myapp/*", "to": to(server)})
        assert answer.status_code == 201
        added = answer.json()
        assert (added["source"], added["state"]) == ("api", "connecting")
        with trio.fail_after(5):
            while not (server.connections and server.connections[0].media):
                await trio.sleep(0.01)
        [forward] = await forwards_of(house)
        assert forward["id"] == added["id"]
        assert (forward["streams"], forward["to"]) == ("myapp/*", to(server))
        assert (forward["state"], forward["reconnects"], forward["last_error"]) == ("running", 0, None)
        assert forward["bytes"] > 2000
        [sending] = forward["sending"]
        assert (sending["stream"], sending["state"], sending["skipped"]) == ("myapp/test", "running", 0)
        assert 0 <= sending["state_seconds"] <= sending["seconds"]
        assert sending["to"] == to(server, "backup/test")
        assert_empty(await client.delete(f"/api/v1/forwards/{added['id']}"))
        assert await forwards_of(house) == []
        with trio.fail_after(5):
            await server.connections[0].left.wait()
        assert server.connections[0].stopped.is_set()
        assert_problem(await client.delete(f"/api/v1/forwards/{added['id']}"), 404, "no forward")


async def test_a_forward_in_trouble_tells_why_and_how_often(house: AdminHouse, autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.003
    house.publish()
    house.forwards.configure([ForwardRule("myapp/*", f"rtmp://127.0.0.1:{refused_port()}/backup/geheim")])
    await trio.sleep(5)
    [forward] = await forwards_of(house)
    assert (forward["source"], forward["state"]) == ("configuration", "waiting")
    assert forward["reconnects"] >= 2
    [sending] = forward["sending"]
    assert sending["state_seconds"] == sending["seconds"] == pytest.approx(5)  # it has never run
    assert "refuses connections" in forward["last_error"]
    assert forward["to"].endswith("/backup/***")
    assert "geheim" not in str(forward)


async def test_a_forward_without_streams_is_idle_and_shows_no_key(house: AdminHouse) -> None:
    async with house.client() as client:
        answer = await client.post("/api/v1/forwards", json={"streams": "other/*", "to": YOUTUBE})
        assert answer.status_code == 201
        assert "abcd" not in answer.text
        assert (answer.json()["state"], answer.json()["sending"]) == ("idle", [])
        again = await client.post("/api/v1/forwards", json={"streams": "other/*", "to": YOUTUBE})
        assert_problem(again, 409, "there already")
        assert "abcd" not in again.text
    [forward] = await forwards_of(house)
    assert forward["to"] == "rtmps://a.rtmps.youtube.com/live2/***"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"streams": "*", "to": "http://h/geheim"}, "parameter to: "),
        ({"streams": "*", "to": "file:///geheim"}, "parameter to: "),
        ({"streams": "*", "to": "rtmp://h/a/geheim-{name}"}, "parameter to: "),
        ({"streams": "*", "to": "rtmp://{app}/a/geheim"}, "parameter to: "),
        ({"streams": "*", "to": "rtmp://h..h/geheim"}, "parameter to: "),
        ({"streams": "*", "to": "rtmp://door/geheim"}, "this door itself"),
        ({"streams": "*", "to": 5}, "parameter to: "),
        ({"streams": "", "to": YOUTUBE}, "parameter streams: "),
        ({"streams": "*"}, "parameter to: "),
        ({"streams": "*", "to": YOUTUBE, "geheim": 1}, "parameter geheim: "),
        (["geheim"], "JSON object"),
    ],
)
async def test_a_wrong_forward_is_refused_and_its_key_not_repeated(body: Any, words: str, house: AdminHouse) -> None:
    async with house.client() as client:
        answer = await client.post("/api/v1/forwards", json=body)
    assert_problem(answer, 422, words)
    assert "geheim" not in answer.text or "parameter geheim" in answer.text
    assert "Value error" not in answer.text
    assert await forwards_of(house) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"streams": "' + b"x" * 70_000 + b'"}'])
async def test_a_body_that_is_none_is_refused(content: bytes, house: AdminHouse) -> None:
    async with house.client() as client:
        answer = await client.post("/api/v1/forwards", content=content, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "JSON object, of 64 KiB at most")


async def test_what_the_configuration_says_only_the_configuration_ends(house: AdminHouse) -> None:
    house.forwards.configure([ForwardRule("*", YOUTUBE)])
    house.configured_pulls.add(("b", "cams", "front"))
    house.pulls.keep(Origin.from_settings("b", house.origins["b"]), "cams", "front")
    async with house.client() as client:
        for kind, [item] in (("forwards", await forwards_of(house)), ("pulls", await pulls_of(house))):
            assert item["source"] == "configuration"
            assert_problem(await client.delete(f"/api/v1/{kind}/{item['id']}"), 409, "and reload")
    assert len(await forwards_of(house)) == len(await pulls_of(house)) == 1


async def test_forwards_and_pulls_need_the_token_as_everything_else(house: AdminHouse) -> None:
    house.allow()
    async with house.client(host="localhost", peer="192.0.2.1") as client:
        for path in ("forwards", "pulls"):
            assert_problem(await client.post(f"/api/v1/{path}", json={}), 401, "token")
    async with house.client(Origin="http://evil.example") as client:
        assert_problem(await client.post("/api/v1/forwards", json={"streams": "*", "to": YOUTUBE}), 403, "")
    assert await forwards_of(house) == []


# --- pulls ---


async def test_a_pull_is_kept_until_it_is_deleted(house: AdminHouse) -> None:
    async with house.client() as client:
        wanted = {"origin": "b", "app": "cams", "stream": "front"}
        answer = await client.post("/api/v1/pulls", json=wanted)
        assert answer.status_code == 201
        added = answer.json()
        assert (added["origin"], added["stream"], added["source"]) == ("b", "cams/front", "api")
        assert house.pulls.kept == [("b", "cams", "front")]
        assert_problem(await client.post("/api/v1/pulls", json=wanted), 409, added["id"])
        await trio.testing.wait_all_tasks_blocked()
        [pull] = await pulls_of(house)
        assert (pull["id"], pull["state"], pull["bytes"]) == (added["id"], "waiting", 0)
        assert_empty(await client.delete(f"/api/v1/pulls/{added['id']}"))
        assert (house.pulls.kept, await pulls_of(house)) == ([], [])
        assert_problem(await client.delete(f"/api/v1/pulls/{added['id']}"), 404, "no kept pull")


async def test_a_kept_camera_that_somebody_watches_by_another_name_is_told_to_run(house: AdminHouse) -> None:
    house.origins["cam"] = CAMERA
    live, puller = house.pull("cam", stream="any")
    push_group(live, 0)
    puller.bytes = live.bytes_in
    async with house.client() as client:
        answer = await client.post("/api/v1/pulls", json={"origin": "cam", "app": "cams", "stream": "front"})
    assert answer.status_code == 201
    [pull] = await pulls_of(house)
    assert (pull["stream"], pull["state"], pull["publisher"]) == ("cams/front", "running", puller.id)
    assert pull["bytes"] == live.bytes_in > 0


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"origin": "a", "app": "cams", "stream": "front"}, 404, "relayed"),
        ({"origin": "nobody", "app": "cams", "stream": "front"}, 404, "relayed"),
        ({"origin": "rtmp://10.0.0.1", "app": "cams", "stream": "front"}, 404, "relayed"),
        ({"origin": "b", "app": "..", "stream": "front"}, 422, "parameter app: "),
        ({"origin": "b", "app": "cams", "stream": "a/b"}, 422, "parameter stream: "),
        ({"origin": "b", "app": "cams"}, 422, "parameter stream: "),
        ({"origin": "b", "app": "cams", "stream": "front", "url": "rtmp://h/a"}, 422, "parameter url: "),
    ],
)
async def test_only_streams_of_configured_origins_are_pulled(
    body: Any, status: int, words: str, house: AdminHouse
) -> None:
    async with house.client() as client:
        assert_problem(await client.post("/api/v1/pulls", json=body), status, words)
    assert house.pulls.kept == []


# --- answers without a body ---


async def test_probes_may_ask_with_head(house: AdminHouse) -> None:
    async with house.client() as client:
        for path, draining, status in (("healthz", False, 200), ("readyz", False, 200), ("readyz", True, 503)):
            house.draining = draining
            assert_empty(await client.head(f"/{path}"), status)
            assert (await client.get(f"/{path}")).status_code == status


async def test_a_session_is_taken_back(house: AdminHouse) -> None:
    house.allow()
    async with house.client(peer="192.0.2.1", Authorization="Bearer a-token-of-some-length") as client:
        assert_empty(await client.post("/api/v1/session"))
    async with house.client(peer="192.0.2.1", Authorization="Bearer a-token-of-some-length") as client:
        opened = await client.post("/api/v1/session")
        cookie = opened.headers["set-cookie"].partition(";")[0]
    async with house.client(peer="192.0.2.1", Cookie=cookie) as client:
        closed = await client.delete("/api/v1/session")
        assert_empty(closed)
        taken_back = closed.headers["set-cookie"]
        assert taken_back.startswith('splice_session=""')
        assert "Max-Age=0" in taken_back
        assert "HttpOnly" in taken_back
    async with house.client(peer="192.0.2.1") as client:
        assert_problem(await client.delete("/api/v1/session"), 401, "token")


async def test_no_kick_has_a_content_type(house: AdminHouse) -> None:
    viewer = house.watch()
    async with house.client() as client:
        assert_empty(await client.delete(f"/api/v1/viewers/{viewer.id}"))
