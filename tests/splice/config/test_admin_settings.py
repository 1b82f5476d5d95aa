"""Who the admin side answers: what is refused before it could listen, and that its secret is never shown."""

from pathlib import Path

import pytest

from splice.config import ConfigError, Settings, load_settings, settings_as_toml

SECRET = "a-secret-of-some-length"


def load(**environ: str) -> Settings:
    return load_settings(flags={}, environ=environ, file=None)


@pytest.mark.parametrize("address", ["18091", "127.0.0.1:18091", "127.8.8.8:0", "[::1]:18091", "localhost:18091"])
def test_loopback_needs_no_token(address: str) -> None:
    assert load(SPLICE_ADMIN_LISTEN=address).admin_listen == address


@pytest.mark.parametrize("address", ["0.0.0.0:18091", "[::]:18091", "10.0.0.5:18091", "splice.example.org:18091"])
def test_an_address_that_others_reach_is_refused_without_a_token(address: str) -> None:
    with pytest.raises(ConfigError, match=r"SPLICE_ADMIN_LISTEN: .* set \[admin\] token, or token_file"):
        load(SPLICE_ADMIN_LISTEN=address)
    assert load(SPLICE_ADMIN_LISTEN=address, SPLICE_ADMIN__TOKEN=SECRET).admin.secret == SECRET


def test_the_token_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    settings = load(SPLICE_ADMIN_LISTEN="0.0.0.0:18091", SPLICE_ADMIN__TOKEN_FILE=str(file))
    assert settings.admin.secret == SECRET


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff"])
def test_a_file_without_a_secret_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="token holds no secret, which is one word of ASCII"):
        load(SPLICE_ADMIN__TOKEN_FILE=str(file))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: no such file or directory"):
        load(SPLICE_ADMIN__TOKEN_FILE=str(tmp_path / "token"))


def test_two_tokens_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET)
    with pytest.raises(ConfigError, match="either token or token_file"):
        load(SPLICE_ADMIN__TOKEN_FILE=str(file), SPLICE_ADMIN__TOKEN=SECRET)


def test_the_token_is_never_shown() -> None:
    settings = load(SPLICE_ADMIN__TOKEN=SECRET)
    assert SECRET not in settings_as_toml(settings) + repr(settings) + str(settings)
    assert 'token = "***"' in settings_as_toml(settings)


@pytest.mark.parametrize("value", ['"two words"', "12345678", '["12345678"]'])
def test_a_token_that_is_none_is_not_shown_either(value: str, tmp_path: Path) -> None:
    file = tmp_path / "splice.toml"
    file.write_text(f"admin.token = {value}\n")
    with pytest.raises(ConfigError, match=r"admin\.token: ") as caught:
        load_settings(flags={}, environ={}, file=file)
    assert "words" not in str(caught.value)
    assert "1234" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b", "http://a", "a:80", ""])
def test_an_allowed_host_is_a_name_alone(name: str, tmp_path: Path) -> None:
    file = tmp_path / "splice.toml"
    file.write_text(f'admin.allowed_hosts = ["{name}"]\n')
    with pytest.raises(ConfigError, match="is not the name of a host"):
        load_settings(flags={}, environ={}, file=file)


def test_allowed_hosts_are_compared_without_case() -> None:
    assert load(SPLICE_ADMIN__ALLOWED_HOSTS="Splice.Example.org.").admin.allowed_hosts == ("splice.example.org",)
