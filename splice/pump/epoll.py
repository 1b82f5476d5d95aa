"""The pump of Linux: one epoll and one plain loop for the relays of the whole process.

    Trio's thread                                  the pump's thread
    relay() registers two sockets,     ------>     epoll: which sockets are ready?
    sleeps until its relay has ended,  <------     for each: receive, send, next
    unregisters them

A task switch for each read costs more than the read itself. So these sockets are not Trio's to watch: a private epoll
watches them, and what is ready is served in one loop, without a task switch. The loop runs in a thread of its own, as
its system calls release the interpreter anyway; a connection's task only awaits the end of its relay.

One lock makes cancellation as strict as in one thread: it is held while one event is served, and while a relay is
registered or unregistered. Who has unregistered under the lock can be sure that nothing touches its sockets any more.
"""

import os
import select
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import trio

from splice.pump.epoll_relay import EpollRelay
from splice.pump.pipes import PipePool
from splice.pump.relay import Outcome, Tap
from splice.stats import Meter

__all__ = ["EpollPump"]

_EVENTS_PER_TURN: Final = 512
_BUFFER_BYTES: Final = 64 * 1024
_TICK_S: Final = 0.25


class _Owner(Protocol):
    def crash(self, bug: Exception) -> None: ...


class EpollPump:
    """See the module. Made by `open()`; the methods below `relay` are for the relays alone."""

    def __init__(self) -> None:
        self.lock: Final = threading.Lock()
        self.pipes: Final = PipePool()
        self.buffer: Final = memoryview(bytearray(_BUFFER_BYTES))
        self.tick = trio.current_time() + _TICK_S
        self._turns = 0
        self._stopping = False
        self._registrations: dict[int, tuple[Callable[[int], None], _Owner]] = {}
        self._trio = trio.lowlevel.current_trio_token()
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> "AsyncIterator[EpollPump]":
        """A running pump. All relays must have ended when the block is left."""
        pump = cls()
        thread = threading.Thread(target=pump._serve, name="splice-pump", daemon=True)
        thread.start()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pump._keep_time)
                yield pump
                nursery.cancel_scope.cancel()
        finally:
            pump._stop(thread)

    @property
    def registrations(self) -> int:
        return len(self._registrations)

    @property
    def turns(self) -> int:
        return self._turns

    async def relay(
        self,
        source: socket.socket,
        sink: socket.socket,
        *,
        length: int | None,
        stall_s: float,
        meter: Meter,
        tap: Tap | None = None,
    ) -> Outcome:
        """Move bytes from `source` to `sink` until either is done; see `Pump.relay`."""
        relay = EpollRelay(self, source, sink, length, meter, tap)
        try:
            with self.lock:
                relay.start()
            while relay.outcome is None:
                stalls_at = relay.progressed_at + stall_s
                if trio.current_time() >= stalls_at:
                    return Outcome.STALLED
                with trio.move_on_at(stalls_at):
                    await relay.ended.wait()
            if relay.bug is not None:
                raise relay.bug
            return relay.outcome
        finally:
            with self.lock:
                relay.stop()

    def watch(self, fd: int, events: int, serve: Callable[[int], None], owner: _Owner) -> None:
        """Call `serve(events)` whenever `fd` is ready for one of `events`, level-triggered."""
        self._epoll.register(fd, events)
        self._registrations[fd] = serve, owner

    def rewatch(self, fd: int, events: int) -> None:
        """Watch `fd` for other events than before."""
        self._epoll.modify(fd, events)

    def hand_over(self, fd: int, serve: Callable[[int], None]) -> None:
        """Call another function of the same owner from now on; a descriptor that is not watched is no error."""
        registration = self._registrations.get(fd)
        if registration is not None:
            self._registrations[fd] = serve, registration[1]

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; one that is not watched is no error."""
        if self._registrations.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def tell_trio(self, function: Callable[[], object]) -> None:
        """Call `function` soon in Trio's thread."""
        self._trio.run_sync_soon(function)

    def _serve(self) -> None:
        # Event and registration can disagree: the descriptor of an event collected a moment ago may have been closed
        # and given out anew by Trio's thread. It does no harm, since whoever is called learns what its socket has to
        # say by receiving and sending, and these sockets never block.
        poll, lock, registrations = self._epoll.poll, self.lock, self._registrations
        while not self._stopping:
            ready = poll(-1, _EVENTS_PER_TURN)
            self._turns += 1
            for fd, events in ready:
                with lock:
                    registration = registrations.get(fd)
                    if registration is None:
                        continue
                    serve, owner = registration
                    try:
                        serve(events)
                    except Exception as bug:  # noqa: BLE001 -- a bug ends one connection, whose task raises it
                        owner.crash(bug)

    async def _keep_time(self) -> None:
        """Move the coarse clock that relays stamp their progress with. It runs a tick ahead: no stall is early."""
        while True:
            self.tick = trio.current_time() + _TICK_S
            await trio.sleep(_TICK_S)

    def _stop(self, thread: threading.Thread) -> None:
        self._stopping = True
        os.eventfd_write(self._bell, 1)
        thread.join()
        self._epoll.close()
        os.close(self._bell)
        self.pipes.close()
