"""Callbacks that rename, redirect and end, with the whole house behind the doors, by every way in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from protocol.rtmp import Code, parse_url
from splice.access import Forwarded, HookCalls, PublishRequest, Pulled
from splice.access.redirects import RedirectError
from splice.config import Settings
from splice.rules import access_rules
from splice.stats import EndReason
from tests.splice.access.hook_server import HookServer, open_hook_server
from tests.splice.access.test_doors import open_door, open_origin, played, published, status_of
from tests.splice.hub.servers import RtmpServer, Server, plays_rtmp, silent_rtmp
from tests.splice.hub_house import House, RtmpClient, keyframe

SECRET = "secret-key"
ASKED = PublishRequest(client_id="p1", address="192.0.2.7", app="myapp", stream="test")


@asynccontextmanager
async def open_hooked(hooks: dict[str, Any] | None = None, **tables: Any) -> AsyncIterator[tuple[HookServer, House]]:
    """A door whose program is asked, and told, of everything; in the end it has heard of all."""
    async with open_hook_server() as server:
        urls = dict.fromkeys(("on_publish", "on_publish_done", "on_play", "on_play_done"), server.url)
        async with open_door(hooks={**urls, "timeout_s": 5, **(hooks or {})}, **tables) as house:
            yield server, house
            house._close()
            await house.nothing_left()
            await house.server.rooms.hook_calls.wait_told()
            await server.all_left(len(server.calls))


async def begun(house: House, stream: str = "test") -> RtmpClient:
    publisher = await house.rtmp().publish(stream)
    await publisher.begin()
    return publisher


def url_of(server: Server) -> str:
    return f"rtmp://127.0.0.1:{server.port}"


# --- names ---


async def test_a_publisher_of_a_secret_name_is_watched_under_its_public_one() -> None:
    async with open_hooked() as (server, house):
        server.answers["publish"] = "public"
        with capture_logs() as log:
            publisher = await begun(house, f"{SECRET}?token=t")
            viewer = await house.http("/live?app=myapp&stream=public")
            await viewer.tag_with(keyframe())
            assert await status_of(house, "GET", f"/live?app=myapp&stream={SECRET}") == 404
            await viewer.leave()
            await publisher.leave()
            await server.called(6)
        assert [live.stream for live, _ in house.hub] in ([], ["public"])
    (redirected,) = [event for event in log if event["event"] == "hook.redirected"]
    assert (redirected["hook"], redirected["to"]) == ("on_publish", "public")
    assert redirected["id"] == server.calls[0]["clientid"]
    assert SECRET not in str([event for event in log if event["event"].startswith(("publisher.", "hook."))])
    # As nginx-rtmp has it: the end is told of what was asked for.
    ends = [(call["call"], call["name"], call.get("token")) for call in server.calls if "publish" in call["call"]]
    assert ends == [("publish", SECRET, "t"), ("publish_done", SECRET, "t")]


@pytest.mark.parametrize("method", ["GET", "HEAD", "WS"])
@pytest.mark.parametrize("target", ["/live?app=myapp&stream=ticket&user=u", "/myapp/ticket.flv?user=u"])
async def test_a_viewer_gets_the_stream_that_the_program_names(method: str, target: str) -> None:
    async with open_hooked() as (server, house):
        await begun(house)
        server.answers["play"] = "test"
        assert await status_of(house, method, target) == (101 if method == "WS" else 200)
        assert (server.calls[1]["name"], server.calls[1]["user"]) == ("ticket", "u")
        assert (await server.called(3))["name"] == "ticket"


async def test_a_player_gets_the_stream_that_the_program_names() -> None:
    async with open_hooked() as (server, house):
        await begun(house)
        server.answers["play"] = "test"
        player = house.rtmp()
        assert await played(player, "ticket") is None
        await player.media_with(keyframe())
        assert [viewer.stream for viewer in house.viewers] == ["test"]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/live?src=a&a=1&app=myapp&stream=ticket&b=%20", b"/live?src=a&a=1&app=myapp&stream=test&b=%20"),
        ("/live?stream=ticket&app=myapp&x", b"/live?stream=test&app=myapp&x"),
        ("/myapp/ticket.flv?x=1", b"/myapp/test.flv?x=1"),
    ],
)
async def test_an_origin_is_asked_for_the_stream_that_the_program_names(asked: str, sent: bytes) -> None:
    async with (
        open_origin() as origin,
        open_hooked(origins={"a": {"url": origin.url}}, default_origin="a") as (
            server,
            house,
        ),
    ):
        server.answers["play"] = "test"
        assert await status_of(house, "GET", asked) == 200
        assert origin.heads[0].split(b" ")[1] == sent


async def test_limits_count_the_stream_that_is_watched() -> None:
    async with open_hooked(limits={"viewers_per_stream": 1}) as (server, house):
        await begun(house)
        server.answers["play"] = "test"
        first = await house.http("/live?app=myapp&stream=one")
        assert await status_of(house, "GET", "/live?app=myapp&stream=two") == 503
        await first.leave()


async def test_its_own_name_lets_in_as_it_is() -> None:
    async with open_hooked() as (server, house):
        server.answer = "test"
        with capture_logs() as log:
            await begun(house)
            assert await status_of(house, "GET", "/live?app=myapp&stream=test") == 200
        assert not [event for event in log if event["event"].startswith("hook.")]


async def test_a_name_that_is_taken_is_refused_by_that_name() -> None:
    async with open_hooked() as (server, house):
        await begun(house)
        server.answer = "test"
        refused = await published(house.rtmp(), SECRET)
        assert refused.code == Code.PUBLISH_BAD_NAME
        assert SECRET not in refused.description


BAD = {
    "no name": "a/b",
    "no name of a stream": "..",
    "too long": "x" * 5000,
    "nothing": "302 to nowhere",
    "another scheme": "http://127.0.0.1/test",
    "another server": "rtmp://169.254.169.254/latest/meta",
    "a password": "rtmp://user:geheim@elsewhere/a/b",
    "a password beside what is no URL": "rtmp://user:geheim@elsewhere/a b",
    "a long password": f"rtmp://user:{'geheim' * 40}@elsewhere/a/b",
}


@pytest.mark.parametrize("location", BAD.values(), ids=BAD)
async def test_who_is_sent_where_the_door_does_not_go_is_refused_with_a_sentence(location: str) -> None:
    async with open_hooked() as (server, house):
        server.answer = location
        with capture_logs() as log:
            viewer = await house.http()
            assert viewer.head.status == 403
            assert "where this door does not go ([hooks] on_play)" in await viewer.text()
            refused = await played(house.rtmp(), "test")
            assert refused is not None
            assert (refused.code, "[hooks] on_play" in refused.description) == (Code.PLAY_FAILED, True)
            denied = await published(house.rtmp(), "test")
            assert (denied.code, "[hooks] on_publish" in denied.description) == (Code.PUBLISH_DENIED, True)
            await server.called(6)
    said = [event for event in log if event["event"] == "hook.misdirected"]
    assert [event["hook"] for event in said] == ["on_play", "on_play", "on_publish"]
    assert [event["id"] for event in said] == [call["clientid"] for call in server.calls if "done" not in call["call"]]
    assert all("can only be sent to" in event["error"] or "a Location" in event["error"] for event in said)
    assert all(len(event["to"]) <= 200 for event in said)
    assert "geheim" not in str(log)
    # The program has let them in, as it thinks.
    assert sorted(call["call"] for call in server.calls) == sorted(
        ["play", "play_done", "play", "play_done", "publish", "publish_done"]
    )


# --- servers ---


async def test_a_viewer_is_sent_to_a_configured_origin_and_to_no_other() -> None:
    origin = RtmpServer(plays_rtmp())
    async with (
        origin.listening(),
        open_hooked(origins={"b": {"url": url_of(origin)}}, hub={"idle_stop_s": 0}) as (server, house),
    ):
        server.answers["play"] = f"{url_of(origin)}/far/away"
        viewer = await house.http("/live?app=myapp&stream=ticket")
        assert viewer.head.status == 200
        assert await viewer.next_tag() is not None
        (watching,) = house.viewers
        assert (watching.origin, watching.app, watching.stream) == ("b", "far", "away")
        player = house.rtmp()
        assert await played(player, "ticket") is None
        (peer,) = origin.connections  # both share it
        assert (peer.app, peer.name) == ("far", "away")
        server.answers["play"] = "rtmp://127.0.0.1:1/far/away"
        assert await status_of(house, "GET", "/live?app=myapp&stream=ticket") == 403
        house._close()
        await peer.left.wait()


async def test_a_publisher_is_sent_on_while_it_publishes_and_published_here_too() -> None:
    target = RtmpServer(silent_rtmp)
    async with target.listening(), open_hooked(origins={"b": {"url": url_of(target)}}) as (server, house):
        server.answers["publish"] = f"{url_of(target)}/backup/far?key=k"
        publisher = await begun(house)
        viewer = await house.http()
        await viewer.tag_with(keyframe())
        while not (target.connections and target.connections[0].started.is_set()):
            await trio.sleep(0.01)
        (peer,) = target.connections
        assert (peer.app, peer.name) == ("backup", "far?key=k")
        await publisher.leave()
        with trio.fail_after(2):
            await peer.stopped.wait()
            await peer.left.wait()


async def test_a_publisher_that_comes_back_is_sent_on_once() -> None:
    target = RtmpServer(silent_rtmp)
    config = {"forward": [{"streams": "other/*", "to": "rtmp://127.0.0.1:1/x"}], "hub": {"republish_grace_s": 5}}
    async with target.listening(), open_hooked(origins={"b": {"url": url_of(target)}}, **config) as (server, house):
        server.answers["publish"] = f"{url_of(target)}/backup"
        for number in (1, 2):
            publisher = await begun(house)
            while not (len(target.connections) == number and target.connections[-1].started.is_set()):
                await trio.sleep(0.01)
            await publisher.leave()
            await target.connections[-1].left.wait()
        assert [peer.name for peer in target.connections] == ["test", "test"]
        house.hub.end("myapp", "test", EndReason.KICKED)


CONFIGURED = Settings.model_validate(
    {
        "origins": {
            "plain": {"url": "http://10.0.0.1:8080"},
            "ported": {"url": "http://10.0.0.2:8080", "ports": [1936, 1937]},
            "dialled": {"urls": ["rtmp://10.0.0.3", "rtmp://10.0.0.4:1940"]},
        },
        "forward": [{"streams": "*/*", "to": "rtmp://10.0.0.5/{app}"}],
    }
)


@pytest.mark.parametrize(
    ("server", "origin"),
    [
        ("10.0.0.1", "plain"),
        ("10.0.0.2:1937", "ported"),
        ("10.0.0.3", "dialled"),
        ("10.0.0.4:1940", "dialled"),
        ("10.0.0.1:8080", None),
        ("10.0.0.2", None),
        ("10.0.0.4", None),
        ("10.0.0.5", None),
    ],
)
async def test_an_origin_is_known_by_the_ports_where_it_speaks_rtmp(server: str, origin: str | None) -> None:
    location = f"rtmp://{server}/a/b"
    async with trio.open_nursery() as nursery:
        redirects = access_rules(CONFIGURED, HookCalls(nursery, user_agent="splice/test"))._redirects
    if origin is None:
        with pytest.raises(RedirectError):
            redirects.of_viewer(location, ASKED)
    else:
        assert redirects.of_viewer(location, ASKED) == Pulled(origin, "a", "b")
    if origin or server == "10.0.0.5":
        assert redirects.of_publisher(location, ASKED) == Forwarded(parse_url(location))


# --- updates ---


async def test_every_session_is_told_of_and_ended_where_the_program_says_so() -> None:
    async with open_hook_server() as server, open_origin() as origin:
        hooks = {"on_update": server.url, "update_s": 0.1, "timeout_s": 5}
        async with open_door(hooks=hooks, origins={"a": {"url": origin.url}}) as house:
            publisher = await begun(house)
            await publisher.video(4000, keyframe())
            viewer = await house.http()
            player = house.rtmp()
            assert await played(player, "test") is None
            while len({call["clientid"] for call in server.calls}) < 3:
                await server.called(len(server.calls) + 1)
            viewer_id, player_id = (watching.id for watching in house.viewers)
            newest = {call["clientid"]: (call["call"], call["timestamp"]) for call in server.calls}
            assert newest.pop(viewer_id) == newest.pop(player_id) == ("update_play", "4000")
            assert list(newest.values()) == [("update_publish", "4000")]
            with capture_logs() as log:
                server.answers["update_play"] = "403"
                assert await player.last_event() is not None
                assert await viewer.last_tag() is not None
                assert not viewer.whole
                server.answers["update_publish"] = "403"
                await publisher.last_event()
                await house.nothing_left()
            await server.all_left(len(server.calls))
        ends = [event["reason"] for event in log if event["event"] in ("viewer.end", "publisher.end")]
        assert ends == ["kicked"] * 3
