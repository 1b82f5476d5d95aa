"""What a video message costs on its way through the kit: chunks in, FLV tag bytes out.

Prints figures as `bench.table_kit` reads them. A message of 10 KB arrives in pieces of 64 KB, as a socket gives them;
each is read whole and becomes an FLV tag. The best of several passes counts, in CPU time, as all else is the machine's.
"""

import json
import time
from collections.abc import Callable

from protocol import NEED_DATA
from protocol.flv import encode_tag
from protocol.rtmp.chunks import ChunkReader, ChunkWriter, RawMessage, encode_standalone

MESSAGES = 200
PIECE_BYTES = 65_536
PASSES = 30
VIDEO = 9
VIDEO_BYTES = 10_240
MESSAGE = RawMessage(40, VIDEO, 1, b"\x27\x01\0\0\0" + bytes(VIDEO_BYTES - 5), 6)


def best_us(work: Callable[[], None], count: int) -> float:
    """Microseconds of CPU time that one of the `count` things in `work` costs."""
    best = float("inf")
    for _ in range(PASSES):
        start = time.process_time_ns()
        work()
        best = min(best, time.process_time_ns() - start)
    return round(best / 1000 / count, 3)


def relay_us(chunk_size: int) -> float:
    """Chunks in, tag bytes out."""
    writer = ChunkWriter()
    stream = writer.set_chunk_size(chunk_size)
    stream += b"".join(writer.send(MESSAGE._replace(timestamp=40 * number)) for number in range(MESSAGES))
    pieces = [stream[start : start + PIECE_BYTES] for start in range(0, len(stream), PIECE_BYTES)]

    def relay() -> None:
        reader = ChunkReader()
        tags = 0
        for piece in pieces:
            reader.receive_data(piece)
            while (event := reader.next_event()) is not NEED_DATA:
                assert isinstance(event, RawMessage)
                if event.type_id == VIDEO:
                    encode_tag(event.type_id, event.timestamp, event.payload)
                    tags += 1
        assert tags == MESSAGES

    return best_us(relay, MESSAGES)


def tiny_chunks_us() -> float:
    """One chunk of one byte: what a sender that wants to burn our time gets for it."""
    length = 65_536
    writer = ChunkWriter()
    stream = writer.set_chunk_size(1) + writer.send(MESSAGE._replace(payload=bytes(length)))

    def read() -> None:
        reader = ChunkReader()
        reader.receive_data(stream)
        while reader.next_event() is not NEED_DATA:
            pass

    return best_us(read, length)


def encode_us(chunk_size: int) -> float:
    """A message into chunks that serve every player."""

    def encode() -> None:
        for _ in range(MESSAGES):
            encode_standalone(MESSAGE, chunk_size)

    return best_us(encode, MESSAGES)


def main() -> None:
    """Measure, and print one JSON object."""
    figures = {
        "10 KB message in, FLV tag out, chunk size 4096": {"value": relay_us(4096), "unit": "us", "at_most": 24},
        "10 KB message in, FLV tag out, chunk size 128": {"value": relay_us(128), "unit": "us", "at_most": 240},
        "one-byte chunk in": {"value": tiny_chunks_us(), "unit": "us"},
        "10 KB message into standalone chunks, chunk size 4096": {"value": encode_us(4096), "unit": "us"},
        "10 KB message into standalone chunks, chunk size 128": {"value": encode_us(128), "unit": "us"},
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
