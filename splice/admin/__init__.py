"""The admin side: what streams there are, who watches, what is wrong, and how to stop it. For whoever runs the door.

    Hypercorn (serve) --> Gate (gate, auth) --> FastAPI (app) --> Inventory --> the house's tables
                                                     |--> EventFeed (events) <--- the log
                                                     |--> Metrics (metrics)  <--- the log, the tables
                                                     '--> NginxStat (nginx_stat), likewise

It reads what the others keep, and ends what it is told to end; it is on no stream's way. `Admin` ties it together.
"""

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import structlog
import trio

from splice.admin.app import make_app
from splice.admin.auth import AccessRules, Guard
from splice.admin.events import EventFeed
from splice.admin.gate import Gate
from splice.admin.inventory import House, Inventory
from splice.admin.metrics import Metrics
from splice.admin.nginx_stat import NginxStat
from splice.admin.serve import serve_asgi
from splice.admin.standing import Standing
from splice.logs import listening
from splice.proxies import TrustedProxies

__all__ = ["Admin", "House", "Standing"]

_SAMPLE_EVERY_S: Final = 1.0

_log = structlog.get_logger()


class Admin:
    """The whole admin side of one door.

    Attributes:
        app: the ASGI application, gate and all.
        feed: the log's events.
    """

    def __init__(self, house: House) -> None:
        """Args: what to look at. Until `allow` is called, nobody is let in but loopback."""
        self._guard: Final = Guard(AccessRules("", (), TrustedProxies(())))
        self._inventory: Final = Inventory(house)
        self._metrics: Final = Metrics(house, self._inventory)
        self._stat: Final = NginxStat(house, self._inventory)
        self.feed: Final = EventFeed()
        app = make_app(house, self._inventory, self._metrics, self._stat, self.feed, self._guard)
        self.app: Final = Gate(app, self._guard)

    def allow(self, *, token: str, allowed_hosts: Sequence[str], proxies: TrustedProxies) -> None:
        """Say who is let in from now on: see `AccessRules`. Sessions of another token end."""
        self._guard.rules = AccessRules(token, allowed_hosts, proxies)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the log's. It never raises: whoever logged it has a stream to serve."""
        try:
            self._inventory.hear(event)
            self._metrics.hear(event)
            self._stat.hear(event)
            self.feed.hear(event)
        except Exception:  # noqa: BLE001 -- see above
            _log.exception("admin.bug", heard=event.get("event"))

    async def keep_time(self) -> None:
        """Sample rates and the loop's lag, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._metrics.watch_lag)
            while True:
                self._inventory.sample(trio.current_time())
                await trio.sleep(_SAMPLE_EVERY_S)

    async def serve(self, listeners: Iterable[socket.socket]) -> None:
        """Serve on listening sockets until cancelled; a cancellation ends every connection before it is delivered.

        No bug of this side leaves it: the streams are worth more than their table.
        """
        try:
            with listening(self.hear):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.keep_time)
                    await serve_asgi(self.app, listeners)
        except* Exception:  # noqa: BLE001 -- as said above
            _log.exception("admin.bug", consequence="the admin side has stopped; streams go on")
