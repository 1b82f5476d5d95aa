"""The door as a process of its own, as its users start it, with its log read by the test."""

import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import trio

from tests.e2e.processes import Child, running

__all__ = ["Door", "LogEvent", "running_door"]

LogEvent: TypeAlias = dict[str, Any]

_TREE = Path(__file__).parents[2]


class Door:
    """A running door.

    Attributes:
        child: its process; its lines are its log, one JSON object each.
        ready: the event `ready`, with the real addresses.
    """

    def __init__(self, child: Child, ready: LogEvent) -> None:
        self.child = child
        self.ready = ready

    @property
    def http_url(self) -> str:
        return f"http://{self.ready['http'][0]}"

    @property
    def port(self) -> int:
        return int(self.ready["http"][0].rpartition(":")[2])

    @property
    def rtmp_port(self) -> int:
        return int(self.ready["rtmp"][0].rpartition(":")[2])

    def rtmp_url(self, name: str) -> str:
        return f"rtmp://127.0.0.1:{self.rtmp_port}/{name}"

    @property
    def descriptors(self) -> int:
        """How many descriptors it has open."""
        return len(list(Path(f"/proc/{self.child.pid}/fd").iterdir()))

    async def has_descriptors(self, count: int, *, seconds: float = 2) -> None:
        """Wait until it has so many descriptors open: what is logged as over is closed a moment later."""
        with trio.move_on_after(seconds):
            while self.descriptors != count:
                await trio.sleep(0.01)
        assert self.descriptors == count

    @property
    def events(self) -> list[LogEvent]:
        """The whole log so far; what is no JSON (a traceback of Python's own) fails the test."""
        return [json.loads(line) for line in self.child.lines if line]

    async def logged(self, event: str, *, seconds: float = 10, **fields: object) -> LogEvent:
        """Wait for a log event with these fields; where several have come, the first."""
        after = 0
        with trio.fail_after(seconds):
            while True:
                match = await self.child.printed(f'"event": "{event}"', seconds=seconds, after=after)
                found = json.loads(match.string)
                if all(found.get(name) == value for name, value in fields.items()):
                    return found
                after = self.child.lines.index(match.string, after) + 1

    async def logged_times(self, event: str, times: int, *, seconds: float = 10) -> list[LogEvent]:
        """Wait until an event was logged so often; all of them."""
        after = 0
        with trio.fail_after(seconds):
            for _ in range(times):
                match = await self.child.printed(f'"event": "{event}"', seconds=seconds, after=after)
                after = self.child.lines.index(match.string, after) + 1
        return [found for found in self.events if found["event"] == event]

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 10) -> int:
        return await self.child.stop(number, seconds=seconds)


@asynccontextmanager
async def running_door(
    directory: Path, *flags: str, config: str = "", stays: bool = True, **timeouts: float
) -> AsyncIterator[Door]:
    """`python -m splice` on a free port of loopback, until the block ends: then SIGTERM, and an exit status of 0.

    Args:
        directory: where its configuration file goes.
        flags: more of the command line.
        config: more of the configuration file; tables that it opens must not be [timeouts].
        stays: False where the test itself ends the door, and looks at its status.
        timeouts: keys of [timeouts]; drain_s is half a second where it is not among them.
    """
    timeouts.setdefault("drain_s", 0.5)
    lines = [config, "[timeouts]", *(f"{name} = {value}" for name, value in timeouts.items())]
    file = directory / "splice.toml"
    file.write_text("\n".join(lines) + "\n")
    command = (sys.executable, "-m", "splice", "--listen", "127.0.0.1:0", "--log-format", "json", "--config", file)
    async with running(*command, *flags, name="splice", cwd=_TREE, env={"PYTHONUNBUFFERED": "1"}) as child:
        ready = json.loads((await child.printed('"event": "ready"', seconds=15)).string)
        door = Door(child, ready)
        yield door
        status = await door.stop(seconds=timeouts["drain_s"] + 5)
        faults = [event for event in door.events if event.get("level") in ("error", "critical")]
        assert not faults, f"the door logged {faults}"
        if stays:
            assert status == 0, door.child.output
