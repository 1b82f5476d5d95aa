"""What of deploy/ can be held without a container engine: that its files fit the tree and each other."""

import shlex
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from splice.config import load_settings

TREE = Path(__file__).parents[1]
DEPLOY = TREE / "deploy"
SERVICES: dict[str, Any] = yaml.safe_load(DEPLOY.joinpath("compose.yaml").read_text(encoding="utf-8"))["services"]
INSTRUCTIONS = [
    shlex.split(line)
    for line in DEPLOY.joinpath("Dockerfile").read_text(encoding="utf-8").splitlines()
    if line.startswith("COPY ")
]
FROM_THE_TREE = [name for _, *names, _ in INSTRUCTIONS for name in names if not names[0].startswith("--from")]


def test_what_the_image_is_made_of_is_there_and_goes_to_the_builder() -> None:
    sent = DEPLOY.joinpath("Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert len(FROM_THE_TREE) > 6
    for name in FROM_THE_TREE:
        assert TREE.joinpath(name).exists(), name
        assert any(fnmatchcase(name, line.removeprefix("!")) for line in sent if line.startswith("!")), name


def test_the_door_of_the_composition_can_be_configured_so() -> None:
    door = SERVICES["door"]
    environ = dict.fromkeys(door["environment"], "a-token-of-some-length-at-least")
    settings = load_settings(flags={}, environ=environ, file=DEPLOY / "compose" / "splice.toml")
    ports = {address.rpartition(":")[2] for address in (*settings.listen, *settings.rtmp_listen, settings.admin_listen)}
    assert {port.rpartition(":")[2] for port in door["ports"]} == ports
    assert float(door["stop_grace_period"].removesuffix("s")) > settings.timeouts.drain_s


@pytest.mark.parametrize("service", SERVICES)
def test_no_file_comes_by_configs_which_compose_cannot_write_where_all_is_read_only(service: str) -> None:
    assert "configs" not in SERVICES[service]
    for volume in SERVICES[service].get("volumes", ()):
        assert DEPLOY.joinpath(volume.split(":")[0]).exists(), volume


def test_the_unit_runs_nothing_that_a_small_host_has_not() -> None:
    unit = DEPLOY.joinpath("splice.service").read_text(encoding="utf-8").splitlines()
    programs = [line.partition("=")[2].split()[0] for line in unit if line.startswith("Exec")]
    assert sorted(programs) == ["/bin/sh", "/opt/splice/bin/splice"]
