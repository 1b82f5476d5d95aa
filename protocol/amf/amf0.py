"""AMF 0, the format of RTMP's commands and of FLV's script data (AMF 0 specification).

Whole bytes in, values out, and back: an AMF value does not tell its length, so there is nothing to feed in pieces.
One call is one message, whose values share the reference table. Types are those of `protocol.amf.Value`: numbers are
`float`, and a Python int goes out as a number; strings that are not UTF-8 hold surrogate escapes and go out as the
bytes that came in. A value behind the avmplus-object-marker is AMF 3, the next one is AMF 0 again. What was decoded
encodes to bytes that decode to the same (what came in AMF 3 may go out in AMF 0, where an integer is a number like
any other).

Limits: `Limits.amf_depth`, at most 128 here, and `Limits.amf_values`, in which a reference counts as much as what it
refers to. So a value without cycles is never larger to walk than that, however few bytes it came in; who walks values
that may hold themselves (only reference markers make them) has to watch for it.
"""

from collections.abc import Iterable

from protocol._base import Limits, RemoteProtocolError
from protocol.amf._amf0_decoder import Amf0Decoder
from protocol.amf._amf0_encoder import Amf0Encoder
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
        externalizables: codecs by class name, for AMF 3 values.

    Raises:
        RemoteProtocolError: it is malformed, truncated, beyond a limit, or bytes follow it.
    """
    value, size = decode_prefix(data, limits=limits, externalizables=externalizables)
    if size != len(data):
        raise RemoteProtocolError(f"{len(data) - size} bytes follow the value", spec="AMF 0, 2.1")
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
    decoder = Amf0Decoder(bytes(data), limits, externalizables)
    return decoder.read_value(), decoder.position


def decode_all(
    data: bytes | bytearray | memoryview,
    *,
    limits: Limits = DEFAULT_LIMITS,
    externalizables: Externalizables = NO_EXTERNALIZABLES,
) -> list[Value]:
    """All values of a message up to its end, as RTMP's commands and data messages hold them; none where it is empty.

    Arguments are those of `decode`; the limits are for all values together.

    Raises:
        RemoteProtocolError: one is malformed, truncated or beyond a limit.
    """
    decoder = Amf0Decoder(bytes(data), limits, externalizables)
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
            bytes, `AvmPlus` around what shall be AMF 3. One object that is met twice is sent by reference, as the
            specification asks (2.9).
        limits: the depth; numbers of values are not limited here.
        externalizables: codecs by class name, for `Externalizable`.

    Raises:
        LocalProtocolError: AMF has no type for it, it is too deep, a name or text is too long, an int is beyond what a
            double holds exactly, or a string holds a surrogate that stands for no byte.
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
    encoder = Amf0Encoder(limits, externalizables)
    for value in values:
        encoder.write_value(value)
    return bytes(encoder.output)
