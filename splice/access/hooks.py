"""The operator's callbacks, in the form of nginx-rtmp's: on_publish, on_play, and the two that tell of the end.

    a door --ask--> POST, form fields --> 2xx: let in; all else: refused; no answer in time: as on_failure says
    a door --tell-> the same, in a task of its own, whose answer nobody waits for

An answer's body is never read, and a redirect never followed. What a viewer or publisher sends as its own arguments
reaches the operator's program too, but never under the name of a field that the door fills in.
"""

import logging
import re
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode

import httpx
import structlog
import trio

from protocol.rtmp import redact
from splice.access.requests import PublishRequest

__all__ = ["HookCalls", "Hooks"]

_ASKED_AT_ONCE: Final = 64
_TOLD_AT_ONCE: Final = 16  # apart, so that those who wait to be let in are not behind those who have left
_TOLD_WAITING: Final = 10_000
_LAST_TOLD_S: Final = 1.0
_LONGEST_VALUE: Final = 4096
_MOST_ARGUMENTS: Final = 64
# Programs read brackets, dots and spaces in names as they please ("addr[0]" is "addr" to PHP).
_ARGUMENT_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_log = structlog.get_logger()

logging.getLogger("httpx").setLevel(logging.WARNING)  # below that it logs every URL, with what is secret in it


@dataclass(frozen=True, slots=True)
class Hooks:
    """Which callbacks there are, and how they are called.

    Args:
        urls: by the value of the field `call`: publish, publish_done, play, play_done; empty or absent: not called.
        timeout_s: for a whole call.
        allow_on_failure: what a question comes to that got no answer.
    """

    urls: Mapping[str, str]
    timeout_s: float
    allow_on_failure: bool

    def url(self, call: str) -> str:
        return self.urls.get(call, "")


class HookCalls:
    """Makes the calls; one for the whole process, which outlives every reload."""

    def __init__(self, nursery: trio.Nursery, *, user_agent: str) -> None:
        """Args: where those run that nobody waits for."""
        self._nursery: Final = nursery
        self._user_agent: Final = user_agent
        self._client: httpx.AsyncClient | None = None
        # Not httpx's own limit: its pool looks at all who wait whenever one comes or goes, and a thousand hold up the
        # loop for seconds.
        self._askers: Final = trio.CapacityLimiter(_ASKED_AT_ONCE)
        self._tellers: Final = trio.CapacityLimiter(_TOLD_AT_ONCE)
        self._untold = 0
        self._all_told = trio.Event()

    def prepare(self) -> None:
        """Do beforehand what takes a tenth of a second, as no call may: read the machine's certificates."""
        self._open_client()

    async def ask(self, hooks: Hooks, call: str, request: PublishRequest) -> bool:
        """Whether the operator's program lets `request` in; true where it is not to be asked.

        A cancellation gives the call up at once; whether it had arrived is not known then.
        """
        url = hooks.url(call)
        if not url:
            return True
        status = await self._post(self._askers, hooks, call, url, request)
        if status is None:
            return hooks.allow_on_failure
        return 200 <= status < 300

    def tell(self, hooks: Hooks, call: str, request: PublishRequest) -> None:
        """Tell the operator's program of something, when there is time; this returns at once."""
        url = hooks.url(call)
        if not url:
            return
        if self._untold >= _TOLD_WAITING:
            _log.warning("hook.dropped", hook=f"on_{call}", url=redact(url), id=request.client_id, waiting=self._untold)
            return
        self._untold += 1
        self._nursery.start_soon(self._tell, hooks, call, url, request)

    async def wait_told(self) -> None:
        """Wait until all was told that was to be told, but not for longer than a second."""
        with trio.move_on_after(_LAST_TOLD_S):
            while self._untold:
                self._all_told = trio.Event()
                await self._all_told.wait()

    async def _tell(self, hooks: Hooks, call: str, url: str, request: PublishRequest) -> None:
        try:
            async with self._tellers:
                await self._post(nullcontext(), hooks, call, url, request)
        except Exception:  # noqa: BLE001 -- a bug in telling must not end the nursery, and with it every stream
            _log.exception("hook.bug", hook=f"on_{call}")
        finally:
            self._untold -= 1
            if not self._untold:
                self._all_told.set()

    async def _post(
        self, turn: AbstractAsyncContextManager[object], hooks: Hooks, call: str, url: str, request: PublishRequest
    ) -> int | None:
        """The status of the answer; None where there was none in time, which is logged.

        Args:
            turn: is entered for the call; waiting for it is within the time.
        """
        problem = f"no answer within {hooks.timeout_s:g} s"
        with trio.move_on_after(hooks.timeout_s):
            try:
                async with turn:
                    response = await self._send(url, _form(call, request))
                    # The status is in the answer's head, and the body may be of any size: it is not read.
                    await response.aclose()
                    return response.status_code
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                problem = str(error) or type(error).__name__
        _log.warning("hook.failed", hook=f"on_{call}", url=redact(url), id=request.client_id, error=problem)
        return None

    async def _send(self, url: str, form: bytes) -> httpx.Response:
        client = self._open_client()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        post = client.build_request("POST", url, content=form, headers=headers)
        post.stream = _Body(form)
        return await client.send(post, stream=True)

    def _open_client(self) -> httpx.AsyncClient:
        # No connection is kept, so there is nothing to close in the end.
        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=ssl.create_default_context(),
                trust_env=False,
                follow_redirects=False,
                timeout=None,  # noqa: S113 -- the whole call has one, above
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
                headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            )
        return self._client


class _Body(httpx.AsyncByteStream):
    """A request's body in one piece. httpx's own is an async generator, and a cancellation leaves that unfinished."""

    def __init__(self, content: bytes) -> None:
        self._pieces: Final = iter((content,))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


def _form(call: str, request: PublishRequest) -> bytes:
    caller = request.caller
    fields = {
        "call": call,
        "addr": request.address,
        "clientid": request.client_id,
        "app": request.app,
        "name": request.stream,
        "flashver": caller.flash_version,
        "swfurl": caller.swf_url,
        "tcurl": caller.tc_url,
        "pageurl": caller.page_url,
    }
    arguments = [
        (name, value)
        for name, value in parse_qsl(request.arguments, keep_blank_values=True)
        if _ARGUMENT_NAME.fullmatch(name) and name.lower() not in fields
    ]
    pairs = [(name, value[:_LONGEST_VALUE]) for name, value in (*fields.items(), *arguments[:_MOST_ARGUMENTS])]
    return urlencode(pairs, errors="replace").encode()
