"""Script data, metadata frames, onMetaData and colorInfo."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import Limits, LocalProtocolError, RemoteProtocolError
from protocol.amf import UNDEFINED, AvmPlus, EcmaArray, amf0
from protocol.flv import (
    ColorInfo,
    ScriptData,
    StreamMetadata,
    TagType,
    TrackMetadata,
    decode_metadata_frame,
    decode_script_data,
    encode_metadata_frame,
    encode_script_data,
    fourcc_from_number,
    fourcc_to_number,
    legacy_audio_fourcc,
    legacy_video_fourcc,
    without_set_data_frame,
)

ON_META_DATA = bytes.fromhex("02 000a") + b"onMetaData"
WIDTH = bytes.fromhex("08 00000001 0005") + b"width" + bytes.fromhex("00 4064000000000000 000009")


def test_script_data_is_a_name_and_its_values() -> None:
    expected = ScriptData("onMetaData", (EcmaArray({"width": 160.0}),))
    assert decode_script_data(ON_META_DATA + WIDTH) == expected
    assert encode_script_data(expected) == ON_META_DATA + WIDTH


def test_script_data_may_have_no_values_or_many() -> None:
    assert decode_script_data(ON_META_DATA) == ScriptData("onMetaData", ())
    assert decode_script_data(ON_META_DATA + b"\x05\x01\x01") == ScriptData("onMetaData", (None, True))


def test_amf_3_script_data_has_a_format_byte_and_switches_each_value() -> None:
    body = b"\x00" + ON_META_DATA + b"\x11\x04\x05" + b"\x00" + bytes(8)
    script = ScriptData("onMetaData", (5, 0.0))
    assert decode_script_data(body, tag_type=TagType.AMF3_SCRIPT) == script
    again = encode_script_data(ScriptData("onMetaData", (AvmPlus(5), 0.0)), tag_type=TagType.AMF3_SCRIPT)
    assert again == body


def test_an_object_end_behind_the_values_is_passed_over() -> None:
    # FLV 9 ended the list of values with one.
    assert decode_script_data(ON_META_DATA + WIDTH + b"\x00\x00\x09") == decode_script_data(ON_META_DATA + WIDTH)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x05",
        b"\x00" + bytes(8),
        ON_META_DATA[:-1],
        ON_META_DATA + WIDTH[:-1],
        ON_META_DATA + b"\x00\x00\x09\x00\x00\x09",
        ON_META_DATA + WIDTH + b"\x0a\x00\x00\x09",
    ],
)
def test_malformed_script_data_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_script_data(body)


@pytest.mark.parametrize("body", [b"", ON_META_DATA, b"\x03" + ON_META_DATA])
def test_amf_3_script_data_without_its_format_byte_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="format byte 0"):
        decode_script_data(body, tag_type=TagType.AMF3_SCRIPT)


def test_script_data_keeps_to_the_limits() -> None:
    with pytest.raises(RemoteProtocolError):
        decode_script_data(ON_META_DATA + WIDTH, limits=Limits(amf_values=1))
    nested = ON_META_DATA + b"\x0a\x00\x00\x00\x01" * 100_000
    with pytest.raises(RemoteProtocolError):
        decode_script_data(nested)


def test_set_data_frame_is_taken_off_and_the_rest_stays_byte_for_byte() -> None:
    published = amf0.encode("@setDataFrame") + ON_META_DATA + WIDTH
    assert without_set_data_frame(published) == ON_META_DATA + WIDTH
    assert without_set_data_frame(ON_META_DATA + WIDTH) == ON_META_DATA + WIDTH


@given(st.binary(max_size=40).map(lambda rest: ON_META_DATA + rest) | st.binary(max_size=40))
def test_any_bytes_are_script_data_or_refused(body: bytes) -> None:
    for read in (decode_script_data, decode_metadata_frame):
        try:
            read(body)
        except RemoteProtocolError:
            pass


COLOR_INFO = {
    "colorConfig": {
        "bitDepth": 10.0,
        "colorPrimaries": 9.0,
        "transferCharacteristics": 16.0,
        "matrixCoefficients": 9.0,
    },
    "hdrCll": {"maxFall": 400.0, "maxCLL": 1000.0},
    "hdrMdcv": {
        "redX": 0.68,
        "redY": 0.32,
        "greenX": 0.265,
        "greenY": 0.69,
        "blueX": 0.15,
        "blueY": 0.06,
        "whitePointX": 0.3127,
        "whitePointY": 0.329,
        "maxLuminance": 1000.0,
        "minLuminance": 0.0001,
    },
}


def test_a_metadata_frame_is_pairs_of_name_and_value() -> None:
    data = b"\x02\x00\x09colorInfo" + amf0.encode(COLOR_INFO) + b"\x02\x00\x01x\x06"
    pairs = (("colorInfo", COLOR_INFO), ("x", UNDEFINED))
    assert decode_metadata_frame(data) == pairs
    assert encode_metadata_frame(pairs) == data
    assert decode_metadata_frame(b"") == ()


@pytest.mark.parametrize("data", [b"\x02\x00\x01x", b"\x05\x05", b"\x02\x00\x01x\x05\x05\x05", b"\xff"])
def test_a_malformed_metadata_frame_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_metadata_frame(data)


def test_a_metadata_name_that_is_no_string_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="strings"):
        encode_metadata_frame([(5, None)])  # type: ignore[list-item] # the mistake is the point


def test_color_info_goes_both_ways() -> None:
    color = ColorInfo.from_amf(COLOR_INFO)  # type: ignore[arg-type] # dicts of dicts of floats are Values
    assert color.bit_depth == 10
    assert color.max_cll == 1000
    assert color.white_point_y == 0.329
    assert color.to_amf() == COLOR_INFO


@pytest.mark.parametrize("value", [UNDEFINED, None, {}, 5.0, {"colorConfig": 7.0}, {"hdrCll": {"maxFall": "high"}}])
def test_color_info_without_a_value_resets_everything(value: object) -> None:
    assert ColorInfo.from_amf(value) == ColorInfo()  # type: ignore[arg-type] # any Value may come
    assert ColorInfo().to_amf() == {}


METADATA = EcmaArray(
    {
        "duration": 12.5,
        "width": 1280.0,
        "height": 720.0,
        "framerate": 25.0,
        "videocodecid": 7.0,
        "videodatarate": 2500.0,
        "audiocodecid": 10.0,
        "audiodatarate": 128.0,
        "audiosamplerate": 48000.0,
        "audiochannels": 2.0,
        "stereo": True,
        "encoder": "obs",
        "videoTrackIdInfoMap": {"1": {"width": 640.0, "height": 360.0, "videocodecid": 1635135537.0}},
        "audioTrackIdInfoMap": {
            "2": {"channels": 6.0, "samplerate": 44100.0, "audiocodecid": 1332770163.0, "audiodatarate": 320.0}
        },
    }
)


def test_on_meta_data_is_read() -> None:
    metadata = StreamMetadata.from_amf(METADATA)
    assert metadata.default == TrackMetadata(
        width=1280,
        height=720,
        frame_rate=25,
        video_codec="avc1",
        video_bit_rate_kbps=2500,
        audio_codec="mp4a",
        audio_bit_rate_kbps=128,
        sample_rate=48000,
        channels=2,
    )
    assert metadata.duration_s == 12.5
    assert metadata.video_tracks == {1: TrackMetadata(width=640, height=360, video_codec="av01")}
    opus = TrackMetadata(audio_codec="Opus", audio_bit_rate_kbps=320, sample_rate=44100, channels=6)
    assert metadata.audio_tracks == {2: opus}
    assert metadata.extra == {"encoder": "obs"}


def test_on_meta_data_is_made() -> None:
    assert dict(StreamMetadata.from_amf(METADATA).to_amf()) == dict(METADATA)
    assert isinstance(StreamMetadata().to_amf(), EcmaArray)
    assert StreamMetadata().to_amf() == {}


def test_on_meta_data_names_codecs_by_legacy_number_or_fourcc() -> None:
    made = StreamMetadata(TrackMetadata(video_codec="hvc1", audio_codec=".mp3")).to_amf()
    assert made == {"videocodecid": 0x68766331, "audiocodecid": 2}


@pytest.mark.parametrize("number", range(16))
def test_every_legacy_video_number_is_sent_as_it_came(number: int) -> None:
    metadata = StreamMetadata.from_amf({"videocodecid": float(number)})
    unofficial_hevc = {12: 0x68766331}  # no document gives it a number: readers of Enhanced RTMP know the FourCC
    expected = {} if metadata.default.video_codec is None else {"videocodecid": unofficial_hevc.get(number, number)}
    assert metadata.to_amf() == expected
    assert StreamMetadata.from_amf(metadata.to_amf()) == metadata


# What several numbers have in common goes out as the one that says no more: any Nellymoser, any MP3; 13 stands in no
# document, and Opus goes as its FourCC.
ONE_NUMBER = {0: 3, 4: 6, 5: 6, 13: 0x4F707573, 14: 2}


@pytest.mark.parametrize("number", range(16))
def test_every_legacy_audio_number_is_sent_as_one_of_the_same_name(number: int) -> None:
    metadata = StreamMetadata.from_amf({"audiocodecid": float(number)})
    expected = {} if metadata.default.audio_codec is None else {"audiocodecid": ONE_NUMBER.get(number, number)}
    assert metadata.to_amf() == expected
    assert StreamMetadata.from_amf(metadata.to_amf()) == metadata


@pytest.mark.parametrize(
    "metadata",
    [
        StreamMetadata(TrackMetadata(video_codec="h265!")),
        StreamMetadata(video_tracks={0: TrackMetadata()}),
        StreamMetadata(audio_tracks={256: TrackMetadata()}),
    ],
)
def test_on_meta_data_that_does_not_fit_is_refused(metadata: StreamMetadata) -> None:
    with pytest.raises(LocalProtocolError):
        metadata.to_amf()


@pytest.mark.parametrize(
    "value",
    [
        None,
        "onMetaData",
        {"width": "1280", "height": math.nan, "framerate": math.inf, "duration": True},
        {"videocodecid": -1.0, "audiocodecid": 2.0**33, "stereo": 1.0},
        {"videocodecid": True, "audiocodecid": None},
        {"videocodecid": 9.0, "audiocodecid": 12.0},
        {"videocodecid": "", "audiocodecid": math.nan, "stereo": False},
        {"videoTrackIdInfoMap": 5.0, "audioTrackIdInfoMap": ["1"]},
        {"videoTrackIdInfoMap": {"0": {}, "256": {}, "1000": {}, "one": {}, "1": 7.0, "\u0661": {}, "-1": {}}},
    ],
)
def test_fields_of_the_wrong_type_are_as_if_they_were_not_there(value: object) -> None:
    metadata = StreamMetadata.from_amf(value)  # type: ignore[arg-type] # any Value may come
    assert metadata == StreamMetadata()


def test_codecs_may_be_named_by_strings() -> None:
    value = EcmaArray({"videocodecid": "hvc1", "audiocodecid": "Opus"})
    assert StreamMetadata.from_amf(value).default == TrackMetadata(video_codec="hvc1", audio_codec="Opus")


@pytest.mark.parametrize(("stereo", "channels"), [(True, 2), (False, None)])
def test_stereo_alone_says_that_there_are_two_channels(stereo: bool, channels: int | None) -> None:
    # Of 5.1 channels ffmpeg says stereo: false, so false does not say one.
    assert StreamMetadata.from_amf({"stereo": stereo}).default.channels == channels


def test_a_fourcc_is_a_big_endian_number() -> None:
    assert fourcc_to_number("av01") == 1635135537
    assert fourcc_from_number(1332770163) == "Opus"
    with pytest.raises(LocalProtocolError):
        fourcc_to_number("av1")


@given(st.integers(0, 2**32 - 1))
def test_any_number_is_a_fourcc(number: int) -> None:
    assert fourcc_to_number(fourcc_from_number(number)) == number


def test_legacy_codecs_have_names() -> None:
    assert [legacy_video_fourcc(number) for number in (2, 7, 12, 15)] == ["FLV1", "avc1", "hvc1", None]
    assert [legacy_audio_fourcc(number) for number in (2, 10, 13, 14, 15)] == [".mp3", "mp4a", "Opus", ".mp3", None]
