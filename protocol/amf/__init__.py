"""AMF, the Action Message Format of RTMP's commands and FLV's script data: `amf0` and `amf3`, and their values' types.

>>> from protocol.amf import amf0
>>> amf0.decode_all(amf0.encode_all(["connect", 1, {"app": "live"}]))
['connect', 1.0, {'app': 'live'}]
"""

from protocol.amf import amf0, amf3
from protocol.amf._externalizable import (
    SINGLE_VALUE,
    DataInput,
    DataOutput,
    ExternalizableCodec,
    Externalizables,
)
from protocol.amf._values import (
    UNDEFINED,
    UNSUPPORTED,
    AvmPlus,
    Date,
    Dictionary,
    EcmaArray,
    Externalizable,
    TypedObject,
    Undefined,
    Unsupported,
    Value,
    Vector,
    VectorType,
    Xml,
    XmlDocument,
)

__all__ = [
    "SINGLE_VALUE",
    "UNDEFINED",
    "UNSUPPORTED",
    "AvmPlus",
    "DataInput",
    "DataOutput",
    "Date",
    "Dictionary",
    "EcmaArray",
    "Externalizable",
    "ExternalizableCodec",
    "Externalizables",
    "TypedObject",
    "Undefined",
    "Unsupported",
    "Value",
    "Vector",
    "VectorType",
    "Xml",
    "XmlDocument",
    "amf0",
    "amf3",
]
