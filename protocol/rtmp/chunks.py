"""RTMP's chunk layer: whole messages out of chunks, chunks out of whole messages (RTMP 1.0, section 5.3).

Bytes behind the handshake go in at `ChunkReader`, and `RawMessage`s come out: a payload with the header that it
travelled under, not yet interpreted. `ChunkWriter` goes the other way; `encode_standalone` serves many connections
with one piece of work. This module is the layer's face; `chunk_format`, `chunk_settings`, `chunk_streams`,
`chunk_reader` and `chunk_writer` are its rooms.
"""

from protocol.rtmp.chunk_format import DEFAULT_CHUNK_SIZE, MAX_CHUNK_SIZE, MAX_MESSAGE_LENGTH, RawMessage
from protocol.rtmp.chunk_reader import ChunkReader
from protocol.rtmp.chunk_settings import PAUSED, ExtendedTimestamps, Paused, PausedType, SharedBudget
from protocol.rtmp.chunk_writer import ChunkWriter, check_chunk_size, check_fields, encode_standalone

__all__ = [
    "DEFAULT_CHUNK_SIZE",
    "MAX_CHUNK_SIZE",
    "MAX_MESSAGE_LENGTH",
    "PAUSED",
    "ChunkReader",
    "ChunkWriter",
    "ExtendedTimestamps",
    "Paused",
    "PausedType",
    "RawMessage",
    "SharedBudget",
    "check_chunk_size",
    "check_fields",
    "encode_standalone",
]
