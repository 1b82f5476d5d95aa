"""The command line: what it takes, what it says, and the status that it ends with."""

import errno
import io
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from splice import __version__, command
from splice.__main__ import main
from splice.config import ConfigError, Settings
from splice.listeners import ListenError

LISTEN = ["--listen", "127.0.0.1:0"]


class FakeDoor:
    """Stands for `serve`: keeps what it was called with, and returns `status` or raises `error`."""

    def __init__(self) -> None:
        self.status = 0
        self.error: BaseException | None = None
        self.settings = Settings()
        self.demo = False
        self.ready_at = "0.0.0.0:18090"
        self.admin_at = "127.0.0.1:18091"
        self.reload: Callable[[], Settings] = Settings
        self.held: set[int] = set()

    async def serve(
        self, settings: Settings, *, demo: bool, reload: Callable[[], Settings], on_ready: Callable[[str, str], None]
    ) -> int:
        self.settings, self.demo, self.reload = settings, demo, reload
        self.held = set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        on_ready(self.ready_at, self.admin_at)
        if self.error:
            raise self.error
        return self.status


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeDoor:
    """What main() runs in place of a real door, in an empty directory."""
    fake = FakeDoor()
    monkeypatch.setattr(command, "serve", fake.serve)
    monkeypatch.setattr(command, "configure_logs", lambda **_given: None)
    monkeypatch.chdir(tmp_path)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    return fake


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Any:
    yield
    structlog.reset_defaults()


