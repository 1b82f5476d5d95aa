"""Sending streams on to other RTMP servers: which, and where to (target), one of them (sending), all (forwards)."""

from splice.hub.forward.counts import ForwardCounts
from splice.hub.forward.forwards import Forward, Forwards
from splice.hub.forward.sending import ForwardTimeouts, Sending, SendingState
from splice.hub.forward.target import ForwardRule, Target

__all__ = [
    "Forward",
    "ForwardCounts",
    "ForwardRule",
    "ForwardTimeouts",
    "Forwards",
    "Sending",
    "SendingState",
    "Target",
]
