"""The splice route in a test's own process: a door on a real port of loopback, and both ends of what passes it.

    Viewer ---TCP---> the door, as the composition root wires it ---TCP---> Asked, accepted by a FakeOrigin

Nothing runs by itself but the door: the test sends as the viewer, takes the door's question as the origin, answers it,
and looks at what the viewer sees. A house that is left looks at what is still there: every connection's task must have
ended, and registrations and viewers must be gone with it.
"""

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import trio
from structlog.testing import capture_logs

from splice.config import ListenAddress, Settings
from splice.listeners import accept_forever, open_listeners
from splice.pump import PortablePump
from splice.pump.epoll import EpollPump
from splice.rooms import Rooms
from splice.server import Server
from tests.splice.hub_house import descriptors
from tests.splice.pump.links import reset

__all__ = ["FLV", "GET", "OK", "TARGET", "Answer", "Asked", "FakeOrigin", "House", "Viewer", "open_house", "splicing"]

TARGET = b"/live?src=a&port=1935&app=myapp&stream=test"
GET = b"GET " + TARGET + b" HTTP/1.1\r\nHost: door\r\n\r\n"
FLV = b"Content-Type: video/x-flv\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + FLV + b"\r\n"
"""An origin's answer whose body ends with the connection."""

_READ_BYTES = 64 * 1024
_A_TEST_TAKES_S = 1000  # of virtual time; real time has pytest's own limit

End = Literal["fin", "reset"]


@dataclass(frozen=True)
class Answer:
    """What a viewer got, up to the end of its connection or, from `Viewer.head`, up to the end of the head."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    ended: End | None

    @classmethod
    def parse(cls, data: bytes, ended: End | None) -> "Answer":
        head, separator, body = data.partition(b"\r\n\r\n")
        assert separator, f"no whole head in {data!r}"
        status_line, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = status_line.split(" ", 2)
        assert version == "HTTP/1.1"
        fields = tuple((name, value) for name, value in (line.split(": ", 1) for line in lines))
        return cls(int(status), fields, body, ended)

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.fields if given.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def detail(self) -> str:
        """The sentence of an error, after a look at the rest of the error's form."""
        assert self["Content-Type"] == "application/problem+json"
        assert self["Cache-Control"] == "no-store"
        assert self["Connection"] == "close"
        assert self["Content-Length"] == str(len(self.body))
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["title"]
        assert problem["detail"].endswith((".", "?")) and len(problem["detail"]) > 20
        return str(problem["detail"])


class _Side:
    """A connection's end that the test holds."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.received = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def half_close(self) -> None:
        await self.stream.send_eof()

    def close(self) -> None:
        self.stream.socket.close()

    def reset(self) -> None:
        reset(self.stream)

    async def until(self, end: bytes) -> bytes:
        """Read on until `end` has come; all that was received."""
        while end not in self.received:
            assert await self._more() is None, f"the connection ended with {self.received!r}"
        return self.received

    async def see(self, count: int) -> bytes:
        """Read on until `count` bytes have been received in all, and take them away."""
        while len(self.received) < count:
            assert await self._more() is None, f"the connection ended with {len(self.received)} bytes"
        seen, self.received = self.received[:count], self.received[count:]
        return seen

    async def ended(self) -> End:
        """Read on to the end, and say of which kind it is."""
        while (end := await self._more()) is None:
            pass
        return end

    async def _more(self) -> End | None:
        try:
            data = await self.stream.receive_some(_READ_BYTES)
        except trio.BrokenResourceError:
            return "reset"
        self.received += data
        return None if data else "fin"


class Viewer(_Side):
    """A viewer's connection to the door."""

    async def head(self) -> Answer:
        """The answer's head, taken away from what was received."""
        head, _, self.received = (await self.until(b"\r\n\r\n")).partition(b"\r\n\r\n")
        return Answer.parse(head + b"\r\n\r\n", None)

    async def answer(self) -> Answer:
        """The whole answer, to the end of the connection."""
        ended = await self.ended()
        return Answer.parse(self.received, ended)


class Asked(_Side):
    """The door's connection to an origin, at the origin; `received` is every byte that the door has sent."""


class FakeOrigin:
    """A listening socket of loopback, from which the test takes what the door asks."""

    def __init__(self, backlog: int = 100) -> None:
        self._listener = trio.socket.socket()
        self._sides: list[Asked] = []
        self._backlog = backlog

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["FakeOrigin"]:
        await self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(self._backlog)
        try:
            yield self
        finally:
            self._listener.close()
            self.close_accepted()

    def close_accepted(self) -> None:
        """Close what was accepted, and what still waits to be."""
        if self._listener.fileno() >= 0:
            with contextlib.suppress(BlockingIOError), self._plain() as listener:
                while True:
                    listener.accept()[0].close()
        for side in self._sides:
            side.close()

    def _plain(self) -> socket.socket:
        return socket.socket(fileno=socket.dup(self._listener.fileno()))

    async def accepted(self) -> Asked:
        """The next connection, of which nothing was read."""
        accepted, _ = await self._listener.accept()
        side = Asked(trio.SocketStream(accepted))
        self._sides.append(side)
        return side

    async def asked(self) -> Asked:
        """The next connection, with the whole head of its question."""
        side = await self.accepted()
        await side.until(b"\r\n\r\n")
        return side

    @contextmanager
    def nobody_comes(self) -> Iterator[None]:
        """For a block after which nobody has dialled."""
        yield
        with self._plain() as listener:
            try:
                accepted, _ = listener.accept()
            except BlockingIOError:
                return
            with accepted:
                raise AssertionError(f"the door has dialled, and sent {accepted.recv(1000)!r}")


