"""/stat beside nginx-rtmp's own, of the same stream: whoever reads the one reads the other."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest
import trio

from tests.e2e.door import running_door
from tests.e2e.origins import NGINX_RTMP_MODULE, publishing
from tests.e2e.processes import free_port, need, running
from tests.e2e.viewers import ffmpeg_watching

DOOR = ("--rtmp", "127.0.0.1:0", "--admin", "0")


@asynccontextmanager
async def nginx_with_stat(directory: Path, push_to: str) -> AsyncIterator[tuple[str, str]]:
    """nginx-rtmp with `rtmp_stat all`, which pushes on what it gets: where to publish, and its /stat."""
    rtmp_port, http_port = free_port(), free_port()
    (directory / "nginx.conf").write_text(f"""
load_module {NGINX_RTMP_MODULE};
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr info;
events {{ worker_connections 256; }}
rtmp {{ server {{ listen 127.0.0.1:{rtmp_port}; application myapp {{ live on; push rtmp://{push_to}/myapp; }} }} }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{ listen 127.0.0.1:{http_port}; location /stat {{ rtmp_stat all; }} }}
}}
""")
    command = (need("nginx"), "-p", directory, "-c", directory / "nginx.conf", "-e", "stderr")
    async with running(*command, name="nginx-rtmp", cwd=directory) as child:
        await child.printed("start worker process|built by|using the .* event method")
        yield f"rtmp://127.0.0.1:{rtmp_port}/myapp/test", f"http://127.0.0.1:{http_port}/stat"


def paths(element: ET.Element, above: str = "") -> Iterator[str]:
    path = f"{above}/{element.tag}"
    yield path
    for child in element:
        yield from paths(child, path)


async def stat_with_player(url: str) -> ET.Element:
    """The document, once it tells of a stream with a player, of which something came in."""
    async with httpx.AsyncClient(timeout=10) as client:
        with trio.fail_after(30):
            while True:
                answer = await client.get(url)
                assert answer.status_code == 200
                assert answer.headers["content-type"] == "text/xml"
                root = ET.fromstring(answer.content)
                stream = root.find("server/application/live/stream")
                if stream is not None and len(stream.findall("client")) >= 2 and stream.findtext("meta/audio/codec"):
                    return root
                await trio.sleep(0.1)


@pytest.mark.usefixtures("nginx_rtmp_is_here")
async def test_the_doors_stat_has_the_elements_of_nginxs_and_says_the_same_of_a_stream(tmp_path: Path) -> None:
    async with running_door(tmp_path, *DOOR) as door:
        door_rtmp = door.ready["rtmp"][0]
        async with (
            nginx_with_stat(tmp_path, door_rtmp) as (publish_to, nginx_stat),
            publishing(publish_to),
        ):
            await door.logged("publisher.start")
            async with ffmpeg_watching(publish_to), ffmpeg_watching(f"rtmp://{door_rtmp}/myapp/test"):
                theirs = await stat_with_player(nginx_stat)
                ours = await stat_with_player(f"http://{door.ready['admin'][0]}/stat")
    compiler = ours.find("compiler")  # which Debian's nginx was built not to tell
    assert compiler is not None
    ours.remove(compiler)
    assert set(paths(ours)) == set(paths(theirs))
    for path in ("name", "live/stream/name", "live/stream/meta/video/width", "live/stream/meta/video/height"):
        assert ours.findtext(f"server/application/{path}") == theirs.findtext(f"server/application/{path}"), path
    for track, names in (
        ("video", ("codec", "profile", "compat", "level")),
        ("audio", ("codec", "profile", "channels", "sample_rate")),
    ):
        for name in names:
            path = f"server/application/live/stream/meta/{track}/{name}"
            assert ours.findtext(path) == theirs.findtext(path), path
    assert [tag.tag for tag in ours] == [tag.tag for tag in theirs]
