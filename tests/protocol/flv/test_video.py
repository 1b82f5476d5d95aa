"""VIDEODATA, legacy and enhanced: bytes written down by hand from FLV 10.1, E.4.3 and Enhanced RTMP v2, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import LocalProtocolError, RemoteProtocolError
from protocol.flv import (
    ModEx,
    ModExType,
    MultitrackType,
    VideoCommand,
    VideoData,
    VideoFrameType,
    VideoPacketType,
    VideoTrack,
    decode_video_data,
    encode_video_data,
)

from .replay import NAMES, tags

KEY, INTER, COMMAND = VideoFrameType.KEY_FRAME, VideoFrameType.INTER_FRAME, VideoFrameType.COMMAND
START, FRAMES, END = VideoPacketType.SEQUENCE_START, VideoPacketType.CODED_FRAMES, VideoPacketType.SEQUENCE_END
FRAMES_X, METADATA = VideoPacketType.CODED_FRAMES_X, VideoPacketType.METADATA
HVC1, AVC1, AV01 = "68766331", "61766331", "61763031"

LEGACY = {
    "17 00 000000 01640033": VideoData(KEY, START, (VideoTrack("avc1", b"\x01\x64\x00\x33"),), 7),
    "17 01 000050 aabb": VideoData(KEY, FRAMES, (VideoTrack("avc1", b"\xaa\xbb", 0, 80),), 7),
    "27 01 ffffd8 aabb": VideoData(INTER, FRAMES, (VideoTrack("avc1", b"\xaa\xbb", 0, -40),), 7),
    "27 01 800000": VideoData(INTER, FRAMES, (VideoTrack("avc1", b"", 0, -(2**23)),), 7),
    "17 02 000000": VideoData(KEY, END, (VideoTrack("avc1"),), 7),
    "17 03 aabb": VideoData(KEY, None, (VideoTrack("avc1", b"\x03\xaa\xbb"),), 7),
    "1c 00 000000 01": VideoData(KEY, START, (VideoTrack("hvc1", b"\x01"),), 12),
    "22 0102": VideoData(INTER, FRAMES, (VideoTrack("FLV1", b"\x01\x02"),), 2),
    "36": VideoData(VideoFrameType.DISPOSABLE_INTER_FRAME, FRAMES, (VideoTrack("FSV2"),), 6),
    "19 aa": VideoData(KEY, FRAMES, (VideoTrack(None, b"\xaa"),), 9),
    "70": VideoData(7, FRAMES, (VideoTrack(None),), 0),
    "57 00": VideoData(COMMAND, None, codec_id=7, command=VideoCommand.START_SEEK),
    "52 01": VideoData(COMMAND, None, codec_id=2, command=VideoCommand.END_SEEK),
    "57 09": VideoData(COMMAND, None, codec_id=7, command=9),
}
NANO = ModEx(ModExType.TIMESTAMP_OFFSET_NANO, b"\x0f\x42\x3f")
LONG = ModEx(5, bytes(256))
ENHANCED = {
    f"90 {HVC1} 0102": VideoData(KEY, START, (VideoTrack("hvc1", b"\x01\x02"),)),
    f"a1 {HVC1} 000050 aa": VideoData(INTER, FRAMES, (VideoTrack("hvc1", b"\xaa", 0, 80),)),
    f"91 {AVC1} ffffff": VideoData(KEY, FRAMES, (VideoTrack("avc1", b"", 0, -1),)),
    "91 76766331 000001": VideoData(KEY, FRAMES, (VideoTrack("vvc1", b"", 0, 1),)),
    f"91 {AV01} 120034": VideoData(KEY, FRAMES, (VideoTrack("av01", b"\x12\x00\x34"),)),
    "91 76703038 01": VideoData(KEY, FRAMES, (VideoTrack("vp08", b"\x01"),)),
    f"92 {AVC1}": VideoData(KEY, END, (VideoTrack("avc1"),)),
    f"a3 {HVC1} 01": VideoData(INTER, FRAMES_X, (VideoTrack("hvc1", b"\x01"),)),
    f"d4 {HVC1} 02": VideoData(COMMAND, METADATA, (VideoTrack("hvc1", b"\x02"),)),
    f"95 {AV01} 80": VideoData(KEY, VideoPacketType.MPEG2TS_SEQUENCE_START, (VideoTrack("av01", b"\x80"),)),
    "d0 01": VideoData(COMMAND, None, command=VideoCommand.END_SEEK),
    "d0 fe": VideoData(COMMAND, None, command=254),
    "f1 00ff00ff 01": VideoData(7, FRAMES, (VideoTrack("\x00\xff\x00\xff", b"\x01"),)),
    f"9e {AV01} 01": VideoData(KEY, 14, (VideoTrack("av01", b"\x01"),)),
    # ModEx: size less one, data, its type and the packet type that follows.
    f"97 02 0f423f 01 {AV01} aa": VideoData(KEY, FRAMES, (VideoTrack("av01", b"\xaa"),), mod_ex=(NANO,)),
    f"97 02 0f423f 07 00 99 f3 {HVC1} aa": VideoData(
        KEY, FRAMES_X, (VideoTrack("hvc1", b"\xaa"),), mod_ex=(NANO, ModEx(15, b"\x99"))
    ),
    f"a7 ff 00ff {'00' * 256} 53 {HVC1}": VideoData(INTER, FRAMES_X, (VideoTrack("hvc1"),), mod_ex=(LONG,)),
    "d7 00 99 10 01": VideoData(COMMAND, None, command=VideoCommand.END_SEEK, mod_ex=(ModEx(1, b"\x99"),)),
    # Multitrack: its type and the packet type of its tracks, FourCC, track id, size.
    f"96 00 {AVC1} 01 aabb": VideoData(KEY, START, (VideoTrack("avc1", b"\xaa\xbb", 1),), multitrack_type=0),
    f"96 01 {AVC1} ff 000050 aa": VideoData(KEY, FRAMES, (VideoTrack("avc1", b"\xaa", 255, 80),), multitrack_type=0),
    f"96 11 {HVC1} 00 000004 000001 aa 02 000003 000002": VideoData(
        KEY,
        FRAMES,
        (VideoTrack("hvc1", b"\xaa", 0, 1), VideoTrack("hvc1", b"", 2, 2)),
        multitrack_type=MultitrackType.MANY_TRACKS,
    ),
    f"96 21 {AVC1} 00 000004 000001 aa {AV01} 01 000002 bbcc": VideoData(
        KEY,
        FRAMES,
        (VideoTrack("avc1", b"\xaa", 0, 1), VideoTrack("av01", b"\xbb\xcc", 1)),
        multitrack_type=MultitrackType.MANY_TRACKS_MANY_CODECS,
    ),
    f"97 00 01 16 13 {AV01} 00 000000": VideoData(
        KEY,
        FRAMES_X,
        (VideoTrack("av01"),),
        multitrack_type=MultitrackType.MANY_TRACKS,
        mod_ex=(ModEx(1, b"\x01"),),
    ),
    # A ModEx inside the envelope is not foreseen: a packet type like any that nobody knows.
    f"96 07 {AV01} 01 aa": VideoData(KEY, VideoPacketType.MOD_EX, (VideoTrack("av01", b"\xaa", 1),), multitrack_type=0),
    "96 31 aabb": VideoData(KEY, FRAMES, (VideoTrack(None, b"\xaa\xbb"),), multitrack_type=3),
}
ALL = LEGACY | ENHANCED


@pytest.mark.parametrize("body", ALL)
def test_a_body_decodes_to_what_the_tables_say(body: str) -> None:
    assert decode_video_data(bytes.fromhex(body)) == ALL[body]


@pytest.mark.parametrize("body", ALL)
def test_a_message_encodes_to_what_the_tables_say(body: str) -> None:
    assert encode_video_data(ALL[body]) == bytes.fromhex(body)


def test_known_values_come_out_under_their_names() -> None:
    video = decode_video_data(bytes.fromhex(f"96 11 {AV01} 00 000000"))
    assert video.frame_type is VideoFrameType.KEY_FRAME
    assert video.packet_type is VideoPacketType.CODED_FRAMES
    assert video.multitrack_type is MultitrackType.MANY_TRACKS
    assert decode_video_data(b"\x57\x01").command is VideoCommand.END_SEEK


def test_a_timestamp_offset_is_read_from_mod_ex() -> None:
    assert decode_video_data(bytes.fromhex(f"97 02 0f423f 01 {AV01}")).timestamp_offset_ns == 999_999
    assert decode_video_data(bytes.fromhex(f"97 03 00000aff 01 {AV01}")).timestamp_offset_ns == 10
    assert decode_video_data(bytes.fromhex(f"97 02 ffffff 11 {AV01}")).timestamp_offset_ns == 0
    assert ModEx.timestamp_offset(999_999) == NANO
    assert ModEx.timestamp_offset(0).data == b"\x00\x00\x00"


@pytest.mark.parametrize("nanoseconds", [-1, 1_000_000])
def test_a_timestamp_offset_of_a_millisecond_is_refused(nanoseconds: int) -> None:
    with pytest.raises(LocalProtocolError, match="999999 ns"):
        ModEx.timestamp_offset(nanoseconds)


@pytest.mark.parametrize("body", ["1702", "170200", "17020000"])
def test_a_sequence_end_may_come_without_a_composition_time(body: str) -> None:
    assert decode_video_data(bytes.fromhex(body)) == VideoData(KEY, END, (VideoTrack("avc1"),), 7)


@pytest.mark.parametrize("body", ALL)
def test_a_truncated_header_is_refused(body: str) -> None:
    whole = bytes.fromhex(body)
    for size in range(len(whole)):
        try:
            video = decode_video_data(whole[:size])
        except RemoteProtocolError:
            continue
        # What is cut from a payload leaves a message: a shorter payload, nothing else.
        assert len(encode_video_data(video)) >= size


@pytest.mark.parametrize(
    "body",
    [
        "",
        "17",  # no AVCPacketType
        "1701 0000",  # two bytes of composition time
        "57",  # no command
        "d0",
        "90 617663",  # three bytes of FourCC
        f"91 {HVC1} 0000",
        "97",  # no size of ModEx
        "97 ff 00",
        "97 02 0000",
        "97 00 00",  # no types after the data
        f"97 01 0000 01 {AV01}",  # a TimestampOffsetNano of two bytes
        f"97 02 0f4240 01 {AV01}",  # and one of a million
        "96",
        f"96 06 {AV01} 00",  # multitrack in multitrack
        f"97 00 01 16 16 {AV01} 00",
        f"96 00 {AV01}",  # no track id
        f"96 10 {AV01}",  # no track
        f"96 10 {AV01} 00 000002 aa",  # a track of two bytes with one
        f"96 10 {AV01} 00 000001 aa 01",  # the second track cut short
        f"96 20 {AV01} 00 000001 aa {AV01}",
        f"96 11 {HVC1} 00 000002 0000",  # a track too short for its composition time
    ],
)
def test_a_malformed_body_is_refused(body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_video_data(bytes.fromhex(body))


TRACK = (VideoTrack("av01"),)


@pytest.mark.parametrize(
    "video",
    [
        VideoData(8, FRAMES, TRACK),
        VideoData(KEY, FRAMES, ()),
        VideoData(KEY, FRAMES, (*TRACK, *TRACK)),
        VideoData(KEY, FRAMES, (VideoTrack("av01", track_id=1),)),
        VideoData(KEY, FRAMES, (VideoTrack(None),)),
        VideoData(KEY, FRAMES, (VideoTrack("av1"),)),
        VideoData(KEY, FRAMES, (VideoTrack("av0€"),)),
        VideoData(KEY, FRAMES, (VideoTrack("av01", composition_time_ms=1),)),
        VideoData(KEY, FRAMES_X, (VideoTrack("hvc1", composition_time_ms=1),)),
        VideoData(KEY, FRAMES, (VideoTrack("hvc1", composition_time_ms=2**23),)),
        VideoData(KEY, FRAMES, (VideoTrack("hvc1", composition_time_ms=-(2**23) - 1),)),
        VideoData(KEY, 16, TRACK),
        VideoData(KEY, -1, TRACK),
        VideoData(KEY, VideoPacketType.MULTITRACK, TRACK),
        VideoData(KEY, VideoPacketType.MOD_EX, TRACK),
        VideoData(KEY, None, command=1),
        VideoData(COMMAND, None),
        VideoData(COMMAND, None, command=256),
        VideoData(COMMAND, FRAMES, TRACK),
        VideoData(COMMAND, METADATA, TRACK, multitrack_type=0),
        VideoData(KEY, VideoPacketType.MULTITRACK, TRACK, multitrack_type=0),
        VideoData(KEY, FRAMES, TRACK, multitrack_type=16),
        VideoData(KEY, FRAMES, (), multitrack_type=1),
        VideoData(KEY, FRAMES, (*TRACK, *TRACK), multitrack_type=0),
        VideoData(KEY, FRAMES, (*TRACK, VideoTrack("vp09", b"", 1)), multitrack_type=1),
        VideoData(KEY, FRAMES, (VideoTrack("av01", b"", 256),), multitrack_type=1),
        VideoData(KEY, FRAMES, (VideoTrack("av01", bytes(0x1000000)),), multitrack_type=1),
        VideoData(KEY, FRAMES, TRACK, mod_ex=(ModEx(0, b""),)),
        VideoData(KEY, FRAMES, TRACK, mod_ex=(ModEx(0, bytes(0x10001)),)),
        VideoData(KEY, FRAMES, TRACK, mod_ex=(ModEx(16, b"a"),)),
        VideoData(KEY, FRAMES, TRACK, 16),
        VideoData(KEY, FRAMES, TRACK, 7, mod_ex=(NANO,)),
        VideoData(KEY, FRAMES, TRACK, 7, multitrack_type=0),
        VideoData(KEY, FRAMES_X, TRACK, 7),
        VideoData(COMMAND, None, codec_id=7),
        VideoData(KEY, FRAMES, TRACK, mod_ex=(ModEx(0, b"\x01"),)),
        VideoData(KEY, FRAMES, TRACK, mod_ex=(ModEx(0, (1_000_000).to_bytes(3, "big")),)),
        VideoData(KEY, FRAMES, (VideoTrack("FLV1", b"x", 0, 40),), codec_id=2),
        VideoData(KEY, None, (VideoTrack("avc1", b"\x03x", 0, 40),), codec_id=7),
        VideoData(KEY, VideoPacketType.SEQUENCE_START, (VideoTrack("FLV1", b"x"),), codec_id=2),
        VideoData(KEY, FRAMES, TRACK, command=1),
        VideoData(KEY, FRAMES, TRACK, codec_id=7, command=1),
        VideoData(COMMAND, None, TRACK, command=1),
        VideoData(COMMAND, None, TRACK, codec_id=7, command=1),
    ],
)
def test_a_message_that_contradicts_itself_is_refused(video: VideoData) -> None:
    with pytest.raises(LocalProtocolError):
        encode_video_data(video)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 0x10000])
def test_mod_ex_data_of_every_width_survives(size: int) -> None:
    video = VideoData(KEY, FRAMES, TRACK, mod_ex=(ModEx(3, bytes(size)),))
    assert decode_video_data(encode_video_data(video)) == video


@pytest.mark.parametrize("name", NAMES)
def test_recorded_bodies_are_encoded_again_byte_for_byte(name: str) -> None:
    for tag in tags(name, 9):
        assert encode_video_data(decode_video_data(tag.body)) == tag.body


@given(
    st.binary(max_size=40)
    | st.tuples(st.sampled_from(sorted(ALL)), st.binary(max_size=9)).map(
        lambda pair: bytes.fromhex(pair[0])[: len(pair[1])] + pair[1]
    )
)
def test_any_bytes_decode_or_raise_and_what_decodes_survives_a_round_trip(body: bytes) -> None:
    try:
        video = decode_video_data(body)
    except RemoteProtocolError:
        return
    assert decode_video_data(encode_video_data(video)) == video
