"""AMF 3, the format of ActionScript 3 (AMF 3 specification). RTMP holds it in single values, which `amf0` reads and
writes.

Whole bytes in, values out, and back. One call is one message, whose values share the tables of strings, objects and
traits. Types are those of `protocol.amf.Value`: an integer is `int`, a double `float`; a Python int outside of -2**28
to 2**28 - 1 goes out as a double. An anonymous object is a `dict`, one with other traits a `TypedObject`; an array is
a `list`, with names an `EcmaArray`; a byte array is `bytes`. Externalizable classes are read by codecs that the
caller registers.

Limits: as in `amf0`. Names of sealed members and the items of vectors count as values.
"""

from collections.abc import Iterable

from protocol._base import Limits, RemoteProtocolError
from protocol.amf._amf3_decoder import Amf3Decoder
from protocol.amf._amf3_encoder import Amf3Encoder
from protocol.amf._cursor import DEFAULT_LIMITS
from protocol.amf._externalizable import NO_EXTERNALIZABLES, Externalizables
from protocol.amf._values import Value

__all__ = ["decode", "decode_all", "decode_prefix", "encode", "encode_all"]


def decode(
    data: bytes | bytearray | memoryview,
    *,
    limits: Limits = DEFAULT_LIMITS,
    externalizables: Externalizables = NO_EXTERNALIZABLES,
) -> Value:
    """The one value that `data` holds.

    Args:
        data: the value, whole, and nothing behind it.
        limits: depth and number of values.
        externalizables: codecs by class name.

    Raises:
        RemoteProtocolError: it is malformed, truncated, beyond a limit, or bytes follow it.
    """
    value, size = decode_prefix(data, limits=limits, externalizables=externalizables)
    if size != len(data):
        raise RemoteProtocolError(f"{len(data) - size} bytes follow the value", spec="AMF 3, 3.1")
    return value


def decode_prefix(
    data: bytes | bytearray | memoryview,
    *,
    limits: Limits = DEFAULT_LIMITS,
    externalizables: Externalizables = NO_EXTERNALIZABLES,
) -> tuple[Value, int]:
    """The first value in `data`, and how many bytes it has; what follows is not looked at.

    Arguments are those of `decode`.

    Raises:
        RemoteProtocolError: it is malformed, truncated or beyond a limit.
    """
    decoder = Amf3Decoder(bytes(data), limits, externalizables)
    return decoder.read_value(), decoder.position


def decode_all(
    data: bytes | bytearray | memoryview,
    *,
    limits: Limits = DEFAULT_LIMITS,
    externalizables: Externalizables = NO_EXTERNALIZABLES,
) -> list[Value]:
    """All values up to the end of `data`; none where it is empty.

    Arguments are those of `decode`; the limits are for all values together.

    Raises:
        RemoteProtocolError: one is malformed, truncated or beyond a limit.
    """
    decoder = Amf3Decoder(bytes(data), limits, externalizables)
    values: list[Value] = []
    while decoder.position < len(decoder.data):
        values.append(decoder.read_value())
    return values


def encode(
    value: object,
    *,
    limits: Limits = DEFAULT_LIMITS,
    externalizables: Externalizables = NO_EXTERNALIZABLES,
) -> bytes:
    """The bytes of one value.

    Args:
        value: a `Value`, or what Python has in its stead: subclasses of these types, tuples as lists, bytearray as
            bytes. `UNSUPPORTED` is AMF 0's alone. One object that is met twice is sent by reference (2.2).
        limits: the depth; numbers of values are not limited here.
        externalizables: codecs by class name, for `Externalizable`.

    Raises:
        LocalProtocolError: AMF 3 has no type for it, it is too deep, too long or a name is empty, an int is beyond
            what a double holds exactly, or a string holds a surrogate that stands for no byte.
    """
    return encode_all((value,), limits=limits, externalizables=externalizables)


def encode_all(
    values: Iterable[object],
    *,
    limits: Limits = DEFAULT_LIMITS,
    externalizables: Externalizables = NO_EXTERNALIZABLES,
) -> bytes:
    """The bytes of a message that holds these values, one behind the other.

    Arguments and errors are those of `encode`.

    Raises:
        LocalProtocolError: as in `encode`, of any of them.
    """
    encoder = Amf3Encoder(limits, externalizables, bytearray())
    for value in values:
        encoder.write_value(value)
    return bytes(encoder.output)
