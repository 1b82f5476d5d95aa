"""PROXY headers through a whole door: the client's address is what everything goes by, and nobody else can set it."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.splice.splice_house import FLV, FakeOrigin
from tests.splice.test_server import WATCH_DEMO, RunningDoor, a_door, get, settings, stopped

WATCH = "/live?src=a&app=myapp&stream=test"
OK = b"HTTP/1.1 200 OK\r\n" + FLV + b"\r\n"
CLIENT, OTHER, DENIED = "192.0.2.7", "192.0.2.8", "198.51.100.9"


def header(client: str, port: int = 49152) -> bytes:
    return f"PROXY TCP4 {client} 10.0.0.1 {port} 18090\r\n".encode()


@asynccontextmanager
async def spliced_door(**keys: Any) -> AsyncIterator[tuple[RunningDoor, FakeOrigin]]:
    """A door that takes headers from 127.0.0.1, and an origin of it."""
    async with FakeOrigin().listening() as origin:
        agreed = {"trusted_proxies": "127.0.0.1", "proxy_protocol": True, "origins": {"a": {"url": origin.url}}}
        async with a_door(settings(**agreed, **keys), demo=False) as door:
            yield door, origin
            assert await stopped(door) == 0
            origin.close_accepted()  # before the door's descriptors are counted


@asynccontextmanager
async def sent(door: RunningDoor, data: bytes, *, from_address: str = "127.0.0.1") -> AsyncIterator[trio.SocketStream]:
    dialled = trio.socket.socket()
    await dialled.bind((from_address, 0))
    await dialled.connect(door.address)
    async with trio.SocketStream(dialled) as stream:
        await stream.send_all(data)
        yield stream


async def answered(door: RunningDoor, data: bytes, *, from_address: str = "127.0.0.1") -> bytes:
    async with sent(door, data, from_address=from_address) as stream:
        try:
            return bytes(await stream.receive_some(65536))
        except trio.BrokenResourceError:
            return b""  # closed on, with what was sent unread


async def test_the_log_and_the_origin_are_told_the_client() -> None:
    async with spliced_door() as (door, origin), sent(door, header(CLIENT) + get(WATCH)) as viewer:
        asked = await origin.asked()
        assert f"\r\nX-Forwarded-For: {CLIENT}\r\n".encode() in asked.received
        await asked.send(OK)
        assert (await viewer.receive_some(1)) == b"H"
        start = await door.logged("viewer.start")
        assert start["peer"] == f"{CLIENT}:49152"
        assert "client" not in start


async def test_access_and_limits_go_by_the_client() -> None:
    async with spliced_door(play={"deny": "198.51.100.0/24"}, limits={"viewers_per_address": 1}) as (door, origin):
        assert b" 403 " in await answered(door, header(DENIED) + get(WATCH))
        async with sent(door, header(CLIENT) + get(WATCH)) as first:
            await (await origin.asked()).send(OK)
            await first.receive_some(1)
            assert b" 503 " in await answered(door, header(CLIENT, 49153) + get(WATCH))
            async with sent(door, header(OTHER) + get(WATCH)):
                await origin.asked()


async def test_a_field_that_the_client_itself_wrote_is_not_believed() -> None:
    forged = get(WATCH, f"X-Forwarded-For: {DENIED}")
    async with spliced_door(play={"deny": "198.51.100.0/24"}) as (door, origin), sent(door, header(CLIENT) + forged):
        asked = await origin.asked()
        assert f"\r\nX-Forwarded-For: {CLIENT}\r\n".encode() in asked.received


async def test_a_stranger_is_served_by_its_own_address_and_sets_no_other() -> None:
    async with spliced_door(play={"deny": "127.0.0.3"}) as (door, origin):
        async with sent(door, get(WATCH), from_address="127.0.0.2"):
            assert b"\r\nX-Forwarded-For: 127.0.0.2\r\n" in (await origin.asked()).received
        for forged in (header(CLIENT), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"):
            refusal = await answered(door, forged + get(WATCH), from_address="127.0.0.3")
            assert refusal.startswith(b"HTTP/1.1 400 ")
            assert b"PROXY header" in refusal
        assert b" 403 " in await answered(door, get(WATCH), from_address="127.0.0.3")


async def test_a_strangers_header_breaks_its_rtmp_handshake_and_the_log_names_the_byte() -> None:
    async with spliced_door(rtmp_listen=["127.0.0.1:0"]) as (door, _):
        (ready,) = door.events("ready")
        host, _, port = ready["rtmp"][0].rpartition(":")
        door.address = host, int(port)
        for number, (forged, byte) in enumerate(((header(CLIENT), "0x50"), (b"\r\n\r\n\0\r\nQUIT\n", "version 13"))):
            assert await answered(door, forged + b"\x03" + bytes(1536), from_address="127.0.0.2") == b""
            broken = await door.logged("rtmp.broken", number + 1)
            assert byte in broken["error"]
            assert broken["peer"].startswith("127.0.0.2:")


async def test_a_proxy_that_sends_no_header_is_closed_on_and_nobody_else_is_disturbed() -> None:
    async with spliced_door() as (door, origin), sent(door, header(CLIENT) + get(WATCH)) as viewer:
        asked = await origin.asked()
        await asked.send(OK + b"first")
        assert await answered(door, get(WATCH)) == b""
        assert "send-proxy-v2" in (await door.logged("proxy.refused"))["error"]
        await asked.send(b"second")
        seen = b""
        while not seen.endswith(b"second"):
            seen += await viewer.receive_some(65536)


async def test_an_entry_of_a_proxys_that_is_no_address_passes_no_list() -> None:
    start = settings(trusted_proxies="127.0.0.0/8", play={"allow": ["127.0.0.0/8", "192.0.2.0/24"]})
    async with a_door(start, demo=True) as door:
        for entry in ("unknown", "192.0.2.7, unknown", "192.0.2.7,"):
            refusal = await answered(door, get(WATCH_DEMO, f"X-Forwarded-For: {entry}"))
            assert refusal.startswith(b"HTTP/1.1 400 ")
            assert b"X-Forwarded-For is no address: let the proxy append its client's" in refusal
        for entry in ("192.0.2.7:5678", '"192.0.2.7:5678"', "unknown, 192.0.2.7"):
            async with await door.watching(WATCH_DEMO, f"X-Forwarded-For: {entry}"):
                pass
        assert b" 403 " in await answered(door, get(WATCH_DEMO, 'X-Forwarded-For: "[2001:db8::7]:80"'))
        await door.logged("viewer.end", 3)
        assert {event["client"] for event in door.events("viewer.start")} == {CLIENT}
        assert await stopped(door) == 0


async def test_a_reload_agrees_on_headers_and_takes_the_agreement_back() -> None:
    async with spliced_door() as (door, _):
        page = get("/")
        assert b" 200 " in await answered(door, header(CLIENT) + page)
        door.next = settings()
        await door.signalled(signal.SIGHUP, "reload.done")
        assert b" 200 " in await answered(door, page)
        door.next = settings(trusted_proxies="127.0.0.1", proxy_protocol="http")
        await door.signalled(signal.SIGHUP, "reload.done", 2)
        assert b" 200 " in await answered(door, header(CLIENT) + page)
