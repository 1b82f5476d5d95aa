"""The composition root: builds everything out of the settings, runs it in one nursery, and stops it.

listeners --accept--> one task a connection, in `connections`
SIGTERM, SIGINT: close the listeners, wait for the viewers, then cancel; SIGHUP: new rules for new requests
"""

import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Final

import structlog
import trio

from splice import __version__
from splice.access import HookCalls
from splice.config import ConfigError, OriginSettings, Settings
from splice.demand import Demand
from splice.demo import DemoOrigin
from splice.descriptors import raise_descriptor_limit
from splice.door import Door
from splice.door_listeners import DoorListeners
from splice.finder import StreamFinder
from splice.health import OriginHealth
from splice.hub import Hub, LiveStream
from splice.hub.forward import Forwards
from splice.hub.pull import Pulls
from splice.listeners import StartOne, accept_forever, stop_listening
from splice.proxies import TrustedProxies
from splice.proxy_receiver import ProxyReceiver, ServeOne
from splice.pump import Pump, open_pump
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
    relayed_origins,
    rtmp_rules,
)
from splice.spliced_tracks import SplicedTracks
from splice.stats import EndReason, Publishers, Viewers
from splice.tls import Certificate
from splice.whereabouts import Whereabouts

if TYPE_CHECKING:
    from splice.admin import Admin
    from splice.https import HttpsDoor

__all__ = ["DEMO_ORIGIN", "serve"]

DEMO_ORIGIN: Final = "demo"

_CLEAN_EXIT: Final = 0
_INTERRUPTED_EXIT: Final = 130
_NEWCOMERS_S: Final = 1.0

_log = structlog.get_logger()


async def serve(
    settings: Settings, *, demo: bool, reload: Callable[[], Settings], on_ready: Callable[[str, str], None]
) -> int:
    """Run the door until a signal stops it.

    Args:
        settings: the configuration.
        demo: whether to run the embedded origin, under the name `DEMO_ORIGIN`.
        reload: reads the configuration again; it may raise `ConfigError`.
        on_ready: called once viewers may come, with the first address of the media door, `host:port`, and that of the
            admin side, which is empty where there is none.

    Returns: the process's exit status: 0, or 130 after a second SIGINT.

    Raises:
        ListenError: an address cannot be listened on; nothing was served.
    """
    # A demo promises nothing to the 10,000 viewers of the default; a figure that somebody has written is meant.
    raise_descriptor_limit(settings.limits.viewers, warns=not demo or "viewers" in settings.limits.model_fields_set)
    with DoorListeners(settings, demo=demo) as listeners:
        async with open_pump() as pump, trio.open_nursery() as nursery:
            demo_url = f"http://127.0.0.1:{await nursery.start(DemoOrigin().serve)}" if demo else None
            server = _Server(pump, nursery, settings, demo_url)
            if listeners.admin:
                server.start_admin(nursery, listeners)
            status = await server.run(listeners, reload, on_ready)
            nursery.cancel_scope.cancel()
    _log.info("stopped", status=status)
    return status


