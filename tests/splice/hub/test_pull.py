"""Pulls over HTTP, against origins on loopback: when they begin and end, what viewers see, and what is left behind."""

import pytest
import structlog.testing
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from protocol.amf import amf0
from protocol.flv import TagType, encode_tag
from protocol.rtmp import MediaKind
from splice.http import LAST_CHUNK, chunk
from splice.hub.pull import Pulls
from splice.origins import OriginError
from splice.routing import Origin
from splice.stats import EndReason, Publishers
from tests.splice.hub.pulling import Watching, asking, origin_at, refused_port, relaying
from tests.splice.hub.servers import (
    AUDIO_CONFIGURATION,
    CHUNKED_HEAD,
    KEYFRAME,
    METADATA,
    MISSING,
    OPENING,
    UNTIL_CLOSE_HEAD,
    Connection,
    HttpOrigin,
    HttpScript,
    flv,
    mute,
    plays,
    says,
)


@pytest.fixture(autouse=True)
def _patience(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.003  # the kernel's loopback may need a moment


async def watch_for(pulls: Pulls, origin: Origin, seconds: float) -> None:
    async with pulls.watched(origin, "myapp", "test"):
        await trio.sleep(seconds)


# --- one pull for all ---


async def test_two_viewers_at_the_same_instant_make_one_pull(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying() as pulls, trio.open_nursery() as viewers:
        viewers.start_soon(watch_for, pulls, origin_at(server.port), 2)
        viewers.start_soon(watch_for, pulls, origin_at(server.port), 2)
    assert len(server.connections) == 1


async def test_streams_apps_and_origins_are_pulled_apart(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying() as pulls:
        first = origin_at(server.port)
        second = Origin("b", first.addresses, "", frozenset())
        async with pulls.watched(first, "x", "s") as live:
            await asking(pulls, first, app="x", stream="t")
            await asking(pulls, first, app="y", stream="s")
            await asking(pulls, second, app="x", stream="s")
            assert len(server.connections) == 4
            assert (live.app, live.stream) == ("x", "s")


async def test_the_first_viewer_waits_for_the_first_media_and_gets_all_from_there_on(autojump_clock: MockClock) -> None:
    async def late(connection: Connection) -> None:
        await connection.send(CHUNKED_HEAD + chunk(flv((MediaKind.DATA, 0, METADATA))))
        await trio.sleep(3)
        await connection.send(chunk(b"".join(encode_tag(*message) for message in OPENING[1:])))
        await trio.sleep_forever()

    server = HttpOrigin(late)
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port), "myapp", "test") as live,
    ):
        assert trio.current_time() >= 3
        with Watching(live).present() as watching:
            await trio.sleep(1)
        assert [tag.body for tag in watching.tags] == [body for _, _, body in OPENING]


# --- the end of a pull ---


async def test_the_last_viewers_leaving_ends_the_pull_after_idle_stop_s_and_not_before(
    autojump_clock: MockClock,
) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=10) as pulls:
        async with trio.open_nursery() as viewers:
            viewers.start_soon(watch_for, pulls, origin_at(server.port), 3)
            viewers.start_soon(watch_for, pulls, origin_at(server.port), 6)
        left_at = trio.current_time()
        assert server.open == 1
        await server.connections[0].left.wait()
        assert trio.current_time() - left_at == pytest.approx(10, abs=0.01)
        await wait_all_tasks_blocked()
        assert list(pulls) == []


async def test_a_viewer_who_comes_back_in_time_keeps_the_pull(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=10) as pulls:
        async with pulls.watched(origin_at(server.port), "myapp", "test") as first:
            pass
        await trio.sleep(9)
        async with pulls.watched(origin_at(server.port), "myapp", "test") as second:
            await trio.sleep(9)
        await trio.sleep(9)
        assert second is first
        assert len(server.connections) == server.open == 1


