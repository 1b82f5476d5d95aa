"""The operator's callbacks, in the form of nginx-rtmp's: who is asked what, and what comes of the answer.

a door --ask-----> 2xx: let in; 3xx with a Location: let in there; all else: refused; no answer: as on_failure says
a door --tell----> in a task of its own, whose answer nobody waits for
a door --updated-> again and again while somebody is there; an answer that is not 2xx ends that one, none does not
the hub --demand-> whether a missing stream is being brought
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
import trio

from protocol.rtmp import redact
from splice.access.hook_client import HookAnswer, HookClient, HookFailedError, hook_form
from splice.access.requests import PlayRequest, PublishRequest
from splice.access.rounds import Rounds
from splice.stats import EndReason

__all__ = ["HookCalls", "Hooks", "Session"]

_ASKED_AT_ONCE: Final = 64
_TOLD_AT_ONCE: Final = 16  # apart, so that those who wait to be let in are not behind those who have left
_TOLD_WAITING: Final = 10_000
_UPDATED_AT_ONCE: Final = 16
_DEMANDED_AT_ONCE: Final = 16
_LAST_TOLD_S: Final = 1.0

_ALLOWED: Final = HookAnswer(200)
_REFUSED: Final = HookAnswer(403)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Hooks:
    """Which callbacks there are, and how they are called.

    Args:
        urls: by what stands behind on_ in their names: publish, publish_done, play, play_done, update, demand, idle;
            empty or absent: not called.
        timeout_s: for a whole call.
        allow_on_failure: what a question comes to that got no answer.
        update_s: from one update to the next.
    """

    urls: Mapping[str, str]
    timeout_s: float
    allow_on_failure: bool
    update_s: float = 30.0

    def url(self, name: str) -> str:
        return self.urls.get(name, "")


class Session(Protocol):
    """Somebody who publishes or watches.

    Attributes:
        clock_ms: the stream's time, where it is known.
    """

    @property
    def seconds(self) -> float: ...

    @property
    def clock_ms(self) -> int: ...

    def end(self, reason: EndReason) -> None: ...


class HookCalls:
    """Makes the calls; one for the whole process, which outlives every reload."""

    def __init__(self, nursery: trio.Nursery, *, user_agent: str) -> None:
        """Args: where those run that nobody waits for."""
        self._nursery: Final = nursery
        self._client: Final = HookClient(user_agent=user_agent)
        # Not httpx's own limit: its pool looks at all who wait whenever one comes or goes, and a thousand hold up the
        # loop for seconds.
        self._askers: Final = trio.CapacityLimiter(_ASKED_AT_ONCE)
        self._tellers: Final = trio.CapacityLimiter(_TOLD_AT_ONCE)
        self._demanders: Final = trio.CapacityLimiter(_DEMANDED_AT_ONCE)
        self._rounds: Final = Rounds(nursery, at_once=_UPDATED_AT_ONCE)
        self._mute: set[str] = set()  # the URLs whose last update had no answer
        self._untold = 0
        self._all_told = trio.Event()

    def prepare(self) -> None:
        """Do beforehand what takes a tenth of a second, as no call may."""
        self._client.prepare()

    async def ask(self, hooks: Hooks, name: str, request: PublishRequest) -> HookAnswer:
        """What the operator's program says to `request`; a plain yes where it is not to be asked.

        A cancellation gives the call up at once; whether it had arrived is not known then.
        """
        url = hooks.url(name)
        if not url:
            return _ALLOWED
        answer = await self._post(self._askers, hooks, name, url, hook_form(name, request), request.client_id)
        if answer is None:
            return _ALLOWED if hooks.allow_on_failure else _REFUSED
        return answer

    async def demand(self, hooks: Hooks, request: PublishRequest) -> HookAnswer | None:
        """What the operator's program says to the wish for a stream; None where it does not answer."""
        url = hooks.url("demand")
        return await self._post(self._demanders, hooks, "demand", url, hook_form("demand", request), request.client_id)

    def tell(self, hooks: Hooks, name: str, request: PublishRequest) -> None:
        """Tell the operator's program of something, when there is time; this returns at once."""
        url = hooks.url(name)
        if not url:
            return
        if self._untold >= _TOLD_WAITING:
            _log.warning("hook.dropped", hook=f"on_{name}", url=redact(url), id=request.client_id, waiting=self._untold)
            return
        self._untold += 1
        self._nursery.start_soon(self._tell, hooks, name, url, request)

    async def wait_told(self) -> None:
        """Wait until all was told that was to be told, but not for longer than a second."""
        with trio.move_on_after(_LAST_TOLD_S):
            while self._untold:
                self._all_told = trio.Event()
                await self._all_told.wait()

    def updated(self, hooks: Hooks, request: PublishRequest, session: Session) -> AbstractContextManager[None]:
        """Tell of `session` every so often while the block runs, and end it where the answer says so."""
        url = hooks.url("update")
        if not url:
            return nullcontext()
        return self._rounds.visited(lambda: self._update(hooks, url, request, session), hooks.update_s)

    async def _update(self, hooks: Hooks, url: str, request: PublishRequest, session: Session) -> None:
        call = "update_play" if isinstance(request, PlayRequest) else "update_publish"
        form = hook_form(call, request, {"time": int(session.seconds), "timestamp": session.clock_ms})
        try:
            answer = await self._client.post(nullcontext(), url, form, timeout_s=hooks.timeout_s)
        except HookFailedError as error:
            if url not in self._mute:  # once, and not for each of a thousand viewers every half a minute
                self._mute.add(url)
                _log.warning("hook.failed", hook="on_update", url=redact(url), id=request.client_id, error=str(error))
            return
        self._mute.discard(url)
        if not answer.allows:
            _log.info("hook.ended", hook="on_update", id=request.client_id, status=answer.status)
            session.end(EndReason.KICKED)

    async def _tell(self, hooks: Hooks, name: str, url: str, request: PublishRequest) -> None:
        try:
            async with self._tellers:
                await self._post(nullcontext(), hooks, name, url, hook_form(name, request), request.client_id)
        except Exception:  # noqa: BLE001 -- a bug in telling must not end the nursery, and with it every stream
            _log.exception("hook.bug", hook=f"on_{name}")
        finally:
            self._untold -= 1
            if not self._untold:
                self._all_told.set()

    async def _post(
        self,
        turn: AbstractAsyncContextManager[object],
        hooks: Hooks,
        name: str,
        url: str,
        form: bytes,
        client_id: str,
    ) -> HookAnswer | None:
        """The answer; None where there was none in time, which is logged."""
        try:
            return await self._client.post(turn, url, form, timeout_s=hooks.timeout_s)
        except HookFailedError as error:
            _log.warning("hook.failed", hook=f"on_{name}", url=redact(url), id=client_id, error=str(error))
            return None
