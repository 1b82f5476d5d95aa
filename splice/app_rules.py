"""What one application's viewers and publishers are judged and served by.

Whoever needs it asks by the application's name, and does not know what of it was set for that one and what for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from splice.access import Access, AccessRefusedError, read_parameters
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

    def tracks_for(self, arguments: str) -> Tracks:
        """What a viewer is sent who says so in its URL's query, as `tracks=video`, or does not.

        Raises:
            AccessRefusedError: 400: it cannot be read in one way only, or is no kind of tracks.
        """
        asked = read_parameters(arguments, ("tracks",)).get("tracks")
        if asked is None:
            return self.tracks
        try:
            return Tracks(unquote(asked))
        except ValueError:
            raise AccessRefusedError(400, "the parameter tracks is video or audio, or all for both") from None


RulesOf: TypeAlias = Callable[[str], AppRules]
"""By an application's name."""
