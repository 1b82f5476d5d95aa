"""A sans-IO kit of FLV, AMF and RTMP codecs: bytes in, events out; events in, bytes out.

Standard library only; no I/O, no clock, no randomness of its own, no logging. `protocol.amf`, `protocol.flv` and
`protocol.rtmp` hold the codecs, this package what they share.
"""

from protocol._base import (
    NEED_DATA,
    Limits,
    LocalProtocolError,
    NeedData,
    NeedDataType,
    ProtocolError,
    ReceiveBuffer,
    RemoteProtocolError,
)
from protocol._timestamp import Timestamp, timestamp_add, timestamp_difference

__all__ = [
    "NEED_DATA",
    "Limits",
    "LocalProtocolError",
    "NeedData",
    "NeedDataType",
    "ProtocolError",
    "ReceiveBuffer",
    "RemoteProtocolError",
    "Timestamp",
    "timestamp_add",
    "timestamp_difference",
]
