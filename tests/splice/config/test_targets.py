"""What origins are asked for: every target that is let through can be asked for, and nothing secret is shown of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splice.config.targets import check_rtmp_target, check_target, filled, is_one_stream, masked, rtmp_url

TEXTS = st.text() | st.text("/{}apstrempo?=&#.%~[]@: k1", max_size=30).map("/".__add__)


def is_target(text: str) -> bool:
    try:
        check_target(text)
    except ValueError as error:
        assert str(error).isprintable()
        return False
    return True


@given(TEXTS)
def test_what_is_let_through_is_one_word_of_a_request_line(text: str) -> None:
    if is_target(text):
        target = filled(text, app="app", stream="stream", port="1935")
        assert target.startswith("/")
        assert target.encode("ascii").split() == [target.encode()]


@given(TEXTS)
def test_what_is_let_through_of_rtmp_names_an_app_and_a_stream(text: str) -> None:
    try:
        check_rtmp_target(text)
    except ValueError:
        return
    url = rtmp_url("rtmp", "host:1936", filled(text, app="app", stream="stream", port=""), "stream")
    assert (url.host, url.port) == ("host", 1936)
    assert url.app
    assert url.stream


@given(TEXTS.filter(is_target))
def test_what_is_shown_of_a_target_is_a_target_too(text: str) -> None:
    assert is_target(masked(text))
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/a/b", "/a/b"),
        ("/a?k=geheim", "/a?k=***"),
        ("/a?geheim", "/a?***"),
        ("/a?k=&l={stream}&m={stream}geheim&=geheim", "/a?k=&l={stream}&m=***&=***"),
        ("/a?vhost=geheim/b?geheim=c", "/a?vhost=***"),
        ("http://me:geheim@x/a", "http://me:***@x/a"),
        ("http://me:ge@heim@x", "http://me:***@x"),
        ("http://geheim@x", "http://***@x"),
        ("http://:geheim@x", "http://:***@x"),
        ("http://x/mail@example", "http://x/mail@example"),
    ],
)
def test_passwords_and_values_of_queries_are_not_shown_and_fields_are(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("target", "over_http", "over_rtmp"),
    [
        ("", False, False),
        ("/cam", True, False),  # over RTMP an app, in which the viewer's stream is
        ("/cam?key=x", True, False),
        ("/cam/front", True, True),
        ("/cam/front?port={port}", True, True),
        ("/cam/{stream}", False, False),
        ("/{app}/front", False, False),
        ("/cam/front?name={stream}", False, False),
    ],
)
def test_one_stream_is_what_does_not_depend_on_names(target: str, over_http: bool, over_rtmp: bool) -> None:
    assert is_one_stream(target, by_rtmp=False) is over_http
    assert is_one_stream(target, by_rtmp=True) is over_rtmp
