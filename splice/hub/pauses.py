"""How long to wait before a server that was lost is tried again."""

from collections.abc import Callable
from typing import Final

__all__ = ["GrowingPauses"]


class GrowingPauses:
    """Pauses that double from `first_s` up to `longest_s`, each cut short by chance.

    Many pulls lose an origin at the same moment; without chance they would all be back at the same moment too.
    """

    def __init__(self, jitter: Callable[[], float], *, first_s: float = 0.5, longest_s: float = 10.0) -> None:
        """Args:
        jitter: gives numbers from 0 up to 1, as `random.random` does.
        first_s, longest_s: seconds; a pause takes between half of its turn's and all of it.
        """
        self._jitter: Final = jitter
        self._first_s: Final = first_s
        self._longest_s: Final = longest_s
        self._turn_s = first_s

    def next_s(self) -> float:
        """How many seconds to wait this time."""
        turn_s, self._turn_s = self._turn_s, min(self._turn_s * 2, self._longest_s)
        return turn_s * (1 + self._jitter()) / 2

    def reset(self) -> None:
        """Begin anew: all went well for a while."""
        self._turn_s = self._first_s
