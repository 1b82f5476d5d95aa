"""Who is watching: one record for each viewer, and the limits on how many there may be.

A record is made when a request was let in and is gone when its connection's task ends; everything that counts, kicks or
lists viewers goes through this table.
"""

import enum
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import trio

__all__ = ["EndReason", "LimitReachedError", "Viewer", "Viewers"]


class EndReason(enum.StrEnum):
    """Why a viewer's connection ended; the `reason` of `viewer.end`."""

    VIEWER_LEFT = "viewer_left"
    ORIGIN_ENDED = "origin_ended"
    ORIGIN_LOST = "origin_lost"
    STALLED = "stalled"
    KICKED = "kicked"
    DRAINED = "drained"
    REFUSED = "refused"
    ERROR = "error"


class LimitReachedError(Exception):
    """One viewer too many; the message says of which limit."""


@dataclass(slots=True, eq=False)
class Viewer:
    """One viewer that was let in.

    Attributes:
        id: opaque, unique in this process.
        peer: the socket's other end, `address:port`.
        address: the client's address: the peer's, or what a trusted proxy said.
        route: "splice" or "hub".
        origin: the configured name; None on the hub route.
        protocol: "http-flv", "ws-flv" or "rtmp".
        bytes: what its kernel socket has taken of the stream.
        started_at: in Trio's time, seconds.
        scope: everything that serves this viewer runs inside.
    """

    id: str
    peer: str
    address: str
    route: str
    origin: str | None
    app: str
    stream: str
    protocol: str
    bytes: int = 0
    started_at: float = field(default_factory=trio.current_time)
    ended_by: EndReason | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def seconds(self) -> float:
        return trio.current_time() - self.started_at

    def end(self, reason: EndReason) -> None:
        """Cancel what serves this viewer; the first reason stands."""
        if self.ended_by is None:
            self.ended_by = reason
        self.scope.cancel()


class Viewers:
    """The viewers of this process."""

    def __init__(self, *, limit: int, limit_per_address: int) -> None:
        """Args: the most viewers in all, and of one address; 0: no limit of its own."""
        self.limit = limit
        self.limit_per_address = limit_per_address
        self._viewers: dict[str, Viewer] = {}
        self._by_address: Counter[str] = Counter()
        self._ids: Final = itertools.count(1)
        self._none_left = trio.Event()
        self._none_left.set()

    def __len__(self) -> int:
        return len(self._viewers)

    def __iter__(self) -> Iterator[Viewer]:
        return iter(list(self._viewers.values()))

    def next_id(self) -> str:
        return f"v{next(self._ids)}"

    def check_room(self, address: str) -> None:
        """Whether one more viewer of `address` may be let in.

        Raises:
            LimitReachedError: no.
        """
        if len(self._viewers) >= self.limit:
            raise LimitReachedError("this door serves as many viewers as it may; try again in a few seconds")
        if self.limit_per_address and self._by_address[address] >= self.limit_per_address:
            raise LimitReachedError("your address has as many viewers as it may; close one of them first")

    @contextmanager
    def present(self, viewer: Viewer) -> Iterator[None]:
        """Hold `viewer` in the table while the block runs."""
        if not self._viewers:
            self._none_left = trio.Event()
        self._viewers[viewer.id] = viewer
        self._by_address[viewer.address] += 1
        try:
            yield
        finally:
            del self._viewers[viewer.id]
            self._by_address[viewer.address] -= 1
            if not self._by_address[viewer.address]:
                del self._by_address[viewer.address]
            if not self._viewers:
                self._none_left.set()

    async def wait_none(self) -> None:
        """Wait until nobody watches."""
        await self._none_left.wait()

    def end_all(self, reason: EndReason) -> None:
        """Cancel what serves each viewer."""
        for viewer in self:
            viewer.end(reason)
