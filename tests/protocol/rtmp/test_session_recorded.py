"""Recorded conversations of real programs, replayed through the sessions; see vectors/README.md."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import NEED_DATA, RemoteProtocolError
from protocol.rtmp import (
    ClientSession,
    Connected,
    ConnectRequested,
    Event,
    MediaKind,
    MediaMessage,
    PlayRequested,
    PlayStarted,
    PlayStopped,
    PublishRequested,
    PublishStarted,
    PublishStopped,
    Request,
    RtmpUrl,
    ServerSession,
    StreamEnded,
)
from tests.protocol.rtmp.conversation import counted_bytes, drain

VECTORS = Path(__file__).with_name("vectors")
NAMES = sorted(path.name.removesuffix(".client.bin") for path in VECTORS.glob("*.client.bin"))
# A recorded server answers the recorded client's transaction ids; those of ffmpeg and librtmp are ours too.
NAMES_FOR_A_CLIENT = [name for name in NAMES if not name.startswith("gstreamer")]
WHOLE = 1 << 20


def unchanged(data: bytes) -> bytes:
    return data


def recorded_pieces(direction: str, size: int, change: Callable[[bytes], bytes]) -> list[bytes]:
    data = change(VECTORS.joinpath(f"{direction}.bin").read_bytes())
    return [data[start : start + size] for start in range(0, len(data), size)]


def serve(name: str, size: int, change: Callable[[bytes], bytes] = unchanged) -> list[Event]:
    """What a server makes of a recorded client; it accepts everything."""
    session = ServerSession(random_bytes=counted_bytes)
    events: list[Event] = []
    for piece in recorded_pieces(f"{name}.client", size, change):
        session.receive_data(piece)
        while news := drain(session):
            events += news
            if isinstance(news[-1], Request):
                news[-1].accept()
    assert session.data_to_send()
    return events


def visit(name: str, size: int, change: Callable[[bytes], bytes] = unchanged) -> list[Event]:
    """What a client makes of a recorded server."""
    session = ClientSession(RtmpUrl("rtmp", "h", 1935, "live", "test"), random_bytes=counted_bytes)
    events: list[Event] = []
    for piece in recorded_pieces(f"{name}.server", size, change):
        session.receive_data(piece)
        while not isinstance(event := session.next_event(), type(NEED_DATA)):
            events.append(event)  # type: ignore[arg-type]  # PAUSED never comes: nothing here asks for it
            if isinstance(event, Connected):
                assert session.publish() if "-publish-" in name else session.play()
    return events


def media_of(events: list[Event]) -> list[MediaMessage]:
    return [event for event in events if isinstance(event, MediaMessage)]


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_client_asks_for_what_it_asked_then(name: str) -> None:
    events = serve(name, WHOLE)
    connect, request = (event for event in events if isinstance(event, Request))
    assert isinstance(connect, ConnectRequested)
    assert connect.connect.app == "live"
    assert connect.connect.tc_url.endswith("/live")
    if "-publish-" in name:
        assert isinstance(request, PublishRequested)
        assert request.publish.stream == "test"
        assert {message.kind for message in media_of(events)} & {MediaKind.AUDIO, MediaKind.VIDEO}
    else:
        assert isinstance(request, PlayRequested)
        assert request.play.stream == "test"
        assert not media_of(events)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_client_gives_the_same_events_byte_by_byte(name: str) -> None:
    whole = list(map(repr, serve(name, WHOLE)))
    assert list(map(repr, serve(name, 1))) == whole
    assert list(map(repr, serve(name, 1460))) == whole


@pytest.mark.parametrize("name", NAMES_FOR_A_CLIENT)
def test_a_recorded_server_lets_a_client_publish_and_play(name: str) -> None:
    events = visit(name, WHOLE)
    kinds = {type(event) for event in events}
    assert Connected in kinds
    if "-publish-" in name:
        assert PublishStarted in kinds
    else:
        assert PlayStarted in kinds
        assert {message.kind for message in media_of(events)} >= {MediaKind.AUDIO, MediaKind.VIDEO}


@pytest.mark.parametrize("name", NAMES_FOR_A_CLIENT)
def test_a_recorded_server_gives_the_same_events_byte_by_byte(name: str) -> None:
    assert visit(name, 1) == visit(name, WHOLE)


def test_a_publishing_that_ended_is_told_on_both_sides() -> None:
    assert serve("ffmpeg5-publish-nginx-whole", 100)[-1] == PublishStopped(1)
    assert visit("ffmpeg5-publish-nginx-whole", 100)[-1] == StreamEnded(1, "NetStream.Unpublish.Success")


@pytest.mark.parametrize("name", [name for name in NAMES if "-play-" in name])
def test_a_player_that_left_is_told(name: str) -> None:
    assert serve(name, 100)[-1] == PlayStopped(1)


HANDSHAKE_SIZE = 1 + 2 * 1536


@given(
    name=st.sampled_from(NAMES),
    follow=st.sampled_from([serve, visit]),
    places=st.lists(st.integers(0, 2000), min_size=1, max_size=4),
    byte=st.integers(0, 255),
    size=st.sampled_from([97, WHOLE]),
)
def test_damaged_recordings_break_or_are_understood(
    name: str, follow: Callable[..., list[Event]], places: list[int], byte: int, size: int
) -> None:
    def damage(data: bytes) -> bytes:
        damaged = bytearray(data)
        for place in places:
            damaged[(HANDSHAKE_SIZE + place) % len(damaged)] = byte
        return bytes(damaged)

    try:
        follow(name, size, damage)
    except RemoteProtocolError as error:
        assert error.spec
