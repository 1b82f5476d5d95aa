"""Routing: what the door checks is what the origin reads, whoever reads it, and what is wrong is named."""

import re
from urllib.parse import parse_qs, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from splice.config import OriginSettings
from splice.routing import PublishedRoute, Query, Route, Router, RoutingError, SpliceRoute

USERS_QUERY = b"src=a&port=1935&app=myapp&stream=test"

ORIGINS = {
    "a": OriginSettings(url="http://10.0.0.8:8080"),
    "picky": OriginSettings(url="http://10.0.0.8", ports=(1935, 1936)),
    "by-path": OriginSettings(url="http://10.0.0.9:8000", target="/{app}/{stream}.flv"),
    "by-query": OriginSettings(url="http://10.0.0.9", target="/live?port={port}&app={app}&stream={stream}"),
}
ROUTER = Router(live_paths=("/live", "/tv/live"), origins=ORIGINS)


def routed(query: bytes, path: bytes = b"/live") -> Route:
    asked = ROUTER.query(path, query)
    assert asked is not None
    return ROUTER.route(asked, path + b"?" + query)


def spliced(query: bytes) -> SpliceRoute:
    route = routed(query)
    assert isinstance(route, SpliceRoute)
    return route


def refused(query: bytes, path: bytes = b"/live") -> tuple[int, str]:
    with pytest.raises(RoutingError) as caught:
        routed(query, path)
    return caught.value.status, caught.value.detail


# What origins are known to read a query with.


def nginx_arg(query: bytes, name: bytes) -> bytes | None:
    """As nginx's ngx_http_arg does: the first hit of `name=`, in any case, at the start or behind &; not decoded."""
    match = re.search(rb"(?:\A|&)" + name + rb"=([^&]*)", query, re.IGNORECASE)
    return match and match[1]


def decoded_args(query: bytes, name: bytes, separators: bytes, *, keep_blank: bool = True) -> list[bytes]:
    """As most libraries do: every value of `name`, decoded; `;` may separate too, and letters' case may not count."""
    found = []
    for field in re.split(rb"[" + separators + rb"]", query):
        key, _, value = field.partition(b"=")
        if unquote_to_bytes(key.replace(b"+", b" ")).lower() == name and (value or keep_blank):
            found.append(unquote_to_bytes(value.replace(b"+", b" ")))
    return found


PIECES = st.sampled_from(
    [
        *(b"app", b"APP", b"a%70p", b"%41pp", b"stream", b"Stream", b"src", b"port", b"sig", b"xapp", b"app%00"),
        *(b"=", b"=", b"=", b"&", b"&", b"&", b";", b"%26", b"%3b", b"%3D", b"%", b"%2", b"+", b"?", b"/", b"[]"),
        *(b"a", b"x", b"test", b"myapp", b"1935", b"00080", b"..", b"%2e", b"a&app=x", b"&stream=y"),
    ]
)
QUERIES = st.one_of(
    st.lists(PIECES, max_size=16).map(b"".join),
    st.tuples(st.lists(PIECES, max_size=6), st.lists(PIECES, max_size=6)).map(
        lambda ends: b"".join(ends[0]) + b"&" + USERS_QUERY + b"&" + b"".join(ends[1])
    ),
    st.tuples(st.integers(0, len(USERS_QUERY)), PIECES).map(
        lambda cut: USERS_QUERY[: cut[0]] + cut[1] + USERS_QUERY[cut[0] :]
    ),
)


@given(QUERIES)
@example(USERS_QUERY)
@example(USERS_QUERY + b"&sig=a%20b&x;y=1")
@example(b"app;x=1&" + USERS_QUERY)
@example(b"x;APP&" + USERS_QUERY)
def test_what_is_forwarded_byte_for_byte_means_to_every_reader_what_the_door_checked(query: bytes) -> None:
    try:
        route = routed(query)
    except RoutingError:
        return
    if isinstance(route, PublishedRoute):
        return
    assert route.target == b"/live?" + query
    asked = ROUTER.query(b"/live", query)
    assert asked is not None
    checked = {b"app": asked.app, b"stream": asked.stream, b"src": asked.src}
    if asked.port is not None:
        checked[b"port"] = str(asked.port)
    forwarded = route.target.partition(b"?")[2]
    text = parse_qs(forwarded.decode(), keep_blank_values=True)
    for name, value in checked.items():
        assert value is not None
        assert nginx_arg(forwarded, name) == value.encode()
        assert text[name.decode()] == [value]
        for separators in (b"&", b"&;"):
            assert decoded_args(forwarded, name, separators) == [value.encode()], separators
    if asked.port is None:
        assert nginx_arg(forwarded, b"port") is None
        assert decoded_args(forwarded, b"port", b"&;") == []


