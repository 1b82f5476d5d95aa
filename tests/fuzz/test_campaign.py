"""What a campaign says, with libFuzzer's log in the place of libFuzzer, and the replay of what it has found."""

import subprocess
from pathlib import Path

import pytest

from fuzz import __main__ as command_line
from fuzz import campaign

LOG = """\
started in 0.41 s
INFO: seed corpus: files: 7 min: 18b max: 280b total: 1018b rss: 47Mb
#8	INITED cov: 96 ft: 99 corp: 7/1018b exec/s: 0 rss: 47Mb
#4096	pulse  cov: 139 ft: 310 corp: 60/4Kb lim: 280 exec/s: 2048 rss: 47Mb
"""
ENDED_WELL = LOG + "Done 30000 runs in 2 second(s)\nstat::number_of_executed_units: 30000\n"
FOUND = (
    LOG
    + """\
 === Uncaught Python exception: ===
AssertionError: whole: a; in pieces: b
==11== ERROR: libFuzzer: fuzz target exited
artifact_prefix='{root}/fuzz/crashes/amf0/'; Test unit written to {root}/fuzz/crashes/amf0/crash-1f
stat::number_of_executed_units: 4100
"""
)
ROOT = Path(campaign.__file__).parents[1]


def fuzzed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, log: str, arguments: list[str]) -> int:
    monkeypatch.setattr(campaign, "_FOUND", tmp_path / "found")
    monkeypatch.setattr(campaign, "_CRASHES", tmp_path / "crashes")
    ended = subprocess.CompletedProcess([], status, stdout=log.format(root=ROOT))
    monkeypatch.setattr(campaign, "_start", lambda name, options: ended)
    monkeypatch.setattr("sys.argv", ["fuzz", *arguments])
    return command_line.main()


def test_a_campaign_that_finds_nothing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzzed(monkeypatch, tmp_path, 0, ENDED_WELL, ["amf0", "--seconds", "2"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["target", "executions", "per", "CPU", "s", "edges", "lines"]
    name, executions, _, edges, lines, _, of = line.split()
    assert (name, executions, edges) == ("amf0", "30000", "139")
    assert 100 < int(lines) <= int(of)


def test_what_breaks_an_invariant_comes_with_the_command_that_shows_it_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzzed(monkeypatch, tmp_path, 77, FOUND, ["amf0"]) == 1
    said = capsys.readouterr().out
    assert "AssertionError: whole: a; in pieces: b" in said
    assert said.endswith(".venv/bin/python -m fuzz amf0 --replay fuzz/crashes/amf0/crash-1f\n")


def test_a_fuzzer_that_does_not_start_is_no_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzzed(monkeypatch, tmp_path, 1, "ModuleNotFoundError: No module named 'atheris'\n", ["amf0"]) == 1
    assert "No module named 'atheris'" in capsys.readouterr().out


def test_a_replay_gives_the_input_to_the_target(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "crash-1"
    found.write_bytes(b"GET / HTTP/1.1\r\n\r\n")
    monkeypatch.setattr("sys.argv", ["fuzz", "http_request_head", "--replay", str(found)])
    assert command_line.main() == 0
    monkeypatch.setattr("fuzz.targets.http_request_head._read", lambda received: len(received))
    with pytest.raises(AssertionError, match="in pieces: 4"):
        command_line.main()


def test_a_target_that_there_is_not_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz", "rtmpe"])
    with pytest.raises(SystemExit) as caught:
        command_line.main()
    assert caught.value.code == 2
