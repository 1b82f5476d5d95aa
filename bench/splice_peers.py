"""The servers of the splice table: each a proxy from its port to the origin's, with one worker.

Their configurations are here in full, so that whoever doubts a figure can see what was compared.
"""

import getpass
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.processes import Server, free_port, raise_descriptor_limit, start

__all__ = ["Proxy", "proxies", "serving"]

BACKLOG = 4096
CONNECTIONS = 1500


@dataclass(frozen=True)
class Proxy:
    """How one server is started: `command(directory, port, origin_port)` writes what it needs, and says the words."""

    name: str
    version: str
    command: Callable[[Path, int, int], list[str]]
    says_ready: bool = False  # by a JSON line with the event "ready"; else it is ready when its port answers


def _door(options: list[str]) -> Callable[[Path, int, int], list[str]]:
    def command(_directory: Path, port: int, origin_port: int) -> list[str]:
        words = [sys.executable, "-m", "splice", "--listen", f"127.0.0.1:{port}"]
        words += ["--origin", f"a=http://127.0.0.1:{origin_port}", "--log-format", "json"]
        return words + options

    return command


def _nginx(buffer_size: str) -> Callable[[Path, int, int], list[str]]:
    def command(directory: Path, port: int, origin_port: int) -> list[str]:
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
events {{ worker_connections {2 * CONNECTIONS}; }}
http {{
    access_log off;
{temporary}    server {{
        listen 127.0.0.1:{port} backlog={BACKLOG};
        location / {{
            proxy_pass http://127.0.0.1:{origin_port};
            proxy_http_version 1.1;
            proxy_buffering off;
            {buffer_size}
        }}
    }}
}}
"""
        )
        return ["nginx", "-p", str(directory), "-e", "stderr", "-c", "nginx.conf"]

    return command


def _haproxy(further_option: str) -> Callable[[Path, int, int], list[str]]:
    def command(directory: Path, port: int, origin_port: int) -> list[str]:
        (directory / "haproxy.cfg").write_text(
            f"""global
    nbthread 1
    maxconn {CONNECTIONS}
defaults
    mode http
    option splice-response
    {further_option}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend door
    bind 127.0.0.1:{port} backlog {BACKLOG}
    default_backend origin
backend origin
    server a 127.0.0.1:{origin_port}
"""
        )
        return ["haproxy", "-db", "-f", "haproxy.cfg"]

    return command


def _other(words: str) -> Callable[[Path, int, int], list[str]]:
    def command(_directory: Path, port: int, origin_port: int) -> list[str]:
        return [word.format(port=port, origin_port=origin_port) for word in shlex.split(words)]

    return command


def proxies(door_options: list[str], others: dict[str, str], *, chunked: bool) -> list[Proxy]:
    """All proxies of the table, the door first.

    Args:
        door_options: further words of the door's command line.
        others: name to command line, where {port} and {origin_port} stand for the numbers; a name that is in the table
            already replaces what is there.
        chunked: whether the origin answers in chunked coding. HAProxy then waits up to 200 ms for more to send with a
            frame (MSG_MORE), which nobody would leave so before live streams: it gets `option http-no-delay`.
    """
    nginx = machine.program_version(["nginx", "-v"])
    known = [
        Proxy("door", machine.describe()["splice-live"], _door(door_options), says_ready=True),
        Proxy(
            "haproxy", machine.program_version(["haproxy", "-v"]), _haproxy("option http-no-delay" if chunked else "")
        ),
        Proxy("nginx", nginx, _nginx("")),
        Proxy("nginx-64k", nginx, _nginx("proxy_buffer_size 64k; proxy_buffers 8 64k;")),
    ]
    table = {proxy.name: proxy for proxy in known}
    for name, words in others.items():
        table[name] = Proxy(name, words, _other(words))
    return list(table.values())


@contextmanager
def serving(proxy: Proxy, directory: Path, origin_port: int) -> Iterator[tuple[Server, int]]:
    """Run the proxy before the origin; yields it and its port when it is ready."""
    port = free_port()
    with start(proxy.name, proxy.command(directory, port, origin_port), directory) as server:
        if proxy.says_ready:
            server.wait_for_event("ready")
        else:
            server.wait_for_port(port)
        yield server, port
