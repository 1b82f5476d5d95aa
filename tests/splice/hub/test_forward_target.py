"""Where streams are sent: what a rule's URL means for each of them, and what of it is shown."""

import pytest

from protocol.rtmp import parse_url
from splice.hub.forward import ForwardRule, Target

YOUTUBE = "rtmps://a.rtmps.youtube.com/live2/abcd-efgh-ijkl"


@pytest.mark.parametrize(
    ("to", "sent_to"),
    [
        ("rtmp://10.0.0.20/backup", "rtmp://10.0.0.20/backup/test"),
        ("rtmp://10.0.0.20/backup/", "rtmp://10.0.0.20/backup/test"),
        ("rtmp://10.0.0.20/backup?key=x", "rtmp://10.0.0.20/backup?key=x/test"),
        ("rtmp://10.0.0.20/backup/other", "rtmp://10.0.0.20/backup/other"),
        ("rtmp://10.0.0.20/backup/other?key=x", "rtmp://10.0.0.20/backup/other?key=x"),
        ("rtmp://10.0.0.20/{app}", "rtmp://10.0.0.20/myapp/test"),
        ("rtmp://10.0.0.20/all/{app}-{stream}", "rtmp://10.0.0.20/all/myapp-test"),
        ("rtmp://10.0.0.20:1936/{stream}/in", "rtmp://10.0.0.20:1936/test/in"),
        ("rtmp://10.0.0.20/{stream}", "rtmp://10.0.0.20/test/test"),
        (YOUTUBE, YOUTUBE),
        (f"{YOUTUBE}?backup=1", f"{YOUTUBE}?backup=1"),
        ("rtmps://live.example.org/rtmp/FB-1-0-Ab?s_bl=1&s_psm=1&a=Ab/c", None),
    ],
)
def test_a_stream_goes_to_the_name_in_the_url_or_to_its_own_where_that_has_none(to: str, sent_to: str | None) -> None:
    target = ForwardRule("*", to).target("myapp", "test")
    assert target is not None
    assert target.url.text == (sent_to or to)


@pytest.mark.parametrize(
    ("to", "app", "stream"),
    [
        ("rtmp://h/live/instance/name", "live", "instance/name"),
        ("rtmp://h/live/a/b/c?key=x", "live", "a/b/c?key=x"),
        ("rtmp://h/live/instance/", "live", "instance"),
        ("rtmp://h/live?vhost=x/name", "live?vhost=x", "name"),
        ("rtmp://h/{app}/{stream}/{app}", "myapp", "test/myapp"),
    ],
)
def test_all_behind_the_first_name_of_the_path_is_the_streams(to: str, app: str, stream: str) -> None:
    target = ForwardRule("*", to).target("myapp", "test")
    assert target is not None
    assert (target.url.app, target.url.stream) == (app, stream)


@pytest.mark.parametrize(
    ("streams", "sent"),
    [
        ("myapp/*", True),
        ("myapp/test", True),
        ("*", True),
        ("*/test", True),
        ("myapp/te*", True),
        ("other/*", False),
        ("myapp/tes", False),
        ("MYAPP/*", False),
    ],
)
def test_a_rule_is_about_the_streams_that_its_pattern_matches(streams: str, sent: bool) -> None:
    assert (ForwardRule(streams, "rtmp://h/a").target("myapp", "test") is not None) is sent


@pytest.mark.parametrize(
    ("to", "shown", "shown_of_one"),
    [
        ("rtmp://h/backup", "rtmp://h/backup", "rtmp://h/backup/test"),
        ("rtmp://h/{app}/{stream}", "rtmp://h/{app}/{stream}", "rtmp://h/myapp/test"),
        ("rtmp://h/all/{app}-{stream}", "rtmp://h/all/{app}-{stream}", "rtmp://h/all/myapp-test"),
        (YOUTUBE, "rtmps://a.rtmps.youtube.com/live2/***", "rtmps://a.rtmps.youtube.com/live2/***"),
        ("rtmp://h/a/geheim-{stream}?x=geheim", "rtmp://h/a/***", "rtmp://h/a/***"),
        ("rtmp://h/a/geheim/b/c", "rtmp://h/a/***", "rtmp://h/a/***"),
        ("rtmp://h/a/{stream}?key=geheim", "rtmp://h/a/{stream}?key=***", "rtmp://h/a/test?key=***"),
        ("rtmp://h/a?key=geheim", "rtmp://h/a?key=***", "rtmp://h/a?key=***/test"),
        ("rtmp://me:geheim@h/a", "rtmp://me:***@h/a", "rtmp://me:***@h/a/test"),
    ],
)
def test_no_key_and_no_password_is_shown(to: str, shown: str, shown_of_one: str) -> None:
    rule = ForwardRule("*", to)
    target = rule.target("myapp", "test")
    assert target is not None
    assert (rule.shown, target.shown) == (shown, shown_of_one)
    assert "geheim" not in f"{rule!r}{target!r}"


@pytest.mark.parametrize(
    ("to", "said", "hidden"),
    [
        (YOUTUBE, "abcd-efgh-ijkl is taken", "*** is taken"),
        (f"{YOUTUBE}?a=b1c", "abcd-efgh-ijkl?a=b1c, b1c", "***, ***"),
        ("rtmp://h/a?key=geheim", "bad key geheim for test", "bad key *** for test"),
        ("rtmp://h/a/{stream}?key=geheim", "bad key geheim for test", "bad key *** for test"),
        ("rtmp://me:geheim@h/a", "geheim?", "***?"),
        ("rtmp://h/a", "a/test is taken", "a/test is taken"),
        ("rtmp://h/a/x{stream}", "xtest is taken", "*** is taken"),
    ],
)
def test_what_a_server_says_is_told_without_the_key(to: str, said: str, hidden: str) -> None:
    target = ForwardRule("*", to).target("myapp", "test")
    assert target is not None
    assert target.hide(said) == hidden


def test_a_target_that_is_no_rules_shows_only_the_streams_own_name() -> None:
    assert Target.of(parse_url("rtmp://h/a/test"), "test").shown == "rtmp://h/a/test"
    assert Target.of(parse_url("rtmp://h/a/geheim?x=y"), "test").shown == "rtmp://h/a/***"
