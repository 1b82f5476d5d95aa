"""A house without doors: the tables that the admin side reads, filled by hand, and a client of its application."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import httpx
import trio

from protocol.rtmp import MediaKind
from splice.admin import Admin, House, Standing
from splice.config import OriginSettings
from splice.health import OriginHealth
from splice.hub import Hub, HubLimits, LiveStream
from splice.hub.forward import Forwards, ForwardTimeouts
from splice.hub.pauses import GrowingPauses
from splice.hub.pull import Pulls, PullTimeouts
from splice.hub.pull.pull import Pull
from splice.hub.pull.pulls import _key
from splice.proxies import TrustedProxies
from splice.routing import Origin
from splice.spliced_tracks import SplicedTracks
from splice.stats import Publisher, Publishers, Viewer, Viewers
from splice.whereabouts import Whereabouts
from tests.splice.hub_house import AUDIO_CONFIGURATION, VIDEO_CONFIGURATION, audio, inter_frame, keyframe

__all__ = ["CAMERA", "TOKEN", "AdminHouse", "open_admin_house"]

TOKEN = "a-token-of-some-length"
CAMERA = OriginSettings(url="rtmp://10.0.0.11/bcs/channel0")
"""It gives its one stream by whatever name it is asked for."""

_PULL_TIMEOUTS = PullTimeouts(connect_s=5, origin_head_s=10, first_tag_s=5, stall_s=30)


class AdminHouse:
    """Everything in it stays until the house is left, or somebody kicks it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._stack = ExitStack()
        self._places: dict[Viewer, ExitStack] = {}
        self.viewers = Viewers(limit=10_000, limit_per_address=0)
        self.publishers = Publishers(limit=100)
        self.hub = Hub(nursery, limits=lambda app: HubLimits(merge_s=0), takeover_s=lambda app: 5.0)
        self.origins = {
            "a": OriginSettings(url="http://10.0.0.8:8080"),
            "b": OriginSettings(urls=("rtmp://10.0.0.9", "rtmp://10.0.0.10:1936")),
        }
        self.health = OriginHealth()
        self.tracks = SplicedTracks()
        self.draining = False
        self.forwards = Forwards(
            nursery,
            timeouts=ForwardTimeouts(connect_s=5, start_s=10, stall_s=30),
            streams=lambda: [live for live, _ in self.hub],
            door=self.hub.door,
        )
        self.hub.on_stream.append(self.forwards.begin)
        self.pulls = Pulls(
            nursery,
            limits=lambda app: HubLimits(merge_s=0),
            timeouts=lambda app: _PULL_TIMEOUTS,
            publishers=self.publishers,
            user_agent="splice/test",
        )
        self.configured_pulls: set[tuple[str, str, str]] = set()
        self.admin = Admin(
            House(
                viewers=self.viewers,
                publishers=self.publishers,
                hub=self.hub,
                pulls=self.pulls,
                origins=lambda: self.origins,
                health=self.health,
                tracks=self.tracks,
                pump_turns=lambda: 7,
                pump_registrations=lambda: 4,
                draining=lambda: self.draining,
                standing=Standing(
                    table=self.forwards,
                    pulls=self.pulls,
                    origins=self._relayed,
                    configured_pulls=lambda: self.configured_pulls,
                    is_this_door=lambda url: url.startswith("rtmp://door"),
                ),
                version="1.2.3",
            )
        )

    def _relayed(self) -> dict[str, Origin]:
        return {name: Origin.from_settings(name, each) for name, each in self.origins.items() if each.relayed}

    def allow(self, token: str = TOKEN, hosts: tuple[str, ...] = (), proxies: Any = ()) -> None:
        self.admin.allow(token=token, allowed_hosts=hosts, proxies=TrustedProxies(tuple(proxies)))

    def client(self, host: str = "localhost", peer: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.admin.app, client=(peer, 50000))
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers={"Host": host, **headers})

    def watch(self, route: str = "splice", origin: str | None = "a", stream: str = "test", **more: Any) -> Viewer:
        """Let a viewer in."""
        viewer = Viewer(
            id=self.viewers.next_id(),
            peer="192.0.2.7:5000",
            address="192.0.2.7",
            route=route,
            origin=origin,
            app="myapp",
            stream=stream,
            protocol="http-flv",
            **more,
        )
        self._nursery.start_soon(self._stay, viewer)
        place = self._stack.enter_context(ExitStack())
        place.enter_context(self.viewers.present(viewer))
        self._places[viewer] = place
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Let a viewer go."""
        self._places.pop(viewer).close()

    async def _stay(self, viewer: Viewer) -> None:
        with viewer.scope:
            await trio.sleep_forever()

    def publish(self, stream: str = "test") -> tuple[LiveStream, Publisher]:
        """Let a publisher in, that has sent one group of pictures of half a second."""
        publisher = self._publisher(stream, "rtmp")
        live = self._stack.enter_context(self.hub.published(publisher))
        self._stack.enter_context(self.publishers.present(publisher))
        push_group(live, 0)
        return live, publisher

    def pull(self, origin: str = "b", stream: str = "test") -> tuple[LiveStream, Publisher]:
        """Begin a pull, for which no origin is dialled."""
        publisher = self._publisher(stream, "rtmp-pull")
        self._stack.enter_context(self.publishers.present(publisher))
        live = LiveStream("myapp", stream, HubLimits(merge_s=0))
        known = Origin.from_settings(origin, self.origins[origin])
        self.pulls._pulls[_key(known, "myapp", stream)] = Pull(
            known,
            live,
            publisher,
            timeouts=_PULL_TIMEOUTS,
            user_agent="splice/test",
            health=self.health,
            whereabouts=Whereabouts(),
            pauses=GrowingPauses(lambda: 1.0),
            on_stream=lambda live: None,
        )
        return live, publisher

    def _publisher(self, stream: str, protocol: str) -> Publisher:
        return Publisher(self.publishers.next_id(), "10.0.0.8:4000", "10.0.0.8", "myapp", stream, protocol)

    def close(self) -> None:
        self._stack.close()


def push_group(live: LiveStream, timestamp: int) -> None:
    """Configurations, a keyframe, eleven frames more and some audio, 40 ms a frame."""
    live.push(MediaKind.VIDEO, timestamp, VIDEO_CONFIGURATION)
    live.push(MediaKind.AUDIO, timestamp, AUDIO_CONFIGURATION)
    live.push(MediaKind.VIDEO, timestamp, keyframe(bytes(2000)))
    for number in range(1, 12):
        live.push(MediaKind.VIDEO, timestamp + 40 * number, inter_frame(bytes(500)))
        live.push(MediaKind.AUDIO, timestamp + 40 * number, audio(bytes(100)))


@asynccontextmanager
async def open_admin_house() -> AsyncIterator[AdminHouse]:
    """A house, until the block ends."""
    async with trio.open_nursery() as nursery:
        house = AdminHouse(nursery)
        try:
            yield house
        finally:
            house.close()
        nursery.cancel_scope.cancel()
