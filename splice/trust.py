"""Whom the door believes when it dials by TLS: the authorities of the system's own trust store."""

import ssl
from functools import cache

__all__ = ["client_context"]


@cache
def client_context() -> ssl.SSLContext:
    """For all connections that the door makes; certificates and names are verified (RFC 6125).

    Made once, since reading the store holds the loop for some 20 ms: a changed store is seen after a restart.
    SSL_CERT_FILE names another one, as for OpenSSL's own programs.
    """
    return ssl.create_default_context()
