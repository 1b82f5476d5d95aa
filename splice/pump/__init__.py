"""The byte pump: moves an origin's answer to its viewer at the cost of the kernel's own work.

`open_pump()` gives the right one for this system: `EpollPump` on Linux, `PortablePump` elsewhere; both have the face of
`Pump`, and both pass the same tests.
"""

import sys
from contextlib import AbstractAsyncContextManager

from splice.pump.portable import PortablePump
from splice.pump.relay import DROPPED_INPUT_BYTES, Outcome, Pump, Tap

__all__ = ["DROPPED_INPUT_BYTES", "Outcome", "PortablePump", "Pump", "Tap", "open_pump"]


def open_pump() -> AbstractAsyncContextManager[Pump]:
    """A running pump, as an async context manager around all that relays through it."""
    if sys.platform == "linux":
        from splice.pump.epoll import EpollPump  # only here: it imports what other systems do not have

        return EpollPump.open()
    else:  # noqa: RET505 -- so written, a type checker sees that only one of the two is for this system
        return PortablePump.open()
