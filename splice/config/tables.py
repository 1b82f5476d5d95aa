"""The tables that are there for the whole door alone: origins, limits, time-outs, the admin side, TLS, forwards."""

import ssl
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from splice.config.addresses import OriginAddress
from splice.config.forward_url import keyless, parse_forward_url
from splice.config.targets import check_rtmp_target
from splice.config.values import (
    Count,
    ForwardUrl,
    HostNames,
    ListenAddresses,
    OriginUrl,
    OriginUrls,
    Ports,
    Seconds,
    SecondsOrNone,
    Secret,
    SecretFile,
    StreamNames,
    Target,
    WrongBesideOthersError,
    check_certificate,
    read_secret,
    trusting_authority,
)
from splice.trust import client_context

__all__ = [
    "NEEDS_RESTART",
    "AdminSettings",
    "ForwardSettings",
    "Limits",
    "OriginSettings",
    "Table",
    "Timeouts",
    "TlsSettings",
]

_TLS_FLAGS: Final = "--tls-cert FILE --tls-key FILE, or [tls] cert and key"

NEEDS_RESTART: Final[dict[str, Any]] = {"needs_restart": True}
"""Of a key that a reload does not apply, as its field's `json_schema_extra`."""


class Table(BaseModel):
    """What all tables have in common: they never change, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OriginSettings(Table):
    """A server that the door dials; its name is resolved anew each time."""

    url: Annotated[
        OriginUrl,
        Field(
            description="http://host[:port], or rtmp://host[:port]; by TLS https:// and rtmps://. Without a port it is "
            "80 or 1935, by TLS 443. What stands behind it is this URL's own target; user:password@ goes to http:// "
            "and https:// as Basic authorization",
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
        Field(description="APP/STREAM, or a list of them: what a relay pulls without viewers too, and again when lost"),
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


class Limits(Table):
    """How many at a time; 0 where it says so is no limit."""

    viewers: Annotated[Count, Field(ge=1, description="viewers in all")] = 10000
    viewers_per_address: Annotated[
        Count, Field(ge=0, description="viewers of one address, of IPv6 one /64; 0: no limit of its own")
    ] = 0
    viewers_per_stream: Annotated[Count, Field(ge=0, description="viewers of one stream; 0: no limit of its own")] = 0
    publishers: Annotated[Count, Field(ge=1, description="publishers and pulls in all")] = 1000
    rtmp_pending: Annotated[
        Count, Field(ge=1, description="RTMP connections that neither publish nor play yet, in all")
    ] = 1000


class Timeouts(Table):
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


class AdminSettings(Table):
    """Who may use the admin side; from loopback it takes no token."""

    token: Annotated[Secret, Field(description="required from every address except loopback")] = SecretStr("")
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


class TlsSettings(Table):
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


class ForwardSettings(Table):
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
