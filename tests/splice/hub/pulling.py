"""What the tests of pulls share: a table of pulls that must leave nothing behind, and viewers who note what comes."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import trio
import trio.testing

from protocol import NEED_DATA
from protocol.flv import FlvDecoder, Tag
from splice.config import OriginAddress, OriginSettings
from splice.hub import FLV, HubLimits, LiveStream, Subscriber
from splice.hub.pull import Pulls, PullTimeouts
from splice.routing import Origin
from splice.stats import Publishers
from tests.splice.hub.servers import open_descriptors

__all__ = ["LIMITS", "Watching", "asking", "origin_at", "origin_of", "refused_port", "relaying"]

LIMITS = HubLimits(merge_s=0.0, republish_grace_s=10.0)


@asynccontextmanager
async def relaying(
    *,
    limits: HubLimits = LIMITS,
    publishers: Publishers | None = None,
    idle_stop_s: float = 10.0,
    jitter: Callable[[], float] = lambda: 1.0,
) -> AsyncIterator[Pulls]:
    """Pulls in a nursery of their own; once it is left, every descriptor and task of theirs must be gone."""
    await trio.testing.wait_all_tasks_blocked(0.01)
    before = open_descriptors()
    timeouts = PullTimeouts(connect_s=5.0, origin_head_s=10.0, first_tag_s=5.0, stall_s=30.0, idle_stop_s=idle_stop_s)
    tasks = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        yield Pulls(
            nursery,
            limits=lambda app: limits,
            timeouts=lambda app: timeouts,
            publishers=Publishers(limit=10) if publishers is None else publishers,
            user_agent="splice/test",
            jitter=jitter,
        )
        nursery.cancel_scope.cancel()
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert open_descriptors() == before
    assert trio.lowlevel.current_statistics().tasks_living == tasks


def origin_at(
    *ports: int, scheme: str = "http", target: str = "", allowed: tuple[int, ...] = (), relayed: bool = True
) -> Origin:
    """An origin named a, at these ports."""
    addresses = tuple(OriginAddress(scheme, "127.0.0.1", port) for port in ports)
    return Origin("a", addresses, target, frozenset(allowed), relayed)


def origin_of(*urls: str, **more: object) -> Origin:
    """A relayed origin named a, as an operator writes it."""
    return Origin.from_settings("a", OriginSettings.model_validate({"urls": urls, "mode": "relay"} | more))


def refused_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class Watching:
    """A viewer of a live stream, who takes all at once.

    Attributes:
        tags: what came.
    """

    def __init__(self, live: LiveStream) -> None:
        self.tags: list[Tag] = []
        self._live = live
        self._decoder = FlvDecoder()

    @property
    def timestamps(self) -> list[int]:
        """Of the audio and video."""
        return [int(tag.timestamp) for tag in self.tags if tag.type != 18]

    @contextmanager
    def present(self) -> Iterator["Watching"]:
        subscriber = Subscriber(FLV, send=self._take, meter=SimpleNamespace(bytes=0), max_bytes=1 << 20, max_s=10.0)
        with self._live.subscribed(subscriber):
            while (piece := subscriber.next_piece) is not None:
                self._take(piece)
                subscriber.took(len(piece))
            yield self

    def _take(self, piece: bytes | memoryview) -> int:
        self._decoder.receive_data(piece)
        while (event := self._decoder.next_event()) is not NEED_DATA:
            if isinstance(event, Tag):
                self.tags.append(event)
        return len(piece)


async def asking(
    pulls: Pulls, origin: Origin, *, app: str = "myapp", stream: str = "test", wait_s: float = 0.0
) -> None:
    """Watch a stream until it has begun."""
    async with pulls.watched(origin, app, stream, wait_s=wait_s):
        pass
