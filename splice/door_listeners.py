"""All listening sockets of one door, by what is spoken there: opened together, and closed together.

With `reuse_port` another door may be started beside this one, with the same configuration; the kernel then shares out
who comes, and when this one stops listening, all come to the other (docs/operations.md, Upgrade).
"""

import socket
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, Self

from splice.config import ListenAddress, Settings
from splice.listeners import ListenError, open_listeners, require_distinct, socket_address

__all__ = ["DoorListeners"]

_DEMO_ADMIN: Final = ListenAddress(None, 18091)


class DoorListeners:
    """See the module. A context manager that closes what is still open.

    Attributes:
        media: where viewers and publishers come, by kind: http, rtmp, https, rtmps.
        admin: the admin side's.
    """

    def __init__(self, settings: Settings, *, demo: bool) -> None:
        """Open all that `settings` name; the demo has an admin side in any case.

        Raises:
            ListenError: one of them cannot be; those opened before it are closed.
        """
        self._reuse_port: Final = settings.reuse_port
        self.admin: Final[list[socket.socket]] = []
        self.media: Final[Mapping[str, list[socket.socket]]] = {kind: [] for kind in ("http", "rtmp", "https", "rtmps")}
        try:
            self.media["http"].extend(self._open(settings.listen))
            self.media["rtmp"].extend(self._open(settings.rtmp_listen))
            self.media["https"].extend(self._open(settings.tls.listen))
            self.media["rtmps"].extend(self._open(settings.tls.rtmps_listen))
            self.admin.extend(self._open_admin(settings.admin_listen, demo=demo))
            if self._reuse_port:
                require_distinct(self._all)
        except BaseException:
            self.close()
            raise

    @property
    def addresses(self) -> dict[str, list[str]]:
        """Where they are, `host:port`, by kind; `admin` is one."""
        groups = {**self.media, "admin": self.admin}
        return {kind: [socket_address(each.getsockname()) for each in group] for kind, group in groups.items()}

    def close(self) -> None:
        """Close those that are still open."""
        for listener in self._all:
            listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def _all(self) -> Iterator[socket.socket]:
        return chain(*self.media.values(), self.admin)

    def _open(self, addresses: Iterable[str], *, loopback: bool = False) -> list[socket.socket]:
        parsed = map(ListenAddress.parse, addresses)
        return open_listeners(parsed, loopback=loopback, reuse_port=self._reuse_port)

    def _open_admin(self, address: str, *, demo: bool) -> list[socket.socket]:
        if address:
            return self._open([address], loopback=True)
        if not demo:
            return []
        try:
            return open_listeners([_DEMO_ADMIN], loopback=True)
        except ListenError:  # a second demo on this machine
            return open_listeners([ListenAddress(None, 0)], loopback=True)
