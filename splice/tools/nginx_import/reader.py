"""nginx's configuration as a tree of directives, with the files that it includes; crossplane does the reading."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import crossplane

__all__ = ["Directive", "ImportFileError", "read"]


class ImportFileError(Exception):
    """The file cannot be imported; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive.

    Attributes:
        args: what stands behind its name, without quotes.
        block: what stands in its braces; None where it has none.
        where: its file's name and line, `nginx.conf:12`.
    """

    name: str
    args: tuple[str, ...]
    block: "tuple[Directive, ...] | None"
    where: str

    def __str__(self) -> str:
        return " ".join((self.name, *self.args))

    def all(self, name: str) -> "Iterator[Directive]":
        """Those of its block that are called `name`."""
        return (each for each in self.block or () if each.name == name)

    def find(self, name: str) -> "Directive | None":
        """The first of its block that is called `name`."""
        return next(self.all(name), None)


def read(file: Path) -> tuple[Directive, list[str]]:
    """The whole configuration, as the block of a directive without a name; and which included files were not found.

    Raises:
        ImportFileError: the file cannot be read, or something is not in nginx's syntax.
    """
    try:
        parsed = crossplane.parse(
            str(file), comments=False, strict=False, check_ctx=False, check_args=False, combine=True, catch_errors=True
        )
    except RecursionError:
        raise ImportFileError(f"{file} cannot be imported: a file includes itself, or blocks stand too deep") from None
    missing = []
    for error in parsed["errors"]:
        text = str(error["error"])
        if not text.startswith("[Errno") or error["line"] is None:  # of an included file it is the line that says so
            # Of the system's error its reason alone: the file is named in front.
            why = text.partition("] ")[2].partition(":")[0].lower() if text.startswith("[Errno") else text
            raise ImportFileError(f"{error['file']} cannot be imported: {why or 'it is not in the syntax of nginx'}")
        missing.append(text.partition("] ")[2])
    (config,) = parsed["config"]
    return Directive("", (), tuple(_directive(each) for each in config["parsed"]), file.name), missing


def _directive(parsed: dict[str, Any]) -> Directive:
    block = parsed.get("block")
    return Directive(
        parsed["directive"],
        tuple(parsed["args"]),
        None if block is None else tuple(_directive(each) for each in block),
        f"{Path(parsed['file']).name}:{parsed['line']}",
    )
