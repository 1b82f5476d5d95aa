"""A viewer's place: nothing lost, doubled or reordered while it keeps up, and a clean way on where it does not."""

from collections.abc import Sequence

import pytest

from protocol.rtmp import MediaKind
from splice.http import CHUNKED, LAST_CHUNK, BodyDecoder
from splice.hub import CHUNKED_FLV, FLV, WEBSOCKET_FLV, Batch, Subscriber
from splice.hub.packet import Packet
from tests.splice.hub.viewing import Sink, Watcher, batch, configuration, inter_frame, keyframe, packet

VIDEO = MediaKind.VIDEO

TAG_BYTES = 11 + 5 + 4
"""Of a frame without a label."""


def key_batch(at: int = 0, label: bytes = b"", configuration: int = 1, headers: Sequence[Packet] = ()) -> Batch:
    return batch([packet(VIDEO, at, keyframe(label))], configuration=configuration, headers=headers, made_at=at / 1000)


def inter_batch(at: int, label: bytes = b"", configuration: int = 1) -> Batch:
    return batch([packet(VIDEO, at, inter_frame(label))], configuration=configuration, made_at=at / 1000)


# --- keeping up ---


def test_a_viewer_who_keeps_up_gets_each_piece_by_one_call() -> None:
    watcher = Watcher().begin()
    for at in range(4):
        watcher.offer(inter_batch(at, bytes([at])))
    assert watcher.bodies == [inter_frame(bytes([at])) for at in range(4)]
    assert watcher.sink.sends == 4
    assert watcher.subscriber.flows
    assert watcher.subscriber.backlog_bytes == 0
    assert watcher.meter.bytes == len(watcher.sink.taken)


@pytest.mark.parametrize("room", [0, 1, TAG_BYTES - 1, TAG_BYTES, TAG_BYTES + 1])
def test_what_a_socket_refuses_waits_and_comes_first(room: int) -> None:
    watcher = Watcher(room=room).begin()
    for at in range(3):
        watcher.offer(inter_batch(at))
    assert watcher.subscriber.backlog_bytes == 3 * TAG_BYTES - room
    assert not watcher.subscriber.flows
    watcher.drain_all()
    assert [tag.timestamp for tag in watcher.tags] == [0, 1, 2]
    assert watcher.subscriber.backlog_bytes == 0
    assert watcher.subscriber.flows
    assert watcher.meter.bytes == len(watcher.sink.taken)


def test_nothing_overtakes_what_waits_even_if_the_socket_would_take_it() -> None:
    watcher = Watcher(room=3).begin()
    watcher.offer(inter_batch(0))
    watcher.sink.room = None
    watcher.offer(inter_batch(1))
    assert len(watcher.sink.taken) == 3
    watcher.drain()
    assert [tag.timestamp for tag in watcher.tags] == [0, 1]


def test_what_it_gets_first_comes_before_the_stream() -> None:
    watcher = Watcher(room=0).begin([b"first ", b"second "])
    watcher.offer(inter_batch(0))
    watcher.drain_all()
    assert bytes(watcher.sink.taken) == b"first second " + inter_batch(0).packets[0].flv


def test_a_connection_that_is_lost_disturbs_nobody_and_its_task_sees_it() -> None:
    watcher = Watcher().begin()
    watcher.offer(inter_batch(0))
    watcher.sink.gone = True
    watcher.offer(inter_batch(1))
    assert watcher.subscriber.backlog_bytes == TAG_BYTES
    with pytest.raises(ConnectionResetError):
        watcher.drain()


async def test_its_task_has_something_to_do_exactly_while_something_waits() -> None:
    watcher = Watcher(room=0).begin()
    assert not await watcher.has_something_to_do()
    watcher.offer(inter_batch(0))
    assert await watcher.has_something_to_do()
    watcher.drain(room=5)
    assert await watcher.has_something_to_do()
    watcher.drain_all()
    assert not await watcher.has_something_to_do()


async def test_without_send_all_goes_by_way_of_the_backlog() -> None:
    sink = Sink()
    subscriber = Subscriber(FLV, send=None, meter=Watcher().meter, max_bytes=1000, max_s=1.0)
    subscriber.begin([], now=0.0, configuration=0, at_keyframe=True)
    for at in range(2):
        subscriber.offer(inter_batch(at).packets[0].flv, inter_batch(at))
        assert not subscriber.flows
        piece = subscriber.next_piece
        assert piece is not None
        subscriber.took(sink.send(piece))
        assert not subscriber.flows
    assert len(sink.taken) == 2 * TAG_BYTES


