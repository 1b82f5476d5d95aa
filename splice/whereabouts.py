"""Which address of an origin had a stream a moment ago: it is asked first, and the others only where it has it no more.

    serving() --> one sighting a stream, until `REMEMBERED_S` after the last bytes --> in_order()

Of an origin with one address nothing is remembered, since there is nothing to choose.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import trio

from splice.config import OriginAddress
from splice.routing import Origin

__all__ = ["REMEMBERED_S", "Whereabouts"]

REMEMBERED_S: Final = 10.0
_MOST: Final = 10_000

_Name = tuple[str, str, str]


@dataclass(slots=True, eq=False)
class _Sighting:
    address: OriginAddress
    serving: int = 0
    last_at: float = 0.0


class Whereabouts:
    """The sightings of all origins' streams, the ones of both routes; at most `most`, the newest of them."""

    def __init__(self, *, most: int = _MOST) -> None:
        self._most: Final = most
        self._sightings: OrderedDict[_Name, _Sighting] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sightings)

    def in_order(self, origin: Origin, app: str, stream: str) -> tuple[OriginAddress, ...]:
        """The origin's addresses in the order in which to ask them for a stream."""
        name = origin.name, app, stream
        sighting = self._sightings.get(name)
        if sighting is None or sighting.address not in origin.addresses:
            return origin.addresses
        if not sighting.serving and trio.current_time() - sighting.last_at > REMEMBERED_S:
            del self._sightings[name]
            return origin.addresses
        return (sighting.address, *(each for each in origin.addresses if each != sighting.address))

    @contextmanager
    def serving(self, origin: Origin, app: str, stream: str, address: OriginAddress) -> Iterator[None]:
        """Say that `address` gives a stream for as long as the block runs."""
        if len(origin.addresses) < 2:
            yield
            return
        name = origin.name, app, stream
        sighting = self._sightings.get(name)
        if sighting is None or sighting.address != address:
            sighting = self._sightings[name] = _Sighting(address)
        sighting.serving += 1
        self._see(name, sighting)
        try:
            yield
        finally:
            sighting.serving -= 1
            if self._sightings.get(name) is sighting:
                self._see(name, sighting)

    def _see(self, name: _Name, sighting: _Sighting) -> None:
        sighting.last_at = trio.current_time()
        self._sightings.move_to_end(name)
        if len(self._sightings) > self._most:
            self._sightings.popitem(last=False)
