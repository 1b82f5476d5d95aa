"""nginx's units of time, `10s`, `1m 30s`, `500ms`, as seconds."""

import re
from typing import Final

__all__ = ["seconds"]

_PART: Final = re.compile(r"([0-9]+)(ms|[smhdwMy]?)")
_UNITS_S: Final = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000}


def seconds(text: str) -> float:
    """How long a text is.

    Raises:
        ValueError: it is no time.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise ValueError(f"{text} is no time")
    return float(sum(int(number) * _UNITS_S[unit] for number, unit in parts))
