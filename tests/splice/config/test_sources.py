"""The three places that settings come from, and the sentence for whatever is wrong in one of them."""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from splice.config import ConfigError, Settings, load_settings, settings_as_toml

ORIGIN = '[origins.a]\nurl = "http://10.0.0.8"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "splice.toml"


def load(toml: str = "", file: Path | None = None, **environ: str) -> Settings:
    if file is not None:
        file.write_text(toml)
    return load_settings(flags={}, environ=environ, file=file)


def refused(toml: str = "", file: Path | None = None, **environ: str) -> str:
    if file is not None:
        file.write_text(toml)
    return refused_file(file, **environ)


def refused_file(file: Path | None, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(flags={}, environ=environ, file=file)
    sentence = str(caught.value)
    assert sentence.isprintable()
    return sentence


WRONG_VALUES = [
    ("listen", "true", 'listen: takes a list, such as ["...", "..."], not true'),
    ("listen", "[]", "listen: takes at least one"),
    ("listen", '"x"', "listen: 'x' is not [HOST:]PORT, such as 18090, 127.0.0.1:18090 or [::1]:18090"),
    ("listen", "[80, 65536]", "listen: '65536' ends with 65536, and a port is at most 65535"),
    ("listen", "[1.5]", "listen: takes a text in quotes, not 1.5"),
    ("listen", "1979-05-27", 'listen: takes a list, such as ["...", "..."], not 1979-05-27'),
    ("live_path", '"live"', "live_path: 'live' is not a path such as /live (paths under /-/ are the door's own)"),
    ("live_path", '["/live", "/-/x"]', "live_path: '/-/x' is not a path such as /live"),
    ("live_path", '"/"', "live_path: '/' is not a path such as /live"),
    ("live_path", '"/live?x"', "live_path: '/live?x' is not a path such as /live"),
    ("live_path", "[]", "live_path: takes at least one"),
    ("live_path", "3", "live_path: takes a text in quotes, not 3"),
    ("cors_origins", '["https://example.org/"]', 'neither "*" nor an origin as browsers send it'),
    ("cors_origins", '"null"', "cors_origins: 'null' is neither"),
    ("cors_origins", "{a = 1}", 'cors_origins: takes a list, such as ["...", "..."], not a table'),
    ("trusted_proxies", '["10.0.0.1/8"]', "'10.0.0.1/8' is not a network such as 10.0.0.0/8, nor an address; did you "),
    ("trusted_proxies", '"proxy"', "trusted_proxies: 'proxy' is not a network such as 10.0.0.0/8, nor an address"),
    ("trusted_proxies", "[3]", "trusted_proxies: takes texts such as 10.0.0.0/8"),
    ("origins", "3", "origins: is a table, with keys such as origins.NAME.url"),
    ("origins.a", '"http://10.0.0.8"', "origins.a: is a table, with keys such as origins.a.url"),
    ("origins.a", "{}", 'origins.a: an origin has either url = "http://host[:port]" or urls = ["...", "..."]'),
    ("origins.a", '{url = "http://x", urls = ["http://y"]}', "origins.a: an origin has either url ="),
    ("origins.a.url", "3", "origins.a.url: takes a text in quotes, not 3"),
    ("origins.a.url", '"10.0.0.8"', "origins.a.url: an origin is http://host[:port] or rtmp://host[:port]"),
    ("origins.a.urls", '["http://x", "http://y:0"]', "origins.a.urls: '0' is not a port, a number from 1 to 65535"),
    ("origins.a.urls", '""', "origins.a.urls: an origin is http://host[:port]"),
    ("origins.a.target", '"{app}"', "origins.a.target: it is not a target such as /{app}/{stream}.flv, which begins"),
    ("origins.a.target", '"/{name}"', "the fields of a target are {app}, {stream} and {port}"),
    ("origins.a.target", '"/{app!r}"', "the fields of a target are"),
    ("origins.a.target", '"/{app:>999999999}"', "the fields of a target are"),
    ("origins.a.target", '"/{{app}}"', "is not a target"),
    ("origins.a.target", '"/{}"', "the fields of a target are"),
    ("origins.a.target", '"/x{app"', "is not a target"),
    ("origins.a.target", '"/a b"', "is not a target"),
    ("origins.a.target", '"/a\\r\\nHost: x"', "is not a target"),
    ("origins.a.target", '"/\u00e4"', "is not a target"),
    ("origins.a.keep", '"front"', "origins.a.keep: 'front' is not APP/STREAM, such as myapp/test"),
    ("origins.a.keep", "{}", 'origins.a.keep: takes a list, such as ["...", "..."], not a table'),
    ("origins.a.tls_verify", '"no way"', "origins.a.tls_verify: takes true or false, not 'no way'"),
    ("origins.a.ports", "[0]", "origins.a.ports: takes a number of at least 1, not 0"),
    ("origins.a.ports", "[1935, 65536]", "origins.a.ports: takes a number of at most 65535, not 65536"),
    ("origins.a.ports", '"any"', "origins.a.ports: takes a whole number, not 'any'"),
    ("origins.a.ports", "[true]", "origins.a.ports: takes a number, not true"),
    ("limits", "3", "limits: is a table, with keys such as limits.viewers"),
    ("limits.viewers", "0", "limits.viewers: takes a number of at least 1, not 0"),
    ("limits.viewers", '"many"', "limits.viewers: takes a whole number, not 'many'"),
    ("limits.viewers", "1.5", "limits.viewers: takes a whole number, not 1.5"),
    ("limits.viewers", "true", "limits.viewers: takes a number, not true"),
    ("limits.viewers", "[1]", "limits.viewers: takes a whole number, not a list"),
    ("limits.viewers_per_address", "-1", "limits.viewers_per_address: takes a number of at least 0, not -1"),
    ("timeouts", "[]", "timeouts: is a table, with keys such as timeouts.head_s"),
    *(
        (f"timeouts.{key}", value, f"timeouts.{key}: takes a {problem}, not {shown}")
        for key in ("head_s", "connect_s", "origin_head_s", "stall_s")
        for value, problem, shown in [
            ("0", "number above 0", "0"),
            ("-1", "number above 0", "-1"),
            ("86401", "number of at most 86400", "86401"),
            ("inf", "finite number", "inf"),
            ("nan", "finite number", "nan"),
            ('"10s"', "number", "'10s'"),
            ("false", "number", "false"),
        ]
    ),
    ("timeouts.drain_s", "-0.5", "timeouts.drain_s: takes a number of at least 0, not -0.5"),
    ("timeouts.drain_s", '"' + "x" * 99 + '"', "timeouts.drain_s: takes a number, not '" + "x" * 59 + "..."),
]


@pytest.mark.parametrize(("key", "value", "says"), WRONG_VALUES)
def test_a_wrong_value_is_one_line_with_the_file_the_key_and_what_would_be_right(
    file: Path, key: str, value: str, says: str
) -> None:
    sentence = refused(f"{key} = {value}", file)
    assert sentence.startswith(f"{file}: {key}: ")
    assert says in sentence


SECRET_KEY = re.compile(r"token$|secret$|secure_link$|publish\.keys")


def leaf_keys(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = get_args(field.annotation)[1:] if get_origin(field.annotation) is dict else (field.annotation,)
        chosen = '"a/b"' if name == "keys" else "a"  # what an operator would write there
        path = f"{above}{name}" if inner[0] is field.annotation else f"{above}{name}.{chosen}"
        if isinstance(inner[0], type) and issubclass(inner[0], BaseModel):
            yield from leaf_keys(inner[0], f"{path}.")
        else:
            yield path


@pytest.mark.parametrize("key", list(leaf_keys(Settings)))
def test_a_value_of_a_wrong_kind_is_named_for_every_key_there_is(file: Path, key: str) -> None:
    sentence = refused(f"{key} = 1979-05-27", file)
    shown = "" if SECRET_KEY.search(key) else ", not 1979-05-27"  # a secret is not shown, whatever it is
    assert re.fullmatch(re.escape(f"{file}: {key}: ") + r"(takes .+|is .+ or .+)" + shown, sentence)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("lisen = 3", "lisen: unknown key; did you mean listen?"),
        ("viewers = 3", "viewers: unknown key; did you mean limits.viewers?"),
        ("[limits]\nveiwers = 3", "limits.veiwers: unknown key; did you mean limits.viewers?"),
        ("[limits]\ndrain_s = 3", "limits.drain_s: unknown key; did you mean timeouts.drain_s?"),
        (ORIGIN + "prots = [1]", "origins.a.prots: unknown key; did you mean origins.a.ports?"),
        (ORIGIN + "stall_s = 1", "origins.a.stall_s: unknown key; did you mean timeouts.stall_s?"),
        (ORIGIN + "[origins.a.b]", "origins.a.b: unknown key; known here: url, urls, "),
        ('[origins.a]\nulr = "http://x"', "origins.a.ulr: unknown key; did you mean origins.a.url?"),
        ("qqq = 1", "qqq: unknown key; known here: listen, "),
        ('"" = 1', '"": unknown key; known here: listen, '),
        ('"a\\nb" = 1', '"a\\nb": unknown key; known here: listen, '),
    ],
)
def test_an_unknown_key_names_the_nearest_right_one(file: Path, toml: str, says: str) -> None:
    assert refused(toml, file).startswith(f"{file}: {says}")


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("SPLICE_LIMITS__VIEWERS", "many", "takes a whole number, not 'many'"),
        ("SPLICE_LIMITS__VEIWERS", "3", "unknown key; did you mean SPLICE_LIMITS__VIEWERS?"),
        ("SPLICE_LIMITS__DRAIN_S", "3", "unknown key; did you mean SPLICE_TIMEOUTS__DRAIN_S?"),
        ("SPLICE_LIMITS____X", "3", "unknown key; known here: "),
        ("SPLICE_ORIGINS__A__PROTS", "3", "unknown key; did you mean SPLICE_ORIGINS__A__PORTS?"),
        ("SPLICE_ORIGINS__A__URL", "x", "an origin is http://host[:port]"),
        ("SPLICE_LIMITS", "3", "is a table, with keys such as limits.viewers"),
        ("SPLICE_LISTEN", "", "'' is not [HOST:]PORT"),
        ("SPLICE_LISTEN", '["x"]', "'x' is not [HOST:]PORT"),
        ("SPLICE_LISTEN__X", "1", 'takes a list, such as ["...", "..."], not a table'),
        ("SPLICE_LIVE_PATH", '["x', "'[\"x' is not a path such as /live"),
        ("SPLICE_LIVE_PATH", "[" * 100_000, "is not a path such as /live"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, says: str) -> None:
    sentence = refused(**{variable: value})
    assert sentence.startswith(f"{variable}: ")
    assert says in sentence


