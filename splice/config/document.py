"""The configuration's page and example file, made of the model: what a key's field says is what is printed.

    Settings --_tables--> one _Table for each TOML table --+--> docs/configuration.md
                                                           +--> splice.example.toml

`python -m splice.config.document` writes both (`make docs`); a test holds them current.
"""

import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

import annotated_types
import tomli_w
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from splice.config.applications import OVERRIDES
from splice.config.settings import Settings
from splice.config.sources import ENVIRONMENT_PREFIX
from splice.config.tables import NEEDS_RESTART

__all__ = ["EXAMPLE", "FLAGS", "PAGE", "configuration_page", "example_toml"]

PAGE: Final = Path("docs", "configuration.md")
EXAMPLE: Final = Path("splice.example.toml")

FLAGS: Final = {
    "--listen": "listen",
    "--rtmp": "rtmp_listen",
    "--admin": "admin_listen",
    "--tls": "tls.listen",
    "--rtmps": "tls.rtmps_listen",
    "--tls-cert": "tls.cert",
    "--tls-key": "tls.key",
    "--origin": "origins.NAME.url",
}
"""The flags that stand for a key."""

_UNITS: Final = {"_s": "s", "_ms": "ms", "_bytes": "bytes"}

_INTRODUCTION: Final = """\
# Configuration

<!-- Made by `make docs` out of splice/config; a test holds it current. -->

One TOML file says everything: `splice --config splice.toml`, or a `splice.toml` in the directory where the door starts.
[splice.example.toml](../splice.example.toml) holds every key with its default. A key that is not on this page is an
error, and the door does not start with it; the message names the file and the key, and the nearest one that there is.

**Precedence.** A flag wins over an environment variable, that over the file, that over the default.
{flags}

**Environment.** Every key has a variable: `SPLICE_`, then the key's path in capitals with two underscores between its
parts, as `SPLICE_LIMITS__VIEWERS=500` and `SPLICE_ORIGINS__A__URL=http://10.0.0.8:8080` (names of origins in small
letters then). A list with one element may be given bare; longer lists, and tables, are JSON:
`SPLICE_PUBLISH__ALLOW='["10.0.0.0/8", "::1"]'`. A variable that begins with `SPLICE_` and names no table is left alone.

**Secrets.** A secret is a text, or `{{ file = "/run/secrets/NAME" }}`: the first line of a file, so that neither the
configuration nor the environment holds it; a reload reads the file again. A configuration that holds secrets is for the
door's own user to read.

**Checking.** `splice --config splice.toml --check` validates everything, prints the configuration in force as TOML with
secrets and the passwords in URLs as `***`, and exits: with status 0, or 2 and one line that says what is wrong.

**Reload.** SIGHUP reads the file again; flags and environment are those of the start. Where anything in it is wrong,
all of the old configuration stays in force, and the log says so (`reload.failed`). Otherwise the new values are for
what begins from then on: requests, connections, pulls, streams. What runs goes on with what it began with; but a
forward that is no longer there ends, and a new one begins, also for streams that are live. Keys marked
*restart* are read when the door starts, and `reload.done` lists those of them that have changed as `needs_restart`.

Times that end in `_s` are seconds and may be fractions; `_ms` are whole milliseconds, `_bytes` bytes.
"""

_EXAMPLE_HEAD: Final = """\
# splice: every key, with its default. Made by `make docs`; docs/configuration.md says more.
# Lines that begin with # and a key belong to tables that are not there by default: take the sign away to use them.
"""


class _Kind(Enum):
    ONE = auto()
    NAMED = auto()
    """As many as the operator likes, by names of his own."""
    LISTED = auto()


@dataclass
class _Table:
    """A TOML table: where it stands, what is said of it, and its keys; none where they are those of another table."""

    path: tuple[str, ...]
    kind: _Kind
    about: str
    optional: bool
    keys: dict[str, FieldInfo] = field(default_factory=dict)

    @property
    def title(self) -> str:
        name = ".".join(self.path)
        return f"[[{name}]]" if self.kind is _Kind.LISTED else f"[{name}]" if name else "The top of the file"


