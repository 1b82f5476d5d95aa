"""Who is watching: one record for each viewer, and the limits on how many there may be.

A record is made when a request was let in and is gone when its connection's task ends; everything that counts, kicks or
lists viewers goes through this table.
"""

import enum
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import trio

from splice.households import household

__all__ = [
    "PROGRAM_LENGTH",
    "AppLimits",
    "EndReason",
    "LimitReachedError",
    "Meter",
    "Publisher",
    "Publishers",
    "Viewer",
    "Viewers",
]

PROGRAM_LENGTH: Final = 256
"""How much is kept of what a client calls itself, in characters."""


class EndReason(enum.StrEnum):
    """Why a connection ended, a `reason` in the log: `viewer.end` has the first eight, `publisher.end` all."""

    VIEWER_LEFT = "viewer_left"
    ORIGIN_ENDED = "origin_ended"
    ORIGIN_LOST = "origin_lost"
    STALLED = "stalled"
    KICKED = "kicked"
    DRAINED = "drained"
    REFUSED = "refused"
    ERROR = "error"

    PUBLISHER_LEFT = "publisher_left"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class AppLimits:
    """How many there may be of one application, besides the limits of all; 0: no limit of its own."""

    viewers: int = 0
    viewers_per_address: int = 0
    viewers_per_stream: int = 0
    publishers: int = 0


_NO_LIMITS: Final = AppLimits()


def _not_limited(app: str) -> AppLimits:
    return _NO_LIMITS


class LimitReachedError(Exception):
    """One viewer too many; the message says of which limit."""


class Meter(Protocol):
    """Counts, while a viewer is served, the bytes that its kernel socket has taken."""

    bytes: int


@dataclass(slots=True, eq=False)
class _Client:
    """What a viewer and a publisher have in common.

    Attributes:
        id: opaque, unique in this process.
        peer: the socket's other end, `address:port`.
        address: the client's address: the peer's, or what a trusted proxy said.
        started_at: in Trio's time, seconds.
        clock: gives the live stream's time in milliseconds; None: not known.
        program: what the client calls itself, by RTMP's flashVer or HTTP's User-Agent.
        ended_by: why the door itself ended it; None: it did not.
        scope: everything that serves this client runs inside.
    """

    id: str
    peer: str
    address: str
    app: str
    stream: str
    protocol: str
    bytes: int = 0
    started_at: float = field(default_factory=trio.current_time)
    clock: Callable[[], int] | None = None
    program: str = ""
    ended_by: EndReason | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def seconds(self) -> float:
        return trio.current_time() - self.started_at

    @property
    def clock_ms(self) -> int:
        """Where in its stream it is, in milliseconds; 0 where that is not known, as on the splice route."""
        return 0 if self.clock is None else self.clock()

    def end(self, reason: EndReason) -> None:
        """Cancel what serves this client; the first reason stands."""
        if self.ended_by is None:
            self.ended_by = reason
        self.scope.cancel()


@dataclass(slots=True, eq=False, kw_only=True)
class Viewer(_Client):
    """One viewer that was let in.

    Attributes:
        route: "splice" or "hub".
        origin: the configured name; None on the hub route.
        protocol: "http-flv", "ws-flv" or "rtmp".
        bytes: what its kernel socket has taken of the stream.
        first_byte_s: how many seconds after `started_at` the stream's first bytes were on their way; None: not yet.
    """

    route: str
    origin: str | None
    first_byte_s: float | None = None

    @property
    def figures(self) -> dict[str, float | None]:
        """What `viewer.end` says of a viewer."""
        first_byte_s = None if self.first_byte_s is None else round(self.first_byte_s, 4)
        return {"bytes": self.bytes, "seconds": round(self.seconds, 3), "first_byte_s": first_byte_s}

    def begun(self, clock: Callable[[], int] | None = None) -> None:
        """Say that the stream's first bytes are on their way, and what its clock is."""
        self.first_byte_s = self.seconds
        self.clock = clock


_Counted: TypeAlias = str | tuple[str | None, str, str] | tuple[str] | tuple[str, str]
"""What viewers are counted by: a household, a stream (origin, app, stream), an app, an app and a household."""


