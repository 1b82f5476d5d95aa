"""From the settings to the few values that each component takes; made anew by a reload."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from protocol.rtmp import DEFAULT_PORTS, parse_url
from splice import __version__
from splice.access import (
    Access,
    AddressRules,
    HookCalls,
    Hooks,
    Redirects,
    SecureLink,
    Server,
    Signatures,
    SignKey,
    StreamKeys,
)
from splice.answers import CorsPolicy
from splice.app_rules import AppRules, RulesOf
from splice.config import HooksSettings, OriginSettings, Settings
from splice.egress import Egress
from splice.gateway import Gateway
from splice.health import OriginHealth
from splice.hub import HubLimits, Tracks
from splice.hub.forward import ForwardRule, ForwardTimeouts
from splice.hub.pull import PullTimeouts
from splice.proxies import TrustedProxies
from splice.proxy_receiver import ProxyRules
from splice.pump import Pump
from splice.reception import DoorRules
from splice.routing import Origin, Router
from splice.rtmp_door import RtmpRules
from splice.spliced_tracks import SplicedTracks
from splice.stats import AppLimits
from splice.whereabouts import Whereabouts

__all__ = [
    "USER_AGENT",
    "access_rules",
    "app_limits",
    "app_rules",
    "door_rules",
    "forward_rules",
    "forward_timeouts",
    "hub_limits",
    "kept_streams",
    "proxy_rules",
    "pull_timeouts",
    "relayed_origins",
    "rtmp_rules",
]

USER_AGENT = f"splice/{__version__}"

_RTMP_PORT: Final = DEFAULT_PORTS["rtmp"]


def app_rules(settings: Settings, calls: HookCalls) -> RulesOf:
    """What is in force for each application; all that have no settings of their own share one."""

    def rules_of(app: str) -> AppRules:
        chosen = settings.for_app(app)
        return AppRules(access_rules(settings, calls, app=app), Tracks(chosen.tracks), chosen.chunked)

    others = rules_of("")
    own = {app: rules_of(app) for app in settings.apps}
    return lambda app: own.get(app, others)


def access_rules(
    settings: Settings, calls: HookCalls, *, app: str = "", clock: Callable[[], float] = time.time
) -> Access:
    """Who may publish and play, at both doors.

    Args:
        app: for streams of this application; empty: of those without settings of their own.
        clock: tells the seconds since 1970.
    """
    chosen = settings.for_app(app)
    publish, play = chosen.publish, chosen.play
    sign_keys = {
        kid: SignKey(key.secret.get_secret_value().encode(), key.address) for kid, key in play.sign_keys.items()
    }
    expression = play.secure_link.get_secret_value()
    return Access(
        viewers=AddressRules(allow=play.allow or None, deny=play.deny),
        publishers=AddressRules(allow=publish.allow, deny=publish.deny),
        keys=StreamKeys({name: key.get_secret_value() for name, key in publish.keys.items()}),
        signatures=Signatures(sign_keys, clock=clock) if sign_keys else None,
        secure_link=SecureLink(expression, clock=clock) if expression else None,
        sign_forward=play.sign_forward,
        hooks=_hooks(chosen.hooks),
        redirects=_redirects(settings),
        calls=calls,
    )


def _hooks(settings: HooksSettings) -> Hooks:
    return Hooks(
        urls={
            "publish": settings.on_publish,
            "publish_done": settings.on_publish_done,
            "play": settings.on_play,
            "play_done": settings.on_play_done,
            "update": settings.on_update,
            "demand": settings.on_demand,
            "idle": settings.on_idle,
        },
        timeout_s=settings.timeout_s,
        allow_on_failure=settings.on_failure == "allow",
        update_s=settings.update_s,
    )


def _redirects(settings: Settings) -> Redirects:
    """Where callbacks may send somebody: the origins, by the ports where they speak RTMP, and the forwards' targets."""
    origins: dict[Server, str] = {}
    for name, origin in settings.origins.items():
        for address in origin.addresses:
            if address.scheme.startswith("rtmp"):
                origins[address.scheme, address.host, address.port] = name
                continue
            for port in origin.ports or (_RTMP_PORT,):  # which is what ?port= means to an HTTP-FLV origin
                origins.setdefault(("rtmp", address.host, port), name)
    targets = [parse_url(rule.to) for rule in settings.forward]
    return Redirects(origins=origins, targets=[(url.scheme, url.host, url.port) for url in targets])