def configuration_page() -> str:
    """docs/configuration.md."""
    present = {".".join((*table.path, key)) for table in _tables(Settings) for key in table.keys}
    pairs = [f"`{flag}` is `{key}`" for flag, key in FLAGS.items() if key in present]
    flags = textwrap.fill(f"{', '.join(pairs[:-1])} and {pairs[-1]}.", 120)
    return "\n".join([_INTRODUCTION.format(flags=flags), *map(_section, _tables(Settings))])


def example_toml() -> str:
    """splice.example.toml: it loads, and gives the defaults."""
    return "\n".join([_EXAMPLE_HEAD, *map(_example_table, _tables(Settings))])


def _tables(
    model: type[BaseModel],
    path: tuple[str, ...] = (),
    kind: _Kind = _Kind.ONE,
    about: str = "",
    *,
    optional: bool = False,
) -> Iterator[_Table]:
    """A table and those below it, in the order of the model."""
    table = _Table(path, kind, about or "Keys that stand before the first table.", optional)
    below = []
    for name, key in model.model_fields.items():
        inner, inner_kind = _inner_model(key.annotation)
        if inner is None:
            table.keys[name] = key
            continue
        said = _sentence(key.description or "")
        about = " ".join(dict.fromkeys(part for part in (_first_paragraph(inner), said) if part))
        inner_path = (*path, name, "NAME") if inner_kind is _Kind.NAMED else (*path, name)
        if key.json_schema_extra == OVERRIDES:
            below.append(iter([_Table(inner_path, inner_kind, _as_in(name, inner), optional=True)]))
            continue
        below.append(
            _tables(
                inner,
                inner_path,
                inner_kind,
                about,
                optional=optional or inner_kind is not _Kind.ONE or key.default is None,
            )
        )
    if table.keys:
        yield table
    for tables in below:
        yield from tables


def _as_in(name: str, model: type[BaseModel]) -> str:
    return (
        f"Any key of [{name}], such as {next(iter(model.model_fields))}; what is not written here is as there. "
        "A list or a table takes the place of the whole one there."
    )


def _inner_model(annotation: Any) -> tuple[type[BaseModel] | None, _Kind]:
    """The model of a key that is a table, and how often it may stand there."""
    annotation = _without_none(annotation)
    kind = {dict: _Kind.NAMED, tuple: _Kind.LISTED}.get(get_origin(annotation), _Kind.ONE)
    if kind is not _Kind.ONE:
        annotation = _bare(get_args(annotation)[1 if kind is _Kind.NAMED else 0])[0]
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return (annotation, kind) if is_model else (None, kind)


# --- the page ---


