"""What a door asks of access: who wants to do what, as far as it is known before anything exists."""

from dataclasses import dataclass, field
from typing import Final

__all__ = ["RTMP_PATH", "AccessRefusedError", "Caller", "PlayRequest", "PublishRequest"]

RTMP_PATH: Final = "rtmp"
"""Stands for the path where a stream is played by RTMP."""


class AccessRefusedError(Exception):
    """The request is refused.

    Attributes:
        status: 400 (it cannot be read in one way only), 401 (no, a wrong or an expired signature) or 403.
        detail: one sentence that says what to do; it names no secret, and not whether the stream exists.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status: Final = status
        self.detail: Final = detail


@dataclass(frozen=True, slots=True)
class Caller:
    """What a client says of itself, for the operator's callbacks alone; nothing is decided by it here.

    Attributes:
        flash_version: which program it is; of an HTTP viewer the User-Agent.
        swf_url: the player.
        tc_url: what it dialled, up to the app; of an HTTP viewer its URL without the query.
        page_url: the page that holds the player; of an HTTP viewer the Referer.
    """

    flash_version: str = ""
    swf_url: str = ""
    tc_url: str = field(default="", repr=False)
    page_url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """Somebody wants to publish `app/stream`.

    Attributes:
        client_id: the publisher's id, the same in the log.
        address: the client's, as text.
        arguments: the query behind the app and that behind the stream's name, joined by an &, as they were sent.
    """

    client_id: str
    address: str
    app: str
    stream: str
    arguments: str = field(default="", repr=False)
    caller: Caller = Caller()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayRequest(PublishRequest):
    """Somebody wants to watch `app/stream`.

    Attributes:
        path: of the request-target, as it was sent; `RTMP_PATH` for an RTMP player.
        src: the origin that was asked for; None: none was named.
    """

    path: str
    src: str | None = None