# --- waiting for a keyframe ---


def test_who_joins_before_a_keyframe_begins_with_it() -> None:
    watcher = Watcher().begin(at_keyframe=False)
    watcher.offer(inter_batch(0))
    watcher.offer(key_batch(40))
    watcher.offer(inter_batch(80))
    assert watcher.bodies == [keyframe(), inter_frame()]


def test_who_joins_before_a_keyframe_gets_the_configuration_that_came_meanwhile() -> None:
    watcher = Watcher().begin(at_keyframe=False, configuration=1)
    watcher.offer(key_batch(40, configuration=2, headers=[packet(VIDEO, 40, configuration(b"2"))]))
    assert watcher.bodies == [configuration(b"2"), keyframe()]


def test_and_no_configuration_twice() -> None:
    watcher = Watcher().begin(at_keyframe=False, configuration=2)
    watcher.offer(key_batch(40, configuration=2, headers=[packet(VIDEO, 40, configuration(b"2"))]))
    assert watcher.bodies == [keyframe()]


async def test_a_viewer_who_pauses_goes_on_at_a_keyframe() -> None:
    watcher = Watcher().begin()
    watcher.offer(key_batch(0))
    watcher.subscriber.pause(paused=True)
    watcher.offer(inter_batch(40))
    watcher.offer(key_batch(80))
    assert not await watcher.has_something_to_do()
    watcher.subscriber.pause(paused=False)
    watcher.offer(inter_batch(120))
    watcher.offer(key_batch(160))
    watcher.offer(inter_batch(200))
    assert [tag.timestamp for tag in watcher.tags] == [0, 160, 200]
    assert watcher.subscriber.skipped == 0


def test_what_waited_before_a_pause_still_comes_and_the_partly_sent_piece_is_finished() -> None:
    watcher = Watcher(room=5).begin()
    watcher.offer(key_batch(0))
    watcher.offer(inter_batch(40))
    watcher.subscriber.pause(paused=True)
    watcher.drain_all()
    assert [tag.timestamp for tag in watcher.tags] == [0, 40]
    assert not watcher.subscriber.flows


# --- falling behind ---


@pytest.mark.parametrize(("frames", "skipped"), [(2, 0), (3, 0), (4, 1)], ids=["below", "at", "above"])
def test_a_backlog_is_bounded_in_bytes(frames: int, skipped: int) -> None:
    watcher = Watcher(room=0, max_bytes=3 * TAG_BYTES).begin()
    for at in range(frames):
        watcher.offer(inter_batch(at))
    assert watcher.subscriber.skipped == skipped
    assert watcher.subscriber.backlog_bytes == (0 if skipped else frames * TAG_BYTES)


@pytest.mark.parametrize(("last", "skipped"), [(2999, 0), (3000, 0), (3001, 1)], ids=["below", "at", "above"])
def test_a_backlog_is_bounded_in_age(last: int, skipped: int) -> None:
    watcher = Watcher(room=0, max_s=3.0).begin()
    watcher.offer(inter_batch(0))
    watcher.offer(inter_batch(last))
    assert watcher.subscriber.skipped == skipped


def test_a_first_group_larger_than_the_bound_is_no_backlog() -> None:
    watcher = Watcher(room=10, max_bytes=TAG_BYTES).begin([bytes(500), bytes(500)])
    watcher.offer(inter_batch(0))
    assert watcher.subscriber.skipped == 0
    watcher.drain(room=980)
    watcher.offer(inter_batch(1))
    assert watcher.subscriber.skipped == 1, "what the stream itself brought since is bounded as ever"


def test_a_piece_larger_than_the_bound_goes_to_a_viewer_who_keeps_up() -> None:
    watcher = Watcher(room=10, max_bytes=TAG_BYTES).begin()
    watcher.offer(inter_batch(0, bytes(100)))
    watcher.drain_all()
    watcher.offer(inter_batch(1))
    assert len(watcher.tags) == 2