def test_the_users_request_line_reaches_the_origin_as_it_is() -> None:
    route = spliced(USERS_QUERY)
    assert (route.origin.name, route.app, route.stream) == ("a", "myapp", "test")
    assert route.target == b"/live?" + USERS_QUERY
    assert [str(address) for address in route.origin.addresses] == ["http://10.0.0.8:8080"]


def test_every_live_path_is_one_and_no_other_path_is() -> None:
    assert isinstance(routed(USERS_QUERY, b"/tv/live"), SpliceRoute)
    for path in (b"/", b"/live/", b"/LIVE", b"//live", b"/live/x", b"/liv%65", b"/-/player.js", b"*", b"/a.flv"):
        assert ROUTER.query(path, USERS_QUERY) is None, path


@pytest.mark.parametrize("name", [b"app", b"stream"])
def test_a_stream_needs_an_app_and_a_stream(name: bytes) -> None:
    query = re.sub(name + rb"=\w+&?", b"", USERS_QUERY).rstrip(b"&")
    for asked in (query, query.replace(b"src=a&", b"")):
        status, detail = refused(asked)
        assert status == 400
        assert detail.startswith(f"the parameter {name.decode()} is missing")


def test_a_request_for_nothing_is_told_how_to_ask() -> None:
    for query in (b"", b"&", b"&&&", b"x", b"=", b"=x", b"name=x"):
        status, detail = refused(query)
        assert status == 400
        assert "?src=NAME&app=APP&stream=STREAM" in detail
    with pytest.raises(RoutingError):
        ROUTER.query(b"/live", None)


GOOD_NAMES = [b"x", b"A-z_0.9~@", b"x" * 128, b"...", b".x", b"-"]
BAD_NAMES = [b"", b".", b"..", b"x" * 129, b"x" * 4000, b"a/b", b"a;b", b"a+b", b"a b", b"a=b", b"a?b", b"a:b", b"*"]
BAD_WHEN_DECODED = [b"%2e", b"%2E%2e", b"a%2fb", b"a%00", b"%c3%a4", b"%ff", b"a%0d%0ab", b"%", b"%zz", b"%2561"]


@pytest.mark.parametrize("name", [b"app", b"stream"])
@pytest.mark.parametrize("src", [b"src=a&", b"src=by-path&", b"src=nobody&", b""])
def test_names_are_1_to_128_plain_characters_and_no_dots_of_a_path(name: bytes, src: bytes) -> None:
    other = b"stream" if name == b"app" else b"app"
    for value in BAD_NAMES + BAD_WHEN_DECODED:
        status, detail = refused(src + other + b"=x&" + name + b"=" + value)
        assert (status, detail.split()[:3]) == (400, ["the", "parameter", name.decode()]), value
    for value in GOOD_NAMES:
        query = ROUTER.query(b"/live", src + other + b"=x&" + name + b"=" + value)
        assert query is not None
        assert getattr(query, name.decode()) == value.decode()


def test_src_is_a_name_as_well() -> None:
    for value in BAD_NAMES:
        status, detail = refused(b"app=x&stream=y&src=" + value)
        assert (status, detail.split()[:3]) == (400, ["the", "parameter", "src"]), value


def test_an_origin_that_is_not_configured_is_404_and_the_answer_names_none() -> None:
    status, detail = refused(b"src=b&app=x&stream=y")
    assert status == 404
    assert not any(name in detail.split() for name in ORIGINS)


TWICE = [
    b"app=other",
    b"app=myapp",
    b"app=",
    b"app",
    b"APP=other",
    b"a%70p=other",
    b"%41%50%50=other",
    b"stream=x",
    b"src=a",
    b"src=by-path",
    b"port=1",
    b"pOrt=",
]


@pytest.mark.parametrize("src", [b"a", b"by-path", b"nobody"])
@pytest.mark.parametrize("second", TWICE)
def test_a_parameter_given_twice_is_refused_however_it_is_written(src: bytes, second: bytes) -> None:
    query = b"src=" + src + b"&port=1935&app=myapp&stream=test"
    name = unquote_to_bytes(second.partition(b"=")[0]).lower().decode()
    for both in (query + b"&" + second, second + b"&" + query, second + b"&x=1&" + query):
        status, detail = refused(both)
        assert status == 400
        assert name in detail


