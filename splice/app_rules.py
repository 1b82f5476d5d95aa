"""What one application's viewers and publishers are judged and served by.

Whoever needs it asks by the application's name, and does not know what of it was set for that one and what for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from splice.access import Access
from splice.hub import Tracks

__all__ = ["AppRules", "RulesOf"]


@dataclass(frozen=True, slots=True)
class AppRules:
    """What of the configuration holds for one application; a reload makes another.

    Args:
        access: says who may publish and watch.
        tracks: what its live streams are sent with, where a viewer asks for nothing else.
        chunked: whether HTTP/1.1 viewers of them get the chunked coding.
    """

    access: Access
    tracks: Tracks
    chunked: bool


RulesOf: TypeAlias = Callable[[str], AppRules]
"""By an application's name."""
