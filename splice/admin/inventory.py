"""What there is, as the API tells it: read from the house's own tables at the moment when somebody asks.

    Viewers, Publishers, Hub, Pulls, OriginHealth --> Inventory --> models
    the log's events: what those sent who have left -----^   ^----- Rates: once a second a look at each live stream

Kept here are only the bytes of viewers who have left, and the rates. A spliced stream is listed while somebody watches
it: its viewers are all that is known of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from splice.admin.ids import opaque
from splice.admin.models import OriginItem, PublisherItem, StreamItem, ViewerItem
from splice.admin.rates import Rates
from splice.admin.standing import Standing
from splice.admin.tracks import audio_of, spliced_audio, spliced_video, video_of
from splice.config import OriginSettings
from splice.health import OriginHealth
from splice.hub import Hub, LiveStream
from splice.hub.pull import Pulls
from splice.spliced_tracks import SplicedTracks
from splice.stats import EndReason, Publisher, Publishers, Viewer, Viewers

__all__ = ["House", "Inventory", "StreamKey"]


_FORGET_EVERY: Final = 30  # samples: a look at each viewer takes 4 ms for 10,000 of them


@dataclass(frozen=True, slots=True)
class House:
    """What the admin side looks at, and no more of the house than that.

    Args:
        viewers, publishers, hub: the tables.
        pulls: what is being pulled.
        origins: those of the configuration in force.
        health: how asking them went.
        tracks: what is known of the streams that are spliced.
        pump_turns: how often the pump has looked at what is ready.
        pump_registrations: how many sockets it watches.
        draining: whether the door has stopped accepting.
        standing: forwards, and pulls without viewers.
        version: of the door.
        http, https: where viewers come, address:port.
        live_path: of a stream's URL.
    """

    viewers: Viewers
    publishers: Publishers
    hub: Hub
    pulls: Pulls
    origins: Callable[[], Mapping[str, OriginSettings]]
    health: OriginHealth
    tracks: SplicedTracks
    pump_turns: Callable[[], int]
    pump_registrations: Callable[[], int]
    draining: Callable[[], bool]
    standing: Standing
    version: str
    http: Sequence[str] = ()
    https: Sequence[str] = ()
    live_path: Callable[[], str] = lambda: "/live"


class StreamKey(NamedTuple):
    """What makes a stream another one."""

    route: Literal["splice", "hub"]
    origin: str | None
    app: str
    stream: str

    @property
    def id(self) -> str:
        """Opaque, and the same for as long as the stream is."""
        return opaque("s", self.route, self.origin or "", self.app, self.stream)

    @property
    def name(self) -> str:
        return f"{self.app}/{self.stream}"


class Inventory:
    """See the module. All its methods are for Trio's thread."""

    def __init__(self, house: House) -> None:
        self._house: Final = house
        self._rates: Final = Rates()
        self._samples = 0
        self._bytes_of_those_gone: Counter[StreamKey] = Counter()

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the log's."""
        if event["event"] == "viewer.end":
            key = self._key(event["route"], event["origin"], event["app"], event["stream"])
            self._bytes_of_those_gone[key] += event["bytes"]

    def sample(self, now: float) -> None:
        """Look at every live stream; to be called about once a second, in Trio's time."""
        live = {key: stream for key, stream, _ in self._live()}
        self._rates.sample(live.values(), now)
        self._samples += 1
        if self._samples % _FORGET_EVERY == 0:
            present = live.keys() | {self.watched_by(viewer) for viewer in self._house.viewers}
            for key in self._bytes_of_those_gone.keys() - present:
                del self._bytes_of_those_gone[key]

    @property
    def skipped(self) -> int:
        """How many times viewers of the hub were moved on to a keyframe, since the start."""
        return self._rates.skipped_before + sum(stream.skipped for _, stream, _ in self._live())

    # --- whose stream is whose ---

    def watched_by(self, viewer: Viewer) -> StreamKey:
        """The stream that a viewer watches, or waits for."""
        return self._key(viewer.route, viewer.origin, viewer.app, viewer.stream)

    def _key(self, route: str, origin: str | None, app: str, stream: str) -> StreamKey:
        """The stream that somebody has asked for by this name.

        A camera gives the same by every name: that is one stream, called by the name that it is pulled under.
        """
        if route == "splice":
            return StreamKey("splice", origin, app, stream)
        pull = None if origin is None else self._house.pulls.running(origin, app, stream)
        return StreamKey("hub", origin, app, stream) if pull is None else _key_of(origin, pull.live)

    # --- the lists ---

    def streams(self) -> list[StreamItem]:
        """All streams of both routes: those published here, those pulled, those spliced."""
        watching: Counter[StreamKey] = Counter()
        taken: Counter[StreamKey] = Counter()
        for viewer in self._house.viewers:
            key = self.watched_by(viewer)
            watching[key] += 1
            taken[key] += viewer.bytes
        items = []
        for key, stream, publisher in self._live():
            items.append(self._live_item(key, stream, publisher, watching.pop(key, 0), taken[key]))
        items += [
            self._spliced_item(key, count, taken[key]) for key, count in watching.items() if key.route == "splice"
        ]
        return items

    def viewers(self, stream: str | None, text: str, first: int, last: int) -> tuple[list[ViewerItem], int]:
        """The viewers from `first` up to `last` without it, the oldest first, and how many there are in all.

        Args:
            stream: `app/stream`, whose viewers are meant; None: everyone.
            text: what a viewer's peer, address, stream, route, origin or protocol holds, in whichever case.
        """
        found = list(self._house.viewers)
        if stream is not None:
            found = [each for each in found if self.watched_by(each).name == stream]
        if text:
            found = [each for each in found if text.casefold() in _searched(each, self.watched_by(each).name)]
        return [_viewer_item(each, self.watched_by(each).name) for each in found[first:last]], len(found)

    def publishers(self) -> list[PublisherItem]:
        """All publishers and pulls, the oldest first."""
        origins = {publisher.id: origin for origin, _, publisher in self._house.pulls}
        return [_publisher_item(publisher, origins.get(publisher.id)) for publisher in self._house.publishers]

    def origins(self) -> list[OriginItem]:
        """All origins of the configuration."""
        watching = Counter(viewer.origin for viewer in self._house.viewers)
        return [self._origin_item(name, settings, watching[name]) for name, settings in self._house.origins().items()]

    # --- kicks ---

    def end_viewer(self, id: str) -> bool:  # noqa: A002 -- its name everywhere
        """End a viewer; whether there was one of that id."""
        for viewer in self._house.viewers:
            if viewer.id == id and viewer.ended_by is None:
                viewer.end(EndReason.KICKED)
                return True
        return False

    def end_publisher(self, id: str) -> bool:  # noqa: A002 -- its name everywhere
        """End a publisher or a pull; whether there was one of that id. Its viewers stay for the time of grace."""
        for publisher in self._house.publishers:
            if publisher.id == id and publisher.ended_by is None:
                publisher.end(EndReason.KICKED)
                return True
        return False

    def end_stream(self, id: str) -> bool:  # noqa: A002 -- its name everywhere
        """End a stream: whoever brings it, and all its viewers; whether there was one of that id."""
        viewers = [
            viewer for viewer in self._house.viewers if viewer.ended_by is None and self.watched_by(viewer).id == id
        ]
        found = bool(viewers)
        for viewer in viewers:
            viewer.end(EndReason.KICKED)
        for key, _, publisher in self._live():
            if key.id != id:
                continue
            if key.origin is None:
                found = self._house.hub.end(key.app, key.stream, EndReason.KICKED) or found
            elif publisher is not None and publisher.ended_by is None:
                publisher.end(EndReason.KICKED)
                found = True
        return found

    # --- one of each ---

    def _live(self) -> Iterator[tuple[StreamKey, LiveStream, Publisher | None]]:
        for stream, publisher in self._house.hub:
            yield _key_of(None, stream), stream, publisher
        for origin, stream, puller in self._house.pulls:
            yield _key_of(origin, stream), stream, puller

    def _live_item(
        self, key: StreamKey, stream: LiveStream, publisher: Publisher | None, viewers: int, taken: int
    ) -> StreamItem:
        rate = self._rates.of(stream)
        return StreamItem.model_construct(
            id=key.id,
            name=key.name,
            route=key.route,
            origin=key.origin,
            viewers=viewers,
            publisher=None if publisher is None else _publisher_item(publisher, key.origin),
            video=video_of(stream, rate),
            audio=audio_of(stream, rate),
            bytes_in=stream.bytes_in,
            bytes_out=taken + self._bytes_of_those_gone[key],
            bit_rate_kbps=None if rate is None else rate.kbps,
            latency_ms=round(stream.slowest_s * 1000),
            backlog_bytes=stream.backlog_bytes,
            skipped=stream.skipped,
        )

    def _spliced_item(self, key: StreamKey, viewers: int, taken: int) -> StreamItem:
        moved = taken + self._bytes_of_those_gone[key]
        tracks = self._house.tracks.of(key.origin, key.app, key.stream)
        return StreamItem.model_construct(
            id=key.id,
            name=key.name,
            route=key.route,
            origin=key.origin,
            viewers=viewers,
            publisher=None,
            video=spliced_video(tracks),
            audio=spliced_audio(tracks),
            bytes_in=moved,
            bytes_out=moved,
            bit_rate_kbps=None,
            latency_ms=None,
            backlog_bytes=0,
            skipped=0,
        )

    def _origin_item(self, name: str, settings: OriginSettings, viewers: int) -> OriginItem:
        health = self._house.health.of(name)
        return OriginItem(
            id=opaque("o", name),
            name=name,
            urls=[str(address) for address in settings.addresses],
            mode="relay" if settings.relayed else "splice",
            state="unknown" if health.up is None else "up" if health.up else "down",
            viewers=viewers,
            successes=health.successes,
            failures=health.failures,
            last_success=_time(health.last_success),
            last_failure=_time(health.last_failure),
            last_error=health.last_error,
        )


