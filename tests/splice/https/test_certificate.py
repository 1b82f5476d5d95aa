"""The certificate: what of [tls] is refused before the door starts, what is warned of, and what a reload shows."""

import os
import signal
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from splice.config import ConfigError, Settings, load_settings
from splice.tls import Certificate
from tests.splice.https.https_house import authority, client_context, write_certificate
from tests.splice.test_server import SOON_S, RunningDoor, captured, settings

HOUR = timedelta(hours=1)


def read(**keys: Any) -> Settings:
    flags = {("tls", name): (f"--{name}", value) for name, value in keys.items()}
    return load_settings(flags=flags, environ={}, file=None)


def tls_settings(cert: str, key: str, **keys: Any) -> Settings:
    return settings(tls={"listen": ["127.0.0.1:0"], "rtmps_listen": ["127.0.0.1:0"], "cert": cert, "key": key}, **keys)


# --- before the door starts ---


def test_without_tls_there_is_nothing_to_say() -> None:
    assert not read().tls.listen


def test_a_certificate_and_its_key_will_do(tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path)
    assert read(listen="18443", rtmps_listen="19350", cert=cert, key=key).tls.listen == ("18443",)


@pytest.mark.parametrize("listener", ["listen", "rtmps_listen"])
@pytest.mark.parametrize("missing", ["cert", "key"])
def test_a_listener_without_either_is_refused(tmp_path: Path, listener: str, missing: str) -> None:
    files = dict(zip(("cert", "key"), write_certificate(tmp_path), strict=True))
    del files[missing]
    with pytest.raises(ConfigError, match=rf"TLS takes .* and {missing} is missing: --tls-cert FILE"):
        read(**{listener: "18443"}, **files)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path)
    with pytest.raises(ConfigError, match="nowhere cannot be read: no such file"):
        read(cert=f"{tmp_path}/nowhere", key=key)
    with pytest.raises(ConfigError, match="nowhere cannot be read: no such file"):
        read(cert=cert, key=f"{tmp_path}/nowhere")


def test_the_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    cert, _ = write_certificate(tmp_path)
    _, other = write_certificate(tmp_path, "other", authority().issue_cert("other"))
    with pytest.raises(ConfigError, match=r"other\.key is not the key of the certificate in"):
        read(cert=cert, key=other)


def test_what_is_no_pem_is_refused(tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path)
    (tmp_path / "junk").write_bytes(b"\0junk")
    for files in ({"cert": f"{tmp_path}/junk", "key": key}, {"cert": cert, "key": f"{tmp_path}/junk"}):
        with pytest.raises(ConfigError, match="are not a certificate and its key in PEM"):
            read(**files)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path)
    Path(key).write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(ConfigError, match="is encrypted; give the key without a password"):
        read(cert=cert, key=key)


# --- its dates ---


def certificate_of(begins: datetime, ends: datetime) -> trustme.LeafCert:
    return authority().issue_cert("localhost", not_before=begins, not_after=ends)


@pytest.mark.parametrize(
    ("begins", "ends", "fault"),
    [
        (-2 * HOUR, -HOUR, "certificate has expired"),
        (HOUR, 2 * HOUR, "certificate is not yet valid"),
        (-HOUR, HOUR, None),
    ],
)
def test_a_certificate_out_of_its_time_is_known_as_such(
    tmp_path: Path, begins: timedelta, ends: timedelta, fault: str | None
) -> None:
    now = datetime.now(UTC)
    files = write_certificate(tmp_path, certificate=certificate_of(now + begins, now + ends))
    assert Certificate.load(*files).fault == fault


async def test_an_expired_one_is_served_with_a_warning(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    files = write_certificate(tmp_path, certificate=certificate_of(now - 2 * HOUR, now - HOUR))
    with captured() as log:
        async with trio.open_nursery() as nursery:
            door = RunningDoor(log)
            await nursery.start(run, door, tls_settings(*files))
            (warning,) = door.events("tls.certificate")
            assert warning["fault"] == "certificate has expired"
            assert warning["file"] == files[0]
            nursery.cancel_scope.cancel()


# --- while it runs ---


async def run(door: RunningDoor, start: Settings, *, task_status: trio.TaskStatus[None]) -> None:
    await door.run(start, demo=False, task_status=task_status)


async def shown(address: str) -> str:
    """The serial number of the certificate that is shown there."""
    port = int(address.rpartition(":")[2])
    stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=unnamed_context())
    async with stream:
        await stream.do_handshake()
        return str(stream.getpeercert()["serialNumber"])


def unnamed_context() -> ssl.SSLContext:
    context = client_context()
    context.check_hostname = False
    return context


async def test_a_reload_shows_the_new_certificate_and_keeps_who_is_connected(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    start = tls_settings(*files, drain_s=0)
    with captured() as log:
        async with trio.open_nursery() as nursery:
            door = RunningDoor(log)
            await nursery.start(run, door, start)
            (ready,) = door.events("ready")
            https, rtmps = ready["https"][0], ready["rtmps"][0]
            before = await shown(https)
            assert await shown(rtmps) == before
            port = int(https.rpartition(":")[2])
            watching = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=unnamed_context())
            await watching.do_handshake()

            write_certificate(tmp_path, certificate=authority().issue_cert("localhost"))
            door.next = start
            os.kill(os.getpid(), signal.SIGHUP)
            await door.logged("reload.done")
            after = await shown(https)
            assert after != before
            assert await shown(rtmps) == after
            await watching.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(SOON_S):
                assert bytes(await watching.receive_some()).startswith(b"HTTP/1.1 200")
            await watching.aclose()

            door.next = ConfigError("the key is not the certificate's")
            os.kill(os.getpid(), signal.SIGHUP)
            await door.logged("reload.failed")
            assert await shown(https) == after
            os.kill(os.getpid(), signal.SIGTERM)
            with trio.fail_after(SOON_S):
                await door.ended.wait()
