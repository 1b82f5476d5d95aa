"""What the door answers out of its own files, to viewers whose line is slow."""

import pytest
import trio.testing

from splice.http import Answer
from tests.splice.pump.links import digest, random_bytes
from tests.splice.splice_house import open_house

SCRIPT = random_bytes(600_000)
FILE = Answer(200, [(b"Content-Length", b"%d" % len(SCRIPT))], SCRIPT)


@pytest.fixture(autouse=True)
def _a_large_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splice.reception.own_file", lambda *_, **__: FILE)


async def test_a_large_file_is_whole_however_long_a_slow_line_takes(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house() as house:
        house.send_bytes = 4096
        viewer = await house.viewer(b"GET /-/x.js HTTP/1.1\r\nHost: door\r\n\r\n", receive_bytes=4096)
        await viewer.until(b"\r\n\r\n")
        await trio.sleep(5)
        answer = await viewer.answer()
        assert digest(answer.body) == digest(SCRIPT)


async def test_who_takes_nothing_of_it_is_dropped_after_stall_s(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house(timeouts={"stall_s": 15}) as house:
        house.send_bytes = 4096
        await house.viewer(b"GET /-/x.js HTTP/1.1\r\nHost: door\r\n\r\n", receive_bytes=4096)
        while not house.serving:
            await trio.lowlevel.checkpoint()
        before_s = trio.current_time()
        await house.nobody_served()
        assert trio.current_time() - before_s == pytest.approx(15, abs=0.5)
