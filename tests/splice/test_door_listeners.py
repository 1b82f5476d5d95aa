"""One door's listening sockets together: opened, told, refused and closed as one."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pytest

from splice.config import Settings
from splice.door_listeners import DoorListeners
from splice.listeners import ListenError

ANY = "127.0.0.1:0"


def settings(**keys: Any) -> Settings:
    return Settings.model_validate({"listen": [ANY], **keys})


@contextmanager
def no_descriptor_left_over() -> Iterator[None]:
    lowest_free = os.dup(0)
    os.close(lowest_free)
    yield
    again = os.dup(0)
    os.close(again)
    assert again == lowest_free


def test_all_are_opened_and_told_by_kind_and_closed_together() -> None:
    start = settings(rtmp_listen=[ANY, ANY], admin_listen="0")
    with no_descriptor_left_over(), DoorListeners(start, demo=False) as listeners:
        counts = {kind: len(addresses) for kind, addresses in listeners.addresses.items()}
        admin = counts.pop("admin")
        assert admin == len(listeners.admin) > 0
        assert counts == {"http": 1, "rtmp": 2, "https": 0, "rtmps": 0}
        for address in chain(*listeners.addresses.values()):
            host, _, port = address.rpartition(":")
            assert host in ("127.0.0.1", "[::1]")  # no host stands for loopback on the admin side
            socket.create_connection((host.strip("[]"), int(port))).close()


def test_one_that_cannot_be_opened_closes_the_others() -> None:
    with no_descriptor_left_over(), socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ListenError):
            DoorListeners(settings(rtmp_listen=[f"127.0.0.1:{taken.getsockname()[1]}"]), demo=False)
        taken.close()


def test_the_demo_has_an_admin_side_also_where_its_port_is_taken() -> None:
    with DoorListeners(settings(), demo=True) as first, DoorListeners(settings(), demo=True) as second:
        assert first.admin and second.admin
        assert not set(first.addresses["admin"]) & set(second.addresses["admin"])
    with DoorListeners(settings(), demo=False) as neither:
        assert neither.admin == []


def test_with_reuse_port_a_second_door_listens_beside_the_first_on_every_port() -> None:
    sharing = {"reuse_port": True}
    with DoorListeners(settings(rtmp_listen=[ANY], admin_listen=ANY, **sharing), demo=False) as first:
        addresses = first.addresses
        again = {"listen": addresses["http"], "rtmp_listen": addresses["rtmp"], "admin_listen": addresses["admin"][0]}
        with DoorListeners(settings(**again, **sharing), demo=False) as second:
            assert second.addresses == addresses
        with pytest.raises(ListenError, match="the port is named twice"):  # that process is this very one
            DoorListeners(settings(**again), demo=False)


@pytest.mark.parametrize("key", ["rtmp_listen", "admin_listen"])
def test_a_shared_port_that_is_named_for_two_purposes_is_refused(key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with no_descriptor_left_over(), pytest.raises(ListenError, match=f"127.0.0.1:{port}: the port is named twice"):
        DoorListeners(settings(listen=[f"127.0.0.1:{port}"], **{key: f"127.0.0.1:{port}"}, reuse_port=True), demo=False)
