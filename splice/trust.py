"""Whom the door believes when it dials by TLS: the system's authorities, or those that an operator names."""

import ssl
from functools import cache

__all__ = ["client_context", "trusting"]


@cache
def client_context(*, verify: bool = True) -> ssl.SSLContext:
    """For all connections that the door makes; certificates and names are verified (RFC 6125), unless `verify` is off.

    Made once, since reading the store holds the loop for some 20 ms: a changed store is seen after a restart.
    SSL_CERT_FILE names another one, as for OpenSSL's own programs.
    """
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def trusting(authority: str) -> ssl.SSLContext:
    """For servers whose certificates those in the PEM file `authority` vouch for, and no others.

    One of them may be the very certificate that a server shows, as with cameras that have signed their own.

    Raises:
        OSError: the file cannot be read; an `ssl.SSLError`, it holds no certificate.
    """
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # a small authority's certificate seldom has every extension
    return context
