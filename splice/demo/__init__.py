"""The demo: an embedded HTTP-FLV origin with a clip of its own, so that the door shows a picture with nothing else."""

from splice.demo.clip import Clip, Playback, Tag
from splice.demo.origin import DemoOrigin

__all__ = ["Clip", "DemoOrigin", "Playback", "Tag"]
