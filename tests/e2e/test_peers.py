"""The peers among themselves, without the door: when these fail, a failure of the others says nothing about it."""

from pathlib import Path

import pytest

from tests.e2e.origins import NodeMediaServer, nginx_rtmp, publishing
from tests.e2e.viewers import watch


@pytest.mark.usefixtures("nginx_rtmp_is_here")
async def test_nginx_rtmp_pushes_on_what_it_gets(tmp_path: Path, origin: NodeMediaServer) -> None:
    async with (
        nginx_rtmp(tmp_path, push_to_port=origin.rtmp_port) as nginx,
        publishing(nginx.rtmp_url("myapp/test")),
    ):
        await origin.child.printed("start push /myapp/test")
        (await watch(f"{origin.http_url}/myapp/test.flv", 2)).shows(seconds=2)
