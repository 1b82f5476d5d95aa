"""Each target finds a decoder that was broken on purpose, in a way in which such decoders have been broken."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from wsproto.events import Ping

from fuzz.mutation import find_failure
from fuzz.targets import NAMES, load, seeds
from protocol._base import Limits, ReceiveBuffer
from protocol.amf import Value
from protocol.amf._amf3_decoder import Amf3Decoder
from protocol.amf._cursor import Cursor
from protocol.flv._bits import ByteReader
from protocol.rtmp import ChunkReader, SharedBudget, commands
from protocol.rtmp.chunk_streams import ChunkStreams
from protocol.rtmp.commands import Command
from protocol.rtmp.messages import MediaKind
from splice import proxy_header, routing
from splice.http import WebSocketSession, framing
from splice.http.lines import LineBuffer
from splice.hub.subscriber import Subscriber
from splice.hub.timeline import Timeline
from splice.proxy_header import ProxyHeader

TRIES = 5000


def forgets_what_was_searched(self: Any, data: bytes) -> None:
    """`_searched` stays where it was, so a line's end behind it is passed over."""
    del self._data[: self._start]
    self._start = 0
    self._data += data


def takes_any_two_bytes_for_crlf(self: Any) -> bool:
    """The end of a chunk's data is not looked at, nor whether it has come."""
    self._lines.take_up_to(2)
    self._state = framing._ChunkState.SIZE
    return True


def looks_for_nothing_hidden(field: bytes) -> None:
    """A parameter behind a semicolon passes."""


def hands_out_what_is_there(self: Any, count: int) -> bytes:
    """A short read passes for a whole one."""
    taken = self.peek(count)
    del self._data[:count]
    return bytes(taken)


def reads_past_the_end(self: Any, count: int) -> bytes:
    """A field that is cut short passes for a whole one."""
    taken = self._data[self._position : self._position + count]
    self._position += count
    return bytes(taken)


def takes_what_is_left(self: Any, count: int, spec: str) -> bytes:
    """A value that is cut short passes for a whole one."""
    start = self.position
    self.position = min(start + count, len(self.data))
    return bytes(self.data[start : self.position])


def knows_two_markers(self: Any) -> Value:
    """A marker that nobody foresaw raises KeyError."""
    return {2: False, 3: True}[self.take(1, "")[0]]


def takes_the_line_for_ended(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Version 1 is read out of what the first packet has brought."""
    return ProxyHeader(None), len(data)


def answers_one_ping_a_read(self: Any, data: bytes) -> bytes:
    """What else comes with the same bytes is lost."""
    self._connection.receive_data(data)
    for event in self._connection.events():
        if isinstance(event, Ping):
            return bytes(self._connection.send(event.response()))
    return b""


def takes_a_missing_argument_for_granted(command: Command, index: int) -> Value:
    return command.arguments[index]


def never_waits(self: Any, stream: Any, data: bytes, position: int, limits: Limits) -> tuple[Any, int]:
    """Whether the extended timestamp is repeated is decided before its four bytes have come."""
    field = data[position : position + 4]
    if stream.extended and field == stream.timestamp.to_bytes(4, "big"):
        position += 4
    if not stream.missing:
        stream.missing = stream.length
    return stream, position


def forgets_what_it_counted(self: Any, payload: bytes) -> None:
    """What came of an aborted message is dropped, and stays counted."""
    stream = self._streams.known.get(int.from_bytes(payload[:4], "big"))
    if stream is not None:
        stream.payload = None
        stream.missing = 0


def passes_times_through(self: Any, kind: MediaKind, track: int, timestamp: int) -> int:
    """A publisher's clock is shown as it is."""
    return timestamp


BREAKAGES: dict[str, list[tuple[Any, str, object]]] = {
    "http_request_head": [(LineBuffer, "receive_data", forgets_what_was_searched)],
    "http_response": [
        (LineBuffer, "receive_data", forgets_what_was_searched),
        (framing._ChunkedDecoder, "_take_data_end", takes_any_two_bytes_for_crlf),
    ],
    "query_routing": [(routing, "_no_parameter_inside", looks_for_nothing_hidden)],
    "websocket_input": [(WebSocketSession, "receive_data", answers_one_ping_a_read)],
    "proxy_header": [(proxy_header, "_parse_v1", takes_the_line_for_ended)],
    "amf0": [(Cursor, "take", takes_what_is_left)],
    "amf3": [(Amf3Decoder, "read_value", knows_two_markers)],
    "flv_decoder": [(ReceiveBuffer, "take", hands_out_what_is_there)],
    "media_headers": [(ByteReader, "take", reads_past_the_end)],
    "chunk_reader": [
        (ChunkStreams, "_apply_fmt3", never_waits),
        (ChunkReader, "_abort", forgets_what_it_counted),
        (SharedBudget, "release", lambda *_: None),
    ],
    "handshake": [(ReceiveBuffer, "take", hands_out_what_is_there)],
    "server_session": [(commands, "_argument", takes_a_missing_argument_for_granted)],
    "client_session": [(commands, "_argument", takes_a_missing_argument_for_granted)],
    "hub": [(Timeline, "place", passes_times_through), (Subscriber, "_has_room", lambda *_: True)],
}


@pytest.mark.parametrize(
    ("name", "owner", "attribute", "broken"),
    [(name, *breakage) for name, breakages in BREAKAGES.items() for breakage in breakages],
)
def test_a_broken_decoder_is_found_by_its_target(
    name: str, owner: Any, attribute: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    check: Callable[[bytes], None] = load(name).check
    monkeypatch.setattr(owner, attribute, broken)
    chance = random.Random(name)
    assert find_failure(check, [seed.read_bytes() for seed in seeds(name)], tries=TRIES, chance=chance) is not None


def test_there_is_a_broken_decoder_for_every_target() -> None:
    assert set(BREAKAGES) == set(NAMES)
