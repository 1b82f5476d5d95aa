"""The kit stands on the standard library alone, and does no I/O, tells no time, rolls no dice and writes no log."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import protocol

ROOT = Path(protocol.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py"))
FORBIDDEN = {"socket", "ssl", "asyncio", "selectors", "select", "time", "datetime", "logging", "random", "secrets"}
FORBIDDEN |= {"threading", "subprocess", "os", "pathlib", "io", "tempfile"}
COMMAND_LINE = {"os", "io", "pathlib"}
"""What `python -m protocol` may use besides: it opens files."""


def is_command_line(path: Path) -> bool:
    return path.name.startswith(("__main__", "_tool"))


def imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT.parent)))
def test_a_module_imports_the_kit_and_the_harmless_part_of_the_standard_library(path: Path) -> None:
    packages = {name.partition(".")[0] for name in imported_by(path)} - {"protocol"}
    assert packages <= sys.stdlib_module_names
    assert not packages & (FORBIDDEN - (COMMAND_LINE if is_command_line(path) else set()))


def test_the_whole_kit_imports_on_a_bare_python() -> None:
    names = [
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if not is_command_line(path)
    ]
    program = f"import sys; sys.path.insert(0, {str(ROOT.parent)!r})\n"
    program += "\n".join(f"import {name}" for name in names)
    program += "\nprint(sorted({'socket', 'ssl', 'asyncio', 'logging', 'random'} & set(sys.modules)))"
    bare = [sys.executable, "-I", "-S", "-W", "error", "-c", program]
    done = subprocess.run(bare, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "[]"


def test_every_public_name_of_the_rtmp_package_is_re_exported_once() -> None:
    from protocol import rtmp

    assert len(rtmp.__all__) == len(set(rtmp.__all__))
    assert all(hasattr(rtmp, name) for name in rtmp.__all__)
