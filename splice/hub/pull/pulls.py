"""The table of pulls: the first who asks for an origin's stream starts one, all share it, the last one ends it.

    watched() --> the table, by (origin, app, stream) --> a task for each pull --> LiveStream
    keep() -----> one who holds the pull, and never leaves

Each pull is one task in the server's nursery, since it outlives any viewer, and all that it opens is closed in there.
"""

import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import trio

from splice.health import OriginHealth
from splice.hub.live_stream import HubLimits, LiveStream
from splice.hub.pauses import GrowingPauses
from splice.hub.pull.pull import STEADY_S, Pull
from splice.hub.pull.source import PullTimeouts
from splice.origins import OriginError
from splice.routing import Origin
from splice.stats import LimitReachedError, Publisher, Publishers
from splice.whereabouts import Whereabouts

__all__ = ["Pulls"]

_Key = tuple[str, str, str]
_ANY_NAME: Final = ("", "")  # in the key of an origin that is one stream: nobody's app and stream are empty


class Pulls:
    """The streams that are being pulled. All its methods are for Trio's thread.

    Attributes:
        on_stream: called with every stream that has given its first media; where one of them raises, the pull ends.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        limits: Callable[[str], HubLimits],
        timeouts: Callable[[str], PullTimeouts],
        publishers: Publishers,
        user_agent: str,
        health: OriginHealth | None = None,
        whereabouts: Whereabouts | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Args:
        nursery: where pulls run; cancelling it ends them all.
        limits: by an application's name.
        timeouts: of the pulls that begin from now on; by an application's name.
        publishers: where pulls are listed, and whose limit holds for them as well.
        user_agent: what HTTP origins are told of the door.
        health: is told how asking each origin went.
        whereabouts: knows which of an origin's addresses had a stream.
        jitter: gives numbers from 0 up to 1.
        """
        self.on_stream: Final[list[Callable[[LiveStream], None]]] = []
        self._nursery: Final = nursery
        self._limits: Final = limits
        self._timeouts: Final = timeouts
        self._publishers: Final = publishers
        self._user_agent: Final = user_agent
        self._health: Final = health or OriginHealth()
        self._whereabouts: Final = Whereabouts() if whereabouts is None else whereabouts
        self._jitter: Final = jitter
        self._origins: Mapping[str, Origin] = {}
        self._pulls: dict[_Key, Pull] = {}
        self._keepers: dict[_Key, trio.CancelScope] = {}

    def __iter__(self) -> Iterator[tuple[str, LiveStream, Publisher]]:
        """What is being pulled: the origin's name, the stream, and who brings it."""
        running = [pull for pull in self._pulls.values() if pull.failure is None]
        return iter([(pull.origin.name, pull.live, pull.publisher) for pull in running])

    def running(self, origin: str, app: str, stream: str) -> Pull | None:
        """What brings `app/stream` of the origin of this name; None where nothing does.

        A camera's pull is found by every name, and is itself called by the one that was asked for first.
        """
        pull = self._pulls.get((origin, app, stream)) or self._pulls.get((origin, *_ANY_NAME))
        return None if pull is None or pull.failure is not None else pull

    @asynccontextmanager
    async def watched(self, origin: Origin, app: str, stream: str, *, wait_s: float = 0.0) -> AsyncIterator[LiveStream]:
        """The stream `app/stream` of `origin`, held while the block runs; it has given its first media by then.

        Args:
            wait_s: how long to go on asking for a stream that the origin says is missing.

        Raises:
            OriginError: 404: the origin has no such stream; 502: it refuses, or talks nonsense; 503: a limit of ours;
                504: it is mute. Who asks within `missing_remembered_s` gets the same answer without a pull.

        A cancellation leaves nothing; the pull itself lives on for `idle_stop_s`.
        """
        patience_ends = trio.current_time() + wait_s
        while True:
            pull = self._find_or_start(origin, app, stream)
            with pull.held():
                failure = await pull.wait_settled()
                if failure is None:
                    yield pull.live
                    return
            if failure.status != 404 or trio.current_time() >= patience_ends:
                raise OriginError(failure.status, failure.detail)
            await trio.sleep(self._timeouts(app).missing_remembered_s)

    # --- without viewers ---

    @property
    def kept(self) -> list[tuple[str, str, str]]:
        """What is pulled whether anybody watches or not: the origin's name, app and stream."""
        return list(self._keepers)

    def keep(self, origin: Origin, app: str, stream: str) -> bool:
        """Pull `app/stream` of `origin` from now on, also without viewers, until `let_go`.

        It need not be there yet: it is asked for again and again, with growing pauses, and so is an origin that cannot
        be reached or whose name does not resolve.

        Returns: whether it was not kept before.
        """
        key = origin.name, app, stream
        if key in self._keepers:
            return False
        self._keepers[key] = scope = trio.CancelScope()
        self._nursery.start_soon(self._keep, origin, app, stream, scope)
        return True

    def let_go(self, origin: str, app: str, stream: str) -> bool:
        """Keep `app/stream` of the origin of this name no longer; without viewers it ends after `idle_stop_s`.

        Returns: whether it was kept.
        """
        scope = self._keepers.pop((origin, app, stream), None)
        if scope is None:
            return False
        scope.cancel()
        return True

    def let_all_go(self) -> None:
        """Keep nothing any longer."""
        for key in self.kept:
            self.let_go(*key)

    def configure(
        self,
        origins: Mapping[str, Origin],
        *,
        add: Iterable[tuple[str, str, str]] = (),
        remove: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Go by another configuration; what is kept besides stays so, if its origin is still one that relays.

        Pulls that run stay connected as they are. From the next connection on they go by what is said of their origin
        here, and so do those who wait for a stream since before, and come with the origin of then.

        Args:
            origins: those that there are now, by name, the spliced ones too: RTMP players have their streams pulled.
            add: what is newly kept: the origin's name, app and stream.
            remove: what is kept no longer.
        """
        self._origins = origins
        for pull in self._pulls.values():
            known = self._known(pull.origin)
            # One that is known by other names now goes on as it was, until its viewers have left.
            if known.is_one_stream == pull.origin.is_one_stream:
                pull.origin = known
        for key in remove:
            self.let_go(*key)
        for name, app, stream in (*self.kept, *add):
            origin = origins.get(name)
            if origin is not None and origin.relayed:
                self.keep(origin, app, stream)
            else:
                self.let_go(name, app, stream)

    def _known(self, origin: Origin) -> Origin:
        """What the configuration in force says of an origin; of one that it does not name, what was known before."""
        return self._origins.get(origin.name, origin)

    async def _keep(self, origin: Origin, app: str, stream: str, scope: trio.CancelScope) -> None:
        """Hold the pull of a stream, and another one when that has ended, until the scope is cancelled."""
        pauses = GrowingPauses(self._jitter)
        with scope:
            while True:
                pull = self._find_or_start(origin, app, stream)
                began_at = trio.current_time()
                with pull.held():
                    await pull.forgotten.wait()
                if pull.failure is None and trio.current_time() - began_at >= STEADY_S:
                    pauses.reset()
                await trio.sleep(pauses.next_s())

    # --- the table ---

    def _find_or_start(self, origin: Origin, app: str, stream: str) -> Pull:
        origin = self._known(origin)  # who asks may have waited through a reload
        key = _key(origin, app, stream)
        pull = self._pulls.get(key)
        if pull is None or pull.ending:
            live = LiveStream(app, stream, self._limits(app))
            publisher = Publisher(self._publishers.next_id(), "", "", app, stream, protocol="")
            pauses = GrowingPauses(self._jitter)
            pull = Pull(
                origin,
                live,
                publisher,
                timeouts=self._timeouts(app),
                user_agent=self._user_agent,
                health=self._health,
                whereabouts=self._whereabouts,
                pauses=pauses,
                on_stream=self._tell,
            )
            self._pulls[key] = pull
            self._nursery.start_soon(self._run, key, pull)
        return pull

    def _tell(self, live: LiveStream) -> None:
        for observe in self.on_stream:
            observe(live)

    async def _run(self, key: _Key, pull: Pull) -> None:
        try:
            try:
                self._publishers.check_room(pull.publisher.app)
            except LimitReachedError as error:
                pull.settle(OriginError(503, str(error)))
            else:
                with self._publishers.present(pull.publisher):
                    await pull.run()
            if pull.failure is not None:
                await trio.sleep(pull.timeouts.missing_remembered_s)
        finally:
            if self._pulls.get(key) is pull:
                del self._pulls[key]
            pull.forgotten.set()


def _key(origin: Origin, app: str, stream: str) -> _Key:
    # A camera gives the same by every name, and to few at a time: it is pulled once, by whatever name viewers know it.
    return (origin.name, *_ANY_NAME) if origin.is_one_stream else (origin.name, app, stream)
