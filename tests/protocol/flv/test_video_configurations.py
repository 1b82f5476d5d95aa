"""AVC, HEVC, VVC, AV1, VP8 and VP9 records: parameter sets built field by field, from the standards' syntax tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import RemoteProtocolError
from protocol.flv import VideoConfiguration, read_video_configuration, read_video_picture_size
from protocol.flv._av1 import read_av1_ts_descriptor

from .bits import BitWriter, with_emulation_prevention


def avc_record(sps: bytes, *, profile: int = 100) -> bytes:
    body = bytes((1, profile, 0, 31, 0xFF))
    return body + b"\xe1" + len(sps).to_bytes(2, "big") + sps + b"\x01\x00\x01\x68"


def avc_sps(
    *,
    profile: int = 100,
    chroma: int = 1,
    separate: int = 0,
    scaling: tuple[tuple[int, ...], ...] | None = None,
    poc: int = 0,
    cycle: tuple[int, ...] = (),
    size: tuple[int, int] = (120, 68),
    frames_only: int = 1,
    crop: tuple[int, int, int, int] | None = (0, 0, 0, 4),
) -> bytes:
    w = BitWriter().u(8, 0x67).u(8, profile).u(16, 31).ue(0)
    if profile in (100, 244):
        w.ue(chroma)
        if chroma == 3:
            w.u(1, separate)
        w.ue(0).ue(0).u(1, 0).u(1, 0 if scaling is None else 1)
        for deltas in scaling or ():
            w.u(1, 1 if deltas else 0)
            for delta in deltas:
                w.se(delta)
    w.ue(4).ue(poc)
    if poc == 0:
        w.ue(2)
    elif poc == 1:
        w.u(1, 0).se(-1).se(1).ue(len(cycle))
        for offset in cycle:
            w.se(offset)
    w.ue(4).u(1, 0).ue(size[0] - 1).ue(size[1] - 1).u(1, frames_only)
    if not frames_only:
        w.u(1, 1)
    w.u(1, 1).u(1, 0 if crop is None else 1)
    for side in crop or ():
        w.ue(side)
    return with_emulation_prevention(w.u(1, 0).u(1, 1).done())


def avc_size(sps: bytes) -> tuple[int | None, int | None]:
    configuration = read_video_configuration("avc1", avc_record(sps))
    assert configuration is not None
    return configuration.width, configuration.height


def test_avc_crops_1088_lines_to_1080() -> None:
    assert avc_size(avc_sps()) == (1920, 1080)


def test_avc_of_the_baseline_profile_has_no_chroma_fields() -> None:
    assert avc_size(avc_sps(profile=66, size=(40, 30), crop=None)) == (640, 480)


@pytest.mark.parametrize(
    ("chroma", "separate", "frames_only", "expected"),
    [
        (0, 0, 1, (159, 157)),  # monochrome crops single samples
        (1, 0, 1, (158, 154)),
        (2, 0, 1, (158, 157)),
        (3, 0, 1, (159, 157)),
        (3, 1, 1, (159, 157)),
        (1, 0, 0, (158, 308)),  # fields: two rows of macroblocks a unit, and cropped in pairs of pairs
        (2, 0, 0, (158, 314)),
    ],
)
def test_avc_crops_in_the_units_of_table_6_1(
    chroma: int, separate: int, frames_only: int, expected: tuple[int, int]
) -> None:
    sps = avc_sps(
        profile=244, chroma=chroma, separate=separate, frames_only=frames_only, size=(10, 10), crop=(0, 1, 2, 1)
    )
    assert avc_size(sps) == expected


def test_avc_scaling_lists_are_passed_over() -> None:
    # A list of 16, one that ends at once by going to 0, one of 64, and the absent ones between.
    lists = ((1,) * 16, (), (-8,), (), (), (), (0,) * 64, ())
    assert avc_size(avc_sps(scaling=lists)) == (1920, 1080)
    assert avc_size(avc_sps(profile=244, chroma=3, scaling=(*lists, (), (), (2,) * 64, ()), crop=None)) == (1920, 1088)


def test_avc_picture_order_counts_of_every_type_are_passed_over() -> None:
    assert avc_size(avc_sps(poc=1, cycle=(3, -3, 0))) == (1920, 1080)
    assert avc_size(avc_sps(poc=2)) == (1920, 1080)


@pytest.mark.parametrize(
    ("sps", "message"),
    [
        (avc_sps(chroma=4), "chroma_format_idc is 4"),
        (avc_sps(poc=1, cycle=(0,) * 256), "cycle of 256"),
        (avc_sps(size=(4097, 68)), "4097 by 68 macroblocks"),
        (avc_sps(size=(1, 1), crop=(4, 4, 0, 0)), "leaves nothing"),
        (avc_sps(size=(1, 1), crop=(0, 0, 4, 4)), "leaves nothing"),
        (avc_sps()[:9], "ends inside a field"),
    ],
)
def test_a_damaged_avc_parameter_set_is_refused(sps: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        avc_size(sps)


def test_an_avc_record_without_parameter_sets_has_a_codec_and_no_size() -> None:
    assert read_video_configuration("avc1", bytes.fromhex("0142c01effe000")) == VideoConfiguration("avc1.42c01e")


@pytest.mark.parametrize("record", ["0264001fffe0", "0164", "0164001fff", "0164001fffe1", "0164001fffe10009 67"])
def test_a_damaged_avc_record_is_refused(record: str) -> None:
    with pytest.raises(RemoteProtocolError, match="ISO/IEC 14496-15"):
        read_video_configuration("avc1", bytes.fromhex(record))


def hevc_sps(
    *,
    sub_layers: int = 0,
    present: tuple[tuple[int, int], ...] = (),
    chroma: int = 1,
    separate: int = 0,
    size: tuple[int, int] = (1920, 1088),
    crop: tuple[int, int, int, int] | None = (0, 0, 0, 4),
) -> bytes:
    w = BitWriter().u(16, 0x4201).u(4, 0).u(3, sub_layers).u(1, 1)
    w.u(32, 0x01600000).u(32, 0x90000000).u(24, 0).u(8, 93)
    for profile, level in present:
        w.u(1, profile).u(1, level)
    if sub_layers:
        w.u(2 * (8 - sub_layers), 0)
    for profile, level in present:
        w.u(88 * profile, 0).u(8 * level, 0)
    w.ue(0).ue(chroma)
    if chroma == 3:
        w.u(1, separate)
    w.ue(size[0]).ue(size[1]).u(1, 0 if crop is None else 1)
    for side in crop or ():
        w.ue(side)
    return with_emulation_prevention(w.u(8, 0x80).done())


HEVC_HEAD = bytes.fromhex("01 01 60000000 b00000000000 5d f000fcfdf8f800000f")


def hevc_record(sps: bytes, head: bytes = HEVC_HEAD) -> bytes:
    arrays = b"\xa0\x00\x01\x00\x02\x40\x01"  # a video parameter set, to be passed over
    return head + b"\x02" + arrays + b"\xa1\x00\x01" + len(sps).to_bytes(2, "big") + sps


@pytest.mark.parametrize(
    ("sps", "expected"),
    [
        (hevc_sps(), (1920, 1080)),
        (hevc_sps(crop=None), (1920, 1088)),
        (hevc_sps(sub_layers=2, present=((1, 1), (0, 1))), (1920, 1080)),
        (hevc_sps(chroma=2, crop=(1, 1, 1, 1)), (1916, 1086)),
        (hevc_sps(chroma=3, crop=(1, 1, 1, 1)), (1918, 1086)),
        (hevc_sps(chroma=3, separate=1, crop=(1, 1, 1, 1)), (1918, 1086)),
        (hevc_sps(chroma=0, crop=(1, 1, 1, 1)), (1918, 1086)),
    ],
)
def test_hevc_says_its_codec_and_size(sps: bytes, expected: tuple[int, int]) -> None:
    assert read_video_configuration("hvc1", hevc_record(sps)) == VideoConfiguration("hvc1.1.6.L93.B0", *expected)


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        ("01 22 20000000 b00000000000 96", "hvc1.2.4.H150.B0"),
        ("01 44 08000000 000000000000 5d", "hvc1.A4.10.L93"),
        ("00 81 60000000 900000000001 1e", "hvc1.B1.6.L30.90.0.0.0.0.1"),
        ("01 c3 ffffffff 000000000000 ff", "hvc1.C3.FFFFFFFF.L255"),
    ],
)
def test_hevc_codec_strings_have_the_parts_of_annex_e(head: str, codec: str) -> None:
    record = hevc_record(hevc_sps(), bytes.fromhex(head) + HEVC_HEAD[13:])
    assert read_video_configuration("hvc1", record) == VideoConfiguration(codec, 1920, 1080)


def test_an_hevc_record_without_parameter_sets_has_a_codec_and_no_size() -> None:
    assert read_video_configuration("hvc1", HEVC_HEAD + b"\x00") == VideoConfiguration("hvc1.1.6.L93.B0")


@pytest.mark.parametrize(
    "record",
    [
        b"\x02" + hevc_record(hevc_sps())[1:],
        hevc_record(hevc_sps(chroma=4)),
        hevc_record(hevc_sps(size=(8, 8), crop=(4, 0, 0, 0))),
        hevc_record(hevc_sps(size=(8, 8), crop=(0, 0, 4, 0))),
        hevc_record(hevc_sps(size=(65537, 8), crop=None)),
        hevc_record(hevc_sps(size=(8, 65537), crop=None)),
        hevc_record(hevc_sps())[:-1],
    ],
)
def test_a_damaged_hevc_record_is_refused(record: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_video_configuration("hvc1", record)


def vvc_sps(
    *,
    sub_layers: int = 0,
    ptl: int = 1,
    constraints: int = 0,
    resampling: int = 0,
    chroma: int = 1,
    size: tuple[int, int] = (1920, 1088),
    crop: tuple[int, int, int, int] | None = (0, 0, 0, 4),
) -> bytes:
    w = BitWriter().u(16, 0x0079).u(8, 0).u(3, sub_layers).u(2, chroma).u(2, 2).u(1, ptl)
    if ptl:
        w.u(16, 0x0233).u(2, 2).u(1, constraints).align()
        if sub_layers:
            w.u(sub_layers, 1).align().u(8, 51)
        w.u(8, 1).u(32, 0)
    w.u(1, 0).u(1, resampling)
    if resampling:
        w.u(1, 0)
    w.ue(size[0]).ue(size[1]).u(1, 0 if crop is None else 1)
    for side in crop or ():
        w.ue(side)
    return with_emulation_prevention(w.u(8, 0x80).done())


VVC_PTL = bytes.fromhex("ff 0015 5f 01 02 33 80 00 0780 0440 0000")


def vvc_record(sps: bytes, head: bytes = VVC_PTL) -> bytes:
    # A decoding capability information, which is one without a count; then the parameter set.
    return head + b"\x02" + b"\x8d\x00\x02\x00\x68" + b"\x8f\x00\x01" + len(sps).to_bytes(2, "big") + sps


@pytest.mark.parametrize(
    ("sps", "expected"),
    [
        (vvc_sps(), (1920, 1080)),
        (vvc_sps(crop=None), (1920, 1088)),
        (vvc_sps(ptl=0, resampling=1), (1920, 1080)),
        (vvc_sps(sub_layers=2), (1920, 1080)),
        (vvc_sps(chroma=2, crop=(1, 1, 1, 1)), (1916, 1086)),
        (vvc_sps(chroma=3, crop=(1, 1, 1, 1)), (1918, 1086)),
        (vvc_sps(constraints=1), (1920, 1088)),  # not read: the record's own, uncropped
    ],
)
def test_vvc_says_its_codec_and_size(sps: bytes, expected: tuple[int, int]) -> None:
    assert read_video_configuration("vvc1", vvc_record(sps)) == VideoConfiguration("vvc1.1.L51.CQA", *expected)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("fe 00", VideoConfiguration("vvc1")),
        ("ff 0015 5f 01 03 33 00 00 0780 0438 0000 00", VideoConfiguration("vvc1.1.H51", 1920, 1080)),
        # Three sub-layers, the lower two with levels of their own, and one sub-profile.
        (
            "ff 0035 5f 02 22 33 8001 c0 1010 01 00000000 0780 0438 0000 00",
            VideoConfiguration("vvc1.17.L51.CQAAQ", 1920, 1080),
        ),
    ],
)
def test_a_vvc_record_needs_no_parameter_sets(record: str, expected: VideoConfiguration) -> None:
    assert read_video_configuration("vvc1", bytes.fromhex(record)) == expected


def test_a_vvc_parameter_set_that_cannot_be_read_leaves_a_codec_without_a_size() -> None:
    record = vvc_record(vvc_sps(constraints=1), b"\xfe")
    assert read_video_configuration("vvc1", record) == VideoConfiguration("vvc1")


@pytest.mark.parametrize("size", [(0, 8), (8, 0), (65537, 8), (8, 65537)])
def test_a_damaged_vvc_parameter_set_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(RemoteProtocolError, match="a picture of"):
        read_video_configuration("vvc1", vvc_record(vvc_sps(size=size, crop=None)))


def av1_sequence_header(
    *,
    reduced: int = 0,
    timing: bool = False,
    equal_interval: bool = False,
    model: bool = False,
    delays: int = 0,
    levels: tuple[int, ...] = (8,),
) -> bytes:
    w = BitWriter().u(3, 0).u(1, 0).u(1, reduced)
    if reduced:
        w.u(5, 8)
    else:
        w.u(1, 1 if timing else 0)
        if timing:
            w.u(32, 1).u(32, 25).u(1, 1 if equal_interval else 0)
            if equal_interval:
                w.ue(7)
            w.u(1, 1 if model else 0)
            if model:
                w.u(5, 9).u(32, 1).u(5, 3).u(5, 4)
        w.u(1, delays).u(5, len(levels) - 1)
        for level in levels:
            w.u(12, 0).u(5, level)
            if level > 7:
                w.u(1, 0)
            if model:
                w.u(1, 1).u(10, 1).u(10, 2).u(1, 0)
            if delays:
                w.u(1, 1).u(4, 3)
    return w.u(4, 10).u(4, 9).u(11, 1279).u(10, 719).u(1, 0).done()


@pytest.mark.parametrize(
    "obu",
    [
        av1_sequence_header(),
        av1_sequence_header(reduced=1),
        av1_sequence_header(timing=True),
        av1_sequence_header(timing=True, equal_interval=True, model=True, delays=1, levels=(0, 7, 8, 31)),
        av1_sequence_header(delays=1, levels=(4,) * 32),
    ],
)
def test_av1_says_its_codec_and_size(obu: bytes) -> None:
    temporal_delimiter = b"\x12\x00"
    sized = b"\x0a" + bytes((len(obu) | 0x80, 0)) + obu  # its size in a leb128 longer than needed
    extended = b"\x0e\x08" + bytes((len(obu),)) + obu
    to_the_end = b"\x08" + obu
    for obus in (sized, temporal_delimiter + sized, extended, to_the_end):
        record = b"\x81\x04\x0c\x00" + obus
        assert read_video_configuration("av01", record) == VideoConfiguration("av01.0.04M.08", 1280, 720)


@pytest.mark.parametrize(
    ("record", "codec"),
    [
        ("81040c00", "av01.0.04M.08"),
        ("814d4c00", "av01.2.13M.10"),
        ("815fec00", "av01.2.31H.12"),
        ("81040c00 1200", "av01.0.04M.08"),
    ],
)
def test_an_av1_record_without_a_sequence_header_has_a_codec_and_no_size(record: str, codec: str) -> None:
    assert read_video_configuration("av01", bytes.fromhex(record)) == VideoConfiguration(codec)


@pytest.mark.parametrize("record", ["01040c00", "82040c00", "8104", "81040c00 0a05 00", "81040c00 0a ffffffffffffffff"])
def test_a_damaged_av1_record_is_refused(record: str) -> None:
    with pytest.raises(RemoteProtocolError):
        read_video_configuration("av01", bytes.fromhex(record))


def test_an_av1_descriptor_of_mpeg_2_ts_says_its_codec() -> None:
    descriptor = bytes.fromhex("80 04 81 04 0c 00")
    assert read_video_configuration("av01", descriptor) == VideoConfiguration("av01.0.04M.08")


@pytest.mark.parametrize("descriptor", ["80 04 81 04", "81 04 81 04 0c 00", "80 03 81 04 0c 00", "80 04 01 04 0c 00"])
def test_a_damaged_av1_descriptor_is_refused(descriptor: str) -> None:
    with pytest.raises(RemoteProtocolError, match="AV1 in MPEG-2 TS"):
        read_av1_ts_descriptor(bytes.fromhex(descriptor))


@pytest.mark.parametrize(
    ("fourcc", "record", "codec"),
    [
        ("vp09", "01000000 00 0a 82 020202 0000", "vp09.00.10.08"),
        ("vp09", "01000000 02 33 a3 090110 0000", "vp09.02.51.10"),
        ("vp08", "01000000 00 0a 80 020202 0000", "vp08.00.10.08"),
    ],
)
def test_vpx_says_its_codec(fourcc: str, record: str, codec: str) -> None:
    assert read_video_configuration(fourcc, bytes.fromhex(record)) == VideoConfiguration(codec)


@pytest.mark.parametrize("record", ["00000000 00 0a 82 020202 0000", "01000000 00 0a 82 020202"])
def test_a_damaged_vpx_record_is_refused(record: str) -> None:
    with pytest.raises(RemoteProtocolError, match="VP Codec"):
        read_video_configuration("vp09", bytes.fromhex(record))


def vp9_keyframe(*, profile: int = 0, color_space: int = 2, show_existing: int = 0, inter: int = 0) -> bytes:
    w = BitWriter().u(2, 2).u(1, profile & 1).u(1, profile >> 1)
    if profile == 3:
        w.u(1, 0)
    w.u(1, show_existing).u(1, inter).u(1, 1).u(1, 0).u(24, 0x498342)
    if profile >= 2:
        w.u(1, 0)
    w.u(3, color_space)
    if color_space != 7:
        w.u(1, 0)
        if profile in (1, 3):
            w.u(3, 0)
    elif profile in (1, 3):
        w.u(1, 0)
    return w.u(16, 1279).u(16, 719).done()


@pytest.mark.parametrize("profile", [0, 1, 2, 3])
@pytest.mark.parametrize("color_space", [2, 7])
def test_a_vp9_key_frame_says_its_size(profile: int, color_space: int) -> None:
    frame = vp9_keyframe(profile=profile, color_space=color_space)
    assert read_video_picture_size("vp09", frame) == (1280, 720)


@pytest.mark.parametrize(
    "frame", [vp9_keyframe(show_existing=1), vp9_keyframe(inter=1), b"\x00" + vp9_keyframe()[1:], vp9_keyframe()[:8]]
)
def test_what_is_no_vp9_key_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"VP9, 6\.2"):
        read_video_picture_size("vp09", frame)


def test_a_vp8_key_frame_says_its_size_without_its_scale() -> None:
    assert read_video_picture_size("vp08", bytes.fromhex("104201 9d012a 8042 d082")) == (640, 720)


@pytest.mark.parametrize("frame", ["114201 9d012a 8002 d002", "104201 9d012b 8002 d002", "104201 9d012a 8002 d0"])
def test_what_is_no_vp8_key_frame_is_refused(frame: str) -> None:
    with pytest.raises(RemoteProtocolError, match="RFC 6386"):
        read_video_picture_size("vp08", bytes.fromhex(frame))


def test_an_empty_record_says_nothing() -> None:
    # ffmpeg sends one before the real one of AV1.
    assert read_video_configuration("av01", b"") is None
    assert read_video_picture_size("vp09", b"") is None


def test_an_unknown_codec_says_nothing() -> None:
    assert read_video_configuration("abcd", b"\x01") is None
    assert read_video_picture_size("avc1", b"\x01") is None


RECORDS = {
    "avc1": avc_record(avc_sps()),
    "hvc1": hevc_record(hevc_sps()),
    "vvc1": vvc_record(vvc_sps()),
    "av01": b"\x81\x04\x0c\x00\x08" + av1_sequence_header(timing=True, model=True),
    "vp09": bytes.fromhex("01000000000a820202020000"),
}


@pytest.mark.parametrize("fourcc", RECORDS)
def test_a_record_truncated_anywhere_is_refused_or_says_less(fourcc: str) -> None:
    whole = read_video_configuration(fourcc, RECORDS[fourcc])
    for size in range(len(RECORDS[fourcc])):
        try:
            configuration = read_video_configuration(fourcc, RECORDS[fourcc][:size])
        except RemoteProtocolError:
            continue
        assert whole is not None
        assert configuration is None or configuration in (whole, VideoConfiguration(whole.codec))


@given(st.sampled_from(sorted(RECORDS)), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=5))
def test_a_mutated_record_is_refused_or_read(fourcc: str, changes: list[tuple[int, int]]) -> None:
    record = bytearray(RECORDS[fourcc])
    for place, value in changes:
        record[place % len(record)] = value
    try:
        configuration = read_video_configuration(fourcc, bytes(record))
    except RemoteProtocolError:
        return
    assert configuration is not None
    assert configuration.codec.startswith(fourcc)


@given(st.sampled_from([*sorted(RECORDS), "vp08"]), st.binary(max_size=80))
def test_any_bytes_are_refused_or_read(fourcc: str, data: bytes) -> None:
    for read in (read_video_configuration, read_video_picture_size):
        try:
            read(fourcc, data)
        except RemoteProtocolError:
            pass
