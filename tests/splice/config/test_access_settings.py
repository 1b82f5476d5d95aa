"""Who may publish and play, as an operator writes it: keys, networks, hooks, and that no secret is ever shown."""

from pathlib import Path

import pytest

from splice.config import ConfigError, Settings, load_settings, settings_as_toml

SECRET = "a-secret-of-some-length"
EXPRESSION = f"$secure_link_expires$uri$remote_addr {SECRET}"


def load(toml: str, tmp_path: Path, **environ: str) -> Settings:
    file = tmp_path / "splice.toml"
    file.write_text(toml)
    return load_settings(flags={}, environ=environ, file=file)


def refused(toml: str, tmp_path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(toml, tmp_path)
    assert SECRET not in str(caught.value)
    return str(caught.value).removeprefix(f"{tmp_path / 'splice.toml'}: ")


def test_a_sign_key_is_a_text_or_a_table_that_asks_for_the_address(tmp_path: Path) -> None:
    play = load(f'play.sign_keys = {{a = "{SECRET}", b = {{secret = "{SECRET}", address = true}}}}', tmp_path).play
    assert [(key, value.secret.get_secret_value(), value.address) for key, value in play.sign_keys.items()] == [
        ("a", SECRET, False),
        ("b", SECRET, True),
    ]


def test_a_sign_key_may_come_from_the_environment(tmp_path: Path) -> None:
    play = load("", tmp_path, SPLICE_PLAY__SIGN_KEYS__K1=SECRET).play
    assert play.sign_keys["k1"].secret.get_secret_value() == SECRET


def test_every_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")
    (tmp_path / "link").write_text(f"{EXPRESSION}\n")
    key, link = f'{{ file = "{tmp_path / "key"}" }}', f'{{ file = "{tmp_path / "link"}" }}'
    settings = load(
        f"""
        admin.token = {key}
        publish.keys = {{"myapp/test" = {key}}}
        play.sign_keys = {{a = {key}, b = {{secret = {key}, address = true}}}}
        play.secure_link = {link}
        """,
        tmp_path,
    )
    assert settings.admin.secret == SECRET
    assert settings.publish.keys["myapp/test"].get_secret_value() == SECRET
    assert {key.secret.get_secret_value() for key in settings.play.sign_keys.values()} == {SECRET}
    assert settings.play.secure_link.get_secret_value() == EXPRESSION


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "gone cannot be read: no such file or directory"),
        (b"", "is empty, and nothing would be secret"),
        (b"two words", "a secret has no spaces"),
        (b"\xff\xfe", "is empty, and nothing would be secret"),
    ],
)
def test_a_file_without_a_secret_is_an_error(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "gone"
    if content is not None:
        file.write_bytes(content)
    assert problem in refused(f'publish.keys = {{"myapp/test" = {{ file = "{file}" }}}}', tmp_path)


def test_a_table_that_is_no_file_is_no_secret(tmp_path: Path) -> None:
    assert "takes a text in quotes, or { file" in refused('publish.keys = {"myapp/test" = { files = "x" }}', tmp_path)


def test_nothing_is_signed_asked_or_denied_by_default() -> None:
    settings = Settings()
    assert (settings.play.allow, settings.play.deny, settings.play.sign_keys) == ((), (), {})
    assert not settings.play.secure_link.get_secret_value()
    assert not any((settings.hooks.on_play, settings.hooks.on_publish))


@pytest.mark.parametrize(
    "toml",
    [
        f'play.sign_keys.a = "{SECRET}"',
        f'play.sign_keys.a = {{secret = "{SECRET}", address = true}}',
        f'play.secure_link = "{EXPRESSION}"',
        f'publish.keys."myapp/test" = "{SECRET}"',
        f'hooks.on_play = "http://user:{SECRET}@hooks/play"',
        f'hooks.on_play = "http://hooks/play?token={SECRET}"',
    ],
)
def test_what_check_prints_shows_no_secret(toml: str, tmp_path: Path) -> None:
    settings = load(toml, tmp_path)
    assert SECRET not in settings_as_toml(settings)
    assert "***" in settings_as_toml(settings)
    assert SECRET not in repr(settings.play) + repr(settings.publish)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('play.sign_keys.a = ""', "play.sign_keys.a.secret: is empty"),
        (f'play.sign_keys.a = "{SECRET} "', "play.sign_keys.a.secret: a secret has no spaces"),
        (f'play.sign_keys."a b" = "{SECRET}"', "is not a name"),
        ("play.sign_keys.a = {}", "play.sign_keys.a.secret: is missing"),
        ("play.sign_keys.a = 5", "play.sign_keys.a: is a table"),
        (f'play.sign_keys.a = {{secrets = "{SECRET}"}}', "did you mean play.sign_keys.a.secret?"),
        (f'publish.keys.test = "{SECRET}"', "publish.keys.test: 'test' is not APP/STREAM, such as myapp/test"),
        (f'publish.keys."a/b/c" = "{SECRET}"', "is not APP/STREAM"),
        (f'publish.keys."a/.." = "{SECRET}"', "is not APP/STREAM"),
        ('publish.keys."a/b" = ""', 'publish.keys."a/b": is empty'),
        (f'play.secure_link = "$secure_link_expires$host {SECRET}"', "play.secure_link: knows $secure_link_expires"),
        (f'play.secure_link = "$secure_link_expires$ {SECRET}"', "play.secure_link: knows $secure_link_expires"),
        (f'play.secure_link = "$uri {SECRET}"', "play.secure_link: names no $secure_link_expires"),
        ('hooks.on_play = "ftp://hooks/"', "hooks.on_play: a hook is http://host[:port]/path"),
        ('hooks.on_play = "hooks/play"', "hooks.on_play: a hook is http://host[:port]/path"),
        ('hooks.on_play = "http://hooks/a b"', "hooks.on_play: a hook is http://host[:port]/path"),
        ("hooks.timeout_s = 0", "hooks.timeout_s: takes a number above 0, not 0"),
        ('hooks.on_failure = "maybe"', "hooks.on_failure: is 'refuse' or 'allow', not 'maybe'"),
        ('play.deny = ["10.0.0.1/8"]', "did you mean 10.0.0.0/8?"),
    ],
)
def test_what_is_wrong_is_named_without_its_secret(toml: str, says: str, tmp_path: Path) -> None:
    assert says in refused(toml, tmp_path)


@pytest.mark.parametrize(
    "expression",
    [EXPRESSION, "${secure_link_expires}${arg_app}/${arg_stream} x", "$arg_expires$uri x", ""],
)
def test_expressions_of_nginx_are_taken(expression: str, tmp_path: Path) -> None:
    play = load(f'play.secure_link = "{expression}"', tmp_path).play
    assert play.secure_link.get_secret_value() == expression
