"""The probe plays from any server, says what came and how, and ends with the status that scripts rely on."""

import functools
import json
import math
import re
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
import trustme
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Pong, Request

import splice.tools.probe as probe_tool
from protocol import Timestamp
from protocol.flv import FlvFault, Tag, TagType, encode_tag
from splice.demo import DemoOrigin
from splice.http import LAST_CHUNK, chunk, problem_answer
from splice.tools.live_url import LiveUrl
from splice.tools.probe import Measurement, main, probe
from tests.splice.hub.servers import (
    CHUNKED_HEAD,
    KEYFRAME,
    OPENING,
    HttpOrigin,
    RtmpServer,
    Server,
    flv,
    mute,
    plays,
    plays_rtmp,
    says,
    silent_rtmp,
)

Report = dict[str, Any]


@asynccontextmanager
async def playing(server: Server) -> AsyncIterator[str]:
    """The server's authority, while it listens."""
    async with server.listening():
        yield f"127.0.0.1:{server.port}"


async def probed(url: str, seconds: float = 5) -> Report:
    return await probe(LiveUrl.parse(url), seconds=seconds)


# --- what it says of a stream ---


async def test_the_demos_clip_is_described_to_the_last_figure(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(DemoOrigin().serve)
        report = await probed(f"http://127.0.0.1:{port}/live?app=demo&stream=clock", seconds=4)
        nursery.cancel_scope.cancel()
    video, audio = report["video"], report["audio"]
    assert (video["codec"], video["width"], video["height"]) == ("avc1.4d401f", 640, 360)
    assert (video["frame_rate"], video["keyframe_interval_ms"]) == (25.0, 1000)
    assert (audio["codec"], audio["sample_rate"], audio["channels"]) == ("mp4a.40.2", 48000, 1)
    assert 50 < video["bit_rate_kbps"] < 500
    assert report["seconds"] == pytest.approx(4, abs=0.1)
    assert report["jitter_ms"]["p99"] <= 5
    assert report["faults"] == []
    assert (report["protocol"], report["end"], report["detail"]) == ("http-flv", "time_up", None)


async def test_an_rtmp_servers_stream_is_played_and_its_end_is_seen(autojump_clock: trio.testing.MockClock) -> None:
    server = RtmpServer(plays_rtmp(3, ends=True))
    async with playing(server) as authority:
        report = await probed(f"rtmp://{authority}/myapp/test?key=secret")
        assert (server.connections[0].app, server.connections[0].name) == ("myapp", "test?key=secret")
    assert (report["protocol"], report["end"]) == ("rtmp", "stream_ended")
    assert report["video"]["frames"] == 7
    assert report["video"]["keyframe_interval_ms"] == 500
    assert "secret" not in json.dumps(report)


async def test_the_first_byte_and_the_first_keyframe_have_their_own_times(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def slow(connection: Any) -> None:
        await trio.sleep(1)
        await connection.send(CHUNKED_HEAD)
        await trio.sleep(1)
        await connection.send(chunk(flv(*OPENING[:2])))
        await trio.sleep(2)
        await connection.send(chunk(encode_tag(TagType.VIDEO, 0, KEYFRAME)) + LAST_CHUNK)

    async with playing(HttpOrigin(slow)) as authority:
        report = await probed(f"http://{authority}/live")
    assert report["first_byte_ms"] == pytest.approx(2000, abs=50)
    assert report["first_keyframe_ms"] == pytest.approx(4000, abs=50)
    assert report["end"] == "stream_ended"


def video_tag(timestamp: int, body: bytes = KEYFRAME) -> Tag:
    return Tag(TagType.VIDEO, Timestamp(timestamp % 2**32), body)


def test_jitter_is_how_late_frames_are_behind_the_promptest_and_the_opening_burst_does_not_count() -> None:
    measurement = Measurement(started_at=100.0)
    for frame in range(25):  # a second that was kept for those who join
        measurement.add(video_tag(-1000 + frame * 40), 101.0)
    for frame in range(200):
        late = 0.3 if frame == 150 else 0.03 if frame % 3 == 0 else 0.0
        measurement.add(video_tag(frame * 40), 101.0 + frame * 0.04 + late)
    assert measurement.as_json(None)["jitter_ms"] == {"p50": 0, "p99": 30}


def test_a_stream_that_only_burst_has_no_jitter() -> None:
    measurement = Measurement(started_at=0.0)
    measurement.add(video_tag(0), 1.0)
    assert measurement.as_json(None)["jitter_ms"] is None


def test_faults_name_timestamps_that_jump_bodies_that_cannot_be_read_and_broken_tags() -> None:
    measurement = Measurement(started_at=0.0)
    measurement.add(video_tag(1000), 0.0)
    measurement.add(video_tag(900), 0.1)
    measurement.add(video_tag(1040, b"\x17"), 0.2)
    measurement.add(FlvFault(77, "PreviousTagSize is 0, not 20", "FLV 10.1, E.3"), 0.3)
    back, cut, wrong_size = measurement.as_json(None)["faults"]
    assert back["message"] == "video track 0 goes back 100 ms, to 900 ms"
    assert cut["offset"] == 2 * len(KEYFRAME)
    assert wrong_size == {"offset": 77, "message": "PreviousTagSize is 0, not 20"}


# --- WS-FLV ---


class WebSocketServer(Server):
    """Accepts one handshake after another, and says `answers` in each connection."""

    def __init__(self, *answers: Event) -> None:
        self.connections: list[trio.SocketStream] = []
        self.answers = answers
        self.heard: list[Event] = []

    async def _converse(self, stream: trio.SocketStream) -> None:
        self.connections.append(stream)
        session = WSConnection(ConnectionType.SERVER)
        while data := await stream.receive_some():
            session.receive_data(data)
            for event in session.events():
                self.heard.append(event)
                if isinstance(event, Request):
                    await stream.send_all(b"".join(map(session.send, (AcceptConnection(), *self.answers))))


async def test_ws_flv_is_played_from_messages_cut_anywhere_and_pings_are_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stream = flv(*OPENING, *[(TagType.VIDEO, frame * 40, KEYFRAME) for frame in range(1, 26)])
    messages = [BytesMessage(stream[at : at + 100]) for at in range(0, len(stream), 100)]
    server = WebSocketServer(Ping(b"there?"), *messages, CloseConnection(1000, "the stream has ended"))
    async with playing(server) as authority:
        report = await probed(f"ws://{authority}/live?app=myapp&stream=test")
        assert Pong(b"there?") in server.heard
        assert isinstance(server.heard[0], Request)
        assert (server.heard[0].host, server.heard[0].target) == (authority, "/live?app=myapp&stream=test")
    assert (report["protocol"], report["end"]) == ("ws-flv", "stream_ended")
    assert (report["video"]["frames"], report["video"]["frame_rate"]) == (26, 25.0)


async def test_ws_flv_that_closes_with_an_error_says_which(autojump_clock: trio.testing.MockClock) -> None:
    server = WebSocketServer(BytesMessage(flv(*OPENING)), CloseConnection(1011, "the origin's connection was lost"))
    async with playing(server) as authority:
        report = await probed(f"ws://{authority}/live")
    assert report["video"]["frames"] == 1
    assert (report["end"], report["detail"]) == ("lost", "the server closed: 1011 the origin's connection was lost")


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_a_refusal_is_told_in_the_servers_own_sentence(
    scheme: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with playing(HttpOrigin(says(problem_answer(404, "No origin has this name.").encode()))) as authority:
        report = await probed(f"{scheme}://{authority}/live?src=a")
    assert (report["end"], report["detail"]) == ("refused", "the server answers 404: No origin has this name.")
    assert report["video"] is report["audio"] is report["first_byte_ms"] is None


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("answer", "end", "detail"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: /else\r\n\r\n", "refused", "the server answers 302: it redirects to /else"),
        (b"HTTP/1.1 500 Oh\r\n\r\nout of order\nsince May", "refused", "the server answers 500: out of order"),
        (b"HTTP/1.1 500 Oh\r\n\r\n<html><body>500", "refused", "the server answers 500"),
        (b"HTTP/1.1 500 Oh\r\n\r\n[]", "refused", "the server answers 500"),
        (b"\x03\x00\x00\x00", "lost", "the server's answer is malformed: it does not begin with HTTP/"),
        (b"", "lost", "the server closed the connection without a whole answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "lost", "what comes cannot be read: this is no FLV"),
        (CHUNKED_HEAD + b"5\r\nFLV", "lost", "the server closed the connection before the end of its body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "stream_ended", "the server ended it before any media came"),
    ],
)
async def test_an_http_answer_that_is_no_stream(
    answer: bytes, end: str, detail: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with playing(HttpOrigin(says(answer))) as authority:
        report = await probed(f"http://{authority}/live")
    assert report["end"] == end
    assert report["detail"].startswith(detail)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\x03\x00\x00\x00 nonsense\r\n\r\n"])
async def test_a_server_that_speaks_no_websocket(answer: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with playing(HttpOrigin(says(answer))) as authority:
        report = await probed(f"ws://{authority}/live")
    assert report["end"] in ("refused", "lost")
    assert report["detail"]


async def test_an_rtmp_server_that_refuses_is_quoted(autojump_clock: trio.testing.MockClock) -> None:
    server = RtmpServer(silent_rtmp, refuse={"play": "NetStream.Play.StreamNotFound"})
    async with playing(server) as authority:
        report = await probed(f"rtmp://{authority}/myapp/test")
    assert report["end"] == "refused"
    assert report["detail"] == ("the server refuses play: NetStream.Play.StreamNotFound: Go to 127.0.0.1 instead.")


async def test_a_server_that_closes_in_the_middle_of_rtmp(autojump_clock: trio.testing.MockClock) -> None:
    async with playing(RtmpServer(plays_rtmp(1))) as authority:
        report = await probed(f"rtmp://{authority}/myapp/test")
    assert (report["end"], report["detail"]) == ("lost", "the server closed the connection")
    assert report["video"]["frames"] == 3


async def test_a_server_that_breaks_rtmp(autojump_clock: trio.testing.MockClock) -> None:
    async with playing(HttpOrigin(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), awaits_head=False)) as authority:
        report = await probed(f"rtmp://{authority}/myapp/test")
    assert report["end"] == "lost"
    assert "breaks RTMP" in report["detail"]


async def test_a_silent_server_is_given_fifteen_seconds(autojump_clock: trio.testing.MockClock) -> None:
    async with playing(HttpOrigin(mute(CHUNKED_HEAD))) as authority:
        began = trio.current_time()
        report = await probed(f"http://{authority}/live", seconds=1)
        assert trio.current_time() - began == pytest.approx(15, abs=0.1)
    assert report["end"] == "silent"
    assert report["detail"] == "no media came in 15 s; check that the stream's encoder is running"


async def test_tls_towards_a_server_without_it(autojump_clock: trio.testing.MockClock) -> None:
    async with playing(HttpOrigin(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), awaits_head=False)) as authority:
        report = await probed(f"https://{authority}/live")
    assert report["end"] == "lost"
    assert re.fullmatch(rf"{re.escape(authority)} and we do not agree on TLS: [a-z0-9 ]+", report["detail"])


async def test_a_certificate_that_nobody_vouches_for_is_taken_unseen_or_not_at_all() -> None:
    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        async with stream:
            try:
                await stream.receive_some()
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            except trio.BrokenResourceError:
                pass  # how the client that does not trust it leaves

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with trio.open_nursery() as nursery:
        serving = functools.partial(trio.serve_ssl_over_tcp, answer, 0, context, host="127.0.0.1")
        listeners = await nursery.start(serving)
        authority = f"127.0.0.1:{listeners[0].transport_listener.socket.getsockname()[1]}"
        url = LiveUrl.parse(f"https://{authority}/live")
        trusting, unseen = [await probe(url, seconds=1, any_certificate=unseen) for unseen in (False, True)]
        nursery.cancel_scope.cancel()
    assert trusting["detail"].startswith(f"the certificate of {authority} is not trusted here: ")
    assert trusting["detail"].endswith("; --insecure takes any")
    assert unseen["end"] == "stream_ended"


async def test_a_port_where_nothing_listens() -> None:
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))  # and not listened on
        authority = f"127.0.0.1:{taken.getsockname()[1]}"
        report = await probed(f"rtmp://{authority}/myapp/test")
    assert (report["end"], report["detail"]) == ("lost", f"nothing accepts connections at {authority}")


async def test_an_interrupt_ends_it_with_what_was_seen_so_far(autojump_clock: trio.testing.MockClock) -> None:
    interrupted = trio.Event()

    async def interrupt() -> None:
        await trio.sleep(2.2)
        interrupted.set()

    server = HttpOrigin(plays())
    async with playing(server) as authority, trio.open_nursery() as nursery:
        nursery.start_soon(interrupt)
        url = LiveUrl.parse(f"http://{authority}/live")
        report = await probe(url, seconds=1000, interrupted=interrupted)
        await trio.testing.wait_all_tasks_blocked()
        assert server.open == 0
    assert (report["end"], report["video"]["frames"]) == ("interrupted", 5)


async def test_a_cancelled_probe_has_closed_its_connection(autojump_clock: trio.testing.MockClock) -> None:
    server = RtmpServer(plays_rtmp())
    async with playing(server) as authority:
        with trio.move_on_after(2):
            await probed(f"rtmp://{authority}/myapp/test", seconds=math.inf)
        await trio.testing.wait_all_tasks_blocked()
        assert server.open == 0


# --- URLs ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h/live?a=b c#there", ("http-flv", False, "h", 80, "h", "/live?a=b%20c")),
        ("https://h:8443/%7Ea.flv", ("http-flv", True, "h", 8443, "h:8443", "/%7Ea.flv")),
        ("ws://[::1]:81", ("ws-flv", False, "::1", 81, "[::1]:81", "/")),
        ("wss://H?app=a", ("ws-flv", True, "h", 443, "h", "/?app=a")),
        ("rtmps://h/app/stream", ("rtmp", True, "h", 443, "", "")),
    ],
)
def test_a_url_says_where_and_how(text: str, expected: tuple[object, ...]) -> None:
    assert LiveUrl.parse(text)[:6] == expected