def test_variables_that_name_no_key_are_somebody_elses() -> None:
    # Kubernetes makes these out of a service that is named splice.
    settings = load(
        SPLICE_PORT="tcp://10.0.0.1:80",
        SPLICE_PORT_80_TCP_ADDR="10.0.0.1",
        SPLICE_SERVICE_HOST="x",
        SPLICE_="",
        SPLICE="x",
    )
    assert settings == Settings()


def test_a_variable_sets_a_key_as_a_word_or_as_json() -> None:
    settings = load(
        SPLICE_LISTEN="[::1]:80",
        SPLICE_LIVE_PATH='["/a", "/b"]',
        SPLICE_CORS_ORIGINS="https://example.org",
        SPLICE_TRUSTED_PROXIES="10.0.0.0/8",
        SPLICE_TIMEOUTS__HEAD_S="2.5",
        SPLICE_ORIGINS__A__URLS='["http://x", "http://y"]',
        SPLICE_ORIGINS__A__PORTS="1935",
    )
    assert settings.listen == ("[::1]:80",)
    assert settings.live_path == ("/a", "/b")
    assert settings.cors_origins == ("https://example.org",)
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"),)
    assert settings.timeouts.head_s == 2.5
    assert [address.host for address in settings.origins["a"].addresses] == ["x", "y"]
    assert settings.origins["a"].ports == (1935,)


