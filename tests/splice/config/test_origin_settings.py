"""Origins as an operator writes them: their targets, whom they trust, what is kept, and that no password is shown."""

import ssl
from pathlib import Path

import pytest
import trustme

from splice.config import ConfigError, OriginSettings, load_settings, settings_as_toml


def loaded(toml: str, directory: Path) -> OriginSettings:
    file = directory / "splice.toml"
    file.write_text(f"[origins.a]\n{toml}\n")
    return load_settings(flags={}, environ={}, file=file).origins["a"]


def refused(toml: str, directory: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(toml, directory)
    assert "geheim" not in str(caught.value)
    return str(caught.value).removeprefix(f"{directory / 'splice.toml'}: ")


@pytest.mark.parametrize(
    ("url", "relayed"),
    [("http://x", False), ("https://x", True), ("rtmp://x", True), ("rtmps://x", True), ("http://x/a.flv", False)],
)
def test_what_cannot_be_spliced_is_relayed(url: str, relayed: bool, tmp_path: Path) -> None:
    assert loaded(f'url = "{url}"', tmp_path).relayed is relayed


def test_one_address_with_tls_makes_a_relay_of_all(tmp_path: Path) -> None:
    assert loaded('urls = ["http://x", "https://y"]', tmp_path).relayed


def test_what_a_url_says_behind_its_port_is_its_own_target(tmp_path: Path) -> None:
    origin = loaded('urls = ["http://x", "http://y/{app}/{stream}.flv"]\ntarget = "/live?s={stream}"', tmp_path)
    assert [address.target for address in origin.addresses] == ["", "/{app}/{stream}.flv"]


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('urls = ["http://x", "rtmp://y"]', "all http:// or https://, or all rtmp:// or rtmps://"),
        ('url = "http://x"\nkeep = ["cams/front"]', "origins.a.keep: only a relay pulls without viewers"),
        ('url = "rtmp://x"\ntarget = "/?key=geheim"', "origins.a.target: an rtmp target is /app/stream"),
        ('url = "rtmp://x"\ntarget = "/app/{name}?key=geheim"', "origins.a.target: the fields of a target are"),
        ('url = "http://x"\ntarget = "/a b?key=geheim"', "origins.a.target: it is not a target"),
        ('url = "http://x"\ntls_verify = false', "origins.a.tls_verify: is for https:// and rtmps:// origins"),
        ('url = "http://x"\ntls_ca = "ca.pem"', "origins.a.tls_ca: is for https:// and rtmps:// origins"),
        ('url = "https://x"\ntls_ca = "ca.pem"\ntls_verify = false', "origins.a.tls_ca: verifies nothing beside"),
        ('url = "https://x"\ntls_ca = "/nowhere/ca.pem"', "origins.a.tls_ca: /nowhere/ca.pem cannot be read: no such"),
        ('url = "https://x"\ntls_ca = "/dev/null"', "origins.a.tls_ca: /dev/null holds no certificate in PEM"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(toml: str, says: str, tmp_path: Path) -> None:
    assert says in refused(toml, tmp_path)


@pytest.mark.parametrize("scheme", ["https", "rtmps"])
def test_servers_are_verified_unless_the_operator_says_otherwise(scheme: str, tmp_path: Path) -> None:
    verified = loaded(f'url = "{scheme}://x"', tmp_path).tls_context
    assert verified is not None
    assert (verified.verify_mode, verified.check_hostname) == (ssl.CERT_REQUIRED, True)
    open_to_all = loaded(f'url = "{scheme}://x"\ntls_verify = false', tmp_path).tls_context
    assert open_to_all is not None
    assert (open_to_all.verify_mode, open_to_all.check_hostname) == (ssl.CERT_NONE, False)
    assert loaded('url = "rtmp://x"', tmp_path).tls_context is None


def test_an_authority_of_ones_own_is_the_only_one_that_is_trusted(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    context = loaded(f'url = "https://x"\ntls_ca = "{file}"', tmp_path).tls_context
    assert context is not None
    assert len(context.get_ca_certs()) == 1
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    "toml",
    [
        'url = "http://me:geheim@x/live"',
        'url = "http://geheim@x"',
        'url = "rtmp://cam/bcs/front.bcs?channel=0&user=u&password=geheim"',
        'url = "rtmp://cam"\ntarget = "/bcs/front.bcs?channel=0&user=u&password=geheim"',
        'url = "http://x"\ntarget = "/{app}/{stream}.flv?geheim"',
        'urls = ["https://x/live?key=geheim", "https://y/"]',
    ],
)
def test_what_check_prints_shows_no_password_and_loads_again(toml: str, tmp_path: Path) -> None:
    file = tmp_path / "splice.toml"
    file.write_text(f"[origins.a]\n{toml}\n")
    printed = settings_as_toml(load_settings(flags={}, environ={}, file=file))
    assert "geheim" not in printed
    assert "***" in printed
    file.write_text(printed)
    load_settings(flags={}, environ={}, file=file)


def test_fields_are_no_secrets(tmp_path: Path) -> None:
    file = tmp_path / "splice.toml"
    file.write_text('[origins.a]\nurl = "http://x"\ntarget = "/live?app={app}&stream={stream}&key=geheim&empty="')
    printed = settings_as_toml(load_settings(flags={}, environ={}, file=file))
    assert "/live?app={app}&stream={stream}&key=***&empty=" in printed
