"""Behind Debian's HAProxy in mode tcp: who it passes on is known by the PROXY header, on all four media ports."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.door import Door
from tests.e2e.origins import publishing
from tests.e2e.processes import free_port, listening, need, running
from tests.e2e.test_https import SecureDoor, secure_door
from tests.e2e.viewers import ffmpeg_watching, watch

PROXY, CLIENT = "127.0.0.3", "127.0.0.2"
AGREED = f"""
trusted_proxies = ["{PROXY}"]
proxy_protocol = true
[publish]
allow = ["127.0.0.1"]
"""
KINDS = ("http", "rtmp", "https", "rtmps")
HUB = "/live?app=myapp&stream=test"


@pytest.fixture(autouse=True)
def _programs_are_here() -> None:
    need("haproxy")


@dataclass(frozen=True)
class Proxied:
    """A door, and HAProxy's port for each of its own.

    Attributes:
        secure: the door.
        ports: by kind of the listener.
    """

    secure: SecureDoor
    ports: dict[str, int]

    @property
    def door(self) -> Door:
        return self.secure.door

    def url(self, scheme: str, rest: str) -> str:
        return f"{scheme}://127.0.0.1:{self.ports[scheme]}{rest}"

    def client(self, address: str) -> httpx.AsyncClient:
        """An HTTP client at an address of loopback."""
        trusted = ssl.create_default_context(cafile=str(self.secure.authority))
        return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=address, verify=trusted), timeout=10)


@asynccontextmanager
async def behind_haproxy(directory: Path, how: str) -> AsyncIterator[Proxied]:
    """A door behind HAProxy, which dials it from PROXY.

    Args:
        how: of its server lines: send-proxy or send-proxy-v2, and what else.
    """
    async with secure_door(directory, "--admin", "0", config=AGREED) as secure:
        ports = {kind: free_port() for kind in KINDS}
        sections = [
            f"listen {kind}\n bind 127.0.0.1:{port}\n server door {secure.door.ready[kind][0]} source {PROXY} {how}"
            for kind, port in ports.items()
        ]
        defaults = "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s"
        file = directory / "haproxy.cfg"
        file.write_text("\n".join(["global", " maxconn 100", defaults, *sections]) + "\n")
        async with running(need("haproxy"), "-db", "-f", file):
            for port in ports.values():
                await listening(port)
            yield Proxied(secure, ports)


async def addresses_of(door: Door, what: str) -> dict[str, str]:
    """The admin side's addresses of viewers or publishers, by protocol."""
    async with httpx.AsyncClient(base_url=f"http://{door.ready['admin'][0]}", timeout=10) as admin:
        items = (await admin.get(f"/api/v1/{what}")).json()[what]
    assert all(item["peer"].startswith(f"{item['address']}:") for item in items)
    return {item.get("protocol", what): item["address"] for item in items}


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
async def test_log_and_admin_side_show_the_client_and_not_the_proxy(tmp_path: Path, how: str) -> None:
    async with behind_haproxy(tmp_path, how) as proxied, publishing(proxied.url("rtmp", "/myapp/test")):
        door = proxied.door
        start = await door.logged("publisher.start")
        assert start["peer"].startswith("127.0.0.1:")  # whom [publish] allow lets in, and not PROXY
        assert await addresses_of(door, "publishers") == {"rtmp": "127.0.0.1"}
        async with (
            ffmpeg_watching(proxied.url("rtmp", "/myapp/test")),
            proxied.client(CLIENT) as client,
            client.stream("GET", proxied.url("http", HUB)) as plain,
        ):
            assert plain.status_code == 200
            assert await addresses_of(door, "viewers") == {"rtmp": "127.0.0.1", "http-flv": CLIENT}
            assert {start["peer"].partition(":")[0] for start in await door.logged_times("viewer.start", 2)} == {
                "127.0.0.1",
                CLIENT,
            }
    assert not [event for event in door.events if event["event"] == "proxy.refused"]


async def test_the_header_stands_before_tls(tmp_path: Path) -> None:
    async with behind_haproxy(tmp_path, "send-proxy-v2") as proxied, publishing(proxied.url("rtmps", "/myapp/test")):
        assert (await proxied.door.logged("publisher.start"))["peer"].startswith("127.0.0.1:")
        async with proxied.client(CLIENT) as client, client.stream("GET", proxied.url("https", HUB)) as secure:
            assert secure.status_code == 200
            assert await addresses_of(proxied.door, "viewers") == {"http-flv": CLIENT}
        (await watch(proxied.url("rtmps", "/myapp/test"), 2)).shows(2)


async def test_health_checks_are_nothing_to_complain_of(tmp_path: Path) -> None:
    # HAProxy's check says LOCAL, and closes.
    async with behind_haproxy(tmp_path, "send-proxy-v2 check inter 50") as proxied, proxied.client(CLIENT) as client:
        for _ in range(10):
            assert (await client.get(proxied.url("http", "/"))).status_code == 200
        told = {event["event"] for event in proxied.door.events}
        assert told <= {"ready", "descriptors.few", "tls.failed"}  # the last at level info: no handshake came


async def test_without_its_line_haproxy_is_refused_with_a_sentence_and_direct_viewers_are_served(
    tmp_path: Path,
) -> None:
    async with behind_haproxy(tmp_path, "") as proxied, proxied.client(CLIENT) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(proxied.url("http", "/"))
        assert "HAProxy: send-proxy-v2" in (await proxied.door.logged("proxy.refused", listener="http"))["error"]
        assert (await client.get(f"{proxied.door.http_url}/")).status_code == 200
