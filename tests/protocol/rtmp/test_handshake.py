"""The handshake, both sides, plain and by both digest schemes; RTMP 1.0, section 5.2."""

import hashlib
import hmac
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import NEED_DATA, LocalProtocolError, RemoteProtocolError
from protocol.rtmp.handshake import PACKET_SIZE, ClientHandshake, HandshakeDone, HandshakeScheme, ServerHandshake

DIGEST_SCHEMES = [HandshakeScheme.SCHEME_0, HandshakeScheme.SCHEME_1]
C1_SIZE = 1 + PACKET_SIZE


def noise(seed: int = 0):
    return random.Random(seed).randbytes


def finish(handshake) -> HandshakeDone:
    event = handshake.next_event()
    assert isinstance(event, HandshakeDone)
    return event


def shake(client: ClientHandshake, server: ServerHandshake) -> tuple[HandshakeDone, HandshakeDone]:
    server.receive_data(client.data_to_send())
    assert server.next_event() is NEED_DATA
    client.receive_data(server.data_to_send())
    at_client = finish(client)
    server.receive_data(client.data_to_send())
    return at_client, finish(server)


def test_c0_and_c1_are_there_from_the_start():
    client = ClientHandshake(random_bytes=lambda count: b"\x5a" * count, now_ms=0x01020304)
    assert client.data_to_send() == b"\x03" + b"\x01\x02\x03\x04" + bytes(4) + b"\x5a" * 1528
    assert client.data_to_send() == b""
    assert client.next_event() is NEED_DATA


def test_a_plain_server_answers_with_its_own_packet_and_an_echo():
    server = ServerHandshake(random_bytes=lambda count: b"\xa5" * count, now_ms=7)
    server.receive_data(b"\x03" + b"\x01\x02\x03\x04" + bytes(4) + b"\x5a" * 1528, now_ms=9)
    assert server.next_event() is NEED_DATA
    answer = server.data_to_send()
    assert answer[0] == 3
    assert answer[1:1537] == b"\0\0\0\x07" + bytes(4) + b"\xa5" * 1528
    assert answer[1537:] == b"\x01\x02\x03\x04" + b"\0\0\0\x09" + b"\x5a" * 1528


def test_nothing_is_answered_before_c1_is_whole():
    server = ServerHandshake(random_bytes=noise())
    server.receive_data(b"\x03" + bytes(PACKET_SIZE - 1))
    assert server.next_event() is NEED_DATA
    assert server.data_to_send() == b""


@pytest.mark.parametrize("scheme", HandshakeScheme)
def test_client_and_server_agree_in_the_clients_scheme(scheme):
    client = ClientHandshake(random_bytes=noise(1), now_ms=111, scheme=scheme, strict=True)
    server = ServerHandshake(random_bytes=noise(2), now_ms=222, strict=True)
    at_client, at_server = shake(client, server)
    assert at_client.scheme is at_server.scheme is scheme
    assert at_client.answer_matched
    assert at_server.answer_matched
    assert at_client.peer_time_ms == 222
    assert at_server.peer_time_ms == 111
    has_digest = scheme is not HandshakeScheme.PLAIN
    assert (at_server.peer_software != bytes(4)) == has_digest
    assert (at_client.peer_software != bytes(4)) == has_digest


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("scheme", DIGEST_SCHEMES)
def test_the_digest_is_found_wherever_its_place_lies(scheme, seed):
    client = ClientHandshake(random_bytes=noise(seed), scheme=scheme, strict=True)
    server = ServerHandshake(random_bytes=noise(seed + 100), strict=True)
    shake(client, server)


