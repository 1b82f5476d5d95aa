"""nginx and HAProxy, before the door and behind it, with a log of what each took every request for."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tests.e2e.processes import Child, free_port, listening, need, running

__all__ = ["ARGUMENTS", "Neighbour", "Neighbouring", "Understood", "haproxy", "nginx"]

ARGUMENTS = ("src", "port", "app", "stream")
_WAIT_MS = 150  # for the rest of a head, or of a body, that never comes


class Understood(NamedTuple):
    """A request as the neighbour took it.

    Attributes:
        viewer: whose it was, by address.
        forwarded: whether the neighbour has passed it on, and not answered by itself.
        arguments: what it reads in the query for each of ARGUMENTS; empty where there is none.
        fields: those that its log tells of, by their names in lower case; empty where there is none.
    """

    viewer: str
    forwarded: bool
    method: bytes
    target: bytes
    arguments: tuple[bytes, ...]
    fields: dict[bytes, bytes]


class Neighbour:
    """A running neighbour: where it listens, and what it has understood once it has logged `count` requests."""

    def __init__(self, child: Child, port: int, read_log: Callable[[Child], list[Understood]]) -> None:
        self.child = child
        self.port = port
        self._read_log = read_log

    @property
    def understood(self) -> list[Understood]:
        return self._read_log(self.child)


Neighbouring: TypeAlias = Callable[[Path, int], AbstractAsyncContextManager[Neighbour]]

_LOGGED_BY_NGINX = ("host", "content_length", "transfer_encoding", "referer", "authorization", "x")


def nginx(*, lenient: bool) -> Neighbouring:
    """Debian's nginx, by the configuration of docs/operations.md.

    Args:
        lenient: with everything let through that nginx can be told to let through.
    """
    options = "ignore_invalid_headers off; underscores_in_headers on; merge_slashes off; proxy_request_buffering off;"

    @asynccontextmanager
    async def start(directory: Path, to_port: int) -> AsyncIterator[Neighbour]:
        port = free_port()
        log = directory / "understood.log"
        said = ["viewer", "$remote_addr", "upstream", "$upstream_addr", "method", "$request_method"]
        said += ["target", "$request_uri"]
        for name in ARGUMENTS:
            said += [name, f"$arg_{name}"]
        for name in _LOGGED_BY_NGINX:
            said += [f"http_{name}", f"$http_{name}"]
        pairs = ",".join(f'"{name}":"{variable}"' for name, variable in zip(said[::2], said[1::2], strict=True))
        (directory / "nginx.conf").write_text(f"""
daemon off;
master_process off;
pid {directory}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    log_format understood escape=json '{{{pairs}}}';
    access_log {log} understood;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_header_timeout {_WAIT_MS}ms;
    client_body_timeout {_WAIT_MS}ms;
    keepalive_timeout {_WAIT_MS}ms;
    large_client_header_buffers 4 32k;
    {options if lenient else ""}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{to_port};
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
            proxy_set_header X-Viewer $remote_addr;
        }}
    }}
}}
""")

        def read_log(_child: Child) -> list[Understood]:
            # By latin-1 each byte is one character, and nginx escapes no byte of the upper half.
            lines = log.read_text("latin-1").split("\n") if log.exists() else []
            return [_by_nginx(json.loads(line)) for line in lines if line]

        command = (need("nginx"), "-p", directory, "-c", directory / "nginx.conf", "-e", "stderr")
        async with running(*command, name="nginx", cwd=directory) as child:
            await listening(port)
            yield Neighbour(child, port, read_log)

    return start


def _by_nginx(logged: dict[str, str]) -> Understood:
    said = {name: value.encode("latin-1") for name, value in logged.items()}
    return Understood(
        logged["viewer"],
        bool(said["upstream"]),
        said["method"],
        said["target"],
        tuple(said[name] for name in ARGUMENTS),
        {name.replace("_", "-").encode(): said[f"http_{name}"] for name in _LOGGED_BY_NGINX},
    )


def haproxy(*, lenient: bool) -> Neighbouring:
    """Debian's HAProxy, by the configuration of docs/operations.md.

    Args:
        lenient: with everything let through that HAProxy can be told to let through.
    """

    @asynccontextmanager
    async def start(directory: Path, to_port: int) -> AsyncIterator[Neighbour]:
        port = free_port()
        kept = {"target": "url", "fields": "req.hdrs"}
        kept |= {f"arg_{name}": f"urlp({name})" for name in ARGUMENTS}
        keep = "\n    ".join(f"http-request set-var(txn.{name}) {fetched}" for name, fetched in kept.items())
        logged = " ".join(f"{name}=%[var(txn.{name}),hex]" for name in kept)
        (directory / "haproxy.cfg").write_text(f"""
global
    log stdout len 65535 format raw local0
    tune.bufsize 65536
defaults
    mode http
    option http-no-delay
    timeout client {2 * _WAIT_MS}ms
    timeout http-request {_WAIT_MS}ms
    timeout http-keep-alive {_WAIT_MS}ms
    timeout connect 5s
    timeout server 60s
    timeout tunnel 1h
frontend live
    bind 127.0.0.1:{port}
    log global
    log-format "understood viewer=%ci server=%s method=%HM {logged}"
    {"option accept-invalid-http-request" if lenient else ""}
    {keep}
    http-request set-header X-Viewer %[src]
    option forwardfor
    default_backend doors
backend doors
    server door1 127.0.0.1:{to_port}
""")

        def read_log(child: Child) -> list[Understood]:
            lines = [line.split() for line in child.lines if line.startswith("understood ")]
            return [_by_haproxy(dict(word.split("=", 1) for word in words[1:])) for words in lines]

        async with running(need("haproxy"), "-db", "-f", directory / "haproxy.cfg", name="haproxy") as child:
            await listening(port)
            yield Neighbour(child, port, read_log)

    return start


def _by_haproxy(logged: dict[str, str]) -> Understood:
    plain = ("viewer", "server", "method")
    said = {name: bytes.fromhex(value.strip("-")) for name, value in logged.items() if name not in plain}
    fields = [line.partition(b":") for line in said["fields"].split(b"\r\n") if line]
    return Understood(
        logged["viewer"],
        logged["server"] != "<NOSRV>",
        logged["method"].encode(),
        said["target"],
        tuple(said[f"arg_{name}"] for name in ARGUMENTS),
        {name.lower(): value.strip(b" \t") for name, _, value in fields},
    )
