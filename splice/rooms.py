"""One of everything that the door is made of: built out of the settings, and brought up to date when they change.

    settings --> rules --> hub, pulls, forwards --> finder --> reception --> the doors

Who runs it, and stops it, is `server`; what of the settings each room takes is said in `rules`.
"""

from typing import TYPE_CHECKING, Final

import structlog
import trio

from splice.access import HookCalls
from splice.admission import Admission
from splice.config import OriginSettings, Settings
from splice.demand import Demand
from splice.door import Door
from splice.finder import StreamFinder
from splice.health import OriginHealth
from splice.hub import Hub, LiveStream
from splice.hub.forward import Forwards
from splice.hub.pull import Pulls
from splice.proxy_receiver import ProxyReceiver
from splice.pump import Pump
from splice.reception import DoorRules, Reception
from splice.rtmp_door import RtmpDoor
from splice.rules import (
    USER_AGENT,
    app_limits,
    app_rules,
    door_rules,
    forward_rules,
    forward_timeouts,
    hub_limits,
    kept_streams,
    proxy_rules,
    pull_timeouts,
    rtmp_rules,
)
from splice.spliced_tracks import SplicedTracks
from splice.stats import Publishers, Viewers
from splice.tls import Certificate
from splice.whereabouts import Whereabouts

if TYPE_CHECKING:
    from splice.https import HttpsDoor

__all__ = ["DEMO_ORIGIN", "Rooms", "load_certificate"]

DEMO_ORIGIN: Final = "demo"

_log = structlog.get_logger()


