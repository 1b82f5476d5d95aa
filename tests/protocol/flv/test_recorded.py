"""Files that real programs wrote: codec, size, rate and channels as ffmpeg itself reports them.

The expected values were read off `ffmpeg -i FILE` and the encoders' arguments once (see vectors/README.md), so that no
ffmpeg is needed here. Where a file has none of them, the record or frame has to say nothing.
"""

import pytest

from protocol.flv import (
    AudioChannelOrder,
    AudioConfiguration,
    AudioPacketType,
    ColorInfo,
    FlvHeader,
    MultichannelConfig,
    MultitrackType,
    StreamMetadata,
    VideoConfiguration,
    VideoPacketType,
    decode_audio_data,
    decode_metadata_frame,
    decode_script_data,
    decode_video_data,
    read_audio_configuration,
    read_audio_frame,
    read_video_configuration,
    read_video_picture_size,
)

from .replay import NAMES, recorded, replay, tags

VIDEO = {
    "avc_main": VideoConfiguration("avc1.4d400b", 160, 90),
    "avc_high": VideoConfiguration("avc1.64000b", 160, 90),
    "avc_high_444": VideoConfiguration("avc1.f4000b", 160, 90),
    "avc_interlaced": VideoConfiguration("avc1.640015", 160, 100),
    "hevc": VideoConfiguration("hvc1.1.6.L30.90", 160, 90),
    "hevc_hdr10": VideoConfiguration("hvc1.2.4.L30.90", 160, 90),
    "vvc": VideoConfiguration("vvc1.1.L16.CQA", 160, 90),
    "av1": VideoConfiguration("av01.0.00M.08", 160, 90),
    "av1_10bit": VideoConfiguration("av01.0.00M.10", 160, 90),
    "vp9": VideoConfiguration("vp09.00.10.08"),
    "vp9_profile_1": VideoConfiguration("vp09.01.10.08"),
}
AUDIO = {
    "aac": AudioConfiguration("mp4a.40.2", 48000, 2),
    "aac_5_1": AudioConfiguration("mp4a.40.2", 48000, 6),
    "both": AudioConfiguration("mp4a.40.2", 44100, 2),
    "opus": AudioConfiguration("opus", 48000, 2),
    "opus_5_1": AudioConfiguration("opus", 48000, 6),
    "flac": AudioConfiguration("fLaC", 44100, 1),
}
FRAMES = {
    "mp3": AudioConfiguration("mp4a.40.34", 44100, 1),
    "mp3_48k": AudioConfiguration("mp4a.40.34", 48000, 1),
    "ac3": AudioConfiguration("ac-3", 48000, 1),
    "ac3_5_1": AudioConfiguration("ac-3", 48000, 6),
    "eac3": AudioConfiguration("ec-3", 44100, 2),
}
LEGACY_AUDIO = {  # FourCC and sample rate of codecs that the header alone describes
    "speex": ("spex", 16000),
    "nellymoser": ("NELL", 16000),
    "adpcm": ("SWFA", 22050),
    "a_law": ("alaw", 8000),
    "mu_law": ("ulaw", 8000),
    "pcm": ("lpcm", 11025),
}
LEGACY_VIDEO = {"sorenson": "FLV1", "screen": "FSV1", "both": "FLV1"}


def test_every_recorded_file_is_expected_here() -> None:
    assert {*VIDEO, *AUDIO, *FRAMES, *LEGACY_AUDIO, *LEGACY_VIDEO, "multitrack"} == set(NAMES)


@pytest.mark.parametrize("name", VIDEO)
def test_a_sequence_start_says_what_the_picture_is(name: str) -> None:
    found = [
        read_video_configuration(track.fourcc or "", track.data)
        for video in (decode_video_data(tag.body) for tag in tags(name, 9))
        for track in video.tracks
        if video.packet_type == VideoPacketType.SEQUENCE_START
    ]
    # AV1 has an empty record first: ffmpeg writes it before its encoder has said anything.
    assert {configuration for configuration in found if configuration is not None} == {VIDEO[name]}


@pytest.mark.parametrize("name", ["vp9", "vp9_profile_1"])
def test_a_vp9_key_frame_says_how_large_the_picture_is(name: str) -> None:
    videos = [decode_video_data(tag.body) for tag in tags(name, 9)]
    assert {read_video_picture_size("vp09", video.tracks[0].data) for video in videos if video.is_keyframe} == {
        (160, 90)
    }


@pytest.mark.parametrize("name", AUDIO)
def test_a_sequence_start_says_what_the_sound_is(name: str) -> None:
    found = [
        read_audio_configuration(track.fourcc or "", track.data)
        for audio in (decode_audio_data(tag.body) for tag in tags(name, 8))
        for track in audio.tracks
        if audio.packet_type == AudioPacketType.SEQUENCE_START
    ]
    assert set(found) == {AUDIO[name]}