class Census(NamedTuple):
    """What must be as before, whichever way a viewer has gone."""

    descriptors: int
    tasks: int
    registrations: int
    viewers: int


class House:
    """The door, and the connections to it.

    Attributes:
        server: all that stands behind the door.
        log: the events that were logged.
        serving: a cancel scope for each connection that is served.
        send_bytes: the size of the door's send buffer towards viewers who come from now on; None: the kernel's own.
    """

    def __init__(self, server: Server, pump: EpollPump | PortablePump, log: list[MutableMapping[str, Any]]) -> None:
        self.server = server
        self.pump = pump
        self.log = log
        self.serving: list[trio.CancelScope] = []
        self.send_bytes: int | None = None
        self._changed = trio.Event()
        self._address: tuple[str, int] = ("", 0)
        self._viewers: list[Viewer] = []

    async def viewer(self, request: bytes = GET, *, receive_bytes: int | None = None, address: str = "") -> Viewer:
        """A connection to the door that has sent `request`.

        Args:
            receive_bytes: of its kernel's buffer.
            address: of loopback, to come from.
        """
        dialled = trio.socket.socket()
        if receive_bytes is not None:
            dialled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        if address:
            await dialled.bind((address, 0))
        await dialled.connect(self._address)
        viewer = Viewer(trio.SocketStream(dialled))
        self._viewers.append(viewer)
        await viewer.send(request)
        return viewer

    async def answer(self, request: bytes) -> Answer:
        """The whole answer to a request that the door answers without help."""
        viewer = await self.viewer(request)
        answer = await viewer.answer()
        viewer.close()
        return answer

    def census(self) -> Census:
        """What is there now; the pump's idle pipes, which it keeps for whoever comes, are not counted."""
        pipes = len(self.pump.pipes._free) if isinstance(self.pump, EpollPump) else 0
        tasks = trio.lowlevel.current_statistics().tasks_living
        return Census(descriptors() - 2 * pipes, tasks, self.pump.registrations, len(self.server.rooms.viewers))

    async def nobody_served(self) -> None:
        """Wait until every connection's task has ended."""
        while self.serving:
            await self._changed.wait()

    def logged(self, event: str) -> MutableMapping[str, Any]:
        """The only event of this name."""
        (found,) = (logged for logged in self.log if logged["event"] == event)
        return found

    async def _serve(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        if self.send_bytes is not None:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_bytes)
        with trio.CancelScope() as scope:
            self.serving.append(scope)
            try:
                await self.server.rooms.door.serve(accepted, peer)
            finally:
                self.serving.remove(scope)
                self._changed.set()
                self._changed = trio.Event()

    @asynccontextmanager
    async def _accepting(self) -> AsyncIterator[None]:
        (listener,) = open_listeners([ListenAddress("127.0.0.1", 0)])
        with listener:
            self._address = listener.getsockname()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    accept_forever, listener, lambda accepted, peer: nursery.start_soon(self._serve, accepted, peer)
                )
                try:
                    yield
                finally:
                    for viewer in self._viewers:
                        viewer.close()
                await self.nobody_served()
                nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_house(
    *, pump_kind: type[EpollPump] | type[PortablePump] = EpollPump, **tables: Any
) -> AsyncIterator[House]:
    """A door of these settings: `open_house(origins={"a": {"url": origin.url}}, timeouts={"head_s": 1})`."""
    try:
        with capture_logs() as log:
            async with pump_kind.open() as pump, trio.open_nursery() as nursery:
                house = House(Server(Rooms(pump, nursery, Settings.model_validate(tables), None)), pump, log)
                with trio.fail_after(_A_TEST_TAKES_S):
                    async with house._accepting():
                        yield house
                assert pump.registrations == len(house.server.rooms.viewers) == 0
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _innermost(group) from None  # a failed assertion should be seen as itself


@asynccontextmanager
async def splicing(
    *, pump_kind: type[EpollPump] | type[PortablePump] = EpollPump, origin: dict[str, Any] | None = None, **tables: Any
) -> AsyncIterator[tuple[FakeOrigin, House]]:
    """A fake origin, and a door that knows it as `a`, by more keys of `origin`; no descriptor may be left over."""
    before = descriptors()
    async with FakeOrigin().listening() as fake:
        table = {"a": {"url": fake.url} | (origin or {})}
        async with open_house(pump_kind=pump_kind, origins=table, **tables) as house:
            yield fake, house
    assert descriptors() == before


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return error
