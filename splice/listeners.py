"""Listening sockets: opened by the addresses of the configuration, accepted from without ever giving up.

They are plain sockets of the standard library and not Trio's: what is accepted here may go to the pump, which works on
descriptors.
"""

import errno
import socket
from collections.abc import Callable, Iterable
from typing import Final

import structlog
import trio

from splice.config import ListenAddress
from splice.config.addresses import format_authority

__all__ = ["ListenError", "accept_forever", "open_listeners", "socket_address"]

_BACKLOG: Final = 4096  # the kernel caps it at net.core.somaxconn
_ACCEPTS_PER_TURN: Final = 64
_PAUSE_S: Final = 0.1
_TRIES_FOR_ONE_PORT: Final = 16

# accept(2): the process or the system has run out of something. It passes when somebody leaves; until then the kernel
# keeps who comes in the backlog.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# accept(2): errors of one connection that was gone before it was taken, or was refused by a firewall.
_GONE: Final = frozenset(
    {
        errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN,
        errno.ENONET, errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.ETIMEDOUT,
    }
)  # fmt: skip

_log = structlog.get_logger()


class ListenError(Exception):
    """An address cannot be listened on; the message is one line that says why."""


def open_listeners(addresses: Iterable[ListenAddress]) -> list[socket.socket]:
    """Non-blocking listening sockets for all `addresses`; without a host, one for each family on one port number.

    Raises:
        ListenError: one of them cannot be; those opened before it are closed.
    """
    listeners: list[socket.socket] = []
    try:
        for address in addresses:
            listeners += _open_any_family(address.port) if address.host is None else [_open_host(address)]
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def socket_address(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """`host:port` of a socket's name or peer, IPv6 in brackets."""
    return format_authority(address[0], address[1])


async def accept_forever(listener: socket.socket, start: Callable[[socket.socket, tuple[str, int]], None]) -> None:
    """Accept connections and hand each, non-blocking, with its peer's address to `start`, until cancelled.

    Without descriptors left it pauses, and nobody who is connected notices.
    """
    while True:
        await trio.lowlevel.wait_readable(listener)
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                accepted, peer = listener.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    _log.warning("accept.paused", error=error.strerror, seconds=_PAUSE_S)
                    await trio.sleep(_PAUSE_S)
                    break
                if error.errno in _GONE:
                    continue
                raise
            accepted.setblocking(False)
            start(accepted, peer)


def _open_host(address: ListenAddress) -> socket.socket:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror}") from None
    family, _, _, _, name = found[0]
    try:
        return _open(family, (str(name[0]), address.port))
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {_why(error)}") from None


def _open_any_family(port: int) -> list[socket.socket]:
    """IPv4 and IPv6 on one number; where the kernel picks it, it may have to try a few."""
    for attempt in range(_TRIES_FOR_ONE_PORT):
        try:
            first = _open(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104 -- every address is what was asked for
        except OSError as error:
            raise ListenError(f"cannot listen on port {port}: {_why(error)}") from None
        try:
            return [first, _open(socket.AF_INET6, ("::", first.getsockname()[1]))]
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                return [first]  # a system without IPv6
            first.close()
            if port or attempt == _TRIES_FOR_ONE_PORT - 1:
                raise ListenError(f"cannot listen on port {port}: {_why(error)}") from None
    raise AssertionError("unreachable: the last attempt returns or raises")


def _open(family: int, name: tuple[str, int]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(name)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _why(error: OSError) -> str:
    return "the address is in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error)).lower()
