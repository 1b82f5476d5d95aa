"""One kind of tracks alone: its packets, metadata that says nothing of the others, and who joins does not wait."""

from collections.abc import Sequence
from contextlib import ExitStack

import pytest
from trio.testing import MockClock

from protocol import NEED_DATA
from protocol.amf import EcmaArray
from protocol.flv import FlvHeader, ScriptData, decode_script_data, encode_script_data
from protocol.rtmp import ChunkReader, MediaKind
from splice.hub import CHUNKED_FLV, FLV, WEBSOCKET_FLV, Form, RtmpForm, Tracks, only
from splice.hub.packet import Packet
from tests.splice.hub.viewing import (
    Watcher,
    aac,
    aac_configuration,
    begin,
    configuration,
    inter_frame,
    keyframe,
    packet,
    read_flv,
    running,
    script,
)

AUDIO, VIDEO, DATA = MediaKind.AUDIO, MediaKind.VIDEO, MediaKind.DATA

SAID_OF_PICTURES = {"width": 320.0, "height": 180.0, "framerate": 25.0, "videocodecid": 7.0, "videodatarate": 300.0}
SAID_OF_SOUND = {"audiocodecid": 10.0, "audiosamplerate": 44100.0, "audiosamplesize": 16.0, "stereo": True}
SAID_OF_BOTH = {"duration": 0.0, "encoder": "obs", "filesize": 0.0, "custom": "own"}


def metadata(*parts: dict[str, float | str | bool]) -> bytes:
    members = EcmaArray()
    for part in parts:
        members.update(part)
    return encode_script_data(ScriptData("onMetaData", (members,)))


def only_of(tracks: Tracks, payload: bytes) -> bytes:
    [kept] = tracks.of([packet(DATA, 0, payload)])
    return kept.payload


# --- packets ---


MIXED = [
    packet(VIDEO, 0, configuration()),
    packet(AUDIO, 0, aac_configuration()),
    packet(VIDEO, 0, keyframe()),
    packet(AUDIO, 10, aac()),
    packet(DATA, 20, script("onTextData", text="hello")),
    packet(VIDEO, 40, bytes.fromhex("96 01") + b"avc1\x01picture"),
    packet(AUDIO, 50, bytes.fromhex("95 01") + b"Opus\x01sound"),
]


def test_what_a_packet_is_of_decides_however_it_is_coded_and_whichever_track_it_is_of() -> None:
    assert list(Tracks.VIDEO.of(MIXED)) == [MIXED[0], MIXED[2], MIXED[4], MIXED[5]]
    assert list(Tracks.AUDIO.of(MIXED)) == [MIXED[1], MIXED[3], MIXED[4], MIXED[6]]
    assert Tracks.ALL.of(MIXED) is MIXED


# --- metadata ---


def test_metadata_says_nothing_of_tracks_that_are_left_out_and_all_else_as_it_came() -> None:
    whole = metadata(SAID_OF_BOTH, SAID_OF_PICTURES, SAID_OF_SOUND)
    assert only_of(Tracks.VIDEO, whole) == metadata(SAID_OF_BOTH, SAID_OF_PICTURES)
    assert only_of(Tracks.AUDIO, whole) == metadata(SAID_OF_BOTH, SAID_OF_SOUND)
    assert only_of(Tracks.ALL, whole) == whole


def test_the_tables_of_further_tracks_go_with_their_kind() -> None:
    payload = encode_script_data(
        ScriptData("onMetaData", ({"videoTrackIdInfoMap": {"1": {"width": 1.0}}, "audioTrackIdInfoMap": {}},))
    )
    assert list(decode_script_data(only_of(Tracks.VIDEO, payload)).values[0]) == ["videoTrackIdInfoMap"]
    assert list(decode_script_data(only_of(Tracks.AUDIO, payload)).values[0]) == ["audioTrackIdInfoMap"]


@pytest.mark.parametrize("values", [(), ("no object",), (None, {"width": 1.0})])
def test_metadata_of_another_shape_passes_as_far_as_it_can(values: tuple[object, ...]) -> None:
    payload = encode_script_data(ScriptData("onMetaData", values))
    assert only_of(Tracks.VIDEO, payload) == payload


# --- forms ---


@pytest.mark.parametrize("form", [FLV, CHUNKED_FLV, WEBSOCKET_FLV, RtmpForm(1, 4096)])
def test_a_form_of_one_kind_is_that_form_of_those_packets(form: Form) -> None:
    for tracks in (Tracks.VIDEO, Tracks.AUDIO):
        one = only(form, tracks)
        assert one.tracks is tracks
        assert one.encode(MIXED) == form.encode(tracks.of(MIXED))
        assert one.closing == form.closing
        assert one == only(form, tracks)
        assert hash(one) == hash(only(form, tracks))
        assert one.opening(has_audio=True, has_video=True) == form.opening(
            has_audio=tracks is Tracks.AUDIO, has_video=tracks is Tracks.VIDEO
        )
    assert only(form, Tracks.ALL) is form
    assert form.tracks is Tracks.ALL


