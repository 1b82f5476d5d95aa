"""Script data: a name and its values, as tags and RTMP data messages carry them (FLV 10.1, E.4.4), read and made.

Also what a video message of packet type METADATA holds, which is the same without the tag: pairs of a name and a value
(Enhanced RTMP v2, Metadata Frame).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocol._base import Limits, LocalProtocolError, RemoteProtocolError
from protocol.amf import Value, amf0
from protocol.flv._tag import TagType

__all__ = [
    "ON_META_DATA",
    "ScriptData",
    "decode_metadata_frame",
    "decode_script_data",
    "encode_metadata_frame",
    "encode_script_data",
    "without_set_data_frame",
]

ON_META_DATA: Final = "onMetaData"
SET_DATA_FRAME: Final = "@setDataFrame"

_SPEC: Final = "FLV 10.1, E.4.4.1"
_FORMAT_SPEC: Final = "Enhanced RTMP v2, Important AMF3-encoded Historical Specification Clarification"
_METADATA_SPEC: Final = "Enhanced RTMP v2, Metadata Frame"
_OBJECT_END: Final = b"\x00\x00\x09"
_DEFAULT_LIMITS: Final = Limits()
_SET_DATA_FRAME_VALUE: Final = amf0.encode(SET_DATA_FRAME)


@dataclass(frozen=True, slots=True)
class ScriptData:
    """One method call: onMetaData, onTextData, onCuePoint, ...

    Attributes:
        name: the method.
        values: its arguments; onMetaData has one, an `EcmaArray` or a dict.
    """

    name: str
    values: tuple[Value, ...]


def decode_script_data(body: bytes, *, tag_type: int = TagType.SCRIPT, limits: Limits = _DEFAULT_LIMITS) -> ScriptData:
    """Read the body of a script tag, or the payload of an RTMP data message.

    Args:
        body: the whole body.
        tag_type: SCRIPT (RTMP message type 18), or AMF3_SCRIPT (15), whose body has a format byte first.
        limits: for the AMF values.

    Raises:
        RemoteProtocolError: no name, or values that are no AMF.
    """
    if tag_type == TagType.AMF3_SCRIPT:
        # The one format that is defined, 0, is AMF 0, in which a marker before each value switches it to AMF 3.
        if body[:1] != b"\x00":
            raise RemoteProtocolError("AMF 3 data has to begin with the format byte 0", spec=_FORMAT_SPEC)
        body = body[1:]
    values = _decode_values(body, limits)
    if not values or not isinstance(values[0], str):
        raise RemoteProtocolError("script data has to begin with its name", spec=_SPEC)
    return ScriptData(values[0], tuple(values[1:]))


def _decode_values(body: bytes, limits: Limits) -> list[Value]:
    try:
        return amf0.decode_all(body, limits=limits)
    except RemoteProtocolError:
        # FLV before version 10 ended the list of values like an object's members, and some programs still do.
        if not body.endswith(_OBJECT_END):
            raise
        try:
            return amf0.decode_all(body[: -len(_OBJECT_END)], limits=limits)
        except RemoteProtocolError:
            pass
        raise


def encode_script_data(script: ScriptData, *, tag_type: int = TagType.SCRIPT) -> bytes:
    """The body of a script tag: the reverse of `decode_script_data`.

    Raises:
        LocalProtocolError: a value that AMF cannot hold.
    """
    encoded = amf0.encode_all((script.name, *script.values))
    return b"\x00" + encoded if tag_type == TagType.AMF3_SCRIPT else encoded


def without_set_data_frame(body: bytes) -> bytes:
    """An AMF 0 data message without the @setDataFrame that publishers put in front of it, for those who play.

    The rest is not decoded, so that a publisher's own fields stay byte for byte.
    """
    return body.removeprefix(_SET_DATA_FRAME_VALUE)


def decode_metadata_frame(data: bytes, *, limits: Limits = _DEFAULT_LIMITS) -> tuple[tuple[str, Value], ...]:
    """The pairs of a METADATA track's data; "colorInfo" is the only name that is defined yet.

    Raises:
        RemoteProtocolError: they are no pairs, or no AMF.
    """
    values = _decode_values(data, limits)
    names, contents = values[::2], values[1::2]
    if len(names) != len(contents):
        raise RemoteProtocolError("a metadata frame's last name has no value", spec=_METADATA_SPEC)
    pairs = []
    for name, content in zip(names, contents, strict=True):
        if not isinstance(name, str):
            raise RemoteProtocolError("a metadata frame has a name that is no string", spec=_METADATA_SPEC)
        pairs.append((name, content))
    return tuple(pairs)


def encode_metadata_frame(pairs: Sequence[tuple[str, Value]]) -> bytes:
    """The data of a METADATA track: the reverse of `decode_metadata_frame`.

    Raises:
        LocalProtocolError: a name that is no string, or a value that AMF cannot hold.
    """
    if not all(isinstance(name, str) for name, _ in pairs):
        raise LocalProtocolError("a metadata frame's names are strings", spec=_METADATA_SPEC)
    return amf0.encode_all(part for pair in pairs for part in pair)
