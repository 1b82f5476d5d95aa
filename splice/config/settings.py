"""What there is to set: every key with its default, its unit and its rule. A key that is not here is an error."""

import ssl
from collections.abc import Iterator
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from splice.config.addresses import ListenAddress, OriginAddress
from splice.config.forward_url import keyless, parse_forward_url
from splice.config.targets import check_rtmp_target
from splice.config.values import (
    ByteCount,
    Count,
    ForwardUrl,
    HookUrl,
    HostNames,
    ListenAddresses,
    ListenAddressOrNone,
    LivePaths,
    MediaListeners,
    Network,
    Networks,
    OriginName,
    OriginUrl,
    OriginUrls,
    Ports,
    RequiredSecret,
    Seconds,
    SecondsOrNone,
    Secret,
    SecretFile,
    SecureLinkExpression,
    StreamNames,
    StreamsName,
    Target,
    WebOrigins,
    WrongBesideOthersError,
    check_certificate,
    read_secret,
    trusting_authority,
)
from splice.trust import client_context

__all__ = [
    "NEEDS_RESTART",
    "OVERRIDES",
    "AdminSettings",
    "AppLimitsSettings",
    "AppSettings",
    "ForwardSettings",
    "HooksSettings",
    "HubSettings",
    "Limits",
    "Network",
    "OriginSettings",
    "PlaySettings",
    "PublishSettings",
    "Settings",
    "SignKeySettings",
    "Timeouts",
    "TlsSettings",
]


_TLS_FLAGS: Final = "--tls-cert FILE --tls-key FILE, or [tls] cert and key"

_Table = TypeVar("_Table", bound=BaseModel)

NEEDS_RESTART: Final[dict[str, Any]] = {"needs_restart": True}
"""Of a key that a reload does not apply, as its field's `json_schema_extra`."""