def _key_of(origin: str | None, live: LiveStream) -> StreamKey:
    return StreamKey("hub", origin, live.app, live.stream)


def _searched(viewer: Viewer, stream: str) -> str:
    return " ".join(
        (viewer.peer, viewer.address, stream, viewer.route, viewer.origin or "", viewer.protocol)
    ).casefold()


def _viewer_item(viewer: Viewer, stream: str) -> ViewerItem:
    return ViewerItem.model_construct(  # the tables' own values need no validation, and there may be thousands
        id=viewer.id,
        peer=viewer.peer,
        address=viewer.address,
        route=viewer.route,
        origin=viewer.origin,
        stream=stream,
        protocol=viewer.protocol,
        bytes=viewer.bytes,
        seconds=round(viewer.seconds, 3),
        first_byte_s=None if viewer.first_byte_s is None else round(viewer.first_byte_s, 4),
    )


def _publisher_item(publisher: Publisher, origin: str | None) -> PublisherItem:
    return PublisherItem.model_construct(
        id=publisher.id,
        peer=publisher.peer,
        address=publisher.address,
        origin=origin,
        stream=f"{publisher.app}/{publisher.stream}",
        protocol=publisher.protocol,
        bytes=publisher.bytes,
        seconds=round(publisher.seconds, 3),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)
