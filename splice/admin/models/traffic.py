"""What passes through the door: streams, who watches them, who brings them, and the servers that are dialled."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field
from pydantic.config import JsonDict

from splice.admin.models.example import example

__all__ = [
    "Audio",
    "OriginItem",
    "Origins",
    "PublisherItem",
    "Publishers",
    "StreamItem",
    "Streams",
    "Video",
    "ViewerItem",
    "Viewers",
]

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


class ViewerItem(BaseModel):
    """Somebody who watches."""

    model_config = example(_VIEWER)
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

    model_config = example(_PUBLISHER)
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

    model_config = example(_VIDEO)
    codec: Annotated[str | None, Field(description="RFC 6381's name, or a FourCC")]
    width: Annotated[int | None, Field(description="in pixels")]
    height: Annotated[int | None, Field(description="in pixels")]
    frame_rate: Annotated[float | None, Field(description="frames a second, over the last seconds; null when spliced")]
    keyframe_interval_ms: Annotated[int | None, Field(description="between the last two keyframes; null when spliced")]
    bit_rate_kbps: Annotated[float | None, Field(description="over the last seconds; null when spliced")]


class Audio(BaseModel):
    """A stream's default audio track."""

    model_config = example(_AUDIO)
    codec: Annotated[str | None, Field(description="RFC 6381's name, or a FourCC")]
    sample_rate: Annotated[int | None, Field(description="in Hz")]
    channels: int | None
    bit_rate_kbps: Annotated[float | None, Field(description="over the last seconds; null when spliced")]


class StreamItem(BaseModel):
    """A stream that passes through the door."""

    model_config = example(_STREAM)
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

    model_config = example(_ORIGIN)
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


class Streams(BaseModel):
    """A page of the streams."""

    model_config = example({"streams": [_STREAM], "total": 1})
    streams: list[StreamItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]


class Viewers(BaseModel):
    """A page of the viewers."""

    model_config = example({"viewers": [_VIEWER], "total": 1})
    viewers: list[ViewerItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]


class Publishers(BaseModel):
    """A page of the publishers."""

    model_config = example({"publishers": [_PUBLISHER], "total": 1})
    publishers: list[PublisherItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]


class Origins(BaseModel):
    """The origins, all of them."""

    model_config = example({"origins": [_ORIGIN], "total": 1})
    origins: list[OriginItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]
