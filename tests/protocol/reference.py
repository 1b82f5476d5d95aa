"""docs/protocol.md's Reference, out of the kit itself: every name that the packages export, in one table each.

`python -m tests.protocol.reference` writes it into the page, between its two marks; a test holds it current.
"""

import ast
import dataclasses
import enum
import inspect
import itertools
import re
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import protocol
from protocol import amf, flv, rtmp

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"
BEGIN, END = "<!-- reference: made by `make docs`, held current by a test -->", "<!-- end of the reference -->"
PACKAGES: dict[str, tuple[ModuleType, ...]] = {
    "protocol": (protocol,),
    "protocol.amf": (amf,),
    "protocol.amf.amf0, protocol.amf.amf3": (amf.amf0, amf.amf3),
    "protocol.flv": (flv,),
    "protocol.rtmp": (rtmp,),
}
ALIASES = {inspect.formatannotation(union): name for name, union in (("Value", amf.Value), ("Message", rtmp.Message))}
"""Unions that stand in signatures, and would fill them."""


def reference() -> str:
    """The tables, from mark to mark."""
    parts = [BEGIN]
    for name, (package, *same) in PACKAGES.items():
        assert all(set(other.__all__) == set(package.__all__) for other in same)
        parts += ["", f"### {name}", "", "| name | takes -> gives | raises |", "| --- | --- | --- |"]
        parts += [_row(exported, getattr(package, exported)) for exported in sorted(package.__all__, key=str.lower)]
    return "\n".join([*parts, "", END])


def limits() -> str:
    """The table of what `Limits` bounds."""
    lines = ["| limit | default |", "| --- | --- |"]
    lines += [f"| `{field.name}` | {field.default:,} |" for field in dataclasses.fields(protocol.Limits)]
    return "\n".join(lines)


def _row(name: str, thing: object) -> str:
    cells = [f"`{name}`", _takes_and_gives(name, thing), ", ".join(_raised(thing))]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _takes_and_gives(name: str, thing: object) -> str:
    if isinstance(thing, ModuleType):
        return "a module: see below"
    if inspect.isfunction(thing):
        return f"`{_arguments(thing)} -> {_kind(inspect.signature(thing).return_annotation)}`: {_summary(thing)}"
    if isinstance(thing, type):
        arguments = _arguments(thing)
        return f"`{arguments}`: {_summary(thing)}" if arguments else _summary(thing)
    if typing.get_origin(thing) is not None:
        members = _kind(thing) if name not in ALIASES.values() else "a union"
        return f"type: {_said_of(name) or f'`{members}`'}"
    return _said_of(name) or f"constant: `{thing}`"


def _said_of(name: str) -> str:
    """The first paragraph of the string behind the assignment that makes `name`, where there is one."""
    for path in sorted(PAGE.parents[1].joinpath("protocol").rglob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for made, said in itertools.pairwise(body):
            match made, said:
                case (
                    ast.AnnAssign(target=ast.Name(id=known)) | ast.Assign(targets=[ast.Name(id=known)]),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ) if known == name:
                    return " ".join(text.split("\n\n", 1)[0].split())
    return ""


def _arguments(thing: Callable[..., object]) -> str:
    """What it is called with; empty for what is not made by its user, or has no fields."""
    is_type = isinstance(thing, type)
    if is_type and (issubclass(thing, (enum.Enum, Exception)) or inspect.isabstract(thing)):
        return ""
    if is_type and thing.__init__ is object.__init__ and not hasattr(thing, "_fields"):
        return ""
    parameters = inspect.signature(thing).parameters
    # Whoever takes these makes none: requests come with a `decide`, protocols with `*args`.
    if is_type and ("decide" in parameters or "args" in parameters):
        return ""
    shown = []
    for name, parameter in parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        if not name.startswith("_"):
            shown.append(f"*{name}" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else name)
    return f"({', '.join(shown)})"


def _kind(annotation: object) -> str:
    if annotation == amf.Value:
        return "Value"
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    for union, alias in ALIASES.items():
        text = text.replace(union, alias)
    return re.sub(r"\b(?:[a-z_0-9]+\.)+(?=[A-Za-z])", "", text).replace("'", "").replace("ForwardRef(Value)", "Value")


def _summary(thing: object) -> str:
    paragraph = (inspect.getdoc(thing) or "").split("\n\n", 1)[0]
    return " ".join(paragraph.split())


def _raised(thing: object) -> list[str]:
    documented = [thing]
    if isinstance(thing, type) and not issubclass(thing, Exception):
        documented += [getattr(thing, name) for name in _own_methods(thing)]
        documented.append(thing.__init__)
    found = set()
    for each in documented:
        if callable(each):
            found |= set(re.findall(r"^\s*((?:Local|Remote)ProtocolError): ", inspect.getdoc(each) or "", re.MULTILINE))
    return sorted(found)


def _own_methods(thing: type) -> Iterator[str]:
    return (name for name in dir(thing) if not name.startswith("_") and inspect.isroutine(getattr(thing, name)))


def write(page: str) -> str:
    """The page with the reference as the kit is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + reference() + after


if __name__ == "__main__":
    PAGE.write_text(write(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
