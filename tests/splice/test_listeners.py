"""Listening sockets: where they are, why they are not, and accepting that never gives up."""

import errno
import os
import socket
import sys
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from splice.config import ListenAddress
from splice.listeners import (
    ListenError,
    accept_forever,
    open_listeners,
    require_distinct,
    socket_address,
    stop_listening,
)
from splice.port_owner import PortOwner


def opened(*texts: str) -> list[socket.socket]:
    return open_listeners([ListenAddress.parse(text) for text in texts])


def addresses_of(listeners: list[socket.socket]) -> list[str]:
    addresses = [socket_address(listener.getsockname()) for listener in listeners]
    for listener in listeners:
        assert not listener.getblocking()
        listener.close()
    return addresses


def refused(*texts: str) -> str:
    lowest_free = os.dup(0)
    os.close(lowest_free)
    with pytest.raises(ListenError) as caught:
        opened(*texts)
    assert lowest_free == os.dup(0)
    os.close(lowest_free)
    assert str(caught.value).isprintable()
    return str(caught.value)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_a_bare_port_is_both_families_on_one_number() -> None:
    ipv4, ipv6 = addresses_of(opened("0"))
    host, _, port = ipv4.rpartition(":")
    assert (host, ipv6) == ("0.0.0.0", f"[::]:{port}")
    assert int(port) > 0


def test_a_host_is_that_address_alone() -> None:
    port = free_port()
    assert addresses_of(opened(f"127.0.0.1:{port}")) == [f"127.0.0.1:{port}"]
    (ipv6,) = addresses_of(opened("[::1]:0"))
    assert ipv6.startswith("[::1]:")


def test_a_name_is_every_address_that_it_has_on_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: found * 2)
    ipv6, ipv4 = addresses_of(opened("localhost:0"))
    assert ipv6 == f"[::1]:{ipv4.removeprefix('127.0.0.1:')}"


def test_several_addresses_are_opened_in_their_order() -> None:
    first, second = addresses_of(opened("127.0.0.1:0", "[::1]:0"))
    assert first.startswith("127.0.0.1:")
    assert second.startswith("[::1]:")


def lacking(monkeypatch: pytest.MonkeyPatch, *families: int) -> None:
    real = socket.socket

    def make(family: int, kind: int) -> socket.socket:
        if family in families:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, kind)

    monkeypatch.setattr("splice.listeners.socket.socket", make)


def test_a_system_without_one_family_listens_on_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, socket.AF_INET6)
    (only,) = opened("0")
    assert only.getsockname()[0] == "0.0.0.0"
    only.close()
    lacking(monkeypatch, socket.AF_INET, socket.AF_INET6)
    assert refused("0") == "cannot listen on 0: address family not supported by protocol"


def test_a_number_that_is_taken_for_one_family_is_picked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    real, refusals = socket.socket.bind, [OSError(errno.EADDRINUSE, "in use")] * 2

    class Picky(socket.socket):
        def bind(self, address: object) -> None:
            if self.family == socket.AF_INET6 and refusals:
                raise refusals.pop()
            real(self, address)  # type: ignore[arg-type] -- whatever the test was given

    monkeypatch.setattr("splice.listeners.socket.socket", Picky)
    ipv4, ipv6 = addresses_of(opened("0"))
    assert ipv4.rpartition(":")[2] == ipv6.rpartition(":")[2]
    assert not refusals
    refusals += [OSError(errno.EADDRINUSE, "in use")] * 99
    assert "cannot listen on 0: the port is in use" in refused("0")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who")
def test_a_taken_port_is_said_to_be_whose(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ours = f"cannot listen on 127.0.0.1:{port}: the port is named twice; name it once"
        assert refused(f"127.0.0.1:{port}") == ours
        assert refused("127.0.0.1:0", f"127.0.0.1:{port}") == ours
        monkeypatch.setattr(os, "getpid", lambda: 0)
        command = Path("/proc/self/comm").read_text().strip()
        pid = Path("/proc/self").readlink()
        assert refused(str(port)) == (
            f"cannot listen on {port}: the port is in use by {command} (pid {pid}); stop that, or choose another port"
        )


def test_a_taken_port_of_nobody_we_know_is_said_to_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splice.listeners.port_owner", lambda _port: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused(f"127.0.0.1:{port}").startswith(
            f"cannot listen on 127.0.0.1:{port}: the port is in use by another program"
        )


def test_an_address_of_another_machine_is_said_to_be_none_of_ours() -> None:
    assert refused("192.0.2.1:0") == "cannot listen on 192.0.2.1:0: this machine does not have that address"


def test_a_low_port_that_is_not_allowed_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(_self: socket.socket, _address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("splice.listeners.socket.socket", type("Forbidden", (socket.socket,), {"bind": bind}))
    assert "CAP_NET_BIND_SERVICE" in refused("127.0.0.1:80")


def test_a_host_that_has_no_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_args: object, **_named: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    assert refused("nowhere.example:80") == (
        "cannot listen on nowhere.example:80: its name cannot be resolved; give an address"
    )


class FailingListener(socket.socket):
    """Raises what is in `errors`, one at each accept, before it accepts."""

    errors: list[int]

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        if self.errors:
            raise OSError(number := self.errors.pop(0), os.strerror(number))
        return super().accept()


def listening(*errors: int) -> FailingListener:
    listener = FailingListener()
    listener.errors = list(errors)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    return listener


async def accepted_from(listener: socket.socket) -> list[str]:
    """The peers of two connections to `listener`, in the order in which they were handed over."""
    peers: list[str] = []
    come = trio.Event()

    def start(accepted: socket.socket, peer: tuple[str, int]) -> None:
        with accepted:
            assert not accepted.getblocking()
            assert accepted.getpeername() == peer
        peers.append(socket_address(peer))
        come.set()

    with listener, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept_forever, listener, start)
            expected = []
            for _ in range(2):
                come = trio.Event()
                with socket.create_connection(listener.getsockname()) as client:
                    expected.append(socket_address(client.getsockname()))
                    await come.wait()
            nursery.cancel_scope.cancel()
    assert peers == expected
    return peers


