import pytest

from splice.http.grammar import (
    MalformedError,
    is_authority,
    is_content_length,
    is_field_value,
    is_target,
    is_token,
    parse_chunk_size,
    parse_field_line,
    parse_status_line,
    parse_version,
    split_absolute_form,
    starts_like_a_method,
)

TCHARS = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
EVERY_BYTE = [bytes([i]) for i in range(256)]


def test_a_token_is_made_of_exactly_the_characters_of_rfc_9110() -> None:
    assert {byte for byte in EVERY_BYTE if is_token(byte)} == {bytes([i]) for i in TCHARS}
    assert {byte for byte in EVERY_BYTE if starts_like_a_method(byte)} == {bytes([i]) for i in TCHARS}
    assert is_token(TCHARS)
    assert not is_token(b"")
    assert not is_token(b"GET\n")


def test_a_field_value_holds_everything_but_control_characters_and_of_these_only_htab() -> None:
    allowed = {byte for byte in EVERY_BYTE if is_field_value(byte)}
    assert allowed == {b"\t"} | {bytes([i]) for i in range(0x20, 0x7F)} | {bytes([i]) for i in range(0x80, 0x100)}
    assert is_field_value(b"")
    assert not is_field_value(b"a\n")


def test_a_target_is_visible_ascii_without_a_fragment() -> None:
    assert {byte for byte in EVERY_BYTE if is_target(byte)} == {bytes([i]) for i in range(0x21, 0x7F)} - {b"#"}
    assert not is_target(b"")
    assert not is_target(b"/\n")


@pytest.mark.parametrize(
    "authority",
    [
        b"a",
        b"door.example:18090",
        b"door.example:",
        b"10.0.0.8:80",
        b"[::1]",
        b"[::1]:18090",
        b"[2001:db8::192.0.2.1]:",
        b"under_score",
        b"%C3%A4.example",
        b"!$&'()*+,;=~",
    ],
)
def test_an_authority_is_a_host_and_perhaps_a_port(authority: bytes) -> None:
    assert is_authority(authority)


@pytest.mark.parametrize(
    "authority",
    [
        b"",
        b":80",
        b"a:b",
        b"a:1:2",
        b"a:+1",
        b"a:123456",
        b"user@a",
        b"a/b",
        b"a b",
        b"a, b",
        b"a\t",
        b"\xc3\xa4",
        b"%zz",
        b"%4",
        b"::1",
        b"[::1",
        b"[]",
        b"[::1]x",
        b"[::g]",
        b"[1]",
        b"[fe80::1%25eth0]",
        b"[1.2.3.4]",
        b"[v1.x]",
        b"a\n",
        b"[::1]\n",
    ],
)
def test_what_is_no_authority_is_known(authority: bytes) -> None:
    assert not is_authority(authority)


@pytest.mark.parametrize("value", [b"0", b"00", b"7", b"9" * 18])
def test_a_content_length_is_up_to_18_digits(value: bytes) -> None:
    assert is_content_length(value)


@pytest.mark.parametrize(
    "value", [b"", b"+0", b"-0", b"0x0", b"0, 0", b"0,0", b"0.0", b"1_0", b"0 0", b"9" * 19, b"\xb2", b"0\n", b"abc"]
)
def test_nothing_else_is_a_content_length(value: bytes) -> None:
    assert not is_content_length(value)


