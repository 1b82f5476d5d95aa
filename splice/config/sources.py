"""Where settings come from: flags win over the environment, that over the file, that over the defaults.

The three are laid over each other as plain dictionaries, each leaf remembering who said it, and validated once; so an
error names the very flag, variable or key that is wrong.
"""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from splice.config.settings import Settings

__all__ = ["ENVIRONMENT_PREFIX", "ConfigError", "load_settings", "settings_as_toml"]

ENVIRONMENT_PREFIX: Final = "SPLICE_"

_KeyPath = tuple[str, ...]


class ConfigError(Exception):
    """The configuration is wrong; the message is one line that names the place and what would be right."""


def load_settings(
    *, flags: Mapping[_KeyPath, tuple[str, Any]], environ: Mapping[str, str], file: Path | None
) -> Settings:
    """Read and validate the whole configuration.

    Args:
        flags: for each key given on the command line its value and the flag's name: `{("listen",): ("--listen",
            ["18090"])}`.
        environ: the environment; `SPLICE_LIMITS__VIEWERS=100` sets `limits.viewers`. A variable that names no key is
            left alone, since orchestrators make variables out of a service's name.
        file: a TOML file, or None.

    Raises:
        ConfigError: something in it is wrong.
    """
    merged: dict[str, Any] = {}
    said_by: dict[_KeyPath, str] = {}
    for source, tree in (*_file_layer(file), *_environment_layer(environ)):
        _lay_over(merged, tree, said_by, source)
    for path, (flag, value) in flags.items():
        _lay_over(merged, _nested(path, value), said_by, flag)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_sentence(error.errors()[0], said_by)) from None


def settings_as_toml(settings: Settings) -> str:
    """The effective configuration as TOML that `load_settings` reads back."""
    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))


def _file_layer(file: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    if file is None:
        return
    try:
        yield str(file), tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is not TOML: {error}") from None


def _environment_layer(environ: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        path = tuple(variable[len(ENVIRONMENT_PREFIX) :].lower().split("__"))
        if path[0] not in Settings.model_fields:
            continue
        yield variable, _nested(path, _environment_value(environ[variable]))


def _environment_value(text: str) -> object:
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _nested(path: _KeyPath, value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def _lay_over(below: dict[str, Any], above: dict[str, Any], said_by: dict[_KeyPath, str], source: str) -> None:
    def lay(below: dict[str, Any], above: dict[str, Any], path: _KeyPath) -> None:
        for key, value in above.items():
            if isinstance(value, dict) and isinstance(below.get(key, {}), dict):
                said_by.setdefault((*path, key), source)
                lay(below.setdefault(key, {}), value, (*path, key))
            else:
                below[key] = value
                said_by[(*path, key)] = source

    lay(below, above, ())


def _sentence(error: ErrorDetails, said_by: Mapping[_KeyPath, str]) -> str:
    path = tuple(str(part) for part in error["loc"])
    place = next((said_by[path[:n]] for n in range(len(path), 0, -1) if path[:n] in said_by), None)
    if error["type"] == "extra_forbidden":
        problem = f"unknown key; {_nearest(path)}"
    else:
        problem = error["msg"].removeprefix("Value error, ")
        problem = problem[:1].lower() + problem[1:]
    key = ".".join(path)
    if place is not None and place.startswith("--"):
        return f"{place}: {problem}"
    return ": ".join(part for part in (place, key, problem) if part)


def _nearest(path: _KeyPath) -> str:
    everywhere = list(_key_paths(Settings, ()))
    here = [known for known in everywhere if len(known) == len(path) and _same_table(known[:-1], path[:-1])]
    close = difflib.get_close_matches(path[-1], [known[-1] for known in here], n=1)
    if close:
        return f"did you mean {close[0]}?"
    elsewhere = difflib.get_close_matches(path[-1], [known[-1] for known in everywhere], n=1, cutoff=0.8)
    if elsewhere:
        found = next(known for known in everywhere if known[-1] == elsewhere[0])
        return f"did you mean {'.'.join(found)}?"
    return f"known here: {', '.join(known[-1] for known in here)}"


def _same_table(known: _KeyPath, given: _KeyPath) -> bool:
    return all(name in ("NAME", other) for name, other in zip(known, given, strict=True))


def _key_paths(model: type[BaseModel], above: _KeyPath) -> Iterator[_KeyPath]:
    """Every key that there is; `NAME` stands where the operator chooses the name."""
    for name, field in model.model_fields.items():
        path = (*above, name)
        yield path
        annotation = field.annotation
        if get_origin(annotation) is dict:
            path, annotation = (*path, "NAME"), get_args(annotation)[1]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _key_paths(annotation, path)
