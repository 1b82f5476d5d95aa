"""Moving in: nginx's two configurations of both schemes, imported as they are, with every URL unchanged."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.door import Door
from tests.e2e.origins import nginx_rtmp, publishing
from tests.e2e.processes import free_port, running
from tests.e2e.viewers import watch

_TREE = Path(__file__).parents[2]

# As their operators have them; ports, and the proxy's address, are filled in.
ORIGIN = """
rtmp { server { listen %(rtmp)d; chunk_size 4096;
    application myapp { live on; record off;
        push rtmp://%(proxy)s/myapp;      # push a second time, to the proxy
} } }
http { server { listen %(http)d; location /live { flv_live on; } } }
"""
PROXY = """
rtmp { server { listen %(rtmp)d; chunk_size 4096; application live { live on; record off; } } }
http { server { listen %(http)d; location /myapp { flv_live on; add_header Cache-Control no-cache; } } }
"""

ORIGIN_A = """
[origins.a]
url = "http://127.0.0.1:%(http)d"
target = "/live?app={app}&stream={stream}"
"""


async def imported(directory: Path, name: str, nginx: str) -> Path:
    """What `splice import` prints for a configuration, as a file; it must leave nothing out."""
    source = directory / f"{name}.conf"
    source.write_text(nginx)
    command = [sys.executable, "-m", "splice", "import", str(source)]
    done = await trio.run_process(command, capture_stdout=True, cwd=_TREE)
    assert b"Not carried over" not in done.stdout
    file = directory / f"{name}.toml"
    file.write_bytes(done.stdout)
    return file


@asynccontextmanager
async def door_of(file: Path) -> AsyncIterator[Door]:
    """The door by a file alone, listeners and all."""
    command = (sys.executable, "-m", "splice", "--config", file, "--log-format", "json")
    async with running(*command, name=file.stem, cwd=_TREE, env={"PYTHONUNBUFFERED": "1"}) as child:
        door = Door(child, json.loads((await child.printed('"event": "ready"', seconds=15)).string))
        yield door
        assert await door.stop() == 0


async def test_both_schemes_run_by_what_was_imported(tmp_path: Path) -> None:
    origin_ports = {"rtmp": free_port(), "http": free_port()}
    proxy_ports = {"rtmp": free_port(), "http": free_port()}
    proxy_at = f"127.0.0.1:{proxy_ports['rtmp']}"
    origin_file = await imported(tmp_path, "origin", ORIGIN % {**origin_ports, "proxy": proxy_at})
    proxy_file = await imported(tmp_path, "proxy", PROXY % proxy_ports)
    with proxy_file.open(
        "a"
    ) as file:  # a door in the origin's place knows no src of ours, which nginx would not look at
        file.write(ORIGIN_A % origin_ports)
    scheme_one = f"http://127.0.0.1:{proxy_ports['http']}/live?src=a&port=1935&app=myapp&stream=test"
    scheme_two = f"http://127.0.0.1:{proxy_ports['http']}/myapp?port=1935&app=myapp&stream=test"
    async with (
        door_of(proxy_file) as proxy,
        door_of(origin_file) as origin,
        publishing(f"rtmp://127.0.0.1:{origin_ports['rtmp']}/myapp/test"),
    ):
        await origin.logged("forward.running")
        await proxy.logged("publisher.start", app="myapp", stream="test")
        async with trio.open_nursery() as nursery:
            for url in (scheme_one, scheme_two, f"rtmp://{proxy_at}/myapp/test"):
                nursery.start_soon(sees, url)
        ends = await proxy.logged_times("viewer.end", 3)
        assert sorted(end["route"] for end in ends) == ["hub", "hub", "splice"]


@pytest.mark.usefixtures("nginx_rtmp_is_here")
async def test_an_origin_that_stays_goes_on_pushing(tmp_path: Path) -> None:
    ports = {"rtmp": free_port(), "http": free_port()}
    file = await imported(tmp_path, "proxy", PROXY % ports)
    async with (
        door_of(file) as door,
        nginx_rtmp(tmp_path, push_to_port=ports["rtmp"]) as nginx,
        publishing(nginx.rtmp_url("myapp/test")),
    ):
        await door.logged("publisher.start", app="myapp", stream="test")
        await sees(f"http://127.0.0.1:{ports['http']}/myapp?port=1935&app=myapp&stream=test")


async def sees(url: str) -> None:
    (await watch(url, 2)).shows(seconds=2)
