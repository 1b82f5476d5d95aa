"""Reads what the demo origin sends, with nothing of the code under test: HTTP's chunked coding, and FLV's tags."""

from dataclasses import dataclass

__all__ = ["FlvTag", "tags_of", "unchunked"]

AUDIO, VIDEO, SCRIPT_DATA = 8, 9, 18


@dataclass(frozen=True)
class FlvTag:
    kind: int
    timestamp_ms: int
    body: bytes

    @property
    def is_keyframe(self) -> bool:
        return self.kind == VIDEO and self.body[0] >> 4 == 1

    @property
    def is_configuration(self) -> bool:
        return self.kind != SCRIPT_DATA and self.body[1] == 0


def tags_of(data: bytes) -> list[FlvTag]:
    """The whole tags after an FLV header; an incomplete one at the end is left out."""
    assert data[:9] == b"FLV\x01\x05\0\0\0\x09"
    assert data[9:13] == bytes(4)
    tags = []
    at = 13
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        end = at + 11 + size
        if end + 4 > len(data):
            break
        assert data[at + 8 : at + 11] == bytes(3), "StreamID is always 0"
        assert int.from_bytes(data[end : end + 4], "big") == 11 + size, "PreviousTagSize"
        timestamp_ms = data[at + 7] << 24 | int.from_bytes(data[at + 4 : at + 7], "big")
        tags.append(FlvTag(data[at], timestamp_ms, data[at + 11 : end]))
        at = end + 4
    return tags


def unchunked(data: bytes) -> list[bytes]:
    """The whole chunks of a chunked body; an incomplete one at the end is left out."""
    chunks = []
    while (line_end := data.find(b"\r\n")) >= 0:
        size = int(data[:line_end], 16)
        start = line_end + 2
        if len(data) < start + size + 2:
            break
        assert data[start + size : start + size + 2] == b"\r\n"
        chunks.append(data[start : start + size])
        data = data[start + size + 2 :]
    return chunks
