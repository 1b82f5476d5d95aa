"""The door as a process: its rooms are opened, run in one nursery until a signal comes, drained, and closed.

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
from splice.config import ConfigError, Settings
from splice.demo import DemoOrigin
from splice.descriptors import raise_descriptor_limit
from splice.door_listeners import DoorListeners
from splice.listeners import StartOne, accept_forever, stop_listening
from splice.proxies import TrustedProxies
from splice.proxy_receiver import ServeOne
from splice.pump import open_pump
from splice.rooms import DEMO_ORIGIN, Rooms, load_certificate
from splice.rules import kept_streams, relayed_origins
from splice.stats import EndReason
from splice.supervisor import let_signals_in, spent_signals

if TYPE_CHECKING:
    from splice.admin import Admin

__all__ = ["DEMO_ORIGIN", "Server", "serve"]

_CLEAN_EXIT: Final = 0
_INTERRUPTED_EXIT: Final = 130
_NEWCOMERS_S: Final = 1.0  # from an accepted connection to a viewer on record, with time to spare

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
            server = Server(Rooms(pump, nursery, settings, demo_url))
            if listeners.admin:
                server.start_admin(nursery, listeners)
            status = await server.run(listeners, reload, on_ready)
            nursery.cancel_scope.cancel()
    _log.info("stopped", status=status)
    return status


class Server:
    """Runs the rooms, and stops them.

    Attributes:
        rooms: what is run.
    """

    def __init__(self, rooms: Rooms) -> None:
        self.rooms: Final = rooms
        self._started_with: Final = rooms.settings
        self._draining = False
        self._admin: Admin | None = None

    def start_admin(self, nursery: trio.Nursery, listeners: DoorListeners) -> None:
        """Serve the admin side in `nursery`, beyond the drain."""
        from splice.admin import (  # only here: its libraries take longer to import than all the rest
            Admin,
            House,
            Standing,
        )

        self._admin = Admin(
            House(
                viewers=self.rooms.viewers,
                publishers=self.rooms.publishers,
                hub=self.rooms.hub,
                pulls=self.rooms.pulls,
                origins=lambda: self.rooms.origins,
                health=self.rooms.health,
                tracks=self.rooms.tracks,
                pump_turns=lambda: self.rooms.pump.turns,
                pump_registrations=lambda: self.rooms.pump.registrations,
                draining=lambda: self._draining,
                standing=Standing(
                    table=self.rooms.forwards,
                    pulls=self.rooms.pulls,
                    origins=lambda: relayed_origins(self.rooms.settings),
                    configured_pulls=lambda: kept_streams(self.rooms.settings),
                    is_this_door=self.rooms.is_this_door,
                ),
                version=__version__,
                http=listeners.addresses["http"],
                https=listeners.addresses["https"],
                live_path=lambda: self.rooms.settings.live_path[0],
            )
        )
        self._let_into_admin()
        nursery.start_soon(self._admin.serve, listeners.admin)

    def _let_into_admin(self) -> None:
        if self._admin is not None:
            admin = self.rooms.settings.admin
            proxies = TrustedProxies(self.rooms.settings.trusted_proxies)
            self._admin.allow(token=admin.secret, allowed_hosts=admin.allowed_hosts, proxies=proxies)

    async def run(
        self, listeners: DoorListeners, reload: Callable[[], Settings], on_ready: Callable[[str, str], None]
    ) -> int:
        """Accept until a signal says otherwise, then drain; the exit status."""
        with spent_signals():
            status = await self._accept_until_stopped(listeners, reload, on_ready)
            async with trio.open_nursery() as last_words:
                last_words.start_soon(self.rooms.hook_calls.wait_told)
                last_words.start_soon(self.rooms.forwards.stop_all)
        return status

    async def _accept_until_stopped(
        self, listeners: DoorListeners, reload: Callable[[], Settings], on_ready: Callable[[str, str], None]
    ) -> int:
        async with trio.open_nursery() as connections:
            doors = list(self._doors(listeners, connections))
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
                let_signals_in()
                async with trio.open_nursery() as accepting:
                    for listener, start in doors:
                        accepting.start_soon(accept_forever, listener, start)
                    self._announce(listeners, on_ready)
                    async for number in signals:
                        if number != signal.SIGHUP:
                            break
                        self.reload(reload)
                    accepting.cancel_scope.cancel()
                for listener, start in doors:
                    stop_listening(listener, start)
                if self._started_with.reuse_port:
                    # Else the kernel would go on sending some of the questions here, and not to the successor.
                    for listener in listeners.admin:
                        stop_listening(listener, lambda accepted, _: accepted.close())
                self._draining = True
                status = await self._drain(signals)
            connections.cancel_scope.cancel()
        return status

    def _doors(self, listeners: DoorListeners, connections: trio.Nursery) -> Iterator[tuple[socket.socket, StartOne]]:
        """The media listeners, and what starts serving the connections of each."""
        doors: dict[str, ServeOne] = {
            "http": self.rooms.door.serve,
            "rtmp": self.rooms.rtmp_door.serve,
            "rtmps": self.rooms.rtmp_door.serve_tls,
        }
        if self.rooms.https_door is not None:
            doors["https"] = self.rooms.https_door.serve
        for kind, serve_one in doors.items():
            start = _starter(connections, self.rooms.proxy_receiver.before(kind, serve_one))
            for listener in listeners.media[kind]:
                yield listener, start

    def _announce(self, listeners: DoorListeners, on_ready: Callable[[str, str], None]) -> None:
        addresses = listeners.addresses
        _log.info("ready", **addresses, version=__version__)
        on_ready(addresses["http"][0], next(iter(addresses["admin"]), ""))

    def reload(self, read: Callable[[], Settings]) -> None:
        """Go by the settings that `read` gives; where they are wrong, by the old ones, which is logged."""
        try:
            settings = read()
            certificate = load_certificate(settings)
        except (ConfigError, OSError) as error:  # the latter of a certificate that is being replaced this very moment
            _log.error("reload.failed", error=str(error), consequence="the old configuration stays in force")
            return
        self.rooms.apply(settings, certificate)
        self._let_into_admin()
        _log.info("reload.done", needs_restart=settings.waiting_for_restart(self._started_with))

    async def _drain(self, signals: AsyncIterator[int]) -> int:
        """Let viewers go on for `drain_s`, or until the next SIGINT; then end what is left."""
        drain_s = self.rooms.settings.timeouts.drain_s
        _log.info("draining", viewers=len(self.rooms.viewers), seconds=drain_s)
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
                    # A successor listens already, so nobody is to notice this end: who was accepted a moment ago is
                    # no viewer yet that the drain would wait for.
                    await trio.sleep(_NEWCOMERS_S)
                await self.rooms.viewers.wait_none()
                nursery.cancel_scope.cancel()
        self.rooms.viewers.end_all(EndReason.DRAINED)
        self.rooms.pulls.let_all_go()
        self.rooms.publishers.end_all(EndReason.DRAINED)
        return status


def _starter(connections: trio.Nursery, serve_one: ServeOne) -> StartOne:
    return lambda accepted, peer: connections.start_soon(serve_one, accepted, peer)
