"""What has been carried over so far: the door's configuration, and a line for each directive without a place in it."""

from collections.abc import Iterable
from typing import Any, Final

import tomli_w

from splice.command_line import on_one_line
from splice.tools.nginx_import.reader import Directive

__all__ = ["Carried"]

_ORIGIN_NAMES: Final = "abcdefghijklmnopqrstuvwxyz"  # ?src= is short to type, as in the door's own examples


class Carried:
    """See the module.

    Attributes:
        settings: nested tables, as a TOML file has them.
        notes: a sentence for each directive that was left out, with its place.
        pulled: the applications whose streams default_origin has, each with the `pull` that says so.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.notes: list[str] = []
        self.pulled: dict[str, Directive] = {}

    def set(self, directive: Directive, key: str, value: object) -> None:
        """Set a key, by its path with dots; the first directive that sets it is the one that counts."""
        table, name = self._table(key)
        if table.setdefault(name, value) != value:
            self.leave(directive, f"{key} is {table[name]} already, and one value is for all here")

    def add(self, key: str, value: object) -> None:
        """Put a value on the list of a key, once."""
        table, name = self._table(key)
        values = table.setdefault(name, [])
        if value not in values:
            values.append(value)

    def add_all(self, key: str, values: Iterable[object]) -> None:
        """Put values on the list of a key, which is there even where they are none."""
        table, name = self._table(key)
        table.setdefault(name, [])
        for value in values:
            self.add(key, value)

    def origin(self, urls: list[str], target: str = "") -> str:
        """The name of the origin with these URLs, which is asked for `target`; it is made where there is none."""
        origins = self.settings.setdefault("origins", {})
        wanted = {"urls": urls, "target": target} if target else {"urls": urls}
        for name, origin in origins.items():
            if {key: origin[key] for key in origin if key != "keep"} == wanted:
                return str(name)
        name = _ORIGIN_NAMES[len(origins)] if len(origins) < len(_ORIGIN_NAMES) else f"origin{len(origins) + 1}"
        origins[name] = wanted
        return name

    def leave(self, directive: Directive, why: str) -> None:
        """Note that a directive was left out."""
        self.notes.append(f"{directive.where}: {directive}: {why}")

    def as_toml(self) -> str:
        """The configuration as a file, the notes as comments behind it."""
        text = tomli_w.dumps(self.settings)
        if self.notes:
            text += "\n# Not carried over:\n" + "".join(f"# - {on_one_line(note)}\n" for note in self.notes)
        return text

    def _table(self, key: str) -> tuple[dict[str, Any], str]:
        *path, name = key.split(".")
        table = self.settings
        for each in path:
            table = table.setdefault(each, {})
        return table, name
