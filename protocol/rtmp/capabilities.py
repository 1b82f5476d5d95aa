"""What the two sides of a connection say that they can do beyond RTMP 1.0 (Enhanced RTMP v2, "Enhancing NetConnection
connect Command").

The client says it in connect's command object, the server in the properties of its `_result`; the names and flags are
the same. A property of a wrong type is passed over, as the document asks for what is not recognised.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from protocol.amf import Value

__all__ = ["FORWARD_ANY", "Capabilities", "CapsEx", "FourCCInfo"]

_ANY_CODEC: Final = "*"


class FourCCInfo(enum.IntFlag):
    """What can be done with a codec (FourCcInfoMask)."""

    CAN_DECODE = 1
    CAN_ENCODE = 2
    CAN_FORWARD = 4


class CapsEx(enum.IntFlag):
    """Extended capabilities (CapsExMask)."""

    RECONNECT = 1
    MULTITRACK = 2
    MOD_EX = 4
    TIMESTAMP_NANO_OFFSET = 8


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The Enhanced RTMP properties of one side; empty for a peer that sends none.

    Attributes:
        fourcc_list: FourCCs of audio and video, or "*" for any; the older form.
        audio: flags by FourCC, or by "*", which overrides the others.
        video: the same for video.
        flags: extended capabilities.
    """

    fourcc_list: tuple[str, ...] = ()
    audio: Mapping[str, FourCCInfo] = field(default_factory=dict)
    video: Mapping[str, FourCCInfo] = field(default_factory=dict)
    flags: CapsEx = field(default_factory=lambda: CapsEx(0))

    def audio_codec(self, fourcc: str) -> FourCCInfo:
        """What the side can do with an audio codec; a mention in `fourcc_list` alone counts as decoding."""
        return self._codec(self.audio, fourcc)

    def video_codec(self, fourcc: str) -> FourCCInfo:
        """What the side can do with a video codec; a mention in `fourcc_list` alone counts as decoding."""
        return self._codec(self.video, fourcc)

    def _codec(self, codecs: Mapping[str, FourCCInfo], fourcc: str) -> FourCCInfo:
        flags = codecs.get(_ANY_CODEC, codecs.get(fourcc))
        if flags is not None:
            return flags
        listed = fourcc in self.fourcc_list or _ANY_CODEC in self.fourcc_list
        return FourCCInfo.CAN_DECODE if listed else FourCCInfo(0)

    @classmethod
    def from_properties(cls, properties: Mapping[str, Value]) -> "Capabilities":
        """Read them from connect's command object, or from the objects of its `_result`."""
        listed = properties.get("fourCcList")
        flags = properties.get("capsEx")
        return cls(
            tuple(item for item in listed if isinstance(item, str)) if isinstance(listed, list) else (),
            _info_map(properties.get("audioFourCcInfoMap")),
            _info_map(properties.get("videoFourCcInfoMap")),
            CapsEx(_flags(flags) or 0),
        )

    def to_properties(self) -> dict[str, Value]:
        """Their properties, for connect's command object or for the answer; what is empty is left out."""
        properties: dict[str, Value] = {}
        if self.fourcc_list:
            properties["fourCcList"] = list(self.fourcc_list)
        if self.audio:
            properties["audioFourCcInfoMap"] = {fourcc: float(info) for fourcc, info in self.audio.items()}
        if self.video:
            properties["videoFourCcInfoMap"] = {fourcc: float(info) for fourcc, info in self.video.items()}
        if self.flags:
            properties["capsEx"] = float(self.flags)
        return properties


def _info_map(value: Value) -> dict[str, FourCCInfo]:
    if not isinstance(value, dict):
        return {}
    flags = {fourcc: _flags(info) for fourcc, info in value.items()}
    return {fourcc: FourCCInfo(info) for fourcc, info in flags.items() if info is not None}


def _flags(value: Value) -> int | None:
    """A number as flags, bits without a name included; None for what is no whole number of 32 bits."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1 << 32:
        return int(value)
    return None


FORWARD_ANY: Final = Capabilities(
    fourcc_list=(_ANY_CODEC,),
    audio={_ANY_CODEC: FourCCInfo.CAN_FORWARD},
    video={_ANY_CODEC: FourCCInfo.CAN_FORWARD},
    flags=CapsEx.RECONNECT | CapsEx.MULTITRACK | CapsEx.MOD_EX | CapsEx.TIMESTAMP_NANO_OFFSET,
)
"""One that passes every codec and extension on untouched, as a relay does."""
