"""Who listens on a TCP port already: the process, as Linux tells it by proc(5).

    /proc/net/tcp, tcp6: local port, state, socket inode -> /proc/PID/fd/N: socket:[inode] -> /proc/PID/comm

On other systems, and for processes of other users (whose fd directories are closed to us), nobody is found.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["PortOwner", "port_owner"]

_PROC: Final = Path("/proc")
_LISTEN: Final = "0A"  # TCP_LISTEN of the kernel's tcp_states.h, in hexadecimal


class PortOwner(NamedTuple):
    """A process that listens: its id, and its command's name."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid})"


def port_owner(port: int, *, proc: Path = _PROC) -> PortOwner | None:
    """The process that listens on `port` (1 to 65535) in our network namespace, on whichever address; None: unknown."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    if not wanted:
        return None
    for process in proc.glob("[0-9]*"):
        if wanted.intersection(_open_files(process)):
            return PortOwner(int(process.name), _command(process))
    return None


def _listening_inodes(port: int, proc: Path) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines[1:]:
            # sl, local ADDRESS:PORT in hexadecimal, remote, state, queues, timer, retransmits, uid, timeout, inode
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _open_files(process: Path) -> Iterator[str]:
    try:
        for descriptor in (process / "fd").iterdir():
            yield str(descriptor.readlink())
    except OSError:
        return  # another user's, or it has just ended


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a process"
