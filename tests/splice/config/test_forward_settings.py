"""[[forward]]: what goes through, what is refused in one sentence, and that no key is ever printed."""

from pathlib import Path

import pytest

from splice.config import ConfigError, Settings, load_settings
from splice.config.sources import settings_as_toml

YOUTUBE = "rtmps://a.rtmps.youtube.com/live2/abcd-efgh-ijkl"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "splice.toml"


def load(file: Path, *targets: str, above: str = "") -> Settings:
    file.write_text(above + "".join(f'\n[[forward]]\nstreams = "myapp/*"\nto = "{to}"\n' for to in targets))
    return load_settings(flags={}, environ={}, file=file)


def refused(file: Path, to: str, above: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, to, above=above)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "to",
    [
        YOUTUBE,
        "rtmps://live-api-s.facebook.com:443/rtmp/FB-1-0-AbC?s_bl=1&a=Abw",
        "rtmp://10.0.0.20/backup",
        "rtmp://10.0.0.20/backup?key=x",
        "rtmp://[::1]:1936/all/{app}-{stream}?from={app}",
        "rtmp://10.0.0.20/{stream}",
    ],
)
def test_targets_are_rtmp_and_rtmps_with_fields_behind_the_host(file: Path, to: str) -> None:
    assert load(file, to).forward[0].to == to


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("http://h/geheim", "rtmp://host[:port]/app or rtmps://"),
        ("rtmp:/h/geheim", "rtmp://host[:port]/app or rtmps://"),
        ("rtmps://h:70000/a/geheim", "rtmp://host[:port]/app or rtmps://"),
        ("rtmp://h/a/geheim b", "rtmp://host[:port]/app or rtmps://"),
        ("rtmp://h", "names an app"),
        ("rtmp://me:geheim@h/a", "takes no user and password"),
        ("rtmp://geheim@h/a", "takes no user and password"),
        ("rtmp://h/a/geheim-{name}", "fields of a forward are {app} and {stream}"),
        ("rtmp://h/a/geheim-{stream", "fields of a forward are {app} and {stream}"),
        ("rtmp://{app}.example.org/a/geheim", "not for publishers to choose"),
    ],
)
def test_a_wrong_target_is_refused_without_being_repeated(file: Path, to: str, words: str) -> None:
    said = refused(file, to)
    assert words in said
    assert "forward.to" in said
    assert "geheim" not in said


@pytest.mark.parametrize(
    ("to", "printed"),
    [
        (YOUTUBE, "rtmps://a.rtmps.youtube.com/live2/***"),
        ("rtmp://h:1936/a/geheim?x=geheim", "rtmp://h:1936/a/***"),
        ("rtmp://h/all/{app}-{stream}", "rtmp://h/all/{app}-{stream}"),
    ],
)
def test_check_prints_no_key_and_what_it_prints_loads_again(file: Path, to: str, printed: str) -> None:
    text = settings_as_toml(load(file, to))
    assert f'to = "{printed}"' in text
    assert "geheim" not in text
    file.write_text(text)
    assert load_settings(flags={}, environ={}, file=file).forward[0].to == printed


@pytest.mark.parametrize(
    ("listening", "to"),
    [
        ('rtmp_listen = ["1935"]', "rtmp://127.0.0.1/other"),
        ('rtmp_listen = ["1935"]', "rtmp://localhost:1935/other/{stream}x"),
        ('rtmp_listen = ["1935"]', "rtmp://[::1]/other"),
        ('rtmp_listen = ["0.0.0.0:1936"]', "rtmp://LOCALHOST:1936/other/geheim"),
        ('rtmp_listen = ["1935"]', "rtmp://0.0.0.0/other"),
        ('rtmp_listen = ["10.0.0.7:1935"]', "rtmp://10.0.0.7/other"),
        ('rtmp_listen = ["127.0.0.1:1935"]', "rtmp://localhost/other"),
        ('rtmp_listen = ["localhost:1935"]', "rtmp://127.0.0.1/other"),
        ('rtmp_listen = ["door.example.org:1935"]', "rtmp://door.EXAMPLE.org/other"),
    ],
)
def test_a_forward_to_this_door_itself_is_refused(file: Path, listening: str, to: str) -> None:
    said = refused(file, to, listening)
    assert "is this door itself" in said
    assert "geheim" not in said


@pytest.mark.parametrize(
    ("listening", "to"),
    [
        ('rtmp_listen = ["1935"]', "rtmp://127.0.0.1:1936/other"),
        ('rtmp_listen = ["1935"]', "rtmp://10.0.0.7/other"),
        ('rtmp_listen = ["443"]', "rtmps://localhost/other"),
        ('rtmp_listen = ["127.0.0.2:1935"]', "rtmp://127.0.0.1/other"),
        ('rtmp_listen = ["10.0.0.7:1935"]', "rtmp://localhost/other"),
        ("", "rtmp://127.0.0.1/other"),
    ],
)
def test_a_forward_to_another_server_is_none_to_this_door(file: Path, listening: str, to: str) -> None:
    assert load(file, to, above=listening).forward[0].to == to
