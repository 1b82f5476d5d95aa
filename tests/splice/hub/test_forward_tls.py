"""Forwards by rtmps://: as without TLS, and only to a server whose certificate is to be trusted."""

import ssl
from collections.abc import Iterator
from functools import cache

import pytest
import structlog.testing
import trio
import trustme
from trio.testing import MockClock

from protocol.rtmp import MediaKind, MessageReceived, PingRequest, PingResponse
from splice.hub.forward import ForwardRule, SendingState
from tests.splice.hub.forwarding import PUBLISHED_METADATA, opened_forwards, published, push
from tests.splice.hub.servers import INTER_FRAME, KEYFRAME, OPENING, RtmpPeer, RtmpServer, silent_rtmp

KEY = "abcd-efgh-ijkl"


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def shown(name: str = "127.0.0.1") -> ssl.SSLContext:
    """What a server shows whose certificate is for `name`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(autouse=True)
def _patience(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.01  # the kernel's loopback may need a moment, and so may OpenSSL


@pytest.fixture
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' authority, as one of the system's."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    monkeypatch.setattr("splice.hub.rtmp_client.client_context", lambda: context)


@pytest.fixture
def log() -> Iterator[list[structlog.typing.EventDict]]:
    """The log, in which nobody's key must be."""
    with structlog.testing.capture_logs() as entries:
        yield entries
    assert KEY not in str(entries)


def to(server: RtmpServer, path: str = f"live2/{KEY}") -> ForwardRule:
    return ForwardRule("myapp/*", f"rtmps://127.0.0.1:{server.port}/{path}")


@pytest.mark.usefixtures("_trusted", "log")
async def test_a_target_gets_the_whole_stream_and_its_end_by_tls(autojump_clock: MockClock) -> None:
    server = RtmpServer(silent_rtmp)
    server.tls = shown()
    async with server.listening(), opened_forwards(to(server), grace_s=1) as (hub, forwards):
        with published(hub) as live:
            await trio.sleep(1)
            push(live, (MediaKind.VIDEO, 40, INTER_FRAME))
            await trio.sleep(1)
            [peer] = server.connections
            assert (peer.app, peer.name) == ("live2", KEY)
            assert peer.media == [
                (MediaKind.DATA, 0, PUBLISHED_METADATA),
                *OPENING[1:],
                (MediaKind.VIDEO, 40, INTER_FRAME),
            ]
            [forward] = forwards
            assert forward.counts.bytes > 100
        await peer.left.wait()
        assert peer.stopped.is_set()


@pytest.mark.usefixtures("_trusted", "log")
async def test_a_ping_is_answered_between_the_pieces_by_tls_too(autojump_clock: MockClock) -> None:
    async def pings(peer: RtmpPeer) -> None:
        await peer.say(peer.session.send(PingRequest(77)))
        await trio.sleep_forever()

    server = RtmpServer(pings)
    server.tls = shown()
    async with server.listening(), opened_forwards(to(server)) as (hub, _):
        with published(hub) as live:
            for frame in range(1, 20):
                await trio.sleep(0.1)
                push(live, (MediaKind.VIDEO, frame * 100, KEYFRAME))
            await trio.sleep(0.1)
        [peer] = server.connections
        assert MessageReceived(PingResponse(77)) in peer.other
        assert [payload for _, _, payload in peer.media].count(KEYFRAME) == 20


@pytest.mark.usefixtures("_trusted")
async def test_a_target_that_goes_deaf_by_tls_is_lost_and_one_that_resets_too(
    autojump_clock: MockClock, log: list[structlog.typing.EventDict]
) -> None:
    async def leaves(peer: RtmpPeer) -> None:
        await trio.sleep(1)

    server = RtmpServer(leaves, silent_rtmp, deaf_after="publish")
    server.tls = shown()
    async with server.listening(), opened_forwards(to(server), backlog_bytes=3 << 20) as (hub, forwards):
        with published(hub) as live:
            for frame in range(80):
                await trio.sleep(0.5)
                push(live, (MediaKind.VIDEO, frame * 500, KEYFRAME + bytes(1 << 20)))
            [forward] = forwards
            assert forward.counts.reconnects >= 2
        server.drop()
    losses = [entry["error"] for entry in log if entry["event"] == "forward.lost"]
    assert any("taken nothing for 30 s" in error for error in losses)
    assert any("closed the connection" in error or "reset the connection" in error for error in losses)


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize(
    ("context", "words"),
    [(shown("other.example"), "certificate"), (None, "TLS")],
    ids=["for another name", "no TLS at all"],
)
async def test_who_is_not_to_be_trusted_gets_nothing(
    context: ssl.SSLContext | None,
    words: str,
    autojump_clock: MockClock,
    log: list[structlog.typing.EventDict],
) -> None:
    server = RtmpServer(silent_rtmp)
    server.tls = context
    async with server.listening(), opened_forwards(to(server)) as (hub, forwards):
        with published(hub):
            await trio.sleep(3)
            [forward] = forwards
            assert [sending.state for sending in forward.sendings] == [SendingState.WAITING]
            assert words in str(forward.last_error)
        assert not any(peer.app for peer in server.connections)


async def test_the_systems_own_authorities_decide(
    autojump_clock: MockClock, log: list[structlog.typing.EventDict]
) -> None:
    server = RtmpServer(silent_rtmp)
    server.tls = shown()
    async with server.listening(), opened_forwards(to(server)) as (hub, forwards):
        with published(hub):
            await trio.sleep(3)
            [forward] = forwards
            assert "certificate" in str(forward.last_error)


@pytest.mark.usefixtures("_trusted")
async def test_a_server_that_names_the_key_in_its_refusal_does_not_bring_it_into_the_log(
    autojump_clock: MockClock, log: list[structlog.typing.EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RtmpServer(silent_rtmp, refuse={"publish": f"NetStream.Publish.{KEY}"})
    server.tls = shown()
    async with server.listening(), opened_forwards(to(server)) as (hub, forwards):
        with published(hub):
            await trio.sleep(3)
            [forward] = forwards
            assert "NetStream.Publish.***" in str(forward.last_error)
    assert any("NetStream.Publish.***" in entry["error"] for entry in log if entry["event"] == "forward.lost")
