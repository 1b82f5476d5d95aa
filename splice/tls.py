"""TLS on accepted connections: the contexts that a certificate makes, and the handshake.

A reload makes new contexts, which the doors use from the next connection on; those that are open keep what they began
with. Whether a pair of files will do is `splice.config`'s to say, when it reads the settings.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import structlog
import trio

from splice.viewer_socket import ViewerLeftError, ViewerSocket

__all__ = ["Certificate", "shake_hands"]

_HTTPS_PROTOCOLS: Final = ("h2", "http/1.1")
_DATE_CODES: Final = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED, of OpenSSL's x509_vfy.h

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the doors show.

    Attributes:
        https: the context of HTTPS connections, which agree on HTTP/2 or HTTP/1.1.
        rtmps: the context of the others.
        fault: why every client will refuse it, in OpenSSL's words; None: its dates are no reason.
    """

    https: ssl.SSLContext
    rtmps: ssl.SSLContext
    fault: str | None

    @classmethod
    def load(cls, cert: str, key: str) -> Self:
        """Read a certificate chain and its key from two files.

        Raises:
            OSError: they cannot be used.
        """
        https, rtmps = (ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) for _ in range(2))
        for context in (https, rtmps):
            context.load_cert_chain(cert, key)
        https.set_alpn_protocols(_HTTPS_PROTOCOLS)
        return cls(https, rtmps, _fault(rtmps, Path(cert).read_text(encoding="latin-1")))


def _fault(context: ssl.SSLContext, cert: str) -> str | None:
    # Python reads a certificate's dates only where it verifies one, so a client that trusts this very certificate
    # shakes hands with `context` in memory.
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    client_context.load_verify_locations(cadata=cert)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError as error:
            return error.verify_message if error.verify_code in _DATE_CODES else None
        except ssl.SSLError:
            return None  # for another reason than its dates: clients know what they trust
    return None


async def shake_hands(
    connection: ViewerSocket, context: ssl.SSLContext, *, seconds: float
) -> trio.SSLStream[trio.SocketStream]:
    """TLS on a connection that was just accepted, after its handshake.

    Raises:
        ViewerLeftError: there was none within `seconds`.
    """
    try:
        with trio.fail_after(seconds):
            return await connection.start_tls(context)
    except trio.BrokenResourceError as error:
        _log.info("tls.failed", peer=connection.peer, detail=_why(error.__cause__))
        raise ViewerLeftError from None
    except trio.TooSlowError:
        _log.info("tls.failed", peer=connection.peer, detail=f"no TLS handshake within {seconds:g} s")
        raise ViewerLeftError from None


def _why(error: BaseException | None) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return "the connection was closed"