class Viewers:
    """The viewers of this process.

    Attributes:
        limit, limit_per_address, limit_per_stream: for who comes from now on; a reload replaces them.
    """

    def __init__(
        self,
        *,
        limit: int,
        limit_per_address: int,
        limit_per_stream: int = 0,
        limits_of_app: Callable[[str], AppLimits] = _not_limited,
    ) -> None:
        """Args:
        limit: the most viewers in all.
        limit_per_address: of one address, or of one network of IPv6; 0: no limit of its own.
        limit_per_stream: of one stream; 0: no limit of its own.
        limits_of_app: the same for one application, by its name.
        """
        self.limit = limit
        self.limit_per_address = limit_per_address
        self.limit_per_stream = limit_per_stream
        self._limits_of_app: Final = limits_of_app
        self._viewers: dict[str, Viewer] = {}
        self._counts: Counter[_Counted] = Counter()
        self._ids: Final = itertools.count(1)
        self._none_left = trio.Event()
        self._none_left.set()

    def __len__(self) -> int:
        return len(self._viewers)

    def __iter__(self) -> Iterator[Viewer]:
        return iter(list(self._viewers.values()))

    def next_id(self) -> str:
        return f"v{next(self._ids)}"

    def check_room(self, address: str, stream: tuple[str | None, str, str]) -> None:
        """Make sure that one more viewer of `address` may be let in, to `stream` (origin, app, stream).

        Raises:
            LimitReachedError: no.
        """
        if len(self._viewers) >= self.limit:
            raise LimitReachedError("this door serves as many viewers as it may; try again in a few seconds")
        address = household(address)
        if self.limit_per_address and self._counts[address] >= self.limit_per_address:
            raise LimitReachedError("your address has as many viewers as it may; close one of them first")
        if self.limit_per_stream and self._counts[stream] >= self.limit_per_stream:
            raise LimitReachedError("this stream has as many viewers as it may; try again in a few seconds")
        self._check_room_in_app(address, stream)

    def _check_room_in_app(self, address: str, stream: tuple[str | None, str, str]) -> None:
        app = stream[1]
        limits = self._limits_of_app(app)
        if limits.viewers and self._counts[(app,)] >= limits.viewers:
            raise LimitReachedError("this application has as many viewers as it may; try again in a few seconds")
        if limits.viewers_per_address and self._counts[app, address] >= limits.viewers_per_address:
            raise LimitReachedError(
                "your address has as many viewers of this application as it may; close one of them first"
            )
        if limits.viewers_per_stream and self._counts[stream] >= limits.viewers_per_stream:
            raise LimitReachedError("this stream has as many viewers as it may; try again in a few seconds")

    @contextmanager
    def present(self, viewer: Viewer) -> Iterator[None]:
        """Hold `viewer` in the table while the block runs."""
        if not self._viewers:
            self._none_left = trio.Event()
        self._viewers[viewer.id] = viewer
        app, address = viewer.app, household(viewer.address)
        counted: tuple[_Counted, ...] = (
            address,
            (viewer.origin, app, viewer.stream),
            (app,),
            (app, address),
        )
        self._counts.update(counted)
        try:
            yield
        finally:
            del self._viewers[viewer.id]
            self._counts.subtract(counted)
            for key in counted:
                if not self._counts[key]:
                    del self._counts[key]
            if not self._viewers:
                self._none_left.set()

    async def wait_none(self) -> None:
        """Wait until nobody watches."""
        await self._none_left.wait()

    def end_all(self, reason: EndReason) -> None:
        """Cancel what serves each viewer."""
        for viewer in self:
            viewer.end(reason)


@dataclass(slots=True, eq=False)
class Publisher(_Client):
    """Whoever brings a stream: an RTMP publisher, or a pull of ours.

    Attributes:
        protocol: "rtmp", or of a pull "rtmp-pull" or "http-flv-pull".
        bytes: media received.
    """


class Publishers:
    """The publishers of this process.

    Attributes:
        limit: for who comes from now on; a reload replaces it.
    """

    def __init__(self, *, limit: int, limits_of_app: Callable[[str], AppLimits] = _not_limited) -> None:
        """Args: the most publishers, pulls among them, in all, and by application."""
        self.limit = limit
        self._limits_of_app: Final = limits_of_app
        self._publishers: dict[str, Publisher] = {}
        self._ids: Final = itertools.count(1)

    def __len__(self) -> int:
        return len(self._publishers)

    def __iter__(self) -> Iterator[Publisher]:
        return iter(list(self._publishers.values()))

    def next_id(self) -> str:
        return f"p{next(self._ids)}"

    def check_room(self, app: str, *, replaces: Publisher | None = None) -> None:
        """Make sure that one more publisher of an application may be let in.

        Args:
            replaces: whose place it takes; such a one leaves room, and one that is being ended has left it already.

        Raises:
            LimitReachedError: no.
        """
        staying = [each for each in self._publishers.values() if each is not replaces and each.ended_by is None]
        if len(staying) >= self.limit:
            raise LimitReachedError("this door has as many publishers as it may; try again later")
        limit = self._limits_of_app(app).publishers
        if limit and sum(each.app == app for each in staying) >= limit:
            raise LimitReachedError("this application has as many publishers as it may; try again later")

    @contextmanager
    def present(self, publisher: Publisher) -> Iterator[None]:
        """Hold `publisher` in the table while the block runs."""
        self._publishers[publisher.id] = publisher
        try:
            yield
        finally:
            del self._publishers[publisher.id]

    def end_all(self, reason: EndReason) -> None:
        """Cancel what serves each publisher."""
        for publisher in self:
            publisher.end(reason)
