"""Packets that go out together, and what somebody needs to know who begins with them."""

from collections.abc import Sequence
from dataclasses import dataclass

from splice.hub.packet import Packet

__all__ = ["Batch"]


@dataclass(slots=True)
class Batch:
    """Packets that go out together.

    Attributes:
        begins_at_keyframe: whether decoding can begin with the first of them; always, where there is no video.
        configuration: the number of the codec configuration that is in force before the first packet.
        headers: codec configurations in force there, at the time of the first packet.
        made_at: in Trio's time, when the first packet came.
    """

    packets: Sequence[Packet]
    begins_at_keyframe: bool
    configuration: int
    headers: Sequence[Packet]
    made_at: float
