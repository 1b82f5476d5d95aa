"""One stream on its way to one other RTMP server.

    LiveStream --> Subscriber, all by backlog --> the target's socket, or TLS
    CONNECTING --> RUNNING --> WAITING, a growing pause, and again; until the stream ends, or `stop`

It is a viewer like any other, so it cannot slow its stream: when the target is slow, packets are left out up to the
next keyframe. RTMP 1.0, section 7.2.2.6.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog
import trio

from protocol.amf import amf0
from protocol.rtmp import Connected, MediaKind, PublishStarted, Refused, StreamEnded
from splice.hub.feeding import feed, feed_by
from splice.hub.formats import RtmpForm
from splice.hub.forward.counts import ForwardCounts
from splice.hub.forward.target import Target
from splice.hub.live_stream import LiveStream
from splice.hub.packet import Packet
from splice.hub.pauses import GrowingPauses
from splice.hub.rtmp_client import RtmpClient, open_rtmp_client
from splice.hub.subscriber import Subscriber
from splice.origins import OriginError
from splice.stats import EndReason

__all__ = ["FAREWELL_S", "ForwardTimeouts", "Sending", "SendingState"]

FAREWELL_S: Final = 1.0
"""How long the rest of a stream may take, once it has ended."""

_STEADY_S: Final = 60.0
_ON_METADATA: Final = amf0.encode("onMetaData")
_SET_DATA_FRAME: Final = amf0.encode("@setDataFrame")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ForwardTimeouts:
    """How long a target is waited for, in seconds.

    Attributes:
        connect_s: until it has accepted a connection, name resolution and TLS handshake included.
        start_s: and from there until it accepts the stream.
        stall_s: and in which it must take something of what waits for it.
    """

    connect_s: float
    start_s: float
    stall_s: float


class SendingState(StrEnum):
    """Where a stream on its way stands."""

    CONNECTING = "connecting"
    RUNNING = "running"
    WAITING = "waiting"


class Sending:
    """See the module. It is the `Meter` of what the target has taken.

    Attributes:
        live: the stream.
        target: where it goes.
        state: where it stands.
        in_state_since: when it began to run, or ceased to, in Trio's time; connecting and waiting are one trouble.
        bytes: what the target has taken so far, over all its connections.
        losses: how many times a connection to it failed, or was lost.
        reconnects: how many times it was connected to again.
        last_loss: when it was lost the last time, in Trio's time, and why; None: it never was.
        started_at: in Trio's time, seconds.
    """

    def __init__(
        self,
        live: LiveStream,
        target: Target,
        *,
        timeouts: Callable[[], ForwardTimeouts],
        door: str,
        pauses: GrowingPauses,
    ) -> None:
        """Args:
        timeouts: gives those in force; asked at each connection.
        door: this door's own id, which the target is told (`Passage`).
        pauses: between two connections.
        """
        self.live: Final = live
        self.target: Final = target
        self.state = SendingState.CONNECTING
        self.bytes = 0
        self.losses = 0
        self.reconnects = 0
        self.last_loss: tuple[float, str] | None = None
        self.started_at: Final = trio.current_time()
        self.in_state_since = self.started_at
        self._skipped = 0  # over the connections that are lost
        self._timeouts: Final = timeouts
        self._door: Final = door
        self._pauses: Final = pauses
        self._over: Final = trio.Event()
        self._subscriber: Subscriber | None = None
        self._log = _log.bind(app=live.app, stream=live.stream, to=target.shown)

    @property
    def skipped(self) -> int:
        """How many times the target was moved on to a newer keyframe, since it was slow."""
        return self._skipped + (0 if self._subscriber is None else self._subscriber.skipped)

    @property
    def counts(self) -> ForwardCounts:
        """All that is counted of it."""
        return ForwardCounts(self.bytes, self.losses, self.reconnects, self.skipped)

    def stop(self) -> None:
        """End it in order, within a second: the target gets the rest, and is told that this is all.

        One that is still being connected to gets nothing of the stream.
        """
        self._over.set()
        if self._subscriber is not None:
            self._subscriber.end(b"", trio.current_time())

    async def run(self) -> None:
        """Send until the stream has ended, or `stop` was called. No error of it leaves this method."""
        self._log.info("forward.start")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_with_the_stream)
                nursery.start_soon(self._bound_the_farewell, nursery.cancel_scope)
                await self._keep_sending()
                nursery.cancel_scope.cancel()
        except Exception:  # noqa: BLE001 -- a bug in one forward ends that one alone
            self._log.exception("forward.bug")
        finally:
            self._log.info("forward.end", bytes=self.bytes)

    async def _end_with_the_stream(self) -> None:
        await self.live.ended.wait()
        self._over.set()

    async def _bound_the_farewell(self, scope: trio.CancelScope) -> None:
        await self._over.wait()
        scope.deadline = trio.current_time() + FAREWELL_S

    async def _keep_sending(self) -> None:
        while not self._over.is_set():
            began_at = trio.current_time()
            try:
                await self._connect_and_send()
            except OriginError as error:
                if trio.current_time() - began_at >= _STEADY_S:
                    self._pauses.reset()
                await self._pause(self.target.hide(": ".join(error.for_log.values())))

    async def _pause(self, error: str) -> None:
        """Wait after a loss; less where it is over meanwhile."""
        pause_s = self._pauses.next_s()
        self._log.warning("forward.lost", error=error, pause_s=round(pause_s, 2))
        if self.state is SendingState.RUNNING:
            self.in_state_since = trio.current_time()
        self.state, self.last_loss = SendingState.WAITING, (trio.current_time(), error)
        self.losses += 1
        with trio.move_on_after(pause_s):
            await self._over.wait()
            return
        self.state = SendingState.CONNECTING
        self.reconnects += 1

    async def _connect_and_send(self) -> None:
        """Send over one connection until it is over.

        Raises:
            OriginError: there is none, or it is lost.
        """
        timeouts = self._timeouts()
        told = self.live.passage.through(self._door).properties
        async with open_rtmp_client(self.target.url, connect_s=timeouts.connect_s, properties=told) as client:
            try:
                with trio.fail_after(timeouts.start_s):
                    message_stream_id = await _start_publishing(client)
            except trio.TooSlowError:
                detail = f"the RTMP server did not take the stream within {timeouts.start_s:g} s"
                raise OriginError(504, detail) from None
            # `stop` may have come while there was no subscriber that it could end; from here there is no checkpoint
            # until there is one. A stream that has ended meanwhile is still sent, as a newcomer would get it.
            if self._over.is_set() and not self.live.ended.is_set():
                await client.send(client.session.close_stream())
                return
            limits = self.live.limits
            subscriber = Subscriber(
                _PublishForm(message_stream_id, client.session.chunk_size),
                send=None,
                meter=self,
                max_bytes=limits.backlog_bytes,
                max_s=limits.backlog_s,
            )
            self.state, self.in_state_since = SendingState.RUNNING, trio.current_time()
            self._log.info("forward.running")
            with self.live.subscribed(subscriber):
                self._subscriber = subscriber
                try:
                    await self._send_while_connected(client, subscriber, timeouts.stall_s)
                finally:
                    self._subscriber = None
                    self._skipped += subscriber.skipped
            await client.send(client.session.close_stream())

    async def _send_while_connected(self, client: RtmpClient, subscriber: Subscriber, stall_s: float) -> None:
        """Send all of the stream, and listen meanwhile: a target may break off, and wants its pings answered."""
        losses: list[OriginError] = []

        async def listen() -> None:
            losses.append(await _wait_lost(client, subscriber))
            nursery.cancel_scope.cancel()

        reason = EndReason.VIEWER_LEFT
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            reason = await _feed(client, subscriber, stall_s)
            nursery.cancel_scope.cancel()
        if losses:
            raise losses[0]
        if reason is EndReason.STALLED:
            raise OriginError(504, f"the RTMP server has taken nothing for {stall_s:g} s")
        if reason is EndReason.VIEWER_LEFT:
            raise OriginError(502, "the RTMP server has reset the connection")


class _PublishForm(RtmpForm):
    """RTMP chunks for a server: metadata is told to it as something to keep, as encoders do.

    Never equal to an `RtmpForm`, so it shares no encoding with those who play.
    """

    __slots__ = ()

    def encode(self, packets: Sequence[Packet]) -> bytes:
        return super().encode([_as_published(packet) for packet in packets])


def _as_published(packet: Packet) -> Packet:
    if packet.kind is not MediaKind.DATA or not packet.payload.startswith(_ON_METADATA):
        return packet
    return Packet(packet.kind, packet.role, packet.timestamp, _SET_DATA_FRAME + packet.payload, packet.track)


async def _start_publishing(client: RtmpClient) -> int:
    """Connect and publish; the message stream id that the server gave.

    Raises:
        OriginError: it refuses.
    """
    while True:
        event = await client.next_event()
        if isinstance(event, Connected):
            await client.send(client.session.publish())
        elif isinstance(event, PublishStarted):
            # What the session has still to say comes before the media.
            await client.send(client.session.data_to_send())
            return event.message_stream_id
        elif isinstance(event, Refused):
            raise _refusal(event)


async def _feed(client: RtmpClient, subscriber: Subscriber, stall_s: float) -> EndReason:
    if not client.tls:
        return await feed(subscriber, client.socket, stall_s=stall_s)
    try:
        return await feed_by(subscriber, client.send, stall_s=stall_s)
    except OriginError:
        return EndReason.VIEWER_LEFT


async def _wait_lost(client: RtmpClient, subscriber: Subscriber) -> OriginError:
    """Read what the server says, until it says that it is over; answers go in between the stream's pieces."""
    try:
        while True:
            event = await client.next_event(say=lambda data: subscriber.insert(data, trio.current_time()))
            if isinstance(event, Refused):
                return _refusal(event)
            if isinstance(event, StreamEnded):
                return OriginError(502, "the RTMP server has ended the stream")
    except OriginError as error:
        return error


def _refusal(refused: Refused) -> OriginError:
    return OriginError(502, f"the RTMP server refuses {refused.what}: {refused.code} {refused.description}")
