"""A peer made of the kit's lower layers, which says to a session whatever a test wants to say, wrong things too."""

from protocol import NEED_DATA
from protocol.amf import Value
from protocol.rtmp import (
    PAUSED,
    ChunkReader,
    ChunkWriter,
    ClientHandshake,
    ClientSession,
    Command,
    CommandMessage,
    ConnectRequested,
    Event,
    HandshakeDone,
    Message,
    PlayRequested,
    PublishRequested,
    RawMessage,
    ServerHandshake,
    ServerSession,
    decode_command,
    decode_message,
    encode_command,
    encode_message,
)
from protocol.rtmp.commands import read_status

Heard = Message | Command


def counted_bytes(count: int) -> bytes:
    """Stands in for randomness: the same bytes each time."""
    return bytes(index % 251 for index in range(count))


class Peer:
    """The other end of `session`'s connection. After the handshake, `heard` gathers what the session has sent."""

    def __init__(self, session: ServerSession | ClientSession) -> None:
        self.session = session
        self.reader = ChunkReader()
        self.writer = ChunkWriter()
        self.heard: list[Heard] = []
        self.chunk_streams_heard: set[int] = set()
        self._shake_hands()

    def _shake_hands(self) -> None:
        is_server = isinstance(self.session, ClientSession)
        handshake = (ServerHandshake if is_server else ClientHandshake)(random_bytes=counted_bytes)
        while True:
            self.session.receive_data(handshake.data_to_send())
            assert self.session.next_event() is NEED_DATA
            event = handshake.next_event()
            if isinstance(event, HandshakeDone):
                self.session.receive_data(handshake.data_to_send())
                assert self.session.next_event() is NEED_DATA
                self.reader.receive_data(event.trailing_data)
                return
            handshake.receive_data(self.session.data_to_send())

    def say(self, *items: Message | Command) -> None:
        """Send messages and commands; nothing is read from the session yet."""
        for item in items:
            message = encode_command(item) if isinstance(item, Command) else item
            self.session.receive_data(self.writer.send(encode_message(message)))

    def call(self, name: str, *arguments: Value, transaction_id: float = 0, on: int = 0) -> None:
        """Send a command without a command object."""
        self.say(Command(name, transaction_id, None, arguments, on))

    def listen(self, data: bytes | None = None) -> list[Heard]:
        """What the session has sent since the last time; also in `heard`."""
        self.reader.receive_data(self.session.data_to_send() if data is None else data)
        heard: list[Heard] = []
        while isinstance(raw := self.reader.next_event(), RawMessage):
            self.chunk_streams_heard.add(raw.chunk_stream_id)
            message = decode_message(raw)
            heard.append(decode_command(message) if isinstance(message, CommandMessage) else message)
        assert raw is NEED_DATA
        self.heard += heard
        return heard

    def events(self) -> list[Event]:
        """All that the session makes of what was said so far."""
        return drain(self.session)


def drain(session: ServerSession | ClientSession) -> list[Event]:
    """All events there are, up to NEED_DATA or PAUSED."""
    events: list[Event] = []
    while (event := session.next_event()) is not NEED_DATA and event is not PAUSED:
        events.append(event)
    return events


def told(heard: list[Heard]) -> list[str]:
    """What was heard, in one word each: a status by its code, a command by its name, a message by its class."""
    words = []
    for item in heard:
        if isinstance(item, Command):
            words.append(read_status(item).code if item.name == "onStatus" else item.name)
        else:
            words.append(type(item).__name__)
    return words


def connected_server(**options: object) -> tuple[ServerSession, Peer]:
    """A server session whose client has connected to "myapp"; what was sent on the way is forgotten."""
    session = ServerSession(random_bytes=counted_bytes, **options)  # type: ignore[arg-type]  # options of any type
    peer = Peer(session)
    peer.say(Command("connect", 1, {"app": "myapp", "tcUrl": "rtmp://h/myapp"}))
    (request,) = peer.events()
    assert isinstance(request, ConnectRequested)
    request.accept()
    peer.listen()
    return session, peer


def publishing_server(name: str = "test", **options: object) -> tuple[ServerSession, Peer]:
    """A server session whose client publishes on message stream 1."""
    session, peer = connected_server(**options)
    peer.call("createStream", transaction_id=2)
    peer.call("publish", name, "live", on=1)
    (request,) = peer.events()
    assert isinstance(request, PublishRequested)
    request.accept()
    peer.listen()
    return session, peer


def playing_server(name: str = "test", **options: object) -> tuple[ServerSession, Peer]:
    """A server session whose client plays on message stream 1."""
    session, peer = connected_server(**options)
    peer.call("createStream", transaction_id=2)
    peer.call("play", name, on=1)
    (request,) = peer.events()
    assert isinstance(request, PlayRequested)
    request.accept()
    peer.listen()
    return session, peer
