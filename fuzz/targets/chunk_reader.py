"""RTMP chunks (protocol/rtmp/chunk_reader.py, chunk_streams.py; RTMP 1.0, 5.3 and 5.4).

Invariant: any bytes give messages, a wait for more, or `RemoteProtocolError`; however they are cut, and with a pause
after every few chunks, the same messages and the same error. The reader holds no more than came, and no more than
its limits; every message costs at least a byte. Written down again, messages are read as they were. When the reader
is closed, the budget that many share is whole.

Reading again, in pieces or written anew, costs as much as reading once. So every input is held to what one reading
shows, and, as its bytes decide, to one of the two comparisons or to none: what one input is spared, its neighbours are
not, and there are three times as many of them.
"""

import zlib
from collections.abc import Sequence
from typing import Final

from fuzz.pieces import choice, pieces
from protocol import NEED_DATA, Limits, RemoteProtocolError
from protocol.rtmp import PAUSED, ChunkReader, ChunkWriter, ExtendedTimestamps, MessageType, RawMessage, SharedBudget

CODE: Final = ("protocol/rtmp/chunk_reader.py", "protocol/rtmp/chunk_streams.py")
MAX_BYTES: Final = 192
_TIGHT: Final = Limits(buffered_bytes=64, message_bytes=4096, chunk_streams=4)
_LOOSE: Final = Limits(buffered_bytes=MAX_BYTES, message_bytes=4096, chunk_streams=4)
"""For readers that pause: what they hold meanwhile counts as well, and how much that is depends on the cuts."""
_MOST_CHUNKS_A_TURN: Final = 4
_MOST_MESSAGES: Final = 32
"""What stands behind so many is not looked at; there is coverage to gain by hundreds of empty ones, and no news."""
_CONTROL: Final = (MessageType.SET_CHUNK_SIZE, MessageType.ABORT)
_SETTINGS: Final = tuple(ExtendedTimestamps)
_IN_PIECES_OF_16: Final = 6
_WRITTEN_OF_16: Final = 2


def check(data: bytes) -> None:
    setting = _SETTINGS[choice(data, len(_SETTINGS))]
    allowance = choice(data, 1 + _MOST_CHUNKS_A_TURN) or None
    limits = _LOOSE if allowance else _TIGHT
    messages, error = _read([data], setting, limits)
    lot = zlib.crc32(data) >> 28
    if lot < _IN_PIECES_OF_16:
        in_pieces = _read(pieces(data), setting, limits, allowance)
        assert in_pieces == (messages, error), f"whole: {messages} {error}; in pieces: {in_pieces}"
    elif lot >= 16 - _WRITTEN_OF_16:
        _write_and_read_again(messages)


def _write_and_read_again(messages: list[RawMessage]) -> None:
    # What stands behind a control message's four bytes is passed over by the reader, and not to be sent.
    messages = [each._replace(payload=each.payload[:4]) if each.type_id in _CONTROL else each for each in messages]
    writer = ChunkWriter()
    written = [writer.send(message) for message in messages]
    again = _read(written, ExtendedTimestamps.REPEATED, Limits())
    assert again == (messages, ""), f"{messages} come back as {again}"


def _read(
    received: Sequence[bytes], setting: ExtendedTimestamps, limits: Limits, allowance: int | None = None
) -> tuple[list[RawMessage], str]:
    budget = SharedBudget(limits.buffered_bytes)
    reader = ChunkReader(limits=limits, extended_timestamp_on_fmt3=setting, budget=budget)
    messages: list[RawMessage] = []
    error = ""
    try:
        for piece in received:
            reader.receive_data(piece)
            reader.chunk_allowance = allowance
            while len(messages) < _MOST_MESSAGES and (event := reader.next_event()) is not NEED_DATA:
                if event is PAUSED:
                    assert reader.chunk_allowance == 0
                    reader.chunk_allowance = allowance
                else:
                    messages.append(event)
            if len(messages) == _MOST_MESSAGES:
                break
            assert reader.bytes_held <= min(reader.bytes_received, limits.buffered_bytes + 18)
            assert budget.reserved_bytes <= reader.bytes_held
    except RemoteProtocolError as refusal:
        error = str(refusal)
        assert reader.bytes_held <= reader.bytes_received
    assert len(messages) <= reader.chunks_read <= reader.bytes_received
    reader.close()
    assert budget.reserved_bytes == 0 and reader.bytes_held == reader.bytes_received - reader.bytes_read
    return messages, error
