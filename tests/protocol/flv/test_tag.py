"""Header and tag bytes, against what FLV 10.1, E.2 to E.4.1 lays down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import LocalProtocolError, Timestamp
from protocol.flv import FlvHeader, Tag, TagType, encode_header, encode_tag

from .replay import replay

EMPTY_FILE = encode_header(FlvHeader(has_audio=True, has_video=True))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (FlvHeader(has_audio=True, has_video=True), "464c5601050000000900000000"),
        (FlvHeader(has_audio=True, has_video=False), "464c5601040000000900000000"),
        (FlvHeader(has_audio=False, has_video=True), "464c5601010000000900000000"),
        (FlvHeader(has_audio=False, has_video=False, version=2), "464c5602000000000900000000"),
    ],
)
def test_a_header_is_nine_bytes_and_a_previous_tag_size_of_zero(header: FlvHeader, expected: str) -> None:
    assert encode_header(header).hex() == expected
    assert replay([bytes.fromhex(expected)]) == [header]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        # type, size, timestamp, upper byte of the timestamp, stream id, body, previous tag size
        (Tag(TagType.AUDIO, Timestamp(0), b""), "08 000000 000000 00 000000 0000000b"),
        (Tag(TagType.VIDEO, Timestamp(0x123456), b"\x17\x01"), "09 000002 123456 00 000000 1701 0000000d"),
        (Tag(TagType.SCRIPT, Timestamp(0xFEDCBA98), b"\x05"), "12 000001 dcba98 fe 000000 05 0000000c"),
        (Tag(TagType.VIDEO, Timestamp(0xFFFFFF), b"a", filtered=True), "29 000001 ffffff 00 000000 61 0000000c"),
        (Tag(31, Timestamp(0x1000000), b"a"), "1f 000001 000000 01 000000 61 0000000c"),
    ],
)
def test_a_tag_has_its_upper_timestamp_byte_last_and_its_size_behind_it(tag: Tag, expected: str) -> None:
    encoded = bytes.fromhex(expected.replace(" ", ""))
    assert encode_tag(tag.type, tag.timestamp, tag.body, filtered=tag.filtered) == encoded
    assert replay([EMPTY_FILE + encoded])[1:] == [tag]


def test_a_timestamp_wraps_at_32_bits() -> None:
    assert encode_tag(9, 2**32 + 5, b"") == encode_tag(9, 5, b"")
    assert encode_tag(9, -1, b"") == encode_tag(9, 2**32 - 1, b"")


def test_a_known_type_comes_out_as_its_name() -> None:
    event = replay([EMPTY_FILE + encode_tag(15, 0, b"")])[1]
    assert isinstance(event, Tag)
    assert event.type is TagType.AMF3_SCRIPT


@pytest.mark.parametrize(("tag_type", "size"), [(32, 0), (-1, 0), (9, 0x1000000)])
def test_what_does_not_fit_a_tag_is_refused(tag_type: int, size: int) -> None:
    with pytest.raises(LocalProtocolError, match="at most 16777215 bytes"):
        encode_tag(tag_type, 0, bytes(size))


def test_the_largest_body_is_accepted() -> None:
    assert len(encode_tag(9, 0, bytes(0xFFFFFF))) == 11 + 0xFFFFFF + 4


@pytest.mark.parametrize("version", [-1, 256])
def test_a_version_that_is_no_byte_is_refused(version: int) -> None:
    with pytest.raises(LocalProtocolError, match="version"):
        encode_header(FlvHeader(has_audio=True, has_video=True, version=version))


@given(
    st.builds(
        Tag,
        type=st.integers(0, 31),
        timestamp=st.integers(0, 2**32 - 1),
        body=st.binary(max_size=64),
        filtered=st.booleans(),
    )
)
def test_what_is_encoded_decodes_to_the_same(tag: Tag) -> None:
    encoded = encode_tag(tag.type, tag.timestamp, tag.body, filtered=tag.filtered)
    assert replay([EMPTY_FILE + encoded])[1:] == [tag]
