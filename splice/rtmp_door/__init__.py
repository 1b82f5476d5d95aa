"""The RTMP side of the door: publishers and players.

accept -> handshake, connect -> publish -> access, limits, name -> every message to the LiveStream
                             -> play    -> access, limits, name -> the LiveStream's packets to the socket
door                            publishing, playing; player: what one says while it plays
"""

from splice.rtmp_door.door import RtmpDoor
from splice.rtmp_door.requests import RtmpRules

__all__ = ["RtmpDoor", "RtmpRules"]
