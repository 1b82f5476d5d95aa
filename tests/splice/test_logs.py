"""The log's two forms: what a program reads, what a person reads, and what neither may show."""

import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from splice.log_lines import LogLines
from splice.logs import LEVELS, configure_logs, listening

NASTY = 'a"b\r\nevent=forged\x1b[31m\x9b2J\u2028\x00\u00e4'


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def logged(form: str, level: str, capsys: pytest.CaptureFixture[str], **fields: Any) -> str:
    configure_logs(form=form, level="debug")
    getattr(structlog.get_logger(), level)("viewer.start", **fields)
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_json_is_one_object_a_line_with_the_event_first(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged("json", "info", capsys, stream="test", bytes=1, peers=["[::1]:1"])
    assert line.count("\n") == 1
    event = json.loads(line)
    assert list(event) == ["event", "stream", "bytes", "peers", "level", "timestamp"]
    assert (event["event"], event["bytes"], event["peers"], event["level"]) == ("viewer.start", 1, ["[::1]:1"], "info")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", event["timestamp"])


def test_text_is_one_line_without_colours_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged("text", "warning", capsys, stream="test", seconds=1.5)
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert re.search(r"\[warning +\] viewer.start +seconds=1.5 stream=test", line)


def test_text_has_colours_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "\x1b[" in logged("text", "info", capsys)


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_string_of_a_viewers_breaks_the_line_or_reaches_the_terminal(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = logged(form, "info", capsys, detail=NASTY, names=[NASTY], table={"x": NASTY})
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    if form == "json":
        assert json.loads(line)["detail"] == NASTY


@given(st.text())
def test_any_text_is_one_printable_line(text: str) -> None:
    written = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for form in ("json", "text"):
            patch.setattr(sys, "stderr", written)
            configure_logs(form=form, level="info")
            structlog.get_logger().info("x", detail=text)
    assert written.getvalue().count("\n") == 2
    assert all(line.isprintable() for line in written.getvalue().split("\n"))


def fail_with(secret: str) -> None:
    raise RuntimeError(f"\x1b[31m{len(secret)}")


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_shows_the_code_and_none_of_its_variables(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(form=form, level="info")
    try:
        fail_with("geheim" + str(42))
    except RuntimeError:
        structlog.get_logger().exception("connection.bug")
    err = capsys.readouterr().err
    assert "RuntimeError" in err
    assert "test_logs.py" in err
    assert "geheim42" not in err
    assert "\x1b" not in err
    if form == "json":
        assert json.loads(err)["event"] == "connection.bug"
    else:
        assert "\n    raise RuntimeError(" in err


@pytest.mark.parametrize("level", LEVELS)
def test_what_lies_below_the_level_is_not_logged(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(form="json", level=level)
    for each in LEVELS:
        getattr(structlog.get_logger(), each)("x")
    seen = [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()]
    assert seen == list(LEVELS[LEVELS.index(level) :])


def test_a_log_that_nobody_reads_any_more_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as file:
        monkeypatch.setattr(sys, "stderr", file)
        configure_logs(form="json", level="info")
        structlog.get_logger().info("ready")
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"x")  # the pipe is broken indeed
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), writer)


def test_lines_that_were_dropped_are_counted_in_the_log_and_for_those_who_listen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("splice.logs.LogLines", Forgetful)
    configure_logs(form="json", level="info")
    heard = []
    with listening(lambda event: heard.append(event["event"])):
        structlog.get_logger().info("viewer.end")
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert heard == [event["event"] for event in told] == ["viewer.end", "log.dropped"]
    assert (told[1]["lines"], told[1]["level"]) == (7, "warning")


class Forgetful(LogLines):
    """Has dropped seven lines."""

    forgotten = 7

    def write(self, line: str) -> int:
        super().write(line)
        forgotten, self.forgotten = self.forgotten, 0
        return forgotten


def test_a_listener_hears_events_of_level_info_also_where_the_log_itself_does_not_show_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(form="json", level="error")
    heard = []
    log = structlog.get_logger()
    with listening(lambda event: heard.append(dict(event))):
        log.debug("detail")
        log.info("viewer.start", id="v1")
    log.info("viewer.end", id="v1")
    assert [(event["event"], event["level"], event["id"]) for event in heard] == [("viewer.start", "info", "v1")]
    assert heard[0]["timestamp"]
    assert capsys.readouterr().err == ""