def test_of_packets_that_are_all_left_out_there_is_no_piece_and_above_all_no_last_chunk() -> None:
    assert only(CHUNKED_FLV, Tracks.VIDEO).encode([packet(AUDIO, 0, aac())]) == b""


# --- a live stream ---


async def test_each_watches_what_it_has_asked_for() -> None:
    async with running() as live:
        live.push(DATA, 0, metadata(SAID_OF_PICTURES, SAID_OF_SOUND))
        for kind, payload in ((VIDEO, configuration()), (AUDIO, aac_configuration()), (VIDEO, keyframe())):
            live.push(kind, 0, payload)
        with (
            Watcher(only(FLV, Tracks.VIDEO)).watching(live) as pictures,
            Watcher(only(FLV, Tracks.AUDIO)).watching(live) as sound,
            Watcher().watching(live) as everything,
        ):
            for kind, at, payload in ((AUDIO, 10, aac(b"1")), (VIDEO, 40, inter_frame(b"2"))):
                live.push(kind, at, payload)
            assert pictures.bodies == [metadata(SAID_OF_PICTURES), configuration(), keyframe(), inter_frame(b"2")]
            assert sound.bodies == [metadata(SAID_OF_SOUND), aac_configuration(), aac(b"1")]
            assert len(everything.bodies) == 6
            assert read_flv(bytes(pictures.sink.taken))[0] == FlvHeader(has_audio=False, has_video=True)
            assert read_flv(bytes(sound.sink.taken))[0] == FlvHeader(has_audio=True, has_video=False)


async def test_a_header_promises_nothing_that_the_stream_does_not_have() -> None:
    async with running() as live:
        live.push(AUDIO, 0, aac())
        with Watcher(only(FLV, Tracks.VIDEO)).watching(live) as watcher:
            assert read_flv(bytes(watcher.sink.taken))[0] == FlvHeader(has_audio=False, has_video=False)


async def test_who_wants_sound_alone_waits_for_no_keyframe() -> None:
    async with running(gop_cache_s=0) as live:
        begin(live)
        with Watcher(only(FLV, Tracks.AUDIO)).watching(live) as sound:
            live.push(VIDEO, 40, inter_frame())
            live.push(AUDIO, 50, aac(b"1"))
            assert sound.bodies[-2:] == [aac_configuration(), aac(b"1")]


async def test_who_wants_sound_alone_and_falls_behind_goes_on_without_a_keyframe() -> None:
    async with running() as live:
        begin(live)
        with Watcher(only(FLV, Tracks.AUDIO), max_bytes=100).watching(live) as sound:
            sound.sink.room = 0
            for at in (10, 20):
                live.push(AUDIO, at, aac(bytes(99)))
            sound.drain_all()
            assert sound.subscriber.skipped == 1
            live.push(VIDEO, 40, inter_frame())
            live.push(AUDIO, 50, aac(b"1"))
            assert sound.bodies[-3:] == [aac_configuration(), aac(bytes(99)), aac(b"1")]


async def test_who_wants_pictures_alone_waits_for_a_keyframe_as_others_do() -> None:
    async with running(gop_cache_s=0) as live:
        begin(live)
        with Watcher(only(FLV, Tracks.VIDEO)).watching(live) as pictures:
            live.push(VIDEO, 40, inter_frame())
            live.push(AUDIO, 50, aac())
            live.push(VIDEO, 80, keyframe(b"next"))
            assert pictures.bodies[-2:] == [configuration(), keyframe(b"next")]


async def test_a_batch_without_the_kind_that_is_wanted_is_no_send(autojump_clock: MockClock) -> None:
    async with running() as live:
        begin(live)
        with Watcher(only(CHUNKED_FLV, Tracks.VIDEO)).watching(live) as pictures:
            before = pictures.sink.sends
            live.push(AUDIO, 50, aac())
            assert pictures.sink.sends == before


async def test_what_is_wanted_by_many_is_chosen_and_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Sequence[Packet]] = []
    choose = Tracks.of

    def counting(tracks: Tracks, packets: Sequence[Packet]) -> Sequence[Packet]:
        calls.append(packets)
        return choose(tracks, packets)

    monkeypatch.setattr(Tracks, "of", counting)
    async with running() as live:
        begin(live)
        with ExitStack() as watching:
            for _ in range(20):
                for form in (FLV, CHUNKED_FLV):
                    watching.enter_context(Watcher(only(form, Tracks.VIDEO)).watching(live))
            assert len(calls) == 2, "one first group for each form"
            live.push(VIDEO, 40, inter_frame())
            assert len(calls) == 4


async def test_an_rtmp_player_gets_one_kind_too() -> None:
    async with running() as live:
        begin(live)
        with Watcher(only(RtmpForm(1, 128), Tracks.AUDIO)).watching(live) as sound:
            reader = ChunkReader()
            reader.receive_data(bytes(sound.sink.taken))
            kinds = []
            while (message := reader.next_event()) is not NEED_DATA:
                kinds.append(message.type_id)
    assert kinds == [DATA, AUDIO, AUDIO]