def test_flags_win_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text("listen = 1\n[limits]\nviewers = 1\nviewers_per_address = 1\n")
    environ = {"SPLICE_LIMITS__VIEWERS": "2", "SPLICE_LISTEN": "2"}
    settings = load_settings(flags={("listen",): ("--listen", ["3"])}, environ=environ, file=file)
    assert settings.listen == ("3",)
    assert (settings.limits.viewers, settings.limits.viewers_per_address) == (2, 1)


def test_an_origins_url_from_above_takes_the_place_of_the_files_urls(file: Path) -> None:
    file.write_text('[origins.a]\nurls = ["http://x", "http://y"]\nports = [1]')
    flags = {("origins", "a", "url"): ("--origin", "http://z")}
    origin = load_settings(flags=flags, environ={}, file=file).origins["a"]
    assert [address.host for address in origin.addresses] == ["z"]
    assert origin.ports == (1,)


def test_whoever_said_the_wrong_thing_is_named_and_not_who_was_overruled(file: Path) -> None:
    file.write_text('[limits]\nviewers = "x"')
    assert load_settings(flags={}, environ={"SPLICE_LIMITS__VIEWERS": "2"}, file=file).limits.viewers == 2
    flags = {("limits", "viewers"): ("--viewers", -1)}
    with pytest.raises(ConfigError, match=r"^--viewers: takes a number of at least 1, not -1$"):
        load_settings(flags=flags, environ={"SPLICE_LIMITS__VIEWERS": "2"}, file=file)


