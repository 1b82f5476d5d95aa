"""How the door is reached, and how many may: what is refused, and what is told of it."""

import pytest

from splice.config import ConfigError, Settings, load_settings

PROXIES = {"SPLICE_TRUSTED_PROXIES": "10.0.0.1"}


def load(**environ: str) -> Settings:
    return load_settings(flags={}, environ=environ, file=None)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("true", ("http", "https", "rtmp", "rtmps")),
        ("false", ()),
        ("[]", ()),
        ("rtmp", ("rtmp",)),
        ('["http", "rtmps"]', ("http", "rtmps")),
    ],
)
def test_proxy_headers_are_agreed_on_for_all_listeners_or_for_some(text: str, kinds: tuple[str, ...]) -> None:
    assert load(SPLICE_PROXY_PROTOCOL=text, **PROXIES).proxy_protocol == kinds


def test_a_file_says_it_without_quotes() -> None:
    for value, kinds in ((True, ("http", "https", "rtmp", "rtmps")), (False, ())):
        settings = Settings.model_validate({"proxy_protocol": value, "trusted_proxies": "10.0.0.1"})
        assert settings.proxy_protocol == kinds


@pytest.mark.parametrize("text", ["admin", "1", '["rtmp", "udp"]'])
def test_a_listener_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^SPLICE_PROXY_PROTOCOL: is 'http', 'https', 'rtmp' or 'rtmps', not "):
        load(SPLICE_PROXY_PROTOCOL=text, **PROXIES)


def test_proxy_headers_are_from_somebody() -> None:
    with pytest.raises(ConfigError, match=r"^SPLICE_PROXY_PROTOCOL: .* from trusted_proxies alone, and there are none"):
        load(SPLICE_PROXY_PROTOCOL="true")


def test_sharing_ports_waits_for_a_restart() -> None:
    assert not load().reuse_port
    assert load(SPLICE_REUSE_PORT="true").waiting_for_restart(load()) == ["reuse_port"]


@pytest.mark.parametrize(
    ("key", "most"),
    [
        ("LIMITS__VIEWERS", 1_000_000),
        ("LIMITS__VIEWERS_PER_ADDRESS", 1_000_000),
        ("LIMITS__VIEWERS_PER_STREAM", 1_000_000),
        ("LIMITS__PUBLISHERS", 1_000_000),
        ("LIMITS__RTMP_PENDING", 1_000_000),
        ("HUB__BACKLOG_BYTES", 1 << 30),
        ("HUB__GOP_CACHE_BYTES", 1 << 30),
        ("HUB__MERGE_MS", 1000),
    ],
)
def test_every_count_has_a_bound_which_its_refusal_names(key: str, most: int) -> None:
    load(**{f"SPLICE_{key}": str(most)})
    with pytest.raises(ConfigError) as caught:
        load(**{f"SPLICE_{key}": str(most + 1)})
    assert str(caught.value) == f"SPLICE_{key}: takes a number of at most {most}, not '{most + 1}'"
