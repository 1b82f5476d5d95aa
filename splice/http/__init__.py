"""HTTP/1.1 without I/O, hand-written by RFC 9112: bytes in, heads out; heads in, bytes out.

`RequestParser` reads what a viewer asks, `ResponseParser` and `BodyDecoder` what an origin answers; an `Answer` is what
the door says itself. Imports run down one chain: ``answers -> response -> framing -> lines -> grammar``, and
``request -> lines``; ``websocket`` stands above them all, and its frames are wsproto's. Stricter than the RFC wherever
it allows a repair.
"""

from splice.http.answers import (
    Answer,
    as_sentence,
    forwarded_request_head,
    problem_answer,
    reason_phrase,
    relayed_answer,
)
from splice.http.framing import (
    CHUNKED,
    CLOSE,
    LAST_CHUNK,
    NO_BODY,
    BodyDecoder,
    Framing,
    FramingKind,
    ResponseError,
    chunk,
)
from splice.http.lines import Fields
from splice.http.request import (
    MAX_FIELD_LINES,
    MAX_HEAD_BYTES,
    MAX_TARGET_BYTES,
    RequestError,
    RequestHead,
    RequestParser,
)
from splice.http.response import MAX_INTERIM_ANSWERS, ResponseHead, ResponseParser
from splice.http.websocket import CloseReason, WebSocketSession, accepting_head, asks_for_websocket, binary_message

__all__ = [
    "CHUNKED",
    "CLOSE",
    "LAST_CHUNK",
    "MAX_FIELD_LINES",
    "MAX_HEAD_BYTES",
    "MAX_INTERIM_ANSWERS",
    "MAX_TARGET_BYTES",
    "NO_BODY",
    "Answer",
    "BodyDecoder",
    "CloseReason",
    "Fields",
    "Framing",
    "FramingKind",
    "RequestError",
    "RequestHead",
    "RequestParser",
    "ResponseError",
    "ResponseHead",
    "ResponseParser",
    "WebSocketSession",
    "accepting_head",
    "as_sentence",
    "asks_for_websocket",
    "binary_message",
    "chunk",
    "forwarded_request_head",
    "problem_answer",
    "reason_phrase",
    "relayed_answer",
]
