"""The servers of `http {}` that serve live streams: `flv_live` locations, and those that pass on to an origin.

Other servers and locations are a web server's, which the door does not replace; nothing is said of them.
"""

import re
from typing import Final

from splice.tools.nginx_import.access import rules_for
from splice.tools.nginx_import.carried import Carried
from splice.tools.nginx_import.reader import Directive
from splice.tools.nginx_import.rtmp import carry_listen_options, carry_rules, leave_out, listen_address

__all__ = ["HTTP_DIRECTIVES", "carry_http"]

HTTP_DIRECTIVES: Final = (
    "add_header",
    "allow",
    "chunked_transfer_encoding",
    "deny",
    "flv_live",
    "listen",
    "proxy_pass",
    "rtmp_stat",
    "secure_link",
    "secure_link_md5",
    "set_real_ip_from",
    "ssl_certificate",
    "ssl_certificate_key",
)
"""The directives of such servers that have a key here."""

_CERTIFICATE: Final = {"ssl_certificate": "tls.cert", "ssl_certificate_key": "tls.key"}
_PROXIED: Final = re.compile(r"(https?)://([A-Za-z0-9_.-]+|\[[0-9a-fA-F:]+\])(?::([0-9]+))?(/.*)?")


def carry_http(carried: Carried, http: Directive, applications: list[str]) -> None:
    """Carry the servers of an `http {}` block over, those that serve live streams."""
    upstreams = {each.args[0]: each for each in http.all("upstream") if each.args}
    for server in http.all("server"):
        flv = [each for each in server.all("location") if _is_on(each, "flv_live")]
        proxied = [
            each for each in server.all("location") if each.find("proxy_pass") and _is_unbuffered(http, server, each)
        ]
        status = [each for each in server.all("location") if each.find("rtmp_stat")]
        if flv or proxied:
            _carry_server(carried, http, server)
        for location in flv:
            _carry_path(carried, location)
            for each in location.block or ():
                _carry_in_location(carried, each, applications)
        rules = [each for location in flv for each in location.block or () if each.name in ("allow", "deny")]
        if rules:
            carry_rules(carried, "play", rules_for("", rules), rules)
        for location in proxied:
            _carry_proxied(carried, location, upstreams)
        for location in status:
            carried.set(location, "admin_listen", "18091")
            carried.leave(location, "the statistics are /stat on the admin side, which is loopback's alone by default")


def _is_on(location: Directive, name: str) -> bool:
    found = location.find(name)
    return found is not None and found.args == ("on",)


def _is_unbuffered(http: Directive, server: Directive, location: Directive) -> bool:
    around = (location, server, http)  # as nginx inherits: the innermost counts
    buffering = next(filter(None, (each.find("proxy_buffering") for each in around)), None)
    return buffering is not None and buffering.args == ("off",)


def _carry_server(carried: Carried, http: Directive, server: Directive) -> None:
    inherited = (each for each in http.block or () if each.name in _CERTIFICATE and not server.find(each.name))
    for each in (*(server.block or ()), *inherited):
        if each.name == "listen":
            _carry_listen(carried, each)
        elif each.name in _CERTIFICATE and each.args:
            carried.set(each, _CERTIFICATE[each.name], each.args[0])
        elif each.name == "add_header":
            _add_header(carried, each)
        elif each.name == "set_real_ip_from" and each.args:
            carried.add("trusted_proxies", each.args[0])
        elif each.block is None:
            leave_out(carried, each)


def _carry_listen(carried: Carried, directive: Directive) -> None:
    address = listen_address(directive)
    if address is None:
        carried.leave(directive, "the door listens on TCP ports")
        return
    by_tls = "ssl" in directive.args
    carried.add("tls.listen" if by_tls else "listen", address)
    carry_listen_options(carried, directive, "https" if by_tls else "http")


def _carry_path(carried: Carried, location: Directive) -> None:
    modifiers, path = location.args[:-1], location.args[-1]
    if modifiers not in ((), ("=",), ("^~",)) or not path.startswith("/") or path == "/":
        carried.leave(location, "a live_path is one path, such as /live; the path form /APP/STREAM.flv works besides")
        return
    carried.add("live_path", "/live")  # the door's own, which stays
    carried.add("live_path", path.rstrip("/"))


def _carry_in_location(carried: Carried, directive: Directive, applications: list[str]) -> None:
    name, args = directive.name, directive.args
    if name == "add_header":
        _add_header(carried, directive)
    elif name == "chunked_transfer_encoding" and args == ("off",):
        for app in applications:
            carried.set(directive, f"apps.{app}.chunked", False)
        if not applications:
            carried.leave(directive, "chunked = false is of an application: set it in [apps.NAME]")
    elif name == "secure_link_md5" and args:
        carried.set(directive, "play.secure_link", args[0])
    elif name == "secure_link":
        if args != ("$arg_md5,$arg_expires",):
            carried.leave(directive, "the door takes md5 and expires by these names: ?md5=...&expires=...")
    elif name not in ("allow", "deny", "chunked_transfer_encoding"):
        leave_out(carried, directive)


def _add_header(carried: Carried, directive: Directive) -> None:
    name, value = (*directive.args, "", "")[:2]
    lower = name.lower()
    if lower == "access-control-allow-origin" and "$" not in value:
        carried.add("cors_origins", value)
    elif lower == "access-control-allow-origin":
        carried.leave(directive, "list the pages' origins in cors_origins")
    elif lower == "access-control-allow-credentials":
        carried.leave(directive, "the door takes no cookies; browsers refuse this together with *")
    elif not lower.startswith("access-control-") and lower != "cache-control":
        carried.leave(directive, "the door adds no fields of yours")


def _carry_proxied(carried: Carried, location: Directive, upstreams: dict[str, Directive]) -> None:
    """A location that passes on to HTTP-FLV servers without a buffer: scheme one, with a default origin."""
    proxy_pass = next(location.all("proxy_pass"))
    match = _PROXIED.fullmatch(proxy_pass.args[0]) if proxy_pass.args else None
    if match is None or match[4] not in (None, "/", location.args[-1]):
        carried.leave(proxy_pass, "an origin is one of [origins], by its name: ?src=NAME; variables choose none here")
        return
    scheme, host, port = match[1], match[2], match[3]
    upstream = upstreams.get(host)
    if upstream is None:
        urls = [f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"]
    else:
        servers = [each for each in upstream.all("server") if each.args]
        sockets = [each for each in servers if each.args[0].startswith("unix:")]
        for each in sockets:
            carried.leave(each, "the door dials TCP ports")
        urls = [f"{scheme}://{each.args[0]}" for each in servers if each not in sockets]
    if not urls:
        carried.leave(proxy_pass, "it names no server that the door can dial")
        return
    origin = carried.origin(urls)
    if carried.settings.setdefault("default_origin", origin) != origin:
        carried.leave(proxy_pass, f"another origin is the default_origin: ask for this one by /live?src={origin}")
        return
    _carry_path(carried, location)
    for each in location.block or ():
        if each.name == "add_header":
            _add_header(carried, each)
        elif each.name != "proxy_pass":
            leave_out(carried, each)
