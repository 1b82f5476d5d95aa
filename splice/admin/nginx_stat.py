"""What nginx-rtmp's `rtmp_stat all` answers, of this door: the same elements, for the scripts that read them.

    Inventory's streams, the tables of viewers and publishers, the log's events --> NginxStat --> text/xml

An application here is one that has a stream. `nclients` counts the publisher as well, as nginx does; ids are those of
the API. What nginx knows and the door does not is 0 or empty: dropped frames, and how far audio and video are apart.
"""

import os
import platform
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final
from xml.etree import ElementTree as ET

import trio

from splice.admin.inventory import House, Inventory
from splice.admin.models import Audio, StreamItem, Video
from splice.stats import Publisher, Viewer

__all__ = ["CONTENT_TYPE", "NginxStat"]

CONTENT_TYPE: Final = "text/xml"

_WINDOW_S: Final = 10.0  # nginx-rtmp's, over which it measures bandwidth
_NOT_IN_XML: Final = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")  # XML 1.0, 2.2
_AVC: Final = re.compile(r"avc1\.([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})")
_AVC_PROFILES: Final = {66: "Baseline", 77: "Main", 100: "High"}
_AAC: Final = re.compile(r"mp4a\.40\.([0-9]+)")
_AAC_PROFILES: Final = {1: "Main", 2: "LC", 3: "SSR", 4: "LTP", 5: "HE", 29: "HEv2"}
_NAMES: Final = {
    "avc1": "H264",
    "hvc1": "H265",
    "hev1": "H265",
    "vvc1": "H266",
    "av01": "AV1",
    "vp08": "VP8",
    "vp09": "VP9",
    "FLV1": "Sorenson-H263",
    "FSV1": "ScreenVideo",
    "FSV2": "ScreenVideo2",
    "VP6F": "On2-VP6",
    "VP6A": "On2-VP6-Alpha",
    "mp4a": "AAC",
    ".mp3": "MP3",
    "SWFA": "ADPCM",
    "NELL": "Nellymoser",
    "alaw": "G711A",
    "ulaw": "G711U",
    "spex": "Speex",
}
"""nginx-rtmp's names of codecs, and for those that it does not know the usual ones."""


class NginxStat:
    """See the module. All its methods are for Trio's thread."""

    def __init__(self, house: House, inventory: Inventory) -> None:
        self._house: Final = house
        self._inventory: Final = inventory
        self._started_at: Final = trio.current_time()
        self._accepted = 0
        self._received_before = 0
        self._sent_before = 0
        self._sent: dict[str, _Bandwidth] = {}

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the log's."""
        match event["event"]:
            case "viewer.start" | "publisher.start":
                self._accepted += 1
            case "viewer.end":
                self._sent_before += event["bytes"]
            case "publisher.end" | "pull.end":
                self._received_before += event["bytes"]

    def xml(self) -> bytes:
        """The whole document."""
        items = self._inventory.streams()
        viewers: dict[str, list[Viewer]] = defaultdict(list)
        for viewer in self._house.viewers:
            viewers[self._inventory.watched_by(viewer).id].append(viewer)
        publishers = {publisher.id: publisher for publisher in self._house.publishers}
        now = trio.current_time()
        self._sent = {item.id: self._sent.get(item.id) or _Bandwidth(item.bytes_out, now) for item in items}
        sent = {item.id: self._sent[item.id].bits(item.bytes_out, now) for item in items}

        root = ET.Element("rtmp")
        self._add_totals(root, items, sum(sent.values()))
        server = ET.SubElement(root, "server")
        applications: dict[str, list[StreamItem]] = defaultdict(list)
        for item in items:
            applications[item.name.partition("/")[0]].append(item)
        for name, streams in applications.items():
            application = ET.SubElement(server, "application")
            _add(application, "name", name)
            live = ET.SubElement(application, "live")
            clients = 0
            for item in streams:
                publisher = None if item.publisher is None else publishers.get(item.publisher.id)
                _add_stream(live, item, sent[item.id], publisher, viewers[item.id])
                clients += len(viewers[item.id]) + (publisher is not None)
            _add(live, "nclients", clients)
        document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return document

    def _add_totals(self, root: ET.Element, items: list[StreamItem], sent_bits: int) -> None:
        version = self._house.version
        received = self._received_before + sum(publisher.bytes for publisher in self._house.publishers)
        spliced = [item for item in items if item.route == "splice"]
        _add(root, "nginx_version", version)
        _add(root, "nginx_rtmp_version", version)
        _add(root, "compiler", f"{platform.python_implementation()} {platform.python_version()}")
        _add(root, "built", "")
        _add(root, "pid", os.getpid())
        _add(root, "uptime", int(trio.current_time() - self._started_at))
        _add(root, "naccepted", self._accepted)
        received_bits = sum(_bits(item.bit_rate_kbps) for item in items)
        _add(root, "bw_in", received_bits + sum(self._sent[item.id].last_bits for item in spliced))
        _add(root, "bytes_in", received + sum(item.bytes_in for item in spliced))
        _add(root, "bw_out", sent_bits)
        _add(root, "bytes_out", self._sent_before + sum(viewer.bytes for viewer in self._house.viewers))


