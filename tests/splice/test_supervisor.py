"""systemd's side of a start, played by a datagram socket, and a container's, which has only signals."""

import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from splice.supervisor import hold_signals, let_signals_in, tell_ready

STOP_AND_RELOAD = (signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("abstract", [False, True])
def test_who_waits_for_the_door_is_told_when_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = f"@splice-{secrets.token_hex(8)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(name.replace("@", "\0") if abstract else name)
        supervisor.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        tell_ready()
        assert supervisor.recv(100) == b"READY=1"


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "@nobody-listens-here", "x" * 200])
def test_a_supervisor_that_does_not_listen_hinders_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    tell_ready()


def test_without_a_supervisor_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(socket, "socket", None)
    tell_ready()


@pytest.fixture
def came(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that handlers got, in their order."""
    numbers: list[int] = []
    before = {number: signal.signal(number, lambda got, _: numbers.append(got)) for number in STOP_AND_RELOAD}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_AND_RELOAD)
def test_what_is_asked_of_a_door_that_starts_waits_until_it_can_be_done(number: int, came: list[int]) -> None:
    with hold_signals():
        signal.raise_signal(number)
        assert came == []
        let_signals_in()
        assert came == [number]


def test_what_a_start_that_failed_has_held_comes_behind_it(came: list[int]) -> None:
    with pytest.raises(OSError), hold_signals():
        signal.raise_signal(signal.SIGTERM)
        raise OSError
    assert came == [signal.SIGTERM]


def test_ctrl_c_is_never_held(came: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt), hold_signals():
        signal.raise_signal(signal.SIGINT)
