"""A client's and a server's session talk to each other, their bytes cut anywhere, in any order of deeds.

A model keeps what each side must hear next; every event is checked against it.
"""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol import NEED_DATA
from protocol.rtmp import (
    PAUSED,
    Acknowledgement,
    AggregateMessage,
    ClientSession,
    Code,
    CommandReceived,
    Connected,
    ConnectRequested,
    Event,
    HandshakeScheme,
    MediaKind,
    MediaMessage,
    MessageReceived,
    PingRequest,
    PingResponse,
    PlayRequested,
    PlayStarted,
    PlayStopped,
    PublishRequested,
    PublishStarted,
    PublishStopped,
    RawMessage,
    ReconnectRequested,
    Refused,
    RtmpUrl,
    ServerSession,
    SetBufferLength,
    SetChunkSize,
    Status,
    StreamEnded,
    UserControl,
    WindowAcknowledgementSize,
    join_aggregate,
)
from tests.protocol.rtmp.conversation import counted_bytes

URL = RtmpUrl("rtmp", "h", 1935, "myapp", "test?key=x")
MEDIA = st.builds(
    MediaMessage,
    st.sampled_from(MediaKind),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=300),
    st.just(1),
)
CUTS = st.integers(1, 700)


class Conversation(RuleBasedStateMachine):
    """Bytes under way in each direction, and what must come of them."""

    @initialize(
        scheme=st.sampled_from(HandshakeScheme),
        client_chunks=st.sampled_from([1, 100, 128, 4096, 0x7FFFFFFF]),
        server_chunks=st.sampled_from([1, 100, 128, 4096, 0x7FFFFFFF]),
        head_start=st.sampled_from(["", "connect", "publish", "play", "publish", "play"]),
    )
    def begin(self, scheme: HandshakeScheme, client_chunks: int, server_chunks: int, head_start: str) -> None:
        self.client = ClientSession(URL, random_bytes=counted_bytes, chunk_size=client_chunks, handshake_scheme=scheme)
        self.server = ServerSession(random_bytes=counted_bytes, chunk_size=server_chunks)
        self.to_server = bytearray(self.client.data_to_send())
        self.to_client = bytearray()
        self.server_expects: deque[object] = deque([ConnectRequested])
        self.client_expects: deque[object] = deque()
        self.purpose = ""
        self.started = False
        self.request: ConnectRequested | PublishRequested | PlayRequested | None = None
        self.chunk_allowance: int | None = None
        if head_start:
            self.reach_an_answer()
        if head_start in ("publish", "play"):
            self.ask(head_start)
            self.reach_an_answer()

    def reach_an_answer(self) -> None:
        self.carry_all()
        self.accept()
        self.carry_all()

    # --- the wire ---

    @rule(size=CUTS)
    def carry_to_server(self, size: int) -> None:
        self.server.receive_data(bytes(self.to_server[:size]))
        del self.to_server[:size]
        self.server.chunk_allowance = self.chunk_allowance
        while (event := self.server.next_event()) is not NEED_DATA:
            if event is PAUSED:
                if self.request is not None:
                    break
                self.server.chunk_allowance = self.chunk_allowance
                continue
            self.heard_by_server(event)
        self.to_client += self.server.data_to_send()

    @rule(size=CUTS)
    def carry_to_client(self, size: int) -> None:
        self.client.receive_data(bytes(self.to_client[:size]))
        del self.to_client[:size]
        while (event := self.client.next_event()) is not NEED_DATA:
            assert event is not PAUSED
            self.heard_by_client(event)
        self.to_server += self.client.data_to_send()

    @rule()
    def carry_all(self) -> None:
        while (self.to_server and self.request is None) or self.to_client:
            self.carry_to_client(1 << 20)
            self.carry_to_server(1 << 20)

    @rule(allowance=st.sampled_from([1, 2, 7, None]))
    def limit_the_turn(self, allowance: int | None) -> None:
        self.chunk_allowance = allowance

    # --- what is heard ---

    def heard_by_server(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            assert isinstance(event.message, (Acknowledgement, SetBufferLength, PingResponse))
            return
        expected = self.server_expects.popleft()
        if isinstance(event, (ConnectRequested, PublishRequested, PlayRequested)):
            assert type(event) is expected
            self.request = event
        else:
            assert event == expected

    def heard_by_client(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            assert isinstance(event.message, (Acknowledgement, UserControl))
            return
        if isinstance(event, CommandReceived):
            assert event.command.name in ("onFCPublish", "onFCUnpublish")
            return
        if isinstance(event, Status):
            assert event.code in (Code.PLAY_RESET, Code.UNPUBLISH_SUCCESS)
            return
        if isinstance(event, MediaMessage) and event.payload.startswith(b"\x02\x00\x11|RtmpSampleAccess"):
            return
        if isinstance(event, Connected):
            assert self.client_expects.popleft() is Connected
            return
        expected = self.client_expects.popleft()
        assert event == expected
        self.started = self.started or isinstance(event, (PublishStarted, PlayStarted))

    # --- deeds of the server's owner ---

    @precondition(lambda self: self.request is not None)
    @rule()
    def accept(self) -> None:
        match self.request:
            case ConnectRequested(connect=connect):
                assert (connect.app, connect.tc_url) == ("myapp", "rtmp://h/myapp")
                self.client_expects.append(Connected)
            case PublishRequested(publish=publish):
                assert publish.raw_name == URL.stream
                self.client_expects.append(PublishStarted(1))
            case PlayRequested(play=play):
                assert (play.stream, play.query) == ("test", "key=x")
                self.client_expects.append(PlayStarted(1))
        assert self.request is not None
        self.request.accept()
        self.request = None
        self.to_client += self.server.data_to_send()

    @precondition(lambda self: isinstance(self.request, (PublishRequested, PlayRequested)))
    @rule(code=st.sampled_from([Code.PUBLISH_BAD_NAME, Code.PLAY_STREAM_NOT_FOUND]))
    def reject(self, code: Code) -> None:
        assert self.request is not None
        self.request.reject(code, "No.")
        self.client_expects.append(Refused(self.purpose, code, "No."))
        self.request = None
        self.to_client += self.server.data_to_send()
        self.purpose = "refused"

    @precondition(lambda self: self.purpose == "play" and self.server.stream_state(1) is not None and self.started)
    @rule(media=MEDIA)
    def serve(self, media: MediaMessage) -> None:
        self.to_client += self.server.send_media(*media)
        self.client_expects.append(media)

    @precondition(lambda self: self.purpose == "play" and self.started)
    @rule()
    def end(self) -> None:
        self.to_client += self.server.end_play()
        self.client_expects.append(StreamEnded(1, Code.PLAY_UNPUBLISH_NOTIFY))
        self.purpose = "ended"

    @precondition(lambda self: self.started)
    @rule()
    def ask_to_reconnect(self) -> None:
        self.to_client += self.server.request_reconnect("/other", "Updating.")
        self.client_expects.append(ReconnectRequested("rtmp://h/other", "Updating."))

    @precondition(lambda self: self.started)
    @rule(size=st.sampled_from([1, 128, 5000]), ping=st.integers(0, 2**32 - 1))
    def change_sizes_and_ping(self, size: int, ping: int) -> None:
        self.to_client += self.server.send(SetChunkSize(size))
        self.to_client += self.server.send(PingRequest(ping))
        self.to_server += self.client.send(SetChunkSize(size))
        self.to_server += self.client.send(WindowAcknowledgementSize(size * 10))

    # --- deeds of the client's owner ---

    def is_connected(self) -> bool:
        return self.client.state.value == "connected" and not self.purpose and not self.client_expects

    @precondition(is_connected)
    @rule(purpose=st.sampled_from(["publish", "play"]))
    def ask(self, purpose: str) -> None:
        self.purpose = purpose
        self.to_server += self.client.publish() if purpose == "publish" else self.client.play()
        self.server_expects.append(PublishRequested if purpose == "publish" else PlayRequested)

    @precondition(lambda self: self.purpose == "publish" and self.started)
    @rule(media=MEDIA)
    def send(self, media: MediaMessage) -> None:
        self.to_server += self.client.send_media(*media)
        self.server_expects.append(media)

    @precondition(lambda self: self.purpose == "publish" and self.started)
    @rule(media=st.lists(MEDIA, min_size=1, max_size=4))
    def send_an_aggregate(self, media: list[MediaMessage]) -> None:
        whole = join_aggregate([RawMessage(item.timestamp, item.kind, 1, item.payload) for item in media])
        assert isinstance(whole, AggregateMessage)
        self.to_server += self.client.send(whole)
        self.server_expects += media

    @precondition(lambda self: self.purpose in ("publish", "play") and self.started)
    @rule()
    def leave(self) -> None:
        self.to_server += self.client.close_stream()
        self.server_expects.append(PublishStopped(1) if self.purpose == "publish" else PlayStopped(1))
        # What was under way to a player is dropped when it arrives.
        kept = [item for item in self.client_expects if not isinstance(item, MediaMessage)]
        self.client_expects = deque(kept)
        self.purpose = ""
        self.started = False

    @invariant()
    def nothing_is_owed_when_the_wire_is_empty(self) -> None:
        if hasattr(self, "client") and not self.to_server and not self.to_client and self.request is None:
            assert not self.client_expects
            if self.client.handshake is not None and self.server.handshake is not None:
                assert not self.server_expects


Conversation.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyConversation = Conversation.TestCase


@pytest.mark.parametrize("cut", [1, 2, 13, 127, 1537])
def test_a_conversation_cut_evenly_anywhere_gives_the_same_events(cut: int) -> None:
    client = ClientSession(URL, random_bytes=counted_bytes)
    server = ServerSession(random_bytes=counted_bytes)
    heard: list[object] = []

    def carry(data: bytes, receiver: ClientSession | ServerSession) -> None:
        for start in range(0, len(data), cut):
            receiver.receive_data(data[start : start + cut])
            while (event := receiver.next_event()) is not NEED_DATA:
                heard.append(event if isinstance(event, MediaMessage) else type(event).__name__)
                if isinstance(event, (ConnectRequested, PublishRequested)):
                    event.accept()
                elif isinstance(event, Connected):
                    replies.append(client.publish())

    replies: list[bytes] = []
    for _ in range(8):
        carry(client.data_to_send() + b"".join(replies), server)
        replies.clear()
        carry(server.data_to_send(), client)
    media = [MediaMessage(MediaKind.VIDEO, 20 * number, bytes(range(number)), 1) for number in range(100)]
    carry(b"".join(client.send(item) for item in media) + client.close_stream(), server)
    carry(server.data_to_send(), client)
    assert heard == [
        "ConnectRequested",
        "MessageReceived",
        "Connected",
        "PublishRequested",
        "MessageReceived",
        "CommandReceived",
        "PublishStarted",
        *media,
        "PublishStopped",
        "CommandReceived",
        "Status",
    ]
