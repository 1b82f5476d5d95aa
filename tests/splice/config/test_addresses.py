"""Addresses as operators write them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splice.config import ListenAddress, OriginAddress


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("18090", None, 18090),
        ("0", None, 0),
        ("00080", None, 80),
        ("65535", None, 65535),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("localhost:80", "localhost", 80),
        ("my_host.example.:1", "my_host.example.", 1),
        ("[::1]:18090", "::1", 18090),
        ("[::ffff:1.2.3.4]:1", "::ffff:1.2.3.4", 1),
    ],
)
def test_where_to_listen_is_a_port_and_perhaps_a_host(text: str, host: str | None, port: int) -> None:
    address = ListenAddress.parse(text)
    assert address == (host, port)
    assert ListenAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "such as 18090, 127.0.0.1:18090"),
        (":80", "is not [HOST:]PORT"),
        ("x", "is not [HOST:]PORT"),
        ("x:", "is not [HOST:]PORT"),
        ("::1:80", "or [::1]:18090"),
        ("[::1]", "is not [HOST:]PORT"),
        ("123456", "is not [HOST:]PORT"),
        ("-1", "is not [HOST:]PORT"),
        (" 80", "is not [HOST:]PORT"),
        ("80\n", "is not [HOST:]PORT"),
        ("\u0661\u0662", "is not [HOST:]PORT"),
        ("65536", "a port is at most 65535"),
        ("127.0.0.1:99999", "a port is at most 65535"),
        ("[::zz]:1", "'::zz' is not an IPv6 address"),
        ("[1.2.3.4]:1", "'1.2.3.4' is not an IPv6 address"),
        ("[fe80::1%eth0]:1", "is not an IPv6 address"),
        ("a..b:1", "'a..b' is not a host name"),
        ("-a:1", "'-a' is not a host name"),
        ("x" * 64 + ":1", "is not a host name"),
        ("ex ample:1", "is not a host name"),
    ],
)
def test_what_is_no_address_to_listen_on_is_told_what_would_be(text: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        ListenAddress.parse(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        ("http://10.0.0.8:8080", ("http", "10.0.0.8", 8080), "10.0.0.8:8080"),
        ("http://10.0.0.8", ("http", "10.0.0.8", 80), "10.0.0.8"),
        ("http://10.0.0.8:80/", ("http", "10.0.0.8", 80), "10.0.0.8"),
        ("http://Origin_1.Example", ("http", "origin_1.example", 80), "origin_1.example"),
        ("http://[::1]:8080", ("http", "::1", 8080), "[::1]:8080"),
        ("http://[2001:DB8::1]", ("http", "2001:DB8::1", 80), "[2001:DB8::1]"),
        ("rtmp://10.0.0.9", ("rtmp", "10.0.0.9", 1935), "10.0.0.9"),
        ("rtmp://10.0.0.9:80", ("rtmp", "10.0.0.9", 80), "10.0.0.9:80"),
        ("https://cam.example", ("https", "cam.example", 443), "cam.example"),
        ("rtmps://cam.example:1936/", ("rtmps", "cam.example", 1936), "cam.example:1936"),
    ],
)
def test_an_origin_is_a_scheme_a_host_and_a_port(url: str, address: tuple[str, str, int], authority: str) -> None:
    origin = OriginAddress.parse(url)
    assert origin == OriginAddress(*address)
    assert origin.authority == authority
    assert OriginAddress.parse(str(origin)) == origin


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "is http://host[:port]"),
        ("10.0.0.8:8080", "is http://host[:port]"),
        ("ftp://x", "is http://host[:port]"),
        ("http:/x", "is http://host[:port]"),
        ("http://x:80 ", "'80 ' is not a port"),
        ("http://x:80@/", "'' is not a host name"),
        ("http://", "'' is not a host name"),
        ("http://:80", "'' is not a host name"),
        ("http://x y", "is not a host name"),
        ("http://x\n", "is not a host name"),
        ("http://x\x00", "is not a host name"),
        ("http://a..b", "is not a host name"),
        ("http://\u00e4.example", "is not a host name"),
        ("http://x[::1]", "is not a host name"),
        ("http://[::1", "is not a host name"),
        ("http://[x]", "'x' is not an IPv6 address"),
        ("http://[::1%25eth0]", "is not an IPv6 address"),
        ("http://x:", "'' is not a port"),
        ("http://x:0", "a number from 1 to 65535"),
        ("http://x:65536", "a number from 1 to 65535"),
        ("http://x:8o", "a number from 1 to 65535"),
        ("http://x:\u0661", "a number from 1 to 65535"),
        ("http://x?a=b", "which begins with /"),
        ("http://x#a", "which begins with /"),
        ("http://x/a b", "without spaces"),
        ("http://x/{name}", "the fields of a target are {app}, {stream} and {port}"),
        ("http://x/{", "single braces"),
        ("rtmp://x//b", "an rtmp target is /app/stream"),
        ("rtmp://x/a/b c", "without spaces"),
        ("rtmp://me@x", "takes no user or password"),
        ("rtmps://me:geheim@x/a/b", "takes no user or password"),
        ("http://me:ge/heim@x", "is written as %2F"),
        ("http://me:ge#heim@x", "is written as %2F"),
    ],
)
def test_what_is_no_origin_is_told_what_would_be(url: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        OriginAddress.parse(url)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:geheim@10.0.0.8:8080/live", "http://10.0.0.8:8080/live"),
        ("http://geheim@10.0.0.8", "http://10.0.0.8:80"),
        (
            "rtmp://cam/bcs/front.bcs?channel=0&user=u&password=geheim",
            "rtmp://cam:1935/bcs/front.bcs?channel=***&user=***",
        ),
        ("rtmp://cam/app?key=geheim", "rtmp://cam:1935/app?key=***"),
        ("https://cam/{app}/{stream}?n={stream}&geheim", "https://cam:443/{app}/{stream}?n={stream}&***"),
    ],
)
def test_an_origins_address_shows_no_password(url: str, shown: str) -> None:
    address = OriginAddress.parse(url)
    assert str(address).startswith(shown)
    assert "geheim" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    "url",
    [
        "rtmp://me:geheim@x",
        "http://me:geheim@x:y",
        "http://me:gehe/heim@x",
        "http://me:80/geheim@x y",
        "http://x/?key=geheim{",
        "http://x/?key={geheim}",
        "http://x/ ?key=geheim",
        "rtmp://x//?key=geheim",
        "http://x#geheim",
    ],
)
def test_a_password_in_an_origins_url_that_is_wrong_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        OriginAddress.parse(url)
    assert "gehe" not in str(caught.value)


@pytest.mark.parametrize(
    ("user", "basic"),
    [
        ("me:geheim", "me:geheim"),
        ("me:g%40%2F%3A%25", "me:g@/:%"),
        ("me:a@b:c", "me:a@b:c"),
        ("me", "me:"),
        (":geheim", ":geheim"),
        ("me:ä", "me:ä"),
    ],
)
def test_a_user_and_a_password_are_basic_authorization(user: str, basic: str) -> None:
    scheme, _, token = OriginAddress.parse(f"http://{user}@x/live").authorization.partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(token).decode() == basic


@given(st.one_of(st.text(max_size=20), st.text("htp:/[]1.:@%x?#{}=&", max_size=20).map("http://".__add__)))
def test_any_text_is_an_address_or_is_told_why_not(text: str) -> None:
    for parse in (ListenAddress.parse, OriginAddress.parse):
        try:
            address = parse(text)
        except ValueError as error:
            assert str(error).isprintable()
        else:
            assert str(parse(str(address))) == str(address)
