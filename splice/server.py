"""The composition root: builds everything out of the settings, runs it in one nursery, and stops it.

listeners --accept--> one task a connection, in `connections`
SIGTERM, SIGINT: close the listeners, wait for the viewers, then cancel; SIGHUP: new rules for new requests
"""

import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog
import trio

from splice import __version__
from splice.access import HookCalls
from splice.config import ConfigError, ListenAddress, OriginSettings, Settings
from splice.demand import Demand
from splice.demo import DemoOrigin
from splice.door import Door
from splice.finder import StreamFinder
from splice.health import OriginHealth
from splice.hub import Hub, LiveStream
from splice.hub.forward import Forwards
from splice.hub.pull import Pulls
from splice.listeners import ListenError, accept_forever, open_listeners, socket_address
from splice.proxies import TrustedProxies
from splice.pump import Pump, open_pump
from splice.reception import DoorRules, Reception
from splice.rtmp_door import RtmpDoor
from splice.rules import (
    USER_AGENT,
    app_rules,
    door_rules,
    forward_rules,
    forward_timeouts,
    hub_limits,
    pull_timeouts,
    rtmp_rules,
)
from splice.spliced_tracks import SplicedTracks
from splice.stats import EndReason, Publishers, Viewers
from splice.tls import Certificate

if TYPE_CHECKING:
    from splice.admin import Admin
    from splice.https import HttpsDoor

__all__ = ["DEMO_ORIGIN", "serve"]

DEMO_ORIGIN: Final = "demo"

_DEMO_ADMIN: Final = ListenAddress(None, 18091)
_CLEAN_EXIT: Final = 0
_INTERRUPTED_EXIT: Final = 130
_DESCRIPTORS_A_VIEWER: Final = 2  # its own and its origin's
_SPARE_DESCRIPTORS: Final = 64  # listeners, epolls, log, time zone files, a dial's extra attempts, pipes

_ServeOne: TypeAlias = Callable[[socket.socket, tuple[str, int]], Awaitable[None]]

_log = structlog.get_logger()


async def serve(
    settings: Settings, *, demo: bool, reload: Callable[[], Settings], on_ready: Callable[[str], None]
) -> int:
    """Run the door until a signal stops it.

    Args:
        settings: the configuration.
        demo: whether to run the embedded origin, under the name `DEMO_ORIGIN`.
        reload: reads the configuration again; it may raise `ConfigError`.
        on_ready: called with the first address of the media door, `host:port`, once viewers may come.

    Returns: the process's exit status: 0, or 130 after a second SIGINT.

    Raises:
        ListenError: an address cannot be listened on; nothing was served.
    """
    _raise_descriptor_limit(settings.limits.viewers)
    with _Listeners.open(settings, demo=demo) as listeners:
        async with open_pump() as pump, trio.open_nursery() as nursery:
            demo_url = f"http://127.0.0.1:{await nursery.start(DemoOrigin().serve)}" if demo else None
            server = _Server(pump, nursery, settings, demo_url)
            if listeners.admin:
                server.start_admin(nursery, listeners)
            status = await server.run(listeners, reload, on_ready)
            nursery.cancel_scope.cancel()
    _log.info("stopped", status=status)
    return status