class _Bandwidth:
    """Bits a second, measured over windows of `_WINDOW_S` or longer that begin when somebody asks; 0 in the first."""

    def __init__(self, count: int, now: float) -> None:
        self._count = count
        self._since = now
        self.last_bits = 0

    def bits(self, count: int, now: float) -> int:
        seconds = now - self._since
        if seconds >= _WINDOW_S:
            self.last_bits = round(max(0, count - self._count) * 8 / seconds)
            self._count, self._since = count, now
        return self.last_bits


def _add_stream(
    live: ET.Element, item: StreamItem, sent_bits: int, publisher: Publisher | None, viewers: list[Viewer]
) -> None:
    stream = ET.SubElement(live, "stream")
    video_bits = 0 if item.video is None else _bits(item.video.bit_rate_kbps)
    audio_bits = 0 if item.audio is None else _bits(item.audio.bit_rate_kbps)
    oldest_s = max((client.seconds for client in (publisher, *viewers) if client is not None), default=0.0)
    _add(stream, "name", item.name.partition("/")[2])
    _add(stream, "time", round(oldest_s * 1000))
    _add(stream, "bw_in", sent_bits if item.route == "splice" else _bits(item.bit_rate_kbps))
    _add(stream, "bytes_in", item.bytes_in)
    _add(stream, "bw_out", sent_bits)
    _add(stream, "bytes_out", item.bytes_out)
    _add(stream, "bw_audio", audio_bits)
    _add(stream, "bw_video", video_bits)
    for client in (*viewers, publisher):
        if client is not None:
            _add_client(stream, client, publishing=client is publisher)
    if publisher is not None or item.route == "splice":
        meta = ET.SubElement(stream, "meta")
        _add_video(ET.SubElement(meta, "video"), item.video)
        _add_audio(ET.SubElement(meta, "audio"), item.audio)
    _add(stream, "nclients", len(viewers) + (publisher is not None))
    if publisher is not None:
        ET.SubElement(stream, "publishing")
    if publisher is not None or item.route == "splice":
        ET.SubElement(stream, "active")


def _add_client(stream: ET.Element, client: Viewer | Publisher, *, publishing: bool) -> None:
    element = ET.SubElement(stream, "client")
    _add(element, "id", client.id)
    _add(element, "address", client.address)
    _add(element, "time", round(client.seconds * 1000))
    if client.program:
        _add(element, "flashver", client.program)
    _add(element, "dropped", 0)
    _add(element, "avsync", "")
    _add(element, "timestamp", client.clock_ms)
    if publishing:
        ET.SubElement(element, "publishing")
    ET.SubElement(element, "active")


def _add_video(element: ET.Element, video: Video | None) -> None:
    _add(element, "width", (video and video.width) or 0)
    _add(element, "height", (video and video.height) or 0)
    _add(element, "frame_rate", round((video and video.frame_rate) or 0))
    if video is None or video.codec is None:
        return
    _add(element, "codec", _NAMES.get(video.codec[:4], video.codec))
    avc = _AVC.fullmatch(video.codec)
    if avc is not None:
        profile, compatibility, level = (int(number, 16) for number in avc.groups())
        _add(element, "profile", _AVC_PROFILES.get(profile, ""))
        _add(element, "compat", compatibility)
        _add(element, "level", f"{level / 10:.1f}")


def _add_audio(element: ET.Element, audio: Audio | None) -> None:
    if audio is None:
        return
    if audio.codec is not None:
        _add(element, "codec", _NAMES.get(audio.codec[:4], audio.codec))
        aac = _AAC.fullmatch(audio.codec)
        if aac is not None:
            _add(element, "profile", _AAC_PROFILES.get(int(aac[1]), ""))
    if audio.channels:
        _add(element, "channels", audio.channels)
    if audio.sample_rate:
        _add(element, "sample_rate", audio.sample_rate)


def _add(parent: ET.Element, name: str, value: str | int) -> None:
    # ElementTree escapes; what no XML may hold, however it is written, is left out here.
    ET.SubElement(parent, name).text = _NOT_IN_XML.sub("", str(value))


def _bits(kbps: float | None) -> int:
    return round((kbps or 0) * 1000)
