"""The composition root: builds everything out of the settings, runs it in one nursery, and stops it.

listeners --accept--> one task a connection, in `connections`
SIGTERM, SIGINT: close the listeners, wait for the viewers, then cancel; SIGHUP: new rules for new requests
"""

import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable
from typing import Final

import structlog
import trio

from splice import __version__
from splice.answers import CorsPolicy
from splice.config import ConfigError, OriginSettings, Settings
from splice.demo import DemoOrigin
from splice.door import Door, DoorRules
from splice.gateway import Gateway
from splice.listeners import accept_forever, open_listeners, socket_address
from splice.proxies import TrustedProxies
from splice.pump import Pump, open_pump
from splice.routing import Router
from splice.stats import EndReason, Viewers

__all__ = ["DEMO_ORIGIN", "serve"]

DEMO_ORIGIN: Final = "demo"

_CLEAN_EXIT: Final = 0
_INTERRUPTED_EXIT: Final = 130
_DESCRIPTORS_A_VIEWER: Final = 2  # its own and its origin's
_SPARE_DESCRIPTORS: Final = 64  # listeners, epolls, log, time zone files, a dial's extra attempts, pipes

_log = structlog.get_logger()


async def serve(settings: Settings, *, demo: bool, reload: Callable[[], Settings]) -> int:
    """Run the door until a signal stops it.

    Args:
        settings: the configuration.
        demo: whether to run the embedded origin, under the name `DEMO_ORIGIN`.
        reload: reads the configuration again; it may raise `ConfigError`.

    Returns: the process's exit status: 0, or 130 after a second SIGINT.

    Raises:
        ListenError: an address cannot be listened on; nothing was served.
    """
    _raise_descriptor_limit(settings.limits.viewers)
    listeners = open_listeners(settings.listen_addresses)
    try:
        async with open_pump() as pump, trio.open_nursery() as nursery:
            demo_url = f"http://127.0.0.1:{await nursery.start(DemoOrigin().serve)}" if demo else None
            server = _Server(pump, settings, demo_url)
            status = await server.run(listeners, reload)
            nursery.cancel_scope.cancel()
    finally:
        for listener in listeners:
            listener.close()
    _log.info("stopped", status=status)
    return status


class _Server:
    def __init__(self, pump: Pump, settings: Settings, demo_url: str | None) -> None:
        self._pump = pump
        self._settings = settings
        self._demo_url = demo_url
        limits = settings.limits
        self._viewers = Viewers(limit=limits.viewers, limit_per_address=limits.viewers_per_address)
        self._door = Door(rules=self._rules(settings), viewers=self._viewers)

    def _rules(self, settings: Settings) -> DoorRules:
        origins = dict(settings.origins)
        if self._demo_url is not None:
            origins[DEMO_ORIGIN] = OriginSettings(url=self._demo_url)
        timeouts = settings.timeouts
        gateway = Gateway(
            pump=self._pump,
            user_agent=f"splice/{__version__}".encode(),
            connect_s=timeouts.connect_s,
            origin_head_s=timeouts.origin_head_s,
            stall_s=timeouts.stall_s,
        )
        return DoorRules(
            router=Router(live_paths=settings.live_path, origins=origins),
            gateway=gateway,
            cors=CorsPolicy(settings.cors_origins),
            proxies=TrustedProxies(settings.trusted_proxies),
            head_s=timeouts.head_s,
            live_path=settings.live_path[0],
            demo=self._demo_url is not None,
        )

    async def run(self, listeners: list[socket.socket], reload: Callable[[], Settings]) -> int:
        async with trio.open_nursery() as connections:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(
                            accept_forever,
                            listener,
                            lambda accepted, peer: connections.start_soon(self._door.serve, accepted, peer),
                        )
                    self._announce(listeners)
                    async for number in signals:
                        if number != signal.SIGHUP:
                            break
                        self._reload(reload)
                    accepting.cancel_scope.cancel()
                for listener in listeners:
                    listener.close()
                status = await self._drain(signals)
            connections.cancel_scope.cancel()
        return status

    def _announce(self, listeners: list[socket.socket]) -> None:
        http = [socket_address(listener.getsockname()) for listener in listeners]
        _log.info("ready", http=http, rtmp=[], admin=[], https=[], rtmps=[], version=__version__)

    def _reload(self, reload: Callable[[], Settings]) -> None:
        try:
            settings = reload()
        except ConfigError as error:
            _log.error("reload.failed", error=str(error), consequence="the old configuration stays in force")
            return
        needs_restart = [key for key in ("listen",) if getattr(settings, key) != getattr(self._settings, key)]
        self._settings = settings
        self._door.rules = self._rules(settings)
        self._viewers.limit = settings.limits.viewers
        self._viewers.limit_per_address = settings.limits.viewers_per_address
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
        return status


def _raise_descriptor_limit(viewers: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = viewers * _DESCRIPTORS_A_VIEWER + _SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < needed:
        _log.warning(
            "descriptors.few",
            limit=hard,
            needed=needed,
            advice=f"limits.viewers is {viewers}, and there are descriptors for "
            f"{(hard - _SPARE_DESCRIPTORS) // _DESCRIPTORS_A_VIEWER}: raise the hard limit (ulimit -Hn, LimitNOFILE=)",
        )
