"""docs/operations.md is for the night: it knows every event of the log, and no metric or key that is not there."""

import re
from pathlib import Path

from splice.config.document import PAGE
from splice.stats import EndReason

TREE = Path(__file__).parents[1]
OPERATIONS = TREE.joinpath("docs", "operations.md").read_text(encoding="utf-8")
SOURCES = "".join(file.read_text(encoding="utf-8") for file in sorted(TREE.joinpath("splice").rglob("*.py")))


def rows(heading: str) -> str:
    """The table under a row of headings, its first column as text."""
    table = OPERATIONS[OPERATIONS.index(heading) :].split("\n\n", 1)[0]
    return "\n".join(line.split(" | ")[0] for line in table.splitlines()[2:])


def test_every_event_of_the_log_is_explained_and_no_other() -> None:
    logged = set(
        re.findall(r'\blog\.(?:info|warning|error|exception)\(\s*"([a-z_.]+)"', SOURCES.replace("_log", "log"))
    )
    assert len(logged) > 20
    assert set(re.findall(r"`([a-z_.]+)`", rows("| event |"))) == logged


def test_every_reason_of_an_end_is_explained() -> None:
    explained = set(re.findall(r"`([a-z_]+)`", rows("| `reason` of an end |")))
    assert explained == set(EndReason)


def test_every_alert_is_explained_and_no_other() -> None:
    rules = TREE.joinpath("deploy", "alerts.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"`(Splice\w+)`", rows("| alert |"))) == set(re.findall(r"- alert: (\w+)", rules))


def test_every_metric_that_is_named_exists() -> None:
    named = set(re.findall(r"\bsplice_[a-z_]+", OPERATIONS))
    assert len(named) > 5
    for name in named:
        assert f'"{name.removesuffix("_total")}"' in SOURCES, name


def test_every_key_and_file_that_is_named_exists() -> None:
    configuration = TREE.joinpath(PAGE).read_text(encoding="utf-8")
    for table, key in re.findall(r"`(hub|timeouts|limits|hooks|publish)\.([a-z_]+)`", OPERATIONS):
        section = configuration[configuration.index(f"## `[{table}]`") :].split("\n## ", 1)[0]
        assert f"| `{key}` |" in section, key
    for file in re.findall(r"`(deploy/[a-z.-]+)`", OPERATIONS):
        assert TREE.joinpath(file).exists(), file
    for target in re.findall(r"\]\(([^)#]+)\)", OPERATIONS):
        assert TREE.joinpath("docs", target).exists(), target
