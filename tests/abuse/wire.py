"""A wire that does to packets what `tc netem` does, from a seed, on any kernel: below TCP, so that TCP's own mending of
loss and disorder is the real one.

Whole packets are read from one descriptor and written to the other, in both directions. The ends are TUN devices
(`tests/abuse/cable.py`), or sockets that keep messages apart.
"""

import heapq
import math
import os
import random
from typing import NamedTuple

import trio

__all__ = ["FAIR", "Weather", "Wire"]

_PACKET_BYTES = 64 * 1024


class Weather(NamedTuple):
    """What a network does to each packet, in either direction. The words and their meaning are netem's, tc-netem(8).

    Attributes:
        delay_ms: how late a packet is.
        jitter_ms: by how much more or less than that at most, evenly spread; so packets overtake each other.
        loss: the share that never arrives, 0 to 1.
        reorder: the share that is not late at all, 0 to 1, and overtakes what is.
    """

    delay_ms: int = 0
    jitter_ms: int = 0
    loss: float = 0.0
    reorder: float = 0.0

    @property
    def netem(self) -> tuple[str, ...]:
        """The same as a queueing discipline of `tc`."""
        words = ["netem", "delay", f"{self.delay_ms}ms", f"{self.jitter_ms}ms", "loss", f"{self.loss * 100:g}%"]
        if self.reorder:
            words += ["reorder", f"{self.reorder * 100:g}%"]
        return tuple(words)


FAIR = Weather()


class Wire:
    """Two ends, and the packets on their way between them; each direction has a random generator of its own.

    Attributes:
        weather: what happens to a packet that comes from now on.
    """

    def __init__(self, near: int, far: int, *, seed: int) -> None:
        self.weather = FAIR
        self._plugged = True
        self._directions = [
            _Direction(near, far, random.Random(f"{seed}, from near")),
            _Direction(far, near, random.Random(f"{seed}, from far")),
        ]

    def pull(self) -> None:
        """Let nothing pass, and say so to nobody; what is on its way is lost."""
        self._plugged = False
        for direction in self._directions:
            direction.waiting.clear()

    def plug_in(self) -> None:
        """Let packets pass again."""
        self._plugged = True

    async def carry(self) -> None:
        """Carry packets until cancelled; what is on its way then is lost."""
        async with trio.open_nursery() as nursery:
            for direction in self._directions:
                nursery.start_soon(self._carry, direction)

    async def _carry(self, direction: "_Direction") -> None:
        while True:
            with trio.CancelScope(deadline=direction.next_due):
                await trio.lowlevel.wait_readable(direction.source)
                direction.take_in(self.weather if self._plugged else None)
            direction.let_out()


class _Direction:
    """One direction of a wire. `waiting` is a heap: when a packet is due, its number, the packet."""

    def __init__(self, source: int, sink: int, rng: random.Random) -> None:
        self.source = source
        self.waiting: list[tuple[float, int, bytes]] = []
        self._sink = sink
        self._rng = rng
        self._count = 0

    @property
    def next_due(self) -> float:
        return self.waiting[0][0] if self.waiting else math.inf

    def take_in(self, weather: Weather | None) -> None:
        """Read what has come; without a weather, none of it arrives."""
        while True:
            try:
                packet = os.read(self.source, _PACKET_BYTES)
            except BlockingIOError:
                return
            if weather is not None:
                self._send_out_into(weather, packet)

    def _send_out_into(self, weather: Weather, packet: bytes) -> None:
        # As many draws for every packet as for any other: what befalls one does not hang on what befell those before.
        lost, early, jitter = self._rng.random(), self._rng.random(), self._rng.uniform(-1, 1)
        if lost < weather.loss:
            return
        late_ms = 0.0 if early < weather.reorder else weather.delay_ms + weather.jitter_ms * jitter
        self._count += 1
        heapq.heappush(self.waiting, (trio.current_time() + late_ms / 1000, self._count, packet))

    def let_out(self) -> None:
        """Write what is due."""
        now = trio.current_time()
        while self.next_due <= now:
            os.write(self._sink, heapq.heappop(self.waiting)[2])
