"""What there is to set: every key with its default, its unit and its rule. A key that is not here is an error."""

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from splice.config.addresses import ListenAddress
from splice.config.applications import AppSettings, HooksSettings, HubSettings, PlaySettings, PublishSettings
from splice.config.forward_url import parse_forward_url
from splice.config.tables import (
    NEEDS_RESTART,
    AdminSettings,
    ForwardSettings,
    Limits,
    OriginSettings,
    Table,
    Timeouts,
    TlsSettings,
)
from splice.config.values import (
    ListenAddresses,
    ListenAddressOrNone,
    LivePaths,
    MediaListeners,
    Networks,
    OriginName,
    WebOrigins,
    WrongBesideOthersError,
)

__all__ = ["Settings"]


class Settings(Table):
    """The whole configuration."""

    listen: Annotated[
        ListenAddresses,
        Field(
            min_length=1,
            description="[HOST:]PORT where viewers come; no HOST: all addresses. Without a file, say it by --listen",
            json_schema_extra=NEEDS_RESTART,
        ),
    ] = ("18090",)
    rtmp_listen: Annotated[
        ListenAddresses,
        Field(
            description="[HOST:]PORT for RTMP publishers and players; none: off",
            examples=["1935"],
            json_schema_extra=NEEDS_RESTART,
        ),
    ] = ()
    admin_listen: Annotated[
        ListenAddressOrNone,
        Field(
            description="[HOST:]PORT of API and metrics; no HOST: loopback only; empty: off",
            examples=["18091"],
            json_schema_extra=NEEDS_RESTART,
        ),
    ] = ""
    reuse_port: Annotated[
        bool,
        Field(
            description="whether another door may listen beside this one on the same ports, so that it can take over",
            json_schema_extra=NEEDS_RESTART,
        ),
    ] = False
    live_path: Annotated[
        LivePaths,
        Field(min_length=1, description="the path of /live?src=..., or a list of paths"),
    ] = ("/live",)
    cors_origins: Annotated[
        WebOrigins,
        Field(description='whose pages may read the streams; "*": everyone\'s'),
    ] = ("*",)
    trusted_proxies: Annotated[
        Networks, Field(description="networks of proxies whose X-Forwarded-For and PROXY header are believed")
    ] = ()
    proxy_protocol: Annotated[
        MediaListeners,
        Field(
            description="where each connection from trusted_proxies begins with a PROXY header, version 1 or 2; true: "
            "on all; who comes from another address sends none"
        ),
    ] = ()
    origins: dict[OriginName, OriginSettings] = Field(
        default_factory=dict, description="viewers ask for it by its name: src=NAME"
    )
    default_origin: Annotated[
        str, Field(description="asked for a request without src, when the hub does not have the stream")
    ] = ""
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    hub: HubSettings = HubSettings()
    publish: PublishSettings = PublishSettings()
    play: PlaySettings = PlaySettings()
    hooks: HooksSettings = HooksSettings()
    admin: AdminSettings = AdminSettings()
    tls: TlsSettings = TlsSettings()
    forward: Annotated[
        tuple[ForwardSettings, ...],
        Field(description="every stream that is published here, or pulled, goes to all the forwards that it fits"),
    ] = ()
    apps: dict[OriginName, AppSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _forwards_lead_away(self) -> Self:
        for rule in self.forward:
            if self.is_this_door(rule.to):
                raise WrongBesideOthersError(
                    "forward", f"{rule.shown} is this door itself: the stream would go in a circle; name another server"
                )
        return self

    def is_this_door(self, url: str) -> bool:
        """Whether a forward's URL leads back here, as far as its host says so by itself."""
        to = parse_forward_url(url)
        listening = self.rtmp_listen if to.scheme == "rtmp" else self.tls.rtmps_listen
        return any(ListenAddress.parse(address).answers_to(to.host, to.port) for address in listening)

    @model_validator(mode="after")
    def _default_origin_exists(self) -> Self:
        if self.default_origin and self.default_origin not in self.origins:
            raise WrongBesideOthersError("default_origin", f"there is no origin {self.default_origin!r}")
        return self

    @model_validator(mode="after")
    def _somebody_may_send_headers(self) -> Self:
        if self.proxy_protocol and not self.trusted_proxies:
            raise WrongBesideOthersError(
                "proxy_protocol", "a PROXY header is taken from trusted_proxies alone, and there are none: name them"
            )
        return self

    @model_validator(mode="after")
    def _admin_is_safe(self) -> Self:
        if self.admin_listen and not ListenAddress.parse(self.admin_listen).is_loopback and not self.admin.secret:
            raise WrongBesideOthersError(
                "admin_listen",
                f"others can reach {self.admin_listen}, so it needs a secret: set [admin] token, or token_file",
            )
        return self

    @model_validator(mode="after")
    def _keys_are_of_their_app(self) -> Self:
        for app, settings in self.apps.items():
            for name in settings.publish.keys:
                if name.partition("/")[0] != app:
                    raise WrongBesideOthersError(
                        ("apps", app, "publish", "keys", name),
                        f"is of another application, and never asked for: {app}/...",
                    )
        return self

    def for_app(self, name: str) -> AppSettings:
        """What is in force for the application of this name: its own keys, and for the rest those of all."""
        return self.apps_in_force.get(name, self.for_other_apps)

    @cached_property
    def apps_in_force(self) -> dict[str, AppSettings]:
        """By name, of those that have settings of their own."""
        return {name: app.over(self.for_other_apps) for name, app in self.apps.items()}

    @cached_property
    def for_other_apps(self) -> AppSettings:
        """What is in force for those that have none."""
        return AppSettings(hub=self.hub, publish=self.publish, play=self.play, hooks=self.hooks)

    def waiting_for_restart(self, started_with: "Settings") -> list[str]:
        """The keys, dotted, that are otherwise here than in `started_with`, and that a reload does not apply."""
        return [".".join(path) for path, changed in _kept_from_start(self, started_with, ()) if changed]


def _kept_from_start(new: BaseModel, old: BaseModel, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Each key that needs a restart, and whether it has changed."""
    for name, field in type(new).model_fields.items():
        ours, theirs = getattr(new, name), getattr(old, name)
        if field.json_schema_extra == NEEDS_RESTART:
            yield (*above, name), ours != theirs
        elif isinstance(ours, BaseModel):
            yield from _kept_from_start(ours, theirs, (*above, name))
