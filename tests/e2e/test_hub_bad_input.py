"""Many who do no good at a real door, over real sockets: a stream goes on beside them, and all is given back."""

import os
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from tests.e2e.door import Door, running_door
from tests.e2e.origins import publishing
from tests.e2e.viewers import watch

HALF_A_HANDSHAKE = b"\x03" + bytes(700)


async def dial(door: Door, beginning: bytes) -> trio.SocketStream:
    stream = await trio.open_tcp_stream("127.0.0.1", door.rtmp_port)
    await stream.send_all(beginning)
    return stream


async def test_a_thousand_half_open_handshakes_disturb_nobody_and_leave_nothing(tmp_path: Path) -> None:
    async with running_door(tmp_path, "--rtmp", "127.0.0.1:0", head_s=3) as door:
        before_all = door.descriptors
        async with publishing(door.rtmp_url("myapp/test")):
            await door.logged("publisher.start")
            before = door.descriptors
            async with AsyncExitStack() as strangers:
                for _ in range(1000):
                    await strangers.enter_async_context(await dial(door, HALF_A_HANDSHAKE))
                (await watch(f"{door.http_url}/myapp/test.flv", 1)).shows(seconds=1)
                await door.has_descriptors(before, seconds=5)
        await door.has_descriptors(before_all)


async def test_garbage_by_the_megabyte_disturbs_nobody_and_leaves_nothing(tmp_path: Path) -> None:
    handshaken = b"\x03" + bytes(2 * 1536)
    async with running_door(tmp_path, "--rtmp", "127.0.0.1:0") as door, publishing(door.rtmp_url("myapp/test")):
        await door.logged("publisher.start")
        descriptors = door.descriptors

        async def send_garbage(beginning: bytes) -> None:
            try:
                async with await dial(door, beginning) as stream:
                    for _ in range(64):
                        await stream.send_all(os.urandom(64 * 1024))
            except trio.BrokenResourceError:
                pass

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(send_garbage, handshaken if number % 2 else b"")
            (await watch(f"{door.http_url}/myapp/test.flv", 2)).shows(seconds=2)
        await door.has_descriptors(descriptors)
