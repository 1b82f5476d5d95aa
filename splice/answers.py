"""What the door itself answers: its page and files, preflights, refusals, each with the CORS fields they need."""

from typing import Final

from splice.http import Answer, Fields, RequestHead, as_sentence, problem_answer
from splice.page import CONTENT_SECURITY_POLICY, asset, index_page, language_of

__all__ = ["ALLOWED_METHODS", "CorsPolicy", "no_such_path", "own_file", "preflight", "refusal"]

ALLOWED_METHODS: Final = (b"GET", b"HEAD", b"OPTIONS")

_ALLOW: Final = (b"Allow", b", ".join(ALLOWED_METHODS))
_UPGRADES: Final = [(b"Sec-WebSocket-Version", b"13"), (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
_RETRY_AFTER: Final = (b"Retry-After", b"5")
# A 401 has a challenge (RFC 9110, 15.5.2); of a scheme that no browser knows, so none asks for a password.
_CHALLENGE: Final = (b"WWW-Authenticate", b"SignedURL")
_OK: Final = 200


class CorsPolicy:
    """Whose pages may read what the door sends. Credentials are never allowed, so `*` is what it says."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        """Args: origins as browsers send them, such as `https://example.org`, or `*` for everyone's."""
        self._everyone: Final = "*" in origins
        self._origins: Final = frozenset(origin.encode() for origin in origins)

    def fields(self, origin: bytes | None) -> Fields:
        """The CORS fields of an answer to a request with this Origin field."""
        if self._everyone:
            return [(b"Access-Control-Allow-Origin", b"*")]
        if origin is not None and origin in self._origins:
            return [(b"Access-Control-Allow-Origin", origin), (b"Vary", b"Origin")]
        return [(b"Vary", b"Origin")]

    def allows(self, origin: bytes) -> bool:
        """Whether a page of this origin may read the streams."""
        return self._everyone or origin in self._origins


def preflight(cors_fields: Fields) -> Answer:
    """The answer to OPTIONS, which is a browser's question before it sends Authorization or Range."""
    fields = [
        _ALLOW,
        *cors_fields,
        (b"Access-Control-Allow-Methods", _ALLOW[1]),
        (b"Access-Control-Allow-Headers", b"Authorization, Range"),
        (b"Access-Control-Max-Age", b"86400"),
        (b"Content-Length", b"0"),
        (b"Connection", b"close"),
    ]
    return Answer(_OK, fields)


def refusal(status: int, detail: str, *, cors_fields: Fields = ()) -> Answer:
    """A problem+json answer with the fields that its status asks for."""
    extra = list(cors_fields)
    if status == 401:
        extra.append(_CHALLENGE)
    if status == 405:
        extra.append(_ALLOW)
    if status == 426:
        extra.extend(_UPGRADES)
    if status == 503:
        extra.append(_RETRY_AFTER)
    return problem_answer(status, as_sentence(detail), extra_fields=extra)


def no_such_path(live_path: str) -> tuple[int, str]:
    """Status and detail for a path that is nobody's."""
    return 404, f"nothing is at this path; a stream is asked for as {live_path}?src=NAME&app=APP&stream=STREAM"


def own_file(head: RequestHead, *, live_path: str, demo: bool, cors_fields: Fields) -> Answer | None:
    """The door's page at `/`, or a file of its own under `/-/`; None where there is none."""
    path = head.path.decode("ascii")
    if path == "/":
        language = language_of((head.get(b"accept-language") or b"").decode("latin-1"))
        content = index_page(live_path=live_path, demo=demo, language=language)
        found = ("text/html; charset=utf-8", content)
    else:
        file = asset(path)
        if file is None:
            return None
        found = file
    content_type, content = found
    fields = [
        (b"Content-Type", content_type.encode()),
        (b"Content-Length", b"%d" % len(content)),
        (b"Content-Security-Policy", CONTENT_SECURITY_POLICY.encode()),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Cache-Control", b"no-cache"),
        (b"Vary", b"Accept-Language"),
        *cors_fields,
        (b"Connection", b"close"),
    ]
    return Answer(_OK, fields, content)
