"""What the API answers with, as documents: each with its meaning, its unit and an example, for OpenAPI and for people.

A list stands under its name, beside how many there are in all. `id` is opaque: it is for DELETE, and for telling one
item from another.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from splice.config.forward_url import check_forward_url
from splice.http import as_sentence, reason_phrase
from splice.routing import is_name

__all__ = [
    "Audio",
    "Door",
    "ForwardItem",
    "Forwards",
    "KeptPullItem",
    "KeptPulls",
    "NewForward",
    "NewPull",
    "OriginItem",
    "Origins",
    "Problem",
    "PublisherItem",
    "Publishers",
    "SendingItem",
    "State",
    "StreamItem",
    "Streams",
    "Video",
    "ViewerItem",
    "Viewers",
    "problem",
]

# As much of a forward's URL as a JSON schema can say (RFC 3986, 3.2).
_PORT: Final = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_USER: Final = r"[A-Za-z0-9._~%!$&'()*+,;=-]*"
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_GROUP: Final = r"[0-9A-Fa-f]{1,4}"
_IPV6: Final = rf"::{_GROUP}|(?:{_GROUP}:){{1,5}}(?::{_GROUP}){{1,2}}|(?:{_GROUP}:){{7}}{_GROUP}"
_FORWARD_URL: Final = (
    rf"^rtmps?://(?:{_USER}(?::{_USER})?@)?(?:\[(?:{_IPV6})\]|{_LABEL}(?:\.{_LABEL}){{0,9}})(?::{_PORT})?"
    r"/(?:[!-.0-z|~]|\{(?:app|stream)\})(?:[!-z|~]|\{(?:app|stream)\})*$"
)

_VIEWER: JsonDict = {
    "id": "v17",
    "peer": "192.0.2.7:50312",
    "address": "192.0.2.7",
    "route": "splice",
    "origin": "a",
    "stream": "myapp/test",
    "protocol": "http-flv",
    "bytes": 1843200,
    "seconds": 7.2,
    "first_byte_s": 0.041,
}
_PUBLISHER: JsonDict = {
    "id": "p3",
    "peer": "10.0.0.8:41022",
    "address": "10.0.0.8",
    "origin": None,
    "stream": "myapp/test",
    "protocol": "rtmp",
    "bytes": 18432000,
    "seconds": 71.9,
}
_VIDEO: JsonDict = {
    "codec": "avc1.64001f",
    "width": 1280,
    "height": 720,
    "frame_rate": 25.0,
    "keyframe_interval_ms": 2000,
    "bit_rate_kbps": 1920.4,
}
_AUDIO: JsonDict = {"codec": "mp4a.40.2", "sample_rate": 44100, "channels": 2, "bit_rate_kbps": 128.3}
_STREAM: JsonDict = {
    "id": "s6f2a90c1d4b7e835",
    "name": "myapp/test",
    "route": "hub",
    "origin": None,
    "viewers": 3,
    "publisher": _PUBLISHER,
    "video": _VIDEO,
    "audio": _AUDIO,
    "bytes_in": 18432000,
    "bytes_out": 55296000,
    "bit_rate_kbps": 2048.7,
    "latency_ms": 0,
    "backlog_bytes": 0,
    "skipped": 0,
}
_ORIGIN: JsonDict = {
    "id": "o1c9d3b5f7a2e4860",
    "name": "a",
    "urls": ["http://10.0.0.8:8080"],
    "mode": "splice",
    "state": "up",
    "viewers": 12,
    "successes": 40,
    "failures": 1,
    "last_success": "2026-11-23T21:50:39Z",
    "last_failure": "2026-11-23T20:11:02Z",
    "last_error": "the origin refuses connections; it may be starting, or down",
}


_SENDING: JsonDict = {
    "stream": "myapp/test",
    "to": "rtmps://a.rtmps.youtube.com/live2/***",
    "state": "running",
    "bytes": 18432000,
    "seconds": 71.9,
    "reconnects": 0,
    "last_error": None,
}
_FORWARD: JsonDict = {
    "id": "f2",
    "streams": "myapp/*",
    "to": "rtmps://a.rtmps.youtube.com/live2/***",
    "source": "api",
    "state": "running",
    "bytes": 18432000,
    "reconnects": 0,
    "last_error": None,
    "sending": [_SENDING],
}
_KEPT_PULL: JsonDict = {
    "id": "k8d1e0c5a9b3f7264",
    "origin": "b",
    "stream": "cams/front",
    "source": "api",
    "state": "running",
    "publisher": "p3",
    "bytes": 18432000,
}


def _example(value: JsonDict) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = _example(
        {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "There is no viewer v17."}
    )
    type: Literal["about:blank"] = "about:blank"
    title: Annotated[str, Field(description="the status in words")]
    status: Annotated[int, Field(description="the HTTP status", ge=400, le=599)]
    detail: Annotated[str, Field(description="one sentence that says what to do")]


def problem(status: int, detail: str) -> Problem:
    """The error of a status; `detail` becomes a sentence."""
    return Problem(title=reason_phrase(status).decode(), status=status, detail=as_sentence(detail))


class ViewerItem(BaseModel):
    """Somebody who watches."""

    model_config = _example(_VIEWER)
    id: str
    peer: Annotated[str, Field(description="the other end of its connection, address:port")]
    address: Annotated[str, Field(description="the client's: the peer's, or what a trusted proxy said")]
    route: Literal["splice", "hub"]
    origin: Annotated[str | None, Field(description="the origin's name; null for a stream published here")]
    stream: Annotated[str, Field(description="app/stream")]
    protocol: Annotated[str, Field(description="http-flv, ws-flv or rtmp")]
    bytes: Annotated[int, Field(description="of the stream, taken by the viewer so far")]
    seconds: Annotated[float, Field(description="since it was let in")]
    first_byte_s: Annotated[float | None, Field(description="seconds until its first bytes; null: still waiting")]


class PublisherItem(BaseModel):
    """Somebody who brings a stream: an encoder, or the door's own pull from an origin."""

    model_config = _example(_PUBLISHER)
    id: str
    peer: Annotated[str, Field(description="the other end of its connection, address:port; empty: not connected yet")]
    address: Annotated[str, Field(description="the client's, or the origin's")]
    origin: Annotated[str | None, Field(description="of a pull, the origin's name")]
    stream: Annotated[str, Field(description="app/stream")]
    protocol: Annotated[str, Field(description="rtmp, rtmp-pull or http-flv-pull; empty: not connected yet")]
    bytes: Annotated[int, Field(description="of media, received so far")]
    seconds: Annotated[float, Field(description="since it began")]


