"""The `rtmp {}` block: listeners, applications, and what of them has a key here.

What stands outside of an application is for all of them, and so it is here; an application's own goes to
`[apps.NAME]`. As in nginx, any application may be named that has no table: the door takes all.
"""

import re
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final

from protocol import LocalProtocolError
from protocol.rtmp import RtmpUrl, parse_url
from splice.tools.nginx_import.access import EVERYONE, as_keys, rules_for
from splice.tools.nginx_import.carried import Carried
from splice.tools.nginx_import.reader import Directive
from splice.tools.nginx_import.reasons import HERE_ANYWAY, NOT_HERE, NOT_HERE_BY_PREFIX
from splice.tools.nginx_import.units import seconds

__all__ = ["RTMP_DIRECTIVES", "carry_listen_options", "carry_rtmp", "carry_rules", "leave_out", "listen_address"]

_NAMED: Final = 3  # of the applications that a note is about
_APPLICATION: Final = re.compile(r"[A-Za-z0-9._~@-]{1,128}")

Carry = Callable[[Carried, str, Directive], None]
"""Carries a directive over; the text is the application's name, empty outside of one."""


def carry_rtmp(carried: Carried, rtmp: Directive) -> list[str]:
    """Carry an `rtmp {}` block over; the applications that it names."""
    applications: list[str] = []
    access: dict[str, list[Directive]] = {}
    for each in rtmp.block or ():
        if each.name != "server":
            _carry(carried, "", each)
    for server in rtmp.all("server"):  # all listeners first: whether a push is to one of them has to be known
        for each in server.block or ():
            if each.name != "application":
                _carry(carried, "", each)
    for server in rtmp.all("server"):
        for application in server.all("application"):
            name = application.args[0] if application.args else ""
            if not _APPLICATION.fullmatch(name) or name in (".", ".."):
                carried.leave(application, "a name has 1 to 128 letters, digits and . _ ~ - @ here")
                continue
            applications.append(name)
            access[name] = [each for each in application.block or () if each.name in ("allow", "deny")]
            for each in application.block or ():
                _carry(carried, name, each)
    _note_default_origin(carried, applications)
    around = chain(*(server.block or () for server in rtmp.all("server")), rtmp.block or ())
    outer = [each for each in around if each.name in ("allow", "deny")]
    _carry_access(carried, outer, access)
    return applications


def _note_default_origin(carried: Carried, applications: Iterable[str]) -> None:
    """nginx pulls for one application; here default_origin is asked for what is missing in any of them."""
    others = [each for each in dict.fromkeys(applications) if each not in carried.pulled]
    if not carried.pulled or "" in carried.pulled or not others:
        return
    named = ", ".join(others[:_NAMED]) + (" and others" if len(others) > _NAMED else "")
    origin = carried.settings["default_origin"]
    carried.leave(
        next(iter(carried.pulled.values())),
        f"default_origin answers for every application here, so for {named} too; "
        f"if it has to be for one alone, take default_origin out and ask by ?src={origin}",
    )


def leave_out(carried: Carried, directive: Directive) -> None:
    """Leave a directive out, without a word where the door does anyway what it says."""
    name, value = directive.name, directive.args[:1]
    if name in HERE_ANYWAY and HERE_ANYWAY[name] in (None, *value):
        return
    prefix = next((each for each in NOT_HERE_BY_PREFIX if name.startswith(each)), "")
    carried.leave(directive, NOT_HERE.get(name) or NOT_HERE_BY_PREFIX.get(prefix) or "there is no such thing here")


def listen_address(directive: Directive) -> str | None:
    """What `listen` names, as `[HOST:]PORT`; None where it is no TCP port."""
    text = directive.args[0] if directive.args else ""
    host, _, port = text.rpartition(":")
    if text.startswith("unix:") or not port.isdigit():
        return None
    return port if host in ("", "*", "0.0.0.0", "[::]") else text  # noqa: S104 -- read, not bound