@pytest.mark.parametrize(
    "hidden", [b"x=1;app=o", b";app=o", b"x;APP=o", b"x=;a%70p=o", b"app;x=1", b"port;=", b"x;src"]
)
def test_a_parameter_behind_a_semicolon_is_refused(hidden: bytes) -> None:
    for query in (USERS_QUERY + b"&" + hidden, hidden + b"&" + USERS_QUERY):
        status, detail = refused(query)
        assert status == 400
        assert "semicolon" in detail


@pytest.mark.parametrize(
    "name", [b"app[]", b"app%00", b"+app", b"%20app", b"app%20", b"APP%3Dx", b"a?app", b"x/stream", b"src[0]"]
)
def test_a_name_that_some_origin_may_trim_to_one_of_ours_is_refused(name: bytes) -> None:
    status, detail = refused(USERS_QUERY + b"&" + name + b"=secret")
    assert status == 400
    assert "stands inside of another one's name" in detail


@pytest.mark.parametrize("name", [b"my-app", b"application", b"stream_id", b"app.id", b"v[width]", b"x"])
def test_a_name_that_merely_has_one_of_ours_in_it_passes(name: bytes) -> None:
    assert spliced(USERS_QUERY + b"&" + name + b"=1").target.endswith(name + b"=1")


@pytest.mark.parametrize("written", [b"APP", b"App", b"a%50p"])
def test_a_parameters_name_is_written_plainly(written: bytes) -> None:
    status, detail = refused(USERS_QUERY.replace(b"app=", written + b"="))
    assert status == 400
    assert "as app, in small letters" in detail


def test_parameters_of_others_pass_untouched() -> None:
    query = USERS_QUERY + b"&sig=%2F+a==&apps=1&xapp=2&token=a;b=c&app.x=1&"
    assert spliced(query).target == b"/live?" + query


def test_a_percent_sign_is_decoded_for_a_template_and_refused_where_the_origin_would_read_it() -> None:
    encoded = b"&port=1935&a%70p=my%61pp&stream=te%73t"
    assert spliced(b"src=by-path" + encoded).target == b"/myapp/test.flv"
    assert spliced(b"src=by-%70ath&app=x&stream=y").origin.name == "by-path"
    assert routed(b"app=my%61pp&stream=te%73t") == PublishedRoute("myapp", "test")
    status, detail = refused(b"src=a" + encoded)
    assert status == 400
    assert detail.startswith("the parameter app holds a %")
    for name, value in ((b"src=a", b"src=%61"), (b"1935", b"193%35"), (b"test", b"t%65st")):
        assert refused(USERS_QUERY.replace(name, value))[0] == 400


@pytest.mark.parametrize(
    "port", [b"0", b"65536", b"00080", b"080", b"", b"-1", b"+1", b"1.0", b"1e3", b"99999", b"\xd9\xa1"]
)
def test_a_port_is_a_number_from_1_to_65535(port: bytes) -> None:
    for src in (b"a", b"by-query", b"nobody"):
        status, detail = refused(b"src=" + src + b"&app=x&stream=y&port=" + port)
        assert status == 400
        assert detail.startswith("the parameter port takes a number from 1 to 65535")


@pytest.mark.parametrize("port", [b"1", b"80", b"1935", b"65535"])
def test_any_port_passes_where_the_origin_names_none(port: bytes) -> None:
    assert spliced(b"src=a&app=x&stream=y&port=" + port).target.endswith(b"&port=" + port)


def test_an_origin_with_ports_lets_only_these_through() -> None:
    for port in (b"1935", b"1936"):
        assert spliced(b"src=picky&app=x&stream=y&port=" + port).origin.ports == {1935, 1936}
    assert spliced(b"src=picky&app=x&stream=y").origin.name == "picky"
    status, detail = refused(b"src=picky&app=x&stream=y&port=1937")
    assert status == 400
    assert detail.startswith("the parameter port is none of those")


def test_a_port_means_nothing_without_an_origin() -> None:
    assert routed(b"app=x&stream=y&port=nonsense") == PublishedRoute("x", "y")


