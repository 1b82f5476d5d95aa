"""WS-FLV out of the hub: the same bytes as by HTTP, control frames between them, and every way to end."""

from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage

from splice.hub import formats
from splice.stats import EndReason
from tests.splice.access.hook_server import open_hook_server
from tests.splice.hub_house import (
    AUDIO_CONFIGURATION,
    VIDEO_CONFIGURATION,
    House,
    RtmpClient,
    audio,
    inter_frame,
    keyframe,
    open_house,
    reset,
)
from tests.splice.websocket_client import LIVE, WebSocketClient, watch

OPENING = [VIDEO_CONFIGURATION, AUDIO_CONFIGURATION, keyframe(), audio()]


async def published(house: House) -> RtmpClient:
    publisher = await house.rtmp().publish()
    await publisher.begin()
    return publisher


async def watched(house: House) -> WebSocketClient:
    """A viewer who has got what everybody begins with."""
    viewer = await watch(house)
    assert await viewer.bodies(len(OPENING)) == OPENING
    return viewer


async def ends(house: House, logs: list[Any], viewer: WebSocketClient) -> tuple[int | None, str]:
    """The close code that the viewer sees, None for a cut connection, and the reason that is logged."""
    closing = await viewer.until_closed()
    await viewer.leave()
    while len(house.viewers):
        await trio.sleep(0.01)
    (end,) = [entry for entry in logs if entry["event"] == "viewer.end"]
    return None if closing is None else closing.code, end["reason"]


# --- the stream ---


async def test_the_messages_hold_the_bytes_that_http_sends(autojump_clock: MockClock) -> None:
    async with open_house(hub={"republish_grace_s": 0, "merge_ms": 20}) as house:
        publisher = await published(house)
        stream = await house.dial_loopback(house.door.serve)
        await stream.send_all(f"GET {LIVE} HTTP/1.0\r\n\r\n".encode())
        viewer = await watch(house)
        for at in range(40, 4000, 40):
            await publisher.video(at, keyframe(bytes(at * 20)) if at % 1000 == 0 else inter_frame(bytes(at)))
            await publisher.audio(at, audio(b"%d" % at))
        await publisher.leave()
        by_http = b"".join([data async for data in stream]).partition(b"\r\n\r\n")[2]
        await viewer.until_closed()
        assert by_http.startswith(b"FLV\x01\x05")
        assert viewer.payload == by_http
        assert viewer.closing is not None


