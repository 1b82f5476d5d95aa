"""Access at the doors, with the whole house behind them: every way of viewing, before limits, names and origins."""

import base64
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from protocol.rtmp import Code, Refused
from splice.access import SignedParts, SignKey, signed_query
from splice.config import Settings
from splice.rules import access_rules
from tests.splice.access.hook_server import HookServer, open_hook_server
from tests.splice.hub_house import FlvViewer, House, RtmpClient, open_house

SECRET = "a-secret-of-some-length"
KEY = SignKey(SECRET.encode())
SIGNED = {"sign_keys": {"k1": SECRET}}
NO_GRACE = {"republish_grace_s": 0}


class Origin:
    """An HTTP origin that keeps what it was asked for.

    Attributes:
        url: where it is.
        heads: of the requests.
        dialled: how many connections there were.
    """

    def __init__(self, url: str, status: int) -> None:
        self.url = url
        self._status = status
        self.heads: list[bytes] = []
        self.dialled = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.dialled += 1
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                data = await stream.receive_some()
                if not data:
                    return
                head += data
            self.heads.append(head)
            await stream.send_all(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % self._status)


@asynccontextmanager
async def open_origin(status: int = 200) -> AsyncIterator[Origin]:
    async with trio.open_nursery() as nursery:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        origin = Origin(f"http://127.0.0.1:{listener.socket.getsockname()[1]}", status)
        nursery.start_soon(trio.serve_listeners, origin.serve, [listener])
        yield origin
        nursery.cancel_scope.cancel()


# The house counts descriptors in the end, and those of the operator's program are among them: where there is one, a
# test ends with waiting for its connections.


@asynccontextmanager
async def open_door(**tables: Any) -> AsyncIterator[House]:
    with trio.fail_after(10):
        async with open_house(**{"hub": NO_GRACE, **tables}) as house:
            yield house


def signature(path: str, *, src: str = "", port: str = "", stream: str = "test", **options: Any) -> str:
    """The query that signs a request for a minute."""
    options.setdefault("exp", int(time.time()) + 60)
    key = options.pop("key", KEY)
    return signed_query(key, "k1", SignedParts(path, src, port, "myapp", stream), **options)


async def played(client: RtmpClient, name: str) -> Refused | None:
    """What a player is told: a refusal, or nothing, once it plays."""
    await client.connect()
    await client.send(client.session.play(name))
    while True:
        event = await client.next_event()
        assert event is not None
        if isinstance(event, Refused):
            return event
        if type(event).__name__ == "PlayStarted":
            return None


async def published(client: RtmpClient, name: str) -> Refused:
    """Why a publisher is refused."""
    await client.connect()
    await client.send(client.session.publish(name))
    last = await client.last_event()
    assert isinstance(last, Refused)
    return last


WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def status_of(house: House, method: str, target: str) -> int:
    """The status of an answer; of a 401 also that it has its challenge. Method WS: a WebSocket's handshake."""
    extra = WEBSOCKET if method == "WS" else ""
    stream = house.dial(house.door.serve)
    await stream.send_all(f"{method.replace('WS', 'GET')} {target} HTTP/1.1\r\nHost: door\r\n{extra}\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some()
        assert data, "the door closed the connection without an answer"
        head += data
    await stream.aclose()
    status = int(head.split(b" ")[1])
    assert (b"WWW-Authenticate" in head) == (status == 401)
    return status


WAYS = [
    ("/live", "app=myapp&stream=test", {}, 200),
    ("/live", "app=myapp&stream=missing", {"stream": "missing"}, 404),
    ("/live", "src=a&app=myapp&stream=test", {"src": "a"}, 200),
    ("/live", "src=a&port=1935&app=myapp&stream=test", {"src": "a", "port": "1935"}, 200),
    ("/live", "src=nobody&app=myapp&stream=test", {"src": "nobody"}, 404),
    ("/live", "src=pulled&app=myapp&stream=test", {"src": "pulled"}, 404),
    ("/myapp/test.flv", "", {}, 200),
    ("/myapp/missing.flv", "", {"stream": "missing"}, 404),
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "WS"])
@pytest.mark.parametrize(("path", "query", "signed", "right"), WAYS)
async def test_no_way_of_viewing_over_http_is_exempt(
    path: str, query: str, signed: dict[str, str], right: int, method: str
) -> None:
    async with open_origin() as origin, open_origin(status=404) as pulled:
        origins = {"a": {"url": origin.url}, "pulled": {"url": pulled.url, "mode": "relay"}}
        async with open_door(play=SIGNED, origins=origins) as house:
            publisher = await house.rtmp().publish()
            await publisher.begin()

            async def status(*arguments: str) -> int:
                whole = "&".join(filter(None, (query, *arguments)))
                return await status_of(house, method, f"{path}?{whole}" if whole else path)

            assert await status() == 401
            for wrong in ({"stream": "other"}, {"src": "other"}, {"port": "1"}):
                assert await status(signature(path, **{**signed, **wrong})) == 401
            assert origin.dialled == pulled.dialled == 0
            got_in = 101 if (right, method) == (200, "WS") else right
            assert await status(signature(path, **signed)) == got_in
            await publisher.leave()