def test_a_report_shows_no_signature() -> None:
    shown = LiveUrl.parse("http://h/live?src=a&app=my/app&stream=x&kid=1&exp=5&sig=abc").shown
    assert shown == "http://h/live?src=a&app=my/app&stream=x&kid=***&exp=***&sig=***"


@pytest.mark.parametrize(
    "text",
    ["", "h/live", "ftp://h/x", "http:///live", "http://me:pw@h/x", "http://h:99999/x", "http://é/x", "rtmp://h/app"],
)
def test_what_is_no_live_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        LiveUrl.parse(text)


# --- the command ---


async def test_the_command_prints_one_json_object_and_ends_with_0_where_media_came() -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(DemoOrigin().serve)
        url = f"http://127.0.0.1:{port}/live?app=demo&stream=clock"
        command = [sys.executable, "-m", "splice", "probe", url, "--seconds", "0.2", "--json"]
        done = await trio.run_process(command, capture_stdout=True)
        nursery.cancel_scope.cancel()
    report = json.loads(done.stdout)
    assert (report["url"], report["video"]["width"]) == (url, 640)


REPORT: Report = {
    "url": "http://h/live",
    "protocol": "http-flv",
    "first_byte_ms": 12,
    "first_keyframe_ms": 14,
    "seconds": 5.0,
    "bytes": 1000,
    "tags": 300,
    "duration_ms": 5000,
    "video": {
        "codec": "avc1.4d401f",
        "width": 640,
        "height": 360,
        "frames": 125,
        "frame_rate": 29.97,
        "keyframe_interval_ms": 2000,
        "bit_rate_kbps": 1200.55,
    },
    "audio": {"codec": None, "sample_rate": None, "channels": 1, "frames": 9, "bit_rate_kbps": None},
    "faults": [{"offset": n, "message": f"fault {n}"} for n in range(7)],
    "jitter_ms": {"p50": 3, "p99": 21},
    "end": "time_up",
    "detail": None,
}


