"""What there is to set: every key with its default, its unit and its rule. A key that is not here is an error."""

from functools import cached_property
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from splice.config.addresses import ListenAddress, OriginAddress
from splice.config.values import (
    Count,
    ListenAddresses,
    LivePaths,
    Network,
    Networks,
    OriginName,
    OriginUrl,
    OriginUrls,
    Ports,
    Seconds,
    SecondsOrNone,
    Target,
    WebOrigins,
)

__all__ = ["Limits", "Network", "OriginSettings", "Settings", "Timeouts"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OriginSettings(_Frozen):
    """A server that the door dials."""

    url: Annotated[OriginUrl, Field(description="http://host[:port]")] = ""
    urls: Annotated[OriginUrls, Field(description="several of them, tried in turn")] = ()
    target: Annotated[
        Target,
        Field(description="what the origin is asked for; empty: the viewer's own request-target, byte for byte"),
    ] = ""
    ports: Annotated[Ports, Field(description="values of ?port= that are let through; empty: any")] = ()

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if bool(self.url) == bool(self.urls):
            raise ValueError('an origin has either url = "http://host[:port]" or urls = ["...", "..."]')
        return self

    @cached_property
    def addresses(self) -> tuple[OriginAddress, ...]:
        """Where to dial, in the order in which to try."""
        return tuple(OriginAddress.parse(url) for url in self.urls or (self.url,))


class Limits(_Frozen):
    """How many at a time; 0 where it says so is no limit."""

    viewers: Annotated[Count, Field(ge=1, description="viewers in all")] = 10000
    viewers_per_address: Annotated[Count, Field(ge=0, description="viewers of one address; 0: no limit of its own")] = 0


class Timeouts(_Frozen):
    """How long a phase may take, in seconds; each is for its whole phase, not for a byte."""

    head_s: Annotated[Seconds, Field(description="until the request's head is whole")] = 10.0
    connect_s: Annotated[Seconds, Field(description="until one address of an origin has accepted")] = 5.0
    origin_head_s: Annotated[Seconds, Field(description="until an origin's response head is whole")] = 10.0
    stall_s: Annotated[Seconds, Field(description="no byte from the origin, or none taken by the viewer")] = 30.0
    drain_s: Annotated[SecondsOrNone, Field(description="what viewers still get after SIGTERM")] = 5.0


class Settings(_Frozen):
    """The whole configuration."""

    listen: Annotated[
        ListenAddresses, Field(min_length=1, description="[HOST:]PORT of the media door; no HOST: all addresses")
    ] = ("18090",)
    live_path: Annotated[
        LivePaths,
        Field(min_length=1, description="the path of /live?src=..., or a list of paths"),
    ] = ("/live",)
    cors_origins: Annotated[
        WebOrigins,
        Field(description='whose pages may read the streams; "*": everyone\'s'),
    ] = ("*",)
    trusted_proxies: Annotated[Networks, Field(description="networks whose X-Forwarded-For is believed")] = ()
    origins: Annotated[dict[OriginName, OriginSettings], Field(description="the servers behind the door, by name")] = {}
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()

    @cached_property
    def listen_addresses(self) -> tuple[ListenAddress, ...]:
        return tuple(ListenAddress.parse(text) for text in self.listen)
