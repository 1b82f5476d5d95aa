"""Classes that write their own bytes: how a caller teaches both AMF 3 codecs to read and write them (AMF 3, 3.12 and
4.2).

Nothing on the wire tells how long such an object is, so one whose class is not in the caller's registry ends the
decoding.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from protocol.amf._values import Value

__all__ = ["NO_EXTERNALIZABLES", "SINGLE_VALUE", "DataInput", "DataOutput", "ExternalizableCodec", "Externalizables"]


class DataInput(Protocol):
    """What an externalizable object's bytes are read from, after flash.utils.IDataInput."""

    def read_bytes(self, count: int) -> bytes:
        """The next `count` bytes, 0 or more.

        Raises:
            RemoteProtocolError: fewer are left.
        """

    def read_value(self) -> Value:
        """The next AMF 3 value, which shares the reference tables of what surrounds it.

        Raises:
            RemoteProtocolError: it breaks the format or a limit.
        """


class DataOutput(Protocol):
    """What an externalizable object's bytes are written to, after flash.utils.IDataOutput."""

    def write_bytes(self, data: bytes) -> None:
        """Write these bytes as they are."""

    def write_value(self, value: object) -> None:
        """Write an AMF 3 value, which shares the reference tables of what surrounds it.

        Raises:
            LocalProtocolError: AMF 3 cannot hold it.
        """


@dataclass(frozen=True, slots=True)
class ExternalizableCodec:
    """How objects of one externalizable class are read and written.

    Attributes:
        read: takes the object's bytes and returns the `content` of the `Externalizable`. What it raises passes through
            the decoder, so for bytes that it dislikes let it raise `RemoteProtocolError`.
        write: is given a `content`, and writes the same bytes that `read` would take.
    """

    read: Callable[[DataInput], object]
    write: Callable[[DataOutput, object], None]


Externalizables: TypeAlias = Mapping[str, ExternalizableCodec]
"""A registry: codecs by class name."""

NO_EXTERNALIZABLES: Final[Externalizables] = MappingProxyType({})

SINGLE_VALUE: Final = ExternalizableCodec(
    read=lambda data_input: data_input.read_value(),
    write=lambda data_output, content: data_output.write_value(content),
)
"""For classes that write one AMF 3 value and no more, as flex.messaging.io.ArrayCollection and ObjectProxy do."""
