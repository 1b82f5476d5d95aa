"""Letting viewers in: room, the way to the stream, and what is on record of whoever watches."""

from contextlib import AbstractContextManager, nullcontext
from typing import cast

import pytest
from structlog.testing import capture_logs

from splice.access import RTMP_PATH, Access, Caller, PlayRequest
from splice.admission import Admission, Watching
from splice.origins import OriginError
from splice.routing import PublishedRoute, Query
from splice.stats import EndReason, LimitReachedError, Viewer, Viewers
from splice.viewer_socket import ViewerLeftError

ROUTE = PublishedRoute("myapp", "test")
QUERY = Query(None, None, "myapp", "test")


class NobodyAsks:
    """Stands in for access: nobody hears of viewers."""

    def updated(self, asked: PlayRequest, viewer: Viewer) -> AbstractContextManager[None]:
        return nullcontext()


class Room:
    def __init__(self, *, limit: int = 9) -> None:
        self.viewers = Viewers(limit=limit, limit_per_address=0)
        self.admission = Admission(self.viewers)
        self.aborted = 0

    def watching(self, address: str = "192.0.2.7") -> AbstractContextManager[Watching]:
        asked = PlayRequest(
            client_id=self.admission.next_id(),
            address=address,
            path=RTMP_PATH,
            src=None,
            app="myapp",
            stream="test",
            arguments="",
            caller=Caller(),
        )
        return self.admission.watching(
            asked,
            ROUTE,
            cast(Access, NobodyAsks()),
            peer="192.0.2.7:5000",
            protocol="rtmp",
            behind_proxy=address != "192.0.2.7",
            abort=self.abort,
        )

    def abort(self) -> None:
        self.aborted += 1


@pytest.fixture
def room() -> Room:
    return Room()


async def test_a_viewer_is_in_the_table_and_the_log_while_it_watches(room: Room) -> None:
    with capture_logs() as log, room.watching("198.51.100.1") as watching:
        assert list(room.viewers) == [watching.viewer]
        watching.reason = EndReason.ORIGIN_ENDED
    assert not list(room.viewers)
    start, end = log
    assert (start["event"], start["id"], start["client"]) == ("viewer.start", "v1", "198.51.100.1")
    assert (end["event"], end["reason"], "status" in end) == ("viewer.end", "origin_ended", False)
    assert room.aborted == 0


async def test_a_refusal_of_the_origins_is_told_with_its_status(room: Room) -> None:
    with capture_logs() as log, pytest.raises(OriginError), room.watching():
        raise OriginError(502, "the origin refuses connections")
    assert (log[-1]["reason"], log[-1]["status"]) == ("refused", 502)


async def test_who_leaves_by_itself_has_left(room: Room) -> None:
    with capture_logs() as log, pytest.raises(ViewerLeftError), room.watching():
        raise ViewerLeftError
    assert log[-1]["reason"] == "viewer_left"


async def test_whom_the_operator_ends_is_told_nothing_more_though_the_origin_fails_in_that_moment(room: Room) -> None:
    with capture_logs() as log, room.watching() as watching:
        watching.viewer.end(EndReason.KICKED)
        raise OriginError(502, "the origin refuses connections")
    assert (log[-1]["reason"], "status" in log[-1]) == ("kicked", False)
    assert room.aborted == 1


async def test_a_full_door_does_not_say_whether_the_stream_exists() -> None:
    room = Room(limit=0)
    with pytest.raises(LimitReachedError):
        room.admission.route("192.0.2.7", QUERY, lambda: pytest.fail("it was looked up"))
