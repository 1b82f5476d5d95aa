"""The hub, scheme two: one copy of a stream in, any number of viewers out.

    RTMP publisher ---.                                                   .--> HTTP-FLV viewers   (egress)
    (rtmp_door)       |  push(kind, timestamp, payload)                   |
                      |                                                   |--> WS-FLV viewers     (egress)
    pull from an -----+--> LiveStream --> Timeline --> Packet --> Batch --+
    origin (pull)     |                      |                            |--> RTMP players       (rtmp_door)
                      |                   GopCache                        |
    pull over RTMP ---'                  (who joins)                      '--> other servers      (forward)

A packet is put on the stream's one clock (`timeline`), joined with those of the next milliseconds to a batch
(`live_stream`), encoded once for each form that somebody wants (`formats`), and offered to every viewer in one plain
loop; what a viewer's socket refuses waits in its bounded backlog (`subscriber`). Who joins gets metadata, codec
configurations and the packets since the newest keyframe (`gop_cache`). `registry` holds the streams by name.
"""

from splice.hub.batch import Batch
from splice.hub.formats import CHUNKED_FLV, FLV, WEBSOCKET_FLV, Form, RtmpForm, only
from splice.hub.live_stream import HubLimits, LiveStream
from splice.hub.registry import Hub, NameTakenError
from splice.hub.subscriber import Subscriber
from splice.hub.tracks import Tracks

__all__ = [
    "CHUNKED_FLV",
    "FLV",
    "WEBSOCKET_FLV",
    "Batch",
    "Form",
    "Hub",
    "HubLimits",
    "LiveStream",
    "NameTakenError",
    "RtmpForm",
    "Subscriber",
    "Tracks",
    "only",
]
