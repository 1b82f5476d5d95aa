"""A virtual cable into a network namespace of this process's own, carried by the tests' own wire.

    the machine's namespace                   this process                   a namespace of its own
    splice0, 198.18.0.1  --TUN descriptor--   Wire   --TUN descriptor--  eth0, 198.18.0.2

A TUN device has no offloads until asked for them: packets come to the wire one by one, cut and summed by the kernel's
TCP. Devices and namespace live by this process's descriptors alone, so nothing is left, however it ends.
"""

import ctypes
import fcntl
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from typing import ParamSpec, TypeVar

from tests.abuse.wire import Wire
from tests.e2e.processes import need

__all__ = ["Cable", "DisciplineError", "cable"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

# <sched.h>, <linux/if_tun.h>
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000

_FAR = "eth0"
_SEED = 8


class DisciplineError(Exception):
    """The kernel knows no such queueing discipline."""


class Cable:
    """The cable.

    Attributes:
        wire: what carries it; a task has to run `wire.carry`.
        address: the far end's.
    """

    def __init__(self, wire: Wire, near: str, address: str, beyond: ThreadPoolExecutor) -> None:
        self.wire = wire
        self.address = address
        self._near = near
        self._beyond = beyond

    def at_far_end(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function in the far namespace. A socket that it opens stays there, whoever uses it."""
        return self._beyond.submit(function, *args, **kwargs).result()

    def queue_by(self, *discipline: str) -> None:
        """Let the kernel queue by this discipline what goes into either end, tc(8).

        Raises:
            DisciplineError: this kernel is built without it.
        """
        _queue_by(self._near, discipline)
        self.at_far_end(_queue_by, _FAR, discipline)


@contextmanager
def cable() -> Iterator[Cable]:
    """A cable, and the namespace at its far end, for as long as the block runs.

    Raises:
        OSError: this process may not have them, or this machine has no such thing.
    """
    with ThreadPoolExecutor(1) as beyond:  # the namespace's one thread, which nothing else is run by
        near, name = _open_tun("splice%d")  # the kernel sets the number in
        with near:
            beyond.submit(_leave_for_a_new_namespace).result()
            far, _ = beyond.submit(_open_tun, _FAR).result()
            with far:
                network = f"198.18.{name.removeprefix('splice')}"  # of the block for tests of networks, RFC 2544, C.2.2
                here, there = f"{network}.1", f"{network}.2"
                _set_up(name, here, there)
                beyond.submit(_set_up, _FAR, there, here).result()
                yield Cable(Wire(near.fileno(), far.fileno(), seed=_SEED), name, there, beyond)


def _leave_for_a_new_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.unshare comes with Python 3.12
    if libc.unshare(_CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "unshare")


def _open_tun(name: str) -> tuple[FileIO, str]:
    """A TUN device in the thread's namespace: what the kernel sends by it is read, what is written comes in by it."""
    file = FileIO("/dev/net/tun", "r+")
    try:
        asked = struct.pack("16sH14x", name.encode(), _IFF_TUN | _IFF_NO_PI)  # struct ifreq
        given = fcntl.ioctl(file, _TUNSETIFF, asked)
        os.set_blocking(file.fileno(), False)
    except OSError:
        file.close()
        raise
    return file, given[:16].rstrip(b"\0").decode()


def _set_up(device: str, here: str, there: str) -> None:
    _run("ip", "address", "add", here, "peer", there, "dev", device)
    _run("ip", "link", "set", device, "up")


def _queue_by(device: str, discipline: tuple[str, ...]) -> None:
    try:
        _run("tc", "qdisc", "replace", "dev", device, "root", *discipline)
    except subprocess.CalledProcessError as error:
        raise DisciplineError(f"{discipline[0]}: {error.stderr.decode().strip()}") from error


def _run(*command: str) -> None:
    subprocess.run([need(command[0]), *command[1:]], capture_output=True, check=True)
