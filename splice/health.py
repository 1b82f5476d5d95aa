"""How it went when origins were asked: one record for each name of the configuration, for the operator's eyes.

Nothing is decided by it: an origin that has failed is asked again for the next viewer, who may have better luck.
"""

import time
from dataclasses import dataclass

__all__ = ["Health", "OriginHealth"]


@dataclass(slots=True)
class Health:
    """How asking one origin went.

    Attributes:
        successes, failures: how many answers it gave, whatever their status, and how many times it gave none.
        last_success, last_failure: seconds since 1970; None: never.
        last_error: why it failed the last time, without its address.
        up: whether it answered the last time; None: it was never asked.
    """

    successes: int = 0
    failures: int = 0
    last_success: float | None = None
    last_failure: float | None = None
    last_error: str | None = None
    up: bool | None = None


class OriginHealth:
    """The health of all origins, by their names in the configuration."""

    def __init__(self) -> None:
        self._healths: dict[str, Health] = {}

    def of(self, name: str) -> Health:
        """The record of an origin, a fresh one where it was never asked."""
        return self._healths.get(name) or Health()

    def succeeded(self, name: str) -> None:
        """Say that an origin has answered."""
        health = self._healths.setdefault(name, Health())
        health.successes += 1
        health.last_success = time.time()
        health.up = True

    def failed(self, name: str, error: str) -> None:
        """Say that an origin gave no answer, and why."""
        health = self._healths.setdefault(name, Health())
        health.failures += 1
        health.last_failure = time.time()
        health.last_error = error
        health.up = False
