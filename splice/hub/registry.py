"""The streams that are published here, by name; and how long each of them lives.

A stream begins with its first publisher and ends `republish_grace_s` after its last one has gone: an encoder that comes
back in between goes on where it stopped, and its viewers only notice a pause. Each stream's own task, and the one that
ends it, run in the server's nursery, since both outlive any connection.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog
import trio

from splice.hub.live_stream import HubLimits, LiveStream
from splice.stats import EndReason, Publisher

__all__ = ["Hub", "NameTakenError"]

_log = structlog.get_logger()

_Name = tuple[str, str]


class NameTakenError(Exception):
    """Somebody publishes under this name, and has been heard of lately."""


@dataclass(slots=True, eq=False)
class _Entry:
    stream: LiveStream
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    publisher: Publisher | None = None
    expiry: trio.CancelScope | None = None


class Hub:
    """See the module. All its methods are for Trio's thread.

    Attributes:
        on_stream: called with every stream that begins, before anything was pushed to it; where one of them raises, the
            stream does not begin, and whoever would have published it gets the error.
        door: this door's own id, by which forwards that go in a circle are known (`Passage`).
    """

    def __init__(
        self, nursery: trio.Nursery, *, limits: Callable[[str], HubLimits], takeover_s: Callable[[str], float]
    ) -> None:
        """Args:
        nursery: where the streams' own tasks run; cancelling it ends them all.
        limits: by an application's name.
        takeover_s: after so many seconds of silence a publisher loses its name to another; by an application's name.
        """
        self.on_stream: Final[list[Callable[[LiveStream], None]]] = []
        self.door: Final = secrets.token_hex(8)
        self._nursery: Final = nursery
        self._limits: Final = limits
        self._takeover_s: Final = takeover_s
        self._entries: dict[_Name, _Entry] = {}
        self._awaited: dict[_Name, trio.Event] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[LiveStream, Publisher | None]]:
        return iter([(entry.stream, entry.publisher) for entry in self._entries.values()])

    def find(self, app: str, stream: str) -> LiveStream | None:
        """The live stream of this name; None where nobody publishes it, nor did a moment ago."""
        entry = self._entries.get((app, stream))
        return None if entry is None else entry.stream

    async def wait_for(self, app: str, stream: str, seconds: float) -> LiveStream | None:
        """The live stream of this name, if it is here or comes within so many seconds."""
        found = self.find(app, stream)
        if found is None and seconds > 0:
            event = self._awaited.setdefault((app, stream), trio.Event())
            try:
                with trio.move_on_after(seconds):
                    await event.wait()
            finally:
                if not event.statistics().tasks_waiting and self._awaited.get((app, stream)) is event:
                    del self._awaited[app, stream]
            found = self.find(app, stream)
        return found

    def give_up(self, app: str, stream: str) -> None:
        """Tell those who wait for a stream that it does not come."""
        awaited = self._awaited.pop((app, stream), None)
        if awaited is not None:
            awaited.set()

    def publisher(self, app: str, stream: str) -> Publisher | None:
        """Who publishes this name now."""
        entry = self._entries.get((app, stream))
        return None if entry is None else entry.publisher

    @contextmanager
    def published(self, publisher: Publisher) -> Iterator[LiveStream]:
        """Hold the name of `publisher` while the block runs, and give the stream to push to.

        Raises:
            NameTakenError: somebody else holds it.
        """
        name = publisher.app, publisher.stream
        entry = self._claim(name, publisher)
        try:
            yield entry.stream
        finally:
            if entry.publisher is publisher:
                entry.publisher = None
                entry.stream.flush()
                entry.expiry = trio.CancelScope()
                self._nursery.start_soon(self._expire, name, entry, entry.expiry)

    def end(self, app: str, stream: str, reason: EndReason) -> bool:
        """End a stream at once: its publisher is told nothing more, and its viewers are. Whether there was one."""
        entry = self._entries.get((app, stream))
        if entry is None:
            return False
        publisher, entry.publisher = entry.publisher, None
        if publisher is not None:
            publisher.end(reason)
        self._remove((app, stream), entry)
        return True

    def _claim(self, name: _Name, publisher: Publisher) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            entry = self._begin(name)
        else:
            if entry.publisher is not None:
                if trio.current_time() - entry.stream.last_packet_at < self._takeover_s(name[0]):
                    raise NameTakenError
                entry.publisher.end(EndReason.REPLACED)
            if entry.expiry is not None:
                entry.expiry.cancel()
                entry.expiry = None
            entry.stream.restart()
        entry.publisher = publisher
        awaited = self._awaited.pop(name, None)
        if awaited is not None:
            awaited.set()
        return entry

    def _begin(self, name: _Name) -> _Entry:
        entry = _Entry(LiveStream(*name, self._limits(name[0])))
        try:
            for observe in self.on_stream:
                observe(entry.stream)
        except BaseException:
            entry.stream.end()  # for those who were told already: nobody else will ever end it
            raise
        self._entries[name] = entry
        self._nursery.start_soon(self._run, name, entry)
        return entry

    async def _run(self, name: _Name, entry: _Entry) -> None:
        try:
            with entry.scope:
                await entry.stream.run()
        except Exception:  # noqa: BLE001 -- a bug in one stream ends that one alone
            _log.exception("stream.bug", app=name[0], stream=name[1])
            self.end(*name, EndReason.ERROR)

    async def _expire(self, name: _Name, entry: _Entry, scope: trio.CancelScope) -> None:
        with scope:
            await trio.sleep(entry.stream.limits.republish_grace_s)
            self._remove(name, entry)

    def _remove(self, name: _Name, entry: _Entry) -> None:
        if self._entries.get(name) is entry:
            del self._entries[name]
        entry.stream.end()
        entry.scope.cancel()
        if entry.expiry is not None:
            entry.expiry.cancel()
        _log.info("stream.end", app=name[0], stream=name[1], bytes=entry.stream.bytes_in)
