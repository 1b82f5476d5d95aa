"""HTTPS and WSS: the same streams by HTTP/1.1 and HTTP/2 over TLS, as an ASGI application under Hypercorn's protocols.

accept -> TLS (splice.tls) -> splice.asgi -> AsgiVisit -> Reception's checks -> origin or hub -> its pieces
"""

from splice.https.door import HttpsDoor

__all__ = ["HttpsDoor"]
