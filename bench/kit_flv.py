"""What the FLV codec costs: `python -m bench.kit_flv` prints one JSON object, as `bench.table_kit` reads it.

Decoding: `FlvDecoder` over tags of 10 KB, fed in pieces of 64 KB (a MB is 10**6 bytes). Encoding: one `encode_tag` of
such a body. The questions that a hub asks of every packet: one call each, the loop's own cost included. CPU time of the
best of several rounds, so that a neighbour on the machine costs rounds and not the figure.
"""

import json
import time
from collections.abc import Callable

from protocol import NEED_DATA
from protocol.flv import (
    FlvDecoder,
    FlvHeader,
    TagType,
    composition_time,
    encode_header,
    encode_tag,
    is_codec_configuration,
    is_keyframe,
)

BODY = b"\x27\x01\x00\x00\x28" + bytes(10_000 - 5)
ENHANCED = b"\x91hvc1\x00\x00\x28" + bytes(10_000 - 8)
TAGS = 2000
PIECE_BYTES = 64 * 1024
ROUNDS = 7
CALLS = 20_000


def decode(pieces: list[bytes]) -> int:
    decoder = FlvDecoder()
    events = 0
    for piece in pieces:
        decoder.receive_data(piece)
        while decoder.next_event() is not NEED_DATA:
            events += 1
    return events


def best_ns(action: Callable[[], object]) -> int:
    """The cheapest round."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        action()
        rounds.append(time.process_time_ns() - start)
    return min(rounds)


def call_ns(call: Callable[[], object]) -> float:
    """One call of many."""

    def many() -> None:
        for _ in range(CALLS):
            call()

    return best_ns(many) / CALLS


def main() -> None:
    header = encode_header(FlvHeader(has_audio=True, has_video=True))
    data = header + b"".join(encode_tag(TagType.VIDEO, 40 * index, BODY) for index in range(TAGS))
    pieces = [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]
    if decode(pieces) != TAGS + 1:
        raise SystemExit("the decoder lost tags")
    decode_ns = best_ns(lambda: decode(pieces))
    questions = {
        "is_keyframe, legacy": lambda: is_keyframe(BODY),
        "is_keyframe, enhanced": lambda: is_keyframe(ENHANCED),
        "is_codec_configuration": lambda: is_codec_configuration(TagType.VIDEO, BODY),
        "composition_time, legacy": lambda: composition_time(BODY),
        "composition_time, enhanced": lambda: composition_time(ENHANCED),
    }
    figures: dict[str, dict[str, float | str]] = {
        "decode tags of 10 KB": {"value": round(len(data) / decode_ns * 1000), "unit": "MB/s", "at_least": 300},
        "decode one such tag": {"value": round(decode_ns / TAGS / 1000, 2), "unit": "µs"},
        "encode one such tag": {
            "value": round(call_ns(lambda: encode_tag(TagType.VIDEO, 40, BODY)) / 1000, 2),
            "unit": "µs",
        },
    }
    figures |= {name: {"value": round(call_ns(question)), "unit": "ns"} for name, question in questions.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
