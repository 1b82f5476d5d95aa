"""The one question of the doors, and its order: address, then signature or key, then the operator's program."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TypeVar

import structlog
import trio

from protocol.rtmp import redact
from splice.access.addresses import AddressRules
from splice.access.hooks import HookCalls, Hooks, Session
from splice.access.keys import StreamKeys
from splice.access.parameters import read_parameters, without_parameters
from splice.access.redirects import Forwarded, Pulled, RedirectError, Redirects, Renamed
from splice.access.requests import RTMP_PATH, AccessRefusedError, PlayRequest, PublishRequest
from splice.access.secure_link import SECURE_LINK_PARAMETERS, SecureLink
from splice.access.signatures import SIGNATURE_PARAMETERS, Signatures, SignedParts

__all__ = ["Access"]

T = TypeVar("T")

_SHOWN_LOCATION: Final = 200  # characters, of what the operator's program has sent

_log = structlog.get_logger()

_ENCODED_SIGNATURE_PARAMETERS: Final = tuple(name.encode() for name in SIGNATURE_PARAMETERS)


class Access:
    """Who may publish and who may watch, by one configuration; a reload makes another.

    Where both kinds of signed URLs are in force, a request is held to the one whose parameters it carries: to
    `secure_link` if it has md5 and neither kid, exp nor sig, else to `sign_keys`.

    Attributes:
        hooks: the operator's callbacks.
    """

    def __init__(
        self,
        *,
        viewers: AddressRules,
        publishers: AddressRules,
        keys: StreamKeys,
        signatures: Signatures | None,
        secure_link: SecureLink | None,
        sign_forward: bool,
        hooks: Hooks,
        redirects: Redirects,
        calls: HookCalls,
    ) -> None:
        """Args:
        viewers, publishers: where they may come from.
        keys: of the streams that may be published only with one.
        signatures, secure_link: what every viewer's URL must satisfy; None: not in force.
        sign_forward: whether origins see kid, exp and sig.
        hooks: the operator's callbacks.
        redirects: where these may send somebody.
        calls: makes them.
        """
        self._viewers: Final = viewers
        self._publishers: Final = publishers
        self._keys: Final = keys
        self._signatures: Final = signatures
        self._secure_link: Final = secure_link
        self._sign_forward: Final = sign_forward
        self.hooks: Final = hooks
        self._redirects: Final = redirects
        self._calls: Final = calls
        if any(hooks.urls.values()):
            calls.prepare()

    @property
    def asks_about_viewers(self) -> bool:
        """Whether `may_play` may have to wait for the operator's program; else it does not even yield."""
        return bool(self.hooks.url("play"))

    async def may_play(self, request: PlayRequest) -> Renamed | Pulled | None:
        """Let a viewer in, who then ends with `play_ended`; where to, None: to what it has asked for.

        Raises:
            AccessRefusedError: not this one; there is nothing to end.

        After a cancellation there is nothing to end either.
        """
        if not self._viewers.admits(request.address):
            raise AccessRefusedError(
                403, f"viewers from {request.address} are not let in here; ask the operator to let in your network"
            )
        self._check_signed(request)
        refusal = "the operator does not let you watch this stream ([hooks] on_play)"
        return await self._ask("play", request, refusal, self._redirects.of_viewer)

    def play_ended(self, request: PlayRequest) -> None:
        """Say that a viewer who was let in has gone, were it only because there was no room or no stream."""
        self._calls.tell(self.hooks, "play_done", request)

    async def may_publish(self, request: PublishRequest) -> Renamed | Forwarded | None:
        """Let a publisher in, who then ends with `publish_ended`; where to, None: to the name it has asked for.

        Raises:
            AccessRefusedError: not this one; there is nothing to end.

        After a cancellation there is nothing to end either.
        """
        if not self._publishers.admits(request.address):
            raise AccessRefusedError(
                403,
                f"publishers from {request.address} are not let in: the operator adds their network to [publish] allow",
            )
        self._keys.check(request)
        refusal = "the operator does not take this stream ([hooks] on_publish)"
        return await self._ask("publish", request, refusal, self._redirects.of_publisher)

    def publish_ended(self, request: PublishRequest) -> None:
        """Say that a publisher who was let in has gone."""
        self._calls.tell(self.hooks, "publish_done", request)

    def updated(self, request: PublishRequest, session: Session) -> AbstractContextManager[None]:
        """Tell the operator's program of who was let in, again and again while the block runs ([hooks] on_update)."""
        return self._calls.updated(self.hooks, request, session)

    def forwarded(self, target: bytes) -> bytes:
        """A request-target as an origin may see it; `may_play` has found its parameters written plainly."""
        if self._signatures is None or self._sign_forward:
            return target
        return without_parameters(target, _ENCODED_SIGNATURE_PARAMETERS)

    def _check_signed(self, request: PlayRequest) -> None:
        if self._signatures is None and self._secure_link is None:
            return
        links = () if self._secure_link is None else SECURE_LINK_PARAMETERS
        given = read_parameters(request.arguments, (*SIGNATURE_PARAMETERS, *links, "port"))
        by_link = "md5" in given and not any(name in given for name in SIGNATURE_PARAMETERS)
        if self._secure_link is not None and (by_link or self._signatures is None):
            self._secure_link.check(request)
        elif self._signatures is not None:
            port = "" if request.path == RTMP_PATH else given.get("port", "")
            parts = SignedParts(request.path, request.src or "", port, request.app, request.stream)
            self._signatures.check(given, parts, request.address)

    async def _ask(
        self, name: str, request: PublishRequest, refusal: str, redirected: Callable[[str, PublishRequest], T | None]
    ) -> T | None:
        try:
            answer = await self._calls.ask(self.hooks, name, request)
        except trio.Cancelled:
            # The operator's program may have counted this client as let in by now, so it is told of the end as well.
            self._calls.tell(self.hooks, f"{name}_done", request)
            raise
        if answer.allows:
            return None
        if not answer.redirects:
            raise AccessRefusedError(403, refusal)
        hook, to = f"on_{name}", redact(answer.location)[:_SHOWN_LOCATION]
        try:
            found = redirected(answer.location, request)
        except RedirectError as error:
            _log.warning("hook.misdirected", hook=hook, id=request.client_id, to=to, error=str(error))
            self._calls.tell(self.hooks, f"{name}_done", request)  # the program has let it in, as it thinks
            raise AccessRefusedError(
                403,
                f"the operator's program sends this stream where this door does not go ([hooks] {hook})",
            ) from None
        if found is not None:
            _log.info("hook.redirected", hook=hook, id=request.client_id, to=to)
        return found
