"""The pump of every other system: the same relays, each in its connection's own task, on Trio's own readiness calls."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from splice.pump.relay import DROPPED_INPUT_BYTES, Outcome, Tap, outcome_of_leaving
from splice.stats import Meter

__all__ = ["PortablePump"]

_BUFFER_BYTES: Final = 64 * 1024


class PortablePump:
    """See the module. Made by `open()`."""

    def __init__(self) -> None:
        self._registrations = 0
        self._turns = 0

    @classmethod
    @asynccontextmanager
    async def open(cls) -> "AsyncIterator[PortablePump]":
        """A pump; there is nothing to run."""
        yield cls()
        await trio.lowlevel.checkpoint()

    @property
    def registrations(self) -> int:
        return self._registrations

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
        outcome = Outcome.SOURCE_ENDED
        bug: Exception | None = None
        on_the_way = _OnTheWay()

        async def watch_sink() -> None:
            nonlocal outcome
            await _sink_leaves(sink)
            nothing_kept = length is None and not on_the_way.bytes
            outcome = outcome_of_leaving(source, nothing_kept=nothing_kept)
            nursery.cancel_scope.cancel()

        self._registrations += 2
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_sink)
                try:
                    outcome = await self._copy(source, sink, length, stall_s, meter, tap, on_the_way)
                except Exception as caught:  # noqa: BLE001 -- carried over the nursery, which would wrap it in a group
                    bug = caught
                nursery.cancel_scope.cancel()
        finally:
            self._registrations -= 2
        if bug is not None:
            raise bug
        return outcome

    async def _copy(
        self,
        source: socket.socket,
        sink: socket.socket,
        left: int | None,
        stall_s: float,
        meter: Meter,
        tap: Tap | None,
        on_the_way: "_OnTheWay",
    ) -> Outcome:
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        while left is None or left > 0:
            with trio.move_on_after(stall_s) as patience:
                try:
                    received = await _receive(source, buffer[:left])
                except OSError:
                    return Outcome.SOURCE_LOST
            if patience.cancelled_caught:
                return Outcome.STALLED
            self._turns += 1
            if not received:
                return Outcome.SOURCE_LOST if left else Outcome.SOURCE_ENDED
            rest = buffer[:received]
            if tap is not None and not tap(rest):
                tap = None
            on_the_way.bytes = received
            while rest:
                with trio.move_on_after(stall_s) as patience:
                    try:
                        sent = await _send(sink, rest)
                    except OSError:
                        return Outcome.SINK_LEFT
                if patience.cancelled_caught:
                    return Outcome.STALLED
                meter.bytes += sent
                rest = rest[sent:]
                on_the_way.bytes -= sent
            if left is not None:
                left -= received
        return Outcome.SOURCE_ENDED


class _OnTheWay:
    """Counts what was received and not yet taken by the sink's kernel."""

    bytes = 0


async def _receive(source: socket.socket, buffer: memoryview) -> int:
    while True:
        await trio.lowlevel.wait_readable(source)
        try:
            return source.recv_into(buffer)
        except BlockingIOError:
            continue


async def _send(sink: socket.socket, data: memoryview) -> int:
    while True:
        try:
            sent = sink.send(data)
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sink)
            continue
        await trio.lowlevel.checkpoint()
        return sent


async def _sink_leaves(sink: socket.socket) -> None:
    dropped = 0
    while dropped <= DROPPED_INPUT_BYTES:
        await trio.lowlevel.wait_readable(sink)
        try:
            received = sink.recv(4096)
        except BlockingIOError:
            continue
        except OSError:
            return
        if not received:
            return
        dropped += len(received)
