"""The tables that are there for the whole door, and again for one application: what was written there is laid over."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import Field, SecretStr, model_validator

from splice.config.tables import Table
from splice.config.values import (
    ByteCount,
    Count,
    HookUrl,
    Networks,
    OriginName,
    RequiredSecret,
    Seconds,
    SecondsOrNone,
    SecureLinkExpression,
    StreamsName,
    WrongBesideOthersError,
)

__all__ = [
    "OVERRIDES",
    "AppLimitsSettings",
    "AppSettings",
    "HooksSettings",
    "HubSettings",
    "PlaySettings",
    "PublishSettings",
    "SignKeySettings",
]

_Section = TypeVar("_Section", bound=Table)

OVERRIDES: Final[dict[str, Any]] = {"overrides": True}
"""Of a table of an application's whose keys are those of the door's table of the same name."""


class HubSettings(Table):
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


class PublishSettings(Table):
    """Who may publish: those of an allowed address, and where the stream has a key, who of them names it."""

    allow: Annotated[Networks, Field(description="networks of those who may publish; empty: nobody")] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )
    deny: Annotated[Networks, Field(description="networks of those who may not publish; wins over allow")] = ()
    keys: dict[StreamsName, RequiredSecret] = Field(
        default_factory=dict,
        description="stream keys: APP/STREAM = KEY is published to rtmp://door/APP/STREAM?key=KEY; APP/* = KEY is "
        "for all others of APP",
    )


class SignKeySettings(Table):
    """A key of signed URLs: a text, which is its secret, or a table."""

    address: Annotated[bool, Field(description="whether a signature is for one viewer's address")] = False
    secret: Annotated[
        RequiredSecret, Field(description="what the signatures are made with", examples=["a-long-random-text"])
    ]

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        written_alone = isinstance(value, str) or (isinstance(value, dict) and value.keys() == {"file"})
        return {"secret": value} if written_alone else value


class PlaySettings(Table):
    """Who may watch, on every route and by every protocol."""

    allow: Annotated[Networks, Field(description="networks of viewers; empty: everyone")] = ()
    deny: Annotated[Networks, Field(description="networks of those who may not watch; wins over allow")] = ()
    sign_keys: dict[OriginName, SignKeySettings] = Field(
        default_factory=dict,
        description="ID = SECRET, or {secret, address}; where there is one, every viewer needs a signature",
    )
    sign_forward: Annotated[bool, Field(description="whether kid, exp and sig stay in what the origin sees")] = False
    secure_link: Annotated[
        SecureLinkExpression,
        Field(
            description="nginx's secure_link_md5; name $arg_src, $arg_app and $arg_stream in it, for what it does not "
            "name is the viewer's to choose; beside sign_keys, either will do"
        ),
    ] = SecretStr("")


class HooksSettings(Table):
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


class AppLimitsSettings(Table):
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


class AppSettings(Table):
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

    def over(self, door: "AppSettings") -> Self:
        """What is in force: what was written here, whole key by key, and for the rest what `door` has."""
        return self.model_copy(
            update={
                "hub": _laid_over(door.hub, self.hub),
                "publish": _laid_over(door.publish, self.publish),
                "play": _laid_over(door.play, self.play),
                "hooks": _laid_over(door.hooks, self.hooks),
            }
        )


def _laid_over(below: _Section, above: _Section) -> _Section:
    return below.model_copy(update={name: getattr(above, name) for name in above.model_fields_set})
