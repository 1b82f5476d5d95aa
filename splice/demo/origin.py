"""The demo's origin: HTTP-FLV on a loopback port of this process, as nginx-http-flv-module would serve it.

    GET /live?...app=demo&stream=clock --> 200, chunked coding, one chunk a tag, for ever

It is an origin like any other, and the door dials it as it dials those: nothing of the door's is short-circuited for
it. One connection is one task, asked one request (RFC 9112); what it sends is never queued, because the clip is in
memory anyway and a viewer's place in it is one number.
"""

import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qs

import structlog
import trio

from protocol import NEED_DATA
from splice.config import ListenAddress
from splice.demo.clip import Clip, Playback
from splice.http import RequestError, RequestHead, RequestParser, chunk, problem_answer
from splice.listeners import accept_forever, open_listeners

__all__ = ["DemoOrigin"]

_APP: Final = b"demo"
_STREAM: Final = b"clock"

_RESPONSE_FIELDS: Final = b"Content-Type: video/x-flv\r\nCache-Control: no-store\r\nConnection: close\r\n"
_HEAD_CHUNKED: Final = b"HTTP/1.1 200 OK\r\n" + _RESPONSE_FIELDS + b"Transfer-Encoding: chunked\r\n\r\n"
_HEAD_UNTIL_CLOSE: Final = b"HTTP/1.1 200 OK\r\n" + _RESPONSE_FIELDS + b"\r\n"  # RFC 9112, 2.3: the answer says 1.1

_LINGER_S: Final = 1.0
_READ_BYTES: Final = 4096

_log = structlog.get_logger()


class DemoOrigin:
    """An HTTP-FLV origin with one stream, `demo/clock`: the clip, looped in real time on one clock for all viewers."""

    def __init__(self, clip: Clip | None = None, *, head_s: float = 10.0, stall_s: float = 10.0) -> None:
        """Take the built-in clip, or another.

        Args:
            clip: what to play.
            head_s: how long a connection has to bring its whole request head.
            stall_s: how long one tag may wait for a viewer that does not read, before the viewer is dropped.
        """
        self._clip: Final = clip or Clip.built_in()
        self._head_s: Final = head_s
        self._stall_s: Final = stall_s

    async def serve(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on a free port of 127.0.0.1, which is the value of `nursery.start`, until cancelled.

        A cancellation closes the listener and every connection before it leaves.
        """
        (listener,) = open_listeners([ListenAddress("127.0.0.1", 0)])
        with listener:
            port: int = listener.getsockname()[1]
            task_status.started(port)  # the socket listens already: whoever dials now waits in its queue
            async with trio.open_nursery() as connections:

                def start(accepted: socket.socket, _peer: tuple[str, int]) -> None:
                    stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
                    connections.start_soon(self._handle_and_report, stream)

                # Not by Trio's serve_listeners: that pauses too when descriptors run out, but says so by the standard
                # library's logging, in lines which are none of the door's events.
                await accept_forever(listener, start)

    async def _handle_and_report(self, stream: trio.SocketStream) -> None:
        try:
            await self.handle(stream)
        except Exception:  # noqa: BLE001 - a bug in one connection's task ends that connection alone
            _log.exception("demo.bug")

    async def handle(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Answer the one request of a connection, and close it. A cancellation closes it at once."""
        async with stream:
            try:
                await self._answer(stream)
            except trio.BrokenResourceError:
                pass  # the viewer has left; there is nobody to tell

    async def _answer(self, stream: trio.abc.HalfCloseableStream) -> None:
        head: RequestHead | None = None
        try:
            with trio.fail_after(self._head_s):
                head = await _read_head(stream)
        except RequestError as error:
            return await _refuse(stream, error.status, error.detail)
        except trio.TooSlowError:
            return await _refuse(stream, 408, "The request's head was not complete in time.")
        if head is None:
            return None
        if head.method != b"GET":
            return await _refuse(stream, 405, "The demo origin answers GET alone.")
        if not _asks_for_the_clip(head.query or b""):
            return await _refuse(stream, 404, "The demo origin has one stream: ask for app=demo&stream=clock.")
        return await self._play_while_connected(stream, chunked=head.version >= (1, 1))

    async def _play_while_connected(self, stream: trio.abc.HalfCloseableStream, *, chunked: bool) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, stream, nursery.cancel_scope)
            await self._play(stream, chunked=chunked)
            nursery.cancel_scope.cancel()

    async def _play(self, stream: trio.abc.SendStream, *, chunked: bool) -> None:
        """Send the clip until the viewer leaves, or has taken nothing for `stall_s`. Never ends by itself."""
        framed = _chunked if chunked else b"".join
        # Trio's own clock, on which all viewers see the same picture at the same moment.
        playback = Playback(self._clip, _now_ms())
        # A SocketStream has TCP_NODELAY on already, so a tag leaves when it is written.
        data = (_HEAD_CHUNKED if chunked else _HEAD_UNTIL_CLOSE) + framed(playback.opening())
        try:
            while True:
                with trio.move_on_after(self._stall_s) as patience:
                    await stream.send_all(data + framed(playback.due(_now_ms())))
                if patience.cancelled_caught:
                    return
                data = b""
                await trio.sleep_until(playback.next_due_ms / 1000)
        except trio.BrokenResourceError:
            return


def _now_ms() -> int:
    # Rounded, not cut: a sleep until 1.04 s may end at 1.0399999, and the tag of 1040 ms is due then.
    return round(trio.current_time() * 1000)


def _chunked(tags: Iterable[bytes]) -> bytes:
    """Each tag as one chunk (RFC 9112, 7.1)."""
    return b"".join(map(chunk, tags))


def _asks_for_the_clip(query: bytes) -> bool:
    parameters = parse_qs(query)
    return parameters.get(b"app") == [_APP] and parameters.get(b"stream") == [_STREAM]


async def _read_head(stream: trio.abc.ReceiveStream) -> RequestHead | None:
    """The request's head, or None where the connection ends before it."""
    parser = RequestParser()
    while (event := parser.next_event()) is NEED_DATA:
        data = await stream.receive_some(_READ_BYTES)
        if not data:
            return None
        parser.receive_data(data)
    return event


async def _until_gone(stream: trio.abc.ReceiveStream, playing: trio.CancelScope) -> None:
    """Read and drop what the viewer sends; its FIN, even a half-close, ends the playing."""
    try:
        while await stream.receive_some(_READ_BYTES):
            pass
    except trio.BrokenResourceError:
        pass
    playing.cancel()


async def _refuse(stream: trio.abc.HalfCloseableStream, status: int, detail: str) -> None:
    """Send an error answer, and stay a moment so that unread bytes do not turn the close into a reset."""
    with trio.move_on_after(_LINGER_S):
        await stream.send_all(problem_answer(status, detail).encode())
        await stream.send_eof()
        while await stream.receive_some(_READ_BYTES):
            pass
