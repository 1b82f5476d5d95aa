"""How a callback goes over the wire: a POST of form fields by HTTP or HTTPS, and of its answer the head alone.

An answer's body is never read, a redirect never followed, a cookie never kept. What a viewer or publisher sends as its
own arguments reaches the operator's program too, but never under the name of a field that the door fills in.
"""

import logging
import re
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode

import httpx
import trio

from splice.access.requests import PublishRequest

__all__ = ["HookAnswer", "HookClient", "HookFailedError", "hook_form"]

_LONGEST_VALUE: Final = 4096
_MOST_ARGUMENTS: Final = 64
# Programs read brackets, dots and spaces in names as they please ("addr[0]" is "addr" to PHP).
_ARGUMENT_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

logging.getLogger("httpx").setLevel(logging.WARNING)  # below that it logs every URL, with what is secret in it


class HookFailedError(Exception):
    """There was no answer; the message says why."""


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """What the operator's program has answered.

    Attributes:
        status: of the answer.
        location: the field of this name, as it was sent; empty where there is none.
    """

    status: int
    location: str = ""

    @property
    def allows(self) -> bool:
        return 200 <= self.status < 300

    @property
    def redirects(self) -> bool:
        return 300 <= self.status < 400


class HookClient:
    """Sends the calls; one for the whole process."""

    def __init__(self, *, user_agent: str) -> None:
        self._user_agent: Final = user_agent
        self._client: httpx.AsyncClient | None = None

    def prepare(self) -> None:
        """Do beforehand what takes a tenth of a second, as no call may: read the machine's certificates."""
        self._open()

    async def post(
        self, turn: AbstractAsyncContextManager[object], url: str, form: bytes, *, timeout_s: float
    ) -> HookAnswer:
        """The answer to `form`.

        Args:
            turn: is entered for the call; waiting for it is within the time.
            timeout_s: for the whole of it.

        Raises:
            HookFailedError: there is none, or none in time.

        A cancellation gives the call up at once; whether it had arrived is not known then.
        """
        with trio.move_on_after(timeout_s):
            try:
                async with turn:
                    response = await self._send(url, form)
                    # The status is in the answer's head, and the body may be of any size: it is not read.
                    await response.aclose()
                    return HookAnswer(response.status_code, response.extensions["location"])
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                raise HookFailedError(_why(error)) from None
        raise HookFailedError(f"no answer within {timeout_s:g} s")

    async def _send(self, url: str, form: bytes) -> httpx.Response:
        client = self._open()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        post = client.build_request("POST", url, content=form, headers=headers)
        post.stream = _Body(form)
        return await client.send(post, stream=True)

    def _open(self) -> httpx.AsyncClient:
        # No connection is kept, so there is nothing to close in the end.
        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=ssl.create_default_context(),  # not trust.client_context: httpcore sets ALPN on what it gets
                trust_env=False,
                follow_redirects=False,
                timeout=None,  # noqa: S113 -- the whole call has one, above
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
                headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                event_hooks={"response": [_set_location_aside]},
            )
        return self._client


def _why(error: BaseException) -> str:
    """What went wrong, in the words of the innermost error that has any: a certificate's fault lies three deep."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    return next(filter(None, map(str, reversed(causes))), type(error).__name__)


async def _set_location_aside(response: httpx.Response) -> None:
    # httpx would read it as a URL, and take the whole answer for none where it is not one; here it may be a name.
    response.extensions["location"] = response.headers.pop("location", "")


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


def hook_form(call: str, request: PublishRequest, more: Mapping[str, int] | None = None) -> bytes:
    """The form of a call: nginx-rtmp's fields, `more` behind them, then the client's own arguments."""
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
        **{name: str(value) for name, value in (more or {}).items()},
    }
    arguments = [
        (name, value)
        for name, value in parse_qsl(request.arguments, keep_blank_values=True)
        if _ARGUMENT_NAME.fullmatch(name) and name.lower() not in fields
    ]
    pairs = [(name, value[:_LONGEST_VALUE]) for name, value in (*fields.items(), *arguments[:_MOST_ARGUMENTS])]
    return urlencode(pairs, errors="replace").encode()
