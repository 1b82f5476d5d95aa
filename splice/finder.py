"""Where a stream of scheme two is: with a publisher of ours, or with an origin that it is pulled from."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

from splice.hub import Hub, LiveStream
from splice.routing import HubRoute, Origin, Query, RelayRoute, Router, RoutingError, SpliceRoute

__all__ = ["StreamFinder"]


class _Pulls(Protocol):
    def watched(
        self, origin: Origin, app: str, stream: str, *, wait_s: float
    ) -> AbstractAsyncContextManager[LiveStream]: ...


class StreamFinder:
    """Finds live streams, and holds them while somebody watches."""

    def __init__(self, hub: Hub, pulls: _Pulls, *, wait_s: Callable[[str], float]) -> None:
        """Args: the streams published here, those pulled, and how long an app's viewers wait for one not yet there."""
        self._hub: Final = hub
        self._pulls: Final = pulls
        self._wait_s = wait_s

    def settle(self, route: HubRoute | RelayRoute | SpliceRoute) -> HubRoute | RelayRoute | SpliceRoute:
        """The route itself, or, for a stream that nobody publishes here, its way by the default origin."""
        if isinstance(route, HubRoute) and route.otherwise and self._hub.find(route.app, route.stream) is None:
            return route.otherwise
        return route

    @asynccontextmanager
    async def found(self, route: HubRoute | RelayRoute) -> AsyncIterator[LiveStream]:
        """The live stream of a route, held while the block runs.

        Raises:
            RoutingError: 404: nobody publishes it.
            OriginError: the origin does not give it.
        """
        wait_s = self._wait_s(route.app)
        if isinstance(route, RelayRoute):
            async with self._pulls.watched(route.origin, route.app, route.stream, wait_s=wait_s) as live:
                yield live
            return
        published = await self._hub.wait_for(route.app, route.stream, wait_s)
        if published is None:
            raise RoutingError(404, "nobody publishes this stream here; where an origin has it, name that with src=")
        yield published

    @asynccontextmanager
    async def found_for_player(
        self, router: Router, app: str, stream: str, src: str | None
    ) -> AsyncIterator[LiveStream]:
        """The same for an RTMP player, who has no request-target: what HTTP would splice is relayed."""
        route = self.settle(router.route(Query(src, None, app, stream), b""))
        if isinstance(route, SpliceRoute):
            route = RelayRoute(route.origin, app, stream)
        async with self.found(route) as live:
            yield live