def answering(report: Report) -> Callable[..., Any]:
    async def stub(*_arguments: object, **_options: object) -> Report:
        return report

    return stub


def test_the_text_is_a_table_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(probe_tool, "probe", answering(REPORT))
    assert main(["http://h/live"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "url             http://h/live",
        "protocol        http-flv",
        "first byte      after 12 ms",
        "first keyframe  after 14 ms",
        "video           avc1.4d401f, 640x360, 29.97 frames/s, 1201 kbit/s, a keyframe every 2000 ms",
        "audio           unknown codec, 1 channel",
        "jitter          p50 3 ms, p99 21 ms",
        "received        1000 bytes in 5 s, 5000 ms of media",
        "faults          fault 0; fault 1; fault 2; fault 3; fault 4",
        "                and 2 more (--json lists them)",
        "end             time up",
    ]


def test_a_refusal_ends_with_1_and_no_escape_sequence_reaches_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = dict.fromkeys(("first_byte_ms", "first_keyframe_ms", "video", "audio", "jitter_ms"))
    refused = REPORT | nothing | {"tags": 0, "end": "refused", "detail": "the server answers 404: \x1b[31mno"}
    monkeypatch.setattr(probe_tool, "probe", answering(refused))
    assert main(["http://h/live"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "url             http://h/live",
        "protocol        http-flv",
        "end             refused: the server answers 404: ?[31mno",
    ]


FORM = "a live URL is http://HOST[:PORT]/..., without a user, PORT 1 to 65535, and IPv6 in brackets"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the following arguments are required: URL; see splice probe --help"),
        (["--jsno"], "there is no --jsno; did you mean --json?"),
        (["--secnds", "3", "http://h/"], "there is no --secnds; did you mean --seconds?"),
        (["ftp://h/x"], "a live URL begins with http://, https://, ws://, wss://, rtmp:// or rtmps://"),
        (["http://h/", "--seconds"], "--seconds takes a value: --seconds N; see splice probe --help"),
        (
            ["http://h/", "--seconds", "0"],
            "--seconds: takes a number above 0 and at most 86400, not '0'; see splice probe --help",
        ),
        (
            ["http://h/", "--seconds", "soon"],
            "--seconds: takes a number above 0 and at most 86400, not 'soon'; see splice probe --help",
        ),
        (["http://h/", "http://me:secret@h/"], "'http://me:***@h/' is an argument too many; see splice probe --help"),
        (["http://"], FORM),
        (["http://h:0/"], FORM),
        (["http://h:70000/"], FORM),
        (["http://h:port/"], FORM),
        (["http://[::1/"], FORM),
        (["http://me:secret@h/"], FORM),
        (["rtmp://h:70000/a/b"], "port 70000 is outside 1 to 65535"),
        (["rtmp://h/a"], "the URL ends at the application; play needs rtmp://host/app/stream"),
        (["http://a..b/"], "'a..b' is not a host name or an address"),
        (["rtmp://a..b/c/d"], "'a..b' is not a host name or an address"),
    ],
)
def test_a_usage_error_ends_with_2_and_one_sentence(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"splice probe: {says}\n")
