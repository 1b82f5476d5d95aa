"""SECURITY.md, docs/threat-model.md and docs/testing.md name tests, keys, pages and make targets that are there."""

import re
from pathlib import Path

import pytest

from splice.config.document import PAGE

TREE = Path(__file__).parents[1]
PAGES = {
    name: TREE.joinpath(name).read_text(encoding="utf-8")
    for name in ("SECURITY.md", "docs/threat-model.md", "docs/testing.md")
}
THREATS = PAGES["docs/threat-model.md"]


@pytest.mark.parametrize("name", PAGES)
def test_every_file_and_page_that_is_named_exists(name: str) -> None:
    page = PAGES[name]
    for file in re.findall(r"`((?:tests|fuzz|docs|protocol|splice)/[\w./-]+)`", page):
        assert TREE.joinpath(file).exists(), file
    for target in re.findall(r"\]\(([^)#:]+)\)", page):
        assert TREE.joinpath(name).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("name", PAGES)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", TREE.joinpath("Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", PAGES[name])) <= targets


def test_every_key_that_holds_a_threat_exists() -> None:
    configuration = TREE.joinpath(PAGE).read_text(encoding="utf-8")
    keys = re.findall(r"`(hub|timeouts|limits|hooks|publish|play|admin|tls)\.([a-z_]+)`", THREATS)
    assert len(keys) > 25
    for table, key in keys:
        section = configuration[configuration.index(f"## `[{table}") :]
        assert f"| `{key}` |" in section or f"`[{table}.{key}." in section, f"{table}.{key}"
    for key in ("trusted_proxies", "proxy_protocol", "cors_origins", "rtmp_listen", "admin_listen"):
        assert f"`{key}`" in THREATS
        assert f"| `{key}` |" in configuration


def test_every_threat_is_held_by_a_test() -> None:
    rows = [line for line in THREATS.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| wh"))]
    assert len(rows) > 30
    for row in rows:
        assert re.search(r"`(tests|fuzz)/[^`]+`", row.rsplit(" | ", 1)[1]), row


def test_the_figures_beside_keys_are_their_defaults() -> None:
    configuration = TREE.joinpath(PAGE).read_text(encoding="utf-8")
    told = re.findall(r"`(?:timeouts|limits|hub|hooks)\.([a-z_]+_s|viewers|rtmp_pending)` \(([0-9,]+)\)", THREATS)
    assert len(told) > 8
    for key, value in told:
        assert re.search(rf"\| `{key}` \| [^|]+ \| `{value.replace(',', '')}`", configuration), (key, value)
