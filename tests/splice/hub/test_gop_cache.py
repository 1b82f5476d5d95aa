"""What who joins is given: exactly the newest keyframe and all since, within bounds, and what has to come before."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.flv import (
    AudioData,
    AudioPacketType,
    AudioTrack,
    ModEx,
    MultitrackType,
    VideoData,
    VideoFrameType,
    VideoPacketType,
    VideoTrack,
    encode_audio_data,
    encode_video_data,
)
from protocol.rtmp import MediaKind
from splice.hub.gop_cache import GopCache
from splice.hub.packet import Packet, PacketRole
from tests.splice.hub.viewing import (
    ON_META_DATA,
    aac,
    aac_configuration,
    configuration,
    inter_frame,
    keyframe,
    packet,
    script,
)

AUDIO, VIDEO, DATA = MediaKind.AUDIO, MediaKind.VIDEO, MediaKind.DATA


def cache_of(*packets: Packet, max_bytes: int = 10_000, max_s: float = 30.0) -> GopCache:
    cache = GopCache(max_bytes=max_bytes, max_s=max_s)
    for each in packets:
        cache.add(each)
    return cache


def shown(packets: list[Packet]) -> list[tuple[int, bytes]]:
    return [(each.timestamp, each.payload) for each in packets]


def enhanced(packet_type: VideoPacketType, *tracks: tuple[int, bytes], wrap: MultitrackType | None = None) -> bytes:
    """An HEVC message of key frames; without `wrap`, of track 0."""
    made = tuple(VideoTrack("hvc1", data, track_id) for track_id, data in tracks)
    return encode_video_data(VideoData(VideoFrameType.KEY_FRAME, packet_type, made, multitrack_type=wrap))


def sound(packet_type: AudioPacketType, data: bytes, wrap: MultitrackType | None = None, *mod_ex: ModEx) -> bytes:
    """An Opus message of track 0."""
    return encode_audio_data(
        AudioData(packet_type, (AudioTrack("Opus", data),), multitrack_type=wrap, mod_ex=tuple(mod_ex))
    )


# --- the group of pictures ---


def test_it_begins_with_exactly_the_newest_keyframe() -> None:
    cache = cache_of(
        packet(VIDEO, 0, keyframe(b"1")),
        packet(AUDIO, 10, aac(b"1")),
        packet(VIDEO, 40, keyframe(b"2")),
        packet(AUDIO, 33, aac(b"2")),
        packet(VIDEO, 80, inter_frame(b"2")),
    )
    assert shown(cache.joined()) == [(40, keyframe(b"2")), (33, aac(b"2")), (80, inter_frame(b"2"))]
    assert len(cache) == 3
    assert cache.bytes == len(keyframe(b"2") + aac(b"2") + inter_frame(b"2"))


def test_before_the_first_keyframe_there_is_nothing_to_begin_with() -> None:
    cache = cache_of(packet(VIDEO, 0, configuration()), packet(VIDEO, 0, inter_frame()), packet(AUDIO, 0, aac()))
    assert cache.joined() == []
    assert cache.bytes == 0
    assert shown(cache.headers(7)) == [(7, configuration())]


def test_audio_alone_is_never_kept_but_its_configuration_is() -> None:
    cache = cache_of(packet(AUDIO, 0, aac_configuration()), *[packet(AUDIO, at, aac()) for at in range(9)])
    assert cache.joined() == []
    assert shown(cache.headers(9)) == [(9, aac_configuration())]


@pytest.mark.parametrize(("max_bytes", "kept"), [(29, 0), (30, 3), (31, 3)], ids=["above", "at", "below"])
def test_a_group_that_passes_its_bound_of_bytes_is_forgotten_whole(max_bytes: int, kept: int) -> None:
    group = [packet(VIDEO, at, body + bytes(5)) for at, body in enumerate([keyframe(), inter_frame(), inter_frame()])]
    cache = cache_of(*group, max_bytes=max_bytes)
    assert len(cache) == len(cache.joined()) == kept
    assert cache.bytes == kept * 10


@pytest.mark.parametrize(("last", "kept"), [(1001, 0), (1000, 2), (999, 2)], ids=["above", "at", "below"])
def test_a_group_that_passes_its_bound_of_seconds_is_forgotten_whole(last: int, kept: int) -> None:
    cache = cache_of(packet(VIDEO, 0, keyframe()), packet(VIDEO, last, inter_frame()), max_s=1.0)
    assert len(cache) == kept


def test_after_a_forgotten_group_nothing_is_kept_until_the_next_keyframe() -> None:
    cache = cache_of(packet(VIDEO, 0, keyframe()), packet(VIDEO, 5000, inter_frame()), max_s=1.0)
    cache.add(packet(VIDEO, 5040, inter_frame()))
    assert cache.joined() == []
    cache.add(packet(VIDEO, 5080, keyframe(b"2")))
    assert shown(cache.joined()) == [(5080, keyframe(b"2"))]


def test_the_age_of_a_group_is_counted_over_a_wrap() -> None:
    cache = cache_of(packet(VIDEO, (1 << 32) - 20, keyframe()), packet(VIDEO, 20, inter_frame()), max_s=1.0)
    assert len(cache) == 2


def test_0_seconds_keep_no_packet_but_the_headers() -> None:
    cache = cache_of(packet(VIDEO, 0, configuration()), packet(VIDEO, 0, keyframe()), max_s=0)
    cache.add(packet(VIDEO, 0, inter_frame()))
    assert (cache.joined(), cache.bytes) == ([], 0)
    assert shown(cache.headers(0)) == [(0, configuration())]


def test_forgetting_leaves_nothing() -> None:
    cache = cache_of(packet(DATA, 0, ON_META_DATA), packet(VIDEO, 0, configuration()), packet(VIDEO, 0, keyframe()))
    cache.forget()
    assert (cache.joined(), cache.headers(0), cache.bytes) == ([], [], 0)
    cache.add(packet(VIDEO, 40, keyframe(b"2")))
    assert shown(cache.joined()) == [(40, keyframe(b"2"))]


@given(st.lists(st.tuples(st.sampled_from("kia"), st.integers(0, 60), st.integers(0, 300)), max_size=40))
def test_whatever_comes_the_bounds_hold_and_nothing_in_a_group_is_missing(steps: list[tuple[str, int, int]]) -> None:
    cache = cache_of(max_bytes=1000, max_s=0.3)
    since_keyframe: list[Packet] | None = None
    timestamp = 0
    for what, size, step_ms in steps:
        timestamp += step_ms
        body = {"k": keyframe, "i": inter_frame, "a": aac}[what](bytes(size * 10))
        each = packet(AUDIO if what == "a" else VIDEO, timestamp, body)
        cache.add(each)
        if what == "k":
            since_keyframe = []
        if since_keyframe is not None:
            since_keyframe.append(each)
            if (
                sum(len(kept.payload) for kept in since_keyframe) > 1000
                or timestamp - since_keyframe[0].timestamp > 300
            ):
                since_keyframe = None
        assert cache.joined() == (since_keyframe or [])
        assert cache.bytes == sum(len(kept.payload) for kept in cache.packets) <= 1000


# --- what comes before it ---


def test_configurations_carry_the_time_of_the_packet_that_they_precede_and_metadata_opens_at_0() -> None:
    cache = cache_of(
        packet(DATA, 0, ON_META_DATA),
        packet(VIDEO, 0, configuration()),
        packet(AUDIO, 1, aac_configuration()),
        packet(VIDEO, 4000, keyframe()),
    )
    configurations = [configuration(), aac_configuration()]
    before_keyframe = [(4000, payload) for payload in configurations]
    assert shown(cache.joined()) == [(0, ON_META_DATA), *before_keyframe, (4000, keyframe())]
    assert shown(cache.headers(4444)) == [(0, ON_META_DATA), *[(4444, payload) for payload in configurations]]
    assert shown(cache.configurations(4444)) == [(4444, payload) for payload in configurations]


def test_a_configuration_that_changes_within_a_group_is_given_where_it_changed() -> None:
    cache = cache_of(
        packet(VIDEO, 0, configuration(b"old")),
        packet(AUDIO, 0, aac_configuration(b"old")),
        packet(VIDEO, 0, keyframe()),
        packet(AUDIO, 10, aac_configuration(b"new")),
        packet(AUDIO, 10, aac()),
    )
    assert [payload for _, payload in shown(cache.joined())] == [
        configuration(b"old"),
        aac_configuration(b"old"),
        keyframe(),
        aac_configuration(b"new"),
        aac(),
    ]
    assert shown(cache.headers(10)) == [(10, configuration(b"old")), (10, aac_configuration(b"new"))]


def test_a_configuration_that_comes_late_is_given_where_it_came() -> None:
    cache = cache_of(packet(VIDEO, 0, keyframe()), packet(AUDIO, 5, aac_configuration()), packet(AUDIO, 5, aac()))
    assert [payload for _, payload in shown(cache.joined())] == [keyframe(), aac_configuration(), aac()]


def test_another_codecs_configuration_takes_the_place_of_the_first() -> None:
    hevc = enhanced(VideoPacketType.SEQUENCE_START, (0, b"hevc"))
    cache = cache_of(packet(VIDEO, 0, configuration()), packet(VIDEO, 0, hevc), packet(VIDEO, 0, keyframe()))
    assert [payload for _, payload in shown(cache.joined())] == [hevc, keyframe()]


def test_repeated_metadata_is_given_once_and_other_data_where_it_came() -> None:
    cue = script("onCuePoint", time=1.0)
    cache = cache_of(
        packet(DATA, 0, script(width=1.0)),
        packet(VIDEO, 0, keyframe()),
        packet(DATA, 5, cue),
        packet(DATA, 9, ON_META_DATA),
    )
    assert shown(cache.joined()) == [(0, ON_META_DATA), (0, keyframe()), (5, cue)]


# --- Enhanced RTMP ---


def test_a_keyframe_of_another_track_begins_no_group() -> None:
    one_track = MultitrackType.ONE_TRACK
    cache = cache_of(
        packet(VIDEO, 0, enhanced(VideoPacketType.CODED_FRAMES, (0, b"a"), wrap=one_track)),
        packet(VIDEO, 1, enhanced(VideoPacketType.CODED_FRAMES, (1, b"b"), wrap=one_track)),
    )
    assert [each.role for each in cache.joined()] == [PacketRole.KEYFRAME, PacketRole.MEDIA]


def test_each_track_has_a_configuration_of_its_own() -> None:
    start, one_track = VideoPacketType.SEQUENCE_START, MultitrackType.ONE_TRACK
    first, second = (packet(VIDEO, 0, enhanced(start, (track, b"c"), wrap=one_track)) for track in (0, 1))
    assert len(cache_of(first, second).headers(0)) == 2


@pytest.mark.parametrize("wrap", [None, MultitrackType.ONE_TRACK])
def test_colours_stand_beside_the_codecs_configuration(wrap: MultitrackType | None) -> None:
    start = packet(VIDEO, 0, enhanced(VideoPacketType.SEQUENCE_START, (0, b"codec"), wrap=wrap))
    colours = [packet(VIDEO, 0, enhanced(VideoPacketType.METADATA, (0, data), wrap=wrap)) for data in (b"old", b"new")]
    headers = cache_of(start, *colours).headers(0)
    assert shown(headers) == shown([start, colours[1]])


@pytest.mark.parametrize("wrap", [None, MultitrackType.ONE_TRACK])
@pytest.mark.parametrize("mod_ex", [(), (ModEx.timestamp_offset(5),)], ids=["plain", "with ModEx"])
def test_a_multichannel_configuration_stands_beside_the_codecs(
    wrap: MultitrackType | None, mod_ex: tuple[ModEx, ...]
) -> None:
    codec = packet(AUDIO, 0, sound(AudioPacketType.SEQUENCE_START, b"codec", wrap, *mod_ex))
    channels = packet(AUDIO, 0, sound(AudioPacketType.MULTICHANNEL_CONFIG, b"\x01\x02\0\0\0\x03", wrap, *mod_ex))
    assert shown(cache_of(codec, channels).headers(0)) == shown([codec, channels])


def test_one_tracks_new_configuration_leaves_those_of_a_message_of_several() -> None:
    both = packet(
        VIDEO, 0, enhanced(VideoPacketType.SEQUENCE_START, (0, b"a"), (1, b"b"), wrap=MultitrackType.MANY_TRACKS)
    )
    one = packet(VIDEO, 0, enhanced(VideoPacketType.SEQUENCE_START, (0, b"A"), wrap=MultitrackType.ONE_TRACK))
    assert shown(cache_of(both, one).headers(0)) == shown([both, one])
    assert shown(cache_of(one, both, one).headers(0)) == shown([both, one]), "the newest comes last"


def test_a_configuration_that_cannot_be_read_passes_too() -> None:
    cut_short = packet(VIDEO, 0, b"\x17\0\0")
    assert cut_short.role is PacketRole.CONFIGURATION
    assert shown(cache_of(cut_short).headers(0)) == [(0, b"\x17\0\0")]


def test_a_publisher_of_ever_new_configurations_fills_no_memory() -> None:
    start, one_track = VideoPacketType.SEQUENCE_START, MultitrackType.ONE_TRACK
    many = [packet(VIDEO, 0, enhanced(start, (track, bytes([track])), wrap=one_track)) for track in range(256)]
    assert shown(cache_of(*many).headers(0)) == shown(many[-64:])
    large = [packet(VIDEO, 0, enhanced(start, (track, bytes(400_000)), wrap=one_track)) for track in range(20)]
    cache = cache_of(*large, *large)
    assert shown(cache.headers(0)) == shown(large[-2:])


def test_a_configuration_that_is_often_repeated_takes_no_more_room() -> None:
    codec, sound_header = packet(VIDEO, 0, configuration(bytes(300_000))), packet(AUDIO, 0, aac_configuration())
    assert shown(cache_of(sound_header, *[codec] * 9).headers(0)) == shown([sound_header, codec])


def test_times_in_a_group_are_those_of_the_packets() -> None:
    cache = cache_of(packet(VIDEO, 100, keyframe()), *[packet(AUDIO, 100 + at, aac()) for at in range(5)])
    assert all(earlier.timestamp <= later.timestamp for earlier, later in pairwise(cache.joined()))
