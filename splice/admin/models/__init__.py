"""What the API answers with, as documents: each with its meaning, its unit and an example, for OpenAPI and for people.

    what passes (traffic)      what goes on by itself (standing)      the door itself (door)

A list stands under its name, beside how many there are in all. `id` is opaque: it is for DELETE, and for telling one
item from another.
"""

from splice.admin.models.door import Door, Problem, State, problem
from splice.admin.models.standing import (
    ForwardItem,
    Forwards,
    KeptPullItem,
    KeptPulls,
    NewForward,
    NewPull,
    SendingItem,
)
from splice.admin.models.traffic import (
    Audio,
    OriginItem,
    Origins,
    PublisherItem,
    Publishers,
    StreamItem,
    Streams,
    Video,
    ViewerItem,
    Viewers,
)

__all__ = [
    "Audio",
    "Door",
    "ForwardItem",
    "Forwards",
    "KeptPullItem",
    "KeptPulls",
    "NewForward",
    "NewPull",
    "OriginItem",
    "Origins",
    "Problem",
    "PublisherItem",
    "Publishers",
    "SendingItem",
    "State",
    "StreamItem",
    "Streams",
    "Video",
    "ViewerItem",
    "Viewers",
    "problem",
]
