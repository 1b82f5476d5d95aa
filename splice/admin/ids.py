"""Ids of things that have a name and no number of their own."""

import hashlib

__all__ = ["opaque"]


def opaque(kind: str, *parts: str) -> str:
    """The same for the same parts; `kind` is its first letter."""
    return kind + hashlib.blake2s("\0".join(parts).encode(), digest_size=8).hexdigest()
