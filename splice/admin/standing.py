"""What goes on by itself until somebody ends it: forwards, and pulls without viewers; listed, added and taken away.

Those of the configuration are listed beside the operator's own, and only the configuration ends them. What was added
here survives a reload, and not a restart.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import trio

from splice.admin.ids import opaque
from splice.admin.models import ForwardItem, KeptPullItem, NewForward, NewPull, SendingItem
from splice.hub.forward import Forward, ForwardRule, Forwards, Sending
from splice.hub.pull import Pulls
from splice.routing import Origin

__all__ = ["FORWARD_STATES", "RefusedChangeError", "Standing", "state_of"]

ForwardState = Literal["waiting", "connecting", "running", "idle"]

FORWARD_STATES: Final[tuple[ForwardState, ...]] = ("waiting", "connecting", "running", "idle")
"""How a forward may stand, the one in most trouble first."""


class RefusedChangeError(Exception):
    """Something cannot be added, or taken away.

    Attributes:
        status: 404 (there is none of this id or name), 409 (it is there already, or is the configuration's), 422.
        detail: one sentence that says what to do.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status: Final = status
        self.detail: Final = detail


@dataclass(frozen=True, slots=True)
class Standing:
    """See the module. All its methods are for Trio's thread.

    Args:
        table: the forwards.
        pulls: the pulls.
        origins: those that are relayed, by the configuration in force.
        configured_pulls: origin, app and stream of those that the configuration keeps.
        is_this_door: whether a forward's URL leads back here.
    """

    table: Forwards
    pulls: Pulls
    origins: Callable[[], Mapping[str, Origin]]
    configured_pulls: Callable[[], Collection[tuple[str, str, str]]]
    is_this_door: Callable[[str], bool]

    # --- forwards ---

    def forwards(self) -> list[ForwardItem]:
        """All of them, the oldest first."""
        return [_forward_item(forward) for forward in self.table]

    def add_forward(self, new: NewForward) -> ForwardItem:
        """Put a forward in force, for the streams that are live as well.

        Raises:
            RefusedChangeError: 409 or 422.
        """
        if self.is_this_door(new.to):
            raise RefusedChangeError(
                422, "that is this door itself: the stream would go in a circle; name another server"
            )
        try:
            return _forward_item(self.table.add(ForwardRule(new.streams, new.to)))
        except ValueError as error:
            raise RefusedChangeError(409, str(error)) from None

    def remove_forward(self, id: str) -> None:  # noqa: A002 -- its name everywhere
        """Let a forward end.

        Raises:
            RefusedChangeError: 404 or 409.
        """
        forward = self.table.find(id)
        if forward is None:
            raise RefusedChangeError(404, f"there is no forward of the id {id!r} any more")
        if forward.configured:
            raise RefusedChangeError(409, f"the configuration says {id}: take it out of [[forward]] there, and reload")
        self.table.remove(forward)

    # --- pulls without viewers ---

    def kept_pulls(self) -> list[KeptPullItem]:
        """All of them, the oldest first."""
        return [self._pull_item(*key) for key in self.pulls.kept]

    def keep(self, new: NewPull) -> KeptPullItem:
        """Pull a stream until it is let go, whether anybody watches or not.

        Raises:
            RefusedChangeError: 404 or 409.
        """
        origin = self.origins().get(new.origin)
        if origin is None:
            raise RefusedChangeError(
                404, f"the configuration has no origin {new.origin!r} that is relayed; name one that is"
            )
        if not self.pulls.keep(origin, new.app, new.stream):
            raise RefusedChangeError(409, f"this pull is there already: {_pull_id(new.origin, new.app, new.stream)}")
        return self._pull_item(new.origin, new.app, new.stream)

    def let_go(self, id: str) -> None:  # noqa: A002 -- its name everywhere
        """Keep a pull no longer; without viewers it ends after `hub.idle_stop_s`.

        Raises:
            RefusedChangeError: 404 or 409.
        """
        key = next((key for key in self.pulls.kept if _pull_id(*key) == id), None)
        if key is None:
            raise RefusedChangeError(404, f"there is no kept pull of the id {id!r} any more")
        if key in self.configured_pulls():
            raise RefusedChangeError(409, f"the configuration says {id}: take it out of the origin's keep, and reload")
        self.pulls.let_go(*key)

    def _pull_item(self, origin: str, app: str, stream: str) -> KeptPullItem:
        pull = self.pulls.running(origin, app, stream)
        return KeptPullItem(
            id=_pull_id(origin, app, stream),
            origin=origin,
            stream=f"{app}/{stream}",
            source="configuration" if (origin, app, stream) in self.configured_pulls() else "api",
            state="running" if pull is not None and pull.live.bytes_in else "waiting",
            publisher=None if pull is None else pull.publisher.id,
            bytes=0 if pull is None else pull.publisher.bytes,
        )


def _pull_id(origin: str, app: str, stream: str) -> str:
    return opaque("k", origin, app, stream)


def state_of(forward: Forward) -> ForwardState:
    """How a forward stands: as its stream in most trouble does; "idle" where it has none."""
    return min((sending.state.value for sending in forward.sendings), key=FORWARD_STATES.index, default="idle")


def _forward_item(forward: Forward) -> ForwardItem:
    counts = forward.counts
    return ForwardItem(
        id=forward.id,
        streams=forward.rule.streams,
        to=forward.rule.shown,
        source="configuration" if forward.configured else "api",
        state=state_of(forward),
        bytes=counts.bytes,
        reconnects=counts.reconnects,
        skipped=counts.skipped,
        last_error=forward.last_error,
        sending=[_sending_item(sending) for sending in forward.sendings],
    )


def _sending_item(sending: Sending) -> SendingItem:
    now = trio.current_time()
    return SendingItem(
        stream=f"{sending.live.app}/{sending.live.stream}",
        to=sending.target.shown,
        state=sending.state.value,
        bytes=sending.bytes,
        seconds=round(now - sending.started_at, 3),
        state_seconds=round(now - sending.in_state_since, 3),
        reconnects=sending.reconnects,
        skipped=sending.skipped,
        last_error=None if sending.last_loss is None else sending.last_loss[1],
    )
