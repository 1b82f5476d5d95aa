"""Tables and verdicts, as Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Target", "number", "ratio", "table", "targets_table"]


def number(value: float | None, digits: int = 2) -> str:
    """A figure, or nothing where there is none."""
    return "" if value is None or value != value else f"{value:.{digits}f}"


def ratio(value: float | None, reference: float | None) -> float | None:
    """The quotient, or None where one of the two is missing or the reference is 0."""
    return None if value is None or not reference else value / reference


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; every column but the first two is aligned to the right. Nothing where there are no rows."""
    if not (rows := list(rows)):
        return ""
    lines = [head, ["---" if i < 2 else "---:" for i in range(len(head))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


@dataclass(frozen=True)
class Target:
    """A figure that the project set itself: met where the value is at most (or at least) the limit."""

    text: str
    value: float | None
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        if self.value is None or self.value != self.value:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def as_json(self) -> dict[str, object]:
        """The target and its verdict."""
        bound = "at_least" if self.at_least else "at_most"
        return {"text": self.text, "value": self.value, bound: self.limit, "met": self.met}


def targets_table(targets: Iterable[Target]) -> str:
    """Each target, what was measured, and whether it was met."""
    verdicts = {True: "met", False: "**missed**", None: "not measured"}
    rows = [
        [t.text, verdicts[t.met], number(t.value), f"{'at least' if t.at_least else 'at most'} {t.limit:g}"]
        for t in targets
    ]
    return table(["target", "", "measured", "limit"], rows)
