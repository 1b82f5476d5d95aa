"""Who holds a port: this very process, which is one that we may look into, and nobody."""

import os
import socket
import sys
from pathlib import Path

import pytest

from splice.port_owner import PortOwner, port_owner

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these files")


@linux
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_process_that_listens_is_found(family: int, host: str) -> None:
    with socket.create_server((host, 0), family=family) as listener:
        port = listener.getsockname()[1]
        owner = port_owner(port)
        assert owner is not None
        assert owner.pid == os.getpid()
        assert str(owner) == f"{Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
    assert port_owner(port) is None


@linux
def test_a_port_that_is_only_connected_is_nobodys() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        assert port_owner(client.getsockname()[1]) is None


def table(*sockets: tuple[str, str, int]) -> str:
    lines = [
        f"   0: 00000000:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0"
        for port, state, inode in sockets
    ]
    return "\n".join(["  sl  local_address rem_address   st ...", *lines]) + "\n"


def test_a_process_that_may_not_be_looked_into_stays_unknown(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(table(("46AA", "01", 7), ("46AA", "0A", 8)))
    (tmp_path / "12").mkdir()
    assert port_owner(18090, proc=tmp_path) is None
    fd = tmp_path / "12" / "fd"
    fd.mkdir()
    (fd / "3").symlink_to("socket:[7]")
    assert port_owner(18090, proc=tmp_path) is None
    (fd / "4").symlink_to("socket:[8]")
    assert port_owner(18090, proc=tmp_path) == PortOwner(12, "a process")
    (tmp_path / "12" / "comm").write_text("nginx\n")
    assert port_owner(18090, proc=tmp_path) == PortOwner(12, "nginx")


def test_a_system_without_these_files_knows_nobody(tmp_path: Path) -> None:
    assert port_owner(18090, proc=tmp_path) is None