def carry_listen_options(carried: Carried, directive: Directive, kind: str) -> None:
    """Carry over what stands behind the address of `listen`; `kind` is the listener's name in `proxy_protocol`."""
    if "proxy_protocol" in directive.args:
        carried.add("proxy_protocol", kind)
        for loopback in ("127.0.0.0/8", "::1/128"):
            carried.add("trusted_proxies", loopback)
        carried.leave(directive, "add the proxies' networks to trusted_proxies: their headers alone are believed here")
    if "reuseport" in directive.args:
        carried.set(directive, "reuse_port", True)


def _carry(carried: Carried, app: str, directive: Directive) -> None:
    carry = RTMP_DIRECTIVES.get(directive.name)
    if carry is None:
        leave_out(carried, directive)
        return
    try:
        carry(carried, app, directive)
    except (ValueError, IndexError):
        carried.leave(directive, "its value cannot be read")


def _carry_access(carried: Carried, outer: list[Directive], own: dict[str, list[Directive]]) -> None:
    """Who may publish and play. An application's own rules come before those around it, as in nginx."""
    publishing = {app: rules_for("publish", rules) for app, rules in own.items()}
    if rules_for("publish", outer) or not any(publishing.values()):
        carry_rules(carried, "publish", rules_for("publish", outer), outer)
        publishing = {app: rules for app, rules in publishing.items() if rules}
    # Else nginx lets everyone publish to the applications without rules, and to no others; here the others stay with
    # what the door does by itself, which is to take publishers from its own machine.
    for app, rules in publishing.items():
        carry_rules(carried, f"apps.{app}.publish", rules + rules_for("publish", outer), own[app])
    if rules := rules_for("play", outer):
        carry_rules(carried, "play", rules, outer)
    for app, directives in own.items():
        if rules := rules_for("play", directives):
            carry_rules(carried, f"apps.{app}.play", rules + rules_for("play", outer), directives)


def carry_rules(carried: Carried, table: str, rules: list[tuple[bool, str]], directives: Iterable[Directive]) -> None:
    """Carry rules over into a table's `allow` and `deny`; what cannot be read lets nobody in."""
    try:
        keys = as_keys(rules)
    except ValueError as error:
        for each in directives:
            carried.leave(each, f"{error}: so nobody is let in there until you say who")
        keys = {"allow": [], "deny": EVERYONE}
    if table.endswith("play"):  # where an empty list stands for everyone
        keys = {
            "allow": [] if keys["allow"] == EVERYONE else keys["allow"],
            "deny": keys["deny"] if keys["allow"] else EVERYONE,
        }
    for name, networks in keys.items():
        if networks or (name == "allow" and not table.endswith("play")):
            carried.add_all(f"{table}.{name}", networks)


# --- one function for each directive that has a key here, or for several that are alike ---


def _listen(carried: Carried, app: str, directive: Directive) -> None:
    address = listen_address(directive)
    if address is None:
        carried.leave(directive, "the door listens on TCP ports")
        return
    carried.add("rtmp_listen", address)
    carry_listen_options(carried, directive, "rtmp")


def _access(carried: Carried, app: str, directive: Directive) -> None:
    """Nothing: rules are carried over all together, since their order counts."""


def _push(carried: Carried, app: str, directive: Directive) -> None:
    url, options = _relay(directive)
    *_, path = url.partition("://")
    authority, _, rest = path.partition("/")
    if _is_of_this_server(carried, authority):
        carried.leave(directive, "that is this door itself, where a stream has one name: ask for it by that")
        return
    authority = _without_user(carried, directive, authority)
    application, _, name = rest.partition("/")
    name = options.get("name") or options.get("playPath") or name
    to = f"{url.split('://')[0]}://{authority}/{options.get('app') or application or '{app}'}"
    carried.add("forward", {"streams": f"{app or '*'}/*", "to": f"{to}/{name}" if name else to})


def _without_user(carried: Carried, directive: Directive, authority: str) -> str:
    user, at, server = authority.rpartition("@")
    if at:
        carried.leave(
            directive, f"without {user.partition(':')[0]} and its password, which RTMP has no common way to send"
        )
    return server


