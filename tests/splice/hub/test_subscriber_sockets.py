"""Whatever a viewer's socket takes and refuses, what it got can be read and decoded, by HTTP-FLV and by RTMP."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from protocol import NEED_DATA
from protocol.rtmp import ChunkReader, ChunkWriter, MediaKind, RawMessage
from splice.hub import Batch, RtmpForm
from tests.splice.hub.viewing import Watcher, batch, configuration, inter_frame, keyframe, packet

VIDEO = MediaKind.VIDEO


@dataclass
class Publication:
    """A stream of numbered frames; each knows which configuration it needs."""

    configuration: int = 0
    number: int = 0
    needs: dict[int, int] = field(default_factory=dict)

    def batch(self, kinds: str, made_at: float) -> Batch:
        """Frames by letter: k(eyframe), i(nter frame), c(onfiguration); a keyframe begins a batch."""
        before = self.configuration
        headers = [packet(VIDEO, self.number, configuration(_number(before)))] if before else []
        packets = []
        for kind in kinds:
            if kind == "c":
                self.configuration += 1
                packets.append(packet(VIDEO, self.number, configuration(_number(self.configuration))))
            else:
                self.number += 1
                self.needs[self.number] = self.configuration
                body = (keyframe if kind == "k" else inter_frame)(_number(self.number))
                packets.append(packet(VIDEO, self.number, body))
        return batch(packets, configuration=before, headers=headers, made_at=made_at)


def _number(number: int) -> bytes:
    return number.to_bytes(4, "big")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.sampled_from(["k", "i", "i", "ii", "ki", "kic", "c", "ci", "ic"])),
        st.tuples(st.just("drain"), st.integers(0, 80)),
        st.tuples(st.just("room"), st.integers(0, 80)),
        st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 3.5])),
        st.tuples(st.just("pause"), st.booleans()),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([0, 30, 100]), st.booleans())
def test_whatever_the_socket_does_a_viewer_gets_what_it_can_decode(
    steps: list[tuple[str, str | int | float | bool]], room: int, at_keyframe: bool
) -> None:
    publication = Publication()
    watcher = Watcher(room=room, max_bytes=150, max_s=3.0)
    watcher.begin(configuration=0, at_keyframe=at_keyframe)
    now = 0.0
    paused_or_late = not at_keyframe
    for what, value in steps:
        if what == "offer":
            watcher.offer(publication.batch(str(value), now))
        elif what == "drain":
            watcher.drain(room=int(value))
        elif what == "room":
            assert watcher.sink.room is not None
            watcher.sink.room += int(value)
        elif what == "wait":
            now += float(value)
        else:
            watcher.subscriber.pause(paused=bool(value))
            paused_or_late = True
        assert watcher.subscriber.backlog_bytes <= 150 + 3 * 24
    watcher.drain_all()
    watcher.subscriber.pause(paused=False)
    watcher.offer(publication.batch("k", now))

    configured = last = 0
    for tag in watcher.tags:
        number = int.from_bytes(tag.body[5:], "big")
        if tag.body[:2] == configuration()[:2]:
            configured = number
            continue
        if number != last + 1:
            assert number > last
            assert tag.body[:2] == keyframe()[:2]
            assert watcher.subscriber.skipped or paused_or_late
        assert configured == publication.needs[number]
        last = number
    assert last == publication.number, "it goes on in the end"
    assert watcher.meter.bytes == len(watcher.sink.taken)


@given(st.lists(st.integers(0, 300), max_size=40), st.integers(1, 64))
def test_rtmp_stays_readable_through_every_skip(rooms: list[int], chunk_size: int) -> None:
    watcher = Watcher(RtmpForm(1, chunk_size), room=0, max_bytes=300).begin()
    writer = ChunkWriter(chunk_size=chunk_size)
    pongs = 0
    for at, room in enumerate(rooms):
        frame = inter_frame if at % 4 else keyframe
        watcher.offer(batch([packet(VIDEO, at, frame(bytes(60)))], made_at=at / 1000))
        if not at % 3:
            watcher.subscriber.insert(writer.send(RawMessage(at, 4, 0, bytes([at]) * 6, 2)), 0.0)
            pongs += 1
        watcher.drain(room=room)
    watcher.drain_all()
    reader = ChunkReader()
    reader.receive_data(ChunkWriter().set_chunk_size(chunk_size) + watcher.sink.taken)
    messages = []
    while (message := reader.next_event()) is not NEED_DATA:
        assert isinstance(message, RawMessage)
        messages.append(message)
    own = [message for message in messages[1:] if message.type_id == 4]
    assert [message.payload for message in own] == [bytes([at]) * 6 for at in range(0, 3 * pongs, 3)]
    frames = [message.timestamp for message in messages[1:] if message.type_id == VIDEO]
    assert frames == sorted(set(frames))
    assert len(frames) + len(own) == len(messages) - 1
    assert all(len(message.payload) == 65 for message in messages[1:] if message.type_id == VIDEO)
