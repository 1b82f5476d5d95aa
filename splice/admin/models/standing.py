"""What goes on by itself until somebody ends it, and how it is asked for: forwards, and pulls without viewers."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from splice.admin.models.example import example
from splice.config.forward_url import check_forward_url
from splice.routing import is_name

__all__ = ["ForwardItem", "Forwards", "KeptPullItem", "KeptPulls", "NewForward", "NewPull", "SendingItem"]

# As much of a forward's URL as a JSON schema can say (RFC 3986, 3.2).
_PORT: Final = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_GROUP: Final = r"[0-9A-Fa-f]{1,4}"
_IPV6: Final = rf"::{_GROUP}|(?:{_GROUP}:){{1,5}}(?::{_GROUP}){{1,2}}|(?:{_GROUP}:){{7}}{_GROUP}"
_FORWARD_URL: Final = (
    rf"^rtmps?://(?:\[(?:{_IPV6})\]|{_LABEL}(?:\.{_LABEL}){{0,9}})(?::{_PORT})?"
    r"/(?:[!-.0-z|~]|\{(?:app|stream)\})(?:[!-z|~]|\{(?:app|stream)\})*$"
)

_SENDING: JsonDict = {
    "stream": "myapp/test",
    "to": "rtmps://a.rtmps.youtube.com/live2/***",
    "state": "running",
    "bytes": 18432000,
    "seconds": 71.9,
    "state_seconds": 71.7,
    "reconnects": 0,
    "skipped": 0,
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
    "skipped": 0,
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


_Source = Annotated[
    Literal["configuration", "api"],
    Field(description="who put it in force; what the API did, a reload leaves alone, and a restart forgets"),
]


class SendingItem(BaseModel):
    """A stream on its way to another server."""

    model_config = example(_SENDING)
    stream: Annotated[str, Field(description="app/stream")]
    to: Annotated[str, Field(description="where it goes, without keys and passwords")]
    state: Annotated[
        Literal["connecting", "running", "waiting"], Field(description="waiting: it was lost, and is tried again")
    ]
    bytes: Annotated[int, Field(description="that the target has taken")]
    seconds: Annotated[float, Field(description="since it began")]
    state_seconds: Annotated[
        float, Field(description="since it has been running, or has not: connecting and waiting count as one")
    ]
    reconnects: Annotated[int, Field(description="how many times the target was connected to again")]
    skipped: Annotated[int, Field(description="how many times the target was too slow, and was moved on to a keyframe")]
    last_error: Annotated[str | None, Field(description="why it was lost the last time")]


class ForwardItem(BaseModel):
    """Streams that are sent on to another RTMP server."""

    model_config = example(_FORWARD)
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
    skipped: Annotated[int, Field(description="how many times the target was too slow, and was moved on to a keyframe")]
    last_error: Annotated[str | None, Field(description="why a stream was lost the last time")]
    sending: Annotated[list[SendingItem], Field(description="the streams that are on their way")]


def _checked_forward_url(value: str) -> str:
    check_forward_url(value)
    return value


class NewForward(BaseModel):
    """A forward to put in force."""

    model_config = ConfigDict(extra="forbid", **example({"streams": "myapp/*", "to": "rtmp://10.0.0.20/backup"}))
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

    model_config = example(_KEPT_PULL)
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

    model_config = ConfigDict(extra="forbid", **example({"origin": "b", "app": "cams", "stream": "front"}))
    origin: Annotated[str, Field(min_length=1, max_length=128, description="a relayed origin's name, never a URL")]
    app: Annotated[_StreamPart, Field(description="of the stream")]
    stream: Annotated[_StreamPart, Field(description="of the stream")]


class Forwards(BaseModel):
    """The forwards, all of them."""

    model_config = example({"forwards": [_FORWARD], "total": 1})
    forwards: list[ForwardItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]


class KeptPulls(BaseModel):
    """The pulls that need no viewers, all of them."""

    model_config = example({"pulls": [_KEPT_PULL], "total": 1})
    pulls: list[KeptPullItem]
    total: Annotated[int, Field(description="how many there are in all", ge=0)]
