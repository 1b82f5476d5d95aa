"""Where settings come from: flags win over the environment, that over the file, that over the defaults.

The three are laid over each other as plain dictionaries, each leaf remembering who said it, and validated once; so an
error names the very flag, variable or key that is wrong.
"""

import enum
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from splice.config.settings import Settings
from splice.config.targets import masked
from splice.config.values import WrongBesideOthersError
from splice.spelling import meant

__all__ = ["ENVIRONMENT_PREFIX", "ConfigError", "load_settings", "settings_as_toml"]

ENVIRONMENT_PREFIX: Final = "SPLICE_"

_KeyPath = tuple[str, ...]

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_ALTERNATIVES: Final = {"url": "urls", "urls": "url"}  # of an origin: who gives one takes back the other
_LONGEST_SHOWN: Final = 60

# pydantic's types of errors that are about the kind of a value, and what would be right.
_KINDS: Final = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "a text in quotes",
    "tuple_type": 'a list, such as ["...", "..."]',
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
_TABLE_TYPES: Final = frozenset({"dict_type", "model_type", "model_attributes_type"})


class _Kind(enum.Enum):
    FILE = enum.auto()
    VARIABLE = enum.auto()
    FLAG = enum.auto()


class _Source(NamedTuple):
    kind: _Kind
    name: str


class ConfigError(Exception):
    """The configuration is wrong; the message is one line that names the place and what would be right."""


def load_settings(
    *,
    flags: Mapping[_KeyPath, tuple[str, Any]],
    environ: Mapping[str, str],
    file: Path | None,
    file_may_be_empty: bool = True,
) -> Settings:
    """Read and validate the whole configuration.

    Args:
        flags: for each key given on the command line its value and the flag's name: `{("listen",): ("--listen",
            ["18090"])}`.
        environ: the environment; `SPLICE_LIMITS__VIEWERS=100` sets `limits.viewers`. A variable that names no key is
            left alone, since orchestrators make variables out of a service's name.
        file: a TOML file, or None.
        file_may_be_empty: false for a reload. A file that is being written is empty for a moment, and who reads it then
            would let everybody in.

    Raises:
        ConfigError: something in it is wrong.
    """
    merged: dict[str, Any] = {}
    said_by: dict[_KeyPath, _Source] = {}
    for source, tree in (*_file_layer(file, may_be_empty=file_may_be_empty), *_environment_layer(environ)):
        _lay_over(merged, tree, said_by, source)
    for path, (flag, value) in flags.items():
        _lay_over(merged, _nested(path, value), said_by, _Source(_Kind.FLAG, flag))
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        errors = error.errors()
        # A misspelt key is why another one is missing.
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        raise ConfigError(_sentence(first, said_by)) from None


def settings_as_toml(settings: Settings) -> str:
    """The effective configuration as TOML that `load_settings` reads back; what is secret in a URL reads `***`."""
    tree = settings.model_dump(mode="json", exclude_none=True)
    # Of an application what was written: every default beside it would override what the whole door has.
    tree["apps"] = {name: app.model_dump(mode="json", exclude_unset=True) for name, app in settings.apps.items()}
    return tomli_w.dumps(_masked(tree))


