"""What the tests of forwards share: a hub whose streams are sent on, and that must leave nothing behind."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio
from trio.testing import wait_all_tasks_blocked

from protocol.amf import amf0
from splice.hub import Hub, HubLimits, LiveStream
from splice.hub.forward import ForwardRule, Forwards, ForwardTimeouts
from splice.stats import Publisher
from tests.splice.hub.servers import METADATA, OPENING, Message, Server, open_descriptors

__all__ = ["PUBLISHED_METADATA", "TIMEOUTS", "forwarding", "opened_forwards", "published", "push", "to"]

PUBLISHED_METADATA = amf0.encode("@setDataFrame") + METADATA
"""What a target gets of `METADATA`."""
TIMEOUTS = ForwardTimeouts(connect_s=5, start_s=10, stall_s=30)


@asynccontextmanager
async def opened_forwards(
    *rules: ForwardRule, backlog_bytes: int = 1 << 20, grace_s: float = 2.0
) -> AsyncIterator[tuple[Hub, Forwards]]:
    """A hub, and what sends its streams on; once it is left, every descriptor and task must be gone."""
    await wait_all_tasks_blocked(0.01)
    before, tasks = open_descriptors(), trio.lowlevel.current_statistics().tasks_living
    limits = HubLimits(merge_s=0.0, backlog_bytes=backlog_bytes, republish_grace_s=grace_s)
    async with trio.open_nursery() as nursery:
        hub = Hub(nursery, limits=lambda app: limits, takeover_s=lambda app: 5.0)
        forwards = Forwards(
            nursery,
            timeouts=TIMEOUTS,
            streams=lambda: [live for live, _ in hub],
            door=hub.door,
            jitter=lambda: 1.0,
        )
        forwards.configure(rules)
        hub.on_stream.append(forwards.begin)
        yield hub, forwards
        nursery.cancel_scope.cancel()
    await wait_all_tasks_blocked(0.01)
    assert open_descriptors() == before
    assert trio.lowlevel.current_statistics().tasks_living == tasks


@asynccontextmanager
async def forwarding(*rules: ForwardRule, backlog_bytes: int = 1 << 20, grace_s: float = 2.0) -> AsyncIterator[Hub]:
    """The same, for who looks at the targets alone."""
    async with opened_forwards(*rules, backlog_bytes=backlog_bytes, grace_s=grace_s) as (hub, _):
        yield hub


@contextmanager
def published(hub: Hub, app: str = "myapp", stream: str = "test") -> Iterator[LiveStream]:
    """A stream that begins with metadata, a codec configuration and a keyframe."""
    with hub.published(Publisher("p1", "", "", app, stream, protocol="rtmp")) as live:
        push(live, *OPENING)
        yield live


def push(live: LiveStream, *messages: Message) -> None:
    for message in messages:
        live.push(*message)


def to(server: Server, path: str = "backup") -> str:
    return f"rtmp://127.0.0.1:{server.port}/{path}"