def test_a_file_without_anything_means_the_defaults(file: Path) -> None:
    assert load("", file) == Settings()
    assert Settings().listen == ("18090",)


@pytest.mark.parametrize("name", ["a", "A-z_0.9~@", "...", "x" * 128, "1"])
def test_an_origin_may_be_called_by_any_name_that_src_may_hold(file: Path, name: str) -> None:
    assert list(load(f'[origins."{name}"]\nurl = "http://x"', file).origins) == [name]


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "\u00e4", "x" * 129, "a\\u001b[31m", "a\\n"])
def test_an_origin_with_another_name_is_refused(file: Path, name: str) -> None:
    sentence = refused(f'[origins."{name}"]\nurl = "http://x"', file)
    assert "is not a name: 1 to 128 characters out of letters, digits and . _ ~ - @" in sentence


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a = [", "is not TOML: Invalid value (at end of document)"),
        (b"a = 1\na = 2", "is not TOML: Cannot overwrite a value"),
        (b"\xff\xfe", "is not TOML, which is UTF-8 text; its byte 0 is not"),
        (b"\xef\xbb\xbflisten = 1", "is not TOML: "),
        (b"a = " + b"9" * 5000, "is not TOML: "),
        (b"a = " + b"[" * 50_000, "nested too deeply"),
        (b"a = \x00", "is not TOML: "),
    ],
)
def test_a_file_that_is_no_toml_is_one_line(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    sentence = refused_file(file)
    assert sentence.startswith(f"{file}: ")
    assert says in sentence


def test_a_file_that_cannot_be_read_is_one_line_that_says_why(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, why in (
        (tmp_path, "is a directory"),
        (tmp_path / "nobody", "no such file or directory"),
        (loop, "too many levels of symbolic links"),
        (tmp_path / "nobody" / "x", "no such file or directory"),
    ):
        assert refused_file(path) == f"{path}: cannot be read: {why}"


names = st.text("abcXYZ019._~@-", min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))
urls = st.sampled_from(["http://10.0.0.8", "http://[::1]:8080", "http://origin_1.example:65535/"])
seconds = st.floats(0.001, 86400)
origins = st.one_of(
    st.fixed_dictionaries({"url": urls}), st.fixed_dictionaries({"urls": st.lists(urls, min_size=1)})
).flatmap(
    lambda address: st.fixed_dictionaries(
        {},
        optional={
            "target": st.sampled_from(["", "/{app}/{stream}.flv", "/x\"'\\?p={port}&q={app}"]),
            "ports": st.lists(st.integers(1, 65535), max_size=3),
        },
    ).map(address.__or__)
)
configurations = st.fixed_dictionaries(
    {},
    optional={
        "listen": st.lists(st.sampled_from(["0", "[::1]:0", "x:80"]), min_size=1) | st.integers(0, 65535),
        "live_path": st.lists(st.sampled_from(["/live", "/a/b", "/x'$&"]), min_size=1) | st.just("/live"),
        "cors_origins": st.lists(st.sampled_from(["*", "https://example.org:8443"])),
        "trusted_proxies": st.lists(st.ip_addresses().map(str)),
        "origins": st.dictionaries(names, origins, max_size=3),
        "limits": st.fixed_dictionaries(
            {}, optional={"viewers": st.integers(1, 1_000_000), "viewers_per_address": st.integers(0, 99)}
        ),
        "timeouts": st.dictionaries(
            st.sampled_from(["head_s", "connect_s", "origin_head_s", "stall_s", "drain_s"]), seconds
        ),
    },
)


@given(configuration=configurations)
def test_what_check_prints_loads_again_to_the_same(
    configuration: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "checked.toml"
    settings = load(tomli_w.dumps(configuration), file)
    assert load(settings_as_toml(settings), file) == settings


def test_what_check_prints_keeps_the_secrets_of_urls_and_loads_all_the_same(file: Path) -> None:
    to = "rtmp://10.0.0.20:1935/backup/x?key=geheim&b=geheim"
    printed = settings_as_toml(load(f'[[forward]]\nstreams = "*"\nto = "{to}"', file))
    assert "heim" not in printed
    assert load(printed, file).forward[0].to == "rtmp://10.0.0.20/backup/***"


@pytest.mark.parametrize("to", ["http://me:geheim@x/a", "rtmp://me:geheim@x:y/a?key=geheim"])
def test_a_wrong_url_to_forward_to_is_told_without_its_password(file: Path, to: str) -> None:
    assert "geheim" not in refused(f'[[forward]]\nstreams = "*"\nto = "{to}"', file)


values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
keys = st.sampled_from(["listen", "live_path", "cors_origins", "origins", "limits", "timeouts", "viewers", "a", "url"])


@given(tree=st.dictionaries(keys | st.text(max_size=5), values | st.dictionaries(keys, values, max_size=3), max_size=3))
def test_any_toml_is_a_configuration_or_one_line_that_says_why_not(
    tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(tomli_w.dumps(tree))
    try:
        load_settings(flags={}, environ={}, file=file)
    except ConfigError as error:
        assert str(error).startswith(str(file))
        assert str(error).isprintable()


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ('forward = [{streams = "a/*", url = "rtmp://b/c"}]', "forward.url: unknown key; known here: streams, to"),
        ('forward = [{app = "a", to = "rtmp://b/c"}]', "forward.app: unknown key; known here: streams, to"),
        ('rtmp = ["1935"]', "rtmp: unknown key; did you mean rtmp_listen?"),
        ('admin = "18091"', "admin: is a table"),
        ("hub.stall_s = 3", "hub.stall_s: unknown key; did you mean timeouts.stall_s?"),
    ],
)
def test_what_is_proposed_is_what_was_most_likely_meant(tmp_path: Path, toml: str, problem: str) -> None:
    file = tmp_path / "splice.toml"
    file.write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load_settings(flags={}, environ={}, file=file)
    assert problem in str(caught.value)
