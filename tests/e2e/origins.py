"""The real origins and encoders that the door stands before, on free loopback ports."""

import json
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.processes import Child, free_port, listening, need, running

__all__ = [
    "NGINX_RTMP_MODULE",
    "NODE_MEDIA_SERVER",
    "NginxRtmp",
    "NodeMediaServer",
    "ffmpeg_as_http_server",
    "nginx_rtmp",
    "node_media_server",
    "publishing",
]

_PEERS = Path(__file__).parent / "peers"
NODE_MEDIA_SERVER = _PEERS / "node_modules" / "node-media-server"
NGINX_RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")

_PICTURE = "testsrc2=size={size}:rate=25"
_TONE = "sine=frequency=440:sample_rate=44100"
_ENCODED = (
    *("-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "12"),
    *("-pix_fmt", "yuv420p", "-b:v", "400k", "-c:a", "aac", "-b:a", "64k", "-ac", "1"),
)


def _encode(size: str) -> tuple[str, ...]:
    """The arguments of an ffmpeg that encodes a moving picture of `size` and a tone in real time, for ever."""
    return (
        *(need("ffmpeg"), *shlex.split("-hide_banner -nostats -progress - -stats_period 0.1 -loglevel info")),
        *("-re", "-f", "lavfi", "-i", _PICTURE.format(size=size)),
        *("-re", "-f", "lavfi", "-i", _TONE),
        *(*_ENCODED, "-f", "flv"),
    )


@dataclass(frozen=True)
class NodeMediaServer:
    """A running node-media-server; it prints a line when a player comes or goes."""

    child: Child
    http_port: int
    rtmp_port: int

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def rtmp_url(self, name: str) -> str:
        return f"rtmp://127.0.0.1:{self.rtmp_port}/{name}"


@asynccontextmanager
async def node_media_server(directory: Path) -> AsyncIterator[NodeMediaServer]:
    """npm's node-media-server: RTMP in, HTTP-FLV out at /APP/STREAM.flv."""
    http_port, rtmp_port = free_port(), free_port()
    settings = {
        "bind": "127.0.0.1",
        "rtmp": {"port": rtmp_port},
        "http": {"port": http_port},
        "auth": {},
        "store": {"path": str(directory)},
    }
    command = (need("node"), _PEERS / "origin.js", json.dumps(settings))
    async with running(*command, name="node-media-server", cwd=directory) as child:
        await child.printed("HTTP server listening")
        await child.printed("Rtmp Server listening")
        yield NodeMediaServer(child, http_port, rtmp_port)


@asynccontextmanager
async def publishing(url: str, *, size: str = "320x180", tracks: str = "") -> AsyncIterator[Child]:
    """Debian's ffmpeg, publishing H.264 and AAC by RTMP; ready once media goes to the server.

    Args:
        tracks: "-an" or "-vn": one of the two is left out.
    """
    async with running(*_encode(size), *tracks.split(), url, name="ffmpeg, publishing") as child:
        await child.printed(r"^(out_time_ms|frame)=[1-9]")
        yield child


@asynccontextmanager
async def ffmpeg_as_http_server(*, size: str = "320x180") -> AsyncIterator[tuple[Child, str]]:
    """`ffmpeg -listen 1`: an HTTP server for one viewer, who must ask for exactly its path; and its address.

    It prints the request's head, at log level trace.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    target = "/live?src=a&port=1935&app=myapp&stream=test"
    command = [*_encode(size), *shlex.split("-listen 1 -seekable 0"), url + target]
    command[command.index("info")] = "trace"
    async with running(*command, name="ffmpeg -listen 1") as child:
        await child.printed("Opening an output file")
        await listening(port)
        yield child, url


@dataclass(frozen=True)
class NginxRtmp:
    """A running nginx with nginx-rtmp, which pushes what it gets on to another RTMP server."""

    child: Child
    rtmp_port: int

    def rtmp_url(self, name: str) -> str:
        return f"rtmp://127.0.0.1:{self.rtmp_port}/{name}"


@asynccontextmanager
async def nginx_rtmp(
    directory: Path, *, push_to_port: int | None, rtmp_port: int | None = None, query: str = ""
) -> AsyncIterator[NginxRtmp]:
    """Scheme two's origin: the user's own configuration, but for its ports and the proxy's address.

    Args:
        push_to_port: None: without the push, for who pulls.
        query: stands behind the application that is pushed to, such as `?key=...`.
    """
    rtmp_port = rtmp_port or free_port()
    push = "" if push_to_port is None else f"push rtmp://127.0.0.1:{push_to_port}/myapp{query};"
    (directory / "nginx.conf").write_text(f"""
load_module {NGINX_RTMP_MODULE};
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr info;
events {{ worker_connections 256; }}
rtmp {{
    server {{
        listen 127.0.0.1:{rtmp_port};
        chunk_size 4096;
        application myapp {{
            live on;
            record off;
            {push}
        }}
    }}
}}
""")
    command = (need("nginx"), "-p", directory, "-c", directory / "nginx.conf", "-e", "stderr")
    async with running(*command, name="nginx-rtmp", cwd=directory) as child:
        await child.printed("start worker process|built by|using the .* event method")
        yield NginxRtmp(child, rtmp_port)
