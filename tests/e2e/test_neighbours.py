"""The door behind nginx and HAProxy, and before them: no input makes the two see different requests (RFC 9112, 11.2).

Each has hundreds of requests that servers were once made to read in two ways. What a neighbour took a request for
stands in its log; what the two have said to each other, in a tap between them.
"""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

import pytest
import trio

from protocol import NEED_DATA
from splice.config import OriginSettings
from splice.http import RequestError, RequestHead, RequestParser
from splice.routing import Router
from tests.e2e.door import running_door
from tests.e2e.nasty_heads import PLAIN_TARGET, hidden_parameters, nasty_requests
from tests.e2e.neighbours import Neighbour, Neighbouring, Understood, haproxy, nginx
from tests.e2e.processes import need
from tests.e2e.tap import Recorded, answering, tapped

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: video/x-flv\r\n\r\nFLV"
PLAIN: Final = b"GET " + PLAIN_TARGET + b" HTTP/1.1\r\nHost: door\r\n\r\n"
AT_ONCE: Final = 24
OF_EACH_HOP: Final = (b"host", b"connection", b"upgrade", b"content-length", b"transfer-encoding")
"""Fields that a proxy writes anew: rule 8 of docs/conformance.md. That both see one request ends the same for both."""

NEIGHBOURS: Final = {
    "nginx": nginx(lenient=False),
    "nginx, lenient": nginx(lenient=True),
    "haproxy": haproxy(lenient=False),
    "haproxy, lenient": haproxy(lenient=True),
}


@pytest.fixture(params=NEIGHBOURS)
def neighbouring(request: pytest.FixtureRequest) -> Neighbouring:
    need(request.param.split(",")[0])
    return NEIGHBOURS[request.param]


def by_the_door(asked: bytes) -> tuple[RequestHead | RequestError | None, bytes]:
    """What the door takes these bytes for, and what follows the head."""
    parser = RequestParser()
    parser.receive_data(asked)
    try:
        head = parser.next_event()
    except RequestError as error:
        return error, b""
    return (None, b"") if head is NEED_DATA else (head, parser.trailing_data)


async def ask(port: int, wire: bytes, *, viewer: str = "127.0.0.1") -> bytes:
    """Everything that is answered to a request, from an address of loopback of its own."""
    with trio.socket.socket() as sock:
        await sock.bind((viewer, 0))
        await sock.connect(("127.0.0.1", port))
        stream = trio.SocketStream(sock)
        answer = b""
        with trio.fail_after(10):
            try:
                await stream.send_all(wire)
                async for data in stream:
                    answer += data
            except trio.BrokenResourceError:
                pass  # it was refused before all of it was read
        return answer


async def ask_all(port: int, wires: list[bytes]) -> dict[str, bytes]:
    """Ask each of these, some at once; which viewer has asked what."""
    viewers = {f"127.1.{number >> 8}.{number & 0xFF}": wire for number, wire in enumerate(wires, start=1)}
    free = trio.Semaphore(AT_ONCE)

    async def ask_one(viewer: str, wire: bytes) -> None:
        async with free:
            await ask(port, wire, viewer=viewer)

    async with trio.open_nursery() as nursery:
        for viewer, wire in viewers.items():
            nursery.start_soon(ask_one, viewer, wire)
    return viewers


async def all_understood(neighbour: Neighbour) -> list[Understood]:
    """What it has understood, once what is asked now stands in its log behind all that was asked before."""
    last = "127.2.0.1"
    await ask(neighbour.port, PLAIN, viewer=last)
    with trio.fail_after(10):
        while not (understood := neighbour.understood) or understood[-1].viewer != last:
            await trio.sleep(0.01)
    return [each for each in understood if each.viewer != last]


def field(head: RequestHead, name: bytes) -> bytes:
    """All values of a field, as a neighbour joins them."""
    return b", ".join([value for written, value in head.fields if written.lower() == name])


def answers(answered: bytes) -> list[int]:
    """The statuses of the answers that came on a connection; the door frames them by length or by its close."""
    statuses = []
    rest = bytes(answered)
    while rest:
        match = re.match(rb"HTTP/1\.[01] ([0-9]{3}) ", rest)
        assert match, f"this is no answer: {rest[:60]!r}"
        statuses.append(int(match[1]))
        head, _, behind = rest.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
        rest = behind[int(length[1]) :] if length else b""
    return statuses


def meant(method: bytes, target: bytes) -> bytes:
    """The path and query of a target as it stands in a log, by rules 5 and 6 of docs/conformance.md."""
    behind = re.sub(rb"(?i)\Ahttp://[^/?]*", b"", target)
    if not behind and method == b"OPTIONS":
        return b"*"
    return b"/" + behind if not behind or behind.startswith(b"?") else behind


