"""What a door's admin side tells, one look at a time: its API asked by HTTP, and its refusals as one sentence.

Nothing that comes from the network is trusted to be what it should: what does not fit the API's own models is no door.
"""

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
import trio
from pydantic import BaseModel, ValidationError

from splice.admin.models import Door, OriginItem, Origins, Problem, StreamItem, Streams, ViewerItem, Viewers

__all__ = ["MOST_ITEMS", "DoorClient", "DoorError", "Look"]

_Model = TypeVar("_Model", bound=BaseModel)

MOST_ITEMS: Final = 1000
"""Of streams and of viewers, in one look."""

_PATIENCE_S: Final = 5.0
_MOST_BYTES: Final = 16 * 1024 * 1024


class DoorError(Exception):
    """There is no look: one sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a door told at one moment.

    Attributes:
        at: the moment, in Trio's time.
        version: of the door.
        streams, viewers: at most `MOST_ITEMS`, viewers the oldest first.
        streams_total, viewers_total: how many there are.
    """

    at: float
    version: str
    streams: list[StreamItem]
    streams_total: int
    viewers: list[ViewerItem]
    viewers_total: int
    origins: list[OriginItem]


class DoorClient:
    """Asks one door; an async context manager that closes its connections."""

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        most_viewers: int = MOST_ITEMS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Args:
        url: of the admin side, `http[s]://host[:port]`.
        token: of `[admin]`; empty: none is sent.
        most_viewers: how many to ask for, 1 to `MOST_ITEMS`.
        transport: what carries the questions; None: the network.
        """
        self._shown: Final = url.rstrip("/")
        self._has_token: Final = bool(token)
        self._most_viewers: Final = most_viewers
        self._http: Final = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=None,  # noqa: S113 -- each look has its own, over all of it
            trust_env=False,  # a proxy of the environment is for the web, and the token is not for it
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def look(self) -> Look:
        """What the door tells now. A cancellation leaves nothing behind.

        Raises:
            DoorError: it tells nothing.
        """
        try:
            with trio.fail_after(_PATIENCE_S):
                door = await self._told("door", Door)
                streams = await self._told(f"streams?limit={MOST_ITEMS}", Streams)
                viewers = await self._told(f"viewers?limit={self._most_viewers}", Viewers)
                origins = await self._told("origins", Origins)
        except trio.TooSlowError:
            raise DoorError(f"{self._shown} gave no answer in {_PATIENCE_S:g} s; is it a door's admin side?") from None
        return Look(
            at=trio.current_time(),
            version=door.version,
            streams=streams.streams,
            streams_total=streams.total,
            viewers=viewers.viewers,
            viewers_total=viewers.total,
            origins=origins.origins,
        )

    async def _told(self, name: str, model: type[_Model]) -> _Model:
        try:
            async with self._http.stream("GET", f"/api/v1/{name}") as answer:
                body = await self._body(answer)
        except httpx.ConnectError as error:
            if "CERTIFICATE" in str(error):
                raise DoorError(f"the certificate of {self._shown} is not trusted here: {error}") from None
            if _is_unresolved(error):
                raise DoorError(f"the name in {self._shown} cannot be resolved: is it spelt right?") from None
            raise DoorError(
                f"nobody answers at {self._shown}: is the door running, and with --admin on that address?"
            ) from None
        except httpx.HTTPError:
            raise DoorError(f"the connection to {self._shown} broke off; is it a door's admin side?") from None
        if answer.status_code != httpx.codes.OK:
            raise DoorError(self._refusal(answer.status_code, body))
        try:
            return model.model_validate_json(body)
        except ValidationError:
            raise DoorError(
                f"what answers at {self._shown} is no door's admin side, or one of another version"
            ) from None

    async def _body(self, answer: httpx.Response) -> bytes:
        body = bytearray()
        async for piece in answer.aiter_bytes():
            if len(body) <= _MOST_BYTES:
                body += piece
        if len(body) > _MOST_BYTES:
            raise DoorError(f"what answers at {self._shown} sends more than a door would")
        return bytes(body)

    def _refusal(self, status: int, body: bytes) -> str:
        if status == httpx.codes.UNAUTHORIZED and not self._has_token:
            return (
                f"{self._shown} wants the token of its [admin]: name a file that holds it with --token-file, "
                "or set SPLICE_ADMIN__TOKEN"
            )
        try:
            detail = Problem.model_validate_json(body).detail
        except ValidationError:
            return f"what answers at {self._shown} is no door's admin side: it says {status}"
        return f"{self._shown} refuses ({status}): {detail}"


def _is_unresolved(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, socket.gaierror):
        error = error.__context__  # httpx's error stands around its transport's, and that one around the system's
    return error is not None
