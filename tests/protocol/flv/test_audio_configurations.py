"""AAC, Opus and FLAC records, and frames of MP3, AC-3 and E-AC-3, built field by field from the standards' tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import RemoteProtocolError
from protocol.flv import AudioConfiguration, read_audio_configuration, read_audio_frame

from .bits import BitWriter


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("1210", AudioConfiguration("mp4a.40.2", 44100, 2)),
        ("1190", AudioConfiguration("mp4a.40.2", 48000, 2)),
        ("1188 56e500", AudioConfiguration("mp4a.40.2", 48000, 1)),  # says that there is no SBR
        ("0a10", AudioConfiguration("mp4a.40.1", 44100, 2)),
        ("11b0", AudioConfiguration("mp4a.40.2", 48000, 6)),
        ("11b8", AudioConfiguration("mp4a.40.2", 48000, 8)),  # configuration 7 has eight channels
        ("11d8", AudioConfiguration("mp4a.40.2", 48000, 7)),
        ("11c0", AudioConfiguration("mp4a.40.2", 48000, None)),  # reserved
        # Explicit frequency: 15, then 24 bits.
        ("1780 5dc0 10", AudioConfiguration("mp4a.40.2", 48000, 2)),
        # SBR named first: 24 kHz core, 48 kHz sound.
        ("2b11 8800", AudioConfiguration("mp4a.40.5", 48000, 2)),
        # PS named first: one channel coded, two heard.
        ("eb09 8800", AudioConfiguration("mp4a.40.29", 48000, 2)),
        # SBR behind a sync word, without and with PS.
        ("1310 56e598", AudioConfiguration("mp4a.40.5", 48000, 2)),
        ("1308 56e59d4880", AudioConfiguration("mp4a.40.29", 48000, 2)),
        ("1308 56e59d4800", AudioConfiguration("mp4a.40.5", 48000, 1)),
        # A sync word of something else, and of an object type other than SBR.
        ("1310 56c598", AudioConfiguration("mp4a.40.2", 24000, 2)),
        ("1310 56e298", AudioConfiguration("mp4a.40.2", 24000, 2)),
        # Object type 31 and six bits more: 42 is USAC.
        ("f94640", AudioConfiguration("mp4a.40.42", 48000, 2)),
    ],
)
def test_aac_says_its_object_type_rate_and_channels(record: str, expected: AudioConfiguration) -> None:
    assert read_audio_configuration("mp4a", bytes.fromhex(record)) == expected


def program_config(w: BitWriter, *, mixdowns: int = 0) -> BitWriter:
    """Two channels in front, one and a pair at the sides, one behind, two for low frequencies: eight in all."""
    w.u(4, 0).u(2, 1).u(4, 3).u(4, 1).u(4, 2).u(4, 1).u(2, 2).u(3, 1).u(4, 1)
    for bits in (4, 4, 3):
        w.u(1, mixdowns)
        if mixdowns:
            w.u(bits, 1)
    w.u(1, 1).u(4, 0)  # front: a pair
    w.u(1, 0).u(4, 0).u(1, 1).u(4, 1)  # sides
    w.u(1, 0).u(4, 1)  # back
    w.u(4, 0).u(4, 1)  # low frequencies
    w.u(4, 0)  # data
    w.u(1, 0).u(4, 0)  # coupling
    return w.align().u(8, 2).u(16, 0x6869)


@pytest.mark.parametrize("mixdowns", [0, 1])
def test_aac_channels_are_counted_in_a_program_config(mixdowns: int) -> None:
    w = BitWriter().u(5, 2).u(4, 3).u(4, 0).u(1, 0).u(1, 0).u(1, 0)
    record = program_config(w, mixdowns=mixdowns).u(11, 0x2B7).u(5, 5).u(1, 0).done()
    assert read_audio_configuration("mp4a", record) == AudioConfiguration("mp4a.40.2", 48000, 8)


@pytest.mark.parametrize(
    ("object_type", "extra"),
    [
        (17, "000"),
        (20, "000"),  # and layerNr
        (21, ""),
        (22, "0" * 16),
        (23, "000"),
    ],
)
def test_aac_fields_of_the_error_resilient_types_are_passed_over(object_type: int, extra: str) -> None:
    w = BitWriter().u(5, object_type).u(4, 6).u(4, 2).u(1, 0).u(1, 1).u(14, 99).u(1, 1)
    if object_type == 20:
        w.u(3, 1)
    w.bits += extra
    record = w.u(1, 0).u(2, 0).u(11, 0x2B7).u(5, 5).u(1, 1).u(4, 3).done()
    assert read_audio_configuration("mp4a", record) == AudioConfiguration("mp4a.40.5", 48000, 2)


def test_aac_sbr_over_bsac_has_a_channel_field_of_its_own() -> None:
    record = BitWriter().u(5, 5).u(4, 6).u(4, 2).u(4, 3).u(5, 22).u(4, 2).u(3, 0).u(2, 0).done()
    assert read_audio_configuration("mp4a", record) == AudioConfiguration("mp4a.40.5", 48000, 2)


@pytest.mark.parametrize("record", ["12", "1690", "1710", "1780 5dc0", "2b11", "1180 00", "1310 56e5e8"])
def test_a_damaged_aac_record_is_refused(record: str) -> None:
    with pytest.raises(RemoteProtocolError, match="ISO/IEC 14496-3"):
        read_audio_configuration("mp4a", bytes.fromhex(record))


OPUS = b"OpusHead" + bytes.fromhex("01 02 3801 80bb0000 0000 00")


def test_opus_says_its_channels_and_always_decodes_at_48_khz() -> None:
    assert read_audio_configuration("Opus", OPUS) == AudioConfiguration("opus", 48000, 2)
    at_16_khz = b"OpusHead" + bytes.fromhex("01 06 3801 803e0000 0000 01 0402000401020305")
    assert read_audio_configuration("Opus", at_16_khz) == AudioConfiguration("opus", 48000, 6)


@pytest.mark.parametrize("record", [b"OpusHeaD" + OPUS[8:], b"OpusHead\x10" + OPUS[9:], OPUS[:9] + b"\0" + OPUS[10:]])
def test_a_damaged_opus_record_is_refused(record: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="RFC 7845"):
        read_audio_configuration("Opus", record)


STREAMINFO = bytes.fromhex("1000 1000 000000 000000 0ac442f0 00000000") + bytes(16)


def test_flac_says_its_rate_and_channels() -> None:
    assert len(STREAMINFO) == 34
    expected = AudioConfiguration("fLaC", 44100, 2)
    assert read_audio_configuration("fLaC", b"fLaC\x80\x00\x00\x22" + STREAMINFO) == expected
    assert read_audio_configuration("fLaC", b"fLaC\x00\x00\x00\x22" + STREAMINFO + b"\x84\x00\x00\x00") == expected


def test_flac_may_come_without_its_signature() -> None:
    # ffmpeg writes the block's content alone.
    assert read_audio_configuration("fLaC", STREAMINFO) == AudioConfiguration("fLaC", 44100, 2)


@pytest.mark.parametrize("record", [b"flac\x80\x00\x00\x22" + STREAMINFO, b"fLaC\x84\x00\x00\x22" + STREAMINFO])
def test_a_damaged_flac_record_is_refused(record: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="RFC 9639"):
        read_audio_configuration("fLaC", record)


@pytest.mark.parametrize(
    ("frame", "rate", "channels"),
    [
        ("fffb90c4", 44100, 1),
        ("fffb9004", 44100, 2),
        ("fffb9444", 48000, 2),
        ("fff39804", 16000, 2),  # MPEG 2
        ("ffe394c4", 12000, 1),  # MPEG 2.5
        ("fffb9844", 32000, 2),
    ],
)
def test_an_mp3_frame_says_its_rate_and_channels(frame: str, rate: int, channels: int) -> None:
    assert read_audio_frame(".mp3", bytes.fromhex(frame)) == AudioConfiguration("mp4a.40.34", rate, channels)


@pytest.mark.parametrize("frame", ["fffb90", "fefb90c4", "ffeb90c4", "fffd90c4", "fffb9cc4"])
def test_what_is_no_mp3_frame_is_refused(frame: str) -> None:
    with pytest.raises(RemoteProtocolError, match="ISO/IEC 11172-3"):
        read_audio_frame(".mp3", bytes.fromhex(frame))


def ac3_frame(mode: int, low_frequency: int, *, rate: int = 0) -> bytes:
    w = BitWriter().u(16, 0x0B77).u(16, 0).u(2, rate).u(6, 12).u(5, 8).u(3, 0).u(3, mode)
    if mode & 1 and mode != 1:
        w.u(2, 3)
    if mode & 4:
        w.u(2, 3)
    if mode == 2:
        w.u(2, 3)
    return w.u(1, low_frequency).done()


def eac3_frame(mode: int, low_frequency: int, *, rate: int = 0, second: int = 3) -> bytes:
    w = BitWriter().u(16, 0x0B77).u(2, 0).u(3, 0).u(11, 191).u(2, rate).u(2, second)
    return w.u(3, mode).u(1, low_frequency).done()


@pytest.mark.parametrize(("mode", "channels"), [(0, 2), (1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 4), (7, 5)])
def test_ac3_and_eac3_frames_say_their_channels(mode: int, channels: int) -> None:
    for low in (0, 1):
        assert read_audio_frame("ac-3", ac3_frame(mode, low)) == AudioConfiguration("ac-3", 48000, channels + low)
        assert read_audio_frame("ec-3", eac3_frame(mode, low)) == AudioConfiguration("ec-3", 48000, channels + low)


def test_ac3_and_eac3_frames_say_their_rates() -> None:
    rates = {0: 48000, 1: 44100, 2: 32000}
    for code, rate in rates.items():
        assert read_audio_frame("ac-3", ac3_frame(2, 0, rate=code)) == AudioConfiguration("ac-3", rate, 2)
        assert read_audio_frame("ec-3", eac3_frame(2, 0, rate=code)) == AudioConfiguration("ec-3", rate, 2)
        halved = eac3_frame(2, 0, rate=3, second=code)
        assert read_audio_frame("ec-3", halved) == AudioConfiguration("ec-3", rate // 2, 2)


@pytest.mark.parametrize(
    ("fourcc", "frame"),
    [
        ("ac-3", ac3_frame(2, 0, rate=3)),
        ("ac-3", b"\x0b\x78" + ac3_frame(2, 0)[2:]),
        ("ec-3", eac3_frame(2, 0, rate=3, second=3)),
        ("ec-3", b"\x0b\x78" + eac3_frame(2, 0)[2:]),
        ("ac-3", ac3_frame(2, 0)[:6]),
    ],
)
def test_what_is_no_dolby_frame_is_refused(fourcc: str, frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="ETSI TS 102 366"):
        read_audio_frame(fourcc, frame)


def test_what_is_empty_or_unknown_says_nothing() -> None:
    assert read_audio_configuration("Opus", b"") is None
    assert read_audio_configuration("abcd", b"\x01") is None
    assert read_audio_frame(".mp3", b"") is None
    assert read_audio_frame("mp4a", b"\x21") is None


@given(st.sampled_from(["mp4a", "Opus", "fLaC", ".mp3", "ac-3", "ec-3"]), st.binary(max_size=60))
def test_any_bytes_are_refused_or_read(fourcc: str, data: bytes) -> None:
    for read in (read_audio_configuration, read_audio_frame):
        try:
            read(fourcc, data)
        except RemoteProtocolError:
            pass


@pytest.mark.parametrize("record", [OPUS, b"fLaC\x80\x00\x00\x22" + STREAMINFO])
def test_a_record_truncated_anywhere_is_refused(record: bytes) -> None:
    fourcc = "Opus" if record is OPUS else "fLaC"
    for size in range(1, len(record)):
        if size != 34:  # which is what ffmpeg sends
            with pytest.raises(RemoteProtocolError):
                read_audio_configuration(fourcc, record[:size])
