"""Letting a viewer in, whichever door it came by: is there room, which way is its stream, and what is on record of it.

    access says yes --> route: room, existence, room --> watching: the table of viewers, the log, the operator

A door maps what is raised here to its own answers, and serves the viewer in between.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypeVar

import structlog

from splice.access import Access, PlayRequest
from splice.origins import OriginError
from splice.routing import PublishedRoute, Query, Route, RoutingError, SpliceRoute
from splice.stats import PROGRAM_LENGTH, EndReason, Viewer, Viewers
from splice.viewer_socket import ViewerLeftError

__all__ = ["Admission", "Watching"]

R = TypeVar("R", bound=Route)

_log = structlog.get_logger()


class Watching:
    """One viewer's time.

    Attributes:
        viewer: its row in the table.
        reason: why it has ended, for whoever serves it to say.
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer: Final = viewer
        self.reason = EndReason.ERROR


class Admission:
    """Knows how many may watch, and who does."""

    def __init__(self, viewers: Viewers) -> None:
        self._viewers: Final = viewers

    def next_id(self) -> str:
        """For one more request."""
        return self._viewers.next_id()

    def route(self, address: str, query: Query, find: Callable[[], R]) -> R:
        """Which way the stream of `query` is, if one more viewer of `address` may watch it.

        Args:
            address: the client's.
            query: what it asks for, by which it counts as well while the stream is not known to be another.
            find: looks that up; what it raises passes, once it is known that there is room.

        Raises:
            LimitReachedError: there is no room.
        """
        self._viewers.check_room(address, (query.src, query.app, query.stream))
        route = find()
        origin = _origin(route)
        if origin != query.src:  # by the default origin: it is that one's stream which counts its viewers
            self._viewers.check_room(address, (origin, route.app, route.stream))
        return route

    @contextmanager
    def watching(
        self,
        asked: PlayRequest,
        route: Route,
        access: Access,
        *,
        peer: str,
        protocol: Literal["http-flv", "ws-flv", "rtmp"],
        behind_proxy: bool,
        abort: Callable[[], None],
    ) -> Iterator[Watching]:
        """Hold a viewer in the table while the block runs, and log its beginning and end.

        Args:
            asked: its request.
            route: which way its stream is.
            access: hears of it every now and then.
            peer: its connection's other end.
            protocol: what is spoken.
            behind_proxy: whether its address is another than the peer's.
            abort: lets an end that is none of its own be an abrupt one.

        What the operator ends leaves the block without an error.
        """
        viewer = Viewer(
            id=asked.client_id,
            peer=peer,
            address=asked.address,
            route="splice" if isinstance(route, SpliceRoute) else "hub",
            origin=_origin(route),
            app=route.app,
            stream=route.stream,
            protocol=protocol,
            program=asked.caller.flash_version[:PROGRAM_LENGTH],
        )
        names = {"route": viewer.route, "origin": viewer.origin, "app": viewer.app, "stream": viewer.stream}
        if behind_proxy:
            names["client"] = viewer.address
        log = _log.bind(id=viewer.id, peer=peer, **names)
        log.info("viewer.start")
        watching, refused_by = Watching(viewer), {}
        try:
            with self._viewers.present(viewer), access.updated(asked, viewer), viewer.scope:
                yield watching
        except ViewerLeftError:
            watching.reason = EndReason.VIEWER_LEFT
            raise
        except (OriginError, RoutingError) as error:
            if viewer.ended_by is None:
                watching.reason, refused_by = EndReason.REFUSED, {"status": error.status}
                raise
        finally:
            if viewer.ended_by is not None:
                watching.reason = viewer.ended_by
                abort()
            log.info("viewer.end", **viewer.figures, reason=watching.reason, **refused_by)


def _origin(route: Route) -> str | None:
    return None if isinstance(route, PublishedRoute) else route.origin.name
