"""Plays one live URL, as a viewer would: connects, asks, and gives the tags as they come.

    http://, https://   GET --> ResponseParser --> BodyDecoder --+
    ws://, wss://       wsproto's handshake and messages --------+--> FlvDecoder --> Tag
    rtmp://, rtmps://   ClientSession: connect, play --> MediaMessage --------------> Tag

One connection, no retries, no redirects followed: what the server says is what is to be seen.
"""

import abc
import json
import os
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, RejectConnection, RejectData, Request
from wsproto.utilities import RemoteProtocolError as HandshakeError

from protocol import NEED_DATA, RemoteProtocolError, Timestamp
from protocol.flv import FlvDecoder, FlvFault, FlvHeader, Tag
from protocol.rtmp import ClientSession, Connected, MediaMessage, Refused, RtmpUrl, StreamEnded
from splice import __version__
from splice.config.addresses import format_authority
from splice.http import BodyDecoder, ResponseError, ResponseHead, ResponseParser, forwarded_request_head
from splice.tools.live_url import LiveUrl

__all__ = ["Played", "Player", "PlayerError", "open_player"]

_READ_BYTES: Final = 64 * 1024
_LONGEST_PROBLEM_BYTES: Final = 16 * 1024
_USER_AGENT: Final = f"splice-probe/{__version__}".encode()
_CLEAN_CLOSES: Final = (1000, 1001)  # normal closure, going away (RFC 6455, 7.4.1)

Played: TypeAlias = Tag | FlvFault


class PlayerError(Exception):
    """The stream cannot be played, or no longer; the message is one sentence.

    Attributes:
        refused: it is the server that said no.
    """

    def __init__(self, sentence: str, *, refused: bool = False) -> None:
        super().__init__(sentence)
        self.refused: Final = refused