async def test_a_message_is_made_once_however_many_watch(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []

    def counted(payload: bytes) -> bytes:
        made.append(payload)
        return plain(payload)

    plain = formats.binary_message
    monkeypatch.setattr(formats, "binary_message", counted)
    async with open_house() as house:
        publisher = await published(house)
        viewers = [await watched(house) for _ in range(9)]
        made.clear()
        for at in range(40, 440, 40):
            await publisher.video(at, inter_frame(b"%d" % at))
        for viewer in viewers:
            assert await viewer.bodies(10) == [inter_frame(b"%d" % at) for at in range(40, 440, 40)]
        assert len(made) == 10


async def test_packets_that_come_together_are_one_message(autojump_clock: MockClock) -> None:
    async with open_house(hub={"merge_ms": 20}) as house:
        publisher = await published(house)
        viewer = await watched(house)
        before = len(viewer.message_sizes)
        for at in (40, 80, 120):
            await publisher.video(at, inter_frame(b"%d" % at))
        assert await viewer.bodies(3) == [inter_frame(b"40"), inter_frame(b"80"), inter_frame(b"120")]
        assert len(viewer.message_sizes) == before + 1


async def test_a_viewer_who_falls_behind_goes_on_at_a_keyframe_with_whole_messages(autojump_clock: MockClock) -> None:
    async with open_house(hub={"backlog_bytes": 200_000}) as house:
        publisher = await published(house)
        viewer = await watch(house, receive_bytes=4096)
        await viewer.bodies(len(OPENING))
        for at in range(40, 4000, 40):
            await publisher.video(at, inter_frame(bytes(100_000)))
        await publisher.video(4000, keyframe(b"at last"))
        tags = []
        while (tag := await viewer.next_tag()) is not None and tag.body != keyframe(b"at last"):
            tags.append(tag)
        assert tag is not None
        assert len(tags) < 98


# --- control frames ---


async def test_a_ping_is_answered_while_nothing_flows(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await published(house)
        viewer = await watched(house)
        assert await viewer.ping(b"are you there?") == b"are you there?"


async def test_a_pong_goes_between_messages_and_never_into_one(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await published(house)
        viewer = await watch(house, receive_bytes=4096)
        await viewer.bodies(len(OPENING))
        large = [inter_frame(bytes([label]) * 500_000) for label in range(3)]
        for at, body in enumerate(large):
            await publisher.video(40 + at, body)
        await viewer.send(Ping(b"in the middle"))
        await viewer.send(Ping(b"and again"))
        assert await viewer.bodies(3) == large
        while len(viewer.pongs) < 2:
            await viewer.receive()
        assert viewer.pongs == [b"in the middle", b"and again"]


async def test_a_pong_without_a_ping_and_messages_are_dropped(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await published(house)
        viewer = await watched(house)
        for event in (Pong(b"unasked"), TextMessage("what?"), BytesMessage(bytes(60_000))):
            await viewer.send(event)
        assert await viewer.ping(b"still") == b"still"
        await publisher.video(40, inter_frame(b"on"))
        assert await viewer.bodies(1) == [inter_frame(b"on")]


async def test_a_viewer_who_says_more_than_64_kib_is_told_and_goes(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house() as house:
            await published(house)
            viewer = await watched(house)
            for _ in range(9):
                await viewer.send(TextMessage("x" * 8000))
            assert await ends(house, logs, viewer) == (1008, EndReason.VIEWER_LEFT)


async def test_pings_now_and_then_are_answered_for_ever(autojump_clock: MockClock) -> None:
    async with open_house(timeouts={"publish_idle_s": 10_000}) as house:
        await published(house)
        viewer = await watched(house)
        for _ in range(13):
            await trio.sleep(61)
            for _ in range(45):
                assert await viewer.ping(bytes(125)) == bytes(125)


async def test_a_viewer_who_pings_and_pings_goes_and_its_pongs_take_no_memory(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await published(house)
        viewer = await watch(house, receive_bytes=4096)
        await publisher.video(40, inter_frame(bytes(3_000_000)))  # the kernels' buffers are full
        await wait_all_tasks_blocked()
        live = house.hub.find("myapp", "test")
        assert live is not None
        before = live.backlog_bytes
        ping = viewer.protocol.send(Ping(bytes(125)))
        most = 0
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(100_000):
                await viewer.stream.send_all(ping)
                most = max(most, live.backlog_bytes - before)
        assert most <= 65_536 + 8192


# --- ends ---


async def test_the_streams_end_is_a_close_behind_its_last_message(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house(hub={"republish_grace_s": 0}) as house:
            publisher = await published(house)
            viewer = await watched(house)
            await publisher.video(40, inter_frame(b"last"))
            await publisher.leave()
            assert await viewer.bodies(1) == [inter_frame(b"last")]
            assert await ends(house, logs, viewer) == (1000, EndReason.ORIGIN_ENDED)


@pytest.mark.parametrize(("reason", "code"), [(EndReason.DRAINED, 1001), (EndReason.KICKED, 1008)])
async def test_a_viewer_whom_the_door_ends_is_told_why(autojump_clock: MockClock, reason: EndReason, code: int) -> None:
    with capture_logs() as logs:
        async with open_house() as house:
            await published(house)
            viewer = await watched(house)
            house.viewers.end_all(reason)
            assert await ends(house, logs, viewer) == (code, reason)


async def test_a_close_of_the_doors_waits_for_the_message_that_was_begun(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await published(house)
        viewer = await watch(house, receive_bytes=4096)
        await viewer.bodies(len(OPENING))
        await publisher.video(40, inter_frame(bytes(3_000_000)))
        await publisher.video(80, inter_frame(b"not begun"))
        await wait_all_tasks_blocked()
        house.viewers.end_all(EndReason.DRAINED)
        assert await viewer.bodies(1) == [inter_frame(bytes(3_000_000))]
        closing = await viewer.until_closed()
        assert closing is not None
        assert closing.code == 1001


async def test_a_viewer_who_does_not_read_its_close_is_waited_for_a_second(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await published(house)
        viewer = await watch(house, receive_bytes=4096)
        await publisher.video(40, inter_frame(bytes(5_000_000)))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        house.viewers.end_all(EndReason.DRAINED)
        while len(house.viewers):
            await trio.sleep(0.01)
        assert 0.9 < trio.current_time() - began < 1.1
        assert viewer.closing is None


@pytest.mark.parametrize("closing", [CloseConnection(1000), CloseConnection(1001, "left"), CloseConnection(4000)])
async def test_the_viewers_close_is_answered(autojump_clock: MockClock, closing: CloseConnection) -> None:
    with capture_logs() as logs:
        async with open_house() as house:
            await published(house)
            viewer = await watched(house)
            await viewer.send(closing)
            assert await ends(house, logs, viewer) == (closing.code, EndReason.VIEWER_LEFT)


@pytest.mark.parametrize("how", ["fin", "close", "reset"])
async def test_a_viewer_who_goes_without_a_word_is_gone_at_once(autojump_clock: MockClock, how: str) -> None:
    async with open_house() as house:
        await published(house)
        viewer = await watched(house)
        began = trio.current_time()
        if how == "fin":
            await viewer.stream.send_eof()
        elif how == "reset":
            reset(viewer.stream)
        if how != "fin":
            await viewer.leave()
        while len(house.viewers):
            await trio.sleep(0.01)
        assert trio.current_time() - began < 0.1


async def test_a_viewer_who_takes_nothing_is_dropped_after_the_stall(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house(timeouts={"stall_s": 7}) as house:
            publisher = await published(house)
            await watch(house, receive_bytes=4096)
            await publisher.video(40, inter_frame(bytes(5_000_000)))
            await wait_all_tasks_blocked()
            began = trio.current_time()
            while len(house.viewers):
                await trio.sleep(0.1)
            assert 6.9 < trio.current_time() - began < 7.5
    (end,) = [entry for entry in logs if entry["event"] == "viewer.end"]
    assert end["reason"] == EndReason.STALLED


async def test_a_viewer_who_breaks_the_protocol_is_told_and_logged(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house() as house:
            await published(house)
            viewer = await watched(house)
            await viewer.stream.send_all(b"\x81\x05hello")
            assert await ends(house, logs, viewer) == (1002, EndReason.VIEWER_LEFT)
    (broken,) = [entry for entry in logs if entry["event"] == "websocket.broken"]
    assert "mask" in broken["error"]


async def test_a_viewer_waits_for_a_stream_that_is_about_to_begin(autojump_clock: MockClock) -> None:
    async with open_house(hub={"wait_for_stream_s": 10}) as house:
        async with trio.open_nursery() as nursery:

            async def begin() -> None:
                await trio.sleep(3)
                await published(house)

            nursery.start_soon(begin)
            viewer = await watch(house)
        assert await viewer.bodies(len(OPENING)) == OPENING


# --- any bytes ---


def frame_of(event: Ping | Pong | TextMessage | BytesMessage | CloseConnection) -> bytes:
    return Connection(ConnectionType.CLIENT).send(event)


frames = st.one_of(
    st.builds(lambda data: frame_of(Ping(data)), st.binary(max_size=125)),
    st.builds(lambda data: frame_of(Pong(data)), st.binary(max_size=125)),
    st.builds(lambda data: frame_of(BytesMessage(data)), st.binary(max_size=300)),
    st.builds(lambda text: frame_of(TextMessage(text)), st.text(max_size=50)),
    st.builds(lambda code: frame_of(CloseConnection(code)), st.sampled_from([1000, 1001, 3000, 4999])),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=60), frames), max_size=6))
async def test_whatever_a_viewer_says_it_is_closed_cleanly_and_nobody_else_notices(wire: list[bytes]) -> None:
    with capture_logs() as logs:
        async with open_house(hub={"republish_grace_s": 0}) as house:
            publisher = await published(house)
            other = await watched(house)
            viewer = await watched(house)
            for piece in wire:
                try:
                    await viewer.stream.send_all(piece)
                except trio.BrokenResourceError:
                    break
            await publisher.video(40, inter_frame(b"on"))
            assert await other.bodies(1) == [inter_frame(b"on")]
            await publisher.leave()
            closing = await viewer.until_closed()
            assert closing is not None
            assert viewer.payload == other.payload[: len(viewer.payload)]
    assert not [entry for entry in logs if entry["event"] == "connection.bug"]


# --- frames that come before the answer to the handshake, though RFC 6455, 4.1 has clients wait for it ---


async def hasty(house: House, *pieces: bytes) -> WebSocketClient:
    """A viewer whose `pieces` come one by one, the first with its handshake; the handshake was answered since."""
    viewer = WebSocketClient(house.dial(house.door.serve))
    handshake = viewer.protocol.send(Request(host="door", target=LIVE))
    await viewer.stream.send_all(handshake + pieces[0])
    for piece in pieces[1:]:
        await wait_all_tasks_blocked()
        await viewer.stream.send_all(piece)
    while viewer.protocol.state is ConnectionState.CONNECTING and not viewer.ended:
        await viewer.receive()
    return viewer


async def test_a_ping_that_comes_with_the_handshake_gets_its_pong(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await published(house)
        viewer = await hasty(house, frame_of(Ping(b"hasty")))
        assert await viewer.pong() == b"hasty"
        assert await viewer.bodies(len(OPENING)) == OPENING
        assert await viewer.ping(b"in time") == b"in time"


async def test_a_frame_whose_beginning_comes_with_the_handshake_is_one_frame(autojump_clock: MockClock) -> None:
    ping = frame_of(Ping(b"in three"))
    async with open_house(hub={"wait_for_stream_s": 10}) as house, trio.open_nursery() as nursery:

        async def begin() -> None:
            await trio.sleep(3)
            await published(house)

        nursery.start_soon(begin)
        viewer = await hasty(house, ping[:1], ping[1:5], ping[5:])
        assert await viewer.pong() == b"in three"
        assert await viewer.bodies(len(OPENING)) == OPENING


async def test_a_close_that_comes_with_the_handshake_is_answered(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await published(house)
        viewer = await hasty(house, frame_of(CloseConnection(1000)))
        closing = await viewer.until_closed()
        assert closing is not None
        assert closing.code == 1000


async def test_who_says_too_much_before_the_answer_goes_without_one(autojump_clock: MockClock) -> None:
    async with open_house(hub={"wait_for_stream_s": 10}) as house:
        viewer = await hasty(house, *[bytes(8192)] * 9)
        assert viewer.ended
        assert trio.current_time() < 10


async def test_frames_that_come_while_the_operator_is_asked_are_kept_too() -> None:
    async with (
        open_hook_server() as server,
        open_house(hooks={"on_play": server.url}, hub={"republish_grace_s": 0}) as house,
    ):
        await published(house)
        ping = frame_of(Ping(b"hasty"))
        viewer = await hasty(house, ping[:3], ping[3:])
        assert await viewer.pong() == b"hasty"
        await server.all_left(1)