def _masked(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _masked(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return masked(value) if isinstance(value, str) and ("://" in value or key == "target") else value


def _file_layer(file: Path | None, *, may_be_empty: bool) -> Iterator[tuple[_Source, dict[str, Any]]]:
    if file is None:
        return
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not TOML, which is UTF-8 text; its byte {error.start} is not") from None
    except ValueError as error:  # tomllib's own, or int()'s on a number of thousands of digits
        raise ConfigError(f"{file}: is not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{file}: its lists or tables are nested too deeply") from None
    if not tree and not may_be_empty:
        raise ConfigError(f"{file}: is empty, as a file is that is just being written: reload once it is whole")
    yield _Source(_Kind.FILE, str(file)), tree


def _environment_layer(environ: Mapping[str, str]) -> Iterator[tuple[_Source, dict[str, Any]]]:
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        path = tuple(variable[len(ENVIRONMENT_PREFIX) :].lower().split("__"))
        if path[0] not in Settings.model_fields:
            continue
        yield _Source(_Kind.VARIABLE, variable), _nested(path, _environment_value(environ[variable]))


def _environment_value(text: str) -> object:
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _nested(path: _KeyPath, value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def _lay_over(below: dict[str, Any], above: dict[str, Any], said_by: dict[_KeyPath, _Source], source: _Source) -> None:
    def lay(below: dict[str, Any], above: dict[str, Any], path: _KeyPath) -> None:
        for key, value in above.items():
            if path[:1] == ("origins",) and _ALTERNATIVES.get(key, key) not in above:
                below.pop(_ALTERNATIVES[key], None)
            if isinstance(value, dict) and isinstance(below.get(key, {}), dict):
                said_by.setdefault((*path, key), source)
                lay(below.setdefault(key, {}), value, (*path, key))
            else:
                below[key] = value
                said_by[(*path, key)] = source

    lay(below, above, ())


def _sentence(error: ErrorDetails, said_by: Mapping[_KeyPath, _Source]) -> str:
    """`place: key: what is wrong`; a flag and a variable name their key by themselves."""
    # Numbers are places in a list, and the value that is shown says which; [key] is pydantic's word for a table's key.
    path = tuple(part for part in error["loc"] if isinstance(part, str) and part != "[key]")
    path += _key_within(error)
    source = next((said_by[path[:n]] for n in range(len(path), 0, -1) if path[:n] in said_by), None)
    problem = _problem(error, path, source)
    place = () if source is None else (source.name,)
    key = () if source is not None and source.kind is not _Kind.FILE else (_dotted(path),)
    return ": ".join(part for part in (*place, *key, problem) if part)


def _key_within(error: ErrorDetails) -> _KeyPath:
    cause = error.get("ctx", {}).get("error")
    return cause.key if isinstance(cause, WrongBesideOthersError) else ()


def _problem(error: ErrorDetails, path: _KeyPath, source: _Source | None) -> str:
    kind, bounds = error["type"], error.get("ctx", {})
    if kind in _KINDS:
        return f"takes {_KINDS[kind]}, not {_shown(error['input'])}"
    if kind in _TABLE_TYPES:
        below = (known[len(path) :] for known in _key_paths(Settings, ()) if _same_table(known[: len(path)], path))
        return f"is a table, with keys such as {_dotted((*path, *next(filter(None, below))))}"
    match kind:
        case "extra_forbidden":
            return f"unknown key; {_nearest(path, source)}"
        case "value_error":
            return str(bounds["error"])
        case "greater_than_equal":
            return f"takes a number of at least {bounds['ge']}, not {_shown(error['input'])}"
        case "greater_than":
            return f"takes a number above {bounds['gt']:g}, not {_shown(error['input'])}"
        case "less_than_equal":
            return f"takes a number of at most {bounds['le']:.15g}, not {_shown(error['input'])}"
        case "literal_error":
            return f"is {bounds['expected']}, not {_shown(error['input'])}"
        case "too_short":
            return "takes at least one"
        case "string_too_short":
            return "is empty"
        case "missing":
            return "is missing"
    return error["msg"][:1].lower() + error["msg"][1:]


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def _dotted(path: _KeyPath) -> str:
    """A key as TOML writes it."""
    return ".".join(part if _BARE_KEY.fullmatch(part) else json.dumps(part) for part in path)


def _nearest(path: _KeyPath, source: _Source | None) -> str:
    def spelled(known: _KeyPath) -> str:
        named = tuple(given if name == "NAME" else name for name, given in zip(known, path, strict=False))
        full = named + known[len(named) :]
        if source is not None and source.kind is _Kind.VARIABLE:
            return ENVIRONMENT_PREFIX + "__".join(full).upper()
        return _dotted(full)

    everywhere = list(_key_paths(Settings, ()))
    here = [known for known in everywhere if len(known) == len(path) and _same_table(known[:-1], path[:-1])]
    elsewhere = [known for known in everywhere if "NAME" not in known]
    # In a table of its own a key is more likely a wrong one of that table than a near one of another.
    for candidates, cutoff in ((here, 0.6), (elsewhere, 0.8 if len(path) == 1 else 1.0)):
        near = meant(path[-1], [known[-1] for known in candidates], cutoff=cutoff)
        if near is not None:
            return f"did you mean {spelled(next(known for known in candidates if known[-1] == near))}?"
    return f"known here: {', '.join(known[-1] for known in here)}"


def _same_table(known: _KeyPath, given: _KeyPath) -> bool:
    return len(known) == len(given) and all(name in ("NAME", other) for name, other in zip(known, given, strict=True))


def _key_paths(model: type[BaseModel], above: _KeyPath) -> Iterator[_KeyPath]:
    """Every key that there is; `NAME` stands where the operator chooses the name."""
    for name, field in model.model_fields.items():
        path = (*above, name)
        yield path
        annotation = field.annotation
        if get_origin(annotation) is dict:
            path, annotation = (*path, "NAME"), get_args(annotation)[1]
        elif get_origin(annotation) is tuple:
            annotation = get_args(annotation)[0]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _key_paths(annotation, path)
