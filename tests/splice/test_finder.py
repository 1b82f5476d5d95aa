"""Finding a live stream: published here, pulled from an origin, or nowhere."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from splice.access import HookCalls, Hooks
from splice.config import OriginSettings
from splice.demand import Demand
from splice.finder import StreamFinder
from splice.hub import Hub, HubLimits, LiveStream
from splice.routing import Origin, PublishedRoute, Query, RelayRoute, Route, Router, RoutingError, SpliceRoute
from splice.stats import Publisher

ORIGINS = {"a": OriginSettings(url="http://a:80"), "b": OriginSettings(url="rtmp://b:1935")}


class PulledStreams:
    """Stands in for the pulls: any stream of any origin is there, and says how many hold it."""

    def __init__(self) -> None:
        self.held: list[tuple[str, str, str]] = []

    @asynccontextmanager
    async def watched(self, origin: Origin, app: str, stream: str, *, wait_s: float = 0.0) -> AsyncIterator[LiveStream]:
        self.held.append((origin.name, app, stream))
        try:
            yield LiveStream(app, stream, HubLimits())
        finally:
            self.held.remove((origin.name, app, stream))


class Finding:
    """A finder with its hub and its pulls."""

    def __init__(self, nursery: trio.Nursery, *, wait_s: float = 0.0, default_origin: str = "") -> None:
        self.hub = Hub(nursery, limits=lambda app: HubLimits(), takeover_s=lambda app: 5.0)
        self.pulls = PulledStreams()
        self.router = Router(live_paths=("/live",), origins=ORIGINS, default_origin=default_origin)
        demand = Demand(
            nursery,
            self.hub,
            HookCalls(nursery, user_agent="splice/test"),
            hooks=lambda app: Hooks({}, timeout_s=1, allow_on_failure=False),
            idle_s=lambda app: 10.0,
        )
        self.finder = StreamFinder(self.hub, self.pulls, demand, wait_s=lambda app: wait_s)

    def route(self, src: str | None, stream: str = "test") -> Route:
        return self.finder.resolve(self.router.route(Query(src, None, "myapp", stream), b"/live"))

    def found_for_player(self, src: str | None) -> AbstractAsyncContextManager[LiveStream]:
        return self.finder.found(self.finder.resolve_live(self.router, Query(src, None, "myapp", "test")))


def publisher(stream: str = "test") -> Publisher:
    return Publisher("p1", "127.0.0.1:1", "127.0.0.1", "myapp", stream, "rtmp")


@asynccontextmanager
async def finding(*, wait_s: float = 0.0, default_origin: str = "") -> AsyncIterator[Finding]:
    async with trio.open_nursery() as nursery:
        yield Finding(nursery, wait_s=wait_s, default_origin=default_origin)
        nursery.cancel_scope.cancel()


async def test_what_is_published_here_is_found_here(autojump_clock: MockClock) -> None:
    async with finding() as found:
        with found.hub.published(publisher()) as live:
            async with found.finder.found(found.route(None)) as stream:
                assert stream is live


async def test_what_nobody_publishes_is_404(autojump_clock: MockClock) -> None:
    async with finding() as found:
        with pytest.raises(RoutingError) as refused:
            async with found.finder.found(found.route(None)):
                pass
    assert refused.value.status == 404
    assert trio.current_time() == 0


async def test_it_is_waited_for_as_long_as_the_application_allows(autojump_clock: MockClock) -> None:
    async with finding(wait_s=3) as found:
        with pytest.raises(RoutingError):
            async with found.finder.found(found.route(None)):
                pass
        assert trio.current_time() == 3

        async def publish_later() -> None:
            await trio.sleep(2)
            with found.hub.published(publisher()):
                await trio.sleep(10)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish_later)
            async with found.finder.found(found.route(None)) as stream:
                assert stream.stream == "test"
                assert trio.current_time() == 5
            nursery.cancel_scope.cancel()


async def test_an_origins_stream_is_pulled_and_held_while_the_block_runs(autojump_clock: MockClock) -> None:
    async with finding() as found:
        async with found.finder.found(found.route("b")) as stream:
            assert (stream.app, stream.stream) == ("myapp", "test")
            assert found.pulls.held == [("b", "myapp", "test")]
        assert found.pulls.held == []


async def test_the_default_origin_is_asked_only_for_what_is_not_published_here(autojump_clock: MockClock) -> None:
    async with finding(default_origin="b") as found:
        assert isinstance(found.route(None), RelayRoute)
        with found.hub.published(publisher()):
            assert isinstance(found.route(None), PublishedRoute)
            assert isinstance(found.route(None, "other"), RelayRoute)


async def test_the_default_origin_may_be_one_that_is_spliced(autojump_clock: MockClock) -> None:
    async with finding(default_origin="a") as found:
        assert isinstance(found.route(None), SpliceRoute)


@pytest.mark.parametrize("src", ["a", "b"])
async def test_a_player_gets_by_a_pull_what_http_would_splice(autojump_clock: MockClock, src: str) -> None:
    async with finding() as found:
        async with found.found_for_player(src):
            assert found.pulls.held == [(src, "myapp", "test")]
        assert found.pulls.held == []


@pytest.mark.parametrize("default", ["a", "b"])
async def test_a_player_without_src_gets_the_hubs_stream_or_the_default_origins(
    autojump_clock: MockClock, default: str
) -> None:
    async with finding(default_origin=default) as found:
        async with found.found_for_player(None):
            assert found.pulls.held == [(default, "myapp", "test")]
        with found.hub.published(publisher()) as live:
            async with found.found_for_player(None) as stream:
                assert stream is live


async def test_a_player_who_names_no_origin_of_ours_is_refused(autojump_clock: MockClock) -> None:
    async with finding() as found:
        with pytest.raises(RoutingError) as refused:
            async with found.found_for_player("nowhere"):
                pass
    assert refused.value.status == 404
