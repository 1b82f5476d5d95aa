"""A new door takes over from an old one on the same ports, as docs/operations.md has it: nobody is refused or cut."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.door import Door, running_door

SHARED = "reuse_port = true"
DRAIN_S = 3
NEWCOMERS = 4
BURST = 400  # of which half are the old door's, more than it takes in one turn
WATCH = "/live?src=demo&app=demo&stream=clock"
C0_C1 = b"\x03" + bytes(1536)


@asynccontextmanager
async def demo_door(directory: Path, *, beside: Door | None = None, drain_s: float = DRAIN_S) -> AsyncIterator[Door]:
    """A door with the demo's stream; `beside` another, it listens where that one does, and at one port of its own."""
    directory.mkdir()
    flags = ["--rtmp", "127.0.0.1:0"]
    if beside is not None:
        rtmp = [flag for address in beside.ready["rtmp"] for flag in ("--rtmp", address)]
        flags = ["--listen", beside.ready["http"][0], *rtmp]
    async with running_door(directory, "--demo", *flags, config=SHARED, drain_s=drain_s) as door:
        yield door


async def first_bytes(port: int, request: bytes) -> bytes:
    """What comes back at first; an error where the connection is refused or reset."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request)
        return bytes(await stream.receive_some(100))


async def come_and_go(door: Door, came: list[bytes]) -> None:
    """Ask for the page, and shake hands by RTMP, again and again, until cancelled."""
    while True:
        page = await first_bytes(door.port, b"GET / HTTP/1.0\r\n\r\n")
        assert page.startswith(b"HTTP/1.1 200 "), page
        assert (await first_bytes(door.rtmp_port, C0_C1)).startswith(b"\x03")
        came.append(page)


class OldViewer:
    """A viewer of the door that is to go.

    Attributes:
        last_s: when it has received something the last time.
    """

    def __init__(self) -> None:
        self.last_s = 0.0
        self.over = trio.Event()

    async def watch(self, door: Door, task_status: trio.TaskStatus[None]) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", door.port) as stream:
            await stream.send_all(f"GET {WATCH} HTTP/1.0\r\n\r\n".encode())
            try:
                while await stream.receive_some(65536):
                    self.last_s = trio.current_time()
                    if not self.over.is_set():
                        task_status.started()
                        task_status = trio.TASK_STATUS_IGNORED
            except trio.BrokenResourceError:
                pass  # cut off, when the drain was over
        self.over.set()


@pytest.mark.parametrize("watched", [True, False])
async def test_a_new_door_takes_over_and_nobody_notices(tmp_path: Path, watched: bool) -> None:
    came: list[bytes] = []
    viewer = OldViewer()
    async with demo_door(tmp_path / "old") as old, trio.open_nursery() as nursery:
        if watched:
            await nursery.start(viewer.watch, old)
        async with trio.open_nursery() as newcomers:
            for _ in range(NEWCOMERS):
                newcomers.start_soon(come_and_go, old, came)
            async with demo_door(tmp_path / "new", beside=old) as new:
                old.child.send_signal(signal.SIGTERM)
                signalled_s = trio.current_time()
                await old.logged("draining")
                came_before = len(came)
                async with await trio.open_tcp_stream("127.0.0.1", old.port) as late:
                    await late.send_all(f"GET {WATCH} HTTP/1.0\r\n\r\n".encode())
                    await new.logged("viewer.start")
                    assert await old.child.ended(seconds=DRAIN_S + 5) == 0
                    newcomers.cancel_scope.cancel()
                    assert (await late.receive_some(100)).startswith(b"HTTP/1.1 200 ")
                if watched:
                    await viewer.over.wait()
                    assert viewer.last_s - signalled_s > DRAIN_S - 0.5
                assert len(came) > came_before + 10
                assert (await old.logged("draining"))["viewers"] == int(watched)


async def test_whom_the_kernel_has_accepted_for_the_old_door_is_served(tmp_path: Path) -> None:
    pages: list[bytes] = []

    async def come(port: int, task_status: trio.TaskStatus[None]) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
            task_status.started()
            pages.append(await stream.receive_some(100))

    async with demo_door(tmp_path / "old") as old, demo_door(tmp_path / "new", beside=old):
        old.child.send_signal(signal.SIGSTOP)
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(BURST):
                    await nursery.start(come, old.port)
                old.child.send_signal(signal.SIGTERM)
                old.child.send_signal(signal.SIGCONT)
        finally:
            old.child.send_signal(signal.SIGCONT)
        assert await old.child.ended() == 0
    assert len(pages) == BURST
    assert all(page.startswith(b"HTTP/1.1 200 ") for page in pages)


async def test_a_door_that_does_not_share_its_ports_is_named_to_the_one_that_comes_beside_it(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    async with running_door(tmp_path / "old", "--demo") as old:
        with pytest.raises(pytest.fail.Exception) as failure:
            async with demo_door(tmp_path / "new", beside=old):
                pass
    said = str(failure.value)
    assert "in use by" in said
    assert f"(pid {old.child.pid}), where it does not run as this user and with reuse_port" in said
