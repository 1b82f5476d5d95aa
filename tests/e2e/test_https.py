"""The door by TLS with real programs: ffmpeg over HTTPS and RTMPS, curl over HTTP/2, on both routes."""

import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio
import trustme

from tests.e2e.door import Door, running_door
from tests.e2e.origins import NodeMediaServer, publishing
from tests.e2e.processes import Child, need, running
from tests.e2e.viewers import ffmpeg_watching, watch

HUB = "/live?app=myapp&stream=test"


@pytest.fixture(autouse=True)
def _programs_are_here() -> None:
    need("curl")


class SecureDoor:
    """A running door with a certificate.

    Attributes:
        door: all the rest of it.
        authority: the PEM file of who has issued the certificate.
    """

    def __init__(self, door: Door, authority: Path) -> None:
        self.door = door
        self.authority = authority

    @property
    def https_url(self) -> str:
        return f"https://{self.door.ready['https'][0]}"

    def rtmps_url(self, name: str) -> str:
        return f"rtmps://{self.door.ready['rtmps'][0]}/{name}"

    def client(self, *, http2: bool) -> httpx.AsyncClient:
        return httpx.AsyncClient(http2=http2, verify=ssl.create_default_context(cafile=str(self.authority)), timeout=15)


def write_certificate(directory: Path, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    (directory / "door.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(directory / "door.key"))


@asynccontextmanager
async def secure_door(directory: Path, *flags: str, config: str = "", **timeouts: float) -> AsyncIterator[SecureDoor]:
    """A door with HTTPS, RTMP and RTMPS listeners."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "authority.pem"))
    write_certificate(directory, authority)
    listeners = ("--tls", "127.0.0.1:0", "--rtmps", "127.0.0.1:0", "--rtmp", "127.0.0.1:0")
    files = ("--tls-cert", str(directory / "door.pem"), "--tls-key", str(directory / "door.key"))
    async with running_door(directory, *listeners, *files, *flags, config=config, **timeouts) as door:
        yield SecureDoor(door, directory / "authority.pem")


@asynccontextmanager
async def curl_watching(door: SecureDoor, target: str, *flags: str) -> AsyncIterator[Child]:
    """curl, which has begun to receive."""
    command = (need("curl"), "-sS", "-N", "--cacert", door.authority, *flags)
    async with running(*command, "-D", "/dev/stderr", door.https_url + target, name="curl") as child:
        yield child


async def test_ffprobe_decodes_both_routes(tmp_path: Path, origin: NodeMediaServer, encoder: Child) -> None:
    config = f"""
        [origins.spliced]
        url = "{origin.http_url}"
        target = "/{{app}}/{{stream}}.flv"
        [origins.pulled]
        url = "rtmp://127.0.0.1:{origin.rtmp_port}"
    """
    async with secure_door(tmp_path, config=config) as door:
        for src, route in (("spliced", "splice"), ("pulled", "hub")):
            (await watch(f"{door.https_url}{HUB}&src={src}", 3)).shows(3)
            await door.door.logged("viewer.end", route=route, origin=src, reason="viewer_left")


async def test_rtmps_in_and_every_way_out(tmp_path: Path) -> None:
    async with secure_door(tmp_path) as door, publishing(door.rtmps_url("myapp/test")):
        await door.door.logged("publisher.start")
        (await watch(door.https_url + HUB, 3)).shows(3)
        (await watch(door.rtmps_url("myapp/test"), 3)).shows(3)
        (await watch(door.door.http_url + HUB, 3)).shows(3)


@pytest.mark.parametrize(("flag", "line"), [("--http1.1", r"^HTTP/1\.1 200"), ("--http2", r"^HTTP/2 200")])
async def test_curl_watches_the_demo_and_is_seen_to_leave(tmp_path: Path, flag: str, line: str) -> None:
    async with secure_door(tmp_path, "--demo") as door:
        before = door.door.descriptors
        async with curl_watching(door, "/live?src=demo&app=demo&stream=clock", flag) as curl:
            await curl.printed(line)
            await curl.printed("FLV")
            await curl.stop(signal.SIGTERM)
        end = await door.door.logged("viewer.end", reason="viewer_left")
        assert end["bytes"] > 0
        await door.door.has_descriptors(before)


async def test_seven_streams_over_one_connection(tmp_path: Path) -> None:
    async with (
        secure_door(tmp_path, "--demo") as door,
        door.client(http2=True) as client,
        trio.open_nursery() as nursery,
    ):

        async def read(number: int) -> None:
            target = f"/live?src=demo&app=demo&stream=clock&number={number}"
            async with client.stream("GET", door.https_url + target) as answer:
                assert answer.http_version == "HTTP/2"
                async for data in answer.aiter_bytes():
                    got[number] += len(data)
                    if min(got) > 20_000:
                        nursery.cancel_scope.cancel()

        got = [0] * 7
        for number in range(7):
            nursery.start_soon(read, number)
    starts = [event for event in door.door.events if event["event"] == "viewer.start"]
    assert len(starts) == 7
    assert len({start["peer"] for start in starts}) == 1


async def test_an_open_stream_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with (
        secure_door(tmp_path, "--demo", drain_s=0.2) as door,
        ffmpeg_watching(door.https_url + "/live?src=demo&app=demo&stream=clock"),
        curl_watching(door, "/live?src=demo&app=demo&stream=clock", "--http2") as curl,
    ):
        await curl.printed("^HTTP/2 200")
        with trio.fail_after(3):
            assert await door.door.stop() == 0
        assert [end["reason"] for end in door.door.events if end["event"] == "viewer.end"] == ["drained", "drained"]


async def test_a_key_that_does_not_fit_stops_the_start_with_one_line(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_certificate(tmp_path, authority)
    authority.issue_cert("other").private_key_pem.write_to_path(str(tmp_path / "door.key"))
    command = ("-m", "splice", "--listen", "0", "--tls", "0", "--tls-cert", tmp_path / "door.pem")
    async with running(sys.executable, *command, "--tls-key", tmp_path / "door.key", name="splice") as child:
        assert await child.ended() == 2
        (line,) = filter(None, child.lines)
        assert line.startswith("splice: --tls")
        assert line.endswith(f"door.key is not the key of the certificate in {tmp_path}/door.pem")
