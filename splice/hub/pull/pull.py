"""One pull: a task that brings one stream of one origin, for as long as it is held.

    address after address, until one gives media --> LiveStream, until that is lost --> a pause, and on with the next

It ends `idle_stop_s` after its last holder has left, or, while somebody holds it, `republish_grace_s` after the origin
has said that the stream has ended. An origin that is merely lost is tried again for as long as somebody holds it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog
import trio

from protocol.rtmp import MediaKind, MediaMessage
from splice.config import OriginAddress
from splice.config.addresses import format_authority
from splice.health import OriginHealth
from splice.hub.live_stream import LiveStream
from splice.hub.pauses import GrowingPauses
from splice.hub.pull.over_http import open_http_source
from splice.hub.pull.over_rtmp import open_rtmp_source
from splice.hub.pull.source import NoStreamError, PullTimeouts, Source
from splice.origins import OriginError
from splice.routing import Origin
from splice.stats import EndReason, Publisher
from splice.whereabouts import Whereabouts

__all__ = ["STEADY_S", "Pull"]

STEADY_S: Final = 60.0
"""When an origin is lost that has served for so long, the pauses begin small again."""
_MISSING: Final = 404  # the origin's own word: it is there, and the stream is not

_log = structlog.get_logger()


class Pull:
    """One stream of one origin.

    Attributes:
        origin: whom the next connection is made to; may be replaced.
        failure: why it never began to run; None while that is open, and when it did.
        forgotten: set when its place in the table is free again.
    """

    def __init__(
        self,
        origin: Origin,
        live: LiveStream,
        publisher: Publisher,
        *,
        timeouts: PullTimeouts,
        user_agent: str,
        health: OriginHealth,
        whereabouts: Whereabouts,
        pauses: GrowingPauses,
        on_stream: Callable[[LiveStream], None],
    ) -> None:
        """Args:
        live: the stream that is brought.
        publisher: the row that says who brings it.
        user_agent: what HTTP origins are told of the door.
        health: is told how asking the origin went.
        whereabouts: knows which of its addresses had the stream.
        pauses: between two connections.
        on_stream: called once, with the first media.
        """
        self.origin = origin
        self.live: Final = live
        self.publisher: Final = publisher
        self.timeouts: Final = timeouts
        self.failure: OriginError | None = None
        self.forgotten = trio.Event()
        self._user_agent: Final = user_agent
        self._health: Final = health
        self._whereabouts: Final = whereabouts
        self._pauses: Final = pauses
        self._on_stream: Final = on_stream
        self._log: Final[structlog.typing.FilteringBoundLogger] = _log.bind(
            id=publisher.id, origin=origin.name, app=publisher.app, stream=publisher.stream
        )
        self._settled = trio.Event()
        self._holders = 0
        self._idle_ends_at = math.inf
        self._grace_ends_at = math.inf
        self._restarts = False  # the next message is another connection's first
        self._lost: OriginAddress | None = None  # where the last connection that gave media was made to
        self._served_s = 0.0  # for how long the last attempt gave some

    # --- for those who hold it ---

    @property
    def ending(self) -> bool:
        """Whether it is too late to join: the pull was cancelled, or is about to notice that its time is over."""
        return self.publisher.scope.cancel_called

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the pull going while the block runs."""
        self._holders += 1
        self._idle_ends_at = math.inf
        self._set_deadline()
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._idle_ends_at = trio.current_time() + self.timeouts.idle_stop_s
                self._set_deadline()

    async def wait_settled(self) -> OriginError | None:
        """Wait until the stream runs (None), or is known not to (why)."""
        await self._settled.wait()
        return self.failure

    def settle(self, failure: OriginError | None) -> None:
        """Tell those who wait how it went; the first word stands."""
        if not self._settled.is_set():
            self.failure = failure
            self._settled.set()

    def _set_deadline(self) -> None:
        self.publisher.scope.deadline = min(self._idle_ends_at, self._grace_ends_at)

    # --- the pull's own task ---

    async def run(self) -> None:
        """Pull until nobody watches any more, or nothing is there to watch. No error of it leaves this method."""
        publisher = self.publisher
        self._log.info("pull.start")
        reason = EndReason.DRAINED
        try:
            with publisher.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.live.run)
                    await self._keep_pulling()
                    reason = EndReason.REFUSED
                    nursery.cancel_scope.cancel()
            if publisher.scope.cancelled_caught:
                reason = self._why_cancelled()
        except Exception:  # noqa: BLE001 -- a bug in one pull ends that one alone
            self._log.exception("pull.bug")
            reason = EndReason.ERROR
        finally:
            self.settle(OriginError(503, "the pull of this stream was ended by this door; ask for it again"))
            self.live.end()
            self._log.info("pull.end", reason=reason, seconds=round(publisher.seconds, 3), bytes=publisher.bytes)

    def _why_cancelled(self) -> EndReason:
        if self.publisher.ended_by is not None:
            return self.publisher.ended_by
        return EndReason.VIEWER_LEFT if self._idle_ends_at < self._grace_ends_at else EndReason.ORIGIN_ENDED

    async def _keep_pulling(self) -> None:
        """Connect again and again; returns only where the stream has never begun."""
        while True:
            loss = await self._pull_once()
            if not self._settled.is_set():
                self.settle(loss)
                return
            if isinstance(loss, NoStreamError) and self._grace_ends_at == math.inf:
                self._grace_ends_at = trio.current_time() + self.live.limits.republish_grace_s
                self._set_deadline()
            pause_s = self._pauses.next_s()
            if len(self.origin.addresses) > 1:
                pause_s = max(0.0, pause_s - self._served_s)  # the next one has not been bothered meanwhile
            self._log.warning("pull.lost", **loss.for_log, pause_s=round(pause_s, 2))
            await trio.sleep(pause_s)

    async def _pull_once(self) -> OriginError:
        """Pull from the first address that gives media; how that ended, or why none does.

        Of several addresses one that says 404 is the one to believe, for the others may just be down. But of a stream
        that ran, the word of the one that had it counts, and that is asked last: a spare one has often never had it.
        """
        failure = OriginError(502, "the origin has no address")
        origin, self._served_s = self.origin, 0.0
        for address in self._in_turn(origin):
            try:
                return await self._pull_from(origin, address)
            except OriginError as error:
                self._log.info("pull.failed", address=str(address), status=error.status, **error.for_log)
                if error.status == _MISSING:
                    self._health.succeeded(origin.name)
                else:
                    self._health.failed(origin.name, error.detail)
                if self._settled.is_set() or failure.status != _MISSING:
                    failure = error
        return failure

    def _in_turn(self, origin: Origin) -> Sequence[OriginAddress]:
        """Who had it a moment ago comes first; after a loss the next one does, and the one that was lost comes last."""
        if self._lost not in origin.addresses:
            return self._whereabouts.in_order(origin, self.live.app, self.live.stream)
        next_one = origin.addresses.index(self._lost) + 1
        return origin.addresses[next_one:] + origin.addresses[:next_one]

    async def _pull_from(self, origin: Origin, address: OriginAddress) -> OriginError:
        """Pull from one address until it is lost, which is what is returned.

        Raises:
            OriginError: it never gave media.
        """
        publisher = self.publisher
        open_source = open_rtmp_source if address.by_rtmp else open_http_source
        async with open_source(
            origin,
            address,
            publisher.app,
            publisher.stream,
            timeouts=self.timeouts,
            user_agent=self._user_agent,
        ) as source:
            publisher.peer = format_authority(address.host, address.port)
            publisher.address = address.host
            publisher.protocol = "rtmp-pull" if address.by_rtmp else "http-flv-pull"
            self._restarts = self.live.bytes_in > 0
            await self._begin(origin, source)
            self._log.info("pull.running", address=str(address))
            self._lost = address
            began_at = trio.current_time()
            with self._whereabouts.serving(origin, publisher.app, publisher.stream, address):
                loss = await self._go_on(source)
            self._served_s = trio.current_time() - began_at
            if self._served_s >= STEADY_S:
                self._pauses.reset()
            return loss

    async def _begin(self, origin: Origin, source: Source) -> None:
        """Take messages up to the first audio or video; with it the stream runs."""
        first_tag_s = self.timeouts.first_tag_s
        try:
            with trio.fail_after(first_tag_s):
                while (message := await source.next_message()) is not None:
                    self._push(message)
                    if message.kind is not MediaKind.DATA:
                        break
                else:
                    raise NoStreamError(404, "the origin ended the stream before it had begun")
        except trio.TooSlowError:
            raise NoStreamError(
                504,
                f"the origin sent no media within {first_tag_s:g} s; many stay silent while nobody publishes the "
                "stream: check its name, and that its encoder is running",
            ) from None
        self._grace_ends_at = math.inf
        self._set_deadline()
        self._health.succeeded(origin.name)
        if not self._settled.is_set():
            self._on_stream(self.live)
        self.settle(None)

    async def _go_on(self, source: Source) -> OriginError:
        """Take messages until the origin is lost, or has ended the stream: which of them, and how."""
        stall_s = self.timeouts.stall_s
        try:
            while True:
                with trio.fail_after(stall_s):
                    message = await source.next_message()
                if message is None:
                    return NoStreamError(404, "the origin has ended the stream")
                self._push(message)
        except trio.TooSlowError:
            return OriginError(504, f"the origin has sent nothing for {stall_s:g} s")
        except OriginError as error:
            return error

    def _push(self, message: MediaMessage) -> None:
        if self._restarts:
            self._restarts = False
            self.live.restart()
        self.publisher.bytes += len(message.payload)
        self.live.push(message.kind, message.timestamp, message.payload)
