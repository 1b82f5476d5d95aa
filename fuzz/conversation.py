"""One side of an RTMP connection against whatever the other side says, for the two session targets."""

from collections.abc import Callable
from typing import NamedTuple

from protocol import NEED_DATA, RemoteProtocolError
from protocol.rtmp import (
    PAUSED,
    Acknowledgement,
    ChunkReader,
    ClientSession,
    Event,
    Message,
    RawMessage,
    ServerSession,
    SharedBudget,
    decode_message,
)

__all__ = ["Conversation", "converse"]

# What one chunk may bring about at most: connect is answered by some 600 bytes, and play by statuses and sample access.
_ANSWER_BYTES = 2048


class Conversation(NamedTuple):
    """What a session made of what it was told.

    Attributes:
        events: each in its `repr`, as requests compare by identity.
        said: the messages that it has sent; acknowledgements are left out, as they say when bytes came, not which.
        error: why it has broken off, "" where it has not.
    """

    events: list[str]
    said: list[Message]
    error: str


def converse(
    session: ServerSession | ClientSession,
    budget: SharedBudget,
    received: list[bytes],
    react: Callable[[Event], bytes],
) -> Conversation:
    """Tell a session these bytes, in these pieces, one chunk at a time.

    Args:
        session: with its handshake over.
        budget: the session's.
        received: what the peer says.
        react: answers an event as an application would, and returns what the session gave it to send.
    """
    reader = ChunkReader()
    events: list[str] = []
    said: list[Message] = []
    error = ""
    came = sent = 0
    try:
        for piece in received:
            session.receive_data(piece)
            came += len(piece)
            session.chunk_allowance = 1
            while (event := session.next_event()) is not NEED_DATA:
                if event is PAUSED:
                    assert session.chunk_allowance == 0, "it is paused by a request that was answered"
                    session.chunk_allowance = 1
                    continue
                events.append(repr(event))
                data = react(event)
                sent += len(data)
                said += _messages(reader, data)
            assert session.bytes_held <= session.limits.buffered_bytes + 18
            assert budget.reserved_bytes <= session.bytes_held
            data = session.data_to_send()
            sent += len(data)
            said += _messages(reader, data)
    except RemoteProtocolError as refusal:
        error = str(refusal)
        said += _messages(reader, session.data_to_send())
    assert len(events) <= came + 1, "more events than bytes"
    assert sent <= _ANSWER_BYTES * (came + 1)
    session.close()
    assert budget.reserved_bytes == 0
    return Conversation(events, said, error)


def _messages(reader: ChunkReader, data: bytes) -> list[Message]:
    reader.receive_data(data)
    messages: list[Message] = []
    while isinstance(raw := reader.next_event(), RawMessage):
        message = decode_message(raw)
        if not isinstance(message, Acknowledgement):
            messages.append(message)
    assert raw is NEED_DATA and reader.bytes_held == 0, "a session has sent half a message"
    return messages
