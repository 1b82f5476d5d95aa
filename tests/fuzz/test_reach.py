"""The lines of a target's code that inputs reach."""

from pathlib import Path

import pytest

from fuzz import __main__ as command_line
from fuzz.reach import reach
from fuzz.targets import NAMES, load

ROOT = Path(__file__).parents[2]
NUMBER = b"\x00\x3f\xf0\0\0\0\0\0\0"
BOOLEAN = b"\x01\x01"
DECODER = "protocol/amf/_amf0_decoder.py"


def test_more_kinds_of_input_reach_more_lines(tmp_path: Path) -> None:
    one, both = tmp_path / "number", tmp_path / "both"
    one.write_bytes(NUMBER)
    both.mkdir()
    both.joinpath("1").write_bytes(NUMBER)
    both.joinpath("2").write_bytes(BOOLEAN)
    few, more = reach("amf0", [one]), reach("amf0", [both])
    assert few.of == more.of > more.lines > few.lines > 0
    assert set(more.missing[DECODER]) < set(few.missing[DECODER])


@pytest.mark.parametrize("name", NAMES)
def test_the_code_of_a_target_is_there(name: str) -> None:
    assert load(name).CODE
    assert all(ROOT.joinpath(file).is_file() for file in load(name).CODE)


def test_the_lines_that_no_input_reaches_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "handshake", "--missing"])
    assert command_line.main() == 0
    file, lines = capsys.readouterr().out.strip().split(": ")
    assert file == "protocol/rtmp/handshake.py"
    assert lines