class Rooms:
    """See the module. Streams, pulls and forwards outlive connections, and run in `nursery`.

    Attributes:
        settings: those in force; `apply` puts others in their place.
        https_door: None where nobody listens for it.
    """

    def __init__(self, pump: Pump, nursery: trio.Nursery, settings: Settings, demo_url: str | None) -> None:
        """Args:
        pump: moves the splice route's bytes.
        nursery: where streams, pulls, forwards and callbacks run.
        settings: the configuration to begin with.
        demo_url: where the embedded origin is; None: it does not run.
        """
        self.settings = settings
        self.pump: Final = pump
        self._demo_url: Final = demo_url
        limits = settings.limits
        self.viewers: Final = Viewers(
            limit=limits.viewers,
            limit_per_address=limits.viewers_per_address,
            limit_per_stream=limits.viewers_per_stream,
            limits_of_app=lambda app: app_limits(self.settings, app),
        )
        self.publishers: Final = Publishers(
            limit=limits.publishers, limits_of_app=lambda app: app_limits(self.settings, app)
        )
        self.health: Final = OriginHealth()
        self.tracks: Final = SplicedTracks()
        self._whereabouts: Final = Whereabouts()
        self.hook_calls: Final = HookCalls(nursery, user_agent=USER_AGENT)
        self._of_app = app_rules(settings, self.hook_calls)
        self.hub: Final = self._made_hub(nursery)
        self.pulls: Final = self._made_pulls(nursery)
        self.forwards: Final = self._made_forwards(nursery)
        finder = self._made_finder(nursery)
        admission = Admission(self.viewers)
        reception = Reception(finder=finder, admission=admission)
        self.proxy_receiver: Final = ProxyReceiver(proxy_rules(settings))
        self.door: Final = Door(rules=self._door_rules(), reception=reception)
        self.rtmp_door: Final = RtmpDoor(
            rules=rtmp_rules(settings, self._of_app, self.door.rules.router),
            hub=self.hub,
            finder=finder,
            forwarded=self.forwards.sending,
            publishers=self.publishers,
            admission=admission,
        )
        self.https_door: Final = self._made_https_door(reception) if settings.tls.listen else None
        self._show(load_certificate(settings))
        self.pulls.configure(self.door.rules.router.origins, add=kept_streams(settings))

    @property
    def origins(self) -> dict[str, OriginSettings]:
        """The configured ones, and the demo's where it runs."""
        demo = {} if self._demo_url is None else {DEMO_ORIGIN: OriginSettings(url=self._demo_url)}
        return self.settings.origins | demo

    def is_this_door(self, url: str) -> bool:
        """Whether an RTMP URL leads to a listener of ours."""
        return self.settings.is_this_door(url)  # of those in force when it is asked

    def apply(self, settings: Settings, certificate: Certificate | None) -> None:
        """Go by other settings from the next request on; what runs is touched only where it is named no longer.

        Args:
            certificate: the one of these settings, loaded.
        """
        kept, kept_before = kept_streams(settings), kept_streams(self.settings)
        self.settings = settings
        self._of_app = app_rules(settings, self.hook_calls)
        self.door.rules = self._door_rules()
        self.rtmp_door.rules = rtmp_rules(settings, self._of_app, self.door.rules.router)
        if self.https_door is not None:
            self.https_door.rules = self.door.rules
        self._show(certificate)
        self.proxy_receiver.rules = proxy_rules(settings)
        self.forwards.timeouts = forward_timeouts(settings)
        self.forwards.configure(forward_rules(settings))
        origins = self.door.rules.router.origins
        self.pulls.configure(origins, add=kept - kept_before, remove=kept_before - kept)
        limits = settings.limits
        self.viewers.limit = limits.viewers
        self.viewers.limit_per_address = limits.viewers_per_address
        self.viewers.limit_per_stream = limits.viewers_per_stream
        self.publishers.limit = limits.publishers

    def _made_hub(self, nursery: trio.Nursery) -> Hub:
        return Hub(
            nursery,
            limits=lambda app: hub_limits(self.settings, app),
            takeover_s=lambda app: self.settings.for_app(app).hub.takeover_s,
        )

    def _made_pulls(self, nursery: trio.Nursery) -> Pulls:
        return Pulls(
            nursery,
            limits=lambda app: hub_limits(self.settings, app),
            timeouts=lambda app: pull_timeouts(self.settings, app),
            publishers=self.publishers,
            user_agent=USER_AGENT,
            health=self.health,
            whereabouts=self._whereabouts,
        )

    def _made_forwards(self, nursery: trio.Nursery) -> Forwards:
        forwards = Forwards(
            nursery, timeouts=forward_timeouts(self.settings), streams=self._live_streams, door=self.hub.door
        )
        forwards.configure(forward_rules(self.settings))
        self.hub.on_stream.append(forwards.begin)
        self.pulls.on_stream.append(forwards.begin)
        return forwards

    def _live_streams(self) -> list[LiveStream]:
        """Those published here, and those pulled that have given something."""
        pulled = [live for _, live, _ in self.pulls if live.bytes_in]
        return [*(live for live, _ in self.hub), *pulled]

    def _made_finder(self, nursery: trio.Nursery) -> StreamFinder:
        demand = Demand(
            nursery,
            self.hub,
            self.hook_calls,
            hooks=lambda app: self._of_app(app).access.hooks,
            idle_s=lambda app: self.settings.for_app(app).hub.idle_stop_s,
        )
        return StreamFinder(
            self.hub, self.pulls, demand, wait_s=lambda app: self.settings.for_app(app).hub.wait_for_stream_s
        )

    def _made_https_door(self, reception: Reception) -> "HttpsDoor":
        from splice.https import HttpsDoor  # only here, as the admin side: who has no TLS waits for no Hypercorn

        return HttpsDoor(rules=self.door.rules, reception=reception)

    def _show(self, certificate: Certificate | None) -> None:
        """Greet TLS connections with this certificate from now on; None: with the one before."""
        if certificate is None:
            return
        self.rtmp_door.tls = certificate.rtmps
        if self.https_door is not None:
            self.https_door.context = certificate.https

    def _door_rules(self) -> DoorRules:
        return door_rules(
            self.settings,
            self.origins,
            of_app=self._of_app,
            pump=self.pump,
            health=self.health,
            whereabouts=self._whereabouts,
            tracks=self.tracks,
            demo=self._demo_url is not None,
        )


def load_certificate(settings: Settings) -> Certificate | None:
    """The configured one; None where there is none.

    Raises:
        OSError: a file of it cannot be read at this moment.
    """
    file = settings.tls.cert
    if not file:
        return None
    certificate = Certificate.load(file, settings.tls.key)
    if certificate.fault is not None:
        _log.warning("tls.certificate", file=file, fault=certificate.fault, consequence="clients refuse to connect")
    return certificate
