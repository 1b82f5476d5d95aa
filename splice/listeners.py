"""Listening sockets: opened by the addresses of the configuration, accepted from without ever giving up.

They are plain sockets of the standard library and not Trio's: what is accepted here may go to the pump, which works on
descriptors.
"""

import errno
import os
import socket
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import structlog
import trio

from splice.config import ListenAddress
from splice.config.addresses import format_authority
from splice.port_owner import port_owner

__all__ = [
    "ListenError",
    "StartOne",
    "accept_forever",
    "open_listeners",
    "require_distinct",
    "socket_address",
    "stop_listening",
]

StartOne: TypeAlias = Callable[[socket.socket, tuple[str, int]], None]
"""Takes an accepted connection, which is non-blocking, and its peer's address."""

_BACKLOG: Final = 4096  # the kernel caps it at net.core.somaxconn
_ACCEPTS_PER_TURN: Final = 64
_PAUSE_S: Final = 0.1
_TRIES_FOR_ONE_PORT: Final = 16

# accept(2): errors of one connection, which was gone before it was taken or refused by a firewall. Systems differ.
_GONE_NAMES: Final = (
    "ECONNABORTED", "ECONNRESET", "EPERM", "EPROTO", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH",
    "EOPNOTSUPP", "ENETUNREACH", "ETIMEDOUT",
)  # fmt: skip
_GONE: Final = frozenset(getattr(errno, name) for name in _GONE_NAMES if hasattr(errno, name))
# accept(2): the listener itself is none any more. All other errors, of which EMFILE, ENFILE, ENOBUFS and ENOMEM are the
# known ones, pass when somebody leaves; until then the kernel keeps who comes in the backlog.
_OUR_FAULT: Final = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})

_ANY_HOST: Final[dict[int, str]] = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 -- all is what was asked for
_NAMED_TWICE: Final = "the port is named twice; name it once"
_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

_log = structlog.get_logger()


class ListenError(Exception):
    """An address cannot be listened on; the message is one line that says why."""


def open_listeners(
    addresses: Iterable[ListenAddress], *, loopback: bool = False, reuse_port: bool = False
) -> list[socket.socket]:
    """Non-blocking listening sockets for all `addresses`; without a host, one for each family on one port number.

    Args:
        addresses: where to listen.
        loopback: what no host stands for: loopback's addresses in place of all.
        reuse_port: whether other processes of this user may listen there too, if they say so as well. The kernel then
            gives each connection to one of them (SO_REUSEPORT, socket(7)), and no longer tells when one process
            names an address twice: see `require_distinct`.

    A host that has several addresses gets one for each, on one number too.

    Raises:
        ListenError: one of them cannot be; those opened before it are closed.
    """
    listeners: list[socket.socket] = []
    try:
        for address in addresses:
            listeners += _open_on_one_port(address, loopback=loopback, reuse_port=reuse_port)
    except BaseException:
        _close(listeners)
        raise
    return listeners


def socket_address(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """`host:port` of a socket's name or peer, IPv6 in brackets."""
    return format_authority(address[0], address[1])


def require_distinct(listeners: Iterable[socket.socket]) -> None:
    """Make sure that no two of this process's listeners share a port, of which chance would choose at each connection.

    Raises:
        ListenError: two do.
    """
    taken: set[tuple[int, str, int]] = set()
    for listener in listeners:
        family, (host, port) = int(listener.family), listener.getsockname()[:2]
        others = {name for name in taken if name[::2] == (family, port)}
        if any(_ANY_HOST[family] in (host, other) or host == other for _, other, _ in others):
            address = format_authority(host, port)
            raise ListenError(f"cannot listen on {address}: {_NAMED_TWICE}")
        taken.add((family, host, port))


async def accept_forever(listener: socket.socket, start: StartOne) -> None:
    """Accept connections and hand each to `start`, until cancelled, or until the listener is stopped.

    Without descriptors left it pauses, and nobody who is connected notices.
    """
    while True:
        try:
            await trio.lowlevel.wait_readable(listener)
        except trio.ClosedResourceError:
            return
        if not _accept_waiting(listener, start, at_most=_ACCEPTS_PER_TURN):
            await trio.sleep(_PAUSE_S)


def stop_listening(listener: socket.socket, start: StartOne) -> None:
    """Close a listener, after handing over all whom the kernel has accepted for it: a close would reset them.

    Who is in the middle of TCP's handshake at this moment is reset all the same, unless the kernel gives him to another
    listener of the port (net.ipv4.tcp_migrate_req, ip-sysctl.rst).
    """
    try:
        _accept_waiting(listener, start, at_most=_BACKLOG)
    finally:
        trio.lowlevel.notify_closing(listener)
        listener.close()


def _accept_waiting(listener: socket.socket, start: StartOne, *, at_most: int) -> bool:
    """Accept those who wait; False: it cannot be done now, for want of descriptors, memory or something else."""
    for _ in range(at_most):
        try:
            accepted, peer = listener.accept()
        except BlockingIOError:
            break
        except OSError as error:
            if error.errno in _GONE:
                continue
            if error.errno in _OUR_FAULT:
                raise
            _log.warning("accept.paused", error=error.strerror, seconds=_PAUSE_S)
            return False
        accepted.setblocking(False)
        start(accepted, peer)
    return True


def _names(address: ListenAddress, *, loopback: bool) -> list[tuple[int, str]]:
    """The families and numeric hosts that an address stands for; a name may have several."""
    if address.host is None and loopback:
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    if address.host is None:
        return list(_ANY_HOST.items())
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise ListenError(f"cannot listen on {address}: its name cannot be resolved; give an address") from None
    return list(dict.fromkeys((int(family), str(name[0])) for family, _, _, _, name in found))


def _open_on_one_port(address: ListenAddress, *, loopback: bool, reuse_port: bool) -> list[socket.socket]:
    names = _names(address, loopback=loopback)
    for _ in range(_TRIES_FOR_ONE_PORT):
        try:
            return _open_all(names, address.port, reuse_port=reuse_port)
        except OSError as error:
            failure = error
        if address.port or failure.errno != errno.EADDRINUSE:
            break  # else the number that the kernel picked for the first name was taken for another
    raise ListenError(f"cannot listen on {address}: {_why(failure, address.port, reuse_port=reuse_port)}")


def _open_all(names: Iterable[tuple[int, str]], port: int, *, reuse_port: bool) -> list[socket.socket]:
    """A listener for each name, all on one number; without those of a family that this system lacks."""
    listeners: list[socket.socket] = []
    lacking: OSError | None = None
    try:
        for family, host in names:
            try:
                name = host, listeners[0].getsockname()[1] if listeners else port
                listeners.append(_open(family, name, reuse_port=reuse_port))
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY:
                    raise
                lacking = error
    except BaseException:
        _close(listeners)
        raise
    if lacking is not None and not listeners:
        raise lacking
    return listeners


def _open(family: int, name: tuple[str, int], *, reuse_port: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(name)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _close(listeners: Iterable[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


def _why(error: OSError, port: int, *, reuse_port: bool) -> str:
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(port) if port else None
        if owner is not None and owner.pid == os.getpid():
            return _NAMED_TWICE
        but = ", where it does not run as this user and with reuse_port" if reuse_port else ""
        whom = "another program" if owner is None else str(owner)
        return f"the port is in use by {whom}{but}; stop that, or choose another port"
    if error.errno == errno.EACCES:
        return (
            "permission denied; a port this low needs the capability CAP_NET_BIND_SERVICE, or choose one from 1024 up"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return (error.strerror or str(error)).lower()
