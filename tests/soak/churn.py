"""Who comes and goes while a soak runs: viewers by every way, publishers, origins that die, reloads, kicks.

Each activity is one task with a random generator of its own, seeded by the soak's seed and the activity's name: what it
does is the same with the same seed, when it is done is the machine's.
"""

import json
import random
import signal
import socket
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from protocol import ProtocolError
from protocol.rtmp import parse_url
from splice.demo import DemoOrigin
from tests.abuse.arena import admin
from tests.abuse.people import publish, request
from tests.e2e.door import Door
from tests.e2e.processes import free_port, running
from tests.splice.hub_house import RtmpClient
from tests.splice.websocket_client import raw_handshake

__all__ = ["Churn", "soaked_door"]

_TREE = Path(__file__).parents[2]

_WAYS = ("HTTP-FLV", "WS-FLV", "HTTP/1.0", "RTMP")
_NAMES = ("s0", "s1", "s2", "s3")
_READ_BYTES = 64 * 1024

# What a connection ends with, when the other side is cut, kicked, refused or not there.
_ENDS = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, AssertionError, ProtocolError)


@asynccontextmanager
async def soaked_door(directory: Path, config: str, *flags: str) -> AsyncIterator[Door]:
    """A door of these flags and this configuration, which may be killed; its log is for whoever looks at it."""
    file = directory / "splice.toml"
    file.write_text(config)
    command = (sys.executable, "-m", "splice", "--listen", "127.0.0.1:0", "--log-format", "json", "--config", file)
    async with running(*command, *flags, name="splice", cwd=_TREE, env={"PYTHONUNBUFFERED": "1"}) as child:
        yield Door(child, json.loads((await child.printed('"event": "ready"', seconds=20)).string))


