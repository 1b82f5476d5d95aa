"""Pipes for `os.splice`, lent to a relay only while bytes are stuck in them.

splice(2) moves pages between a socket and a pipe, so going from socket to socket takes a pipe in between. It is empty
again as soon as the sink has taken everything; so one pipe serves every relay in turn, and only a relay whose sink
blocks half-way keeps its pipe until the rest is gone.
"""

import fcntl
import os

__all__ = ["PIPE_BYTES", "Pipe", "PipePool"]

PIPE_BYTES = 1 << 20  # Linux's default ceiling for an unprivileged user (/proc/sys/fs/pipe-max-size)
_KEPT_PIPES = 16


class Pipe:
    """One non-blocking pipe; `pending` bytes of it are still to be written to its relay's sink."""

    __slots__ = ("pending", "read_fd", "write_fd")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.pending = 0
        try:
            fcntl.fcntl(self.write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            pass  # over the user's page quota: the pipe keeps its 64 KiB, which is slower and just as right

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)


class PipePool:
    """Empty pipes, made when asked for, a few of them kept for the next relay."""

    def __init__(self) -> None:
        self._free: list[Pipe] = []

    def borrow(self) -> Pipe:
        """An empty pipe.

        Raises:
            OSError: no descriptor is left.
        """
        return self._free.pop() if self._free else Pipe()

    def give_back(self, pipe: Pipe) -> None:
        """Take a pipe back; one with bytes in it, or one too many, is closed."""
        if pipe.pending or len(self._free) >= _KEPT_PIPES:
            pipe.close()
        else:
            self._free.append(pipe)

    def close(self) -> None:
        while self._free:
            self._free.pop().close()
