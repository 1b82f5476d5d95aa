"""on_demand and on_idle: the operator's program brings a stream that is waited for, and stops one that nobody watches.

    a viewer asks for what nobody publishes --> on_demand, once for all who ask --> they wait for hub.wait_for_stream_s
                                                   refused: those who wait are told at once
    nobody has watched for hub.idle_stop_s  --> on_idle, once until somebody watches again

What was asked for is remembered for a while, whether it comes or not, so that nobody can make the door call without
end; and no more than so many names are remembered. A pull stops by itself, so on_idle is about published streams alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
import trio

from splice.access import HookCalls, Hooks, PublishRequest
from splice.hub import Hub, LiveStream
from splice.routing import RoutingError

__all__ = ["Demand"]

_REMEMBERED_S: Final = 10.0
_MOST_REMEMBERED: Final = 1000
_TIDY_S: Final = 1.0
_LEAST_LOOK_S: Final = 1.0  # idle_stop_s may be 0, and a stream's first viewer is not there when it begins

_Name = tuple[str, str]

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Asked:
    """A stream that the operator's program was asked for.

    Attributes:
        until: when that is forgotten, in Trio's time; not before there is an answer.
        refused: whether the answer was no.
    """

    until: float = math.inf
    refused: bool = False


class Demand:
    """See the module. All its methods are for Trio's thread."""

    def __init__(
        self,
        nursery: trio.Nursery,
        hub: Hub,
        calls: HookCalls,
        *,
        hooks: Callable[[str], Hooks],
        idle_s: Callable[[str], float],
    ) -> None:
        """Args:
        nursery: where the calls run, and the tasks that look after streams nobody watches.
        hooks, idle_s: by an application's name: its callbacks, and how long nobody watches before on_idle.
        """
        self._nursery: Final = nursery
        self._hub: Final = hub
        self._calls: Final = calls
        self._hooks: Final = hooks
        self._idle_s: Final = idle_s
        self._asked: dict[_Name, _Asked] = {}
        self._tidied_at = -math.inf
        hub.on_stream.append(self._begun)

    async def wait_for(self, app: str, stream: str, wait_s: float) -> LiveStream:
        """The live stream of this name, if it is here or comes within so many seconds.

        Raises:
            RoutingError: 404: it does not.
        """
        asked = self._ask_for((app, stream), wait_s)
        if asked is None:
            found = await self._hub.wait_for(app, stream, wait_s)
        else:
            found = await self._hub.wait_for(app, stream, 0 if asked.refused else wait_s)
        if found is not None:
            return found
        if asked is None:
            raise RoutingError(404, "nobody publishes this stream here; where an origin has it, name that with src=")
        if asked.refused:
            raise RoutingError(404, "nobody publishes this stream, and the operator's program does not bring it")
        raise RoutingError(
            404, f"the operator's program was asked for this stream, which has not come within {wait_s:g} s; try again"
        )

    # --- on_demand ---

    def _ask_for(self, name: _Name, wait_s: float) -> _Asked | None:
        """Have the operator's program asked for a stream that nobody publishes; None where it is not to be asked."""
        hooks = self._hooks(name[0])
        if not hooks.url("demand") or self._hub.publisher(*name) is not None:
            return None
        now = trio.current_time()
        asked = self._asked.get(name)
        if asked is not None and asked.until > now:
            return asked
        if len(self._asked) >= _MOST_REMEMBERED and name not in self._asked and not self._tidy(now):
            return None
        asked = self._asked[name] = _Asked()
        self._nursery.start_soon(self._ask, name, asked, hooks, max(wait_s, _REMEMBERED_S))
        return asked

    def _tidy(self, now: float) -> bool:
        """Forget what is to be forgotten; whether there is room for one more now."""
        if now - self._tidied_at >= _TIDY_S:
            self._tidied_at = now
            self._asked = {name: asked for name, asked in self._asked.items() if asked.until > now}
            if len(self._asked) >= _MOST_REMEMBERED:
                _log.warning("hook.dropped", hook="on_demand", waiting=len(self._asked))
        return len(self._asked) < _MOST_REMEMBERED

    async def _ask(self, name: _Name, asked: _Asked, hooks: Hooks, remembered_s: float) -> None:
        try:
            answer = await self._calls.demand(hooks, _about(name))
            if answer is not None and not answer.allows:
                asked.refused = True
                self._hub.give_up(*name)
        except Exception:  # noqa: BLE001 -- a bug in asking must not end the nursery, and with it every stream
            _log.exception("hook.bug", hook="on_demand")
        finally:
            asked.until = trio.current_time() + remembered_s

    # --- on_idle ---

    def _begun(self, live: LiveStream) -> None:
        name = live.app, live.stream
        self._asked.pop(name, None)  # it has come, and when it is gone it may be asked for anew
        if self._hooks(live.app).url("idle"):
            self._nursery.start_soon(self._look_after, live)

    async def _look_after(self, live: LiveStream) -> None:
        """Tell of each time that nobody has watched a stream for so long, until it ends."""
        told_since: float | None = None
        while not live.ended.is_set():
            idle_s = max(self._idle_s(live.app), _LEAST_LOOK_S)
            since, now = live.unwatched_since, trio.current_time()
            # Looking once in idle_s is often enough to be there in time: who leaves in between is due later.
            next_look = now + idle_s
            if since is not None and since != told_since:
                if now < since + idle_s:
                    next_look = since + idle_s
                elif self._hub.publisher(live.app, live.stream) is not None:
                    told_since = since
                    self._calls.tell(self._hooks(live.app), "idle", _about((live.app, live.stream)))
            with trio.move_on_at(next_look):
                await live.ended.wait()


def _about(name: _Name) -> PublishRequest:
    """What the operator's program is told: of the stream alone, since nobody's is the wish."""
    return PublishRequest(client_id="", address="", app=name[0], stream=name[1])