def door_rules(
    settings: Settings,
    origins: Mapping[str, OriginSettings],
    *,
    of_app: RulesOf,
    pump: Pump,
    health: OriginHealth,
    whereabouts: Whereabouts,
    tracks: SplicedTracks,
    demo: bool,
) -> DoorRules:
    """What HTTP requests are judged and served by.

    Args:
        origins: the configured ones, and the demo's where it runs.
    """
    timeouts = settings.timeouts
    return DoorRules(
        router=Router(live_paths=settings.live_path, origins=origins, default_origin=settings.default_origin),
        of_app=of_app,
        gateway=Gateway(
            pump=pump,
            health=health,
            whereabouts=whereabouts,
            tracks=tracks,
            user_agent=USER_AGENT.encode(),
            connect_s=timeouts.connect_s,
            origin_head_s=timeouts.origin_head_s,
            stall_s=timeouts.stall_s,
        ),
        egress=Egress(stall_s=timeouts.stall_s),
        cors=CorsPolicy(settings.cors_origins),
        proxies=TrustedProxies(settings.trusted_proxies),
        head_s=timeouts.head_s,
        live_path=settings.live_path[0],
        demo=demo,
    )


def proxy_rules(settings: Settings) -> ProxyRules:
    """Which connections begin with a PROXY header."""
    proxies = TrustedProxies(settings.trusted_proxies)
    return ProxyRules(frozenset(settings.proxy_protocol), proxies, settings.timeouts.head_s)


def rtmp_rules(settings: Settings, of_app: RulesOf, router: Router) -> RtmpRules:
    """What RTMP connections are judged and served by."""
    timeouts = settings.timeouts
    return RtmpRules(
        router=router,
        of_app=of_app,
        head_s=timeouts.head_s,
        publish_idle_s=timeouts.publish_idle_s,
        stall_s=timeouts.stall_s,
        pending=settings.limits.rtmp_pending,
    )


def app_limits(settings: Settings, app: str) -> AppLimits:
    """How many viewers and publishers an application may have, besides the limits of all."""
    limits = settings.for_app(app).limits
    return AppLimits(
        viewers=limits.viewers,
        viewers_per_address=limits.viewers_per_address,
        viewers_per_stream=limits.viewers_per_stream,
        publishers=limits.publishers,
    )


def hub_limits(settings: Settings, app: str) -> HubLimits:
    """What an application's live streams are run by; those that run already keep what they began with."""
    hub = settings.for_app(app).hub
    return HubLimits(
        merge_s=hub.merge_ms / 1000,
        gop_cache_bytes=hub.gop_cache_bytes,
        gop_cache_s=hub.gop_cache_s,
        backlog_bytes=hub.backlog_bytes,
        backlog_s=hub.backlog_s,
        tracks_wait_s=hub.tracks_wait_ms / 1000,
        republish_grace_s=hub.republish_grace_s,
    )


def pull_timeouts(settings: Settings, app: str) -> PullTimeouts:
    """How long pulls of an application's streams wait, from the next one on."""
    timeouts = settings.timeouts
    return PullTimeouts(
        connect_s=timeouts.connect_s,
        origin_head_s=timeouts.origin_head_s,
        first_tag_s=timeouts.first_tag_s,
        stall_s=timeouts.stall_s,
        idle_stop_s=settings.for_app(app).hub.idle_stop_s,
    )


def relayed_origins(settings: Settings) -> dict[str, Origin]:
    """The origins whose streams can be pulled without viewers, by name."""
    return {name: Origin.from_settings(name, origin) for name, origin in settings.origins.items() if origin.relayed}


def kept_streams(settings: Settings) -> frozenset[tuple[str, str, str]]:
    """What is pulled without viewers: an origin's name, app and stream."""
    streams = [(name, *stream.partition("/")) for name, origin in settings.origins.items() for stream in origin.keep]
    return frozenset((name, app, stream) for name, app, _, stream in streams)


def forward_rules(settings: Settings) -> tuple[ForwardRule, ...]:
    """Which streams are sent on, and where to."""
    return tuple(ForwardRule(rule.streams, rule.to) for rule in settings.forward)


def forward_timeouts(settings: Settings) -> ForwardTimeouts:
    """How long forwards wait for their targets, from the next connection on."""
    timeouts = settings.timeouts
    return ForwardTimeouts(connect_s=timeouts.connect_s, start_s=timeouts.head_s, stall_s=timeouts.stall_s)
