"""Media headers, legacy and enhanced, codec configurations and script data (protocol/flv; Enhanced RTMP v2).

The first byte is the message's type, the rest its body. Invariant: any body is read, or refused with
`RemoteProtocolError`, and so is every configuration record and first frame in it; what was read and can be written is
read as the same. What the hub asks of a packet's first bytes is answered for any bytes, and answered as the whole
body says. The summary of a stream takes whatever was read.
"""

from collections.abc import Callable
from typing import Final

from protocol import LocalProtocolError, RemoteProtocolError
from protocol.flv import (
    AudioPacketType,
    MultichannelConfig,
    StreamMetadata,
    StreamSummary,
    TagType,
    VideoPacketType,
    composition_time,
    decode_audio_data,
    decode_metadata_frame,
    decode_script_data,
    decode_video_data,
    encode_audio_data,
    encode_script_data,
    encode_video_data,
    is_codec_configuration,
    is_keyframe,
    is_metadata_frame,
    read_audio_configuration,
    read_audio_frame,
    read_video_configuration,
    read_video_picture_size,
    track_id,
)
from tests.protocol.amf.graph import same

_HEADERS: Final = "audio codec_ids configuration extension metadata peek records script sound summary video"
_CONFIGURATIONS: Final = "aac av1 avc bits hevc vpx vvc"
CODE: Final = tuple(f"protocol/flv/_{name}.py" for name in f"{_HEADERS} {_CONFIGURATIONS}".split())
MAX_BYTES: Final = 512
_AVC_FRAME: Final = b"\x17\x01\0\0\0"
_AAC_FRAME: Final = b"\xaf\x01"
_TIMES_MS: Final = range(-(1 << 23), 1 << 23)


def check(data: bytes) -> None:
    if not data:
        return
    tag_type, body = data[0] & 0x1F, data[1:]
    configures = is_codec_configuration(tag_type, body)
    track = track_id(tag_type, body)
    assert 0 <= track <= 0xFF
    assert composition_time(body) in _TIMES_MS
    is_keyframe(body), is_metadata_frame(body)
    if tag_type == TagType.VIDEO:
        _check_video(body, configures, track)
    elif tag_type == TagType.AUDIO:
        _check_audio(body, configures, track)
    elif tag_type in (TagType.SCRIPT, TagType.AMF3_SCRIPT):
        _check_script(body, tag_type)


def _check_video(body: bytes, configures: bool, track: int) -> None:
    try:
        video = decode_video_data(body)
    except RemoteProtocolError:
        return
    assert decode_video_data(encode_video_data(video)) == video
    starts = (VideoPacketType.SEQUENCE_START, VideoPacketType.MPEG2TS_SEQUENCE_START)
    assert configures == (video.packet_type in starts), f"{configures}: {video}"
    assert is_metadata_frame(body) == (video.packet_type == VideoPacketType.METADATA)
    if video.tracks:
        first = video.tracks[0]
        assert track == first.track_id, f"track {track}: {video}"
        if video.packet_type == VideoPacketType.CODED_FRAMES:
            assert composition_time(body) == first.composition_time_ms, video
    for each in video.tracks:
        if each.fourcc is not None:
            _read_or_refuse(read_video_configuration, each.fourcc, each.data)
            _read_or_refuse(read_video_picture_size, each.fourcc, each.data)
        if video.packet_type == VideoPacketType.METADATA:
            _read_or_refuse(decode_metadata_frame, each.data)
    summary = StreamSummary()
    _read_or_refuse(summary.add_video, video, 0)
    summary.as_json()


def _check_audio(body: bytes, configures: bool, track: int) -> None:
    try:
        audio = decode_audio_data(body)
    except RemoteProtocolError:
        return
    assert decode_audio_data(encode_audio_data(audio)) == audio
    starts = (AudioPacketType.SEQUENCE_START, AudioPacketType.MULTICHANNEL_CONFIG)
    assert configures == (audio.packet_type in starts), f"{configures}: {audio}"
    if audio.tracks:
        assert track == audio.tracks[0].track_id, f"track {track}: {audio}"
    for each in audio.tracks:
        if each.fourcc is not None:
            _read_or_refuse(read_audio_configuration, each.fourcc, each.data)
            _read_or_refuse(read_audio_frame, each.fourcc, each.data)
        if audio.packet_type == AudioPacketType.MULTICHANNEL_CONFIG:
            _check_channels(each.data)
    summary = StreamSummary()
    _read_or_refuse(summary.add_audio, audio, 0)
    summary.as_json()


def _check_channels(data: bytes) -> None:
    try:
        channels = MultichannelConfig.decode(data)
    except RemoteProtocolError:
        return
    assert MultichannelConfig.decode(channels.encode()) == channels


def _check_script(body: bytes, tag_type: int) -> None:
    try:
        script = decode_script_data(body, tag_type=tag_type)
    except RemoteProtocolError:
        return
    again = decode_script_data(encode_script_data(script, tag_type=tag_type), tag_type=tag_type)
    assert again.name == script.name
    assert same(list(again.values), list(script.values), numbers=True, identity=False)
    for value in script.values:
        _check_metadata(StreamMetadata.from_amf(value))
    summary = StreamSummary()
    summary.add_video(decode_video_data(_AVC_FRAME), 0)
    summary.add_audio(decode_audio_data(_AAC_FRAME), 0)
    summary.add_script(script)
    summary.as_json()


def _check_metadata(metadata: StreamMetadata) -> None:
    try:
        written = metadata.to_amf()
    except LocalProtocolError:
        assert any(codec and len(codec) != 4 for codec in _codecs(metadata)), metadata
        return
    again = StreamMetadata.from_amf(written)
    assert (again.default, again.duration_s) == (metadata.default, metadata.duration_s), f"{metadata}: {again}"
    assert again.video_tracks == metadata.video_tracks and again.audio_tracks == metadata.audio_tracks


def _codecs(metadata: StreamMetadata) -> list[str | None]:
    tracks = (metadata.default, *metadata.video_tracks.values(), *metadata.audio_tracks.values())
    return [codec for track in tracks for codec in (track.video_codec, track.audio_codec)]


def _read_or_refuse(read: Callable[..., object], *arguments: object) -> None:
    try:
        read(*arguments)
    except RemoteProtocolError:
        return