OVERRIDES: Final[dict[str, Any]] = {"overrides": True}
"""Of a table of an application's whose keys are those of the door's table of the same name."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OriginSettings(_Frozen):
    """A server that the door dials; its name is resolved anew each time."""

    url: Annotated[
        OriginUrl,
        Field(
            description="http://host[:port], or rtmp://host[:port]; by TLS https:// and rtmps://. What stands behind "
            "the port is this URL's own target; user:password@ goes to http:// and https:// as Basic authorization",
            examples=["http://10.0.0.8:8080"],
        ),
    ] = ""
    urls: Annotated[
        OriginUrls,
        Field(description="several addresses in place of url, tried in turn; who had a stream is asked first"),
    ] = ()
    mode: Annotated[
        Literal["splice", "relay"],
        Field(
            description="splice: a connection for each viewer; relay: one pull, shared by all; rtmp://, rtmps:// and "
            "https:// are always relayed"
        ),
    ] = "splice"
    target: Annotated[
        Target,
        Field(
            description="what the origin is asked for, such as /{app}/{stream}.flv; constants and queries may stand in "
            "it, and of rtmp it is /app/stream; empty: the viewer's own request-target, byte for byte, or of a relay "
            "/live?app=...&stream=..., or the app and stream themselves by rtmp"
        ),
    ] = ""
    keep: Annotated[
        StreamNames,
        Field(description="APP/STREAM, or a list of them: what a relay pulls without viewers, and again and again"),
    ] = ()
    ports: Annotated[Ports, Field(description="values of port= that are let through; empty: any")] = ()
    tls_ca: Annotated[
        str,
        Field(
            description="a PEM file: the authority, or a certificate that signs itself, that https:// and rtmps:// are "
            "verified by; empty: the system's"
        ),
    ] = ""
    tls_verify: Annotated[
        bool,
        Field(description="false: take any certificate, for any name; then anybody in between can read and change"),
    ] = True

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if bool(self.url) == bool(self.urls):
            raise ValueError('an origin has either url = "http://host[:port]" or urls = ["...", "..."]')
        if len({address.by_rtmp for address in self.addresses}) > 1:
            raise ValueError("an origin's urls are all http:// or https://, or all rtmp:// or rtmps://")
        if self.target and self.addresses[0].by_rtmp:
            try:
                check_rtmp_target(self.target)
            except ValueError as error:
                raise WrongBesideOthersError("target", str(error)) from None
        return self

    @model_validator(mode="after")
    def _keeps_what_it_relays(self) -> Self:
        if self.keep and not self.relayed:
            raise WrongBesideOthersError(
                "keep", 'only a relay pulls without viewers: add mode = "relay", or leave keep out'
            )
        return self

    @model_validator(mode="after")
    def _trusts_by_tls_alone(self) -> Self:
        for key, given in (("tls_ca", bool(self.tls_ca)), ("tls_verify", not self.tls_verify)):
            if given and not any(address.by_tls for address in self.addresses):
                raise WrongBesideOthersError(key, "is for https:// and rtmps:// origins, and this one has no such url")
        if self.tls_ca and not self.tls_verify:
            raise WrongBesideOthersError(
                "tls_ca", "verifies nothing beside tls_verify = false; take one of the two away"
            )
        _ = self.tls_context
        return self

    @cached_property
    def addresses(self) -> tuple[OriginAddress, ...]:
        """Where to dial, in the order in which to try."""
        return tuple(OriginAddress.parse(url) for url in self.urls or (self.url,))

    @cached_property
    def tls_context(self) -> ssl.SSLContext | None:
        """Whom to trust; None: it has no address with TLS."""
        if not any(address.by_tls for address in self.addresses):
            return None
        return trusting_authority(self.tls_ca) if self.tls_ca else client_context(verify=self.tls_verify)

    @property
    def relayed(self) -> bool:
        """Whether its streams are pulled once and shared: TLS cannot be spliced, and RTMP is no answer to HTTP."""
        return self.mode == "relay" or any(address.scheme != "http" for address in self.addresses)


class Limits(_Frozen):
    """How many at a time; 0 where it says so is no limit."""

    viewers: Annotated[Count, Field(ge=1, description="viewers in all")] = 10000
    viewers_per_address: Annotated[Count, Field(ge=0, description="viewers of one address; 0: no limit of its own")] = 0
    viewers_per_stream: Annotated[Count, Field(ge=0, description="viewers of one stream; 0: no limit of its own")] = 0
    publishers: Annotated[Count, Field(ge=1, description="RTMP publishers in all")] = 1000
    rtmp_pending: Annotated[
        Count, Field(ge=1, description="RTMP connections that neither publish nor play yet, in all")
    ] = 1000


class Timeouts(_Frozen):
    """How long a phase may take, in seconds; each is for its whole phase, not for a byte."""

    head_s: Annotated[
        Seconds, Field(description="until a request's head is whole, or an RTMP client publishes or plays")
    ] = 10.0
    connect_s: Annotated[Seconds, Field(description="until one address of an origin has accepted")] = 5.0
    origin_head_s: Annotated[Seconds, Field(description="until an origin's response head is whole")] = 10.0
    stall_s: Annotated[Seconds, Field(description="how long an origin may send nothing, or a viewer take nothing")] = (
        30.0
    )
    first_tag_s: Annotated[
        Seconds, Field(description="until a relay's origin has sent its first tag; then its next url is tried")
    ] = 5.0
    publish_idle_s: Annotated[Seconds, Field(description="how long a publisher may send no media")] = 30.0
    drain_s: Annotated[SecondsOrNone, Field(description="how long viewers may go on after SIGTERM or Ctrl-C")] = 5.0


class HubSettings(_Frozen):
    """How live streams are held and sent on."""

    merge_ms: Annotated[
        Count,
        Field(
            ge=0,
            le=1000,
            description="packets of so long a time go out together, which costs latency and saves CPU; 0: each at once",
        ),
    ] = 20
    gop_cache_bytes: Annotated[
        ByteCount, Field(ge=0, description="the cache for those who join, from the newest keyframe on: bytes")
    ] = 8388608
    gop_cache_s: Annotated[SecondsOrNone, Field(description="the cache for those who join: seconds; 0: no cache")] = (
        30.0
    )
    backlog_bytes: Annotated[
        ByteCount,
        Field(ge=65536, description="what may wait for one viewer: bytes; who passes it goes on at the next keyframe"),
    ] = 4194304
    backlog_s: Annotated[
        Seconds, Field(description="what may wait for one viewer: the age of the oldest, so latency has a bound")
    ] = 3.0
    tracks_wait_ms: Annotated[
        Count,
        Field(ge=0, le=60000, description="how long a second track is waited for before the first viewer's header"),
    ] = 500
    republish_grace_s: Annotated[
        SecondsOrNone, Field(description="how long a stream and its viewers stay when its publisher has gone")
    ] = 10.0
    takeover_s: Annotated[
        SecondsOrNone, Field(description="after so much silence a publisher loses its name to another")
    ] = 5.0
    idle_stop_s: Annotated[SecondsOrNone, Field(description="how long a pull goes on without viewers")] = 10.0
    wait_for_stream_s: Annotated[
        SecondsOrNone, Field(description="how long a viewer waits for a stream that is not here yet")
    ] = 0.0


class PublishSettings(_Frozen):
    """Who may publish: those of an allowed address, and where the stream has a key, who of them names it."""

    allow: Annotated[Networks, Field(description="networks of those who may publish; empty: nobody")] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )
    deny: Annotated[Networks, Field(description="networks of those who may not publish; wins over allow")] = ()
    keys: Annotated[
        dict[StreamsName, RequiredSecret],
        Field(
            description="stream keys: APP/STREAM = KEY is published to rtmp://door/APP/STREAM?key=KEY; APP/* = KEY is "
            "for all others of APP"
        ),
    ] = {}


class SignKeySettings(_Frozen):
    """A key of signed URLs: a text, which is its secret, or a table."""

    address: Annotated[bool, Field(description="whether a signature is for one viewer's address")] = False
    secret: Annotated[
        RequiredSecret, Field(description="what the signatures are made with", examples=["a-long-random-text"])
    ]

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return {"secret": value} if isinstance(value, str) else value


class PlaySettings(_Frozen):
    """Who may watch, on every route and by every protocol."""

    allow: Annotated[Networks, Field(description="networks of viewers; empty: everyone")] = ()
    deny: Annotated[Networks, Field(description="networks of those who may not watch; wins over allow")] = ()
    sign_keys: Annotated[
        dict[OriginName, SignKeySettings],
        Field(description="ID = SECRET, or {secret, address}; where there is one, every viewer needs a signature"),
    ] = {}
    sign_forward: Annotated[bool, Field(description="whether kid, exp and sig stay in what the origin sees")] = False
    secure_link: Annotated[
        SecureLinkExpression,
        Field(
            description="nginx's secure_link_md5; name $arg_src, $arg_app and $arg_stream in it, for what it does not "
            "name is the viewer's to choose; beside sign_keys, either will do"
        ),
    ] = SecretStr("")


class HooksSettings(_Frozen):
    """nginx-rtmp's callbacks: a POST of its form fields. Empty: not called.

    2xx allows; 3xx whose Location is a name renames the stream, or with an rtmp:// URL of a configured server pulls it
    from there, or sends it there; all else refuses.
    """

    on_publish: Annotated[HookUrl, Field(description="asked whether a publisher may publish")] = ""
    on_publish_done: Annotated[HookUrl, Field(description="told that it has ended")] = ""
    on_play: Annotated[HookUrl, Field(description="asked whether a viewer may watch")] = ""
    on_play_done: Annotated[HookUrl, Field(description="told that it has left")] = ""
    on_update: Annotated[
        HookUrl,
        Field(description="asked every update_s whether a publisher or viewer may go on; no answer lets it go on"),
    ] = ""
    on_demand: Annotated[
        HookUrl, Field(description="asked to bring a stream that a viewer waits for, as long as hub.wait_for_stream_s")
    ] = ""
    on_idle: Annotated[
        HookUrl, Field(description="told that nobody has watched a published stream for hub.idle_stop_s")
    ] = ""
    timeout_s: Annotated[Seconds, Field(description="for a whole call, from dialling to the answer's head")] = 3.0
    update_s: Annotated[Seconds, Field(description="from one on_update of a publisher or viewer to its next")] = 30.0
    on_failure: Annotated[
        Literal["refuse", "allow"], Field(description="what a question without an answer comes to")
    ] = "refuse"


class AdminSettings(_Frozen):
    """Who may use the admin side; from loopback it takes no token."""

    token: Annotated[Secret, Field(description="asked for from every address but loopback's")] = SecretStr("")
    token_file: Annotated[SecretFile, Field(description="a file that holds the token, in its place")] = ""
    allowed_hosts: Annotated[
        HostNames, Field(description="names that it answers to beside loopback's and its own address")
    ] = ()

    @model_validator(mode="after")
    def _has_one_token(self) -> Self:
        if self.token_file and self.token.get_secret_value():
            raise ValueError("admin has either token or token_file")
        _ = self.secret
        return self

    @cached_property
    def secret(self) -> str:
        """The token, wherever it is from; empty: there is none."""
        return read_secret(self.token_file) if self.token_file else self.token.get_secret_value()


class TlsSettings(_Frozen):
    """The same streams by HTTPS, HTTP/2 and WSS, and RTMP over TLS; a reload reads the certificate again."""

    listen: Annotated[
        ListenAddresses,
        Field(
            description="[HOST:]PORT for HTTPS viewers; none: off", examples=["18443"], json_schema_extra=NEEDS_RESTART
        ),
    ] = ()
    rtmps_listen: Annotated[
        ListenAddresses,
        Field(
            description="[HOST:]PORT for RTMPS publishers and players; none: off",
            examples=["19350"],
            json_schema_extra=NEEDS_RESTART,
        ),
    ] = ()
    cert: Annotated[str, Field(description="a PEM file: the certificate, and behind it those of its issuers")] = ""
    key: Annotated[str, Field(description="a PEM file: the certificate's key, without a password")] = ""

    @model_validator(mode="after")
    def _has_a_certificate(self) -> Self:
        for name, file in (("cert", self.cert), ("key", self.key)):
            if not file and (self.listen or self.rtmps_listen or self.cert or self.key):
                raise WrongBesideOthersError(
                    name, f"TLS takes a certificate and its key, and {name} is missing: {_TLS_FLAGS}"
                )
        if self.cert:
            check_certificate(self.cert, self.key)
        return self


class ForwardSettings(_Frozen):
    """Streams that are sent on to another RTMP server."""

    streams: Annotated[
        str,
        Field(min_length=1, description="which: APP/STREAM, where * stands for any characters", examples=["myapp/*"]),
    ]
    to: Annotated[
        ForwardUrl,
        Field(
            description="where to: rtmp:// or rtmps://host[:port]/app, which the stream's name is put behind; with a "
            "name of its own, as /app/KEY, exactly there; {app} and {stream} are replaced",
            examples=["rtmp://10.0.0.20/backup"],
        ),
    ]

    @property
    def shown(self) -> str:
        """`to`, without its key."""
        return str(keyless(parse_forward_url(self.to)))


class AppLimitsSettings(_Frozen):
    """How many of one application at a time, besides what [limits] says of all; 0: no limit of its own."""

    viewers: Annotated[Count, Field(ge=0, description="its viewers in all")] = 0
    viewers_per_address: Annotated[Count, Field(ge=0, description="its viewers of one address")] = 0
    viewers_per_stream: Annotated[Count, Field(ge=0, description="viewers of each of its streams")] = 0
    publishers: Annotated[Count, Field(ge=0, description="its publishers and pulls in all")] = 0

    @model_validator(mode="before")
    @classmethod
    def _has_no_limit_of_the_doors(cls, value: object) -> object:
        if isinstance(value, dict) and "rtmp_pending" in value:
            raise WrongBesideOthersError(
                "rtmp_pending", "is of no application, since who waits has asked for none yet: set it in [limits]"
            )
        return value


class AppSettings(_Frozen):
    """What is otherwise for one application, by its name.

    As it is read, its tables hold what was written there and defaults; `Settings.for_app` gives one that holds all
    that is in force.
    """

    tracks: Annotated[
        Literal["all", "video", "audio"],
        Field(description="what its live streams are sent with, where a viewer's tracks= says nothing else"),
    ] = "all"
    chunked: Annotated[
        bool,
        Field(
            description="whether HTTP/1.1 viewers of its live streams get the chunked coding; false, for old players: "
            "the body ends with the connection (not by HTTPS, which frames by itself)"
        ),
    ] = True
    hub: Annotated[HubSettings, Field(json_schema_extra=OVERRIDES)] = HubSettings()
    publish: Annotated[PublishSettings, Field(json_schema_extra=OVERRIDES)] = PublishSettings()
    play: Annotated[PlaySettings, Field(json_schema_extra=OVERRIDES)] = PlaySettings()
    hooks: Annotated[HooksSettings, Field(json_schema_extra=OVERRIDES)] = HooksSettings()
    limits: AppLimitsSettings = AppLimitsSettings()


class Settings(_Frozen):
    """The whole configuration."""

    listen: Annotated[
        ListenAddresses,
        Field(
            min_length=1,
            description="[HOST:]PORT of the media door; no HOST: all addresses",
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
    origins: Annotated[
        dict[OriginName, OriginSettings], Field(description="viewers ask for it by its name: src=NAME")
    ] = {}
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
    apps: dict[OriginName, AppSettings] = {}

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
        return {name: _in_force(self, app) for name, app in self.apps.items()}

    @cached_property
    def for_other_apps(self) -> AppSettings:
        """What is in force for those that have none."""
        return _in_force(self, AppSettings())

    @cached_property
    def listen_addresses(self) -> tuple[ListenAddress, ...]:
        return tuple(ListenAddress.parse(text) for text in self.listen)

    def waiting_for_restart(self, started_with: "Settings") -> list[str]:
        """The keys, dotted, that are otherwise here than in `started_with`, and that a reload does not apply."""
        return [".".join(path) for path, changed in _kept_from_start(self, started_with, ()) if changed]


def _in_force(door: Settings, app: AppSettings) -> AppSettings:
    return app.model_copy(
        update={
            "hub": _laid_over(door.hub, app.hub),
            "publish": _laid_over(door.publish, app.publish),
            "play": _laid_over(door.play, app.play),
            "hooks": _laid_over(door.hooks, app.hooks),
        }
    )


def _laid_over(below: _Table, above: _Table) -> _Table:
    """What `above` was given, whole key by key, and for the rest `below`."""
    return below.model_copy(update={name: getattr(above, name) for name in above.model_fields_set})


def _kept_from_start(new: BaseModel, old: BaseModel, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Each key that needs a restart, and whether it has changed."""
    for name, field in type(new).model_fields.items():
        ours, theirs = getattr(new, name), getattr(old, name)
        if field.json_schema_extra == NEEDS_RESTART:
            yield (*above, name), ours != theirs
        elif isinstance(ours, BaseModel):
            yield from _kept_from_start(ours, theirs, (*above, name))