class _Server:
    """One of everything. Streams and pulls outlive connections, and run in `nursery`."""

    def __init__(self, pump: Pump, nursery: trio.Nursery, settings: Settings, demo_url: str | None) -> None:
        self._pump = pump
        self._settings = settings
        self._started_with: Final = settings
        self._demo_url = demo_url
        self._draining = False
        self._admin: Admin | None = None
        limits = settings.limits
        self._viewers = Viewers(
            limit=limits.viewers,
            limit_per_address=limits.viewers_per_address,
            limit_per_stream=limits.viewers_per_stream,
            limits_of_app=lambda app: app_limits(self._settings, app),
        )
        self._publishers = Publishers(
            limit=limits.publishers, limits_of_app=lambda app: app_limits(self._settings, app)
        )
        self._health = OriginHealth()
        self._proxy_receiver: Final = ProxyReceiver(proxy_rules(settings))
        self._whereabouts = Whereabouts()
        self._tracks = SplicedTracks()
        self._hook_calls = HookCalls(nursery, user_agent=USER_AGENT)
        self._of_app = app_rules(settings, self._hook_calls)
        self._hub = Hub(
            nursery,
            limits=lambda app: hub_limits(self._settings, app),
            takeover_s=lambda app: self._settings.for_app(app).hub.takeover_s,
        )
        self._pulls = Pulls(
            nursery,
            limits=lambda app: hub_limits(self._settings, app),
            timeouts=lambda app: pull_timeouts(self._settings, app),
            publishers=self._publishers,
            user_agent=USER_AGENT,
            health=self._health,
            whereabouts=self._whereabouts,
        )
        self._forwards = Forwards(
            nursery,
            timeouts=forward_timeouts(settings),
            streams=self._live_streams,
            door=self._hub.door,
        )
        self._forwards.configure(forward_rules(settings))
        self._hub.on_stream.append(self._forwards.begin)
        self._pulls.on_stream.append(self._forwards.begin)
        demand = Demand(
            nursery,
            self._hub,
            self._hook_calls,
            hooks=lambda app: self._of_app(app).access.hooks,
            idle_s=lambda app: self._settings.for_app(app).hub.idle_stop_s,
        )
        finder = StreamFinder(
            self._hub, self._pulls, demand, wait_s=lambda app: self._settings.for_app(app).hub.wait_for_stream_s
        )
        reception = Reception(finder=finder, viewers=self._viewers)
        self._door = Door(rules=self._door_rules(settings), reception=reception)
        self._rtmp_door = RtmpDoor(
            rules=rtmp_rules(settings, self._of_app, self._door.rules.router),
            hub=self._hub,
            finder=finder,
            forwarded=self._forwards.sending,
            publishers=self._publishers,
            viewers=self._viewers,
        )
        self._https_door = self._made_https_door(reception) if settings.tls.listen else None
        certificate = _certificate(settings)
        if certificate is not None:
            self._show(certificate)
        self._pulls.update_kept(relayed_origins(settings), add=kept_streams(settings))

    def _live_streams(self) -> list[LiveStream]:
        """Those published here, and those pulled that have given something."""
        pulled = [live for _, live, _ in self._pulls if live.bytes_in]
        return [*(live for live, _ in self._hub), *pulled]

    def _is_this_door(self, url: str) -> bool:
        return self._settings.is_this_door(url)  # those in force when it is asked

    def _made_https_door(self, reception: Reception) -> "HttpsDoor":
        from splice.https import HttpsDoor  # only here, as the admin side: who has no TLS waits for no Hypercorn

        return HttpsDoor(rules=self._door.rules, reception=reception)

    def _show(self, certificate: Certificate) -> None:
        """Greet TLS connections with this certificate from now on."""
        self._rtmp_door.tls = certificate.rtmps
        if self._https_door is not None:
            self._https_door.context = certificate.https

    def _origins(self, settings: Settings) -> dict[str, OriginSettings]:
        demo = {} if self._demo_url is None else {DEMO_ORIGIN: OriginSettings(url=self._demo_url)}
        return settings.origins | demo

    def _door_rules(self, settings: Settings) -> DoorRules:
        demo = self._demo_url is not None
        return door_rules(
            settings,
            self._origins(settings),
            of_app=self._of_app,
            pump=self._pump,
            health=self._health,
            whereabouts=self._whereabouts,
            tracks=self._tracks,
            demo=demo,
        )

    def start_admin(self, nursery: trio.Nursery, listeners: DoorListeners) -> None:
        """Serve the admin side in `nursery`, beyond the drain."""
        from splice.admin import (  # only here: its libraries take longer to import than all the rest
            Admin,
            House,
            Standing,
        )

        self._admin = Admin(
            House(
                viewers=self._viewers,
                publishers=self._publishers,
                hub=self._hub,
                pulls=self._pulls,
                origins=lambda: self._origins(self._settings),
                health=self._health,
                tracks=self._tracks,
                pump_turns=lambda: self._pump.turns,
                pump_registrations=lambda: self._pump.registrations,
                draining=lambda: self._draining,
                standing=Standing(
                    table=self._forwards,
                    pulls=self._pulls,
                    origins=lambda: relayed_origins(self._settings),
                    configured_pulls=lambda: kept_streams(self._settings),
                    is_this_door=self._is_this_door,
                ),
                version=__version__,
                http=listeners.addresses["http"],
                https=listeners.addresses["https"],
                live_path=lambda: self._settings.live_path[0],
            )
        )
        self._let_into_admin()
        nursery.start_soon(self._admin.serve, listeners.admin)

    def _let_into_admin(self) -> None:
        if self._admin is not None:
            admin = self._settings.admin
            proxies = TrustedProxies(self._settings.trusted_proxies)
            self._admin.allow(token=admin.secret, allowed_hosts=admin.allowed_hosts, proxies=proxies)

    async def run(
        self, listeners: DoorListeners, reload: Callable[[], Settings], on_ready: Callable[[str, str], None]
    ) -> int:
        """Accept until a signal says otherwise, then drain; the exit status."""
        async with trio.open_nursery() as connections:
            doors = list(self._doors(listeners, connections))
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
                async with trio.open_nursery() as accepting:
                    for listener, start in doors:
                        accepting.start_soon(accept_forever, listener, start)
                    self._announce(listeners, on_ready)
                    async for number in signals:
                        if number != signal.SIGHUP:
                            break
                        self._reload(reload)
                    accepting.cancel_scope.cancel()
                for listener, start in doors:
                    stop_listening(listener, start)
                if self._started_with.reuse_port:  # or chance says which of two doors a question goes to
                    for listener in listeners.admin:
                        stop_listening(listener, lambda accepted, _: accepted.close())
                self._draining = True
                status = await self._drain(signals)
            connections.cancel_scope.cancel()
        await self._hook_calls.wait_told()
        return status

    def _doors(self, listeners: DoorListeners, connections: trio.Nursery) -> Iterator[tuple[socket.socket, StartOne]]:
        """The media listeners, and what starts serving the connections of each."""
        doors: dict[str, ServeOne] = {
            "http": self._door.serve,
            "rtmp": self._rtmp_door.serve,
            "rtmps": self._rtmp_door.serve_tls,
        }
        if self._https_door is not None:
            doors["https"] = self._https_door.serve
        for kind, serve_one in doors.items():
            start = _starter(connections, self._proxy_receiver.before(kind, serve_one))
            for listener in listeners.media[kind]:
                yield listener, start

    def _announce(self, listeners: DoorListeners, on_ready: Callable[[str, str], None]) -> None:
        addresses = listeners.addresses
        _log.info("ready", **addresses, version=__version__)
        on_ready(addresses["http"][0], next(iter(addresses["admin"]), ""))

    def _reload(self, reload: Callable[[], Settings]) -> None:
        try:
            settings = reload()
            certificate = _certificate(settings)
        except (ConfigError, OSError) as error:  # the latter of a certificate that is being replaced this very moment
            _log.error("reload.failed", error=str(error), consequence="the old configuration stays in force")
            return
        needs_restart = settings.waiting_for_restart(self._started_with)
        kept, kept_before = kept_streams(settings), kept_streams(self._settings)
        self._settings = settings
        self._of_app = app_rules(settings, self._hook_calls)
        self._door.rules = self._door_rules(settings)
        self._rtmp_door.rules = rtmp_rules(settings, self._of_app, self._door.rules.router)
        if self._https_door is not None:
            self._https_door.rules = self._door.rules
        if certificate is not None:
            self._show(certificate)
        self._proxy_receiver.rules = proxy_rules(settings)
        self._let_into_admin()
        self._forwards.timeouts = forward_timeouts(settings)
        self._forwards.configure(forward_rules(settings))
        self._pulls.update_kept(relayed_origins(settings), add=kept - kept_before, remove=kept_before - kept)
        limits = settings.limits
        self._viewers.limit = limits.viewers
        self._viewers.limit_per_address = limits.viewers_per_address
        self._viewers.limit_per_stream = limits.viewers_per_stream
        self._publishers.limit = limits.publishers
        _log.info("reload.done", needs_restart=needs_restart)

    async def _drain(self, signals: AsyncIterator[int]) -> int:
        """Let viewers go on for `drain_s`, or until the next SIGINT; then end what is left."""
        drain_s = self._settings.timeouts.drain_s
        _log.info("draining", viewers=len(self._viewers), seconds=drain_s)
        status = _CLEAN_EXIT

        async def wait_for_second_sigint() -> None:
            nonlocal status
            async for number in signals:
                if number == signal.SIGINT:
                    status = _INTERRUPTED_EXIT
                    nursery.cancel_scope.cancel()

        with trio.move_on_after(drain_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait_for_second_sigint)
                if self._started_with.reuse_port:
                    # Nobody is to notice the change of doors, not even who was accepted a moment ago.
                    await trio.sleep(_NEWCOMERS_S)
                await self._viewers.wait_none()
                nursery.cancel_scope.cancel()
        self._viewers.end_all(EndReason.DRAINED)
        self._pulls.let_all_go()
        self._publishers.end_all(EndReason.DRAINED)
        return status


def _starter(connections: trio.Nursery, serve_one: ServeOne) -> StartOne:
    return lambda accepted, peer: connections.start_soon(serve_one, accepted, peer)


def _certificate(settings: Settings) -> Certificate | None:
    """The configured one; None where there is none."""
    file = settings.tls.cert
    if not file:
        return None
    certificate = Certificate.load(file, settings.tls.key)
    if certificate.fault is not None:
        _log.warning("tls.certificate", file=file, fault=certificate.fault, consequence="clients refuse to connect")
    return certificate