class Churn:
    """See the module.

    Attributes:
        directory: the door's, which is soaked.
        done: how often what was done; a viewer who was shown something counts as "... saw".
    """

    def __init__(self, seed: int, directory: Path) -> None:
        self.done: Counter[str] = Counter()
        self.directory = directory / "door"
        self._other_directory = directory / "other"
        self._seed = seed
        self._origin_port = free_port()
        self._other_port = free_port()
        self._door: Door

    def first_config(self) -> str:
        """What the door begins and ends with."""
        return self._config(merge_ms=20, stall_s=3, viewers=500, forward=True)

    async def run(self, door: Door) -> None:
        """Churn until cancelled."""
        self._door = door
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_http_origin, self._rng("origin"))
            nursery.start_soon(self._keep_other_door, self._rng("other door"))
            nursery.start_soon(self._keep_reloading, self._rng("reload"))
            nursery.start_soon(self._keep_kicking, self._rng("kick"))
            for name in _NAMES:
                nursery.start_soon(self._keep_publishing, name, self._rng(f"publisher {name}"))
            for number in range(24):
                nursery.start_soon(self._keep_watching, self._rng(f"viewer {number}"))

    def reload_with(self, config: str) -> None:
        """Write the door's configuration anew, and say so to it."""
        (self.directory / "splice.toml").write_text(config)
        self._door.child.send_signal(signal.SIGHUP)

    def _rng(self, name: str) -> random.Random:
        return random.Random(f"{self._seed} {name}")

    def _config(self, *, merge_ms: int, stall_s: float, viewers: int, forward: bool) -> str:
        url = f"http://127.0.0.1:{self._origin_port}"
        lines = [
            f"hub = {{republish_grace_s = 1, idle_stop_s = 1, merge_ms = {merge_ms}}}",
            f'origins.far.url = "{url}"',
            f'origins.relayed = {{url = "{url}", mode = "relay"}}',
            f'origins.other.url = "rtmp://127.0.0.1:{self._other_port}"',
            f"limits = {{viewers = {viewers}}}",
            f"timeouts = {{head_s = 2, connect_s = 1, origin_head_s = 2, first_tag_s = 2, stall_s = {stall_s}, "
            "publish_idle_s = 2, drain_s = 0.5}",
        ]
        if forward:
            lines += ["[[forward]]", 'streams = "myapp/s0"', f'to = "rtmp://127.0.0.1:{self._other_port}/backup"']
        return "\n".join(lines) + "\n"

    # --- viewers ---

    async def _keep_watching(self, rng: random.Random) -> None:
        while True:
            way = rng.choice(_WAYS)
            self.done[f"{way} came"] += 1
            with trio.move_on_after(rng.expovariate(0.7)):
                await self._try(lambda: self._watch(rng, way))  # noqa: B023 -- called within the turn
            await trio.sleep(rng.random() / 4)

    async def _watch(self, rng: random.Random, way: str) -> None:
        src, app, name = rng.choice(
            [
                ("demo", "demo", "clock"),
                ("far", "demo", "clock"),
                ("relayed", "demo", "clock"),
                ("other", "cam", "one"),
                *((None, "myapp", name) for name in _NAMES),
                (None, "myapp", "nobody"),
                ("nobody", "myapp", "test"),
            ]
        )
        ends_abruptly, deaf = rng.random() < 0.3, rng.random() < 0.1
        port = self._door.rtmp_port if way == "RTMP" else self._door.port
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            if ends_abruptly:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if way == "RTMP":
                url = parse_url(f"rtmp://door/{app}/{name}{f'?src={src}' if src else ''}")
                await RtmpClient(stream, url).play()
                self.done[f"{way} saw"] += 1
            else:
                target = f"/live?{f'src={src}&' if src else ''}app={app}&stream={name}"
                await stream.send_all(
                    raw_handshake(target) if way == "WS-FLV" else request(target, "1.0" if way == "HTTP/1.0" else "1.1")
                )
                if (await stream.receive_some(12))[9:] in (b"200", b"101"):
                    self.done[f"{way} saw"] += 1
            if deaf:
                await trio.sleep_forever()
            while await stream.receive_some(_READ_BYTES):
                pass

    # --- publishers ---

    async def _keep_publishing(self, name: str, rng: random.Random) -> None:
        while True:
            self.done["publishers"] += 1
            with trio.move_on_after(rng.uniform(0.1, 8)):
                await self._try(lambda: publish(self._door.rtmp_port, f"myapp/{name}"))
            await trio.sleep(rng.random() * 2)

    # --- origins ---

    async def _keep_http_origin(self, rng: random.Random) -> None:
        origin = DemoOrigin()
        while True:
            self.done["HTTP origin came up"] += 1
            listeners = await trio.open_tcp_listeners(self._origin_port, host="127.0.0.1")
            with trio.move_on_after(rng.uniform(2, 10)):
                await trio.serve_listeners(origin.handle, listeners)
            await trio.sleep(rng.uniform(0.1, 2))

    async def _keep_other_door(self, rng: random.Random) -> None:
        """Another door, from which streams are pulled by RTMP, and to which they are forwarded."""
        rtmp = ("--rtmp", f"127.0.0.1:{self._other_port}")
        while True:
            self.done["RTMP origin came up"] += 1
            async with soaked_door(self._other_directory, "", *rtmp) as other:
                with trio.move_on_after(rng.uniform(3, 12)):
                    await self._try(lambda: publish(other.rtmp_port, "cam/one"))
                other.child.send_signal(signal.SIGKILL)
                await other.child.ended()
            await trio.sleep(rng.uniform(0.1, 2))

    # --- the operator ---

    async def _keep_reloading(self, rng: random.Random) -> None:
        while True:
            await trio.sleep(rng.uniform(1, 5))
            self.done["reloads"] += 1
            if rng.random() < 0.1:
                self.reload_with("this is no TOML\n")
                continue
            self.reload_with(
                self._config(
                    merge_ms=rng.choice([0, 20, 100]),
                    stall_s=rng.uniform(0.5, 5),
                    viewers=rng.choice([10, 100, 500]),
                    forward=rng.random() < 0.7,
                )
            )

    async def _keep_kicking(self, rng: random.Random) -> None:
        while True:
            await trio.sleep(rng.uniform(0.2, 2))
            what = rng.choice(["viewers", "viewers", "publishers", "streams"])
            found = json.loads(await admin(self._door, f"/api/v1/{what}"))[what]
            if found:
                self.done["kicks"] += 1
                id_ = rng.choice(found)["id"]
                await self._try(lambda: admin(self._door, f"/api/v1/{what}/{id_}", method="DELETE", status=204))  # noqa: B023 -- as above

    async def _try(self, act: Callable[[], Awaitable[object]]) -> None:
        try:
            await act()
        except* _ENDS:
            self.done["ended early"] += 1
