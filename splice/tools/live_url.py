"""URLs of live streams, as players take them: HTTP-FLV, WS-FLV and RTMP, with and without TLS."""

from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from protocol import LocalProtocolError
from protocol.rtmp import RtmpUrl, parse_url
from splice.config.addresses import format_authority, require_host

__all__ = ["LiveUrl"]

_PROTOCOLS: Final = {"http": "http-flv", "https": "http-flv", "ws": "ws-flv", "wss": "ws-flv"}
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SHOWN_VALUES: Final = frozenset({"src", "port", "app", "stream"})  # what else a query holds may be a secret


class LiveUrl(NamedTuple):
    """What is to be played, and where.

    Attributes:
        protocol: "http-flv", "ws-flv" or "rtmp".
        tls: whether the connection is encrypted.
        host: a name or an address, IPv6 without its brackets.
        port: 1 to 65535.
        authority: the value of Host; empty for RTMP.
        target: the request-target; empty for RTMP.
        rtmp: the URL's parts for RTMP, else None.
        shown: the URL without what may be secret in it.
    """

    protocol: str
    tls: bool
    host: str
    port: int
    authority: str
    target: str
    rtmp: RtmpUrl | None
    shown: str

    @classmethod
    def parse(cls, text: str) -> "LiveUrl":
        """Take a URL apart.

        Raises:
            ValueError: it is none of the six kinds; the message says what would be right.
        """
        scheme = text.partition("://")[0].lower()
        if scheme in ("rtmp", "rtmps"):
            try:
                url = parse_url(text)
            except LocalProtocolError as error:
                raise ValueError(str(error.args[0])) from None
            if not url.stream:
                raise ValueError("the URL ends at the application; play needs rtmp://host/app/stream")
            _require_host(url.host)
            return cls("rtmp", scheme == "rtmps", url.host, url.port, "", "", url, str(url))
        if scheme not in _PROTOCOLS:
            raise ValueError("a live URL begins with http://, https://, ws://, wss://, rtmp:// or rtmps://")
        form = f"a live URL is {scheme}://HOST[:PORT]/..., without a user, PORT 1 to 65535, and IPv6 in brackets"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, _PORTS[scheme] if parts.port is None else parts.port
        except ValueError:
            raise ValueError(form) from None
        if not host or not host.isascii() or not port or parts.username is not None:
            raise ValueError(form)
        _require_host(host)
        # What is percent-encoded stays so, and what no request line can hold becomes so.
        target = quote(parts._replace(scheme="", netloc="", fragment="").geturl() or "/", safe="/?%:@!$&'()*+,;=~-._")
        if not target.startswith("/"):
            target = f"/{target}"
        query = urlencode(
            [
                (key, value if key in _SHOWN_VALUES else "***")
                for key, value in parse_qsl(parts.query, keep_blank_values=True)
            ],
            safe="*/",
        )
        shown = f"{scheme}://{parts.netloc}{parts.path}{'?' if query else ''}{query}"
        authority = format_authority(host, None if port == _PORTS[scheme] else port)
        return cls(_PROTOCOLS[scheme], scheme in ("https", "wss"), host, port, authority, target, None, shown)


def _require_host(host: str) -> None:
    """Make sure that a resolver may be asked for `host`, which a bad name would make a traceback.

    Raises:
        ValueError: no; the message says what is wrong.
    """
    is_v6 = ":" in host
    require_host(host.partition("%")[0] if is_v6 else None, None if is_v6 else host)
