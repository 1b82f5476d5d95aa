"""`python -m splice sign`: what it prints is let in by the very check of the door."""

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from splice.access import HookCalls, PlayRequest
from splice.config import load_settings
from splice.rules import access_rules
from splice.tools.sign import main

NOW = 1_800_000_000
SECRET = "a-secret-of-some-length"
VIEWER = "192.0.2.7"
CONFIGURATION = f"""
[play]
sign_keys = {{k1 = "{SECRET}"}}
"""
TWO_KEYS = f"""
[play]
sign_keys = {{k1 = "{SECRET}", here = {{secret = "{SECRET}", address = true}}}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "door.toml").write_text(CONFIGURATION)
    return tmp_path / "door.toml"


def signed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments), clock=lambda: NOW) == 0
    return capsys.readouterr().out.removesuffix("\n")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments), clock=lambda: NOW)
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert SECRET not in said.err
    assert said.err.count("\n") == 1
    return said.err


URLS = [
    ("http://door/live?src=a&port=1935&app=myapp&stream=test", "&"),
    ("https://door:18443/live?app=myapp&stream=test", "&"),
    ("ws://[::1]:18090/live?app=myapp&stream=test&x=/y?z", "&"),
    ("http://door/live?app=myapp&stream=test&", ""),
    ("http://door/myapp/test.flv", "?"),
    ("http://door/myapp/test.flv?", ""),
    ("http://door/other/path?app=myapp&stream=test", "&"),
    ("rtmp://door/myapp/test", "?"),
    ("rtmp://door/myapp/test?src=a", "&"),
    ("rtmp://door/myapp?x=1/test", "?"),
]


@pytest.mark.parametrize(("url", "separator"), URLS)
def test_a_signature_is_put_behind_the_url(
    url: str, separator: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = signed(capsys, url, "--config", str(file), "--expires", "30m")
    assert whole.startswith(f"{url}{separator}kid=k1&exp={NOW + 1800}&sig=")


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://door/live?src=a&port=1935&app=myapp&stream=test", {"path": "/live", "src": "a"}),
        ("wss://door/myapp/test.flv", {"path": "/myapp/test.flv"}),
        ("rtmp://door/myapp/test?src=a", {"path": "rtmp", "src": "a"}),
        ("rtmp://door:1936/myapp/test", {"path": "rtmp"}),
    ],
)
@pytest.mark.parametrize("kid", ["k1", "here"])
async def test_the_door_lets_in_what_was_signed(
    url: str, asked: dict[str, str], kid: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(TWO_KEYS)
    address = ("--address", "2001:DB8::7") if kid == "here" else ()
    whole = signed(capsys, url, "--config", str(file), "--kid", kid, *address)
    settings = load_settings(flags={}, environ={}, file=file)
    request = PlayRequest(
        client_id="v1",
        address="2001:db8::7",
        app="myapp",
        stream="test",
        arguments=whole.partition("?")[2],
        **{"src": None, **asked},
    )
    async with trio.open_nursery() as nursery:
        calls = HookCalls(nursery, user_agent="none are made")
        await access_rules(settings, calls, clock=lambda: NOW).may_play(request)


def test_an_applications_own_keys_sign_its_streams(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(f'[apps.cams.play.sign_keys]\nk1 = "{SECRET}"\n[play.sign_keys]\nk2 = "of-all-others"')
    url = "http://door/live?app=cams&stream=front"
    own = signed(capsys, url, "--config", str(file))
    assert own == signed(capsys, url, "--kid", "k1", "--key", SECRET)
    assert "kid=k2&" in signed(capsys, "rtmp://door/myapp/test", "--config", str(file))


def test_a_url_that_is_signed_already_is_signed_anew(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://door/live?app=myapp&stream=test"
    once = signed(capsys, url, "--config", str(file))
    assert signed(capsys, once, "--config", str(file)) == once


def test_a_key_may_be_given_in_place_of_the_configuration(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://door/live?app=myapp&stream=test"
    by_key = signed(capsys, url, "--kid", "k1", "--key", SECRET)
    assert by_key == signed(capsys, url, "--config", str(file))
    assert by_key != signed(capsys, url, "--kid", "k1", "--key", SECRET, "--address", VIEWER)


def test_the_file_in_this_directory_and_the_environment_are_read_as_the_door_does(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://door/live?app=myapp&stream=test"
    expected = signed(capsys, url, "--config", str(file))
    file.rename("splice.toml")
    assert signed(capsys, url) == expected
    Path("splice.toml").unlink()
    monkeypatch.setenv("SPLICE_PLAY__SIGN_KEYS__K1", SECRET)
    assert signed(capsys, url) == expected


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)]
)
def test_times_have_units(text: str, seconds: int, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = signed(capsys, "http://door/myapp/test.flv", "--config", str(file), "--expires", text)
    assert f"&exp={NOW + seconds}&" in whole


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://door/live?app=a&stream=b", "begins with http://"),
        ("door/live?app=a&stream=b", "begins with http://"),
        ("http:///live?app=a&stream=b", "is http://HOST[:PORT]/live?app=APP&stream=STREAM, PORT from 1 to 65535"),
        ("http://door:70000/live?app=a&stream=b", "PORT from 1 to 65535"),
        ("http://door:0/live?app=a&stream=b", "PORT from 1 to 65535"),
        ("http://door/a/b/c.flv", "the path /a/b/c.flv names no stream"),
        ("http://door/live", "the parameter app is missing"),
        ("http://door/live?app=a&app=b&stream=c", "app is given twice"),
        ("http://door/live?app=a&stream=b#c", "neither spaces nor a #"),
        ("http://door/live?app=a&stream=\u00e9", "only characters of ASCII"),
        ("http://[door/live?app=a&stream=b", "is http://HOST[:PORT]/live"),
        ("rtmp://door/myapp", "rtmp://HOST/APP/STREAM"),
        ("rtmp://door/a/b/c", "rtmp://HOST/APP/STREAM"),
        ("rtmp://door/a/b?src=x&src=y", "src is given twice"),
        ("rtmp:///a/b", "not a URL of the form"),
    ],
)
def test_a_url_that_names_no_stream_is_refused(
    url: str, says: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in refused(capsys, url, "--config", str(file))


@pytest.mark.parametrize(
    ("configuration", "arguments", "says"),
    [
        ("", ["--config", "door.toml"], "there is no key in door.toml: name the door's file with --config"),
        (TWO_KEYS, ["--config", "door.toml"], "--kid: the keys of the configuration are k1, here; say which"),
        (TWO_KEYS, ["--config", "door.toml", "--kid", "k3"], "--kid: the keys of the configuration are k1, here"),
        (TWO_KEYS, ["--config", "door.toml", "--kid", "here"], "is for one viewer's address: give it with --address"),
        (CONFIGURATION, ["--config", "door.toml", "--address", VIEWER], "is for no address: leave --address out"),
        (CONFIGURATION, ["--config", "door.toml", "--address", "door"], "--address: 'door' is no IP address"),
        (CONFIGURATION, ["--config", "door.toml", "--key", SECRET], "--key takes the place of --config"),
        (CONFIGURATION, ["--key", SECRET], "--key goes with --kid"),
        (CONFIGURATION, ["--key", SECRET, "--kid", "k&1"], "--key goes with --kid"),
        (CONFIGURATION, ["--config", "door.toml", "--expires", "soon"], "takes a time such as 90s, 30m, 12h or 7d"),
        (CONFIGURATION, ["--config", "door.toml", "--expires", "0"], "takes a time such as 90s, 30m, 12h or 7d"),
        ("play = 3", ["--config", "door.toml"], "door.toml: play: is a table"),
        ("", ["--config", "missing.toml"], "missing.toml: cannot be read"),
        ("", [], "there is no key: name the door's file with --config, or give --kid and --key"),
        ("", ["--key", "", "--kid", "k1"], "--key is empty; give the secret that the door knows by --kid"),
        ("", ["--key", SECRET, "--kid", "k1", "--expires", "36501d"], "at most 36500d, not '36501d'"),
        ("", ["--key"], "--key takes a value: --key SECRET"),
        ("", ["--key", f"--{SECRET}"], "--key takes a value: --key SECRET"),
        ("", [f"--kye={SECRET}"], "there is no --kye; did you mean --key?"),
    ],
)
def test_a_key_that_cannot_sign_is_said_in_a_sentence(
    configuration: str, arguments: list[str], says: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(configuration)
    assert says in refused(capsys, "http://door/myapp/test.flv", *arguments)


def test_it_is_a_command_of_the_door(file: Path) -> None:
    arguments = ["sign", "http://door/myapp/test.flv", "--kid", "k1", "--key", SECRET]
    done = subprocess.run([sys.executable, "-m", "splice", *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("http://door/myapp/test.flv?kid=k1&exp=")
