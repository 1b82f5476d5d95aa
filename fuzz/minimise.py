"""Out of the many inputs that fuzzing has found, the few that show the tests something which the kept ones do not.

What an input shows are the steps from line to line that it makes `protocol` and `splice` take, seen in plain Python:
so it is the code as the tests run it that counts, not libFuzzer's counters.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from fuzz.targets import CORPUS, CORPUS_BYTES, load, seeds

__all__ = ["choose", "keep_found", "steps"]

Step = tuple[str, int, int]
"""File, the line before (0: the function begins), the line (-1: it returns, -2: something is raised)."""

_ROOT: Final = Path(__file__).parents[1]
_FOUND: Final = _ROOT / "build" / "fuzz"
_LOOKED_AT: Final = (str(_ROOT / "protocol"), str(_ROOT / "splice"))
_FILE_BYTES: Final = 20  # what a file costs its reader beside its content
_MOST_BYTES: Final = CORPUS_BYTES * 3 // 4  # so that a crash finds room


def steps(check: Callable[[bytes], None], data: bytes) -> set[Step]:
    """The steps that `check(data)` makes the two packages take."""
    taken: set[Step] = set()

    def follow(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(_LOOKED_AT):
            return None
        before = 0

        def step(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any]:
            nonlocal before
            line = {"line": frame.f_lineno, "return": -1}.get(event, -2)
            taken.add((file, before, line))
            before = frame.f_lineno
            return step

        return step

    earlier = sys.gettrace()
    sys.settrace(follow)
    try:
        check(data)
    finally:
        sys.settrace(earlier)
    return taken


def choose(found: Iterable[tuple[bytes, set[Step]]], shown: set[Step], *, most_bytes: int) -> list[bytes]:
    """Inputs that show what is not shown yet; those first that show most for their size, to `most_bytes` together."""
    waiting = list(found)
    shown = set(shown)
    chosen: list[bytes] = []
    while waiting:
        data, taken = max(waiting, key=lambda each: len(each[1] - shown) / (_FILE_BYTES + len(each[0])))
        if taken <= shown:
            break
        waiting.remove((data, taken))
        if len(data) <= most_bytes:
            chosen.append(data)
            most_bytes -= len(data)
            shown |= taken
    return chosen


def keep_found(name: str, places: Iterable[Path]) -> tuple[int, int]:
    """Put what is worth it of the found inputs into a target's corpus; how many there were, and how many are kept."""
    target = load(name)
    kept = [seed.read_bytes() for seed in seeds(name)]
    shown: set[Step] = set()
    for seed in kept:
        shown |= steps(target.check, seed)
    found = [file.read_bytes() for place in places or [_FOUND / name] for file in sorted(place.iterdir())]
    traced = [(data, steps(target.check, data)) for data in found if len(data) <= target.MAX_BYTES]
    chosen = choose(traced, shown, most_bytes=_MOST_BYTES - sum(map(len, kept)))
    for data in chosen:
        digest = hashlib.sha256(data).hexdigest()[:8]
        (CORPUS / name / f"found-{digest}").write_bytes(data)
    return len(found), len(chosen)
