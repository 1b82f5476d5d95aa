"""The RTMP door and those who keep to the rules: publishing, playing, pausing, and refusals with their sentences."""

import os

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from protocol.amf import amf0
from protocol.flv import decode_script_data
from protocol.rtmp import (
    ClientSession,
    Code,
    Command,
    MediaKind,
    MessageReceived,
    Refused,
    RtmpUrl,
    Status,
    StreamEnded,
    StreamEof,
)
from tests.splice.hub_house import (
    AUDIO_CONFIGURATION,
    VIDEO_CONFIGURATION,
    RtmpClient,
    audio,
    inter_frame,
    keyframe,
    open_house,
)


async def refusal_of_publish(client: RtmpClient, stream: str | None = None) -> Refused:
    await client.connect()
    await client.send(client.session.publish(stream))
    return await closed_with_refusal(client)


async def refusal_of_play(client: RtmpClient, stream: str | None = None) -> Refused:
    await client.connect()
    await client.send(client.session.play(stream))
    return await closed_with_refusal(client)


async def closed_with_refusal(client: RtmpClient) -> Refused:
    """The refusal, which must be the last that the door says."""
    last = await client.last_event()
    assert isinstance(last, Refused)
    return last


# --- publishing and playing ---


async def test_what_is_published_is_played_bit_for_bit_and_in_order(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        player = await house.rtmp().play()
        sent = [VIDEO_CONFIGURATION, AUDIO_CONFIGURATION, keyframe(), audio()]
        assert [(await player.next_media()).payload for _ in sent] == sent
        for at, payload in ((40, inter_frame(bytes(200_000))), (80, inter_frame(b"x"))):
            await publisher.video(at, payload)
            message = await player.next_media()
            assert (message.kind, message.timestamp, message.payload) == (MediaKind.VIDEO, at, payload)


async def test_a_player_who_comes_late_begins_at_the_newest_keyframe(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        for at in (1000, 2000):
            await publisher.video(at, keyframe(b"at %d" % at))
            await publisher.video(at + 40, inter_frame(b"at %d" % at))
        player = await house.rtmp().play()
        heard = [await player.next_media() for _ in range(4)]
    assert [message.payload for message in heard] == [
        VIDEO_CONFIGURATION,
        AUDIO_CONFIGURATION,
        keyframe(b"at 2000"),
        inter_frame(b"at 2000"),
    ]
    assert [message.timestamp for message in heard] == [2000, 2000, 2000, 2040]


async def test_a_player_may_come_before_the_first_packet(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        player = await house.rtmp().play()
        await publisher.begin(label=b"first")
        await player.media_with(keyframe(b"first"))


async def test_metadata_passes_without_its_set_data_frame_and_with_the_publishers_own_fields(
    autojump_clock: MockClock,
) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.send(publisher.session.send_metadata({"width": 320.0, "mine": "own"}))
        await publisher.begin()
        player = await house.rtmp().play()
        script = decode_script_data((await player.next_media()).payload)
    assert script.name == "onMetaData"
    assert script.values[0] == {"width": 320.0, "mine": "own"}


async def test_a_text_passes_on_to_those_who_watch(autojump_clock: MockClock) -> None:
    text = amf0.encode_all(["onTextData", {"text": "hello"}])
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        player = await house.rtmp().play()
        await publisher.media(MediaKind.DATA, 10, text)
        assert (await player.media_with(text)).kind is MediaKind.DATA


async def test_a_message_stream_of_another_number_gets_its_media_there(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        player = await house.rtmp().connect()
        # Another stream takes number 1, so that what is played stands on 2.
        await player.send(player.session.send(Command("createStream", 90, None)))
        await player.play()
        await publisher.begin(label=b"x")
        assert (await player.media_with(keyframe(b"x"))).message_stream_id == 2


async def test_a_publisher_who_says_that_it_stops_is_told_so_and_its_name_is_free(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        first = await house.rtmp().publish()
        await first.send(first.session.close_stream())
        assert await first.last_event() is not None
        await house.rtmp().publish()


async def test_a_player_who_says_that_it_stops_is_let_go(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.rtmp().publish()
        player = await house.rtmp().play()
        assert len(house.viewers) == 1
        await player.send(player.session.close_stream())
        await player.last_event()
        assert len(house.viewers) == 0


async def test_a_paused_player_gets_nothing_and_goes_on_at_the_next_keyframe(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        player = await house.rtmp().play()
        await player.media_with(audio())
        await pause(player, paused=True)
        assert (await player.until(Status)).code == Code.PAUSE_NOTIFY
        await publisher.video(1000, keyframe(b"while paused"))
        await publisher.audio(1000, audio(b"while paused"))
        await trio.testing.wait_all_tasks_blocked()
        await pause(player, paused=False)
        assert (await player.until(Status)).code == Code.UNPAUSE_NOTIFY
        await publisher.video(1040, inter_frame(b"no beginning"))
        await publisher.video(2000, keyframe(b"again"))
        assert (await player.next_media()).payload == keyframe(b"again")


async def test_a_second_request_on_one_connection_is_refused_and_disturbs_nothing(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        other = await house.rtmp("myapp/other").publish()
        player = await house.rtmp().play()
        for client, code in ((other, Code.PUBLISH_DENIED), (player, Code.PLAY_FAILED)):
            for name in ("publish", "play"):
                await ask_on_a_second_stream(client, name)
                assert (await client.until(Refused | Status)).code == code
        assert (len(house.publishers), len(house.viewers)) == (2, 1)
        (viewer,) = house.viewers
        bytes_before = viewer.bytes
        await publisher.begin()
        await trio.testing.wait_all_tasks_blocked()
        assert viewer.bytes > bytes_before


async def ask_on_a_second_stream(client: RtmpClient, name: str) -> None:
    await client.send(client.session.send(Command("createStream", 90, None)))
    await client.send(client.session.send(Command(name, 0, None, ("other",), message_stream_id=2)))


async def pause(player: RtmpClient, *, paused: bool) -> None:
    await player.send(player.session.send(Command("pause", 0, None, (paused, 0.0), message_stream_id=1)))


# --- refusals ---


@pytest.mark.parametrize("app", ["a/b", "", "..", "a b", "a\r\nb", "a" * 129, "a" * 10_240, "a" * 70_000, "\u00e4"])
async def test_an_application_by_another_name_than_a_name_is_rejected(autojump_clock: MockClock, app: str) -> None:
    async with open_house() as house:
        client = house.rtmp()
        client.session = ClientSession(RtmpUrl("rtmp", "h", 1935, app, "test"), random_bytes=os.urandom)
        refused = await closed_with_refusal(client)
    assert (refused.what, refused.code) == ("connect", Code.CONNECT_REJECTED)
    assert "no slash" in refused.description


@pytest.mark.parametrize("name", ["a/b", "", ".", "../x", "a b", "a\r\nb", "a" * 129, "a" * 10_240, "\u00e4", "x\0"])
async def test_a_stream_by_another_name_than_a_name_is_refused(autojump_clock: MockClock, name: str) -> None:
    async with open_house() as house:
        publish = await refusal_of_publish(house.rtmp(), name)
        play = await refusal_of_play(house.rtmp(), name)
        assert len(house.hub) == 0
    assert (publish.what, publish.code) == ("publish", Code.PUBLISH_BAD_NAME)
    assert (play.what, play.code) == ("play", Code.PLAY_STREAM_NOT_FOUND)
    assert "letters" in publish.description
    assert "letters" in play.description


async def test_a_query_behind_the_streams_name_is_taken_off(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish("test?key=secret&x=/")
        await publisher.begin(label=b"x")
        player = await house.rtmp().play("test?token=abc")
        await player.media_with(keyframe(b"x"))


@pytest.mark.parametrize("address", ["10.0.0.1", "2001:db8::1"])
async def test_who_may_not_publish_is_told_the_key_that_says_so(autojump_clock: MockClock, address: str) -> None:
    async with open_house() as house:
        refused = await refusal_of_publish(house.rtmp(address=address))
    assert (refused.what, refused.code) == ("publish", Code.PUBLISH_DENIED)
    assert "[publish] allow" in refused.description
    assert address in refused.description


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "10.0.0.1"])
async def test_who_may_publish_by_the_configuration_does(autojump_clock: MockClock, address: str) -> None:
    async with open_house(publish={"allow": ["127.0.0.0/8", "::1/128", "10.0.0.0/8"]}) as house:
        await house.rtmp(address=address).publish()


async def test_a_player_needs_no_permission_to_publish(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.rtmp().publish()
        await house.rtmp(address="10.0.0.1").play()


async def test_a_stream_that_nobody_publishes_is_not_found(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        refused = await refusal_of_play(house.rtmp())
    assert (refused.what, refused.code) == ("play", Code.PLAY_STREAM_NOT_FOUND)
    assert refused.description.endswith(".")


async def test_an_origin_that_is_not_configured_is_not_found(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        refused = await refusal_of_play(house.rtmp(), "test?src=nowhere")
    assert refused.code == Code.PLAY_STREAM_NOT_FOUND


async def test_a_name_that_is_being_published_is_a_bad_name(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        refused = await refusal_of_publish(house.rtmp())
        await publisher.video(40, inter_frame())
        assert len(house.publishers) == 1
    assert (refused.what, refused.code) == ("publish", Code.PUBLISH_BAD_NAME)
    assert "myapp/test" in refused.description


async def test_the_same_stream_name_in_another_application_is_another_name(autojump_clock: MockClock) -> None:
    async with open_house() as house:
        await house.rtmp("one/test").publish()
        await house.rtmp("two/test").publish()


async def test_a_publisher_above_the_limit_is_rejected(autojump_clock: MockClock) -> None:
    async with open_house(limits={"publishers": 1}) as house:
        first = await house.rtmp("myapp/one").publish()
        refused = await refusal_of_publish(house.rtmp("myapp/two"))
        assert refused.code == Code.CONNECT_REJECTED
        await first.leave()
        await trio.testing.wait_all_tasks_blocked()
        await house.rtmp("myapp/two").publish()


@pytest.mark.parametrize("limit", ["viewers", "viewers_per_address", "viewers_per_stream"])
async def test_a_player_above_a_limit_is_rejected(autojump_clock: MockClock, limit: str) -> None:
    async with open_house(limits={limit: 1}) as house:
        await house.rtmp().publish()
        first = await house.rtmp().play()
        refused = await refusal_of_play(house.rtmp())
        assert refused.code == Code.CONNECT_REJECTED
        await first.leave()
        await trio.testing.wait_all_tasks_blocked()
        await house.rtmp().play()


async def test_limits_come_before_existence(autojump_clock: MockClock) -> None:
    async with open_house(limits={"viewers": 1}) as house:
        await house.rtmp().publish()
        await house.rtmp().play()
        assert (await refusal_of_play(house.rtmp("myapp/missing"))).code == Code.CONNECT_REJECTED


async def test_a_refusal_is_in_the_log_and_no_query_is(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house() as house:
            await refusal_of_publish(house.rtmp(address="10.0.0.1"), "test?key=geheim")
    (refused,) = [event for event in logs if event["event"] == "rtmp.refused"]
    assert refused["peer"].startswith("10.0.0.1:")
    assert "[publish] allow" in refused["detail"]
    assert "geheim" not in str(logs)


# --- the ends of things, in the log and to the player ---


async def test_the_log_says_who_published_and_who_played(autojump_clock: MockClock) -> None:
    with capture_logs() as logs:
        async with open_house() as house:
            publisher = await house.rtmp().publish()
            await publisher.begin()
            player = await house.rtmp().play()
            await player.media_with(audio())
            await player.leave()
            await trio.testing.wait_all_tasks_blocked()
            await publisher.leave()
    events = {event["event"]: event for event in logs}
    assert events["publisher.end"]["reason"] == "publisher_left"
    assert events["publisher.end"]["bytes"] == len(VIDEO_CONFIGURATION + AUDIO_CONFIGURATION + keyframe() + audio())
    assert events["viewer.end"]["reason"] == "viewer_left"
    assert events["viewer.end"]["bytes"] > events["publisher.end"]["bytes"]
    assert not [event for event in logs if event["log_level"] == "error"]


async def test_a_player_whose_stream_is_over_is_told_and_then_let_go(autojump_clock: MockClock) -> None:
    async with open_house(hub={"republish_grace_s": 7}) as house:
        publisher = await house.rtmp().publish()
        await publisher.begin()
        player = await house.rtmp().play()
        left_at = trio.current_time()
        await publisher.leave()
        ended = await player.until(StreamEnded)
        assert ended.code == Code.PLAY_UNPUBLISH_NOTIFY
        assert trio.current_time() - left_at == pytest.approx(7, abs=0.1)
        assert await player.last_event() == MessageReceived(StreamEof(1))
        assert (await refusal_of_play(house.rtmp())).code == Code.PLAY_STREAM_NOT_FOUND