def _is_of_this_server(carried: Carried, authority: str) -> bool:
    server = _url(f"rtmp://{authority}/x")
    ours = [address.rpartition(":")[2] for address in carried.settings.get("rtmp_listen", [])]
    return str(server.port) in ours and (server.host in ("localhost", "::1") or server.host.startswith("127."))


def _pull(carried: Carried, app: str, directive: Directive) -> None:
    url, options = _relay(directive)
    _without_user(carried, directive, url.partition("://")[2].partition("/")[0])
    names_app = url.count("/") > 2
    parsed = _url(url if names_app else f"{url}/{app}")
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    there = options.get("app") or (parsed.app if names_app else app)
    target = f"/{there}/{parsed.stream or '{stream}'}"
    origin = carried.origin(
        [f"{parsed.scheme}://{host}:{parsed.port}"], "" if target == f"/{app}/{{stream}}" else target
    )
    name = options.get("name") or parsed.stream
    if "static" in options and name:
        carried.add(f"origins.{origin}.keep", f"{app}/{name}")
    elif parsed.stream:
        carried.leave(directive, f"add keep to [origins.{origin}] to pull it always, or ask for it by ?src={origin}")
    if parsed.stream:  # one stream alone: as the default_origin it would be shown in the place of any that is missing
        return
    if carried.settings.setdefault("default_origin", origin) != origin:
        carried.leave(directive, f"another origin is the default_origin: ask for this one by ?src={origin}")
        return
    carried.pulled.setdefault(app, directive)


def _url(text: str) -> RtmpUrl:
    try:
        return parse_url(text)
    except LocalProtocolError:
        raise ValueError(text) from None


def _relay(directive: Directive) -> tuple[str, dict[str, str]]:
    url, *words = directive.args
    if "://" not in url:
        url = f"rtmp://{url}"
    options = {name: value for name, _, value in (word.partition("=") for word in words)}
    return url.rstrip("/"), options


def _hook(carried: Carried, app: str, directive: Directive) -> None:
    carried.set(directive, _of(app, f"hooks.{directive.name}"), _hook_url(directive))


def _done(carried: Carried, app: str, directive: Directive) -> None:
    for name in ("on_publish_done", "on_play_done"):
        carried.set(directive, _of(app, f"hooks.{name}"), _hook_url(directive))


def _hook_url(directive: Directive) -> str:
    return directive.args[0] if "://" in directive.args[0] else f"http://{directive.args[0]}"


def _hook_seconds(key: str) -> Carry:
    def carry(carried: Carried, app: str, directive: Directive) -> None:
        carried.set(directive, _of(app, f"hooks.{key}"), seconds(" ".join(directive.args)))

    return carry


def _seconds(key: str) -> Carry:
    def carry(carried: Carried, app: str, directive: Directive) -> None:
        carried.set(directive, key, seconds(" ".join(directive.args)))

    return carry


def _gop_cache(carried: Carried, app: str, directive: Directive) -> None:
    if directive.args[0] == "off":
        carried.set(directive, _of(app, "hub.gop_cache_s"), 0.0)


def _max_connections(carried: Carried, app: str, directive: Directive) -> None:
    for name in ("viewers", "publishers"):
        carried.set(directive, _of(app, f"limits.{name}"), int(directive.args[0]))


def _of(app: str, key: str) -> str:
    return f"apps.{app}.{key}" if app else key


RTMP_DIRECTIVES: Final[dict[str, Carry]] = {
    "listen": _listen,
    "allow": _access,
    "deny": _access,
    "push": _push,
    "pull": _pull,
    "on_publish": _hook,
    "on_play": _hook,
    "on_publish_done": _hook,
    "on_play_done": _hook,
    "on_update": _hook,
    "on_done": _done,
    "notify_update_timeout": _hook_seconds("update_s"),
    "netcall_timeout": _hook_seconds("timeout_s"),
    "drop_idle_publisher": _seconds("timeouts.publish_idle_s"),
    "timeout": _seconds("timeouts.stall_s"),
    "send_timeout": _seconds("timeouts.stall_s"),
    "gop_cache": _gop_cache,
    "max_connections": _max_connections,
}
"""The directives of an `rtmp {}` block that have a key here."""
