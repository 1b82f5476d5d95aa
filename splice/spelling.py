"""What a misspelt word was meant to be, among those that there are: a key's, a flag's or a command's name."""

import difflib
from collections.abc import Sequence

__all__ = ["meant"]


def meant(word: str, known: Sequence[str], *, cutoff: float = 0.6) -> str | None:
    """The one of `known` that `word` most likely stands for; None: none is near.

    Args:
        cutoff: how alike the two have to be, 0 to 1, as `difflib` counts.
    """
    close = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    close += [name for name in known if name.startswith((f"{word}_", f"{word}-"))]  # the half of it: rtmp, log, token
    return close[0] if close else None
