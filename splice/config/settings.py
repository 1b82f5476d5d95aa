"""What there is to set: every key with its default, its unit and its rule. A key that is not here is an error."""

import re
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from splice.config.addresses import ListenAddress, OriginAddress

__all__ = ["Limits", "Network", "OriginSettings", "Settings", "Timeouts"]

Network = IPv4Network | IPv6Network

_NAME: Final = re.compile(r"[A-Za-z0-9._~@-]{1,128}")
_PATH: Final = re.compile(r"/[A-Za-z0-9._~@!$&'()*+,;=:/-]+")
_WEB_ORIGIN: Final = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")
_TEMPLATE_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_TEMPLATE_FIELDS: Final = ("app", "stream", "port")


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _listen_address(value: str) -> str:
    ListenAddress.parse(value)
    return value


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _live_path(value: str) -> str:
    if not _PATH.fullmatch(value) or value.startswith("/-/"):
        raise ValueError(f"{value!r} is not a path such as /live (paths under /-/ are the door's own)")
    return value


def _web_origin(value: str) -> str:
    if value != "*" and not _WEB_ORIGIN.fullmatch(value):
        raise ValueError(f'{value!r} is neither "*" nor an origin as browsers send it, such as https://example.org')
    return value


def _origin_url(value: str) -> str:
    OriginAddress.parse(value)
    return value


def _target(value: str) -> str:
    fields = _TEMPLATE_FIELD.sub(lambda match: "x" if match[1] in _TEMPLATE_FIELDS else "{", value)
    if value and (not fields.startswith("/") or not fields.isascii() or re.search(r"[\x00-\x20\x7f{}#]", fields)):
        raise ValueError(f"{value!r} is not a target such as /{{app}}/{{stream}}.flv; its fields: app, stream, port")
    return value


Addresses = Annotated[
    tuple[Annotated[str, BeforeValidator(_text), AfterValidator(_listen_address)], ...], BeforeValidator(_one_or_many)
]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OriginSettings(_Frozen):
    """A server that the door dials."""

    url: Annotated[str, Field(description="http://host[:port]")] = ""
    urls: Annotated[tuple[str, ...], Field(description="several of them, tried in turn")] = ()
    target: Annotated[
        str,
        AfterValidator(_target),
        Field(description="what the origin is asked for; empty: the viewer's own request-target, byte for byte"),
    ] = ""
    ports: Annotated[tuple[Port, ...], Field(description="values of ?port= that are let through; empty: any")] = ()

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if bool(self.url) == bool(self.urls):
            raise ValueError('an origin has either a url or urls = ["...", "..."]')
        for url in self.urls or (self.url,):
            _origin_url(url)
        return self

    @cached_property
    def addresses(self) -> tuple[OriginAddress, ...]:
        """Where to dial, in the order in which to try."""
        return tuple(OriginAddress.parse(url) for url in self.urls or (self.url,))


class Limits(_Frozen):
    """How many at a time; 0 where it says so is no limit."""

    viewers: Annotated[int, Field(ge=1, description="viewers in all")] = 10000
    viewers_per_address: Annotated[int, Field(ge=0, description="viewers of one address; 0: no limit of its own")] = 0


class Timeouts(_Frozen):
    """How long a phase may take, in seconds; each is for its whole phase, not for a byte."""

    head_s: Annotated[Seconds, Field(description="until the request's head is whole")] = 10.0
    connect_s: Annotated[Seconds, Field(description="until one address of an origin has accepted")] = 5.0
    origin_head_s: Annotated[Seconds, Field(description="until an origin's response head is whole")] = 10.0
    stall_s: Annotated[Seconds, Field(description="no byte from the origin, or none taken by the viewer")] = 30.0
    drain_s: Annotated[float, Field(ge=0, le=86400, description="what viewers still get after SIGTERM")] = 5.0


class Settings(_Frozen):
    """The whole configuration."""

    listen: Annotated[Addresses, Field(description="[HOST:]PORT of the media door; no HOST: all addresses")] = (
        "18090",
    )
    live_path: Annotated[
        tuple[Annotated[str, AfterValidator(_live_path)], ...],
        BeforeValidator(_one_or_many),
        Field(min_length=1, description="the path of /live?src=..., or a list of paths"),
    ] = ("/live",)
    cors_origins: Annotated[
        tuple[Annotated[str, AfterValidator(_web_origin)], ...],
        Field(description='whose pages may read the streams; "*": everyone\'s'),
    ] = ("*",)
    trusted_proxies: Annotated[
        tuple[Network, ...], Field(description="networks whose X-Forwarded-For is believed")
    ] = ()
    origins: Annotated[dict[str, OriginSettings], Field(description="the servers behind the door, by name")] = {}
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()

    @model_validator(mode="before")
    @classmethod
    def _origin_names(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("origins"), dict):
            for name in data["origins"]:
                if not _NAME.fullmatch(name) or name in (".", ".."):
                    raise ValueError(f"origins: {name!r} is not a name: letters, digits and . _ ~ - @, at most 128")
        return data

    @cached_property
    def listen_addresses(self) -> tuple[ListenAddress, ...]:
        return tuple(ListenAddress.parse(text) for text in self.listen)
