"""Sending streams on to other RTMP servers, as `[[forward]]` says: each stream to each target in a task of its own.

    LiveStream --> Subscriber, all by backlog --> the target's socket

A forward is a viewer like any other, so it cannot slow its stream: when the target is slow, packets are left out up to
the next keyframe. It connects again, after growing pauses, for as long as the stream lives. RTMP 1.0, section 7.2.2.6.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

import structlog
import trio

from protocol.amf import amf0
from protocol.rtmp import Connected, MediaKind, PublishStarted, Refused, RtmpUrl, StreamEnded, parse_url
from splice.hub.feeding import feed
from splice.hub.formats import RtmpForm
from splice.hub.live_stream import LiveStream
from splice.hub.packet import Packet
from splice.hub.pauses import GrowingPauses
from splice.hub.rtmp_client import RtmpClient, open_rtmp_client
from splice.hub.subscriber import Subscriber
from splice.origins import OriginError
from splice.stats import EndReason

__all__ = ["ForwardRule", "Forwards"]

_STEADY_S: Final = 60.0
_FAREWELL_S: Final = 1.0
"""How long the rest of a stream may take, once it has ended."""

_ON_METADATA: Final = amf0.encode("onMetaData")
_SET_DATA_FRAME: Final = amf0.encode("@setDataFrame")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ForwardRule:
    """Which streams go where.

    Attributes:
        streams: app/stream, where * stands for any characters.
        to: an RTMP URL, in which {app} and {stream} are replaced; where it names no stream, the stream's own name is
            put behind its app.
    """

    streams: str
    to: str

    def url(self, app: str, stream: str) -> RtmpUrl | None:
        """Where `app/stream` is sent; None where the rule is not about it.

        Raises:
            LocalProtocolError: `to` is no RTMP URL.
        """
        if not fnmatchcase(f"{app}/{stream}", self.streams):
            return None
        url = parse_url(self.to.replace("{app}", app).replace("{stream}", stream))
        return url if url.stream else replace(url, stream=stream)


class Forwards:
    """Watches over the streams that are sent on: `begin` is called with every stream that is published here."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        rules: Sequence[ForwardRule],
        connect_s: float,
        start_s: float,
        stall_s: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Args:
        nursery: where forwards run; cancelling it ends them all.
        rules: for the streams that begin from now on; may be replaced.
        connect_s: seconds for a target to accept a connection.
        start_s: and from there to accept the stream.
        stall_s: and in which it must take something of what waits for it.
        jitter: gives numbers from 0 up to 1.
        """
        self.rules = rules
        self._nursery: Final = nursery
        self._connect_s: Final = connect_s
        self._start_s: Final = start_s
        self._stall_s: Final = stall_s
        self._jitter: Final = jitter

    def begin(self, live: LiveStream) -> None:
        """Send a stream on to wherever the rules say, until it ends."""
        for rule in self.rules:
            url = rule.url(live.app, live.stream)
            if url is not None:
                forward = _Forward(live, url, self._connect_s, self._start_s, self._stall_s)
                self._nursery.start_soon(forward.run, GrowingPauses(self._jitter))


class _Forward:
    """One stream on its way to one target; a `Meter` of what the target has taken."""

    def __init__(self, live: LiveStream, url: RtmpUrl, connect_s: float, start_s: float, stall_s: float) -> None:
        self.bytes = 0
        self._live: Final = live
        self._url: Final = url
        self._connect_s: Final = connect_s
        self._start_s: Final = start_s
        self._stall_s: Final = stall_s
        self._log = _log.bind(app=live.app, stream=live.stream, to=str(url))

    async def run(self, pauses: GrowingPauses) -> None:
        """Send until the stream has ended. No error of it leaves this method."""
        self._log.info("forward.start")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_sending, pauses)
                await self._live.ended.wait()
                nursery.cancel_scope.deadline = trio.current_time() + _FAREWELL_S
        except Exception:  # noqa: BLE001 -- a bug in one forward ends that one alone
            self._log.exception("forward.bug")
        finally:
            self._log.info("forward.end", bytes=self.bytes)

    async def _keep_sending(self, pauses: GrowingPauses) -> None:
        ended = self._live.ended
        while not ended.is_set():
            began_at = trio.current_time()
            try:
                await self._connect_and_send()
            except OriginError as error:
                if trio.current_time() - began_at >= _STEADY_S:
                    pauses.reset()
                pause_s = pauses.next_s()
                self._log.warning("forward.lost", error=error.detail, pause_s=round(pause_s, 2))
                with trio.move_on_after(pause_s):
                    await ended.wait()

    async def _connect_and_send(self) -> None:
        """Send over one connection until the stream ends.

        Raises:
            OriginError: there is none, or it is lost.
        """
        async with open_rtmp_client(self._url, connect_s=self._connect_s) as client:
            try:
                with trio.fail_after(self._start_s):
                    message_stream_id = await _start_publishing(client)
            except trio.TooSlowError:
                detail = f"the RTMP server did not take the stream within {self._start_s:g} s"
                raise OriginError(504, detail) from None
            limits = self._live.limits
            subscriber = Subscriber(
                _PublishForm(message_stream_id, client.session.chunk_size),
                send=None,
                meter=self,
                max_bytes=limits.backlog_bytes,
                max_s=limits.backlog_s,
            )
            self._log.info("forward.running")
            with self._live.subscribed(subscriber):
                await self._send_while_connected(client, subscriber)
            await client.send(client.session.close_stream())

    async def _send_while_connected(self, client: RtmpClient, subscriber: Subscriber) -> None:
        """Send all of the stream, and listen meanwhile: a target may break off, and wants its pings answered."""
        losses: list[OriginError] = []

        async def listen() -> None:
            losses.append(await _wait_lost(client, subscriber))
            nursery.cancel_scope.cancel()

        reason = EndReason.VIEWER_LEFT
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            reason = await feed(subscriber, client.socket, stall_s=self._stall_s)
            nursery.cancel_scope.cancel()
        if losses:
            raise losses[0]
        if reason is EndReason.STALLED:
            raise OriginError(504, f"the RTMP server has taken nothing for {self._stall_s:g} s")
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
