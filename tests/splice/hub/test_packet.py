"""Packets: their roles, told from the first bytes, and their tag, made once."""

import pytest

from protocol.flv import (
    AudioData,
    AudioPacketType,
    AudioTrack,
    MultitrackType,
    VideoData,
    VideoFrameType,
    VideoPacketType,
    VideoTrack,
    encode_audio_data,
    encode_tag,
    encode_video_data,
)
from protocol.rtmp import MediaKind
from splice.hub.packet import Packet, PacketRole, role_of
from tests.splice.hub.viewing import aac, aac_configuration, configuration, inter_frame, keyframe

AUDIO, VIDEO, DATA = MediaKind.AUDIO, MediaKind.VIDEO, MediaKind.DATA
KEYFRAME, CONFIGURATION, MEDIA = PacketRole.KEYFRAME, PacketRole.CONFIGURATION, PacketRole.MEDIA


def hevc(packet_type: VideoPacketType, *track_ids: int, key: bool = True) -> bytes:
    frame_type = VideoFrameType.KEY_FRAME if key else VideoFrameType.INTER_FRAME
    tracks = tuple(VideoTrack("hvc1", b"x", track_id) for track_id in track_ids or (0,))
    multitrack = MultitrackType.MANY_TRACKS if track_ids else None
    return encode_video_data(VideoData(frame_type, packet_type, tracks, multitrack_type=multitrack))


def opus(packet_type: AudioPacketType) -> bytes:
    return encode_audio_data(AudioData(packet_type, (AudioTrack("Opus", b"x"),)))


@pytest.mark.parametrize(
    ("kind", "payload", "role", "track"),
    [
        pytest.param(VIDEO, keyframe(), KEYFRAME, 0, id="an AVC keyframe"),
        pytest.param(VIDEO, inter_frame(), MEDIA, 0, id="an AVC inter frame"),
        pytest.param(VIDEO, configuration(), CONFIGURATION, 0, id="an AVC sequence header"),
        pytest.param(VIDEO, b"\x17\x02\0\0\0", MEDIA, 0, id="the end of an AVC sequence"),
        pytest.param(VIDEO, b"\x1c\x00\0\0\0", CONFIGURATION, 0, id="HEVC by legacy id 12: a sequence header"),
        pytest.param(VIDEO, b"\x1c\x01\0\0\0", KEYFRAME, 0, id="HEVC by legacy id 12: a keyframe"),
        pytest.param(VIDEO, b"\x2c\x01\0\0\0", MEDIA, 0, id="HEVC by legacy id 12: an inter frame"),
        pytest.param(VIDEO, b"\x12\x84", KEYFRAME, 0, id="a keyframe of a codec without configurations"),
        pytest.param(VIDEO, hevc(VideoPacketType.SEQUENCE_START), CONFIGURATION, 0, id="an enhanced sequence start"),
        pytest.param(VIDEO, hevc(VideoPacketType.CODED_FRAMES), KEYFRAME, 0, id="an enhanced keyframe"),
        pytest.param(VIDEO, hevc(VideoPacketType.CODED_FRAMES_X, key=False), MEDIA, 0, id="an enhanced inter frame"),
        pytest.param(VIDEO, hevc(VideoPacketType.METADATA), CONFIGURATION, 0, id="colours"),
        pytest.param(VIDEO, hevc(VideoPacketType.CODED_FRAMES, 0, 1), KEYFRAME, 0, id="keyframes of tracks 0 and 1"),
        pytest.param(VIDEO, hevc(VideoPacketType.CODED_FRAMES, 1), MEDIA, 1, id="a keyframe of track 1 alone"),
        pytest.param(VIDEO, hevc(VideoPacketType.SEQUENCE_START, 1), CONFIGURATION, 1, id="track 1's sequence start"),
        pytest.param(VIDEO, b"\x57\x00", MEDIA, 0, id="a command frame"),
        pytest.param(VIDEO, b"\x17", MEDIA, 0, id="a frame cut short"),
        pytest.param(AUDIO, aac(), MEDIA, 0, id="an AAC frame"),
        pytest.param(AUDIO, aac_configuration(), CONFIGURATION, 0, id="an AAC sequence header"),
        pytest.param(AUDIO, b"\x2f\xff", MEDIA, 0, id="MP3"),
        pytest.param(AUDIO, opus(AudioPacketType.SEQUENCE_START), CONFIGURATION, 0, id="an Opus sequence start"),
        pytest.param(AUDIO, opus(AudioPacketType.CODED_FRAMES), MEDIA, 0, id="an Opus frame"),
        pytest.param(AUDIO, b"\x94Opus\x01\x02", CONFIGURATION, 0, id="a multichannel configuration"),
        pytest.param(DATA, configuration(), MEDIA, 0, id="data that looks like video"),
    ],
)
def test_a_message_has_the_role_of_its_first_bytes(
    kind: MediaKind, payload: bytes, role: PacketRole, track: int
) -> None:
    assert role_of(kind, payload) == (role, track)


def test_a_packets_tag_is_made_once() -> None:
    packet = Packet(VIDEO, KEYFRAME, 0x12345678, keyframe(b"k"))
    assert packet.flv == encode_tag(9, 0x12345678, keyframe(b"k"))
    assert packet.flv is packet.flv


def test_a_packet_at_another_time_differs_in_nothing_else() -> None:
    packet = Packet(AUDIO, CONFIGURATION, 5, aac_configuration(), 3)
    assert packet.flv != packet.at(70).flv == encode_tag(8, 70, aac_configuration())
    moved = packet.at(70)
    assert (moved.kind, moved.role, moved.payload, moved.track) == (AUDIO, CONFIGURATION, aac_configuration(), 3)


def test_a_packet_says_what_it_is() -> None:
    assert repr(Packet(VIDEO, KEYFRAME, 40, bytes(7))) == "<Packet VIDEO keyframe at 40 ms, 7 bytes>"
