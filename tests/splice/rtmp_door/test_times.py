"""The RTMP door's patience: how long a client may do nothing, and what becomes of a name whose publisher is silent."""

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from protocol.rtmp import (
    ClientHandshake,
    ClientState,
    Code,
    MediaKind,
    MediaMessage,
    PingRequest,
    PublishStarted,
    Refused,
    StreamEnded,
)
from tests.splice.hub_house import House, RtmpClient, audio, inter_frame, keyframe, open_house


async def closed_after(client: RtmpClient) -> float:
    """Seconds until the door closes a connection on which the client answers, and asks for nothing."""
    began_at = trio.current_time()
    await client.last_event()
    return trio.current_time() - began_at


# --- from accept to publish or play ---


@pytest.mark.parametrize("sent", [b"", b"\x03", b"\x03" + bytes(1000), b"\x03" + bytes(1536)])
async def test_a_handshake_that_stops_is_given_head_s(autojump_clock: MockClock, sent: bytes) -> None:
    async with open_house(timeouts={"head_s": 3}) as house:
        stream = house.dial(house.rtmp_door.serve)
        if sent:
            await stream.send_all(sent)
        while await stream.receive_some():
            pass
        assert trio.current_time() == pytest.approx(3, abs=0.01)


async def test_a_client_that_connects_and_asks_for_nothing_is_given_head_s_in_all(autojump_clock: MockClock) -> None:
    async with open_house(timeouts={"head_s": 3}) as house:
        client = house.rtmp()
        await trio.sleep(2)
        await client.connect()
        assert await closed_after(client) == pytest.approx(1, abs=0.01)


async def test_a_client_that_publishes_or_plays_is_held_to_it_no_longer(autojump_clock: MockClock) -> None:
    async with open_house(timeouts={"head_s": 3}) as house:
        publisher = await house.rtmp().publish()
        player = await house.rtmp().play()
        await trio.sleep(10)
        await publisher.begin()
        await player.media_with(keyframe())


async def test_one_byte_a_second_buys_no_time(autojump_clock: MockClock) -> None:
    handshake = ClientHandshake(random_bytes=bytes).data_to_send()
    async with open_house(timeouts={"head_s": 3}) as house:
        stream = house.dial(house.rtmp_door.serve)
        with pytest.raises(trio.BrokenResourceError):
            for octet in handshake:
                await stream.send_all(bytes([octet]))
                await trio.sleep(1)
        assert trio.current_time() <= 5


async def test_connections_that_do_nothing_have_a_limit_and_those_that_do_something_do_not_count(
    autojump_clock: MockClock,
) -> None:
    async with open_house(limits={"rtmp_pending": 2}) as house:
        publisher = await house.rtmp().publish()
        idle = [await house.rtmp().connect() for _ in range(2)]
        assert house.rtmp_door.pending == 2
        with capture_logs() as logs:
            assert await house.rtmp().last_event() is None
        assert [event["event"] for event in logs] == ["rtmp.refused"]
        await publisher.begin()
        await idle[0].leave()
        await wait_all_tasks_blocked()
        player = await house.rtmp().play()
        await player.media_with(keyframe())


