"""Lines that go to a file whose reader may be slow, or gone, and that hold nobody up.

    write --> has the file room? --yes--> the file
                   | no
                   '--> a queue, of bounded size --> a thread, for as long as something waits --> the file

A line goes out at once, in the thread that logs it, as long as the file takes it without waiting: so a crash leaves a
whole log behind. A pipe that is full, because a container's log driver hangs, or a terminal that Ctrl-S has stopped,
would else stop the loop, and every stream in it.
"""

import atexit
import os
import select
import threading
from collections import deque
from typing import Final, TextIO

__all__ = ["LogLines"]

_MOST_WAITING_BYTES: Final = 4 * 1024 * 1024
_LAST_LINES_S: Final = 1.0


class LogLines:
    """Writes lines, and goes on where that fails: whoever read them may have gone (EPIPE), or the disk be full."""

    def __init__(self, file: TextIO) -> None:
        self._file: Final = file
        self._descriptor: Final = _descriptor(file)
        self._lock: Final = threading.Lock()
        self._waiting: Final[deque[bytes]] = deque()
        self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        self._ends_with_us = False
        self._dropped = 0

    def write(self, line: str) -> int:
        """Write a line, from any thread, or let it wait, or drop it where too much waits already.

        Returns: how many lines were dropped since the last answer above 0; told once the file has room again.
        """
        if self._descriptor is None:
            self._file.write(line)
            return 0
        data = line.encode(errors="backslashreplace")
        with self._lock:
            if self._thread is not None:
                self._queue(data)
                return 0
            if not _has_room(self._descriptor, len(data)):
                self._queue(data)
                self._start_thread(self._descriptor)
                return 0
            _write(self._descriptor, data)
            dropped, self._dropped = self._dropped, 0
            return dropped

    def _queue(self, data: bytes) -> None:
        if self._waiting_bytes + len(data) > _MOST_WAITING_BYTES:
            self._dropped += 1
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)

    def _start_thread(self, descriptor: int) -> None:
        # A daemon, since it may hang in its write for ever: the end of the process gives it a moment, and no more.
        self._thread = threading.Thread(target=self._write_waiting, args=(descriptor,), name="log", daemon=True)
        self._thread.start()
        if not self._ends_with_us:
            self._ends_with_us = True
            atexit.register(self._finish)

    def _write_waiting(self, descriptor: int) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                data = self._waiting.popleft()
                self._waiting_bytes -= len(data)
            _write(descriptor, data)

    def _finish(self) -> None:
        thread = self._thread
        if thread is not None:
            thread.join(_LAST_LINES_S)


def _descriptor(file: TextIO) -> int | None:
    try:
        return file.fileno()
    except (OSError, ValueError):
        return None  # it lies in memory


def _has_room(descriptor: int, size: int) -> bool:
    # A pipe that poll(2) calls writable takes PIPE_BUF bytes without waiting (pipe(7)). Files always are.
    return size <= select.PIPE_BUF and bool(_poll(descriptor, wait=False))


def _write(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # who has started us shares the pipe, and wants it so
            _poll(descriptor, wait=True)
        except OSError:
            return  # as the class says


def _poll(descriptor: int, *, wait: bool) -> list[tuple[int, int]]:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return poll.poll(None if wait else 0)