@pytest.mark.parametrize("src", ["", "a", "nobody"])
async def test_no_way_of_viewing_over_rtmp_is_exempt(src: str) -> None:
    async with open_origin() as origin, open_door(play=SIGNED, origins={"a": {"url": origin.url}}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        query = f"src={src}&" if src else ""
        for wrong in ("x=1", signature("/live", src=src), signature("rtmp", src="other")):
            refused = await played(house.rtmp(), f"test?{query}{wrong}")
            assert refused is not None
            assert refused.code == Code.PLAY_FAILED
        assert origin.dialled == 0
        refused = await played(house.rtmp(), f"test?{query}{signature('rtmp', src=src)}")
        if not src:
            assert refused is None
        else:
            assert refused is not None  # of the origin's making
            assert refused.code == Code.PLAY_STREAM_NOT_FOUND
        await publisher.leave()


async def test_a_player_who_names_two_origins_is_refused() -> None:
    async with open_door() as house:
        refused = await played(house.rtmp(), "test?src=a&%73rc=b")
        assert refused is not None
        assert refused.description == "The parameter src is given twice; give it once."


@pytest.mark.parametrize(
    ("sign_forward", "sent", "forwarded"),
    [
        (False, "?src=a&app=myapp&stream=test&{}", "?src=a&app=myapp&stream=test"),
        (False, "?{}&src=a&app=myapp&stream=test&x=%2F&&y", "?src=a&app=myapp&stream=test&x=%2F&&y"),
        (True, "?src=a&app=myapp&stream=test&{}", "?src=a&app=myapp&stream=test&{}"),
    ],
)
async def test_the_origin_sees_the_signature_where_the_operator_says_so(
    sign_forward: bool, sent: str, forwarded: str
) -> None:
    signed = signature("/live", src="a")
    async with open_origin() as origin:
        play = {**SIGNED, "sign_forward": sign_forward}
        async with open_door(play=play, origins={"a": {"url": origin.url}}) as house:
            assert (await house.http("/live" + sent.format(signed))).head.status == 200
    assert origin.heads[0].split(b" ")[1] == b"/live" + forwarded.format(signed).encode()


async def test_parameters_of_these_names_are_the_origin_s_where_nothing_is_signed() -> None:
    target = "/live?src=a&app=myapp&stream=test&sig=1&kid=2&kid=3"
    async with open_origin() as origin, open_door(origins={"a": {"url": origin.url}}) as house:
        assert (await house.http(target)).head.status == 200
    assert origin.heads[0].split(b" ")[1] == target.encode()


async def test_so_are_a_secured_link_s_where_urls_are_signed_alone() -> None:
    target = f"/live?src=a&app=myapp&stream=test&md5=1&md5=2&expires=&{signature('/live', src='a')}"
    async with open_origin() as origin, open_door(play=SIGNED, origins={"a": {"url": origin.url}}) as house:
        assert (await house.http(target)).head.status == 200


async def test_a_port_means_nothing_over_rtmp_and_is_not_signed_there() -> None:
    async with open_door(play=SIGNED) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        assert await played(house.rtmp(), f"test?port=1935&{signature('rtmp')}") is None
        refused = await played(house.rtmp(), f"test?port=1935&{signature('rtmp', port='1935')}")
        assert refused is not None
        assert refused.code == Code.PLAY_FAILED
        await publisher.leave()


@pytest.mark.parametrize(
    ("extra", "says"),
    [("&sig=A", "sig is given twice"), ("&%6bid=k2", "kid is given twice"), ("&EXP=9999999999", "exp is given twice")],
)
async def test_a_doubled_parameter_is_refused_however_it_is_written(extra: str, says: str) -> None:
    async with open_door(play=SIGNED) as house:
        viewer = await house.http(f"/live?app=myapp&stream=test&{signature('/live')}{extra}")
        assert viewer.head.status == 400
        assert says in (await viewer.text()).lower()


async def test_an_expired_url_is_refused_with_a_sentence() -> None:
    async with open_door(play=SIGNED) as house:
        viewer = await house.http(f"/live?app=myapp&stream=test&{signature('/live', exp=1_700_000_000)}")
        assert viewer.head.status == 401
        assert "by the door's clock; ask for a new one" in await viewer.text()


async def test_syntax_comes_before_access_and_access_before_limits() -> None:
    async with open_door(play=SIGNED, limits={"viewers": 1}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        signed = signature("/live")
        watching = await house.http(f"/live?app=myapp&stream=test&{signed}")
        assert watching.head.status == 200
        assert (await house.http("/live?app=my%20app&stream=test")).head.status == 400
        assert (await house.http("/live?app=myapp&stream=test")).head.status == 401
        assert (await house.http(f"/live?app=myapp&stream=test&{signed}")).head.status == 503
        await publisher.video(40, b"\x17\x01\0\0\0still here")
        await watching.tag_with(b"\x17\x01\0\0\0still here")
        await publisher.leave()


async def test_the_page_and_preflights_need_no_signature() -> None:
    async with open_door(play=SIGNED) as house:
        assert (await house.http("/")).head.status == 200
        assert (await house.http(method="OPTIONS")).head.status == 200


async def test_a_key_for_one_address_believes_trusted_proxies_only() -> None:
    play = {"sign_keys": {"k1": {"secret": SECRET, "address": True}}}
    key = SignKey(SECRET.encode(), address=True)
    target = f"/live?app=myapp&stream=test&{signature('/live', key=key, address='2001:db8::7')}"
    request = f"GET {target} HTTP/1.1\r\nHost: door\r\nX-Forwarded-For: 2001:DB8:0::7\r\n\r\n".encode()
    async with open_door(play=play, trusted_proxies=["192.0.2.1"]) as house:
        for peer, status in (("192.0.2.1", 404), ("192.0.2.2", 401)):
            viewer = await FlvViewer(house.dial(house.door.serve, peer)).ask(request)
            assert viewer.head.status == status


async def test_both_kinds_of_signatures_may_be_in_force_and_each_url_is_held_to_its_own() -> None:
    play = {**SIGNED, "secure_link": f"$secure_link_expires$arg_app/$arg_stream {SECRET}"}
    bad_link = "md5=AAAAAAAAAAAAAAAAAAAAAA&expires=9999999999"
    good_link = f"md5={_md5(f'9999999999myapp/test {SECRET}')}&expires=9999999999"
    async with open_door(play=play) as house:
        for arguments, status in [
            (good_link, 404),
            (signature("/live"), 404),
            (bad_link, 401),
            ("", 401),
            (f"{bad_link}&{signature('/live')}", 404),
            (f"{good_link}&kid=k1", 401),
        ]:
            viewer = await house.http(f"/live?app=myapp&stream=test&{arguments}")
            assert viewer.head.status == status, arguments


def _md5(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.md5(text.encode()).digest()).decode().rstrip("=")


# --- addresses and keys ---


async def test_viewers_are_let_in_and_denied_by_their_address_on_both_doors() -> None:
    async with open_door(play={"allow": ["192.0.2.0/24", "2001:db8::/32"], "deny": ["192.0.2.7"]}) as house:
        for address, status in (("192.0.2.1", 404), ("2001:db8::1", 404), ("192.0.2.7", 403), ("198.51.100.1", 403)):
            viewer = await house.http(address=address)
            assert viewer.head.status == status
            refused = await played(house.rtmp(address=address), "test")
            assert refused is not None
            assert refused.code == (Code.PLAY_FAILED if status == 403 else Code.PLAY_STREAM_NOT_FOUND)
            if status == 403:
                assert f"from {address} are not let in" in await viewer.text()


async def test_a_stream_with_a_key_needs_it_and_the_right_address() -> None:
    async with open_door(publish={"keys": {"myapp/test": SECRET}}) as house:
        for name in ("test", "test?key=wrong"):
            refused = await published(house.rtmp(), name)
            assert refused.code == Code.PUBLISH_DENIED
            assert "[publish] keys" in refused.description
            assert SECRET not in refused.description
        refused = await published(house.rtmp(address="192.0.2.1"), f"test?key={SECRET}")
        assert (refused.code, "[publish] allow" in refused.description) == (Code.PUBLISH_DENIED, True)
        publisher = await house.rtmp().publish(f"test?key={SECRET}")
        other = await house.rtmp().publish("other")
        pushed_by_nginx = house.rtmp(f"myapp?key={SECRET}")
        refused = await published(pushed_by_nginx, "test")
        assert refused.code == Code.PUBLISH_BAD_NAME  # let in, and the name is taken
        await publisher.leave()
        await other.leave()


# --- the operator's program ---


def hooks(server: HookServer, **changed: Any) -> dict[str, Any]:
    urls = dict.fromkeys(("on_publish", "on_publish_done", "on_play", "on_play_done"), server.url)
    return {**urls, "timeout_s": 5, **changed}


async def test_publishers_and_viewers_of_both_routes_are_asked_about_and_their_end_is_told() -> None:
    async with (
        open_hook_server() as server,
        open_origin() as origin,
        open_door(hooks=hooks(server), origins={"a": {"url": origin.url}}) as house,
    ):
        publisher = await house.rtmp().publish("test?token=t")
        await publisher.begin()
        call = await server.called(1)
        assert (call["call"], call["app"], call["name"], call["token"]) == ("publish", "myapp", "test", "t")
        assert call["tcurl"] == "rtmp://door/myapp"
        viewer = await house.http("/live?app=myapp&stream=test&user=u")
        call = await server.called(2)
        assert (call["call"], call["app"], call["user"], call["tcurl"]) == (
            "play",
            "myapp",
            "u",
            "http://door/live",
        )
        await viewer.leave()
        assert (await server.called(3))["clientid"] == call["clientid"]
        assert await status_of(house, "GET", "/live?src=a&app=myapp&stream=test") == 200
        await server.called(5)
        player = house.rtmp()
        assert await played(player, "test") is None
        await player.leave()
        await server.called(7)
        await publisher.leave()
        await server.all_left(8)
    asked = [call["call"] for call in server.calls]
    assert asked == ["publish", "play", "play_done", "play", "play_done", "play", "play_done", "publish_done"]
    assert server.calls[0]["clientid"] == server.calls[7]["clientid"]


async def test_who_is_refused_hears_so_and_nobody_is_told_of_an_end() -> None:
    async with open_hook_server("403") as server, open_origin() as origin:
        async with open_door(hooks=hooks(server), origins={"a": {"url": origin.url}}) as house:
            viewer = await house.http("/live?src=a&app=myapp&stream=test")
            assert (viewer.head.status, "[hooks] on_play" in await viewer.text()) == (403, True)
            refused = await played(house.rtmp(), "test")
            assert refused is not None
            assert refused.code == Code.PLAY_FAILED
            denied = await published(house.rtmp(), "test")
            assert (denied.code, "[hooks] on_publish" in denied.description) == (Code.PUBLISH_DENIED, True)
            await server.all_left(3)
        assert origin.dialled == 0
    assert [call["call"] for call in server.calls] == ["play", "play", "publish"]


async def test_the_end_of_one_who_was_let_in_and_found_nothing_is_told_too() -> None:
    async with open_hook_server() as server, open_door(hooks=hooks(server)) as house:
        assert (await house.http()).head.status == 404
        assert (await server.called(2))["call"] == "play_done"
        await server.all_left(2)


async def test_a_wrong_signature_never_reaches_the_operator_s_program() -> None:
    async with open_hook_server() as server, open_door(hooks=hooks(server), play=SIGNED) as house:
        assert (await house.http()).head.status == 401
    assert server.calls == []


@pytest.mark.parametrize(("on_failure", "status"), [("refuse", 403), ("allow", 404)])
@pytest.mark.parametrize("answer", ["hang", "die"])
async def test_a_program_without_an_answer_is_taken_as_configured(answer: str, on_failure: str, status: int) -> None:
    async with open_hook_server(answer) as server:
        timeout_s = 0.5 if answer == "hang" else 5
        configured = hooks(server, timeout_s=timeout_s, on_failure=on_failure, on_play_done="")
        async with open_door(hooks=configured) as house:
            assert (await house.http()).head.status == status
            await server.all_left(1)


async def test_a_program_that_hangs_disturbs_nobody_who_watches() -> None:
    async with open_hook_server() as server, open_door(hooks=hooks(server, on_play_done="")) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        viewer = await house.http()
        server.answer = "hang"
        waiting = [house.dial(house.door.serve) for _ in range(20)]
        for stream in waiting:
            await stream.send_all(b"GET /live?app=myapp&stream=test HTTP/1.1\r\nHost: door\r\n\r\n")
        await server.called(2 + len(waiting))
        await publisher.video(40, b"\x17\x01\0\0\0still here")
        await viewer.tag_with(b"\x17\x01\0\0\0still here")
        for stream in waiting:
            await stream.aclose()
        await server.all_left(2 + len(waiting))
        server.answer = "200"
        await publisher.leave()
        await server.all_left(3 + len(waiting))


async def test_a_viewer_who_leaves_while_it_is_asked_about_takes_the_question_along() -> None:
    async with open_hook_server("hang") as server, open_door(hooks=hooks(server, timeout_s=60)) as house:
        stream = house.dial(house.door.serve)
        await stream.send_all(b"GET /live?app=myapp&stream=test HTTP/1.1\r\nHost: door\r\n\r\n")
        await server.called(1)
        server.answer = "200"
        await stream.aclose()
        assert (await server.called(2))["call"] == "play_done"  # it may have been counted
        await server.all_left(2)


async def test_an_rtmp_client_that_is_asked_about_is_still_pending() -> None:
    async with (
        open_hook_server("hang") as server,
        open_door(hooks=hooks(server, timeout_s=0.3), limits={"rtmp_pending": 1}) as house,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(published, house.rtmp(), "test")
        await server.called(1)
        assert house.rtmp_door.pending == 1
        with capture_logs() as log:
            assert await house.rtmp().last_event() is None
        assert [event["event"] for event in log] == ["rtmp.refused"]
        await server.all_left(1)


async def test_a_reload_puts_another_access_in_place() -> None:
    async with open_door() as house:
        assert (await house.http()).head.status == 404
        after = Settings.model_validate({"play": SIGNED, "publish": {"keys": {"myapp/test": SECRET}}})
        house.server.reload(lambda: after)
        assert (await house.http()).head.status == 401
        assert (await published(house.rtmp(), "test")).code == Code.PUBLISH_DENIED
    assert access_rules(after, house.server.rooms.hook_calls).forwarded(b"/live?sig=1") == b"/live"
