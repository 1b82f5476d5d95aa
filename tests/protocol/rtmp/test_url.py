"""RTMP URLs, in the spellings that ffmpeg, OBS, nginx and SRS use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import LocalProtocolError
from protocol.rtmp.url import RtmpUrl, parse_url, redact, resolve_tc_url, split_query


@pytest.mark.parametrize(
    ("text", "host", "port", "app", "stream"),
    [
        ("rtmp://example.com/myapp/test", "example.com", 1935, "myapp", "test"),
        ("rtmps://example.com/myapp/test", "example.com", 443, "myapp", "test"),
        ("RTMP://example.com:19350/myapp/test", "example.com", 19350, "myapp", "test"),
        ("rtmp://example.com:/myapp/test", "example.com", 1935, "myapp", "test"),
        ("rtmp://[2001:db8::1]/myapp/test", "2001:db8::1", 1935, "myapp", "test"),
        ("rtmp://[fe80::1%eth0]:1936/myapp/test", "fe80::1%eth0", 1936, "myapp", "test"),
        ("rtmp://h/app/instance/test", "h", 1935, "app/instance", "test"),
        ("rtmp://h/app/instance/dir/test", "h", 1935, "app/instance", "dir/test"),
        ("rtmp://h/myapp/test?key=a/b&c=d", "h", 1935, "myapp", "test?key=a/b&c=d"),
        ("rtmp://h/app/instance/test?key=a/b", "h", 1935, "app/instance", "test?key=a/b"),
        ("rtmp://h/myapp/test/", "h", 1935, "myapp", "test"),
        ("rtmp://h/myapp?key=X", "h", 1935, "myapp?key=X", ""),
        ("rtmp://h/live?vhost=demo/livestream", "h", 1935, "live?vhost=demo", "livestream"),
        ("rtmp://h/myapp", "h", 1935, "myapp", ""),
        ("rtmp://h/myapp/", "h", 1935, "myapp", ""),
        ("rtmp://h/", "h", 1935, "", ""),
        ("rtmp://h", "h", 1935, "", ""),
        ("rtmp://h/myapp/mp4:clip.mp4", "h", 1935, "myapp", "mp4:clip.mp4"),
    ],
)
def test_a_url_is_taken_apart_as_ffmpeg_does(text: str, host: str, port: int, app: str, stream: str) -> None:
    url = parse_url(text)
    assert (url.host, url.port, url.app, url.stream) == (host, port, app, stream)


@pytest.mark.parametrize(
    ("server", "app"),
    [
        ("rtmp://h/live", "live"),
        ("rtmp://h/live/", "live"),
        ("rtmp://h/live/one/two", "live/one/two"),
        ("rtmp://h/live?token=x/y", "live?token=x/y"),
    ],
)
def test_with_a_key_given_apart_the_whole_path_is_the_app_as_obs_does(server: str, app: str) -> None:
    url = parse_url(server, stream="test?key=a/b")
    assert (url.app, url.stream) == (app, "test?key=a/b")


def test_user_and_password_are_percent_decoded() -> None:
    url = parse_url("rtmp://jo%40x:p%2Fw@h/myapp/test")
    assert (url.username, url.password, url.host) == ("jo@x", "p/w", "h")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a URL"),
        ("rtmp:/h/a/b", "not a URL"),
        ("rtmp://", "not a URL"),
        ("rtmp:///a/b", "not a URL"),
        ("rtmp://::1/a/b", "not a URL"),
        ("rtmp://h:port/a/b", "not a URL"),
        ("rtmp://h/a b/c", "not a URL"),
        ("rtmp://h/a/b\r\nx", "not a URL"),
        ("rtmpt://h/a/b", "rtmpt://"),
        ("http://h/a/b", "http://"),
        ("rtmp://h:0/a/b", "port 0"),
        ("rtmp://h:65536/a/b", "port 65536"),
    ],
)
def test_what_is_no_rtmp_url_is_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        parse_url(text)


def test_a_stream_key_with_a_line_feed_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="control character"):
        parse_url("rtmp://h/a", stream="test\n")


@pytest.mark.parametrize(
    ("text", "tc_url"),
    [
        ("rtmp://h/myapp/test", "rtmp://h/myapp"),
        ("rtmp://h:1935/myapp/test", "rtmp://h/myapp"),
        ("rtmps://h:1935/myapp/test", "rtmps://h:1935/myapp"),
        ("rtmp://jo:pw@[::1]:1936/app/one/test?key=x", "rtmp://[::1]:1936/app/one"),
        ("rtmp://h/myapp?key=X", "rtmp://h/myapp?key=X"),
    ],
)
def test_the_tc_url_ends_at_the_app_and_holds_no_password(text: str, tc_url: str) -> None:
    assert parse_url(text).tc_url == tc_url


def test_str_and_repr_hide_the_password_and_every_query_value() -> None:
    url = parse_url("rtmp://jo:s3cret@h/myapp?a=s3cret/test")
    url = RtmpUrl(url.scheme, url.host, url.port, url.app, "test?key=s3cret&x=s3cret&s3cret", "jo", "s3cret")
    assert "s3cret" not in str(url)
    assert "s3cret" not in repr(url)
    assert str(url) == "rtmp://jo:***@h/myapp?a=***/test?key=***&x=***&***"


def test_the_refusal_of_a_bad_url_does_not_show_its_password() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        parse_url("rtmp://jo:s3cret@h:bad/app/test?key=s3cret")
    assert "s3cret" not in str(caught.value)


# A password's "/", "?", "#" or space should be percent-encoded, and people paste it as it is.
@pytest.mark.parametrize(
    "text",
    [
        "rtmp://jo:s3/cret@cam/app",
        "rtmp://jo:s3#cret@cam/app/test",
        "rtmp://jo:s3?cret@cam/app",
        "rtmp://jo:s3 cret@cam/app",
        "rtmp://jo:s3cret@@cam/app",
        "rtmp://jo:s3@cret?s3@cret/app",
        "rtmp://jo:123456/cret@cam/app",
        "rtmp:/jo:s3cret@cam/app",
        "jo:s3cret@cam/app",
        "rtmp://h:x/app/test?key=s3@cret",
        "rtmp://jo:pw@h:x/app/test?key=s3@cret",
        "rtmp://h/app/test?key=s3 cret",
    ],
)
def test_no_password_is_shown_however_it_is_spelt(text: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        parse_url(text)
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to rtmp://jo:s3/cret@cam/app now", "to rtmp://jo:***@cam/app now"),
        ("rtmp://jo:s3#cret@cam/app", "rtmp://jo:***@cam/app"),
        ("rtmp://jo:s3?cret@cam/app", "rtmp://jo:***"),
        ("http://jo:pw@h/hook?key=a@b", "http://jo:***"),
        ("http://jo:pw@h/hook?key=b", "http://jo:***@h/hook?key=***"),
        ("rtmp://jo:pw@[::1]:1936/a and http://u:p@h", "rtmp://jo:***@[::1]:1936/a and http://u:***@h"),
    ],
)
def test_passwords_are_taken_out_of_any_text(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("text", ["://a:" + "?" * 200_000, "://a:?" * 50_000, "://" * 80_000, "://[" * 60_000])
def test_a_long_text_is_read_once_whatever_it_looks_like(text: str) -> None:
    assert redact(text)  # a search that began anew at each of these would take minutes


@pytest.mark.parametrize(
    "text",
    [
        "rtmp://h/a/b",
        "two rtmp://h/a words",
        "",
        "a:b@c",
        "rtmp://h:1935/a/b@c",
        "rtmp://[::1]:1935/a/b@c",
        "rtmp://h:1935 and jo@h",
        "rtmp://h:1935",
    ],
)
def test_text_without_secrets_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_a_name_is_split_at_its_first_question_mark() -> None:
    assert split_query("test?key=a?b") == ("test", "key=a?b")
    assert split_query("test") == ("test", "")


@pytest.mark.parametrize(
    ("reference", "resolved"),
    [
        ("rtmp://foo.mydomain.com:1935/realtimeapp", "rtmp://foo.mydomain.com:1935/realtimeapp"),
        ("//192.0.2.0/realtimeapp", "rtmps://192.0.2.0/realtimeapp"),
        ("/realtimeapp", "rtmps://old:1936/realtimeapp"),
        ("other", "rtmps://old:1936/app/other"),
        ("", "rtmps://old:1936/app/one?x=y"),
    ],
)
def test_a_reconnect_target_is_resolved_against_the_connections_tc_url(reference: str, resolved: str) -> None:
    assert resolve_tc_url("rtmps://old:1936/app/one?x=y", reference) == resolved


def test_a_name_as_reconnect_target_replaces_an_app_without_an_instance() -> None:
    assert resolve_tc_url("rtmp://old/app", "other") == "rtmp://old/other"


NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)


@given(
    scheme=st.sampled_from(["rtmp", "rtmps"]),
    host=st.sampled_from(["h", "example.com", "::1", "192.0.2.7"]),
    port=st.integers(1, 65535),
    app=st.lists(NAMES, min_size=1, max_size=2).map("/".join),
    stream=NAMES,
    query=st.sampled_from(["", "?key=x", "?a=b&c"]),
)
def test_put_together_and_taken_apart_it_is_the_same(
    scheme: str, host: str, port: int, app: str, stream: str, query: str
) -> None:
    url = RtmpUrl(scheme, host, port, app, stream + query)
    assert parse_url(url.text) == url


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        parse_url("rtmp://" + text)
    except LocalProtocolError:
        pass
