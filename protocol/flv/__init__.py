"""FLV, files and live streams: header and tags, media headers old and new, codec configurations, script data.

    decoder = FlvDecoder()
    decoder.receive_data(data)
    event = decoder.next_event()  # FlvHeader, Tag, NEED_DATA, or RemoteProtocolError

Tags hold bodies as they came. `decode_video_data`, `decode_audio_data` and `decode_script_data` read them, and the
`encode_` functions make them; `is_keyframe` and its like answer from the first bytes alone. `StreamSummary` gathers
what the bodies of a whole stream say. The documents are Adobe's FLV 10.1, Annex E, and Enhanced RTMP v2.
"""

from protocol.flv._audio import (
    AudioChannelOrder,
    AudioData,
    AudioPacketType,
    AudioTrack,
    MultichannelConfig,
    decode_audio_data,
    encode_audio_data,
)
from protocol.flv._codec_ids import (
    AudioFourCC,
    SoundFormat,
    VideoCodecId,
    VideoFourCC,
    fourcc_from_number,
    fourcc_to_number,
    legacy_audio_fourcc,
    legacy_video_fourcc,
)
from protocol.flv._configuration import AudioConfiguration, VideoConfiguration
from protocol.flv._decoder import FlvDecoder, FlvEvent, FlvFault
from protocol.flv._extension import ModEx, ModExType, MultitrackType
from protocol.flv._metadata import ColorInfo, StreamMetadata, TrackMetadata
from protocol.flv._peek import composition_time, is_codec_configuration, is_keyframe, is_metadata_frame, track_id
from protocol.flv._records import (
    read_audio_configuration,
    read_audio_frame,
    read_video_configuration,
    read_video_picture_size,
)
from protocol.flv._script import (
    ScriptData,
    decode_metadata_frame,
    decode_script_data,
    encode_metadata_frame,
    encode_script_data,
    without_set_data_frame,
)
from protocol.flv._summary import StreamFault, StreamSummary
from protocol.flv._tag import FlvHeader, Tag, TagType, encode_header, encode_tag
from protocol.flv._video import (
    VideoCommand,
    VideoData,
    VideoFrameType,
    VideoPacketType,
    VideoTrack,
    decode_video_data,
    encode_video_data,
)

__all__ = [
    "AudioChannelOrder",
    "AudioConfiguration",
    "AudioData",
    "AudioFourCC",
    "AudioPacketType",
    "AudioTrack",
    "ColorInfo",
    "FlvDecoder",
    "FlvEvent",
    "FlvFault",
    "FlvHeader",
    "ModEx",
    "ModExType",
    "MultichannelConfig",
    "MultitrackType",
    "ScriptData",
    "SoundFormat",
    "StreamFault",
    "StreamMetadata",
    "StreamSummary",
    "Tag",
    "TagType",
    "TrackMetadata",
    "VideoCodecId",
    "VideoCommand",
    "VideoConfiguration",
    "VideoData",
    "VideoFourCC",
    "VideoFrameType",
    "VideoPacketType",
    "VideoTrack",
    "composition_time",
    "decode_audio_data",
    "decode_metadata_frame",
    "decode_script_data",
    "decode_video_data",
    "encode_audio_data",
    "encode_header",
    "encode_metadata_frame",
    "encode_script_data",
    "encode_tag",
    "encode_video_data",
    "fourcc_from_number",
    "fourcc_to_number",
    "is_codec_configuration",
    "is_keyframe",
    "is_metadata_frame",
    "legacy_audio_fourcc",
    "legacy_video_fourcc",
    "read_audio_configuration",
    "read_audio_frame",
    "read_video_configuration",
    "read_video_picture_size",
    "track_id",
    "without_set_data_frame",
]
