"""The log's events for listeners: all of them, in order; and what a listener loses who does not keep up."""

import contextlib
import json
from typing import Any

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from splice.admin.events import EventFeed, EventStream, FeedFullError, Listener
from tests.splice.admin.admin_house import AdminHouse


def parsed(text: str) -> list[dict[str, Any]]:
    """The events of a stream, by the rules of the HTML standard, 9.2.6; comments are none."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            assert set(fields) == {"event", "data"}
            event = json.loads(fields["data"])
            assert event["event"] == fields["event"]
            events.append(event)
    return events


class Reader:
    """An ASGI server's side of one request, that reads when it is told to."""

    def __init__(self) -> None:
        self.text = ""
        self.started: dict[str, Any] = {}
        self.gone = trio.Event()
        self.reads = trio.Semaphore(0)
        self._more = trio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.started = message
            return
        await self.reads.acquire()
        self.text += message["body"].decode()
        self._more.set()
        self._more = trio.Event()

    async def until(self, words: str) -> None:
        while words not in self.text:
            await self._more.wait()


def read_on(reader: Reader) -> None:
    for _ in range(1000):
        reader.reads.release()


async def test_a_listener_gets_the_head_at_once_and_then_every_event(autojump_clock: trio.testing.MockClock) -> None:
    feed, reader = EventFeed(), Reader()
    read_on(reader)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(EventStream(feed), {"type": "http"}, reader.receive, reader.send)
        await reader.until(":\n\n")
        headers = dict(reader.started["headers"])
        assert headers[b"content-type"].startswith(b"text/event-stream")
        assert b"content-length" not in headers
        feed.hear({"event": "viewer.start", "id": "v1", "level": "info"})
        feed.hear({"event": "viewer.end", "id": "v1", "level": "info"})
        await reader.until("viewer.end")
        reader.gone.set()
    assert parsed(reader.text) == [
        {"event": "viewer.start", "id": "v1", "level": "info"},
        {"event": "viewer.end", "id": "v1", "level": "info"},
    ]
    assert len(feed) == 0


async def test_a_silent_log_is_kept_alive_by_comments(autojump_clock: trio.testing.MockClock) -> None:
    feed, reader = EventFeed(), Reader()
    read_on(reader)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(EventStream(feed), {"type": "http"}, reader.receive, reader.send)
        await trio.sleep(46)
        reader.gone.set()
    assert reader.text == ":\n\n" * 4


async def test_a_slow_listener_loses_the_oldest_and_is_told_how_many(
    autojump_clock: trio.testing.MockClock,
) -> None:
    feed, slow, quick = EventFeed(length=3), Reader(), Reader()
    read_on(quick)
    async with trio.open_nursery() as nursery:
        for reader in (slow, quick):
            nursery.start_soon(EventStream(feed), {"type": "http"}, reader.receive, reader.send)
        await quick.until(":")
        for number in range(10):
            feed.hear({"event": "tick", "number": number})
            await quick.until(f'"number": {number}')
        read_on(slow)
        await slow.until('"number": 9')
        slow.gone.set()
        quick.gone.set()
    assert parsed(slow.text) == [
        {"event": "lost", "count": 7},
        *({"event": "tick", "number": number} for number in (7, 8, 9)),
    ]
    assert [event["number"] for event in parsed(quick.text)] == list(range(10))


async def test_a_cancelled_wait_loses_nothing() -> None:
    listener = Listener(10)
    with trio.CancelScope() as scope:
        scope.cancel()
        await listener.next()
    listener.offer("a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await listener.next()
    assert await listener.next() == "a"


async def test_too_many_listeners_are_told_to_come_again(house: AdminHouse) -> None:
    house.admin.feed._most = 1
    with house.admin.feed.listening():
        async with house.client() as client:
            answer = await client.get("/api/v1/events")
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"


async def test_of_many_who_come_at_once_no_more_than_may_listen() -> None:
    feed = EventFeed(listeners=2)
    started: list[int] = []

    async def slow_send(message: Any) -> None:
        if message["type"] == "http.response.start":
            await trio.testing.wait_all_tasks_blocked()
            started.append(message["status"])

    async def listen() -> None:
        with contextlib.suppress(FeedFullError):
            await EventStream(feed)({"type": "http"}, trio.sleep_forever, slow_send)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(listen)
        await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        assert len(feed) == len(started) == 2
        nursery.cancel_scope.cancel()
    assert len(feed) == 0


async def test_tracebacks_are_for_the_log_alone() -> None:
    feed = EventFeed()
    with feed.listening() as listener:
        feed.hear({"event": "admin.bug", "exc_info": True, "exception": "secret", "level": "error"})
        assert parsed(await listener.next()) == [{"event": "admin.bug", "level": "error"}]


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=5)


@given(st.lists(st.dictionaries(st.text(min_size=1), VALUES, max_size=3), max_size=3))
def test_whatever_a_log_says_stays_one_event(logged: list[dict[str, Any]]) -> None:
    async def read() -> str:
        feed = EventFeed()
        with feed.listening() as listener:
            feed.hear({"event": "begin"})
            for event in logged:
                feed.hear({**event, "event": "it"})
            return await listener.next()

    text = trio.run(read)
    assert [event["event"] for event in parsed(text)] == ["begin"] + ["it"] * len(logged)
