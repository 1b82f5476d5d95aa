"""README.md names every flag, and links to what is there."""

import re
from pathlib import Path

import pytest

from splice.__main__ import main

TREE = Path(__file__).parents[1]
README = TREE.joinpath("README.md").read_text(encoding="utf-8")


def test_the_table_of_flags_is_that_of_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = set(re.findall(r"(?<![\w-])--[a-z-]+", capsys.readouterr().out.partition("Beside the door")[0]))
    table = README[README.index("| flag |") :].split("\n\n", 1)[0]
    assert set(re.findall(r"(?<![\w-])--[a-z-]+", "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE)))) == known


def test_every_link_leads_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert len(targets) > 5
    assert [target for target in targets if not TREE.joinpath(target).exists()] == []
