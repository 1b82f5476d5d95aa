"""ASGI applications under Hypercorn's protocols, on connections that the door has accepted itself.

`serve_connection` is all that others need; `connection` moves the bytes, `http2` mends what Hypercorn leaves open.
"""

from splice.asgi.connection import App, Receive, Scope, Send, serve_connection

__all__ = ["App", "Receive", "Scope", "Send", "serve_connection"]