def test_who_falls_behind_finishes_the_piece_that_it_has_begun_and_goes_on_at_a_keyframe() -> None:
    watcher = Watcher(room=7, max_bytes=3 * TAG_BYTES).begin()
    for at in (0, 40, 80, 120, 160):
        watcher.offer(inter_batch(at))
    assert watcher.subscriber.backlog_bytes == TAG_BYTES - 7
    watcher.offer(key_batch(200))
    watcher.offer(inter_batch(240))
    watcher.drain_all()
    watcher.offer(inter_batch(280))
    assert [tag.timestamp for tag in watcher.tags] == [0, 200, 240, 280]
    assert watcher.subscriber.skipped == 1


def test_who_falls_behind_at_a_keyframe_goes_on_at_this_one() -> None:
    watcher = Watcher(room=0, max_bytes=2 * TAG_BYTES).begin()
    watcher.offer(key_batch(0))
    watcher.offer(inter_batch(40))
    watcher.offer(key_batch(80))
    watcher.drain_all()
    assert [tag.timestamp for tag in watcher.tags] == [80]


async def test_who_falls_behind_with_nothing_begun_has_nothing_to_do() -> None:
    watcher = Watcher(room=0, max_bytes=TAG_BYTES).begin()
    watcher.offer(inter_batch(0))
    watcher.offer(inter_batch(40))
    assert watcher.subscriber.next_piece is None
    assert not await watcher.has_something_to_do()


def test_a_viewer_who_takes_nothing_at_all_is_moved_on_once_and_costs_no_memory() -> None:
    watcher = Watcher(room=7, max_bytes=10 * TAG_BYTES).begin()
    for at in range(0, 60_000, 40):
        watcher.offer(inter_batch(at) if at % 2000 else key_batch(at))
        assert watcher.subscriber.backlog_bytes <= 10 * TAG_BYTES
    assert watcher.subscriber.skipped <= 2
    watcher.drain_all()
    watcher.offer(key_batch(60_000))
    assert watcher.tags[-1].timestamp == 60_000


def test_a_configuration_that_was_skipped_comes_before_the_keyframe() -> None:
    old, new = configuration(b"old"), configuration(b"new")
    watcher = Watcher(room=0, max_bytes=3 * TAG_BYTES).begin([packet(VIDEO, 0, old).flv], configuration=1)
    watcher.drain(room=TAG_BYTES + 3)
    changed = [packet(VIDEO, 40, new)]
    watcher.offer(batch(changed, configuration=1))
    watcher.offer(inter_batch(80, configuration=2))
    watcher.offer(inter_batch(120, configuration=2))
    assert watcher.subscriber.skipped == 1
    watcher.drain_all()
    watcher.offer(key_batch(160, configuration=2, headers=[packet(VIDEO, 160, new)]))
    assert [(tag.timestamp, tag.body) for tag in watcher.tags] == [(0, old), (160, new), (160, keyframe())]


def test_a_configuration_that_was_skipped_with_the_first_group_comes_again() -> None:
    first, frame = packet(VIDEO, 0, configuration(b"1")), packet(VIDEO, 0, keyframe(b"0"))
    watcher = Watcher(room=0).begin([first.flv, frame.flv], configuration=1)
    watcher.offer(inter_batch(3001))
    watcher.drain_all()
    watcher.offer(inter_batch(3040))
    watcher.offer(key_batch(3080, headers=[first.at(3080)]))
    assert watcher.bodies == [configuration(b"1"), keyframe()]


def test_a_first_group_that_was_skipped_leaves_the_bound_as_it_is() -> None:
    watcher = Watcher(room=0, max_bytes=TAG_BYTES).begin([bytes(500)])
    watcher.offer(inter_batch(3001))
    watcher.offer(key_batch(3080))
    watcher.offer(inter_batch(3120))
    assert watcher.subscriber.skipped == 2


def test_an_opening_that_was_not_begun_is_not_lost_with_the_first_group() -> None:
    watcher = Watcher(room=0, max_bytes=TAG_BYTES)
    watcher.subscriber.begin([bytes(500)], now=0.0, configuration=1, at_keyframe=True, opening=b"opening ")
    watcher.offer(inter_batch(0))
    watcher.offer(inter_batch(1))
    assert watcher.subscriber.skipped == 1
    assert watcher.subscriber.backlog_bytes == len(b"opening ")
    watcher.drain_all()
    watcher.offer(key_batch(9))
    assert bytes(watcher.sink.taken) == b"opening " + key_batch(9).packets[0].flv


