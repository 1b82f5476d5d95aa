"""Reading the Location of an answer: names, and URLs of servers that are configured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.rtmp import parse_url
from splice.access import Forwarded, PublishRequest, Pulled, Redirects, Renamed
from splice.access.redirects import RedirectError
from splice.routing import is_name

REDIRECTS = Redirects(
    origins={("rtmp", "10.0.0.8", 1935): "a", ("rtmps", "Cam.example", 443): "b", ("rtmp", "2001:db8::1", 1936): "six"},
    targets=[("rtmp", "10.0.0.20", 1935)],
)
ASKED = PublishRequest(client_id="p1", address="192.0.2.7", app="myapp", stream="secret-key")


def test_a_name_renames_the_stream() -> None:
    assert REDIRECTS.of_viewer("test", ASKED) == REDIRECTS.of_publisher("test", ASKED) == Renamed("test")


def test_its_own_name_changes_nothing() -> None:
    assert REDIRECTS.of_viewer("secret-key", ASKED) is None
    assert REDIRECTS.of_publisher("secret-key", ASKED) is None


@pytest.mark.parametrize(
    "location", ["a/b", "/test", "..", "a b", "x" * 129, "http://10.0.0.8/test", "é", "a, b", "?a", ""]
)
def test_what_is_no_name_is_refused(location: str) -> None:
    for read in (REDIRECTS.of_viewer, REDIRECTS.of_publisher):
        with pytest.raises(RedirectError, match=r"^a stream's name has 1 to 128 letters"):
            read(location, ASKED)


@pytest.mark.parametrize(
    ("location", "pulled"),
    [
        ("rtmp://10.0.0.8/live/test", Pulled("a", "live", "test")),
        ("RTMP://10.0.0.8:1935/live/test", Pulled("a", "live", "test")),
        ("rtmps://CAM.example./live/test", Pulled("b", "live", "test")),
        ("rtmp://[2001:DB8:0::1]:1936/live/test", Pulled("six", "live", "test")),
        ("rtmp://10.0.0.8/live", Pulled("a", "live", "secret-key")),
        ("rtmp://10.0.0.8", Pulled("a", "myapp", "secret-key")),
    ],
)
def test_a_viewer_is_sent_to_an_origin_by_its_host_and_port(location: str, pulled: Pulled) -> None:
    assert REDIRECTS.of_viewer(location, ASKED) == pulled


@pytest.mark.parametrize(
    "location",
    ["rtmp://10.0.0.9/live/test", "rtmp://10.0.0.8:6379/a/b", "rtmp://cam.example/a/b", "rtmp://10.0.0.20/live/test"],
)
def test_a_viewer_is_sent_to_no_other_server(location: str) -> None:
    with pytest.raises(RedirectError, match=r"^a viewer can only be sent to a server that \[origins\] names"):
        REDIRECTS.of_viewer(location, ASKED)


@pytest.mark.parametrize("location", ["rtmp://10.0.0.8/a/b?key=x", "rtmp://10.0.0.8/a/b/c", "rtmp://10.0.0.8/a?b=c/d"])
def test_a_viewer_is_sent_to_names_alone(location: str) -> None:
    with pytest.raises(RedirectError, match=r"^a viewer can only be sent to rtmp://HOST/APP/STREAM, without a query"):
        REDIRECTS.of_viewer(location, ASKED)


@pytest.mark.parametrize(
    "location", ["rtmp://10.0.0.8/a b", "rtmp://:1935/a/b", "rtmp://10.0.0.8:99999/a/b", "rtmp://"]
)
def test_what_is_no_url_is_refused(location: str) -> None:
    for read in (REDIRECTS.of_viewer, REDIRECTS.of_publisher):
        with pytest.raises(RedirectError, match=r"^a Location that begins with rtmp:// is rtmp://HOST"):
            read(location, ASKED)


@pytest.mark.parametrize(
    ("location", "to"),
    [
        ("rtmp://10.0.0.20/backup/test?key=x", "rtmp://10.0.0.20/backup/test?key=x"),
        ("rtmp://10.0.0.8/backup", "rtmp://10.0.0.8/backup/secret-key"),
        ("RTMP://10.0.0.20./backup/test", "rtmp://10.0.0.20/backup/test"),
        ("rtmp://[::ffff:10.0.0.20]/backup/test", "rtmp://10.0.0.20/backup/test"),
    ],
)
def test_a_publisher_is_sent_to_a_target_or_an_origin(location: str, to: str) -> None:
    assert REDIRECTS.of_publisher(location, ASKED) == Forwarded(parse_url(to))


@pytest.mark.parametrize(
    "location", ["rtmp://10.0.0.21/backup/test", "rtmp://10.0.0.20:80/backup/test", "rtmp://10.0.0.20%eth0/backup/test"]
)
def test_a_publisher_is_sent_to_no_other_server(location: str) -> None:
    with pytest.raises(RedirectError, match=r"^a publisher can only be sent .* \[\[forward\]\] or \[origins\] names"):
        REDIRECTS.of_publisher(location, ASKED)


@given(st.one_of(st.text(), st.text().map("rtmp://10.0.0.8/".__add__), st.text().map("rtmp://10.0.0.20".__add__)))
def test_any_location_is_a_name_a_configured_server_or_an_error(location: str) -> None:
    for read in (REDIRECTS.of_viewer, REDIRECTS.of_publisher):
        try:
            found = read(location, ASKED)
        except RedirectError as error:
            assert str(error)
            continue
        if isinstance(found, Renamed | Pulled):
            assert is_name(found.stream)
        elif isinstance(found, Forwarded):
            assert found.to.host in ("10.0.0.8", "10.0.0.20")
