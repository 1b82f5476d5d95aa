"""The forwards in force: those of the configuration, and those that the operator has added since the door started.

    configure, add --> Forward (a rule) --begin, for each stream that it fits--> Sending
    every stream that begins here ---------^

A reload leaves alone what it does not change: only the forwards that are gone end, and the new ones begin at once.
"""

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from protocol.rtmp import RtmpUrl
from splice.hub.forward.counts import ForwardCounts
from splice.hub.forward.sending import FAREWELL_S, ForwardTimeouts, Sending
from splice.hub.forward.target import ForwardRule, Target
from splice.hub.live_stream import LiveStream
from splice.hub.pauses import GrowingPauses

__all__ = ["Forward", "Forwards"]


class Forward:
    """A rule that is in force.

    Attributes:
        id: opaque, unique in this process.
        rule: which streams go where.
        configured: whether it stands in the configuration.
        last_error: why a target of it was lost the last time; None: none ever was.
    """

    def __init__(self, id: str, rule: ForwardRule, *, configured: bool) -> None:  # noqa: A002 -- its name everywhere
        self.id: Final = id
        self.rule: Final = rule
        self.configured = configured
        self._sendings: dict[LiveStream, Sending] = {}
        self._counts_before = ForwardCounts()  # of the streams that have ended
        self._last_loss_before: tuple[float, str] | None = None

    @property
    def sendings(self) -> list[Sending]:
        """The streams that are on their way, the oldest first."""
        return list(self._sendings.values())

    @property
    def counts(self) -> ForwardCounts:
        """All that is counted, of all streams that there ever were."""
        return sum((sending.counts for sending in self._sendings.values()), self._counts_before)

    @property
    def last_error(self) -> str | None:
        """Why a stream on its way was lost the last time; None: none ever was."""
        losses = [self._last_loss_before, *(sending.last_loss for sending in self._sendings.values())]
        return max(filter(None, losses), default=(0.0, None))[1]

    def sends(self, live: LiveStream) -> bool:
        """Whether it sends this stream on."""
        return live in self._sendings

    def begins(self, sending: Sending) -> None:
        """A stream is on its way."""
        self._sendings[sending.live] = sending

    def ends(self, sending: Sending) -> None:
        """It has ended; what it counted stays."""
        del self._sendings[sending.live]
        self._counts_before += sending.counts
        self._last_loss_before = max(filter(None, (self._last_loss_before, sending.last_loss)), default=None)

    def stop(self) -> None:
        """End all that is on its way, in order."""
        for sending in self.sendings:
            sending.stop()


class Forwards:
    """See the module. All its methods are for Trio's thread.

    Attributes:
        timeouts: for the connections that are made from now on.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        timeouts: ForwardTimeouts,
        streams: Callable[[], Iterable[LiveStream]],
        door: str = "",
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Args:
        nursery: where streams are sent; cancelling it ends them all.
        timeouts: of the connections.
        streams: those that are live, for the forwards that begin later than they.
        door: this door's own id, by which circles are found (`Passage`).
        jitter: gives numbers from 0 up to 1.
        """
        self.timeouts = timeouts
        self._nursery: Final = nursery
        self._streams: Final = streams
        self._door: Final = door
        self._jitter: Final = jitter
        self._forwards: dict[ForwardRule, Forward] = {}
        self._ids: Final = itertools.count(1)
        self._sendings: dict[Sending, None] = {}
        self._none_left = trio.Event()
        self._none_left.set()
        self._counts_before: defaultdict[str, ForwardCounts] = defaultdict(ForwardCounts)  # of what has ended

    def __iter__(self) -> Iterator[Forward]:
        """Those in force, the oldest first."""
        return iter(list(self._forwards.values()))

    @property
    def sendings(self) -> list[Sending]:
        """All streams on their way, the oldest first: by a forward, by `sending`, and those that say goodbye."""
        return list(self._sendings)

    def counts(self) -> dict[str, ForwardCounts]:
        """What was counted since the start, by the server that it went to: one for each that the operator has named."""
        counts = self._counts_before.copy()
        for sending in self._sendings:
            counts[sending.target.server] += sending.counts
        return dict(counts)

    def configure(self, rules: Iterable[ForwardRule]) -> None:
        """Put the configuration's rules in force, in place of those that it had before.

        What was added by `add` stays; where the configuration names it now, it is the configuration's from here on.
        """
        wanted = dict.fromkeys(rules)
        for forward in self:
            if forward.configured and forward.rule not in wanted:
                self.remove(forward)
        for rule in wanted:
            if rule in self._forwards:
                self._forwards[rule].configured = True
            else:
                self._begin(rule, configured=True)

    def add(self, rule: ForwardRule) -> Forward:
        """Put another rule in force until `remove`; `ValueError`: it is in force already."""
        if rule in self._forwards:
            raise ValueError(f"this forward is there already: {self._forwards[rule].id}")
        return self._begin(rule, configured=False)

    def find(self, id: str) -> Forward | None:  # noqa: A002 -- its name everywhere
        """The forward of this id, where it is in force."""
        return next((forward for forward in self if forward.id == id), None)

    def remove(self, forward: Forward) -> None:
        """Let a forward end, with all that is on its way by it."""
        del self._forwards[forward.rule]
        forward.stop()

    async def stop_all(self) -> None:
        """Let all forwards end, those that were added too, and wait for their last words: a second at most.

        A cancellation leaves them to say these by themselves.
        """
        for forward in self:
            self.remove(forward)
        with trio.move_on_after(FAREWELL_S):
            await self._none_left.wait()

    def begin(self, live: LiveStream) -> None:
        """Send a stream on to wherever the rules say, until it ends; to be called with every stream that begins."""
        for forward in self:
            self._send_by(forward, live)

    @contextmanager
    def sending(self, live: LiveStream, url: RtmpUrl) -> Iterator[None]:
        """Send a stream on to `url` while the block runs, unless a rule has it sent there anyway."""
        if any(sending.target.url == url for forward in self for sending in forward.sendings if sending.live is live):
            yield
            return
        sending = self._sending(live, Target.of(url, live.stream))
        self._nursery.start_soon(self._run, sending)
        try:
            yield
        finally:
            sending.stop()

    def _begin(self, rule: ForwardRule, *, configured: bool) -> Forward:
        forward = self._forwards[rule] = Forward(f"f{next(self._ids)}", rule, configured=configured)
        for live in self._streams():
            self._send_by(forward, live)
        return forward

    def _send_by(self, forward: Forward, live: LiveStream) -> None:
        target = forward.rule.target(live.app, live.stream)
        if target is not None and not forward.sends(live) and not live.ended.is_set():
            sending = self._sending(live, target)
            forward.begins(sending)
            self._nursery.start_soon(self._run, sending, forward)

    def _sending(self, live: LiveStream, target: Target) -> Sending:
        pauses = GrowingPauses(self._jitter)
        return Sending(live, target, timeouts=lambda: self.timeouts, door=self._door, pauses=pauses)

    async def _run(self, sending: Sending, forward: Forward | None = None) -> None:
        if not self._sendings:
            self._none_left = trio.Event()
        self._sendings[sending] = None
        try:
            await sending.run()
        finally:
            del self._sendings[sending]
            self._counts_before[sending.target.server] += sending.counts
            if forward is not None:
                forward.ends(sending)
            if not self._sendings:
                self._none_left.set()
