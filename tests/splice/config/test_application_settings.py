"""Settings by application: what was written for one is in force there, everything else as the whole door has it."""

from pathlib import Path

import pytest

from splice.config import AppSettings, ConfigError, Settings, load_settings, settings_as_toml


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "splice.toml"


def load(file: Path, toml: str, **environ: str) -> Settings:
    file.write_text(toml)
    return load_settings(flags={}, environ=environ, file=file)


def refused(file: Path, toml: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, toml)
    return str(caught.value).removeprefix(f"{file}: ")


def test_an_application_has_its_own_keys_and_all_others_as_the_whole_door_has_them(file: Path) -> None:
    settings = load(
        file,
        """
        [hub]
        gop_cache_s = 7
        merge_ms = 5
        [apps.cams]
        hub.gop_cache_s = 0
        [apps.cams.play]
        allow = ["10.0.0.0/8"]
        [play]
        deny = ["10.0.0.66"]
        [hooks]
        on_play = "http://127.0.0.1/play"
        """,
    )
    cams, other = settings.for_app("cams"), settings.for_app("myapp")
    assert (cams.hub.gop_cache_s, cams.hub.merge_ms) == (0, 5)
    assert (other.hub.gop_cache_s, other.hub.merge_ms) == (7, 5)
    assert [str(network) for network in cams.play.allow] == ["10.0.0.0/8"]
    assert [str(network) for network in cams.play.deny] == ["10.0.0.66/32"]
    assert other.play == settings.play
    assert cams.hooks == settings.hooks


def test_a_default_that_was_written_for_an_application_wins_over_what_the_whole_door_has(file: Path) -> None:
    settings = load(file, "hub.merge_ms = 5\napps.cams.hub.merge_ms = 20")
    assert settings.for_app("cams").hub.merge_ms == 20


def test_without_settings_of_its_own_an_application_is_as_the_door_is() -> None:
    settings = Settings()
    assert settings.for_app("cams") == AppSettings()
    assert settings.for_app("cams") is settings.for_app("other"), "a name from outside takes no room"


def test_a_variable_sets_a_key_of_an_application(file: Path) -> None:
    settings = load(
        file, "apps.cams.hub.merge_ms = 5", SPLICE_APPS__CAMS__HUB__MERGE_MS="0", SPLICE_APPS__CAMS__CHUNKED="false"
    )
    assert settings.for_app("cams").hub.merge_ms == 0
    assert settings.for_app("cams").chunked is False


def test_what_check_prints_of_an_application_is_what_was_written_and_loads_again_to_the_same(file: Path) -> None:
    settings = load(
        file,
        """
        hub.merge_ms = 5
        [apps.cams]
        tracks = "video"
        hub.gop_cache_s = 0
        limits.viewers = 3
        publish.keys = { "cams/front" = "geheim" }
        play.sign_keys = { k1 = "geheim" }
        """,
    )
    printed = settings_as_toml(settings)
    assert "geheim" not in printed
    assert printed.count("merge_ms") == 1
    again = load(file, printed)
    assert again.for_app("cams").hub == settings.for_app("cams").hub
    assert again.for_app("cams").tracks == "video"
    assert settings_as_toml(again) == printed


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        (
            "apps.cams.hub.gop_cach_s = 0",
            "apps.cams.hub.gop_cach_s: unknown key; did you mean apps.cams.hub.gop_cache_s?",
        ),
        ("apps.cams.trakcs = 'all'", "apps.cams.trakcs: unknown key; did you mean apps.cams.tracks?"),
        ("apps.cams.timeouts.stall_s = 3", "apps.cams.timeouts: unknown key; did you mean timeouts?"),
        ("apps.cams.tracks = 'pictures'", "apps.cams.tracks: is 'all', 'video' or 'audio', not 'pictures'"),
        ("apps.cams.hub.merge_ms = -1", "apps.cams.hub.merge_ms: takes a number of at least 0, not -1"),
        ("apps.cams.limits.viewers = -1", "apps.cams.limits.viewers: takes a number of at least 0, not -1"),
        ("apps.cams.limits = 3", "apps.cams.limits: is a table, with keys such as apps.cams.limits.viewers"),
        ("apps.'a b'.chunked = true", "apps.\"a b\": 'a b' is not a name: 1 to 128 characters out of letters, digits"),
        (
            "apps.cams.limits.rtmp_pending = 3",
            "apps.cams.limits.rtmp_pending: is of no application, since who waits has asked for none yet: set it in ",
        ),
        (
            'apps.cams.publish.keys."other/front" = "x"',
            'apps.cams.publish.keys."other/front": is of another application, and never asked for: cams/...',
        ),
    ],
)
def test_what_is_wrong_in_an_application_is_named_by_its_whole_path(file: Path, toml: str, says: str) -> None:
    assert refused(file, toml).startswith(says)


@pytest.mark.parametrize("name", ["myapp/*", "myapp/test", "my.app/a@b"])
def test_a_stream_key_is_for_a_stream_or_for_an_application(file: Path, name: str) -> None:
    assert list(load(file, f'publish.keys."{name}" = "x"').publish.keys) == [name]


@pytest.mark.parametrize("name", ["*", "*/*", "myapp/cam*", "../*", "myapp", "my app/*", "/*"])
def test_a_stream_key_for_anything_else_is_refused(file: Path, name: str) -> None:
    says = f"'{name}' is not APP/STREAM, such as myapp/test, or APP/*"
    assert refused(file, f'publish.keys."{name}" = "x"').endswith(says)
