"""The fixtures of the end-to-end tests: real servers on free loopback ports, up when a test begins, gone after it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.origins import NodeMediaServer, node_media_server, publishing
from tests.e2e.processes import Child

__all__ = ["encoder", "origin", "other_origin"]

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.e2e)


def _directory(parent: Path, name: str) -> Path:
    directory = parent / name
    directory.mkdir()
    return directory


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[NodeMediaServer]:
    async with node_media_server(_directory(tmp_path, "origin")) as server:
        yield server


@pytest.fixture
async def other_origin(tmp_path: Path) -> AsyncIterator[NodeMediaServer]:
    async with node_media_server(_directory(tmp_path, "other_origin")) as server:
        yield server


@pytest.fixture
async def encoder(origin: NodeMediaServer) -> AsyncIterator[Child]:
    """An ffmpeg that publishes myapp/test, 320x180, to `origin`."""
    async with publishing(origin.rtmp_url("myapp/test")) as child:
        await origin.child.printed("start push /myapp/test")
        yield child