@pytest.mark.parametrize(("scheme", "offset"), [(HandshakeScheme.SCHEME_0, 772), (HandshakeScheme.SCHEME_1, 8)])
@pytest.mark.parametrize("filling", [0, 181, 182, 255])
def test_the_place_of_the_digest_is_the_sum_of_four_bytes_modulo_728(scheme, offset, filling):
    client = ClientHandshake(random_bytes=lambda count: bytes([filling]) * count, scheme=scheme)
    c1 = client.data_to_send()[1:]
    place = offset + 4 + 4 * filling % 728
    expected = hmac.digest(b"Genuine Adobe Flash Player 001", c1[:place] + c1[place + 32 :], "sha256")
    assert c1[place : place + 32] == expected


def test_a_server_that_knows_no_digest_is_answered_plainly():
    client = ClientHandshake(random_bytes=noise(), scheme=HandshakeScheme.SCHEME_1, strict=True)
    c1 = client.data_to_send()[1:]
    s1 = bytes(8) + b"\x77" * 1528
    client.receive_data(b"\x03" + s1 + c1)
    done = finish(client)
    assert done.scheme is HandshakeScheme.PLAIN
    assert done.answer_matched
    assert client.data_to_send() == bytes(8) + s1[8:]


def test_a_plain_client_echoes_whatever_the_server_claims_to_be():
    client = ClientHandshake(random_bytes=noise())
    digest_server = ServerHandshake(random_bytes=noise())
    other = ClientHandshake(random_bytes=noise(), scheme=HandshakeScheme.SCHEME_0)
    digest_server.receive_data(other.data_to_send())
    digest_server.next_event()
    answer = digest_server.data_to_send()
    client.receive_data(answer)
    done = finish(client)
    assert done.scheme is HandshakeScheme.PLAIN
    assert not done.answer_matched
    client.data_to_send()


def test_a_version_without_a_digest_is_a_plain_client():
    server = ServerHandshake(random_bytes=noise())
    c1 = bytes(4) + b"\x09\0\x7c\x02" + b"\x33" * 1528
    server.receive_data(b"\x03" + c1)
    assert server.next_event() is NEED_DATA
    assert server.data_to_send()[1537:] == c1[:4] + bytes(4) + c1[8:]


def test_a_c2_that_echoes_nothing_is_accepted_and_told():
    server = ServerHandshake(random_bytes=noise())
    server.receive_data(b"\x03" + bytes(PACKET_SIZE) + bytes(PACKET_SIZE))
    assert not finish(server).answer_matched


@pytest.mark.parametrize("scheme", HandshakeScheme)
def test_the_strict_refuse_a_c2_that_answers_nothing(scheme):
    server = ServerHandshake(random_bytes=noise(), strict=True)
    client = ClientHandshake(random_bytes=noise(), scheme=scheme)
    server.receive_data(client.data_to_send() + b"\x42" * PACKET_SIZE)
    with pytest.raises(RemoteProtocolError, match="C2 does not answer what we sent") as caught:
        server.next_event()
    assert caught.value.spec == "RTMP 1.0, 5.2.4"


@pytest.mark.parametrize("scheme", HandshakeScheme)
def test_an_echo_answers_every_scheme_because_ffmpeg_echoes_where_it_publishes(scheme):
    server = ServerHandshake(random_bytes=noise(), strict=True)
    client = ClientHandshake(random_bytes=noise(), scheme=scheme)
    server.receive_data(client.data_to_send())
    assert server.next_event() is NEED_DATA
    server.receive_data(server.data_to_send()[1 : 1 + PACKET_SIZE])
    assert finish(server).answer_matched


def test_the_strict_refuse_an_s2_that_answers_nothing():
    client = ClientHandshake(random_bytes=noise(), strict=True)
    client.receive_data(b"\x03" + b"\x42" * (2 * PACKET_SIZE))
    with pytest.raises(RemoteProtocolError, match="S2 does not answer"):
        client.next_event()


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (6, "RTMPE: use rtmps, or plain rtmp"),
        (8, "RTMPE: use rtmps, or plain rtmp"),
        (0, "only 3 is spoken here"),
        (2, "only 3 is spoken here"),
        (4, "only 3 is spoken here"),
        (31, "only 3 is spoken here"),
        (0x16, "the first byte of TLS"),
        (ord("G"), "this is not RTMP"),
        (255, "this is not RTMP"),
    ],
)
def test_another_version_is_refused_with_its_first_byte(version, sentence):
    server = ServerHandshake(random_bytes=noise())
    server.receive_data(bytes([version]))
    with pytest.raises(RemoteProtocolError, match=sentence) as caught:
        server.next_event()
    assert caught.value.spec == "RTMP 1.0, 5.2.2"
    with pytest.raises(RemoteProtocolError) as again:
        server.next_event()
    assert again.value is caught.value


