"""The doors that a stream has passed on its way here, so that a circle of forwards ends where it closes.

Each door tells the next one, in connect's command object, as HTTP's Via does (RFC 9110, 7.6.3): servers of other kinds
leave out what they do not know, and behind them the stream begins anew.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from protocol.amf import Value

__all__ = ["MOST_DOORS", "Passage"]

MOST_DOORS: Final = 16
"""Who has passed more of them is going in circles, whatever their names are."""

_PROPERTY: Final = "spliceDoors"
_DOOR: Final = re.compile(r"[0-9a-f]{1,32}")


@dataclass(frozen=True, slots=True)
class Passage:
    """The doors' ids, the oldest first."""

    doors: tuple[str, ...] = ()

    @classmethod
    def told(cls, properties: Mapping[str, Value]) -> Self:
        """What a client's connect says of it."""
        value = properties.get(_PROPERTY)
        doors = value.split(" ")[: MOST_DOORS + 1] if isinstance(value, str) else []
        return cls(tuple(door for door in doors if _DOOR.fullmatch(door)))

    def through(self, door: str) -> Self:
        """The same, with one door more."""
        return type(self)((*self.doors, door))

    @property
    def properties(self) -> dict[str, Value]:
        """What connect says of it."""
        return {_PROPERTY: " ".join(self.doors)}

    def closes_at(self, door: str) -> bool:
        """Whether a stream that comes to `door` is going in a circle."""
        return door in self.doors or len(self.doors) > MOST_DOORS
