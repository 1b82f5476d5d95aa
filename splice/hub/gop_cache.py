"""What a viewer who joins is given first: metadata, codec configurations, and all packets since the newest keyframe."""

from collections.abc import Iterable
from typing import Final, TypeAlias

from protocol import RemoteProtocolError, timestamp_difference
from protocol.flv import decode_audio_data, decode_video_data
from protocol.rtmp import MediaKind
from splice.hub.packet import Packet, PacketRole

__all__ = ["GopCache"]

# Real streams have two or three configurations of some hundred bytes each; a publisher who sends more than this of them
# loses the oldest.
_MAX_CONFIGURATIONS: Final = 64
_MAX_CONFIGURATION_BYTES: Final = 1024 * 1024

_Configured: TypeAlias = tuple[MediaKind, int | None, tuple[int, ...]]
"""What a configuration sets up: it replaces that of the same packet type and tracks, and stands beside all others."""


class GopCache:
    """The packets from exactly the newest keyframe on, bounded; and what has to come before them.

    A group of pictures that passes a bound is forgotten whole: who joins then waits for the next keyframe.
    """

    def __init__(self, *, max_bytes: int, max_s: float) -> None:
        """Args: the bounds of what is kept; 0 seconds: no packet is."""
        self._max_bytes = max_bytes
        self._max_ms = max_s * 1000
        self._metadata: Packet | None = None
        self._configurations: dict[_Configured, Packet] = {}  # in the order in which they came
        self._configuration_bytes = 0
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

    def add(self, packet: Packet) -> None:
        """Take the next packet of the stream."""
        if packet.role is PacketRole.METADATA:
            self._metadata = packet
            return
        if packet.role is PacketRole.CONFIGURATION:
            self._keep_configuration(packet)
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
        self._configuration_bytes = 0
        self._before_keyframe = ()
        self._forget_packets()

    def headers(self, timestamp: int) -> list[Packet]:
        """What a viewer needs who joins before a packet of `timestamp`, in the order to send it."""
        return self._opening_metadata() + self.configurations(timestamp)

    def configurations(self, timestamp: int) -> list[Packet]:
        """What a decoder needs before a packet of `timestamp`, at that time."""
        return [packet.at(timestamp) for packet in self._configurations.values()]

    def joined(self) -> list[Packet]:
        """Headers and packets as a viewer who joins now gets them; nothing where no group is kept."""
        if not self._packets:
            return []
        begin = self._packets[0].timestamp
        return self._opening_metadata() + [packet.at(begin) for packet in self._before_keyframe] + self._packets

    def _opening_metadata(self) -> list[Packet]:
        # At 0, as at the beginning of a file: ffmpeg takes an onMetaData of any other time for a track of subtitles,
        # and then waits for these when it writes a file.
        return [] if self._metadata is None else [self._metadata.at(0)]

    def _keep(self, packet: Packet) -> None:
        self._packets.append(packet)
        self._bytes += len(packet.payload)
        age_ms = timestamp_difference(packet.timestamp, self._packets[0].timestamp)
        if self._bytes > self._max_bytes or age_ms > self._max_ms:
            self._forget_packets()

    def _keep_configuration(self, packet: Packet) -> None:
        what = _what_is_configured(packet)
        replaced = self._configurations.pop(what, None)
        self._configurations[what] = packet
        self._configuration_bytes += len(packet.payload) - (0 if replaced is None else len(replaced.payload))
        while self._configuration_bytes > _MAX_CONFIGURATION_BYTES or len(self._configurations) > _MAX_CONFIGURATIONS:
            oldest = next(iter(self._configurations))
            self._configuration_bytes -= len(self._configurations.pop(oldest).payload)

    def _forget_packets(self) -> None:
        self._packets = []
        self._bytes = 0


def _what_is_configured(packet: Packet) -> _Configured:
    try:
        decoded = (decode_audio_data if packet.kind is MediaKind.AUDIO else decode_video_data)(packet.payload)
    except RemoteProtocolError:
        return packet.kind, None, (packet.track,)
    return packet.kind, decoded.packet_type, tuple([track.track_id for track in decoded.tracks])
