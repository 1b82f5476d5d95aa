"""What a viewer who joins is given first: metadata, codec configurations, and all packets since the newest keyframe."""

from collections.abc import Iterable

from protocol import timestamp_difference
from protocol.rtmp import MediaKind
from splice.hub.packet import Packet, PacketRole

__all__ = ["GopCache"]


class GopCache:
    """The packets from exactly the newest keyframe on, bounded; and what has to come before them.

    A group of pictures that passes a bound is forgotten whole: who joins then waits for the next keyframe.
    """

    def __init__(self, *, max_bytes: int, max_s: float) -> None:
        """Args: the bounds of what is kept; 0 seconds: no packet is."""
        self._max_bytes = max_bytes
        self._max_ms = max_s * 1000
        self._metadata: Packet | None = None
        self._configurations: dict[tuple[MediaKind, int, bool], Packet] = {}
        self._before_keyframe: tuple[Packet, ...] = ()
        self._packets: list[Packet] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def bytes(self) -> int:
        """How many bytes of payload are kept."""
        return self._bytes

    @property
    def packets(self) -> Iterable[Packet]:
        """The packets since the newest keyframe; none where there is no whole group."""
        return self._packets

    def add_metadata(self, packet: Packet) -> None:
        """Keep onMetaData for those who join."""
        self._metadata = packet

    def add(self, packet: Packet) -> None:
        """Take the next packet of the stream."""
        if packet.role is PacketRole.CONFIGURATION:
            # A multichannel configuration and a codec's are both in force at the same time; so are colours and codec.
            self._configurations[packet.kind, packet.track, _is_second_kind(packet)] = packet
        elif packet.role is PacketRole.KEYFRAME:
            self._forget_packets()
            self._before_keyframe = tuple(self._configurations.values())
            if self._max_ms > 0:
                self._keep(packet)
            return
        if self._packets:
            self._keep(packet)

    def forget(self) -> None:
        """Forget everything: another publisher begins."""
        self._metadata = None
        self._configurations.clear()
        self._before_keyframe = ()
        self._forget_packets()

    def headers(self, timestamp: int) -> list[Packet]:
        """What a decoder needs before a packet of `timestamp`, in the order to send it, at that time."""
        found = [] if self._metadata is None else [self._metadata]
        found += self._configurations.values()
        return [packet.at(timestamp) for packet in found]

    def joined(self) -> list[Packet]:
        """Headers and packets as a viewer who joins now gets them; headers alone where no group is kept."""
        if not self._packets:
            return []
        found = [] if self._metadata is None else [self._metadata]
        found += self._before_keyframe
        return [packet.at(self._packets[0].timestamp) for packet in found] + self._packets

    def _keep(self, packet: Packet) -> None:
        self._packets.append(packet)
        self._bytes += len(packet.payload)
        age_ms = timestamp_difference(packet.timestamp, self._packets[0].timestamp)
        if self._bytes > self._max_bytes or age_ms > self._max_ms:
            self._forget_packets()

    def _forget_packets(self) -> None:
        self._packets = []
        self._bytes = 0


def _is_second_kind(packet: Packet) -> bool:
    """Whether a configuration stands beside its track's codec configuration rather than in its place."""
    low_bits = packet.payload[0] & 0x0F if packet.payload else 0
    return packet.payload[:1] >= b"\x80" and low_bits == 4  # Metadata (video), MultichannelConfig (audio)
