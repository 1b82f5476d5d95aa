"""HTTP/1.1 without I/O, hand-written by RFC 9112: bytes in, heads out; heads in, bytes out.

`RequestParser` reads what a viewer asks, `ResponseParser` and `BodyDecoder` what an origin answers; the functions make
heads, error answers and the chunked coding. Imports run down one chain: ``answers -> response -> framing -> lines ->
grammar``, and ``request -> lines``; ``websocket`` stands above them all, and its frames are wsproto's. Stricter than
the RFC wherever it allows a repair.
"""

from splice.http.answers import (
    as_sentence,
    encode_response_head,
    forwarded_request_head,
    problem_response,
    reason_phrase,
    relayed_response_head,
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
    "encode_response_head",
    "forwarded_request_head",
    "problem_response",
    "reason_phrase",
    "relayed_response_head",
]
