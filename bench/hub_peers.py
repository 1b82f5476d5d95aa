"""The servers of the hub table: each takes RTMP publishers on one port and serves HTTP-FLV on another.

Their configurations are here in full. All keep a GOP cache, log no access, and use one worker where they have workers.
"""

import getpass
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.processes import Server, free_port, raise_descriptor_limit, start

__all__ = ["STALL_S", "Hub", "Ports", "hubs", "serving"]

CONNECTIONS = 4000
STALL_S = 5  # the door's: how long a viewer may take nothing; short, so that a run sees the end of it


@dataclass(frozen=True)
class Ports:
    """Where a server listens."""

    rtmp: int
    http: int


@dataclass(frozen=True)
class Hub:
    """How one server is started, and under which path it serves the stream `live/s{}`."""

    name: str
    version: str
    command: Callable[[Path, Ports], list[str]]
    path: Callable[[Ports], str]
    says_ready: bool = False  # by a JSON line with the event "ready"; else it is ready when both ports answer


def _flv_path(_ports: Ports) -> str:
    return "/live/s{}.flv"


def _door(hub_settings: str) -> Callable[[Path, Ports], list[str]]:
    def command(directory: Path, ports: Ports) -> list[str]:
        (directory / "splice.toml").write_text(
            f"""listen = ["127.0.0.1:{ports.http}"]
rtmp_listen = ["127.0.0.1:{ports.rtmp}"]
[hub]
{hub_settings}
[timeouts]
stall_s = {STALL_S}
"""
        )
        return [sys.executable, "-m", "splice", "--config", "splice.toml", "--log-format", "json"]

    return command


def _node_media_server(package: Path) -> Callable[[Path, Ports], list[str]]:
    def command(directory: Path, ports: Ports) -> list[str]:
        settings = {
            "bind": "127.0.0.1",
            "rtmp": {"port": ports.rtmp},
            "http": {"port": ports.http},
            "auth": {"play": False, "publish": False},
            "store": {"path": str(directory / "data")},
            "record": {"auto": False, "path": str(directory / "record")},
        }
        library, words = json.dumps(str(package.resolve())), json.dumps(settings)
        (directory / "server.js").write_text(f"new (require({library}))({words}).run();\n")
        return ["node", "server.js"]

    return command


def _srs(program: Path, latency: str) -> Callable[[Path, Ports], list[str]]:
    def command(directory: Path, ports: Ports) -> list[str]:
        (directory / "srs.conf").write_text(
            f"""listen {ports.rtmp};
max_connections {CONNECTIONS};
daemon off;
srs_log_tank console;
srs_log_level warn;
pid {directory}/srs.pid;
http_server {{ enabled on; listen {ports.http}; dir {directory}; }}
vhost __defaultVhost__ {{
    {latency}
    http_remux {{ enabled on; mount [vhost]/[app]/[stream].flv; }}
}}
"""
        )
        return [str(program.resolve()), "-c", "srs.conf"]

    return command


def _nginx_http_flv(program: Path) -> Callable[[Path, Ports], list[str]]:
    def command(directory: Path, ports: Ports) -> list[str]:
        temporary = "".join(
            f"    {kind}_temp_path {directory}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (directory / "nginx.conf").write_text(
            f"""user {getpass.getuser()};
daemon off;
worker_processes 1;
worker_rlimit_nofile {raise_descriptor_limit()};
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections {CONNECTIONS}; }}
rtmp {{
    server {{
        listen 127.0.0.1:{ports.rtmp};
        chunk_size 4096;
        application live {{ live on; record off; gop_cache on; }}
    }}
}}
http {{
    access_log off;
{temporary}    server {{
        listen 127.0.0.1:{ports.http} backlog=4096;
        location /live {{ flv_live on; chunked_transfer_encoding on; }}
    }}
}}
"""
        )
        return [str(program.resolve()), "-p", str(directory), "-e", "stderr", "-c", "nginx.conf"]

    return command


def hubs(node_media_server: Path, srs: Path | None, nginx_http_flv: Path | None) -> list[Hub]:
    """All servers that can be started here, the door first, with three settings of `merge_ms`."""
    version = machine.describe()["splice-live"]
    found = [
        Hub("door", f"{version}, default settings", _door(""), _flv_path, says_ready=True),
        Hub("door-merge-0", f"{version}, merge_ms = 0", _door("merge_ms = 0"), _flv_path, says_ready=True),
        Hub("door-merge-40", f"{version}, merge_ms = 40", _door("merge_ms = 40"), _flv_path, says_ready=True),
    ]
    package = node_media_server / "package.json"
    if package.exists():
        node = machine.program_version(["node", "--version"])
        words = f"{json.loads(package.read_text())['version']}, node {node}"
        found.append(Hub("node-media-server", words, _node_media_server(node_media_server), _flv_path))
    if srs is not None:
        version = machine.program_version([str(srs), "-v"])
        low = "tcp_nodelay on; min_latency on; play { gop_cache on; mw_latency 0; mw_msgs 1; }"
        found.append(Hub("srs", f"{version}, default settings", _srs(srs, ""), _flv_path))
        found.append(Hub("srs-low", f"{version}, its lowest latency", _srs(srs, low), _flv_path))
    if nginx_http_flv is not None:
        found.append(
            Hub(
                "nginx-http-flv",
                machine.program_version([str(nginx_http_flv), "-v"]),
                _nginx_http_flv(nginx_http_flv),
                lambda ports: f"/live?port={ports.rtmp}&app=live&stream=s{{}}",
            )
        )
    return found


@contextmanager
def serving(hub: Hub, directory: Path) -> Iterator[tuple[Server, Ports]]:
    """Run the server; yields it and its ports when it is ready."""
    ports = Ports(rtmp=free_port(), http=free_port())
    with start(hub.name, hub.command(directory, ports), directory) as server:
        if hub.says_ready:
            server.wait_for_event("ready")
        else:
            server.wait_for_port(ports.rtmp)
            server.wait_for_port(ports.http)
        yield server, ports