def _section(table: _Table) -> str:
    variable = ENVIRONMENT_PREFIX + "__".join((*table.path, *list(table.keys)[:1])).upper()
    if table.kind is _Kind.LISTED:
        variable = f"{ENVIRONMENT_PREFIX}{'__'.join(table.path).upper()}` (the whole list, as JSON)"
    else:
        variable = f"{variable}` and so on"
    rows = [_row(name, key) for name, key in table.keys.items()]
    if not rows:
        return f"## `{table.title}`\n\n{table.about}\n"
    return "\n".join(
        [
            f"## {table.title if table.kind is _Kind.ONE and not table.path else f'`{table.title}`'}",
            "",
            f"{table.about} In the environment: `{variable}.",
            "",
            "| key | type | default | range | meaning |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _row(name: str, key: FieldInfo) -> str:
    unit = next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")
    if key.is_required():
        default = "required"
    elif key.default is None:
        default = "none"
    else:
        default = f"`{_toml(_default(key))}` {unit}".rstrip()
    restart = " (*restart*)" if key.json_schema_extra == NEEDS_RESTART else ""
    cells = (
        f"`{name}`",
        _kind_words(key.annotation),
        default,
        _range_of(key.annotation, key.metadata),
        f"{key.description}{restart}",
    )
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _kind_words(annotation: Any) -> str:
    annotation = _bare(_without_none(annotation))[0]
    if get_origin(annotation) is tuple:
        return f"list of {_plural(_kind_words(get_args(annotation)[0]))}"
    if get_origin(annotation) is dict:
        return f"table of {_plural(_kind_words(get_args(annotation)[1]))}"
    if get_origin(annotation) is Literal:
        return " or ".join(f'`"{choice}"`' for choice in get_args(annotation))
    if IPv4Network in get_args(annotation):
        return "network"
    return {bool: "true or false", int: "whole number", float: "number", SecretStr: "secret"}.get(annotation, "text")


def _plural(word: str) -> str:
    return word if word.startswith("`") else f"{word}s"


def _range_of(annotation: Any, metadata: list[Any]) -> str:
    bounds: dict[type, Any] = {type(bound): bound for bound in metadata}
    words = []
    lowest, highest = bounds.get(annotated_types.Ge), bounds.get(annotated_types.Le)
    if annotated_types.Gt in bounds:
        words.append(f"above {bounds[annotated_types.Gt].gt:g}")
    if lowest and highest:
        words.append(f"{lowest.ge} to {highest.le}")
    elif lowest:
        words.append(f"at least {lowest.ge}")
    elif highest:
        words.append(f"at most {highest.le}")
    if annotated_types.MinLen in bounds:
        words.append("not empty")
    if get_origin(annotation) is tuple:
        inner, inner_metadata = _bare(get_args(annotation)[0])
        if each := _range_of(inner, inner_metadata):
            words.append(f"each {each}")
    return ", ".join(words)


def _without_none(annotation: Any) -> Any:
    """What an optional key holds where it is there."""
    if get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation):
        return next(member for member in get_args(annotation) if member is not type(None))
    return annotation


def _bare(annotation: Any) -> tuple[Any, list[Any]]:
    """A type without its `Annotated`, and what stood beside it; a Field's bounds are taken out of the Field."""
    metadata = []
    for each in getattr(annotation, "__metadata__", ()):
        metadata += each.metadata if isinstance(each, FieldInfo) else [each]
    return getattr(annotation, "__origin__", annotation) if metadata else annotation, metadata


# --- the example file ---


def _example_table(table: _Table) -> str:
    mark = "#" if table.optional else ""
    lines = _comment(table.about) if table.path else []
    if table.path:
        title = table.title.replace("NAME", "a")
        lines.append(f"{mark}{title}")
    for name, key in table.keys.items():
        lines += _comment(f"{key.description}{_example_of(key, optional=table.optional)}")
        value = _default(key)
        if table.optional and key.examples:
            value = key.examples[0]
        lines.append(f"{'#' if key.default is None else mark}{name} = {_toml(value)}")
    return "\n".join([*lines, ""])


def _example_of(key: FieldInfo, *, optional: bool) -> str:
    parts = []
    if key.examples and not optional:
        parts.append(f"for example {_toml(key.examples[0])}")
    if range_words := _range_of(key.annotation, key.metadata):
        parts.append(range_words)
    if key.json_schema_extra == NEEDS_RESTART:
        parts.append("read at the start only")
    return f" ({'; '.join(parts)})" if parts else ""


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _default(key: FieldInfo) -> Any:
    """A key's default as TOML holds it; an example, or an empty value of its kind, where there is none."""
    value = key.get_default(call_default_factory=True)
    if key.is_required() or value is None:
        return key.examples[0] if key.examples else ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return [each if isinstance(each, str | int | float) else str(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _toml(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(_assignment(name, each) for name, each in value.items())}}}"
    return _assignment("x", value).partition(" = ")[2]


def _assignment(name: str, value: Any) -> str:
    return tomli_w.dumps({name: value}).strip() if not isinstance(value, list | dict) else f"{name} = {_toml(value)}"


def _first_paragraph(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").partition("\n\n")[0].split())


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""


if __name__ == "__main__":
    PAGE.write_text(configuration_page(), encoding="utf-8")
    EXAMPLE.write_text(example_toml(), encoding="utf-8")