async def test_a_viewer_who_comes_too_late_starts_another_pull(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(idle_stop_s=10) as pulls:
        async with pulls.watched(origin_at(server.port), "myapp", "test") as first:
            pass
        await trio.sleep(10)  # the pull's time is over, and its task may not have run yet
        async with pulls.watched(origin_at(server.port), "myapp", "test") as second:
            await trio.sleep(1)
            assert second is not first
            assert not second.ended.is_set()
            assert len(list(pulls)) == server.open == 1
        assert first.ended.is_set()


async def test_a_viewer_who_leaves_while_the_origin_is_asked_leaves_nothing(autojump_clock: MockClock) -> None:
    server = HttpOrigin(mute())
    async with server.listening(), relaying(idle_stop_s=2) as pulls:
        with trio.move_on_after(1) as impatience:
            await asking(pulls, origin_at(server.port))
        assert impatience.cancelled_caught
        await server.connections[0].left.wait()
        assert trio.current_time() == pytest.approx(3, abs=0.01)


async def test_the_end_of_all_pulls_is_told_to_viewers_who_still_wait(autojump_clock: MockClock) -> None:
    server = HttpOrigin(mute())
    async with server.listening(), trio.open_nursery() as viewers:

        async def viewer(pulls: Pulls) -> None:
            with pytest.raises(OriginError) as caught:
                await asking(pulls, origin_at(server.port))
            assert caught.value.status == 503

        async with relaying() as pulls:
            viewers.start_soon(viewer, pulls)
            await trio.sleep(1)


# --- no stream ---


async def test_a_missing_stream_is_remembered_for_a_second(autojump_clock: MockClock) -> None:
    server = HttpOrigin(says(MISSING))
    async with server.listening(), relaying() as pulls:
        for asked_at in (0.0, 0.0, 0.5, 0.99):
            await trio.sleep_until(asked_at)
            with pytest.raises(OriginError) as caught:
                await asking(pulls, origin_at(server.port))
            assert caught.value.status == 404
        assert len(server.connections) == 1
        await trio.sleep_until(1.5)
        with pytest.raises(OriginError):
            await asking(pulls, origin_at(server.port))
        assert len(server.connections) == 2


async def test_a_crowd_that_asks_for_a_missing_stream_is_one_request(autojump_clock: MockClock) -> None:
    server = HttpOrigin(says(MISSING))
    refused = 0

    async def viewer(pulls: Pulls) -> None:
        nonlocal refused
        with pytest.raises(OriginError):
            await asking(pulls, origin_at(server.port))
        refused += 1

    async with server.listening(), relaying() as pulls:
        async with trio.open_nursery() as viewers:
            for _ in range(100):
                viewers.start_soon(viewer, pulls)
        assert refused == 100
        assert len(server.connections) == 1
        assert list(pulls) == []


async def test_a_viewer_may_wait_for_a_stream_that_is_missing_yet(autojump_clock: MockClock) -> None:
    server = HttpOrigin(says(MISSING), says(MISSING), plays())
    async with server.listening(), relaying() as pulls:
        async with pulls.watched(origin_at(server.port), "myapp", "test", wait_s=20) as live:
            assert not live.ended.is_set()
        assert len(server.connections) == 3


async def test_a_viewer_waits_no_longer_than_wait_s(autojump_clock: MockClock) -> None:
    server = HttpOrigin(says(MISSING))
    async with server.listening(), relaying() as pulls:
        with pytest.raises(OriginError) as caught:
            async with pulls.watched(origin_at(server.port), "myapp", "test", wait_s=5):
                pass
        assert caught.value.status == 404
        assert 5 <= trio.current_time() < 7.5


async def resets(connection: Connection) -> None:
    connection.reset()


WHOLE = flv(*OPENING)
ENCODED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"

NO_STREAM: list[tuple[str, int, HttpScript]] = [
    ("it says 404", 404, says(MISSING)),
    ("it ends before it has begun", 404, says(CHUNKED_HEAD + chunk(flv()) + LAST_CHUNK)),
    ("it says 500", 502, says(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")),
    ("it says 204", 502, says(b"HTTP/1.1 204 No Content\r\n\r\n")),
    ("it redirects", 502, says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")),
    ("it compresses", 502, mute(ENCODED_HEAD)),
    ("it speaks something else", 502, mute(b"SSH-2.0-OpenSSH_9.2\r\n")),
    ("it sends no FLV", 502, mute(UNTIL_CLOSE_HEAD + b"<html>")),
    ("it sends a broken chunk", 502, mute(CHUNKED_HEAD + b"oops\r\n")),
    ("it closes at once", 502, says()),
    ("it closes behind its head", 502, says(UNTIL_CLOSE_HEAD)),
    ("it closes within its first tag", 502, says(UNTIL_CLOSE_HEAD + WHOLE[:30])),
    ("it resets", 502, resets),
    ("it says nothing", 504, mute()),
    ("it says nothing but a head", 504, mute(CHUNKED_HEAD)),
    ("it says nothing but an FLV header", 504, mute(CHUNKED_HEAD + chunk(flv()))),
    ("it sends metadata alone", 504, mute(CHUNKED_HEAD + chunk(flv((MediaKind.DATA, 0, METADATA))))),
]


@pytest.mark.parametrize(("status", "script"), [pytest.param(*rest, id=name) for name, *rest in NO_STREAM])
async def test_an_origin_that_gives_no_stream_has_a_status_and_a_sentence(
    autojump_clock: MockClock, status: int, script: HttpScript
) -> None:
    server = HttpOrigin(script)
    with structlog.testing.capture_logs() as log:
        async with server.listening(), relaying() as pulls:
            with pytest.raises(OriginError) as caught:
                await asking(pulls, origin_at(server.port))
    assert caught.value.status == status
    assert "origin" in caught.value.detail
    assert "127.0.0.1" not in caught.value.detail
    assert str(server.port) not in caught.value.detail
    [end] = [entry for entry in log if entry["event"] == "pull.end"]
    assert (end["reason"], end["origin"], end["app"], end["stream"]) == (EndReason.REFUSED, "a", "myapp", "test")


async def test_an_origin_that_cannot_be_reached_is_a_502(autojump_clock: MockClock) -> None:
    async with relaying() as pulls:
        with pytest.raises(OriginError) as caught:
            await asking(pulls, origin_at(refused_port()))
    assert caught.value.status == 502
    assert "127.0.0.1" not in caught.value.detail


async def test_one_publisher_too_many_is_a_503(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying(publishers=Publishers(limit=1)) as pulls:
        await asking(pulls, origin_at(server.port), stream="first")
        with pytest.raises(OriginError) as caught:
            await asking(pulls, origin_at(server.port), stream="second")
        assert caught.value.status == 503
        assert len(server.connections) == 1


async def test_a_bug_in_one_pull_ends_that_one_alone(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying() as pulls:
        async with pulls.watched(origin_at(server.port), "myapp", "good") as good:
            with structlog.testing.capture_logs() as log:
                async with pulls.watched(origin_at(server.port), "myapp", "bad") as bad:
                    monkeypatch.setattr(bad, "push", None)
                    await bad.ended.wait()
            assert [entry["reason"] for entry in log if entry["event"] == "pull.end"] == [EndReason.ERROR]
            assert [entry["log_level"] for entry in log if entry["event"] == "pull.bug"] == ["error"]
            await trio.sleep(1)
            assert not good.ended.is_set()
        assert server.open == 1


# --- several addresses ---


@pytest.mark.parametrize(
    "first",
    [mute(), mute(CHUNKED_HEAD + chunk(flv((MediaKind.DATA, 0, METADATA)))), mute(b"SSH-2.0"), says(), says(MISSING)],
    ids=["mute", "mute behind metadata", "nonsense", "closing", "missing"],
)
async def test_the_next_address_is_tried_when_one_gives_no_stream(autojump_clock: MockClock, first: HttpScript) -> None:
    server, other = HttpOrigin(first), HttpOrigin(plays())
    async with server.listening(), other.listening(), relaying() as pulls:
        async with pulls.watched(origin_at(server.port, other.port), "myapp", "test") as live:
            assert not live.ended.is_set()
        assert (len(server.connections), len(other.connections)) == (1, 1)
        assert [publisher.peer for _, _, publisher in pulls] == [f"127.0.0.1:{other.port}"]


async def test_the_next_address_is_tried_when_one_refuses(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying() as pulls:
        await asking(pulls, origin_at(refused_port(), server.port))


async def test_a_404_is_the_answer_also_where_another_address_is_down(autojump_clock: MockClock) -> None:
    server = HttpOrigin(says(MISSING))
    async with server.listening(), relaying() as pulls:
        with pytest.raises(OriginError) as caught:
            await asking(pulls, origin_at(server.port, refused_port()))
    assert caught.value.status == 404


# --- what the origin is asked, and how it may answer ---


@pytest.mark.parametrize(
    ("target", "allowed", "line"),
    [
        ("", (), b"GET /live?app=myapp&stream=test HTTP/1.1"),
        ("", (1935,), b"GET /live?port=1935&app=myapp&stream=test HTTP/1.1"),
        ("", (1935, 1936), b"GET /live?app=myapp&stream=test HTTP/1.1"),
        ("/{app}/{stream}.flv", (), b"GET /myapp/test.flv HTTP/1.1"),
        ("/live?port={port}&app={app}&stream={stream}", (1935,), b"GET /live?port=1935&app=myapp&stream=test HTTP/1.1"),
    ],
)
async def test_an_http_origin_is_asked_by_its_target(
    autojump_clock: MockClock, target: str, allowed: tuple[int, ...], line: bytes
) -> None:
    server = HttpOrigin(plays())
    async with server.listening(), relaying() as pulls:
        await asking(pulls, origin_at(server.port, target=target, allowed=allowed))
    assert server.connections[0].head.split(b"\r\n") == [
        line,
        b"Host: 127.0.0.1:%d" % server.port,
        b"Connection: close",
        b"User-Agent: splice/test",
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    "script",
    [
        mute(CHUNKED_HEAD + chunk(WHOLE[:20]) + chunk(WHOLE[20:])),
        mute(UNTIL_CLOSE_HEAD, WHOLE),
        mute(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + WHOLE),
        mute(b"HTTP/1.0 200 OK\r\n\r\n" + WHOLE),
    ],
    ids=["chunked", "until close", "with a length", "HTTP/1.0"],
)
async def test_every_framing_of_a_body_is_read(autojump_clock: MockClock, script: HttpScript) -> None:
    server = HttpOrigin(script)
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port), "myapp", "test") as live,
    ):
        with Watching(live).present() as watching:
            await trio.sleep(0.1)
    assert [tag.body for tag in watching.tags] == [body for _, _, body in OPENING]


async def test_tags_that_no_viewer_could_use_are_left_out_and_faults_that_players_forgive_are_forgiven(
    autojump_clock: MockClock,
) -> None:
    cue = amf0.encode_all(["onCuePoint", 1.0])
    wrong_size = encode_tag(MediaKind.AUDIO, 0, AUDIO_CONFIGURATION)[:-4] + bytes(4)
    body = (
        flv()
        + encode_tag(MediaKind.VIDEO, 0, b"encrypted", filtered=True)
        + encode_tag(31, 0, b"nobody knows")
        + wrong_size
        + encode_tag(TagType.AMF3_SCRIPT, 0, b"\0" + cue)
        + encode_tag(MediaKind.VIDEO, 0, KEYFRAME)
    )
    server = HttpOrigin(mute(UNTIL_CLOSE_HEAD + body))
    async with (
        server.listening(),
        relaying() as pulls,
        pulls.watched(origin_at(server.port), "myapp", "test") as live,
    ):
        with Watching(live).present() as watching:
            await trio.sleep(0.1)
    assert [(tag.type, tag.body) for tag in watching.tags] == [(8, AUDIO_CONFIGURATION), (9, KEYFRAME)]


# --- what is known of a pull ---


async def test_a_pull_is_listed_as_a_publisher_with_its_bytes(autojump_clock: MockClock) -> None:
    server = HttpOrigin(mute(UNTIL_CLOSE_HEAD + WHOLE))
    publishers = Publishers(limit=10)
    async with (
        server.listening(),
        relaying(publishers=publishers) as pulls,
        pulls.watched(origin_at(server.port), "myapp", "test") as live,
    ):
        [(origin, listed, publisher)] = pulls
        assert (origin, listed) == ("a", live)
        assert list(publishers) == [publisher]
        assert publisher.protocol == "http-flv-pull"
        assert (publisher.app, publisher.stream) == ("myapp", "test")
        assert publisher.peer == f"127.0.0.1:{server.port}"
        assert publisher.bytes == sum(len(body) for _, _, body in OPENING)
    assert len(publishers) == 0


async def test_ending_the_publisher_ends_the_pull_and_its_stream(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    with structlog.testing.capture_logs() as log:
        async with (
            server.listening(),
            relaying() as pulls,
            pulls.watched(origin_at(server.port), "myapp", "test") as live,
        ):
            [(_, _, publisher)] = pulls
            publisher.end(EndReason.KICKED)
            await live.ended.wait()
            assert list(pulls) == []
    assert [entry["reason"] for entry in log if entry["event"] == "pull.end"] == [EndReason.KICKED]


async def test_a_pull_that_stops_for_lack_of_viewers_says_so(autojump_clock: MockClock) -> None:
    server = HttpOrigin(plays())
    with structlog.testing.capture_logs() as log:
        async with server.listening(), relaying(idle_stop_s=1) as pulls:
            await asking(pulls, origin_at(server.port))
            await trio.sleep(2)
            events = [entry["event"] for entry in log]
    assert [event for event in events if event in ("pull.start", "pull.end")] == ["pull.start", "pull.end"]
    assert log[-1]["reason"] == EndReason.VIEWER_LEFT
