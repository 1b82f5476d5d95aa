"""What a client of the RTMP door asks for, what it is judged by, and the refusal that it gets."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final, Protocol, Self, TypeVar

from protocol.rtmp import ConnectRequested, Request
from splice.access import Caller
from splice.app_rules import RulesOf
from splice.hub.passage import Passage
from splice.routing import Router, is_name

__all__ = ["Ask", "ConnectedClient", "RefusedRequestError", "RtmpRules", "require_name"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RtmpRules:
    """What of the configuration a connection is judged and served by; a reload puts another in place.

    Args:
        router: says where streams are.
        of_app: what holds for one application; its `access` says who may publish and play.
        head_s: seconds from accept to publish or play.
        publish_idle_s: seconds without media from a publisher.
        stall_s: seconds in which a player must take something.
        pending: how many connections may neither publish nor play yet.
    """

    router: Router
    of_app: RulesOf
    head_s: float
    publish_idle_s: float
    stall_s: float
    pending: int


@dataclass(frozen=True, slots=True)
class ConnectedClient:
    """What a client said when it connected."""

    app: str
    app_query: str
    caller: Caller
    passage: Passage = field(default_factory=Passage)

    @classmethod
    def connecting(cls, event: ConnectRequested) -> Self:
        connect = event.connect
        caller = Caller(connect.flash_version, connect.swf_url, connect.tc_url, connect.page_url)
        return cls(connect.app.removesuffix("/"), connect.query, caller, Passage.told(connect.properties))

    def arguments(self, query: str) -> str:
        """The app's query, where nginx's push has it, and the stream's own."""
        return "&".join(filter(None, (self.app_query, query)))


class RefusedRequestError(Exception):
    """The client is told `description`, a whole sentence, with `code`, in answer to `request`; then that is all."""

    def __init__(self, request: Request, code: str, description: str) -> None:
        super().__init__(description)
        self.request: Final = request
        self.code: Final = code
        self.description: Final = description


class Ask(Protocol):
    """Waits for the answer of access; one that refuses is raised as what `request` gets, with `code`."""

    async def __call__(self, answer: Awaitable[T], request: Request, code: str) -> T: ...


def require_name(request: Request, name: str, code: str) -> None:
    """Make sure that `name` may be a stream's.

    Raises:
        RefusedRequestError: it may not; `code` says so.
    """
    if not is_name(name):
        raise RefusedRequestError(
            request, code, "A stream's name has 1 to 128 letters, digits and . _ ~ - @, and neither slash nor space."
        )
