"""The recorded files, and a decoder run over them."""

import itertools
from collections.abc import Iterable
from pathlib import Path

from protocol import NEED_DATA, Limits
from protocol.flv import FlvDecoder, FlvEvent, Tag

VECTORS = Path(__file__).parent / "vectors"
NAMES = sorted(path.stem for path in VECTORS.glob("*.flv"))


def recorded(name: str) -> bytes:
    return (VECTORS / f"{name}.flv").read_bytes()


def drain(decoder: FlvDecoder) -> list[FlvEvent]:
    events = []
    while (event := decoder.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def replay(pieces: Iterable[bytes], *, lenient: bool = False, limits: Limits | None = None) -> list[FlvEvent]:
    """All events of a whole file."""
    decoder = FlvDecoder(limits=limits or Limits(), lenient=lenient)
    events = []
    for piece in pieces:
        decoder.receive_data(piece)
        events += drain(decoder)
    decoder.end()
    return events


def tags(name: str, tag_type: int) -> list[Tag]:
    return [event for event in replay([recorded(name)]) if isinstance(event, Tag) and event.type == tag_type]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces, cut at these places; some may be empty."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]
