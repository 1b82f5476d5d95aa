"""Where a stream of scheme two is: with a publisher of ours, or with an origin that it is pulled from."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

from splice.demand import Demand
from splice.hub import Hub, LiveStream
from splice.routing import HubRoute, Origin, PublishedRoute, Query, RelayRoute, Route, Router, SpliceRoute

__all__ = ["StreamFinder"]


class _Pulls(Protocol):
    def watched(
        self, origin: Origin, app: str, stream: str, *, wait_s: float
    ) -> AbstractAsyncContextManager[LiveStream]: ...


class StreamFinder:
    """Finds live streams, and holds them while somebody watches."""

    def __init__(self, hub: Hub, pulls: _Pulls, demand: Demand, *, wait_s: Callable[[str], float]) -> None:
        """Args:
        hub, pulls: the streams published here, and those pulled.
        demand: waits for those not published yet.
        wait_s: for how long, by an application's name.
        """
        self._hub: Final = hub
        self._pulls: Final = pulls
        self._demand: Final = demand
        self._wait_s = wait_s

    def resolve(self, route: Route) -> Route:
        """The route itself, or, for a stream that nobody publishes here, its way by the default origin."""
        if isinstance(route, PublishedRoute) and route.otherwise and self._hub.find(route.app, route.stream) is None:
            return route.otherwise
        return route

    def resolve_live(self, router: Router, query: Query) -> HubRoute:
        """The route of a query for which there is no request-target: what HTTP would splice is relayed.

        Raises:
            RoutingError: there is none.
        """
        route = self.resolve(router.route(query, b""))
        return RelayRoute(route.origin, query.app, query.stream) if isinstance(route, SpliceRoute) else route

    @asynccontextmanager
    async def found(self, route: HubRoute) -> AsyncIterator[LiveStream]:
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
        yield await self._demand.wait_for(route.app, route.stream, wait_s)
