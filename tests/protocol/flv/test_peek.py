"""What the first bytes say: for each form of header by hand, and for every body the same as decoding it whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import RemoteProtocolError
from protocol.flv import (
    AudioPacketType,
    TagType,
    VideoPacketType,
    composition_time,
    decode_audio_data,
    decode_video_data,
    is_codec_configuration,
    is_keyframe,
    is_metadata_frame,
    track_id,
)

from .replay import NAMES, tags

AUDIO, VIDEO, SCRIPT = TagType.AUDIO, TagType.VIDEO, TagType.SCRIPT
HVC1, AV01, OPUS = "68766331", "61763031", "4f707573"


@pytest.mark.parametrize(
    ("body", "keyframe", "configuration", "time", "track"),
    [
        ("17 00 000000 0164", False, True, 0, 0),
        ("17 01 000050 aa", True, False, 80, 0),
        ("27 01 ffffff aa", False, False, -1, 0),
        ("17 02 000000", False, False, 0, 0),
        ("47 01 000000", True, False, 0, 0),
        ("1c 01 800000", True, False, -(2**23), 0),
        ("12 aabbccddee", True, False, 0, 0),
        ("22 aabbccddee", False, False, 0, 0),
        ("57 00 00000000", False, False, 0, 0),
        (f"90 {HVC1} 01", False, True, 0, 0),
        (f"91 {HVC1} 000028 aa", True, False, 40, 0),
        (f"a1 {HVC1} fffff6 aa", False, False, -10, 0),
        (f"91 {AV01} 000028 aa", True, False, 0, 0),
        (f"93 {HVC1} 000028 aa", True, False, 0, 0),
        (f"c3 {HVC1}", True, False, 0, 0),
        (f"92 {HVC1}", False, False, 0, 0),
        (f"94 {HVC1}", False, False, 0, 0),
        (f"95 {AV01} 80", False, True, 0, 0),
        ("d0 01 00000000", False, False, 0, 0),
        ("d6 01 61763031 05", False, False, 0, 0),
        (f"96 01 {HVC1} 05 000050", True, False, 80, 5),
        (f"96 11 {HVC1} 06 000004 000028 aa 07 000000", True, False, 40, 6),
        (f"96 21 {HVC1} 07 000003 000028", True, False, 40, 7),
        (f"96 00 {HVC1} 08", False, True, 0, 8),
        ("96 31 68766331 09 000050", True, False, 0, 0),
        (f"97 00 99 f1 {HVC1} 000003", True, False, 3, 0),
        (f"97 ff 00ff {'00' * 256} 10 {HVC1}", False, True, 0, 0),
        (f"97 00 99 06 01 {HVC1} 05 000050", True, False, 80, 5),
    ],
)
def test_a_video_body_tells_by_its_first_bytes(
    body: str, keyframe: bool, configuration: bool, time: int, track: int
) -> None:
    data = bytes.fromhex(body)
    for form in (data, bytearray(data), memoryview(data)):
        assert is_keyframe(form) is keyframe
        assert is_codec_configuration(VIDEO, form) is configuration
        assert composition_time(form) == time
        assert track_id(VIDEO, form) == track


@pytest.mark.parametrize(
    ("body", "configuration", "track"),
    [
        ("af 00 1190", True, 0),
        ("af 01 21", False, 0),
        ("2e 00", False, 0),
        (f"90 {OPUS}", True, 0),
        (f"91 {OPUS}", False, 0),
        (f"94 {OPUS} 0002", True, 0),
        (f"95 00 {OPUS} 03", True, 3),
        (f"95 01 {OPUS} 04 aa", False, 4),
        (f"97 00 99 00 {OPUS}", True, 0),
        (f"96 {OPUS} 03", False, 0),
    ],
)
def test_an_audio_body_tells_by_its_first_bytes(body: str, configuration: bool, track: int) -> None:
    data = bytes.fromhex(body)
    assert is_codec_configuration(AUDIO, data) is configuration
    assert track_id(AUDIO, data) == track


def test_a_metadata_frame_is_known_whatever_its_frame_type() -> None:
    assert is_metadata_frame(bytes.fromhex(f"d4 {HVC1} 02"))
    assert is_metadata_frame(bytes.fromhex(f"96 04 {HVC1} 01 02"))
    assert not is_metadata_frame(bytes.fromhex(f"91 {HVC1} 000000"))
    assert not is_metadata_frame(bytes.fromhex("14 00"))
    assert not is_metadata_frame(b"")


def test_a_command_frame_holds_no_metadata_behind_a_multitrack_envelope() -> None:
    for body in (f"d6 04 {HVC1} 01 02", "d6 d4 07", f"d7 00 00 16 04 {HVC1} 01 02"):
        assert decode_video_data(bytes.fromhex(body)).packet_type is None
        assert not is_metadata_frame(bytes.fromhex(body))
    assert is_metadata_frame(bytes.fromhex(f"d7 00 00 14 {HVC1} 02"))


def test_script_data_is_no_configuration_and_belongs_to_no_track() -> None:
    assert not is_codec_configuration(SCRIPT, b"\x17\x00\x00\x00\x00")
    assert not is_codec_configuration(SCRIPT, b"\xaf\x00")
    assert track_id(SCRIPT, bytes.fromhex(f"95 01 {OPUS} 04")) == 0


def test_an_empty_body_is_nothing() -> None:
    assert not is_keyframe(b"")
    assert not is_codec_configuration(VIDEO, b"")
    assert not is_codec_configuration(AUDIO, b"")
    assert composition_time(b"") == 0
    assert track_id(VIDEO, b"") == track_id(AUDIO, b"") == 0


def check_video(body: bytes) -> None:
    """The first bytes and the whole body say the same."""
    video = decode_video_data(body)
    first = video.tracks[0] if video.tracks else None
    assert is_keyframe(body) == video.is_keyframe
    assert is_codec_configuration(VIDEO, body) == (
        video.packet_type in (VideoPacketType.SEQUENCE_START, VideoPacketType.MPEG2TS_SEQUENCE_START)
    )
    assert is_metadata_frame(body) == (video.codec_id is None and video.packet_type == VideoPacketType.METADATA)
    assert track_id(VIDEO, body) == (first.track_id if first else 0)
    if video.packet_type == VideoPacketType.CODED_FRAMES:
        assert composition_time(body) == (first.composition_time_ms if first else 0)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_bodies_tell_the_same_as_decoding_them(name: str) -> None:
    for tag in tags(name, VIDEO):
        check_video(tag.body)
    for tag in tags(name, AUDIO):
        audio = decode_audio_data(tag.body)
        assert is_codec_configuration(AUDIO, tag.body) == (
            audio.packet_type in (AudioPacketType.SEQUENCE_START, AudioPacketType.MULTICHANNEL_CONFIG)
        )
        assert track_id(AUDIO, tag.body) == audio.tracks[0].track_id


FIRST_BYTES = st.sampled_from([0x17, 0x27, 0x1C, 0x90, 0x91, 0xA1, 0xD4, 0xD0, 0x96, 0x97, 0xA7, 0x95, 0x94, 0xAF])
TYPES = st.sampled_from([b"\x00", b"\x01", b"\x11", b"\x21", b"\x10", b"\x31", b"\x02\x00\x00\x00\x16\x01"])
FOURCC = st.sampled_from([b"hvc1", b"av01", b"avc1", b"Opus"])
BODIES = st.builds(
    lambda first, types, fourcc, rest: bytes((first,)) + types + fourcc + rest,
    FIRST_BYTES,
    TYPES | st.just(b""),
    FOURCC,
    st.binary(max_size=12),
)


@given(BODIES | st.binary(max_size=24))
def test_any_video_body_tells_the_same_as_decoding_it(body: bytes) -> None:
    try:
        decode_video_data(body)
    except RemoteProtocolError:
        # Nothing to compare with; asking does no harm.
        is_keyframe(body)
        is_codec_configuration(VIDEO, body)
        composition_time(body)
        track_id(VIDEO, body)
    else:
        check_video(body)


@given(BODIES | st.binary(max_size=24))
def test_any_audio_body_tells_the_same_as_decoding_it(body: bytes) -> None:
    told = is_codec_configuration(AUDIO, body), track_id(AUDIO, body)
    try:
        audio = decode_audio_data(body)
    except RemoteProtocolError:
        return
    packet_types = (AudioPacketType.SEQUENCE_START, AudioPacketType.MULTICHANNEL_CONFIG)
    assert told == (audio.packet_type in packet_types, audio.tracks[0].track_id if audio.tracks else 0)