async def test_connections_are_handed_over_with_their_peer() -> None:
    assert all(peer.startswith("127.0.0.1:") for peer in await accepted_from(listening()))


async def test_who_comes_when_a_turn_is_used_up_is_taken_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splice.listeners._ACCEPTS_PER_TURN", 1)
    await accepted_from(listening())


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EIO])
async def test_without_descriptors_accepting_pauses_and_goes_on(
    number: int, autojump_clock: trio.testing.MockClock
) -> None:
    with capture_logs() as logs:
        before_s = trio.current_time()
        await accepted_from(listening(number, number))
        assert trio.current_time() - before_s == pytest.approx(0.2)
    assert [entry["event"] for entry in logs] == ["accept.paused"] * 2
    assert logs[0]["error"] == os.strerror(number)


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.ECONNRESET, errno.EPERM, errno.EPROTO])
async def test_a_connection_that_was_gone_before_it_was_taken_is_nobodys_concern(number: int) -> None:
    with capture_logs() as logs:
        await accepted_from(listening(number, number))
    assert logs == []


async def test_a_listener_that_is_broken_is_a_bug_and_not_hidden() -> None:
    with listening(errno.EBADF) as listener, socket.create_connection(listener.getsockname()):
        with pytest.raises(OSError) as caught:
            await accept_forever(listener, lambda *_: None)
        assert caught.value.errno == errno.EBADF


def test_without_a_host_loopback_alone_is_meant_where_that_was_asked_for() -> None:
    listeners = open_listeners([ListenAddress.parse("0")], loopback=True)
    port = listeners[0].getsockname()[1]
    assert addresses_of(listeners) in ([f"127.0.0.1:{port}", f"[::1]:{port}"], [f"127.0.0.1:{port}"])


def shared(*texts: str) -> list[socket.socket]:
    return open_listeners([ListenAddress.parse(text) for text in texts], reuse_port=True)


def test_two_doors_share_a_port_where_both_say_so() -> None:
    (first,) = shared("127.0.0.1:0")
    with first:
        port = first.getsockname()[1]
        (second,) = shared(f"127.0.0.1:{port}")
        with second:
            assert second.getsockname() == first.getsockname()
        assert f"cannot listen on 127.0.0.1:{port}: the port is" in refused(f"127.0.0.1:{port}")


def test_a_port_that_another_does_not_share_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splice.listeners.port_owner", lambda _port: PortOwner(7, "splice"))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ListenError) as caught:
        shared(f"127.0.0.1:{taken.getsockname()[1]}")
    assert str(caught.value).endswith(
        "in use by splice (pid 7), where it does not run as this user and with reuse_port; stop that, or choose "
        "another port"
    )


@pytest.mark.parametrize(
    ("host", "other", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "[::1]", False),
        ("[::]", "[::1]", True),
        ("[::1]", "127.0.0.1", False),
    ],
)
def test_a_shared_port_that_one_door_names_twice_is_refused_as_one_that_is_not_shared(
    host: str, other: str, clash: bool
) -> None:
    (first,) = shared(f"{host}:0")
    port = first.getsockname()[1]
    (second,) = shared(f"{other}:{port}")
    with first, second:
        if clash:
            with pytest.raises(ListenError, match=rf":{port}: the port is named twice; name it once$"):
                require_distinct([first, second])
        else:
            require_distinct([first, second])


def test_different_ports_are_distinct() -> None:
    listeners = shared("127.0.0.1:0", "127.0.0.1:0", "[::1]:0", "0")
    require_distinct(listeners)
    addresses_of(listeners)


async def test_whom_the_kernel_has_accepted_for_a_listener_that_stops_is_handed_over() -> None:
    listener, peers = listening(errno.ECONNABORTED), []

    def start(accepted: socket.socket, peer: tuple[str, int]) -> None:
        accepted.close()
        peers.append(peer)

    with (
        socket.create_connection(listener.getsockname()) as one,
        socket.create_connection(listener.getsockname()) as two,
    ):
        stop_listening(listener, start)
        assert peers == [one.getsockname(), two.getsockname()]
    assert listener.fileno() == -1


async def test_a_listener_that_stops_ends_who_accepts_from_it() -> None:
    listener = listening()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept_forever, listener, lambda *_: None)
            await trio.testing.wait_all_tasks_blocked()
            stop_listening(listener, lambda *_: None)


async def test_a_listener_that_stops_without_descriptors_left_is_closed_all_the_same() -> None:
    listener = listening(errno.EMFILE)
    with capture_logs() as logs, socket.create_connection(listener.getsockname()):
        stop_listening(listener, lambda *_: None)
    assert [entry["event"] for entry in logs] == ["accept.paused"]
    assert listener.fileno() == -1
