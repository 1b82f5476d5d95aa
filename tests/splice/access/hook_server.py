"""The operator's program that hooks call, as well or as badly as a test wants it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import h11
import trio

__all__ = ["ANSWERS", "HookServer", "open_hook_server"]

Answer = Callable[[trio.abc.Stream], Awaitable[None]]

_TEN_MEGABYTES = 10_000_000


def _says(head: bytes) -> Answer:
    async def answer(stream: trio.abc.Stream) -> None:
        await stream.send_all(head)

    return answer


def _status(status: int, *fields: bytes) -> Answer:
    return _says(b"\r\n".join([b"HTTP/1.1 %d X" % status, b"Content-Length: 0", *fields, b"", b""]))


async def _hang(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


async def _die(stream: trio.abc.Stream) -> None:
    return


async def _drip(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\n")
    while True:
        await stream.send_all(b"X-Drop: 1\r\n")
        await trio.sleep(0.02)


async def _flood(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _TEN_MEGABYTES)
    await stream.send_all(bytes(_TEN_MEGABYTES))


async def _endless_head(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\n")
    while True:
        await stream.send_all(b"X-Filler: " + b"x" * 60_000 + b"\r\n")


ANSWERS: dict[str, Answer] = {
    "200": _status(200),
    "204": _says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "299": _status(299),
    "interim": _says(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "half a body": _says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"),
    "10 MB": _flood,
    "302": _status(302, b"Location: /"),
    "302 to nowhere": _status(302),
    "302 with a cookie": _status(302, b"Location: test", b"Set-Cookie: a=b"),
    "400": _status(400),
    "403": _status(403),
    "404": _status(404),
    "500": _status(500),
    "hang": _hang,
    "die": _die,
    "drip": _drip,
    "endless head": _endless_head,
    "nonsense": _says(b"SSH-2.0-OpenSSH_9.2\r\n"),
}
"""By what they are called in the tests."""


class HookServer:
    """Takes calls on a port of loopback.

    Attributes:
        url: where it is.
        answer: one of `ANSWERS`, or what a 302 says as its Location; it may be changed at any time.
        answers: the same for single calls, by their field `call`.
        calls: the forms that came, in their order.
        heads: the requests' field lines, by their names in small letters.
        left: how many connections the door has closed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answer = "200"
        self.answers: dict[str, str] = {}
        self.calls: list[dict[str, str]] = []
        self.forms: list[list[tuple[str, str]]] = []
        self.heads: list[dict[str, str]] = []
        self.left = 0
        self._changed = trio.Event()

    async def called(self, count: int = 1, *, seconds: float = 5) -> dict[str, str]:
        """The form of this number, once there are so many of them."""
        await self._until(lambda: len(self.calls) >= count, seconds)
        return self.calls[count - 1]

    async def all_left(self, count: int) -> None:
        """Wait until the door has closed so many connections."""
        await self._until(lambda: self.left >= count)

    async def _until(self, condition: Callable[[], bool], seconds: float = 5) -> None:
        with trio.fail_after(seconds):
            while not condition():
                await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            try:
                await self._read(stream)
                answer = self.answers.get(self.calls[-1]["call"], self.answer)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch, stream, nursery.cancel_scope)
                    await ANSWERS.get(answer, _status(302, b"Location: " + answer.encode()))(stream)
                    if answer == "die":
                        nursery.cancel_scope.cancel()
            except* trio.BrokenResourceError:
                pass
        self.left += 1
        self._change()

    async def _read(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        body = b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                data = await stream.receive_some()
                if not data:
                    raise trio.BrokenResourceError  # the door gave up before all was sent
                connection.receive_data(data)
            elif isinstance(event, h11.Request):
                assert event.method == b"POST"
                self.heads.append({name.decode(): value.decode() for name, value in event.headers})
            elif isinstance(event, h11.Data):
                body += event.data
        self.forms.append(parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True))
        self.calls.append(dict(self.forms[-1]))
        self._change()

    async def _watch(self, stream: trio.SocketStream, answering: trio.CancelScope) -> None:
        """The door leaves without reading what it does not need."""
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        answering.cancel()


@asynccontextmanager
async def open_hook_server(answer: str = "200", *, tls: ssl.SSLContext | None = None) -> AsyncIterator[HookServer]:
    """A server while the block runs; with `tls` it is known as localhost."""
    async with trio.open_nursery() as nursery:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]
        server = HookServer(f"https://localhost:{port}/hook" if tls else f"http://127.0.0.1:{port}/hook")
        server.answer = answer

        async def serve(stream: trio.SocketStream) -> None:
            await server.serve(trio.SSLStream(stream, tls, server_side=True) if tls else stream)

        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield server
        nursery.cancel_scope.cancel()
