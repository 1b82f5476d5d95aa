"""What passes between the door and whoever keeps it up, systemd or a container's engine, while it starts.

It is told when the door accepts, so that `systemctl start` returns then and not before (sd_notify(3)). What it asks
meanwhile waits until the door can do it (signal(7)).
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["hold_signals", "let_signals_in", "spent_signals", "tell_ready"]

_HELD: Final = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP wait while the body runs, or until it calls `let_signals_in`.

    The kernel throws them away where process 1, which the door is in a container, has no handlers yet: `docker stop`
    would wait its whole time for a door that was starting, and kill it. Every other process they would end. What waits
    comes when the body has handlers; those that it has no use for come behind it.

    Call it before the first thread is started: one thread that holds nothing takes what is meant for all. Threads that
    are started meanwhile hold them for good; start no process from one.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_signals_in() -> None:
    """Let what `hold_signals` holds come, now that there are handlers; call it in the main thread."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


@contextmanager
def spent_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP change nothing where nobody else takes them, while the body runs.

    A door that is on its way out has been told already, and its last words are not to be cut short by being told again.
    They are not ignored in the kernel's sense, which would throw away what `hold_signals` holds.
    """
    before = {number: signal.signal(number, lambda *_: None) for number in _HELD}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tell_ready() -> None:
    """Tell the supervisor that waits for it, where there is one (`Type=notify`), that viewers may come."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name  # of Linux's abstract names
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.sendto(b"READY=1", address)
    except OSError:
        pass  # it has gone, or waits until its own time is over, and then says so itself