def exit_status(*arguments: str) -> object:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return caught.value.code


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert exit_status(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("splice: ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    return err.removeprefix("splice: ").rstrip()


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert exit_status("--check", *arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return tomllib.loads(out)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--listen: say where to listen, such as --listen 18090, or name a file with --config"),
        (["--demo"], "--listen: say where to listen"),
        (["--check"], "--listen: say where to listen"),
        (["--check", "--origin", "a=http://10.0.0.8"], "--listen: say where to listen"),
        (["--origin", "a=http://10.0.0.8"], "--listen: say where to listen"),
        (["--listen"], "--listen takes a value: --listen [HOST:]PORT; see splice --help"),
        (["--listen", "x"], "--listen: 'x' is not [HOST:]PORT, such as 18090"),
        (["--listen", "65536"], "--listen: '65536' ends with 65536, and a port is at most 65535"),
        (["--listen", "1", "--listen", "[::1"], "--listen: '[::1' is not [HOST:]PORT"),
        (["--rtmp", "x", *LISTEN], "--rtmp: 'x' is not [HOST:]PORT"),
        (["--origin", "a", *LISTEN], "--origin: an origin is NAME=URL, such as a=http://10.0.0.8:8080"),
        (["--origin", "a=10.0.0.8", *LISTEN], "--origin: an origin is http://host[:port]"),
        (["--origin", "a=http://[", *LISTEN], "--origin: "),
        (["--origin", "=http://x", *LISTEN], "--origin: '' is not a name"),
        (["--origin", "a/b=http://x", *LISTEN], "--origin: 'a/b' is not a name"),
        (["--origin", "a=http://x", "--origin", "a=http://y"], "--origin: a is given twice; several addresses of one"),
        (["--demo", "--origin", "demo=http://x", *LISTEN], "--demo: it adds an origin of the name demo"),
        (["--config", "nowhere.toml"], "nowhere.toml: cannot be read: no such file or directory"),
        (["--config", "."], ".: cannot be read: is a directory"),
        (["--log-format", "xml", *LISTEN], "--log-format: invalid choice: 'xml' (choose from"),
        (["--log-level", "loud", *LISTEN], "--log-level: invalid choice: 'loud'"),
        (["--check=yes", *LISTEN], "--check takes no value; see splice --help"),
        (["--log-level"], "--log-level takes a value: --log-level debug|info|warning|error"),
        (["--lisen", "18090"], "there is no --lisen; did you mean --listen?"),
        (["--lisen=18090"], "there is no --lisen; did you mean --listen?"),
        (["-listen", "18090"], "there is no -listen; did you mean --listen?"),
        (["--list", "1"], "there is no --list; did you mean --listen?"),
        (["--log"], "there is no --log; did you mean --log-format?"),
        (["--vhost", "x"], "there is no --vhost; see splice --help"),
        (["-x"], "there is no -x; see splice --help"),
        (["--h"], "there is no --h; see splice --help"),
        ([*LISTEN, "18091"], "'18091' is an argument too many; see splice --help"),
        ([*LISTEN, "--", "--demo"], "'--demo' is an argument too many; see splice --help"),
        (["prob", "--seconds", "3", "http://x/"], "there is no command 'prob'; did you mean splice probe?"),
        (["18090"], "there is no command '18090'; there are import, probe, sign, top"),
        ([""], "there is no command ''; there are import, probe, sign, top"),
        (["a\nb\x1b[31m"], r"there is no command 'a\nb\x1b[31m'; there are"),
        (["--a\nb\x1b[31m"], r"there is no --a\nb\x1b[31m; see"),
        (["--config", "a\nb\udc80"], r"a\nb\udc80: cannot be read"),
    ],
)
def test_a_wrong_command_line_is_one_line_that_names_the_flag_and_status_2(
    door: FakeDoor, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert usage_error(capsys, *arguments).startswith(says)


def test_a_password_in_a_url_is_not_repeated(door: FakeDoor, capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("a=ftp://me:geheim@x", "a=http://me:geheim@x:port", "http://me:geheim@x"):
        assert "geheim" not in usage_error(capsys, *LISTEN, "--origin", url)
    assert "geheim" not in usage_error(capsys, "http://me:geheim@x")
    assert "geheim" not in usage_error(capsys, *LISTEN, "http://me:geheim@x")
    assert "geheim" not in usage_error(capsys, "--orgin=a=http://me:geheim@x")


def test_a_wrong_file_is_named_with_its_key(door: FakeDoor, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[limits]\nveiwers = 1\n")
    said = f"{file}: limits.veiwers: unknown key; did you mean limits.viewers?"
    assert usage_error(capsys, "--config", str(file)) == said
    assert usage_error(capsys, "--config", str(file), "--check") == said


def test_a_file_in_the_working_directory_is_read_unless_another_is_named(
    door: FakeDoor, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "splice.toml").write_text('live_path = "/here"')
    (tmp_path / "other.toml").write_text('live_path = "/there"')
    assert checked(capsys)["live_path"] == ["/here"]
    assert checked(capsys, "--config", "other.toml")["live_path"] == ["/there"]
    (tmp_path / "splice.toml").unlink()
    assert checked(capsys, *LISTEN)["live_path"] == ["/live"]


def test_a_working_directory_that_cannot_be_searched_is_no_traceback(
    door: FakeDoor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_args: object, **_named: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", forbidden)
    monkeypatch.setattr(Path, "exists", forbidden)
    monkeypatch.setattr(Path, "read_text", forbidden)
    assert usage_error(capsys, *LISTEN) == "splice.toml: cannot be read: permission denied"


def test_check_prints_the_effective_configuration(
    door: FakeDoor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLICE_LIMITS__VIEWERS", "7")
    flags = ["--listen", "[::1]:0", "--listen", "00080", "--origin", "a=http://10.0.0.8:8080", "--demo"]
    said = checked(capsys, *flags)
    assert said["listen"] == ["[::1]:0", "80"]
    assert said["origins"]["a"]["url"] == "http://10.0.0.8:8080"
    assert said["limits"]["viewers"] == 7


def test_what_check_says_is_a_configuration_that_checks_the_same(
    door: FakeDoor, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    exit_status("--check", "--listen", "1", "--listen", "[::1]:2", "--origin", "a.b~=http://[::1]")
    once = capsys.readouterr().out
    (tmp_path / "splice.toml").write_text(once)
    exit_status("--check")
    assert capsys.readouterr().out == once


def test_version_and_help_are_said_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status("--version") == 0
    assert capsys.readouterr().out == f"splice {__version__}\n"
    assert exit_status("--help") == 0
    said = capsys.readouterr().out
    for flag in ("--listen", "--origin", "--demo", "--config", "--check", "--log-format", "--log-level", "--version"):
        assert flag in said


@pytest.mark.parametrize(
    ("arguments", "file", "demo"),
    [
        (LISTEN, None, True),
        ([*LISTEN, "--demo"], None, True),
        ([*LISTEN, "--origin", "a=http://x"], None, False),
        ([*LISTEN, "--rtmp", "0"], None, False),
        (LISTEN, "", False),
        ([], "listen = 0", False),
        ([*LISTEN, "--demo"], '[origins.a]\nurl = "http://x"', True),
    ],
)
def test_the_demo_is_what_there_is_where_nothing_else_is(
    door: FakeDoor, tmp_path: Path, arguments: list[str], file: str | None, demo: bool
) -> None:
    if file is not None:
        (tmp_path / "splice.toml").write_text(file)
    assert exit_status(*arguments) == 0
    assert door.demo is demo


def test_where_to_listen_may_stand_in_the_environment(door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLICE_LISTEN", "[::1]:0")
    assert exit_status() == 0
    assert door.settings.listen == ("[::1]:0",)


@pytest.mark.parametrize(
    ("bound", "shown"),
    [
        ("0.0.0.0:18090", "127.0.0.1:18090"),
        ("[::]:18090", "[::1]:18090"),
        ("10.0.0.0:80", "10.0.0.0:80"),
        ("[2001:db8::]:80", "[2001:db8::]:80"),
    ],
)
def test_a_terminal_is_told_what_to_open_and_play(
    door: FakeDoor, capsys: pytest.CaptureFixture[str], bound: str, shown: str
) -> None:
    door.ready_at, door.admin_at = bound, "127.0.0.1:40123"
    exit_status(*LISTEN, "--demo", "--log-format", "text")
    lines = [line.strip() for line in capsys.readouterr().err.splitlines() if line]
    assert lines[1:3] == [f"http://{shown}/", f'ffplay "http://{shown}/live?src=demo&app=demo&stream=clock"']
    assert lines[3:] == ["The dashboard shows who is watching:", "http://127.0.0.1:40123/"]


def test_a_program_that_reads_json_is_told_nothing_else(door: FakeDoor, capsys: pytest.CaptureFixture[str]) -> None:
    exit_status(*LISTEN, "--demo", "--log-format", "json")
    assert capsys.readouterr().err == ""


def test_systemd_is_told_when_viewers_may_come(door: FakeDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        exit_status(*LISTEN)
        assert supervisor.recv(100) == b"READY=1"


def test_a_stop_or_a_reload_waits_for_a_door_that_starts(door: FakeDoor) -> None:
    exit_status(*LISTEN)
    assert door.held == {signal.SIGTERM, signal.SIGHUP}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_what_waits_for_a_door_already_waits_while_its_libraries_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[set[int]] = []

    def run(_arguments: list[str]) -> int:
        held.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        return 0

    monkeypatch.setattr(command, "run", run)
    assert exit_status() == 0
    assert held == [{signal.SIGTERM, signal.SIGHUP}]


def test_a_tool_is_ended_by_what_a_door_would_wait_with(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[set[int]] = []

    def tool(_arguments: list[str]) -> int:
        held.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        return 0

    monkeypatch.setattr("splice.tools.probe.main", tool)
    assert exit_status("probe") == 0
    assert held == [set()]


def test_ctrl_c_while_the_libraries_are_imported_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __getattr__(self, name: str) -> None:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "splice.command", Interrupted())
    assert exit_status(*LISTEN) == 130


def test_without_a_demo_nothing_is_to_be_played(door: FakeDoor, capsys: pytest.CaptureFixture[str]) -> None:
    exit_status(*LISTEN, "--origin", "a=http://x", "--log-format", "text")
    assert capsys.readouterr().err == ""


def test_a_reload_takes_no_file_that_is_just_being_written(door: FakeDoor, tmp_path: Path) -> None:
    file = tmp_path / "splice.toml"
    file.write_text('listen = ["18090"]\n[play]\ndeny = ["192.0.2.0/24"]\n')
    exit_status("--config", str(file))
    file.write_text("")
    with pytest.raises(ConfigError, match="is empty"):
        door.reload()


def test_a_reload_reads_the_file_and_keeps_the_flags(door: FakeDoor, tmp_path: Path) -> None:
    file = tmp_path / "splice.toml"
    file.write_text("listen = 1")
    exit_status("--listen", "2")
    file.write_text("listen = 3\n[limits]\nviewers = 5")
    again = door.reload()
    assert (again.listen, again.limits.viewers) == (("2",), 5)


@pytest.mark.parametrize("status", [0, 130])
def test_the_doors_status_is_the_process_s(door: FakeDoor, status: int) -> None:
    door.status = status
    assert exit_status(*LISTEN) == status


def test_an_interrupt_of_a_tool_is_130_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_arguments: list[str]) -> int:
        raise BaseExceptionGroup("as Trio's nurseries raise it", [KeyboardInterrupt()])

    monkeypatch.setattr("splice.tools.probe.main", interrupted)
    assert exit_status("probe", "http://x/") == 130
    assert capsys.readouterr().err == ""


def test_an_interrupt_before_the_door_is_up_is_130_without_a_traceback(
    door: FakeDoor, capsys: pytest.CaptureFixture[str]
) -> None:
    door.error = KeyboardInterrupt()
    assert exit_status(*LISTEN) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_door_that_cannot_listen_ends_with_1_and_one_line(door: FakeDoor, capsys: pytest.CaptureFixture[str]) -> None:
    door.error = ListenError("cannot listen on 80: permission denied")
    assert exit_status(*LISTEN, "--log-format", "json") == 1
    assert capsys.readouterr().err == "splice: cannot listen on 80: permission denied\n"


FLAGS = st.sampled_from(
    [
        "--listen",
        "--origin",
        "--rtmp",
        "--demo",
        "--config",
        "--check",
        "--log-format",
        "--log-level",
        "--",
        "-",
        "-h",
        "-x",
    ]
)
FRAGMENTS = st.sampled_from(
    [
        "0",
        "18090",
        "[::1]:0",
        "a=http://x",
        "a=",
        "=",
        "demo=rtmp://[::1]:1",
        "json",
        "text",
        "debug",
        "splice.toml",
        "",
    ]
)
NO_NUL = st.text(st.characters(exclude_characters="\0"), max_size=6)


@given(
    arguments=st.lists(FLAGS | FRAGMENTS | NO_NUL | st.tuples(FLAGS, FRAGMENTS | NO_NUL).map("=".join), max_size=6),
    file=st.none() | st.binary(max_size=20) | st.sampled_from([b"listen = 0", b"[origins.a]\nurl = 'http://x'"]),
)
@example(arguments=["--config="], file=None)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_command_line_ends_in_a_traceback(
    door: FakeDoor, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], file: bytes | None
) -> None:
    (tmp_path / "splice.toml").unlink(missing_ok=True)
    if file is not None:
        (tmp_path / "splice.toml").write_bytes(file)
    status = exit_status(*arguments)
    err = capsys.readouterr().err
    if status == 2:
        assert re.fullmatch(r"splice: [^\n]+\n", err)
        assert err[:-1].isprintable()
    else:
        assert status == 0


def test_python_m_splice_is_this_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["splice", "--version"])
    monkeypatch.delitem(sys.modules, "splice.__main__")
    with pytest.raises(SystemExit):
        runpy.run_module("splice", run_name="__main__")
    assert capsys.readouterr().out == f"splice {__version__}\n"


def test_a_taken_port_is_status_1_and_says_whose(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "splice", "--listen", f"127.0.0.1:{port}", "--demo", "--log-level", "error"]
        ended = subprocess.run(
            command, cwd=tmp_path, env={"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, timeout=20
        )
    assert ended.returncode == 1
    assert ended.stdout == b""
    said = ended.stderr.decode()
    assert said.startswith(f"splice: cannot listen on 127.0.0.1:{port}: the port is in use by ")
    assert said.count("\n") == 1
    if sys.platform == "linux":
        assert f"(pid {Path('/proc/self').readlink()})" in said


def run_into(stdout: int | None, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "splice", *arguments]
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False, **more)


@pytest.mark.parametrize("arguments", [["--help"], ["--check", *LISTEN]])
def test_a_reader_who_has_had_enough_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb"):
        ended = run_into(writing, *arguments)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
def test_output_that_cannot_be_written_is_said_in_a_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = run_into(full.fileno(), "--check", *LISTEN)
    assert ended.stderr == b"splice: the output cannot be written: no space left on device\n"
    assert ended.returncode == 1


class RefusingOutput(io.StringIO):
    """Standard output whose every write fails, over a descriptor of its own."""

    def __init__(self, error: OSError, descriptor: int) -> None:
        super().__init__()
        self.error = error
        self.descriptor = descriptor

    def write(self, text: str) -> int:
        raise self.error

    def fileno(self) -> int:
        return self.descriptor


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (BrokenPipeError(32, "Broken pipe"), 0, ""),
        (OSError(28, "No space left on device"), 1, "splice: the output cannot be written: no space left on device\n"),
    ],
)
def test_output_that_fails_is_turned_to_the_null_device(
    error: OSError,
    status: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "output"
    with target.open("wb") as output:
        monkeypatch.setattr(sys, "stdout", RefusingOutput(error, output.fileno()))
        assert exit_status("--version") == status
        os.write(output.fileno(), b"the last flush")
    assert target.read_bytes() == b""
    assert capsys.readouterr().err == sentence