def test_only_the_piece_that_is_begun_is_finished() -> None:
    watcher = Watcher(room=7, max_bytes=2 * TAG_BYTES).begin()
    watcher.offer(inter_batch(0))
    watcher.offer(inter_batch(40))
    watcher.drain(room=TAG_BYTES - 7)
    watcher.offer(inter_batch(80))
    watcher.offer(inter_batch(120))
    assert watcher.subscriber.next_piece is None
    assert [tag.timestamp for tag in watcher.tags] == [0]


def test_a_skip_of_chunked_coding_stays_within_the_coding() -> None:
    watcher = Watcher(CHUNKED_FLV, room=7, max_bytes=40).begin()
    for at in (0, 40, 80):
        watcher.offer(inter_batch(at))
    watcher.drain_all()
    watcher.offer(key_batch(120))
    watcher.subscriber.end(CHUNKED_FLV.closing, 0.2)
    watcher.drain()
    body = BodyDecoder(CHUNKED)
    data = b"".join(body.receive_data(bytes(watcher.sink.taken)))
    assert body.finished
    assert data == inter_batch(0).packets[0].flv + key_batch(120).packets[0].flv


def test_a_stream_without_headers_has_none_before_its_keyframe() -> None:
    watcher = Watcher(WEBSOCKET_FLV, room=0, max_bytes=40).begin()
    for at in (0, 40):
        watcher.offer(inter_batch(at))
    watcher.drain_all()
    watcher.offer(key_batch(120))
    assert watcher.sink.taken == WEBSOCKET_FLV.encode(key_batch(120).packets), "and no empty message"


# --- the connection's own, and the end ---


def test_something_of_the_connections_own_goes_between_two_pieces() -> None:
    watcher = Watcher(room=5).begin()
    watcher.offer(inter_batch(0))
    watcher.subscriber.insert(b"pong", 0.01)
    watcher.offer(inter_batch(40))
    watcher.drain_all()
    frames = [inter_batch(at).packets[0].flv for at in (0, 40)]
    assert bytes(watcher.sink.taken) == frames[0] + b"pong" + frames[1]


async def test_to_a_viewer_who_keeps_up_it_goes_by_its_own_task() -> None:
    watcher = Watcher().begin()
    watcher.offer(inter_batch(0))
    watcher.subscriber.insert(b"pong", 0.0)
    assert await watcher.has_something_to_do()
    assert watcher.subscriber.next_piece == b"pong"


def test_it_is_not_lost_where_the_viewer_falls_behind() -> None:
    watcher = Watcher(room=5, max_bytes=2 * TAG_BYTES).begin()
    watcher.offer(inter_batch(0))
    watcher.subscriber.insert(b"ping", 0.0)
    watcher.offer(inter_batch(40))
    watcher.subscriber.insert(b"pong", 0.0)
    watcher.offer(inter_batch(80))
    assert watcher.subscriber.skipped == 1
    assert watcher.subscriber.backlog_bytes == TAG_BYTES - 5 + 8
    watcher.drain_all()
    assert bytes(watcher.sink.taken) == inter_batch(0).packets[0].flv + b"pingpong"


@pytest.mark.parametrize("closing", [LAST_CHUNK, b""])
async def test_the_end_comes_behind_what_waits(closing: bytes) -> None:
    watcher = Watcher(room=5).begin()
    watcher.offer(inter_batch(0))
    watcher.subscriber.end(closing, 0.1)
    watcher.drain_all()
    assert bytes(watcher.sink.taken) == inter_batch(0).packets[0].flv + closing
    assert watcher.subscriber.ended
    assert not watcher.subscriber.flows
    assert await watcher.has_something_to_do(), "its task has to see the end"


async def test_a_viewer_who_waits_for_the_stream_sees_its_end() -> None:
    watcher = Watcher().begin()
    watcher.subscriber.end(b"", 0.1)
    assert await watcher.has_something_to_do()


def test_when_something_waits_it_is_known_since_when() -> None:
    watcher = Watcher(room=0).begin()
    assert watcher.subscriber.waits_since is None
    watcher.offer(inter_batch(2500))
    watcher.offer(inter_batch(2600))
    assert watcher.subscriber.waits_since == 2.5
    watcher.drain_all()
    assert watcher.subscriber.waits_since is None
