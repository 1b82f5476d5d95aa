"""The fixtures of the end-to-end tests: real servers on free loopback ports, up when a test begins, gone after it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.origins import NGINX_RTMP_MODULE, NODE_MEDIA_SERVER, NodeMediaServer, node_media_server, publishing
from tests.e2e.processes import Child, need, need_file

__all__ = ["encoder", "nginx_rtmp_is_here", "origin", "other_origin"]

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.e2e)


# What is missing is found out before a test begins, in fixtures that do not wait: a skip out of the middle of its tasks
# would lose its reason.


@pytest.fixture(autouse=True)
def _ffmpeg_is_here() -> None:
    for program in ("ffmpeg", "ffprobe", "ffplay"):
        need(program)


@pytest.fixture
def _node_media_server_is_here() -> None:
    need("node")
    need_file(NODE_MEDIA_SERVER)


@pytest.fixture
def nginx_rtmp_is_here() -> None:
    need("nginx")
    need_file(NGINX_RTMP_MODULE)


def _directory(parent: Path, name: str) -> Path:
    directory = parent / name
    directory.mkdir()
    return directory


@pytest.fixture
async def origin(tmp_path: Path, _node_media_server_is_here: None) -> AsyncIterator[NodeMediaServer]:
    async with node_media_server(_directory(tmp_path, "origin")) as server:
        yield server


@pytest.fixture
async def other_origin(tmp_path: Path, _node_media_server_is_here: None) -> AsyncIterator[NodeMediaServer]:
    async with node_media_server(_directory(tmp_path, "other_origin")) as server:
        yield server


@pytest.fixture
async def encoder(origin: NodeMediaServer) -> AsyncIterator[Child]:
    """An ffmpeg that publishes myapp/test, 320x180, to `origin`."""
    async with publishing(origin.rtmp_url("myapp/test")) as child:
        await origin.child.printed("start push /myapp/test")
        yield child
