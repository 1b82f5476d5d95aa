"""Pulling over HTTP: an answer's body is taken out of its framing, FLV tags become messages.

    socket --> BodyDecoder --> FlvDecoder --> MediaMessage

Nothing of a viewer's goes to the origin: a pull serves whoever comes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from protocol import NEED_DATA, RemoteProtocolError
from protocol.flv import FlvDecoder, Tag, TagType
from protocol.rtmp import MediaKind, MediaMessage
from splice.config import OriginAddress
from splice.http import BodyDecoder, ResponseError, ResponseHead, forwarded_request_head
from splice.hub.pull.source import NoStreamError, PullTimeouts
from splice.origins import OriginConnection, OriginError
from splice.routing import Origin

__all__ = ["HttpSource", "open_http_source"]

_READ_BYTES: Final = 64 * 1024
_KINDS: Final = {
    TagType.AUDIO.value: MediaKind.AUDIO,
    TagType.VIDEO.value: MediaKind.VIDEO,
    TagType.SCRIPT.value: MediaKind.DATA,
}
_AMF0_FORMAT: Final = b"\0"  # the first byte of an AMF3 script tag, behind which AMF0 stands (Enhanced RTMP v2)


class HttpSource:
    """The body of an origin's answer, as messages; `open_http_source` makes it."""

    def __init__(self, connection: OriginConnection, head: ResponseHead) -> None:
        self._stream: Final = connection.stream
        self._received = connection.first_bytes
        self._body: Final = BodyDecoder(head.framing)
        # Several servers write a PreviousTagSize that is wrong; their streams play everywhere, so they do here.
        self._tags: Final = FlvDecoder(lenient=True)

    async def next_message(self) -> MediaMessage | None:
        """See `Source`. A close without a last chunk is a loss, wherever it comes: no origin means it for an end."""
        while True:
            try:
                event = self._tags.next_event()
            except RemoteProtocolError as error:
                raise OriginError(502, f"the origin's stream cannot be read: {error}") from None
            if isinstance(event, Tag):
                message = _message(event)
                if message is not None:
                    return message
            elif event is NEED_DATA:
                if self._body.finished:
                    return None
                await self._receive()

    async def _receive(self) -> None:
        data, self._received = self._received, b""
        try:
            if not data:
                data = bytes(await self._stream.receive_some(_READ_BYTES))
            if not data:
                raise OriginError(502, "the origin has closed the connection")
            for piece in self._body.receive_data(data):
                self._tags.receive_data(piece)
        except trio.BrokenResourceError:
            raise OriginError(502, "the origin has reset the connection") from None
        except ResponseError as error:
            raise OriginError(502, error.detail) from None


@asynccontextmanager
async def open_http_source(
    origin: Origin, address: OriginAddress, app: str, stream: str, *, timeouts: PullTimeouts, user_agent: str
) -> AsyncIterator[HttpSource]:
    """The stream `app/stream` of the origin at `address`, whose connection is closed when the block is left.

    Raises:
        NoStreamError: 404: the origin says that it is missing; 504: the origin took the request and is silent.
        OriginError: the origin cannot be reached, or answers something else.
    """
    target = _target(origin, address, app, stream)
    fields = [(b"User-Agent", user_agent.encode())]
    if address.authorization:
        fields.append((b"Authorization", address.authorization.encode()))
    asked = False

    def request(address: OriginAddress) -> bytes:
        nonlocal asked
        asked = True
        return forwarded_request_head(target, (1, 1), address.authority, fields)

    with OriginConnection(connect_s=timeouts.connect_s, head_s=timeouts.origin_head_s, tls=origin.tls) as connection:
        try:
            head = await connection.ask((address,), request)
        except OriginError as error:
            if asked and error.status == 504:
                raise NoStreamError(504, error.detail) from None
            raise
        _check(head)
        yield HttpSource(connection, head)


def _target(origin: Origin, address: OriginAddress, app: str, stream: str) -> bytes:
    port = origin.only_port
    target = origin.target_at(address, app, stream, port)
    return (target or f"/live?{f'port={port}&' if port else ''}app={app}&stream={stream}").encode()


def _check(head: ResponseHead) -> None:
    """Make sure that a stream follows the head."""
    if head.status == 404:
        raise NoStreamError(404, "the origin has no such stream; check its name, and that its encoder is running")
    if head.status != 200:
        raise OriginError(502, f"the origin answered with status {head.status} where a stream was asked for")
    if (head.get(b"content-encoding") or b"identity").lower() != b"identity":
        raise OriginError(502, "the origin compresses the stream, which nobody asked for")


def _message(tag: Tag) -> MediaMessage | None:
    """The message of a tag; None for an encrypted tag, and one of a type that nobody knows."""
    if tag.filtered:
        return None
    if tag.type == TagType.AMF3_SCRIPT and tag.body[:1] == _AMF0_FORMAT:
        return MediaMessage(MediaKind.DATA, tag.timestamp, tag.body[1:])
    kind = _KINDS.get(tag.type)
    return None if kind is None else MediaMessage(kind, tag.timestamp, tag.body)