@dataclass(frozen=True, slots=True)
class _Listeners:
    """All listening sockets, by what is spoken there; a context manager that closes them."""

    http: list[socket.socket]
    rtmp: list[socket.socket]
    admin: list[socket.socket]
    https: list[socket.socket]
    rtmps: list[socket.socket]

    @classmethod
    def open(cls, settings: Settings, *, demo: bool) -> "_Listeners":
        listeners = cls([], [], [], [], [])
        try:
            listeners.http.extend(open_listeners(map(ListenAddress.parse, settings.listen)))
            listeners.rtmp.extend(open_listeners(map(ListenAddress.parse, settings.rtmp_listen)))
            listeners.https.extend(open_listeners(map(ListenAddress.parse, settings.tls.listen)))
            listeners.rtmps.extend(open_listeners(map(ListenAddress.parse, settings.tls.rtmps_listen)))
            listeners.admin.extend(_open_admin(settings.admin_listen, demo=demo))
        except BaseException:
            listeners.close()
            raise
        return listeners

    def close_doors(self) -> None:
        """Close those where viewers and publishers come; the admin side goes on while these leave."""
        for listener in (*self.http, *self.rtmp, *self.https, *self.rtmps):
            listener.close()

    def close(self) -> None:
        self.close_doors()
        for listener in self.admin:
            listener.close()

    def __enter__(self) -> "_Listeners":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _open_admin(address: str, *, demo: bool) -> list[socket.socket]:
    if address:
        return open_listeners([ListenAddress.parse(address)], loopback=True)
    if not demo:
        return []
    try:
        return open_listeners([_DEMO_ADMIN], loopback=True)
    except ListenError:  # a second demo on this machine
        return open_listeners([ListenAddress(None, 0)], loopback=True)


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
        )
        self._publishers = Publishers(limit=limits.publishers)
        self._health = OriginHealth()
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
            rules=rtmp_rules(settings, self._of_app),
            hub=self._hub,
            find_stream=lambda app, stream, src: finder.found_for_player(self._door.rules.router, app, stream, src),
            forwarded=self._forwards.sending,
            publishers=self._publishers,
            viewers=self._viewers,
        )
        self._https_door = self._made_https_door(reception) if settings.tls.listen else None
        certificate = _certificate(settings)
        if certificate is not None:
            self._show(certificate)

    def _live_streams(self) -> list[LiveStream]:
        """Those published here, and those pulled that have given something."""
        pulled = [live for _, live, _ in self._pulls if live.bytes_in]
        return [*(live for live, _ in self._hub), *pulled]

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
            tracks=self._tracks,
            demo=demo,
        )

    def start_admin(self, nursery: trio.Nursery, listeners: _Listeners) -> None:
        """Serve the admin side in `nursery`, beyond the drain."""
        from splice.admin import Admin, House  # only here: its libraries take longer to import than all the rest

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
                draining=lambda: self._draining,
                version=__version__,
                http=[socket_address(listener.getsockname()) for listener in listeners.http],
                https=[socket_address(listener.getsockname()) for listener in listeners.https],
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

    async def run(self, listeners: _Listeners, reload: Callable[[], Settings], on_ready: Callable[[str], None]) -> int:
        """Accept until a signal says otherwise, then drain; the exit status."""
        async with trio.open_nursery() as connections:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
                async with trio.open_nursery() as accepting:
                    for sockets, serve_one in self._doors(listeners):
                        for listener in sockets:
                            accepting.start_soon(accept_forever, listener, _starter(connections, serve_one))
                    on_ready(self._announce(listeners))
                    async for number in signals:
                        if number != signal.SIGHUP:
                            break
                        self._reload(reload)
                    accepting.cancel_scope.cancel()
                listeners.close_doors()
                self._draining = True
                status = await self._drain(signals)
            connections.cancel_scope.cancel()
        await self._hook_calls.wait_told()
        return status

    def _doors(self, listeners: _Listeners) -> Iterator[tuple[list[socket.socket], _ServeOne]]:
        """The listeners, and who serves the connections of each."""
        yield listeners.http, self._door.serve
        yield listeners.rtmp, self._rtmp_door.serve
        yield listeners.rtmps, self._rtmp_door.serve_tls
        if self._https_door is not None:
            yield listeners.https, self._https_door.serve

    def _announce(self, listeners: _Listeners) -> str:
        http, rtmp, admin, https, rtmps = (
            [socket_address(listener.getsockname()) for listener in group]
            for group in (listeners.http, listeners.rtmp, listeners.admin, listeners.https, listeners.rtmps)
        )
        _log.info("ready", http=http, rtmp=rtmp, admin=admin, https=https, rtmps=rtmps, version=__version__)
        return http[0]

    def _reload(self, reload: Callable[[], Settings]) -> None:
        try:
            settings = reload()
            certificate = _certificate(settings)
        except (ConfigError, OSError) as error:  # the latter of a certificate that is being replaced this very moment
            _log.error("reload.failed", error=str(error), consequence="the old configuration stays in force")
            return
        needs_restart = settings.waiting_for_restart(self._started_with)
        self._settings = settings
        self._of_app = app_rules(settings, self._hook_calls)
        self._door.rules = self._door_rules(settings)
        self._rtmp_door.rules = rtmp_rules(settings, self._of_app)
        if self._https_door is not None:
            self._https_door.rules = self._door.rules
        if certificate is not None:
            self._show(certificate)
        self._let_into_admin()
        self._forwards.timeouts = forward_timeouts(settings)
        self._forwards.configure(forward_rules(settings))
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
                await self._viewers.wait_none()
                nursery.cancel_scope.cancel()
        self._viewers.end_all(EndReason.DRAINED)
        self._publishers.end_all(EndReason.DRAINED)
        return status


def _starter(connections: trio.Nursery, serve_one: _ServeOne) -> Callable[[socket.socket, tuple[str, int]], None]:
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


def _raise_descriptor_limit(viewers: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            limit = soft  # macOS names no hard limit, and takes none above its kern.maxfilesperproc
    needed = viewers * _DESCRIPTORS_A_VIEWER + _SPARE_DESCRIPTORS
    if limit != resource.RLIM_INFINITY and limit < needed:
        room = max(0, limit - _SPARE_DESCRIPTORS) // _DESCRIPTORS_A_VIEWER
        _log.warning(
            "descriptors.few",
            limit=limit,
            needed=needed,
            advice=f"limits.viewers is {viewers}, and there are descriptors for {room}: raise the hard limit "
            "(ulimit -Hn, LimitNOFILE=)",
        )
