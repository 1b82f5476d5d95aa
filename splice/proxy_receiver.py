"""The receiver's side of the PROXY protocol: whom a connection is of is read before anything else on it is.

    accept --> from a trusted proxy, where a header was agreed on? --no--> its door, with the peer's address
                        | yes
                        '--> header --> its door, with the client's address

Whether a header comes is decided by who has connected and where, never by what was sent: nobody may guess (section 2 of
HAProxy's proxy-protocol.txt). A trusted proxy that sends none is refused; of everybody else nothing is read here, so a
stranger's header is what it is to the door behind: a request, or a handshake, that is broken. The door is then told the
client's address alone, and limits, access, signatures and logs go by it.
"""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import structlog
import trio

from protocol import NEED_DATA, RemoteProtocolError
from splice.listeners import socket_address
from splice.proxies import TrustedProxies
from splice.proxy_header import MAX_HEADER_BYTES, ProxyHeaderParser

__all__ = ["ProxyReceiver", "ProxyRules", "ServeOne"]

Address: TypeAlias = tuple[str, int]
ServeOne: TypeAlias = Callable[[socket.socket, Address], Awaitable[None]]

_ADVICE: Final = "let the proxy send one (HAProxy: send-proxy-v2), or take {kind} out of proxy_protocol"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """What of the configuration is needed here.

    Args:
        kinds: the listeners where headers were agreed on, by the names of the event `ready`.
        proxies: who sends them.
        head_s: seconds for a header to be whole.
    """

    kinds: frozenset[str]
    proxies: TrustedProxies
    head_s: float


class ProxyReceiver:
    """Stands before the doors.

    Attributes:
        rules: what connections are judged by, from the next one on.
    """

    def __init__(self, rules: ProxyRules) -> None:
        self.rules = rules

    def before(self, kind: str, serve_one: ServeOne) -> ServeOne:
        """Serve a listener's connections with the address of the client, where a proxy has accepted them.

        Args:
            kind: of the listener.
            serve_one: owns the connection that it is given, and closes it.
        """

        async def serve(accepted: socket.socket, peer: Address) -> None:
            rules = self.rules
            if kind not in rules.kinds or not rules.proxies.trusts(peer[0]):
                await serve_one(accepted, peer)
                return
            client = None
            try:
                client = await _receive(accepted, kind, peer, rules.head_s)
            except Exception:  # noqa: BLE001 -- a bug in one connection ends that one alone
                _log.exception("connection.bug", peer=socket_address(peer))
            finally:
                if client is None:
                    accepted.close()
            if client is not None:
                await serve_one(accepted, client)

        return serve


async def _receive(accepted: socket.socket, kind: str, peer: Address, head_s: float) -> Address | None:
    """The client's address, of a connection that holds what came behind its header; None: it is to be closed."""
    parser = ProxyHeaderParser()
    try:
        with trio.fail_after(head_s):
            return await _read(accepted, parser) or peer
    except RemoteProtocolError as error:
        fault = f"{error}; {_ADVICE.format(kind=kind)}"
    except trio.TooSlowError:
        fault = f"no whole PROXY header within {head_s:g} s; {_ADVICE.format(kind=kind)}"
    except _CutError:
        if not parser.started:
            return None  # a check that the port is open, which load balancers make every other second
        fault = "the proxy closed in the middle of its header"
    except OSError:
        return None  # reset: nobody is left to serve
    _log.warning("proxy.refused", listener=kind, peer=socket_address(peer), error=fault)
    return None


async def _read(accepted: socket.socket, parser: ProxyHeaderParser) -> Address | None:
    # What follows the header is for whoever serves the connection, and may be TLS's or the pump's to read. So it is
    # looked at first, and only what belongs to the header is taken out of the kernel's buffer.
    while True:
        await trio.lowlevel.wait_readable(accepted)
        try:
            seen = accepted.recv(MAX_HEADER_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            continue  # woken for nothing
        if not seen:
            raise _CutError
        parser.receive_data(seen)
        header = parser.next_event()
        accepted.recv(len(seen) - len(parser.trailing_data))
        if header is not NEED_DATA:
            return header.client


class _CutError(Exception):
    """The connection ended before its header was whole."""
