"""The configuration's page and example file are those of the model, and what they say is so."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import Le
from pydantic import BaseModel, Field

from splice.__main__ import main
from splice.config import Settings, load_settings
from splice.config.document import EXAMPLE, FLAGS, PAGE, configuration_page, example_toml
from splice.config.sources import _key_paths
from splice.config.values import Seconds

TREE = Path(__file__).parents[3]
OVERRIDING = [("apps", "NAME", table) for table in ("hub", "publish", "play", "hooks")]


def known_keys() -> Iterator[tuple[str, ...]]:
    """The keys that hold values, not tables, and that are not another table's keys over again."""
    every = list(_key_paths(Settings, ()))
    tables = {path[:length] for path in every for length in range(1, len(path))}
    for path in every:
        if path not in tables and path[:3] not in OVERRIDING:
            yield path


def load(**environ: str) -> Settings:
    return load_settings(flags={}, environ=environ, file=None)


@pytest.mark.parametrize(("file", "made"), [(PAGE, configuration_page), (EXAMPLE, example_toml)])
def test_the_file_in_the_tree_is_current(file: Path, made: Any) -> None:
    assert TREE.joinpath(file).read_text(encoding="utf-8") == made(), "the model has changed: call make docs"


def test_every_key_has_its_row_under_its_table() -> None:
    sections = dict(re.findall(r"^## `?\[*(.*?)\]*`?\n(.*?)(?=^## |\Z)", PAGE_TEXT, re.MULTILINE | re.DOTALL))
    for *table, key in known_keys():
        name = ".".join(table) if table else "The top of the file"
        assert f"\n| `{key}` | " in sections[name], f"{name}: {key}"


def test_a_table_that_overrides_another_says_which() -> None:
    for *_, table in OVERRIDING:
        assert f"## `[apps.NAME.{table}]`\n\nAny key of [{table}], such as " in PAGE_TEXT
        assert f"\n#[apps.a.{table}]\n" in EXAMPLE_TEXT


def test_every_key_has_a_meaning() -> None:
    rows = [line.split(" | ") for line in PAGE_TEXT.splitlines() if line.startswith("| `")]
    assert len(rows) == len(list(known_keys()))
    assert [row[0] for row in rows if row[4].removesuffix(" |") in ("", "None")] == []


PAGE_TEXT = configuration_page()
EXAMPLE_TEXT = example_toml()


def test_a_row_says_type_default_unit_range_and_whether_a_reload_applies_it() -> None:
    rows = PAGE_TEXT.splitlines()
    assert "| `drain_s` | number | `5` s | 0 to 86400 | how long viewers may go on after SIGTERM or Ctrl-C |" in rows
    assert any(row.startswith('| `listen` | list of texts | `["18090"]` | not empty') for row in rows)
    assert any(row.startswith("| `listen`") and row.endswith("(*restart*) |") for row in rows)
    assert any(row.startswith('| `mode` | `"splice"` or `"relay"` | `"splice"` |') for row in rows)
    assert any(row.startswith("| `ports` | list of whole numbers | `[]` | each 1 to 65535 |") for row in rows)
    assert any(row.startswith("| `streams` | text | required |") for row in rows)


def test_every_variable_on_the_page_sets_something() -> None:
    for variable in re.findall(r"In the environment: `(SPLICE_\w+)` and", PAGE_TEXT):
        path = tuple(variable.removeprefix("SPLICE_").lower().replace("__name__", "__NAME__").split("__"))
        assert path in set(known_keys()), variable


def test_the_examples_of_variables_work() -> None:
    variables = dict(re.findall(r"`(SPLICE_[A-Z_]+)=([^`]+)`", PAGE_TEXT))
    assert len(variables) == 3
    settings = load(**{name: value.strip("'") for name, value in variables.items()})
    assert settings.limits.viewers == 500
    assert settings.origins["a"].url == "http://10.0.0.8:8080"
    assert len(settings.publish.allow) == 2


def test_every_flag_that_the_page_names_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for flag, key in FLAGS.items():
        if tuple(key.split(".")) in set(known_keys()):
            assert f"`{flag}` is `{key}`" in " ".join(PAGE_TEXT.split())
            assert f"{flag} " in shown


def test_the_example_is_the_defaults() -> None:
    assert Settings.model_validate(tomllib.loads(EXAMPLE_TEXT)) == Settings()


def test_every_key_stands_in_the_example() -> None:
    tree = tomllib.loads(with_optional_tables(EXAMPLE_TEXT))
    for path in known_keys():
        value: Any = tree
        for part in path:
            value = value[0] if isinstance(value, list) else value
            assert (part if part != "NAME" else "a") in value, path
            value = value["a" if part == "NAME" else part]


def test_the_examples_tables_may_be_taken_into_use_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "splice.toml"
    file.write_text(with_optional_tables(EXAMPLE_TEXT))
    settings = load_settings(flags={}, environ={}, file=file)
    assert settings.origins["a"].url == "http://10.0.0.8:8080"
    assert settings.forward[0].to == "rtmp://10.0.0.20/backup"


def with_optional_tables(example: str) -> str:
    return re.sub(r"^#(?=\S)", "", example, flags=re.MULTILINE)


class Sub(BaseModel):
    """A table for one."""

    size: Annotated[int, Field(description="how big")] = 1


class Model(BaseModel):
    """Forms that keys may take, and that the configuration may come to have."""

    limit: Annotated[int | None, Le(9), Field(description="a limit, or none")] = None
    wait_ms: Annotated[Seconds, Field(description="a|b")] = 0.5
    names: Annotated[dict[str, str], Field(description="names")] = {"a b": "c"}
    sub: Annotated[Sub | None, Field(description="where wanted")] = None
    subs: Annotated[dict[str, Sub], Field(description="by name")] = {}


def test_forms_of_keys_that_are_not_there_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splice.config.document.Settings", Model)
    monkeypatch.setattr("splice.config.document.FLAGS", {"--limit": "limit", "--names": "names"})
    page, example = configuration_page(), example_toml()
    assert "| `limit` | whole number | none | at most 9 | a limit, or none |" in page
    assert "| `wait_ms` | number | `0.5` ms | above 0, at most 86400 | a&#124;b |" in page
    assert '| `names` | table of texts | `{"a b" = "c"}` |  | names |' in page
    assert "## `[sub]`\n\nA table for one. Where wanted. In the environment: `SPLICE_SUB__SIZE` and so on." in page
    assert tomllib.loads(example) == {"wait_ms": 0.5, "names": {"a b": "c"}}
    assert "\n#[sub]\n# how big\n#size = 1\n" in example
    assert "\n#[subs.a]\n# how big\n#size = 1\n" in example