async def test_a_thousand_half_open_handshakes_are_held_at_bay_while_others_are_served(
    autojump_clock: MockClock,
) -> None:
    async with open_house(limits={"rtmp_pending": 300}, timeouts={"head_s": 10}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        player = await house.rtmp().play()
        for _ in range(350):
            await house.dial(house.rtmp_door.serve).send_all(b"\x03" + bytes(700))
        await wait_all_tasks_blocked()
        assert house.rtmp_door.pending == 300
        await publisher.video(40, inter_frame(b"served"))
        await player.media_with(inter_frame(b"served"))
        await publisher.video(80, inter_frame())
        await trio.sleep(10.1)
        assert house.rtmp_door.pending == 0
        await house.rtmp().play()


# --- a publisher that sends nothing ---


async def test_a_publisher_without_media_is_let_go_after_publish_idle_s(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house(timeouts={"publish_idle_s": 4}) as house:
            publisher = await house.rtmp().publish()
            await trio.sleep(3)
            await publisher.begin()
            assert await closed_after(publisher) == pytest.approx(4, abs=0.01)
    (end,) = [event for event in logs if event["event"] == "publisher.end"]
    assert end["reason"] == "stalled"


async def test_pings_are_no_media(autojump_clock: MockClock) -> None:
    async with open_house(timeouts={"publish_idle_s": 4}) as house:
        publisher = await house.rtmp().publish()
        with trio.move_on_after(20):
            while len(house.publishers):
                await publisher.send(publisher.session.send(PingRequest(1)))
                await trio.sleep(0.5)
        assert trio.current_time() == pytest.approx(4, abs=0.6)


# --- takeover ---


async def refused_to_publish(house: House) -> Refused:
    client = await house.rtmp().connect()
    await client.send(client.session.publish())
    refused = await client.last_event()
    assert isinstance(refused, Refused)
    return refused


async def test_a_name_whose_publisher_was_heard_of_lately_is_taken(autojump_clock: MockClock) -> None:
    async with open_house(hub={"takeover_s": 2}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        await trio.sleep(1.9)
        assert (await refused_to_publish(house)).code == Code.PUBLISH_BAD_NAME


async def test_a_publisher_who_has_been_silent_loses_its_name_and_its_viewers_stay(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house(hub={"takeover_s": 2}) as house:
            silent = await house.rtmp().publish()
            await silent.begin(1000)
            player, viewer = await house.rtmp().play(), await house.http()
            await trio.sleep(2.1)
            publisher = await house.rtmp().publish()
            await publisher.begin(5_000_000, b"after")
            played = await player.media_with(keyframe(b"after"))
            watched = await viewer.tag_with(keyframe(b"after"))
            await silent.last_event()
            assert len(house.publishers) == 1
            assert len(house.viewers) == 2
    assert 0 < played.timestamp < 1000
    assert watched.timestamp == played.timestamp
    ends = [event for event in logs if event["event"] == "publisher.end"]
    assert ends[0]["reason"] == "replaced"


async def test_who_has_just_taken_a_name_over_is_not_taken_for_silent(autojump_clock: MockClock) -> None:
    # The stream's last packet is the one before: the new publisher has not had the time to send any.
    async with open_house(hub={"takeover_s": 2}) as house:
        silent = await house.rtmp().publish()
        await silent.begin()
        await trio.sleep(2.1)
        await house.rtmp().publish()
        assert (await refused_to_publish(house)).code == Code.PUBLISH_BAD_NAME


async def test_who_publishes_again_after_a_gap_is_not_taken_for_silent(autojump_clock: MockClock) -> None:
    async with open_house(hub={"takeover_s": 2}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        await publisher.leave()
        await trio.sleep(5)
        await house.rtmp().publish()
        assert (await refused_to_publish(house)).code == Code.PUBLISH_BAD_NAME


async def test_what_the_replaced_publisher_still_sends_goes_nowhere(autojump_clock: MockClock) -> None:
    async with open_house(hub={"takeover_s": 2}) as house:
        silent = await house.rtmp().publish()
        await silent.begin()
        await trio.sleep(2.1)
        publisher = await house.rtmp().publish()
        await silent.video(3000, keyframe(b"of the past"))
        await publisher.begin(label=b"of the present")
        player = await house.rtmp().play()
        heard = []
        while not heard or heard[-1] != audio(b"of the present"):
            heard.append((await player.next_media()).payload)
        assert keyframe(b"of the past") not in heard


# --- coming back ---


@pytest.mark.parametrize("said", [True, False])
async def test_the_name_of_a_publisher_who_has_gone_is_free_at_once(autojump_clock: MockClock, said: bool) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        if said:
            await publisher.send(publisher.session.close_stream())
            await publisher.last_event()
        else:
            await publisher.leave()
            await wait_all_tasks_blocked()
        await house.rtmp().publish()
        assert trio.current_time() < 2


async def test_a_publisher_who_comes_back_in_time_keeps_its_viewers_and_goes_on_with_their_clock(
    autojump_clock: MockClock,
) -> None:
    async with open_house(hub={"republish_grace_s": 10}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        await publisher.video(5000, keyframe(b"last"))
        player, viewer = await house.rtmp().play(), await house.http()
        await player.media_with(keyframe(b"last"))
        await viewer.tag_with(keyframe(b"last"))
        await publisher.leave()
        await trio.sleep(9)
        publisher = await house.rtmp().publish()
        await publisher.begin(label=b"back")
        heard: list[MediaMessage] = []
        while not heard or heard[-1].payload != keyframe(b"back"):
            heard.append(await player.next_media())
        tag = await viewer.tag_with(keyframe(b"back"))
    assert [message.timestamp >= 5000 for message in heard] == [True] * len(heard)
    assert heard[-1].timestamp < 5200
    assert tag.timestamp == heard[-1].timestamp


async def test_viewers_who_come_in_the_gap_wait_with_the_others(autojump_clock: MockClock) -> None:
    async with open_house(hub={"republish_grace_s": 10}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        await publisher.leave()
        await trio.sleep(5)
        player, viewer = await house.rtmp().play(), await house.http()
        publisher = await house.rtmp().publish()
        await publisher.begin(label=b"back")
        await player.media_with(keyframe(b"back"))
        await viewer.tag_with(keyframe(b"back"))


async def test_after_the_grace_everyone_is_told_that_it_is_over(autojump_clock: MockClock) -> None:
    async with open_house(hub={"republish_grace_s": 10}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin(label=b"last")
        player = await house.rtmp().play()
        viewer, old_viewer = await house.http(), await house.http(version="1.0")
        await publisher.leave()
        assert (await player.until(StreamEnded)).code == Code.PLAY_UNPUBLISH_NOTIFY
        assert trio.current_time() == pytest.approx(10, abs=0.1)
        for each in (viewer, old_viewer):
            last = await each.last_tag()
            assert last is not None
            assert last.body == audio(b"last")
            assert each.whole
        assert (await house.http()).head.status == 404


async def test_no_grace_is_no_grace(autojump_clock: MockClock) -> None:
    async with open_house(hub={"republish_grace_s": 0}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        viewer = await house.http()
        await publisher.leave()
        await viewer.last_tag()
        assert viewer.whole
        assert trio.current_time() < 1
        assert (await house.http()).head.status == 404


async def test_a_stream_that_ends_without_a_packet_ends_for_those_who_waited_for_one(autojump_clock: MockClock) -> None:
    async with open_house(hub={"republish_grace_s": 3}) as house:
        publisher = await house.rtmp().publish()
        viewer, old_viewer = await house.http(), await house.http(version="1.0")
        player = await house.rtmp().play()
        await publisher.leave()
        for each in (viewer, old_viewer):
            assert await each.next_tag() is None
            assert each.whole
        assert (await player.until(StreamEnded)).code == Code.PLAY_UNPUBLISH_NOTIFY


# --- a player who waits ---


async def test_a_player_may_wait_for_a_stream_that_is_about_to_come(autojump_clock: MockClock) -> None:
    async with open_house(hub={"wait_for_stream_s": 5}) as house:
        async with trio.open_nursery() as nursery:
            player = house.rtmp()
            nursery.start_soon(player.play)
            await trio.sleep(3)
            publisher = await house.rtmp().publish()
        await publisher.begin()
        await player.media_with(keyframe())
        assert trio.current_time() < 4


async def test_a_player_who_leaves_while_it_waits_is_gone_at_once(autojump_clock: MockClock) -> None:
    async with open_house(hub={"wait_for_stream_s": 60}) as house:
        player = await house.rtmp().connect()
        await player.send(player.session.play())
        with trio.move_on_after(1):  # to send the play itself behind createStream's result
            await player.next_event()
        assert len(house.viewers) == 1
        await player.leave()
        await trio.sleep(0.1)
        assert len(house.viewers) == 0


@pytest.mark.parametrize("attempt", range(8))
async def test_a_word_of_the_silent_one_in_the_very_turn_of_the_takeover_goes_nowhere(
    autojump_clock: MockClock, attempt: int
) -> None:
    # Trio shuffles the tasks of a turn: in half of the attempts the silent one is heard first, and keeps its name.
    async with open_house(hub={"takeover_s": 2}) as house:
        silent = await house.rtmp().publish()
        await silent.begin()
        player = await house.rtmp().play()
        await player.media_with(audio())
        await trio.sleep(2.1)
        other = await house.rtmp().connect()
        await other.send(other.session.publish())
        for _ in range(3):  # releaseStream, FCPublish, createStream are answered; publish is what comes next
            other.session.receive_data(await other.stream.receive_some())
            other.session.next_event()
            if other.session.state is ClientState.STARTING:
                break
        both = other.session.data_to_send(), silent.session.send_media(MediaKind.VIDEO, 3000, keyframe(b"of the past"))
        for client, data in zip((other, silent), both, strict=True):
            assert client.stream.socket._sock.send(data) == len(data)
        if isinstance(await other.until(PublishStarted | Refused), Refused):
            return
        await other.begin(label=b"of the present")
        heard = []
        while not heard or heard[-1] != audio(b"of the present"):
            heard.append((await player.next_media()).payload)
        assert keyframe(b"of the past") not in heard


async def test_a_player_who_stops_in_the_very_turn_in_which_its_stream_ends_is_no_bug(
    autojump_clock: MockClock,
) -> None:
    with capture_logs() as logs:
        async with open_house(hub={"republish_grace_s": 5}) as house:
            publisher = await house.rtmp().publish()
            player = await house.rtmp().play()
            await publisher.leave()
            await wait_all_tasks_blocked()
            await trio.sleep(5)  # and the stream's grace ends in the same turn of the loop
            await player.send(player.session.close_stream())
            await player.last_event()
    assert not [event for event in logs if event["log_level"] in ("warning", "error")]
