"""A door whose log nobody reads: a container's log driver that hangs must not stop the streams."""

import json
import subprocess
import sys
from pathlib import Path

import trio

TREE = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "splice", "--listen", "127.0.0.1:0", "--demo", "--log-format", "json")
REFUSED = b"GET /nowhere HTTP/1.0\r\n\r\n"
LINES = 800  # of some 200 bytes, and a pipe takes 65,536 in all


async def test_a_door_whose_log_is_a_full_pipe_goes_on_serving_and_says_it_all_to_who_reads_later() -> None:
    process = await trio.lowlevel.open_process(COMMAND, stderr=subprocess.PIPE, cwd=TREE)
    try:
        assert process.stderr is not None
        log = b""
        while b'"ready"' not in log:
            log += await process.stderr.receive_some(65536)
        ready = next(json.loads(line) for line in log.splitlines() if b'"ready"' in line)
        host, _, port = ready["http"][0].rpartition(":")
        with trio.fail_after(30):
            for _ in range(LINES):
                async with await trio.open_tcp_stream(host, int(port)) as stream:
                    await stream.send_all(REFUSED)
                    assert b" 404 " in await stream.receive_some(65536)
            process.terminate()
            async for data in process.stderr:
                log += data
            assert await process.wait() == 0
    finally:
        process.kill()
        await process.wait()
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events.count("request.refused") == LINES
    assert events[-1] == "stopped"
    assert len(log) > 65536 * 2
