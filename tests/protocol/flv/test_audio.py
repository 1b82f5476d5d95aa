"""AUDIODATA, legacy and enhanced: bytes written down by hand from FLV 10.1, E.4.2 and Enhanced RTMP v2, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import LocalProtocolError, RemoteProtocolError
from protocol.flv import (
    AudioChannelOrder,
    AudioData,
    AudioPacketType,
    AudioTrack,
    ModEx,
    ModExType,
    MultichannelConfig,
    MultitrackType,
    decode_audio_data,
    encode_audio_data,
)

from .replay import NAMES, tags

START, FRAMES, END = AudioPacketType.SEQUENCE_START, AudioPacketType.CODED_FRAMES, AudioPacketType.SEQUENCE_END
CONFIG = AudioPacketType.MULTICHANNEL_CONFIG
OPUS, MP4A = "4f707573", "6d703461"
NANO = ModEx(ModExType.TIMESTAMP_OFFSET_NANO, b"\x00\x00\x05")

ALL = {
    "": AudioData(None),
    "af 00 1190": AudioData(START, (AudioTrack("mp4a", b"\x11\x90"),), 10, 3, 1, 1),
    "af 01 21": AudioData(FRAMES, (AudioTrack("mp4a", b"\x21"),), 10, 3, 1, 1),
    "af 02 21": AudioData(None, (AudioTrack("mp4a", b"\x02\x21"),), 10, 3, 1, 1),
    "2e fffb": AudioData(FRAMES, (AudioTrack(".mp3", b"\xff\xfb"),), 2, 3, 1, 0),
    "b6 aa": AudioData(FRAMES, (AudioTrack("spex", b"\xaa"),), 11, 1, 1, 0),
    "d0 aa": AudioData(FRAMES, (AudioTrack("Opus", b"\xaa"),), 13, 0, 0, 0),
    "c1": AudioData(FRAMES, (AudioTrack(None),), 12, 0, 0, 1),
    f"90 {OPUS} 01": AudioData(START, (AudioTrack("Opus", b"\x01"),)),
    f"91 {OPUS} fc": AudioData(FRAMES, (AudioTrack("Opus", b"\xfc"),)),
    f"92 {MP4A}": AudioData(END, (AudioTrack("mp4a"),)),
    f"94 {MP4A} 0106 0000003f": AudioData(CONFIG, (AudioTrack("mp4a", b"\x01\x06\x00\x00\x00\x3f"),)),
    "93 00000000 aa": AudioData(3, (AudioTrack("\0\0\0\0", b"\xaa"),)),
    f"97 02 000005 01 {OPUS} aa": AudioData(FRAMES, (AudioTrack("Opus", b"\xaa"),), mod_ex=(NANO,)),
    f"95 01 {OPUS} 01 aa": AudioData(
        FRAMES, (AudioTrack("Opus", b"\xaa", 1),), multitrack_type=MultitrackType.ONE_TRACK
    ),
    f"95 11 {OPUS} 01 000001 aa 02 000000": AudioData(
        FRAMES,
        (AudioTrack("Opus", b"\xaa", 1), AudioTrack("Opus", b"", 2)),
        multitrack_type=MultitrackType.MANY_TRACKS,
    ),
    f"97 02 000005 05 20 {OPUS} 01 000001 aa {MP4A} 02 000002 1190": AudioData(
        START,
        (AudioTrack("Opus", b"\xaa", 1), AudioTrack("mp4a", b"\x11\x90", 2)),
        multitrack_type=MultitrackType.MANY_TRACKS_MANY_CODECS,
        mod_ex=(NANO,),
    ),
    # 6 is Multitrack for video; audio has no such packet type.
    f"96 {OPUS} 01": AudioData(6, (AudioTrack("Opus", b"\x01"),)),
    f"95 06 {OPUS} 01": AudioData(6, (AudioTrack("Opus", b"", 1),), multitrack_type=0),
    "95 f1 aabb": AudioData(FRAMES, (AudioTrack(None, b"\xaa\xbb"),), multitrack_type=15),
}


@pytest.mark.parametrize("body", ALL)
def test_a_body_decodes_to_what_the_tables_say(body: str) -> None:
    assert decode_audio_data(bytes.fromhex(body)) == ALL[body]


@pytest.mark.parametrize("body", ALL)
def test_a_message_encodes_to_what_the_tables_say(body: str) -> None:
    assert encode_audio_data(ALL[body]) == bytes.fromhex(body)


def test_a_message_without_a_byte_is_silence() -> None:
    assert decode_audio_data(b"").is_silence
    assert not decode_audio_data(b"\xaf\x01").is_silence


def test_known_values_come_out_under_their_names() -> None:
    audio = decode_audio_data(bytes.fromhex(f"95 11 {OPUS} 01 000000"))
    assert audio.packet_type is AudioPacketType.CODED_FRAMES
    assert audio.multitrack_type is MultitrackType.MANY_TRACKS


def test_a_timestamp_offset_is_read_from_mod_ex() -> None:
    assert decode_audio_data(bytes.fromhex(f"97 02 000005 01 {OPUS}")).timestamp_offset_ns == 5
    assert decode_audio_data(b"\xaf\x01").timestamp_offset_ns == 0


@pytest.mark.parametrize(
    ("first", "rate"),
    [
        *[("2e", 44100), ("2a", 22050), ("26", 11025), ("22", 5512), ("b6", 16000), ("46", 16000)],
        *[("52", 8000), ("e2", 8000), ("72", 8000), ("82", 8000)],
    ],
)
def test_a_legacy_header_says_the_sample_rate(first: str, rate: int) -> None:
    assert decode_audio_data(bytes.fromhex(first)).legacy_sample_rate_hz == rate


def test_an_enhanced_header_says_no_sample_rate() -> None:
    assert decode_audio_data(bytes.fromhex(f"91 {OPUS}")).legacy_sample_rate_hz is None


@pytest.mark.parametrize(
    "body",
    [
        "af",  # no AACPacketType
        "91 4f7075",
        "97",
        "97 02 000005",
        f"95 05 {OPUS} 00",  # multitrack in multitrack
        f"95 10 {OPUS}",
        f"95 10 {OPUS} 00 000002 aa",
    ],
)
def test_a_malformed_body_is_refused(body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_audio_data(bytes.fromhex(body))


TRACK = (AudioTrack("Opus"),)


@pytest.mark.parametrize(
    "audio",
    [
        AudioData(FRAMES, ()),
        AudioData(FRAMES, (*TRACK, *TRACK)),
        AudioData(FRAMES, (AudioTrack("Opus", track_id=1),)),
        AudioData(FRAMES, (AudioTrack(None),)),
        AudioData(None, TRACK),
        AudioData(16, TRACK),
        AudioData(AudioPacketType.MOD_EX, TRACK),
        AudioData(AudioPacketType.MULTITRACK, TRACK),
        AudioData(AudioPacketType.MULTITRACK, TRACK, multitrack_type=0),
        AudioData(FRAMES, TRACK, 9),
        AudioData(FRAMES, TRACK, 16),
        AudioData(FRAMES, TRACK, 10, sound_rate=4),
        AudioData(FRAMES, TRACK, 10, sound_size=2),
        AudioData(FRAMES, TRACK, 10, sound_type=2),
        AudioData(FRAMES, TRACK, 10, mod_ex=(NANO,)),
        AudioData(FRAMES, TRACK, 10, multitrack_type=0),
        AudioData(END, TRACK, 10),
        AudioData(START, TRACK, 2),
    ],
)
def test_a_message_that_contradicts_itself_is_refused(audio: AudioData) -> None:
    with pytest.raises(LocalProtocolError):
        encode_audio_data(audio)


CHANNELS = {
    "00 02": MultichannelConfig(AudioChannelOrder.UNSPECIFIED, 2),
    "01 06 0000003f": MultichannelConfig(AudioChannelOrder.NATIVE, 6, flags=0x3F),
    "02 03 00 fe ff": MultichannelConfig(AudioChannelOrder.CUSTOM, 3, b"\x00\xfe\xff"),
    "07 01": MultichannelConfig(7, 1),
}


@pytest.mark.parametrize("data", CHANNELS)
def test_a_multichannel_config_goes_both_ways(data: str) -> None:
    assert MultichannelConfig.decode(bytes.fromhex(data)) == CHANNELS[data]
    assert CHANNELS[data].encode() == bytes.fromhex(data)


@pytest.mark.parametrize("data", ["", "00", "01 06 000000", "02 03 0000"])
def test_a_short_multichannel_config_is_refused(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        MultichannelConfig.decode(bytes.fromhex(data))


@pytest.mark.parametrize(
    "config",
    [
        MultichannelConfig(256, 1),
        MultichannelConfig(0, 256),
        MultichannelConfig(2, 2, b"\x00"),
        MultichannelConfig(0, 1, b"\x00"),
        MultichannelConfig(1, 1, flags=2**32),
        MultichannelConfig(0, 2, flags=3),
        MultichannelConfig(2, 1, b"\x00", flags=1),
    ],
)
def test_a_multichannel_config_that_does_not_fit_is_refused(config: MultichannelConfig) -> None:
    with pytest.raises(LocalProtocolError):
        config.encode()


@pytest.mark.parametrize("name", NAMES)
def test_recorded_bodies_are_encoded_again_byte_for_byte(name: str) -> None:
    for tag in tags(name, 8):
        assert encode_audio_data(decode_audio_data(tag.body)) == tag.body


@given(
    st.binary(max_size=40)
    | st.tuples(st.sampled_from(sorted(ALL)), st.binary(max_size=9)).map(
        lambda pair: bytes.fromhex(pair[0])[: len(pair[1])] + pair[1]
    )
)
def test_any_bytes_decode_or_raise_and_what_decodes_survives_a_round_trip(body: bytes) -> None:
    try:
        audio = decode_audio_data(body)
    except RemoteProtocolError:
        return
    assert decode_audio_data(encode_audio_data(audio)) == audio