class Player(abc.ABC):
    """One stream that is being played.

    Attributes:
        first_byte_at: when the stream's own first byte had come, in Trio's time; None: not yet.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream: Final = stream
        self.first_byte_at: float | None = None

    @abc.abstractmethod
    async def start(self) -> None:
        """Ask for the stream.

        Raises:
            PlayerError: it is refused, or the server does not speak the protocol.
        """

    @abc.abstractmethod
    async def next_event(self) -> Played | None:
        """The next tag, or what is wrong between two; None: the stream has ended. A cancellation loses none.

        Raises:
            PlayerError: the connection is lost, or what comes is no live stream.
        """

    def _note_first_byte(self) -> None:
        if self.first_byte_at is None:
            self.first_byte_at = trio.current_time()

    async def _send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise _lost(error) from None

    async def _receive(self) -> bytes:
        """What has come; b"" where the server has closed."""
        try:
            return bytes(await self._stream.receive_some(_READ_BYTES))
        except trio.BrokenResourceError as error:
            raise _lost(error) from None


class _FlvPlayer(Player):
    """FLV bytes, whatever brings them."""

    def __init__(self, stream: trio.abc.Stream, url: LiveUrl) -> None:
        super().__init__(stream)
        self._url: Final = url
        self._tags: Final = FlvDecoder(lenient=True)

    async def next_event(self) -> Played | None:
        while True:
            try:
                event = self._tags.next_event()
            except RemoteProtocolError as error:
                raise PlayerError(f"what comes cannot be read: {error}") from None
            if event is NEED_DATA:
                data = await self._next_bytes()
                if data is None:
                    return None
                if data:
                    self._note_first_byte()
                    self._tags.receive_data(data)
            elif not isinstance(event, FlvHeader):
                return event

    @abc.abstractmethod
    async def _next_bytes(self) -> bytes | None:
        """More of the stream, possibly none of it; None: it has ended."""


class _HttpPlayer(_FlvPlayer):
    async def start(self) -> None:
        fields = [(b"User-Agent", _USER_AGENT)]
        await self._send(forwarded_request_head(self._url.target.encode(), (1, 1), self._url.authority, fields))
        parser = ResponseParser()
        try:
            while (head := parser.next_event()) is NEED_DATA:
                data = await self._receive()
                if not data:
                    raise PlayerError("the server closed the connection without a whole answer")
                parser.receive_data(data)
        except ResponseError as error:
            raise _malformed(error) from None
        self._body = BodyDecoder(head.framing)
        self._received = parser.trailing_data
        if head.status != 200:
            raise PlayerError(_refusal(head.status, await self._problem(head)), refused=True)

    async def _next_bytes(self) -> bytes | None:
        data, self._received = self._received, b""
        if self._body.finished:
            return None
        try:
            if not data:
                data = await self._receive()
                if not data:
                    self._body.receive_eof()
                    return None
            return b"".join(self._body.receive_data(data))
        except ResponseError as error:
            raise _malformed(error) from None

    async def _problem(self, head: ResponseHead) -> bytes:
        """The body of a refusal, as far as it comes."""
        if 300 <= head.status < 400:
            return b"it redirects to " + (head.get(b"location") or b"nowhere")
        body = b""
        try:
            while len(body) < _LONGEST_PROBLEM_BYTES and (piece := await self._next_bytes()) is not None:
                body += piece
        except PlayerError:
            pass  # the status has said enough
        return body


class _WebSocketPlayer(_FlvPlayer):
    def __init__(self, stream: trio.abc.Stream, url: LiveUrl) -> None:
        super().__init__(stream, url)
        self._session: Final = WSConnection(ConnectionType.CLIENT)
        self._pieces: Final[deque[bytes | PlayerError | None]] = deque()
        self._accepted = False
        self._status = 0
        self._problem = bytearray()

    async def start(self) -> None:
        fields = [(b"User-Agent", _USER_AGENT)]
        await self._send(
            self._session.send(Request(host=self._url.authority, target=self._url.target, extra_headers=fields))
        )
        while not self._accepted:
            await self._take_more()

    async def _next_bytes(self) -> bytes | None:
        while not self._pieces:
            await self._take_more()
        piece = self._pieces.popleft()
        if isinstance(piece, PlayerError):
            raise piece
        return piece

    async def _take_more(self) -> None:
        data = await self._receive()
        if not data and self._accepted:
            raise PlayerError("the server closed the connection without a close frame")
        if not data:
            raise self._not_accepted()
        try:
            self._session.receive_data(data)
            answers = [self._take(event) for event in self._session.events()]
        except HandshakeError as error:
            raise PlayerError(f"the server does not speak WebSocket: {error}") from None
        await self._send(b"".join(answers))

    def _take(self, event: object) -> bytes:
        """Take an event; what is to be answered."""
        match event:
            case AcceptConnection():
                self._accepted = True
            case RejectConnection():
                self._status = event.status_code
                if not event.has_body:
                    raise self._not_accepted()
            case RejectData():
                self._problem += event.data
                if event.body_finished or len(self._problem) > _LONGEST_PROBLEM_BYTES:
                    raise self._not_accepted()
            case BytesMessage():
                self._pieces.append(bytes(event.data))
            case Ping():
                return self._session.send(event.response())
            case CloseConnection():
                error = PlayerError(f"the server closed: {event.code} {event.reason or ''}".rstrip())
                self._pieces.append(None if event.code in _CLEAN_CLOSES else error)  # behind what came before it
        return b""

    def _not_accepted(self) -> PlayerError:
        if not self._status:
            return PlayerError("the server closed the connection without a whole answer")
        return PlayerError(_refusal(self._status, bytes(self._problem)), refused=True)


class _RtmpPlayer(Player):
    def __init__(self, stream: trio.abc.Stream, url: RtmpUrl) -> None:
        super().__init__(stream)
        self._session: Final = ClientSession(url, random_bytes=os.urandom)

    async def start(self) -> None:
        """Nothing is to be asked before the server has answered connect, which is an event."""

    async def next_event(self) -> Played | None:
        while True:
            try:
                event = self._session.next_event()
            except RemoteProtocolError as error:
                raise PlayerError(f"the server breaks RTMP: {error}") from None
            if isinstance(event, MediaMessage):
                self._note_first_byte()
                return Tag(event.kind, Timestamp(event.timestamp), event.payload)
            if isinstance(event, Connected):
                await self._send(self._session.play())
            elif isinstance(event, Refused):
                words = ": ".join(word for word in (event.code, event.description) if word)
                raise PlayerError(f"the server refuses {event.what}: {words}", refused=True)
            elif isinstance(event, StreamEnded):
                return None
            elif event is NEED_DATA:
                if answers := self._session.data_to_send():
                    await self._send(answers)
                data = await self._receive()
                if not data:
                    raise PlayerError("the server closed the connection")
                self._session.receive_data(data)


@asynccontextmanager
async def open_player(url: LiveUrl, *, any_certificate: bool = False) -> AsyncIterator[Player]:
    """The stream of `url`, asked for; the connection is closed when the block is left.

    Args:
        any_certificate: take a server's certificate unseen.

    Raises:
        PlayerError: there is no connection, or the stream is refused.
    """
    async with await _dial(url, any_certificate=any_certificate) as stream:
        player: Player
        if url.rtmp is not None:
            player = _RtmpPlayer(stream, url.rtmp)
        else:
            player = (_WebSocketPlayer if url.protocol == "ws-flv" else _HttpPlayer)(stream, url)
        await player.start()
        yield player


async def _dial(url: LiveUrl, *, any_certificate: bool) -> trio.abc.Stream:
    where = format_authority(url.host, url.port)
    try:
        stream = await trio.open_tcp_stream(url.host, url.port)
    except socket.gaierror:
        raise PlayerError(f"the name {url.host} cannot be resolved") from None
    except OSError:
        raise PlayerError(f"nothing accepts connections at {where}") from None
    if not url.tls:
        return stream
    context = ssl.create_default_context()
    if any_certificate:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    encrypted = trio.SSLStream(stream, context, server_hostname=url.host, https_compatible=True)
    try:
        await encrypted.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise PlayerError(_no_tls(where, error.__cause__)) from None
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return encrypted


def _no_tls(where: str, cause: BaseException | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate of {where} is not trusted here: {cause.verify_message}; --insecure takes any"
    reason = cause.reason if isinstance(cause, ssl.SSLError) else ""
    return f"{where} and we do not agree on TLS: {reason.replace('_', ' ').lower() if reason else 'it closed'}"


def _malformed(error: ResponseError) -> PlayerError:
    """The door's sentence, which is about an origin; here that is the server."""
    return PlayerError(error.detail.replace("The origin", "the server", 1).removesuffix("."))


def _lost(error: trio.BrokenResourceError) -> PlayerError:
    return PlayerError(f"the connection broke: {error.__cause__ or 'reset by the server'}")


def _refusal(status: int, body: bytes) -> str:
    """A refusal's sentence: that of its problem details (RFC 9457), else its first line."""
    text = body.decode("utf-8", "replace").strip()
    try:
        problem = json.loads(text)
        text = str(problem.get("detail") or problem.get("title") or "")
    except (ValueError, AttributeError, RecursionError):
        text = "" if text.startswith("<") else text.partition("\n")[0][:200].strip()  # a page is not for a terminal
    return f"the server answers {status}{': ' if text else ''}{text}"