def by_default(target: bytes, origin: str) -> PublishedRoute:
    router = Router(live_paths=("/live",), origins=ORIGINS, default_origin=origin)
    path, _, query = target.partition(b"?")
    asked = router.query(path, query)
    assert asked is not None
    route = router.route(asked, target)
    assert isinstance(route, PublishedRoute)
    return route


@pytest.mark.parametrize("port", [b"1937", b"nonsense", b"", b"01935"])
def test_a_default_origin_is_sent_no_port_that_it_does_not_let_through(port: bytes) -> None:
    target = b"/live?app=x&stream=y&port="
    with pytest.raises(RoutingError, match="port"):
        by_default(target + port, "picky")
    assert by_default(target + b"1935", "picky").otherwise == SpliceRoute(
        by_default(b"/live?app=x&stream=y", "picky").otherwise.origin, target + b"1935", "x", "y", "1935"
    )
    assert by_default(target + port, "by-path").otherwise.target == b"/x/y.flv"


@pytest.mark.parametrize("hidden", [b"app=o", b"stream=o", b"src=a", b"port=1935", b"x=1&%41pp=o", b"x=1;app=o"])
def test_a_default_origin_is_sent_no_parameters_behind_a_path_that_names_the_stream(hidden: bytes) -> None:
    with pytest.raises(RoutingError) as caught:
        by_default(b"/live/y.flv?" + hidden, "a")
    assert caught.value.status == 400
    assert by_default(b"/live/y.flv?token=1", "a").otherwise.target == b"/live/y.flv?token=1"
    assert by_default(b"/live/y.flv?" + hidden, "by-path").otherwise.target == b"/live/y.flv"


def test_a_default_origin_is_sent_no_path_that_another_reads_otherwise() -> None:
    with pytest.raises(RoutingError, match="holds a %"):
        by_default(b"/my%61pp/test.flv", "a")
    assert by_default(b"/my%61pp/test.flv", "by-path").otherwise.target == b"/myapp/test.flv"


def test_a_template_asks_the_origin_in_its_own_form_and_with_nothing_else() -> None:
    assert spliced(b"src=by-path&port=1&app=my.app&stream=a@b&token=t").target == b"/my.app/a@b.flv"
    assert spliced(b"src=by-query&port=1935&app=x&stream=y&token=t").target == b"/live?port=1935&app=x&stream=y"
    assert spliced(b"src=by-query&app=x&stream=y").target == b"/live?port=&app=x&stream=y"


@pytest.mark.parametrize("query", [b"src=a&app=%61&stream=y", b"src=picky&app=x&stream=y&port=1937"])
def test_what_a_request_is_told_before_access_was_checked_does_not_tell_which_origins_there_are(query: bytes) -> None:
    known = ROUTER.query(b"/live", query)
    unknown = Router(live_paths=("/live",), origins={}).query(b"/live", query)
    assert known == unknown


def test_the_path_form_is_a_stream_of_the_hub() -> None:
    assert routed(b"", b"/myapp/test.flv") == PublishedRoute("myapp", "test")
    assert routed(b"src=a&app=x&app=y", b"/my%61pp/te%73t.flv") == PublishedRoute("myapp", "test")
    assert routed(b"", b"/live/x.flv.flv") == PublishedRoute("live", "x.flv")
    assert ROUTER.query(b"/myapp/test.flv", None) == Query(None, None, "myapp", "test", by_path=True)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/./x.flv", "app"),
        (b"/%2e%2e/x.flv", "app"),
        (b"/a%2fb/x.flv", "app"),
        (b"/a/..flv", "stream"),
        (b"/a/...flv", "stream"),
        (b"/a/%2e.flv", "stream"),
        (b"/a/%2e%2e.flv", "stream"),
        (b"/a/" + b"x" * 129 + b".flv", "stream"),
        (b"/a/x%00.flv", "stream"),
    ],
)
def test_the_path_form_is_as_strict_with_names(path: bytes, name: str) -> None:
    status, detail = refused(b"", path)
    assert status == 400
    assert detail.startswith(f"the parameter {name} takes 1 to 128 characters")


@pytest.mark.parametrize("path", [b"/a/b/c.flv", b"//c.flv", b"/a/.flv", b"/a/x.FLV", b"/a/x.flv/", b"a/x.flv"])
def test_other_paths_are_nobodys(path: bytes) -> None:
    assert ROUTER.query(path, None) is None