def test_a_version_is_two_digits_and_its_name_is_case_sensitive() -> None:
    assert parse_version(b"HTTP/1.1") == (1, 1)
    assert parse_version(b"HTTP/9.0") == (9, 0)
    for malformed in (b"", b"http/1.1", b"HTTP/1", b"HTTP/1.", b"HTTP/1.10", b"HTTP/11.1", b"HTTP/1.1\n", b"HTTP/1.x"):
        with pytest.raises(MalformedError):
            parse_version(malformed)


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        (b"HTTP/1.1 200 OK", ((1, 1), 200, b"OK")),
        (b"HTTP/1.0 404 Not Found", ((1, 0), 404, b"Not Found")),
        (b"HTTP/1.1 200 ", ((1, 1), 200, b"")),
        (b"HTTP/1.1 200", ((1, 1), 200, b"")),
        (b"HTTP/2.0 100 x", ((2, 0), 100, b"x")),
        (b"HTTP/1.1 599 \xe4\t!", ((1, 1), 599, b"\xe4\t!")),
    ],
)
def test_a_status_line_has_a_version_a_status_and_perhaps_a_reason(line: bytes, parsed: object) -> None:
    assert parse_status_line(line) == parsed


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 20",
        b"HTTP/1.1 2000",
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 600 x",
        b"HTTP/1.1 +20 x",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b"HTTP/1.1 200\tOK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1 200 OK\r",
        b"http/1.1 200 OK",
        b"ICY 200 OK",
        b" HTTP/1.1 200 OK",
    ],
)
def test_what_is_no_status_line_is_refused(line: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_status_line(line)


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        (b"Host: a", (b"Host", b"a")),
        (b"Host:a", (b"Host", b"a")),
        (b"hOST: \t a b\t ", (b"hOST", b"a b")),
        (b"X:", (b"X", b"")),
        (b"X: \t", (b"X", b"")),
        (b"X: a:b", (b"X", b"a:b")),
        (b"X: \xa0\xe4\x85", (b"X", b"\xa0\xe4\x85")),
    ],
)
def test_a_field_line_has_a_name_and_a_value_without_the_white_space_around_it(line: bytes, parsed: object) -> None:
    assert parse_field_line(line) == parsed


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b" folded", "folding"),
        (b"\tfolded: x", "folding"),
        (b"no colon", "no colon"),
        (b"", "no colon"),
        (b": x", "name is empty"),
        (b" : x", "folding"),
        (b"X y: x", "may not hold"),
        (b"X\x00: x", "may not hold"),
        (b"X\xe4: x", "may not hold"),
        (b"X\r: x", "may not hold"),
        (b"X\x0b: x", "may not hold"),
        (b"X(y): x", "may not hold"),
        (b"Host : x", "colon follows at once"),
        (b"Host\t: x", "colon follows at once"),
        (b"Host: a\rb", "bare CR"),
        (b"Host: a\r", "bare CR"),
        (b"Host: a\x00", "control character"),
        (b"Host:\x0b a", "control character"),
        (b"Host: a\x0c", "control character"),
        (b"Host: \x7f", "control character"),
        (b"Host: \x1f", "control character"),
    ],
)
def test_a_malformed_field_line_is_refused_with_what_is_wrong(line: bytes, says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        parse_field_line(line)


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        (b"http://a", (b"a", b"")),
        (b"HTTP://A:80/", (b"A:80", b"/")),
        (b"http://a/b?c", (b"a", b"/b?c")),
        (b"http://a?c/d", (b"a", b"/?c/d")),
        (b"http://a//b", (b"a", b"//b")),
        (b"http:///b", (b"", b"/b")),
        (b"https://a/", None),
        (b"http:/a", None),
        (b"a:80", None),
        (b"rtmp://a/b", None),
    ],
)
def test_absolute_form_is_cut_into_authority_and_origin_form(target: bytes, parts: object) -> None:
    assert split_absolute_form(target) == parts


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"0", 0),
        (b"5", 5),
        (b"fF", 255),
        (b"0" * 15 + b"a", 10),
        (b"f" * 16, 2**64 - 1),
        (b"5;a=b", 5),
        (b'5 \t;a="b;c"', 5),
    ],
)
def test_a_chunk_size_is_hexadecimal_and_its_extensions_are_skipped(line: bytes, size: int) -> None:
    assert parse_chunk_size(line) == size


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b";a",
        b"-1",
        b"+1",
        b"0x1",
        b"1 ",
        b" 1",
        b"1\t",
        b"1_0",
        b"1 2",
        b"g",
        b"5,a",
        b"0" * 17,
        b"5;\x00",
        b"5;a\rb",
        b"5\r",
        b"5\n",
        b"\xb2",
    ],
)
def test_nothing_else_is_a_chunk_size(line: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_chunk_size(line)
