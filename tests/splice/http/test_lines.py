import pytest

from splice.http.grammar import MalformedError, OversizedError
from splice.http.lines import FieldSection, LineBuffer


def buffer_of(data: bytes) -> LineBuffer:
    lines = LineBuffer()
    lines.receive_data(data)
    return lines


def test_lines_come_without_their_end_and_the_rest_stays() -> None:
    lines = buffer_of(b"a\r\n\r\nrest")
    assert lines.take_line(100) == b"a"
    assert lines.take_line(100) == b""
    assert lines.take_line(100) is None
    assert len(lines) == 4
    assert lines.peek(2) == b"re"
    assert lines.take_up_to(3) == b"res"
    assert lines.take_up_to(3) == b"t"
    assert lines.take_up_to(3) == b""


def test_a_line_that_was_cut_anywhere_is_whole() -> None:
    lines = LineBuffer()
    for byte in b"first\r":
        lines.receive_data(bytes([byte]))
        assert lines.take_line(100) is None
    lines.receive_data(b"\nsecond")
    assert lines.take_line(100) == b"first"
    lines.receive_data(b"\r\n")
    assert lines.take_line(100) == b"second"


def test_bytes_that_are_taken_are_not_searched_for_lines() -> None:
    lines = buffer_of(b"ab\ncd\r\n")
    assert lines.take_up_to(3) == b"ab\n"
    assert lines.take_line(100) == b"cd"


@pytest.mark.parametrize("data", [b"\n", b"a\n", b"a\r\r \n", b"a\r\n\n"])
def test_a_bare_lf_ends_no_line(data: bytes) -> None:
    lines = buffer_of(data)
    with pytest.raises(MalformedError, match="bare LF"):
        while True:
            lines.take_line(100)


def test_a_bare_lf_is_one_whatever_follows_it() -> None:
    with pytest.raises(MalformedError, match="bare LF"):
        buffer_of(b"\nmore than the limit").take_line(5)


def test_a_line_of_just_the_limit_is_taken_and_one_byte_more_is_refused_at_once() -> None:
    assert buffer_of(b"abcd\r\n").take_line(6) == b"abcd"
    assert buffer_of(b"abcd\r").take_line(6) is None
    assert buffer_of(b"abcdef").take_line(6) is None
    for too_long in (b"abcde\r\n", b"abcdefg"):
        with pytest.raises(OversizedError):
            buffer_of(too_long).take_line(6)


def test_a_section_ends_with_the_empty_line_and_leaves_what_follows() -> None:
    lines = buffer_of(b"A: 1\r\nb:2\r\n\r\nrest")
    assert FieldSection(lines, max_bytes=100, max_lines=2).read() == ((b"A", b"1"), (b"b", b"2"))
    assert lines.peek(100) == b"rest"


def test_a_section_counts_all_its_bytes_and_lines() -> None:
    data = b"A: 1\r\nb:2\r\n\r\n"
    assert FieldSection(buffer_of(data), max_bytes=len(data), max_lines=2).read() is not None
    with pytest.raises(OversizedError):
        FieldSection(buffer_of(data), max_bytes=len(data) - 1, max_lines=2).read()
    with pytest.raises(OversizedError, match="more than 1 field"):
        FieldSection(buffer_of(data), max_bytes=len(data), max_lines=1).read()
