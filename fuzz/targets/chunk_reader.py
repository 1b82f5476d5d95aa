"""RTMP chunks (protocol/rtmp/chunk_reader.py; RTMP 1.0, 5.3 and 5.4).

Invariant: any bytes give messages, a wait for more, or `RemoteProtocolError`; however they are cut, and with a pause
after every few chunks, the same messages and the same error. The reader holds no more than came, and no more than
its limits; every message costs at least a byte. Written down again, messages are read as they were. When the reader
is closed, the budget that many share is whole.
"""

from collections.abc import Sequence
from typing import Final

from fuzz.pieces import choice, pieces
from protocol import NEED_DATA, Limits, RemoteProtocolError
from protocol.rtmp import PAUSED, ChunkReader, ChunkWriter, ExtendedTimestamps, MessageType, RawMessage, SharedBudget

MAX_BYTES: Final = 512
_LIMITS: Final = Limits(buffered_bytes=1024, message_bytes=4096, chunk_streams=4)
_MOST_CHUNKS_A_TURN: Final = 4
_CONTROL: Final = (MessageType.SET_CHUNK_SIZE, MessageType.ABORT)
_SETTINGS: Final = tuple(ExtendedTimestamps)


def check(data: bytes) -> None:
    setting = _SETTINGS[choice(data, len(_SETTINGS))]
    messages, error = _read([data], setting, allowance=None)
    in_pieces = _read(pieces(data), setting, allowance=1 + choice(data, _MOST_CHUNKS_A_TURN))
    assert in_pieces == (messages, error), f"whole: {messages} {error}; in pieces: {in_pieces}"
    if choice(data, 4):
        return  # writing costs as much as reading; every fourth input is enough of it
    # What stands behind a control message's four bytes is passed over by the reader, and not to be sent.
    messages = [each._replace(payload=each.payload[:4]) if each.type_id in _CONTROL else each for each in messages]
    writer = ChunkWriter()
    written = [writer.send(message) for message in messages]
    again = _read(written, ExtendedTimestamps.REPEATED, allowance=None, limits=Limits())
    assert again == (messages, ""), f"{messages} come back as {again}"


def _read(
    received: Sequence[bytes], setting: ExtendedTimestamps, *, allowance: int | None, limits: Limits = _LIMITS
) -> tuple[list[RawMessage], str]:
    budget = SharedBudget(limits.buffered_bytes)
    reader = ChunkReader(limits=limits, extended_timestamp_on_fmt3=setting, budget=budget)
    messages: list[RawMessage] = []
    error = ""
    try:
        for piece in received:
            reader.receive_data(piece)
            reader.chunk_allowance = allowance
            while (event := reader.next_event()) is not NEED_DATA:
                if event is PAUSED:
                    assert reader.chunk_allowance == 0
                    reader.chunk_allowance = allowance
                else:
                    messages.append(event)
            assert reader.bytes_held <= min(reader.bytes_received, limits.buffered_bytes + 18)
            assert budget.reserved_bytes <= reader.bytes_held
    except RemoteProtocolError as refusal:
        error = str(refusal)
        assert reader.bytes_held <= reader.bytes_received
    assert len(messages) <= reader.chunks_read <= reader.bytes_received
    reader.close()
    assert budget.reserved_bytes == 0 and reader.bytes_held == reader.bytes_received - reader.bytes_read
    return messages, error
