"""From the settings to the few values that each component takes; made anew by a reload."""

import time
from collections.abc import Callable, Mapping

from splice import __version__
from splice.access import Access, AddressRules, HookCalls, Hooks, SecureLink, Signatures, SignKey, StreamKeys
from splice.answers import CorsPolicy
from splice.config import OriginSettings, Settings
from splice.egress import Egress
from splice.gateway import Gateway
from splice.health import OriginHealth
from splice.hub import HubLimits
from splice.hub.forward import ForwardRule
from splice.hub.pull import PullTimeouts
from splice.proxies import TrustedProxies
from splice.pump import Pump
from splice.reception import DoorRules
from splice.routing import Router
from splice.rtmp_door import RtmpRules
from splice.spliced_tracks import SplicedTracks

__all__ = ["USER_AGENT", "access_rules", "door_rules", "forward_rules", "hub_limits", "pull_timeouts", "rtmp_rules"]

USER_AGENT = f"splice/{__version__}"


def access_rules(settings: Settings, calls: HookCalls, *, clock: Callable[[], float] = time.time) -> Access:
    """Who may publish and play, at both doors; `clock` tells the seconds since 1970."""
    play, hooks = settings.play, settings.hooks
    sign_keys = {
        kid: SignKey(key.secret.get_secret_value().encode(), key.address) for kid, key in play.sign_keys.items()
    }
    expression = play.secure_link.get_secret_value()
    return Access(
        viewers=AddressRules(allow=play.allow or None, deny=play.deny),
        publishers=AddressRules(allow=settings.publish.allow),
        keys=StreamKeys({name: key.get_secret_value() for name, key in settings.publish.keys.items()}),
        signatures=Signatures(sign_keys, clock=clock) if sign_keys else None,
        secure_link=SecureLink(expression, clock=clock) if expression else None,
        sign_forward=play.sign_forward,
        hooks=Hooks(
            urls={
                "publish": hooks.on_publish,
                "publish_done": hooks.on_publish_done,
                "play": hooks.on_play,
                "play_done": hooks.on_play_done,
            },
            timeout_s=hooks.timeout_s,
            allow_on_failure=hooks.on_failure == "allow",
        ),
        calls=calls,
    )


def door_rules(
    settings: Settings,
    origins: Mapping[str, OriginSettings],
    *,
    access: Access,
    pump: Pump,
    health: OriginHealth,
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
        access=access,
        gateway=Gateway(
            pump=pump,
            health=health,
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


def rtmp_rules(settings: Settings, access: Access) -> RtmpRules:
    """What RTMP connections are judged and served by."""
    timeouts = settings.timeouts
    return RtmpRules(
        access=access,
        head_s=timeouts.head_s,
        publish_idle_s=timeouts.publish_idle_s,
        stall_s=timeouts.stall_s,
        pending=settings.limits.rtmp_pending,
    )


def hub_limits(settings: Settings) -> HubLimits:
    """What live streams are run by; those that run already keep what they began with."""
    hub = settings.hub
    return HubLimits(
        merge_s=hub.merge_ms / 1000,
        gop_cache_bytes=hub.gop_cache_bytes,
        gop_cache_s=hub.gop_cache_s,
        backlog_bytes=hub.backlog_bytes,
        backlog_s=hub.backlog_s,
        tracks_wait_s=hub.tracks_wait_ms / 1000,
        republish_grace_s=hub.republish_grace_s,
    )


def pull_timeouts(settings: Settings) -> PullTimeouts:
    """How long pulls wait, from the next one on."""
    timeouts = settings.timeouts
    return PullTimeouts(
        connect_s=timeouts.connect_s,
        origin_head_s=timeouts.origin_head_s,
        first_tag_s=timeouts.first_tag_s,
        stall_s=timeouts.stall_s,
        idle_stop_s=settings.hub.idle_stop_s,
    )


def forward_rules(settings: Settings) -> tuple[ForwardRule, ...]:
    """Where streams go that begin from now on."""
    return tuple(ForwardRule(rule.streams, rule.to) for rule in settings.forward)
