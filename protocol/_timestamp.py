"""RTMP and FLV timestamps: milliseconds modulo 2**32, compared as serial numbers (RTMP 1.0, section 4).

A live stream wraps after 49.7 days, so plain `<` and `-` are wrong twice a season; these two functions are not.
"""

from typing import NewType

__all__ = ["Timestamp", "timestamp_add", "timestamp_difference"]

Timestamp = NewType("Timestamp", int)
"""Milliseconds, 0 to 2**32 - 1; its zero is any moment that the sender chose."""

_MODULUS = 1 << 32
_HALF = 1 << 31


def timestamp_add(timestamp: int, delta_ms: int) -> Timestamp:
    """`timestamp` moved by `delta_ms`, which may be negative."""
    return Timestamp((timestamp + delta_ms) % _MODULUS)


def timestamp_difference(later: int, earlier: int) -> int:
    """How many milliseconds `later` lies behind `earlier`, -2**31 to 2**31 - 1: the nearest of the two readings."""
    return (later - earlier + _HALF) % _MODULUS - _HALF