@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_says_what_the_sound_is(name: str) -> None:
    found = [
        read_audio_frame(track.fourcc or "", track.data)
        for audio in (decode_audio_data(tag.body) for tag in tags(name, 8))
        for track in audio.tracks
        if audio.packet_type == AudioPacketType.CODED_FRAMES
    ]
    assert len(found) >= 7
    assert set(found) == {FRAMES[name]}


@pytest.mark.parametrize("name", LEGACY_AUDIO)
def test_a_legacy_header_says_what_the_sound_is(name: str) -> None:
    audios = [decode_audio_data(tag.body) for tag in tags(name, 8)]
    assert {(audio.tracks[0].fourcc, audio.legacy_sample_rate_hz) for audio in audios} == {LEGACY_AUDIO[name]}


@pytest.mark.parametrize("name", LEGACY_VIDEO)
def test_a_legacy_header_says_what_the_picture_is(name: str) -> None:
    videos = [decode_video_data(tag.body) for tag in tags(name, 9)]
    assert {video.tracks[0].fourcc for video in videos} == {LEGACY_VIDEO[name]}
    assert [video.is_keyframe for video in videos] == [True, False, False, False, False, False]


@pytest.mark.parametrize("name", [*VIDEO, *LEGACY_VIDEO])
def test_on_meta_data_says_the_size_and_the_frame_rate(name: str) -> None:
    (tag,) = tags(name, 18)
    metadata = StreamMetadata.from_amf(decode_script_data(tag.body).values[0]).default
    assert (metadata.width, metadata.height) == (160, 100 if name == "avc_interlaced" else 90)
    assert metadata.frame_rate == 25
    codec = VIDEO[name].codec[:4] if name in VIDEO else LEGACY_VIDEO[name]
    assert metadata.video_codec == codec


@pytest.mark.parametrize("name", NAMES)
def test_the_header_promises_the_tracks_that_are_there(name: str) -> None:
    header = replay([recorded(name)])[0]
    assert header == FlvHeader(has_audio=bool(tags(name, 8)), has_video=bool(tags(name, 9)))


def test_b_frames_have_composition_times() -> None:
    videos = [decode_video_data(tag.body) for tag in tags("avc_main", 9)]
    frames = [video for video in videos if video.packet_type == VideoPacketType.CODED_FRAMES]
    # As ffprobe lists pts less dts, in ms.
    assert [video.tracks[0].composition_time_ms for video in frames] == [80, 160, 40, 40, 80, 80]
    assert [video.is_keyframe for video in frames] == [True, False, False, False, False, True]
    assert videos[-1].packet_type is VideoPacketType.SEQUENCE_END


def test_surround_sound_has_a_multichannel_config() -> None:
    expected = MultichannelConfig(AudioChannelOrder.NATIVE, 6, flags=0x3F)
    for name in ("opus_5_1", "aac_5_1"):
        audios = [decode_audio_data(tag.body) for tag in tags(name, 8)]
        configs = [audio for audio in audios if audio.packet_type == AudioPacketType.MULTICHANNEL_CONFIG]
        assert [MultichannelConfig.decode(config.tracks[0].data) for config in configs][:1] == [expected]


def test_high_dynamic_range_has_a_metadata_frame() -> None:
    videos = [decode_video_data(tag.body) for tag in tags("hevc_hdr10", 9)]
    (frame,) = [video for video in videos if video.packet_type == VideoPacketType.METADATA]
    ((name, value),) = decode_metadata_frame(frame.tracks[0].data)
    assert name == "colorInfo"
    assert ColorInfo.from_amf(value) == ColorInfo(matrix_coefficients=9)


def test_multitrack_keeps_its_tracks_apart() -> None:
    videos = [decode_video_data(tag.body) for tag in tags("multitrack", 9)]
    audios = [decode_audio_data(tag.body) for tag in tags("multitrack", 8)]
    # ffmpeg sends track 0 without an envelope, and each other track in one of its own.
    assert {video.multitrack_type for video in videos} == {None, MultitrackType.ONE_TRACK}
    # It sends track 1's colorInfo without one, as if it were track 0's, so that is left out here.
    media = [video for video in videos if video.packet_type != VideoPacketType.METADATA]
    assert {(track.track_id, track.fourcc) for video in media for track in video.tracks} == {(0, "avc1"), (1, "hvc1")}
    assert {(track.track_id, track.fourcc) for audio in audios for track in audio.tracks} == {(0, "mp4a"), (1, "Opus")}
    starts = [track for video in videos if video.packet_type == 0 for track in video.tracks]
    assert [read_video_configuration(track.fourcc or "", track.data) for track in starts] == [
        VIDEO["avc_high"],
        VIDEO["hevc"],
    ]