def check_behind(wire: bytes, understood: list[Understood], said: list[Recorded]) -> Counter[str]:
    """The door has read each request that the neighbour has passed on as the neighbour has, and no other."""
    counted: Counter[str] = Counter()
    assert len(said) == len(understood), (
        f"it passed on {len(understood)} requests, and the door was dialled for {len(said)}"
    )
    for theirs, recorded in zip(understood, said, strict=True):
        ours, behind = by_the_door(bytes(recorded.asked))
        assert len(answers(recorded.answered)) == 1, "the door has taken one request for more than one"
        if isinstance(ours, RequestError):
            # What the door refuses it reads in no way at all: the connection ends with the answer.
            assert answers(recorded.answered) == [ours.status]
            counted["refused"] += 1
            continue
        assert ours is not None, "the door waits for more"
        assert behind == b"", "bytes follow the head, and the two differ in what they are"
        assert ours.method == theirs.method
        assert ours.target == meant(theirs.method, theirs.target)
        for name, value in theirs.fields.items():
            if name not in OF_EACH_HOP:
                assert field(ours, name) == value.strip(b" \t"), name  # rule 7
        counted["read alike"] += 1
    return counted


async def test_behind_a_neighbour_the_door_sees_the_requests_that_the_neighbour_sees(
    tmp_path: Path, neighbouring: Neighbouring
) -> None:
    wires = nasty_requests(changed=300)
    async with (
        answering(ANSWER) as origin,
        running_door(tmp_path, "--origin", f"a=http://127.0.0.1:{origin.port}", head_s=1) as door,
        tapped(door.port) as tap,
        neighbouring(tmp_path, tap.port) as neighbour,
    ):
        viewers = await ask_all(neighbour.port, wires)
        understood = await all_understood(neighbour)
        said = list(tap.connections)
    theirs = defaultdict(list)
    for each in understood:
        if each.forwarded:
            theirs[each.viewer].append(each)
    ours = defaultdict(list)
    for recorded in said:
        found = re.search(rb"(?i)\r\nx-viewer: ([0-9.]+)\r\n", recorded.asked)
        assert found, recorded.asked
        ours[found[1].decode()].append(recorded)
    counted: Counter[str] = Counter()
    for viewer, wire in viewers.items():
        try:
            counted += check_behind(wire, theirs[viewer], ours[viewer])
        except AssertionError as failure:
            failure.add_note(f"with {wire!r}, which was passed on as {[bytes(each.asked) for each in ours[viewer]]}")
            raise
    assert counted["read alike"] > 60, "so few were passed on that nothing was compared"


ROUTER: Final = Router(live_paths=("/live",), origins={"a": OriginSettings(url="http://10.0.0.8")})


def checked_by_the_door(target: bytes) -> tuple[bytes, ...]:
    """What the door has checked for each of ARGUMENTS."""
    path, _, arguments = target.partition(b"?")
    query = ROUTER.query(path, arguments)
    assert query is not None
    values = (query.src, query.port, query.app, query.stream)
    return tuple(b"" if value is None else str(value).encode() for value in values)


def check_before(theirs: Understood, asked: bytes, served: bytes) -> None:
    """What the door has asked the neighbour has understood as that and no more, and passed on so."""
    head, behind = by_the_door(asked)
    assert isinstance(head, RequestHead) and behind == b"", "the door asks for something that it would refuse itself"
    assert theirs.forwarded
    assert (theirs.method, theirs.target) == (head.method, head.target)
    assert head.method == b"GET"
    assert theirs.arguments == checked_by_the_door(head.target)
    for name in (b"host", b"authorization", b"referer", b"content-length", b"transfer-encoding"):
        assert theirs.fields.get(name, b"") == field(head, name), name
    at_last, behind = by_the_door(served)
    assert isinstance(at_last, RequestHead) and behind == b""
    assert (at_last.method, at_last.target) == (head.method, head.target)


async def test_before_a_neighbour_the_door_asks_for_what_the_neighbour_understands(
    tmp_path: Path, neighbouring: Neighbouring
) -> None:
    asked_by: list[bytes] = []
    async with (
        answering(ANSWER) as server,
        neighbouring(tmp_path, server.port) as neighbour,
        tapped(neighbour.port) as tap,
        running_door(tmp_path, "--origin", f"a=http://127.0.0.1:{tap.port}") as door,
    ):
        for wire in [*nasty_requests(changed=100), *hidden_parameters(changed=400)]:
            if by_the_door(wire)[0] is None:
                continue  # the door waits for more of it
            await ask(door.port, wire)
            assert len(tap.connections) - len(asked_by) <= 1, wire
            asked_by += [wire] * (len(tap.connections) - len(asked_by))
        said = list(tap.connections)
        understood = await all_understood(neighbour)
        served = server.connections[: len(said)]
    assert len(said) == len(understood) == len(served) > 60
    for wire, theirs, recorded, at_last in zip(asked_by, understood, said, served, strict=True):
        try:
            check_before(theirs, bytes(recorded.asked), bytes(at_last.asked))
        except AssertionError as failure:
            failure.add_note(f"with {wire!r}, which was passed on as {bytes(recorded.asked)!r}")
            raise
