"""The one question of the doors, and its order: address, then signature or key, then the operator's program."""

from typing import Final

import trio

from splice.access.addresses import AddressRules
from splice.access.hooks import HookCalls, Hooks
from splice.access.keys import StreamKeys
from splice.access.parameters import read_parameters, without_parameters
from splice.access.requests import RTMP_PATH, AccessRefusedError, PlayRequest, PublishRequest
from splice.access.secure_link import SECURE_LINK_PARAMETERS, SecureLink
from splice.access.signatures import SIGNATURE_PARAMETERS, Signatures, SignedParts

__all__ = ["Access"]

_ENCODED_SIGNATURE_PARAMETERS: Final = tuple(name.encode() for name in SIGNATURE_PARAMETERS)


class Access:
    """Who may publish and who may watch, by one configuration; a reload makes another.

    Where both kinds of signed URLs are in force, a request is held to the one whose parameters it carries: to
    `secure_link` if it has md5 and neither kid, exp nor sig, else to `sign_keys`.
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
        calls: HookCalls,
    ) -> None:
        """Args:
        viewers, publishers: where they may come from.
        keys: of the streams that may be published only with one.
        signatures, secure_link: what every viewer's URL must satisfy; None: not in force.
        sign_forward: whether origins see kid, exp and sig.
        hooks: the operator's callbacks.
        calls: makes them.
        """
        self._viewers: Final = viewers
        self._publishers: Final = publishers
        self._keys: Final = keys
        self._signatures: Final = signatures
        self._secure_link: Final = secure_link
        self._sign_forward: Final = sign_forward
        self._hooks: Final = hooks
        self._calls: Final = calls
        if any(hooks.urls.values()):
            calls.prepare()

    @property
    def asks_about_viewers(self) -> bool:
        """Whether `may_play` may have to wait for the operator's program; else it does not even yield."""
        return bool(self._hooks.url("play"))

    async def may_play(self, request: PlayRequest) -> None:
        """Let a viewer in, who then ends with `play_ended`.

        Raises:
            AccessRefusedError: not this one; there is nothing to end.

        After a cancellation there is nothing to end either.
        """
        if not self._viewers.admits(request.address):
            raise AccessRefusedError(
                403, f"viewers from {request.address} are not let in here; ask the operator to let in your network"
            )
        self._check_signed(request)
        await self._ask("play", request, "the operator does not let you watch this stream ([hooks] on_play)")

    def play_ended(self, request: PlayRequest) -> None:
        """Say that a viewer who was let in has gone, were it only because there was no room or no stream."""
        self._calls.tell(self._hooks, "play_done", request)

    async def may_publish(self, request: PublishRequest) -> None:
        """Let a publisher in, who then ends with `publish_ended`.

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
        await self._ask("publish", request, "the operator does not take this stream ([hooks] on_publish)")

    def publish_ended(self, request: PublishRequest) -> None:
        """Say that a publisher who was let in has gone."""
        self._calls.tell(self._hooks, "publish_done", request)

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

    async def _ask(self, call: str, request: PublishRequest, refusal: str) -> None:
        try:
            allowed = await self._calls.ask(self._hooks, call, request)
        except trio.Cancelled:
            # The question may have been counted as an answer by now: a program that counts hears of the end too.
            self._calls.tell(self._hooks, f"{call}_done", request)
            raise
        if not allowed:
            raise AccessRefusedError(403, refusal)
