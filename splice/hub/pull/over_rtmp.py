"""Pulling over RTMP: connect, play, and the media that comes (RTMP 1.0, sections 7.2.1.1 and 7.2.2.1)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
import trio

from protocol.amf import amf0
from protocol.rtmp import Code, Connected, MediaKind, MediaMessage, Refused, RtmpUrl, StreamEnded, redact
from splice.config import OriginAddress
from splice.config.targets import rtmp_url
from splice.hub.pull.source import NoStreamError, PullTimeouts
from splice.hub.rtmp_client import RtmpClient, open_rtmp_client
from splice.origins import OriginError
from splice.routing import Origin

__all__ = ["RtmpSource", "open_rtmp_source"]

_FOR_PLAYERS: Final = (amf0.encode("|RtmpSampleAccess"), amf0.encode("onStatus"))
"""How data messages begin that a server says to its player, and that are no part of the stream."""

_log = structlog.get_logger()


class RtmpSource:
    """What an origin plays to us; `open_rtmp_source` makes it."""

    def __init__(self, client: RtmpClient) -> None:
        self._client: Final = client

    async def next_message(self) -> MediaMessage | None:
        """See `Source`."""
        while True:
            event = await self._client.next_event()
            if isinstance(event, MediaMessage):
                if event.kind is not MediaKind.DATA or not event.payload.startswith(_FOR_PLAYERS):
                    return event
            elif isinstance(event, Refused):
                raise _refusal(event)
            elif isinstance(event, StreamEnded):
                return None


@asynccontextmanager
async def open_rtmp_source(
    origin: Origin, address: OriginAddress, app: str, stream: str, *, timeouts: PullTimeouts, user_agent: str
) -> AsyncIterator[RtmpSource]:
    """The stream `app/stream` of the origin at `address`, whose connection is closed when the block is left.

    Play has been asked for when the block begins, and not answered yet: many servers never refuse it.

    Args:
        user_agent: for HTTP; RTMP servers judge players by flashVer, and the kit's is one that all of them take.

    Raises:
        OriginError: the origin cannot be reached, refuses connect, or says nothing in time.
    """
    url = _url(origin, address, app, stream)
    async with open_rtmp_client(url, connect_s=timeouts.connect_s, tls=origin.tls) as client:
        try:
            with trio.fail_after(timeouts.origin_head_s):
                await _ask_to_play(client, url.stream)
        except trio.TooSlowError:
            detail = f"the origin did not answer as an RTMP server within {timeouts.origin_head_s:g} s"
            raise OriginError(504, detail) from None
        yield RtmpSource(client)


def _url(origin: Origin, address: OriginAddress, app: str, stream: str) -> RtmpUrl:
    target = origin.target_at(address, app, stream, origin.only_port)
    if not target:
        return RtmpUrl(address.scheme, address.host, address.port, app, stream)
    return rtmp_url(address.scheme, address.authority, target, stream)


async def _ask_to_play(client: RtmpClient, stream: str) -> None:
    while True:
        event = await client.next_event()
        if isinstance(event, Refused):
            raise _refusal(event)
        if isinstance(event, Connected):
            await client.send(client.session.play(stream))
            return


def _refusal(refused: Refused) -> OriginError:
    # The server's own words may hold its address, and are for the operator alone; and it may repeat what it was asked.
    _log.info("pull.refused", what=refused.what, code=refused.code, description=redact(refused.description))
    if refused.code == Code.PLAY_STREAM_NOT_FOUND:
        return NoStreamError(404, "the origin has no such stream; check its name, and that its encoder is running")
    return OriginError(502, f"the origin refuses {refused.what}; its words are in the door's log")
