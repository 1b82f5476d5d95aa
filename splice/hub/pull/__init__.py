"""Pulls: streams that the door fetches from origins, by RTMP or by HTTP-FLV, once for all who watch.

pulls      the table: who asks shares a pull, or starts it; and what is pulled without viewers
pull       one stream: which address is asked, when again, when no more
over_rtmp, over_http
           a connection to one address, and the media that comes over it
source     what the two have in common
"""

from splice.hub.pull.pulls import Pulls
from splice.hub.pull.source import PullTimeouts

__all__ = ["PullTimeouts", "Pulls"]
