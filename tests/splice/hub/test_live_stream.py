"""A live stream: what is pushed comes out in its order, in batches, encoded once, and whole for everyone who joins."""

from collections.abc import Sequence
from contextlib import ExitStack

import pytest
import trio
from trio.testing import MockClock

from protocol.flv import FlvHeader, encode_script_data
from protocol.flv import ScriptData as Script
from protocol.rtmp import MediaKind
from splice.hub import CHUNKED_FLV, FLV, WEBSOCKET_FLV, RtmpForm
from splice.hub.packet import Packet
from tests.splice.hub.viewing import (
    ON_META_DATA,
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


# --- in and out ---


async def test_what_is_pushed_comes_out_bit_for_bit_and_in_order() -> None:
    async with running() as live:
        with Watcher().watching(live) as watcher:
            pushed = begin(live)
            live.push(VIDEO, 40, inter_frame(bytes(100_000)))
            live.push(AUDIO, 33, aac(b"2"))
            assert watcher.bodies == [*pushed, inter_frame(bytes(100_000)), aac(b"2")]
            assert [tag.timestamp for tag in watcher.tags] == [0, 0, 0, 0, 0, 40, 33]
    assert repr(live) == "<LiveStream myapp/test>"


async def test_an_empty_message_is_passed_over_and_keeps_the_publisher_alive(autojump_clock: MockClock) -> None:
    async with running() as live:
        with Watcher().watching(live) as watcher:
            await trio.sleep(3)
            for kind in MediaKind:
                live.push(kind, 0, b"")
            assert watcher.tags == []
            assert (live.has_audio, live.has_video) == (False, False)
            assert live.last_packet_at == trio.current_time()


async def test_set_data_frame_is_taken_off_and_the_publishers_own_fields_survive() -> None:
    async with running() as live:
        with Watcher().watching(live) as watcher:
            sent = script(encoder="obs", private=5.0)
            live.push(DATA, 0, encode_script_data(Script("@setDataFrame", ())) + sent)
            assert watcher.bodies == [sent]
            assert live.metadata is not None
            assert live.metadata.extra == {"encoder": "obs", "private": 5.0}


async def test_other_data_and_repeated_metadata_pass_on() -> None:
    async with running() as live:
        with Watcher().watching(live) as watcher:
            sent = [
                script("onTextData", text="hello"),
                script(width=1.0),
                script("onCuePoint", time=2.0),
                script(width=1.0),
            ]
            for payload in sent:
                live.push(DATA, 0, payload)
            assert watcher.bodies == sent


@pytest.mark.parametrize("payload", [b"\x02\xff\xff", b"\x05", b"garbage", b"\x03\0\0\x09", ON_META_DATA[:-5]])
async def test_data_that_no_viewer_could_read_is_left_out(payload: bytes) -> None:
    async with running() as live:
        with Watcher().watching(live) as watcher:
            live.push(DATA, 0, payload)
            live.push(AUDIO, 0, aac())
            assert watcher.bodies == [aac()]


async def test_metadata_without_an_object_says_nothing() -> None:
    async with running() as live:
        live.push(DATA, 0, encode_script_data(Script("onMetaData", ())))
        live.push(DATA, 0, encode_script_data(Script("onMetaData", ("no object",))))
        assert not live.tracks_known.is_set()


# --- batches ---


async def test_without_merging_each_packet_goes_at_once() -> None:
    async with running(merge_s=0.0) as live:
        with Watcher().watching(live) as watcher:
            before = watcher.sink.sends
            begin(live)
            assert watcher.sink.sends == before + 5


async def test_packets_that_come_close_together_make_one_send(autojump_clock: MockClock) -> None:
    async with running(merge_s=0.02) as live:
        with Watcher().watching(live) as watcher:
            before = watcher.sink.sends
            for at in range(4):
                live.push(AUDIO, at, aac())
                await trio.sleep(0.004)
                assert watcher.sink.sends == before
            await trio.sleep(0.005)
            assert watcher.sink.sends == before + 1
            assert len(watcher.tags) == 4
            live.push(AUDIO, 9, aac())
            await trio.sleep(0.019)
            assert watcher.sink.sends == before + 1
            await trio.sleep(0.002)
            assert watcher.sink.sends == before + 2


async def test_a_keyframe_begins_a_batch(autojump_clock: MockClock) -> None:
    async with running(merge_s=0.02) as live:
        with Watcher(WEBSOCKET_FLV).watching(live) as watcher:
            before = watcher.sink.sends
            live.push(AUDIO, 0, aac())
            live.push(VIDEO, 40, keyframe())
            assert watcher.sink.sends == before + 1
            live.push(AUDIO, 40, aac())
            await trio.sleep(0.03)
            assert watcher.sink.sends == before + 2


async def test_a_batch_is_encoded_once_for_each_form_however_many_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[RtmpForm | type] = []

    def counting(form: object, packets: Sequence[Packet]) -> bytes:
        encoded.append(form if isinstance(form, RtmpForm) else type(form))
        return b"piece"

    forms = [FLV, CHUNKED_FLV, WEBSOCKET_FLV, RtmpForm(1, 4096), RtmpForm(2, 4096)]
    async with running() as live:
        with ExitStack() as watching:
            watchers = [watching.enter_context(Watcher(form).watching(live)) for form in forms for _ in range(20)]
            assert live.viewers == 100
            for form in forms:
                monkeypatch.setattr(type(form), "encode", counting)
            live.push(AUDIO, 0, aac())
            assert len(encoded) == len(set(encoded)) == len(forms)
            assert all(watcher.sink.taken.endswith(b"piece") for watcher in watchers)
        assert live.viewers == 0
        live.push(AUDIO, 0, aac())
        assert len(encoded) == len(forms), "nobody watches, nothing is encoded"


async def test_the_first_group_is_encoded_once_for_a_crowd_that_joins_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as live:
        begin(live)
        encode, calls = type(CHUNKED_FLV).encode, []

        def counting(form: object, packets: Sequence[Packet]) -> bytes:
            calls.append(packets)
            return encode(CHUNKED_FLV, packets)

        monkeypatch.setattr(type(CHUNKED_FLV), "encode", counting)
        with ExitStack() as watching:
            watchers = [watching.enter_context(Watcher(CHUNKED_FLV).watching(live)) for _ in range(20)]
            assert len(calls) == 1
            assert len({bytes(watcher.sink.taken) for watcher in watchers}) == 1
            live.push(AUDIO, 30, aac(b"2"))
            late = watching.enter_context(Watcher(CHUNKED_FLV).watching(live))
            assert aac(b"2") in late.sink.taken


async def test_a_first_group_goes_out_in_pieces_that_a_slow_viewer_can_be_moved_on_between() -> None:
    async with running() as live:
        begin(live)
        for at in range(20):
            live.push(VIDEO, at, inter_frame(bytes(20_000)))
        watcher = Watcher(room=0)
        with live.subscribed(watcher.subscriber):
            sizes = []
            while (piece := watcher.subscriber.next_piece) is not None:
                sizes.append(len(piece))
                watcher.sink.room = len(piece)
                watcher.subscriber.took(watcher.sink.send(piece))
            assert len(sizes) == 1 + 5
            assert max(sizes) < 64 * 1024 + 20_100
        assert len(watcher.tags) == 25


# --- joining ---


@pytest.mark.parametrize("merge_s", [0.0, 0.02])
async def test_who_joins_gets_header_metadata_configurations_the_group_and_then_all_that_is_live(
    merge_s: float, autojump_clock: MockClock
) -> None:
    async with running(merge_s=merge_s) as live:
        begin(live, 0, b"1")
        live.push(VIDEO, 2000, keyframe(b"2"))
        await trio.sleep(1)
        live.push(VIDEO, 2040, inter_frame(b"2"))  # still pending at the join, where packets are merged
        with Watcher().watching(live) as watcher:
            live.push(VIDEO, 2080, inter_frame(b"3"))
            await trio.sleep(1)
            assert read_flv(bytes(watcher.sink.taken))[0] == FlvHeader(True, True)
            assert [(tag.timestamp, tag.body) for tag in watcher.tags] == [
                (0, ON_META_DATA),
                (2000, configuration(b"1")),
                (2000, aac_configuration(b"1")),
                (2000, keyframe(b"2")),
                (2040, inter_frame(b"2")),
                (2080, inter_frame(b"3")),
            ]


@pytest.mark.parametrize("merge_s", [0.0, 0.02])
async def test_whenever_one_joins_nothing_is_missing_and_nothing_comes_twice(
    merge_s: float, autojump_clock: MockClock
) -> None:
    async with running(merge_s=merge_s) as live:
        begin(live)
        with ExitStack() as watching:
            joined = []
            for number in range(60):
                joined.append((number, watching.enter_context(Watcher().watching(live))))
                body = inter_frame if number % 12 else keyframe
                live.push(VIDEO, number * 40, body(bytes([number])))
                await trio.sleep(0.007)
            await trio.sleep(0.1)
            for at, watcher in joined:
                numbers = [
                    body[5] for body in watcher.bodies if body[:2] in (keyframe()[:2], inter_frame()[:2]) and body[5:]
                ]
                assert numbers == list(range(max((at - 1) // 12 * 12, 0), 60))


async def test_who_joins_without_a_cache_gets_the_headers_and_begins_at_the_next_keyframe() -> None:
    async with running(gop_cache_s=0) as live:
        begin(live)
        with Watcher().watching(live) as watcher:
            live.push(AUDIO, 20, aac(b"2"))
            live.push(VIDEO, 40, inter_frame())
            live.push(VIDEO, 80, keyframe(b"2"))
            live.push(AUDIO, 80, aac(b"3"))
            assert watcher.bodies == [ON_META_DATA, configuration(), aac_configuration(), keyframe(b"2"), aac(b"3")]


async def test_who_waits_for_a_keyframe_begins_it_with_what_was_in_force_before_it(autojump_clock: MockClock) -> None:
    async with running(gop_cache_s=0, merge_s=0.02) as live:
        begin(live, 0, b"1")
        with Watcher().watching(live) as watcher:
            live.push(VIDEO, 40, configuration(b"2"))
            live.push(VIDEO, 40, keyframe(b"2"))
            live.push(VIDEO, 80, configuration(b"3"))
            live.push(VIDEO, 80, keyframe(b"3"))
            await trio.sleep(1)
            video = [body for body in watcher.bodies if body[:1] == b"\x17"]
            assert video == [
                configuration(b"1"),
                configuration(b"2"),
                keyframe(b"2"),
                configuration(b"3"),
                keyframe(b"3"),
            ]


async def test_who_joins_before_the_publisher_gets_everything() -> None:
    async with running() as live:
        with Watcher(CHUNKED_FLV).watching(live), Watcher().watching(live) as watcher:
            pushed = begin(live)
            assert watcher.bodies == pushed


async def test_a_viewer_of_rtmp_gets_no_flv_header() -> None:
    async with running() as live:
        with Watcher(RtmpForm(1, 4096)).watching(live) as watcher:
            assert not watcher.sink.taken
            live.push(AUDIO, 0, aac())
            assert watcher.sink.taken == RtmpForm(1, 4096).encode([packet(AUDIO, 0, aac())])


async def test_one_viewer_that_reads_nothing_leaves_the_others_without_a_gap() -> None:
    async with running(backlog_bytes=10_000) as live:
        stuck = Watcher(room=20, max_bytes=live.limits.backlog_bytes)
        with stuck.watching(live), ExitStack() as watching:
            others = [watching.enter_context(Watcher().watching(live)) for _ in range(9)]
            begin(live)
            for number in range(250):
                frame = inter_frame if number % 50 else keyframe
                live.push(VIDEO, number * 40, frame(number.to_bytes(2, "big") + bytes(998)))
                assert live.backlog_bytes <= 10_000
            assert live.skipped == 5, "once a group of pictures"
            assert all(len(watcher.tags) == 255 for watcher in others)
            stuck.drain_all()
            live.push(VIDEO, 10_000, keyframe(b"at last"))
            live.push(VIDEO, 10_040, inter_frame(b"live"))
            assert stuck.bodies[-5:] == [
                ON_META_DATA,
                configuration(),
                aac_configuration(),
                keyframe(b"at last"),
                inter_frame(b"live"),
            ]
        assert live.skipped == 5, "also when the viewer has left"


async def test_for_how_long_the_slowest_viewer_waits(autojump_clock: MockClock) -> None:
    async with running() as live:
        with Watcher().watching(live), Watcher(room=0).watching(live) as slow:
            slow.drain_all()
            assert live.slowest_s == 0
            slow.sink.room = 0
            live.push(AUDIO, 0, aac())
            await trio.sleep(2)
            assert live.slowest_s == 2


CODECS = {
    "HEVC by legacy id 12": (b"\x1c\0\0\0\0hvcC", b"\x1c\1\0\0\0key", b"\x2c\1\0\0\0inter"),
    "enhanced HEVC": (b"\x90hvc1hvcC", b"\x91hvc1\0\0\0key", b"\xa3hvc1inter"),
    "enhanced AV1": (b"\x90av01av1C", b"\x91av01key", b"\xa1av01inter"),
    "VP9 in multitrack": (b"\x96\0vp09\0vpcC", b"\x96\1vp09\0key", b"\xa6\1vp09\0inter"),
    "with a time in nanoseconds": (b"\x90vp09vpcC", b"\x97\2\0\0\x07\1vp09key", b"\xa7\2\0\0\x07\1vp09inter"),
}


@pytest.mark.parametrize(("header", "key", "inter"), CODECS.values(), ids=CODECS.keys())
async def test_every_codec_passes_bit_for_bit_and_is_joined_at_a_keyframe(
    header: bytes, key: bytes, inter: bytes
) -> None:
    opus_header, opus, later_opus = b"\x90OpusOpusHead", b"\x91Opussound", b"\x91Opuslater"
    async with running() as live:
        with Watcher().watching(live) as first:
            pushed = [header, key + b"1", inter, key + b"2"]
            live.push(AUDIO, 0, opus_header)
            for payload in pushed:
                live.push(VIDEO, 0, payload)
            live.push(AUDIO, 0, opus)
            with Watcher().watching(live) as late:
                live.push(AUDIO, 20, later_opus)
                assert first.bodies == [opus_header, *pushed, opus, later_opus]
                assert late.bodies == [opus_header, header, key + b"2", opus, later_opus]


async def test_a_codec_that_changes_in_mid_stream_is_begun_by_its_own_configuration() -> None:
    header, key, inter = CODECS["enhanced HEVC"]
    async with running() as live:
        with Watcher().watching(live) as first, Watcher(room=30, max_bytes=100).watching(live) as slow:
            begun = begin(live)
            for payload in (header, key, inter):
                live.push(VIDEO, 40, payload)
            assert first.bodies == [*begun, header, key, inter]
            with Watcher().watching(live) as late:
                assert late.bodies == [ON_META_DATA, aac_configuration(), header, key, inter]
            slow.drain_all()
            live.push(VIDEO, 80, key + b"2")
            assert slow.bodies[-4:] == [ON_META_DATA, aac_configuration(), header, key + b"2"]


# --- what operators ask for ---


async def test_it_counts_what_was_pushed() -> None:
    async with running() as live:
        pushed = begin(live)
        live.push(VIDEO, 2000, keyframe())
        live.push(VIDEO, 2040, inter_frame())
        assert live.bytes_in == sum(map(len, pushed)) + len(keyframe()) + len(inter_frame())
        assert live.video_bytes == len(configuration()) + 2 * len(keyframe()) + len(inter_frame())
        assert live.video_frames == 3
        assert live.keyframe_interval_ms == 2000
        assert [each.payload for each in live.headers] == pushed[:3]
        live.restart()
        assert (live.keyframe_interval_ms, live.headers) == (None, [])