class Video(BaseModel):
    """A stream's default video track."""

    model_config = _example(_VIDEO)
    codec: Annotated[str | None, Field(description="RFC 6381's name, or a FourCC")]
    width: Annotated[int | None, Field(description="in pixels")]
    height: Annotated[int | None, Field(description="in pixels")]
    frame_rate: Annotated[float | None, Field(description="frames a second, over the last seconds; null when spliced")]
    keyframe_interval_ms: Annotated[int | None, Field(description="between the last two keyframes; null when spliced")]
    bit_rate_kbps: Annotated[float | None, Field(description="over the last seconds; null when spliced")]


class Audio(BaseModel):
    """A stream's default audio track."""

    model_config = _example(_AUDIO)
    codec: Annotated[str | None, Field(description="RFC 6381's name, or a FourCC")]
    sample_rate: Annotated[int | None, Field(description="in Hz")]
    channels: int | None
    bit_rate_kbps: Annotated[float | None, Field(description="over the last seconds; null when spliced")]


class StreamItem(BaseModel):
    """A stream that passes through the door."""

    model_config = _example(_STREAM)
    id: str
    name: Annotated[str, Field(description="app/stream")]
    route: Annotated[
        Literal["splice", "hub"],
        Field(description="splice: each viewer has its own connection to the origin; hub: one copy comes in for all"),
    ]
    origin: Annotated[str | None, Field(description="the origin's name; null for a stream published here")]
    viewers: int
    publisher: Annotated[PublisherItem | None, Field(description="null on the splice route, and while none is there")]
    video: Annotated[Video | None, Field(description="null: none; spliced: or untold by its first 64 KiB")]
    audio: Annotated[Audio | None, Field(description="null: none; spliced: or untold by its first 64 KiB")]
    bytes_in: Annotated[int, Field(description="received; on the splice route the same as bytes_out")]
    bytes_out: Annotated[int, Field(description="taken by viewers, those included who have left")]
    bit_rate_kbps: Annotated[float | None, Field(description="of what comes in, measured; null on the splice route")]
    latency_ms: Annotated[
        int | None,
        Field(description="how long the slowest viewer's oldest packet waits here; null on the splice route"),
    ]
    backlog_bytes: Annotated[int, Field(description="what waits here for viewers, all together")]
    skipped: Annotated[int, Field(description="how many times a viewer was moved on to a newer keyframe")]


class OriginItem(BaseModel):
    """A server that the door dials."""

    model_config = _example(_ORIGIN)
    id: str
    name: str
    urls: Annotated[list[str], Field(description="tried in turn")]
    mode: Annotated[Literal["splice", "relay"], Field(description="relay: one pull, shared by all viewers")]
    state: Annotated[Literal["up", "down", "unknown"], Field(description="how it went the last time; unknown: never")]
    viewers: int
    successes: Annotated[int, Field(description="how many times it answered, whatever the status")]
    failures: Annotated[int, Field(description="how many times it gave no answer")]
    last_success: datetime | None
    last_failure: datetime | None
    last_error: Annotated[str | None, Field(description="why it failed the last time")]


_Source = Annotated[
    Literal["configuration", "api"],
    Field(description="who put it in force; what the API did, a reload leaves alone, and a restart forgets"),
]


