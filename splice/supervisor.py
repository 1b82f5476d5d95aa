"""What systemd is told: that the door accepts, so that `systemctl start` returns then and not before (sd_notify(3))."""

import os
import socket

__all__ = ["tell_ready"]


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
