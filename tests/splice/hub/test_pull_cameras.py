"""Any camera's URL: targets with constants and queries, users and passwords, TLS, and that no password is told."""

import ssl
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog.testing
import trio
import trustme
from trio.testing import MockClock

from splice.origins import OriginError
from tests.splice.hub.pulling import asking, origin_of, refused_port, relaying
from tests.splice.hub.servers import (
    MISSING,
    HttpOrigin,
    RtmpServer,
    mute,
    plays,
    plays_rtmp,
    says,
    silent_rtmp,
)

PASSWORD = "geheim"


@pytest.fixture(autouse=True)
def _patience(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.003  # the kernel's loopback may need a moment


@pytest.fixture(autouse=True)
def _no_password_in_the_log() -> Iterator[None]:
    with structlog.testing.capture_logs() as log:
        yield
    assert PASSWORD not in str(log)


# --- RTMP ---


@pytest.mark.parametrize(
    ("target", "app", "stream"),
    [
        ("/bcs/ch0.bcs?channel=0&user=u&password=geheim", "bcs", "ch0.bcs?channel=0&user=u&password=geheim"),
        ("/{app}/{stream}?key=geheim", "cams", "front?key=geheim"),
        ("/live/{app}/{stream}", "live/cams", "front"),
        ("/live", "live", "front"),
        ("/live?key=geheim", "live", "front"),
        ("/live/ch0?at=/a/b", "live", "ch0?at=/a/b"),
        ("", "cams", "front"),
    ],
)
@pytest.mark.parametrize("in_the_url", [False, True])
async def test_an_rtmp_origin_is_asked_by_its_target(
    autojump_clock: MockClock, target: str, app: str, stream: str, in_the_url: bool
) -> None:
    server = RtmpServer(plays_rtmp())
    async with server.listening(), relaying() as pulls:
        url = f"rtmp://127.0.0.1:{server.port}"
        origin = origin_of(url + target) if in_the_url else origin_of(url, target=target)
        await asking(pulls, origin, app="cams", stream="front")
        [peer] = server.connections
        assert (peer.app, peer.name) == (app, stream)
        assert (PASSWORD in target) == (PASSWORD in f"{peer.app_query} {peer.name}")
        [(_, live, publisher)] = pulls
        assert (live.app, live.stream) == (publisher.app, publisher.stream) == ("cams", "front")
        assert PASSWORD not in str(publisher)


async def test_a_server_that_repeats_what_it_was_asked_tells_the_log_no_password(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp, refuse={"play": "NetStream.Play.StreamNotFound"})
    server.words = "No such stream: front?user=u&password=geheim"
    with structlog.testing.capture_logs() as log:
        async with server.listening(), relaying() as pulls:
            with pytest.raises(OriginError) as caught:
                await asking(pulls, origin_of(f"rtmp://127.0.0.1:{server.port}/a/front?user=u&password=geheim"))
    assert PASSWORD not in caught.value.detail
    [refused] = [entry for entry in log if entry["event"] == "pull.refused"]
    assert refused["description"] == "No such stream: front?user=***&password=***"
    assert PASSWORD not in str(log)


@pytest.mark.parametrize(
    ("url", "connections"),
    [
        ("rtmp://127.0.0.1:{}/bcs/front?key=geheim", 1),
        ("rtmp://127.0.0.1:{}/bcs/front?p={{port}}", 1),
        ("rtmp://127.0.0.1:{}/bcs/{{stream}}", 3),
        ("rtmp://127.0.0.1:{}/bcs", 3),
        ("rtmp://127.0.0.1:{}/{{app}}/front", 3),
        ("rtmp://127.0.0.1:{}", 3),
    ],
)
async def test_a_camera_is_pulled_once_by_however_many_names_viewers_know_it(
    autojump_clock: MockClock, url: str, connections: int
) -> None:
    server = RtmpServer(plays_rtmp())
    async with server.listening(), relaying() as pulls:
        origin = origin_of(url.format(server.port))
        pulls.keep(origin, "cams", "front")
        async with pulls.watched(origin, "cams", "back"), pulls.watched(origin, "x", "y"):
            await trio.sleep(1)
        assert len(server.connections) == len(list(pulls)) == connections
        pulls.let_go("a", "cams", "front")
        await trio.sleep(20)
        assert server.open == 0


async def test_what_brings_a_stream_is_found_by_every_name_that_would_share_it(autojump_clock: MockClock) -> None:
    server = RtmpServer(plays_rtmp())
    async with server.listening(), relaying(idle_stop_s=0) as pulls:
        url = f"rtmp://127.0.0.1:{server.port}"
        camera, origin = origin_of(f"{url}/bcs/front"), origin_of(url)
        async with pulls.watched(camera, "cams", "front") as live:
            found = [pulls.running("a", *name) for name in (("cams", "front"), ("x", "y"))]
            assert [pull and pull.live for pull in found] == [live, live]
            assert pulls.running("another", "cams", "front") is None
        await trio.sleep(1)
        async with pulls.watched(origin, "cams", "front") as live:
            found = [pulls.running("a", *name) for name in (("cams", "front"), ("x", "y"))]
            assert [pull and pull.live for pull in found] == [live, None]


async def test_a_pull_that_has_failed_is_not_running(autojump_clock: MockClock) -> None:
    async with relaying() as pulls:
        with pytest.raises(OriginError):
            await asking(pulls, origin_of(f"rtmp://127.0.0.1:{refused_port()}"))
        assert pulls.running("a", "myapp", "test") is None


# --- HTTP ---


async def test_each_address_is_asked_for_its_own_target_with_its_own_password(autojump_clock: MockClock) -> None:
    server, other = HttpOrigin(says(MISSING)), HttpOrigin(plays())
    async with server.listening(), other.listening(), relaying() as pulls:
        origin = origin_of(
            f"http://me:geheim@127.0.0.1:{server.port}/cam?n={{stream}}&key=geheim",
            f"http://127.0.0.1:{other.port}",
            target="/{app}/{stream}.flv",
        )
        await asking(pulls, origin)
    lines = server.connections[0].head.split(b"\r\n")
    assert lines[0] == b"GET /cam?n=test&key=geheim HTTP/1.1"
    assert b"Authorization: Basic bWU6Z2VoZWlt" in lines
    lines = other.connections[0].head.split(b"\r\n")
    assert lines[0] == b"GET /myapp/test.flv HTTP/1.1"
    assert not any(line.startswith(b"Authorization") for line in lines)


# --- TLS ---


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def shown(name: str = "127.0.0.1") -> ssl.SSLContext:
    """What a server shows whose certificate is for `name`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(file)
    return str(file)


def server_of(scheme: str) -> HttpOrigin | RtmpServer:
    return HttpOrigin(plays()) if scheme == "https" else RtmpServer(plays_rtmp())


@pytest.mark.parametrize("scheme", ["https", "rtmps"])
async def test_a_server_whose_certificate_verifies_is_pulled_from_by_tls(
    autojump_clock: MockClock, scheme: str, ca_file: str
) -> None:
    server = server_of(scheme)
    server.tls = shown()
    async with server.listening(), relaying() as pulls:
        origin = origin_of(f"{scheme}://127.0.0.1:{server.port}", tls_ca=ca_file)
        async with pulls.watched(origin, "myapp", "test") as live:
            await trio.sleep(3)
            assert live.video_frames > 5
        [(_, _, publisher)] = pulls
        assert publisher.protocol == ("rtmp-pull" if scheme == "rtmps" else "http-flv-pull")


@pytest.mark.parametrize("scheme", ["https", "rtmps"])
@pytest.mark.parametrize(
    ("name", "trusts", "cause"),
    [
        ("other.example", True, "IP address mismatch"),
        ("127.0.0.1", False, "unable to get local issuer certificate"),
    ],
    ids=["for another name", "of an unknown authority"],
)
async def test_a_certificate_that_does_not_verify_is_502_and_the_cause_is_in_the_log(
    autojump_clock: MockClock, scheme: str, name: str, trusts: bool, cause: str, ca_file: str
) -> None:
    server = server_of(scheme)
    server.tls = shown(name)
    with structlog.testing.capture_logs() as log:
        async with server.listening(), relaying() as pulls:
            origin = origin_of(f"{scheme}://127.0.0.1:{server.port}", **({"tls_ca": ca_file} if trusts else {}))
            with pytest.raises(OriginError) as caught:
                await asking(pulls, origin)
        assert server.handshakes_failed == 1
    assert caught.value.status == 502
    assert "certificate" in caught.value.detail
    assert "127.0.0.1" not in caught.value.detail
    failed = next(entry for entry in log if entry["event"] in ("pull.failed", "origin.failed"))
    assert cause in failed["cause"]


@pytest.mark.parametrize("scheme", ["https", "rtmps"])
async def test_any_certificate_will_do_where_the_operator_says_so(autojump_clock: MockClock, scheme: str) -> None:
    server = server_of(scheme)
    server.tls = shown("other.example")
    async with server.listening(), relaying() as pulls:
        await asking(pulls, origin_of(f"{scheme}://127.0.0.1:{server.port}", tls_verify=False))


@pytest.mark.parametrize("scheme", ["https", "rtmps"])
async def test_a_server_that_speaks_no_tls_is_told_from_one_that_is_not_trusted(
    autojump_clock: MockClock, scheme: str
) -> None:
    server = HttpOrigin(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), awaits_head=False)
    async with server.listening(), relaying() as pulls:
        with pytest.raises(OriginError) as caught:
            await asking(pulls, origin_of(f"{scheme}://127.0.0.1:{server.port}"))
    assert caught.value.status == 502
    assert "speak none" in caught.value.detail


@pytest.mark.parametrize("scheme", ["https", "rtmps"])
async def test_a_handshake_that_never_ends_is_left_after_connect_s(autojump_clock: MockClock, scheme: str) -> None:
    server = HttpOrigin(mute(), awaits_head=False)
    async with server.listening(), relaying() as pulls:
        with pytest.raises(OriginError) as caught:
            await asking(pulls, origin_of(f"{scheme}://127.0.0.1:{server.port}"))
        assert trio.current_time() == pytest.approx(5, abs=0.05)
        await server.connections[0].left.wait()
    assert caught.value.status == 504


async def test_a_server_with_tls_that_closes_in_mid_stream_is_lost_and_dialled_again(
    autojump_clock: MockClock, ca_file: str
) -> None:
    server = HttpOrigin(plays(2), plays())
    server.tls = shown()
    async with server.listening(), relaying() as pulls:
        origin = origin_of(f"https://127.0.0.1:{server.port}", tls_ca=ca_file)
        async with pulls.watched(origin, "myapp", "test") as live:
            await trio.sleep(5)
            assert not live.ended.is_set()
    assert len(server.connections) == 2


async def test_a_name_that_does_not_resolve_is_told_so_and_each_dial_asks_anew(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RtmpServer(plays_rtmp())
    known = False

    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host: object, port: object, *rest: object) -> list[object]:
            if not known:
                raise trio.socket.gaierror(-2, "Name or service not known")
            return [(2, 1, 6, "", ("127.0.0.1", server.port))]

        async def getnameinfo(self, *arguments: object) -> tuple[str, str]:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())
    try:
        async with server.listening(), relaying() as pulls:
            pulls.keep(origin_of("rtmp://cam.example:1935"), "cams", "front")
            with pytest.raises(OriginError) as caught:
                await asking(pulls, origin_of("rtmp://cam.example:1935"), app="cams", stream="front")
            assert "cannot be resolved" in caught.value.detail
            await trio.sleep(30)
            known = True
            await trio.sleep(12)
            assert server.open == 1
    finally:
        trio.socket.set_custom_hostname_resolver(None)