class SendingItem(BaseModel):
    """A stream on its way to another server."""

    model_config = _example(_SENDING)
    stream: Annotated[str, Field(description="app/stream")]
    to: Annotated[str, Field(description="where it goes, without keys and passwords")]
    state: Annotated[
        Literal["connecting", "running", "waiting"], Field(description="waiting: it was lost, and is tried again")
    ]
    bytes: Annotated[int, Field(description="that the target has taken")]
    seconds: Annotated[float, Field(description="since it began")]
    reconnects: Annotated[int, Field(description="how many times the target was connected to again")]
    last_error: Annotated[str | None, Field(description="why it was lost the last time")]


class ForwardItem(BaseModel):
    """Streams that are sent on to another RTMP server."""

    model_config = _example(_FORWARD)
    id: str
    streams: Annotated[str, Field(description="which: app/stream, where * stands for any characters")]
    to: Annotated[str, Field(description="where to, without keys and passwords")]
    source: _Source
    state: Annotated[
        Literal["idle", "connecting", "running", "waiting"],
        Field(description="of its streams, that of the one in most trouble; idle: there is none"),
    ]
    bytes: Annotated[int, Field(description="that the target has taken, of all streams since it was put in force")]
    reconnects: Annotated[int, Field(description="how many times the target was connected to again")]
    last_error: Annotated[str | None, Field(description="why a stream was lost the last time")]
    sending: Annotated[list[SendingItem], Field(description="the streams that are on their way")]


def _checked_forward_url(value: str) -> str:
    check_forward_url(value)
    return value


class NewForward(BaseModel):
    """A forward to put in force."""

    model_config = ConfigDict(extra="forbid", **_example({"streams": "myapp/*", "to": "rtmp://10.0.0.20/backup"}))
    streams: Annotated[
        str,
        Field(min_length=1, max_length=257, description="which: app/stream, where * stands for any characters"),
    ]
    to: Annotated[
        str,
        Field(
            max_length=2048,
            pattern=_FORWARD_URL,
            description="where to: rtmp:// or rtmps://host[:port]/app, which the stream's name is put behind; with a "
            "name of its own, as /app/KEY, exactly there; {app} and {stream} are replaced",
        ),
        AfterValidator(_checked_forward_url),
    ]


class KeptPullItem(BaseModel):
    """A stream that is pulled whether anybody watches it or not."""

    model_config = _example(_KEPT_PULL)
    id: str
    origin: Annotated[str, Field(description="the origin's name")]
    stream: Annotated[str, Field(description="app/stream")]
    source: _Source
    state: Annotated[Literal["running", "waiting"], Field(description="waiting: it is asked for again and again")]
    publisher: Annotated[str | None, Field(description="the id that it has among the publishers; null: not asked now")]
    bytes: Annotated[int, Field(description="of media, received by the present pull")]


def _require_name(value: str) -> str:
    if not is_name(value):
        raise ValueError("has 1 to 128 letters, digits and . _ ~ - @, and is neither . nor ..")
    return value


_StreamPart = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~@-]{1,128}$"), AfterValidator(_require_name)]


class NewPull(BaseModel):
    """A pull to keep."""

    model_config = ConfigDict(extra="forbid", **_example({"origin": "b", "app": "cams", "stream": "front"}))
    origin: Annotated[str, Field(min_length=1, max_length=128, description="a relayed origin's name, never a URL")]
    app: Annotated[_StreamPart, Field(description="of the stream")]
    stream: Annotated[_StreamPart, Field(description="of the stream")]


class Streams(BaseModel):
    """A page of the streams."""

    model_config = _example({"streams": [_STREAM], "total": 1})
    streams: list[StreamItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]


class Viewers(BaseModel):
    """A page of the viewers."""

    model_config = _example({"viewers": [_VIEWER], "total": 1})
    viewers: list[ViewerItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]


class Publishers(BaseModel):
    """A page of the publishers."""

    model_config = _example({"publishers": [_PUBLISHER], "total": 1})
    publishers: list[PublisherItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]


class Origins(BaseModel):
    """The origins, all of them."""

    model_config = _example({"origins": [_ORIGIN], "total": 1})
    origins: list[OriginItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]


class Forwards(BaseModel):
    """The forwards, all of them."""

    model_config = _example({"forwards": [_FORWARD], "total": 1})
    forwards: list[ForwardItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]


class KeptPulls(BaseModel):
    """The pulls that need no viewers, all of them."""

    model_config = _example({"pulls": [_KEPT_PULL], "total": 1})
    pulls: list[KeptPullItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]


class Door(BaseModel):
    """Where viewers come."""

    model_config = _example({"version": "0.1.0", "http": ["127.0.0.1:18090"], "https": [], "live_path": "/live"})
    version: str
    http: Annotated[list[str], Field(description="address:port of HTTP-FLV and WS-FLV; 0.0.0.0 and [::]: all of ours")]
    https: Annotated[list[str], Field(description="the same by TLS")]
    live_path: Annotated[str, Field(description="of a stream's URL")]


class State(BaseModel):
    """Whether the door serves."""

    model_config = _example({"status": "ok", "version": "0.1.0"})
    status: Literal["ok", "ready"]
    version: str