def test_a_server_of_another_version_is_refused_by_the_client():
    client = ClientHandshake(random_bytes=noise())
    client.receive_data(b"\x06")
    with pytest.raises(RemoteProtocolError, match="S0 asks for version 6"):
        client.next_event()


def test_bytes_behind_c2_are_handed_on_untouched():
    server = ServerHandshake(random_bytes=noise())
    server.receive_data(b"\x03" + bytes(2 * PACKET_SIZE) + b"the first chunks")
    assert finish(server).trailing_data == b"the first chunks"
    assert finish(server).trailing_data == b"the first chunks"


def test_bytes_after_the_end_belong_to_the_chunk_reader():
    server = ServerHandshake(random_bytes=noise())
    server.receive_data(b"\x03" + bytes(2 * PACKET_SIZE))
    assert finish(server).trailing_data == b""
    with pytest.raises(LocalProtocolError, match="these bytes are chunks"):
        server.receive_data(b"\x02")


def test_times_are_sent_modulo_2_to_the_32():
    client = ClientHandshake(random_bytes=noise(), now_ms=(1 << 32) + 5)
    assert client.data_to_send()[1:5] == b"\0\0\0\x05"
    client.receive_data(b"\x03" + bytes(PACKET_SIZE), now_ms=(1 << 32) + 6)
    assert client.next_event() is NEED_DATA
    assert client.data_to_send()[4:8] == b"\0\0\0\x06"


@given(
    scheme=st.sampled_from(HandshakeScheme),
    cuts=st.lists(st.integers(0, 3200), max_size=6),
    trailing=st.binary(max_size=100),
)
def test_any_split_gives_the_same_handshake(scheme, cuts, trailing):
    def converse(pieces_of):
        client = ClientHandshake(random_bytes=noise(1), scheme=scheme)
        server = ServerHandshake(random_bytes=noise(2))
        answers = b""
        for piece in pieces_of(client.data_to_send()):
            server.receive_data(piece)
            server.next_event()
            answers += server.data_to_send()
        second = b""
        for piece in pieces_of(answers):
            client.receive_data(piece)
            client.next_event()
            second += client.data_to_send()
        server.receive_data(second + trailing)
        return answers, second, finish(client), finish(server)

    def cut(data):
        edges = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
        return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]

    assert converse(cut) == converse(lambda data: [data])


@given(data=st.binary(max_size=4000))
def test_any_bytes_behind_c0_end_in_a_handshake_or_wait(data):
    server = ServerHandshake(random_bytes=noise())
    server.receive_data(b"\x03" + data)
    event = server.next_event()
    assert (event is NEED_DATA) == (len(data) < 2 * PACKET_SIZE)


def test_the_signed_answer_is_keyed_with_the_digest_that_it_answers():
    client = ClientHandshake(random_bytes=noise(3), scheme=HandshakeScheme.SCHEME_1)
    first = client.data_to_send()
    place = 12 + sum(first[9:13]) % 728
    digest = first[1 + place : 1 + place + 32]
    server = ServerHandshake(random_bytes=noise(4))
    server.receive_data(first)
    server.next_event()
    s2 = server.data_to_send()[C1_SIZE:]
    number = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
    key = hmac.new(b"Genuine Adobe Flash Media Server 001" + number, digest, hashlib.sha256).digest()
    assert s2[-32:] == hmac.new(key, s2[:-32], hashlib.sha256).digest()
