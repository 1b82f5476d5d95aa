"""From a request-target to the stream it means (splice/routing.py; DESIGN section 3).

Invariant: any target gives a route, none, or a `RoutingError` of 400 or 404. What is forwarded byte for byte, to an
origin that was named or to the default one, parses to the parameters that were checked, both by nginx's own look-up
(the first name that matches in any case, undecoded) and by parsers that decode names and values and take ";" for a
separator too; so the origin serves the stream that the door has checked. What is made by a template holds nothing but
checked names. A target that is renamed, as a callback may want, means the same but for the stream's name.
"""

import re
from dataclasses import replace
from typing import Final
from urllib.parse import unquote_to_bytes

from splice.config import OriginSettings
from splice.http import MAX_TARGET_BYTES
from splice.routing import PublishedRoute, Query, Router, RoutingError, SpliceRoute, is_name, renamed_target

CODE: Final = ("splice/routing.py",)
MAX_BYTES: Final = 512

_TARGET: Final = re.compile(rb"/[\x21\x22\x24-\x7e]*")  # what the request parser lets through
_SEPARATORS: Final = re.compile(rb"[&;]")
_RENAMED: Final = "Another.name-2"
_PORTS: Final = (1935, 1936)
_ORIGINS: Final = {
    "a": OriginSettings(url="http://10.0.0.8"),
    "picky": OriginSettings(url="http://10.0.0.8", ports=_PORTS),
    "path": OriginSettings(url="http://10.0.0.9", target="/{app}/{stream}.flv"),
    "pull": OriginSettings(url="rtmp://10.0.0.9"),
}
_ROUTERS: Final = tuple(
    Router(live_paths=("/live", "/l"), origins=_ORIGINS, default_origin=default) for default in ("", "a", "picky")
)


def check(data: bytes) -> None:
    target = data[:MAX_TARGET_BYTES]
    if not _TARGET.fullmatch(target):
        return
    path, question_mark, arguments = target.partition(b"?")
    for router in _ROUTERS:
        try:
            query = router.query(path, arguments if question_mark else None)
            if query is None:
                return
            _check_query(query)
            _check_renamed(router, query, target)
            route = router.route(query, target)
        except RoutingError as error:
            assert error.status in (400, 404), error.status
            continue
        splice = route.otherwise if isinstance(route, PublishedRoute) else route
        if isinstance(splice, SpliceRoute):
            _check_forwarded(splice, query, target)


def _check_query(query: Query) -> None:
    assert is_name(query.app) and is_name(query.stream)
    assert query.src is None or is_name(query.src)
    assert query.port is None or 1 <= query.port <= 65535


def _check_renamed(router: Router, query: Query, target: bytes) -> None:
    path, question_mark, arguments = renamed_target(target, query, _RENAMED).partition(b"?")
    meant = router.query(path, arguments if question_mark else None)
    assert meant is not None, "a renamed target means no stream any more"
    assert replace(meant, encoded=query.encoded) == replace(query, stream=_RENAMED), f"renamed, it means {meant}"


def _check_forwarded(route: SpliceRoute, query: Query, target: bytes) -> None:
    assert (route.app, route.stream) == (query.app, query.stream)
    if route.origin.target:
        assert route.target == b"/%b/%b.flv" % (query.app.encode(), query.stream.encode())
        return
    assert route.target == target, "what is forwarded is not what was asked"
    path, _, arguments = target.partition(b"?")
    checked: dict[bytes, bytes] = {}
    if query.by_path:
        assert path == b"/%b/%b.flv" % (query.app.encode(), query.stream.encode())
    else:
        checked |= {b"app": query.app.encode(), b"stream": query.stream.encode()}
    if query.src is not None:
        checked[b"src"] = query.src.encode()
    port = query.port if query.unnamed_port is None else int(query.unnamed_port)
    if port is not None:
        assert 1 <= port <= 65535 and port in (route.origin.ports or (port,))
        checked[b"port"] = b"%d" % port
    for name in (b"app", b"stream", b"src", b"port"):
        wanted = checked.get(name)
        assert _nginx_argument(arguments, name) == wanted, f"nginx reads another {name!r} than {wanted!r}"
        decoded = _decoded_arguments(arguments, name)
        assert decoded == ([] if wanted is None else [wanted]), f"{name!r} decodes to {decoded}, not {wanted!r}"


def _nginx_argument(arguments: bytes, name: bytes) -> bytes | None:
    """What ngx_http_arg finds: the first name, in any case, at the start or behind a "&", and before a "="."""
    folded = arguments.lower()
    start = 0
    while (at := folded.find(name, start)) >= 0:
        behind = at + len(name)
        if (at == 0 or arguments[at - 1 : at] == b"&") and arguments[behind : behind + 1] == b"=":
            return arguments[behind + 1 :].partition(b"&")[0]
        start = at + 1
    return None


def _decoded_arguments(arguments: bytes, name: bytes) -> list[bytes]:
    """All values of `name`, in any case, decoded as forms are, with both separators."""
    found = []
    for field in _SEPARATORS.split(arguments):
        written, _, value = field.partition(b"=")
        if unquote_to_bytes(written.replace(b"+", b" ")).lower() == name:
            found.append(unquote_to_bytes(value.replace(b"+", b" ")))
    return found
