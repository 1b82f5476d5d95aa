"""The handshake that opens an RTMP connection, both sides of it (RTMP 1.0, section 5.2).

    client: C0 (1 byte) C1 (1536)                     C2 (1536), then chunks
    server:                        S0 S1 S2, then chunks

In the plain handshake C2 and S2 echo the other side's first packet. Flash Player 9 brought the digest handshake, which
the specification does not describe: C1 and S1 hold a version other than 0 and, at a place that four of their bytes
name, an HMAC-SHA256 of themselves; C2 and S2 end with an HMAC keyed with the digest that they answer. The two schemes
differ in where the four bytes and the digest lie. FFmpeg opens with scheme 1, Flash Player did with either; old Adobe
servers send H.264 only to those who use one. The keys are known since 2009 and prove nothing about the peer.

Only version 3 is spoken. Versions 6 and 8 are RTMPE, whose encryption protects nothing that TLS does not.
"""

import abc
import enum
import hmac
from collections.abc import Callable
from typing import Final, NamedTuple

from protocol._base import NEED_DATA, LocalProtocolError, NeedDataType, ReceiveBuffer, RemoteProtocolError

__all__ = ["PACKET_SIZE", "ClientHandshake", "HandshakeDone", "HandshakeScheme", "ServerHandshake"]

PACKET_SIZE: Final = 1536
"""Bytes of C1, C2, S1 and S2 each (sections 5.2.3 and 5.2.4)."""
_VERSION: Final = 3
_RTMPE_VERSIONS: Final = (6, 8, 9)
_FIRST_PRINTABLE: Final = 32
_TLS_HANDSHAKE: Final = 0x16

_TIME_SIZE: Final = 4
_HEAD_SIZE: Final = 8
_DIGEST_SIZE: Final = 32
_DIGEST_PLACES: Final = 728
"""Each scheme's digest block has 764 bytes: 4 that name the place, then room for the digest at one of these."""

# Adobe's names; each side hashes its first packet with the words alone, its second with words and number together.
_GENUINE_NUMBER: Final = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_GENUINE_FLASH_PLAYER: Final = b"Genuine Adobe Flash Player 001"
_GENUINE_MEDIA_SERVER: Final = b"Genuine Adobe Flash Media Server 001"

# What the digest packets say where plain ones have zeros. FFmpeg checks a server's digest from 3.x.x.x on.
_CLIENT_SOFTWARE: Final = bytes((9, 0, 124, 2))
_SERVER_SOFTWARE: Final = bytes((3, 5, 7, 0))


class HandshakeScheme(enum.Enum):
    """How the first packets prove where they come from."""

    PLAIN = "plain"
    SCHEME_0 = "scheme 0"
    """The digest lies in the second half of the packet, its place at offset 772."""
    SCHEME_1 = "scheme 1"
    """The digest lies in the first half, its place at offset 8."""


_PLACE_OFFSETS: Final = {HandshakeScheme.SCHEME_0: 772, HandshakeScheme.SCHEME_1: 8}


class HandshakeDone(NamedTuple):
    """The handshake is over; what the peer sends from here on are chunks.

    Attributes:
        scheme: the scheme that both sides used.
        peer_time_ms: the time field of the peer's first packet, milliseconds modulo 2**32 from any epoch.
        peer_software: four bytes, the version that a digest handshake states; zeros in the plain one.
        answer_matched: whether the peer's second packet was what section 5.2.4, or the scheme, demands.
        trailing_data: bytes that came behind the peer's last packet: the first ones for the `ChunkReader`.
    """

    scheme: HandshakeScheme
    peer_time_ms: int
    peer_software: bytes
    answer_matched: bool
    trailing_data: bytes


class _Handshake(abc.ABC):
    """What both sides share: bytes in and out, the peer's two packets in their order, and the error that stays."""

    _PEER_PACKETS: tuple[str, str, str]

    def __init__(self, *, random_bytes: Callable[[int], bytes], now_ms: int, strict: bool) -> None:
        self._random_bytes = random_bytes
        self._now_ms = now_ms % (1 << 32)
        self._strict = strict
        self._received = ReceiveBuffer()
        self._read_at_ms = self._now_ms
        self._to_send = b""
        self._version_seen = False
        self._first_packet = b""  # the peer's C1 or S1, once it has come
        self._scheme = HandshakeScheme.PLAIN
        self._own_first_packet = b""
        self._done: HandshakeDone | None = None
        self._error: RemoteProtocolError | None = None

    def receive_data(self, data: bytes | bytearray | memoryview, *, now_ms: int | None = None) -> None:
        """Add bytes from the network.

        Args:
            data: any part of what the peer sent; bytes behind its handshake come back in `HandshakeDone`.
            now_ms: our clock, for the field that says when the peer's first packet was read; None: as at the start.

        Raises:
            LocalProtocolError: the handshake is over; the bytes belong to the `ChunkReader`.
        """
        if self._done is not None:
            raise LocalProtocolError("the handshake is over: these bytes are chunks", spec="RTMP 1.0, 5.2.1")
        if now_ms is not None:
            self._read_at_ms = now_ms % (1 << 32)
        self._received.append(data)

    @property
    def bytes_held(self) -> int:
        """Bytes received and not yet decoded."""
        return len(self._received)

    def data_to_send(self) -> bytes:
        """What is to be sent now, once; ask again after each `next_event()`."""
        data = self._to_send
        self._to_send = b""
        return data

    def next_event(self) -> HandshakeDone | NeedDataType:
        """`HandshakeDone` (the same one again on every later call), or NEED_DATA.

        Raises:
            RemoteProtocolError: the peer speaks another version, or, for the strict, answered wrongly.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._advance()
        except RemoteProtocolError as error:
            self._error = error
            raise

    def _advance(self) -> HandshakeDone | NeedDataType:
        if self._done is not None:
            return self._done
        if not self._version_seen:
            version = self._received.take(1)
            if version is None:
                return NEED_DATA
            _check_version(self._PEER_PACKETS[0], version[0])
            self._version_seen = True
        if not self._first_packet:
            packet = self._received.take(PACKET_SIZE)
            if packet is None:
                return NEED_DATA
            self._first_packet = packet
            self._answer()
        answer = self._received.take(PACKET_SIZE)
        if answer is None:
            return NEED_DATA
        matched = self._answer_matches(answer)
        if self._strict and not matched:
            raise RemoteProtocolError(f"{self._PEER_PACKETS[2]} does not answer what we sent", spec="RTMP 1.0, 5.2.4")
        self._done = HandshakeDone(
            scheme=self._scheme,
            peer_time_ms=int.from_bytes(self._first_packet[:_TIME_SIZE], "big"),
            peer_software=self._first_packet[_TIME_SIZE:_HEAD_SIZE],
            answer_matched=matched,
            trailing_data=self._received.take(len(self._received)) or b"",
        )
        return self._done

    @abc.abstractmethod
    def _answer(self) -> None:
        """Find the peer's scheme, and send what its first packet asks for."""

    @abc.abstractmethod
    def _answer_matches(self, answer: bytes) -> bool:
        """Whether the peer's second packet is what our first one asked for."""

    def _make_first_packet(self, scheme: HandshakeScheme, software: bytes, key: bytes) -> bytes:
        """C1 or S1 (section 5.2.3)."""
        time = self._now_ms.to_bytes(_TIME_SIZE, "big")
        noise = self._random_bytes(PACKET_SIZE - _HEAD_SIZE)
        if scheme is HandshakeScheme.PLAIN:
            return time + bytes(4) + noise
        packet = time + software + noise
        place = _digest_place(packet, scheme)
        return packet[:place] + _digest(packet, place, key) + packet[place + _DIGEST_SIZE :]

    def _make_echo(self) -> bytes:
        """C2 or S2 of the plain handshake (section 5.2.4)."""
        packet = self._first_packet
        return packet[:_TIME_SIZE] + self._read_at_ms.to_bytes(4, "big") + packet[_HEAD_SIZE:]

    def _make_signed_answer(self, digest: bytes, key: bytes) -> bytes:
        """C2 or S2 of the digest handshake: noise, signed with the digest that it answers."""
        noise = self._random_bytes(PACKET_SIZE - _DIGEST_SIZE)
        return noise + _hmac(_hmac(key, digest), noise)


class ServerHandshake(_Handshake):
    """The server's side. It answers in the scheme that the client used."""

    _PEER_PACKETS = ("C0", "C1", "C2")

    def __init__(self, *, random_bytes: Callable[[int], bytes], now_ms: int = 0, strict: bool = False) -> None:
        """Wait for C0 and C1.

        Args:
            random_bytes: gives so many random bytes, as `os.urandom` does.
            now_ms: our clock, for S1's time field; any epoch, modulo 2**32.
            strict: refuse a C2 that does not echo S1, or is not signed. Many encoders send such, so the default is
                to tell it in `HandshakeDone.answer_matched` and go on, as every server in the field does.
        """
        super().__init__(random_bytes=random_bytes, now_ms=now_ms, strict=strict)

    def _answer(self) -> None:
        self._scheme, digest = _find_digest(self._first_packet, _GENUINE_FLASH_PLAYER)
        self._own_first_packet = self._make_first_packet(self._scheme, _SERVER_SOFTWARE, _GENUINE_MEDIA_SERVER)
        if self._scheme is HandshakeScheme.PLAIN:
            second = self._make_echo()
        else:
            second = self._make_signed_answer(digest, _GENUINE_MEDIA_SERVER + _GENUINE_NUMBER)
        self._to_send += bytes((_VERSION,)) + self._own_first_packet + second

    def _answer_matches(self, answer: bytes) -> bool:
        return _is_answer(answer, self._own_first_packet, self._scheme, _GENUINE_FLASH_PLAYER + _GENUINE_NUMBER)


class ClientHandshake(_Handshake):
    """The client's side. C0 and C1 are there to be sent from the start."""

    _PEER_PACKETS = ("S0", "S1", "S2")

    def __init__(
        self,
        *,
        random_bytes: Callable[[int], bytes],
        now_ms: int = 0,
        scheme: HandshakeScheme = HandshakeScheme.PLAIN,
        strict: bool = False,
    ) -> None:
        """Make C0 and C1.

        Args:
            random_bytes: gives so many random bytes, as `os.urandom` does.
            now_ms: our clock, for C1's time field; any epoch, modulo 2**32.
            scheme: how to open; a server that does not know the digest answers plainly, and `HandshakeDone` says so.
            strict: refuse an S2 that does not echo C1, or is not signed.
        """
        super().__init__(random_bytes=random_bytes, now_ms=now_ms, strict=strict)
        self._opened_with = scheme
        self._own_first_packet = self._make_first_packet(scheme, _CLIENT_SOFTWARE, _GENUINE_FLASH_PLAYER)
        self._to_send = bytes((_VERSION,)) + self._own_first_packet

    def _answer(self) -> None:
        digest = b""
        if self._opened_with is not HandshakeScheme.PLAIN:
            self._scheme, digest = _find_digest(self._first_packet, _GENUINE_MEDIA_SERVER)
        if self._scheme is HandshakeScheme.PLAIN:
            self._to_send += self._make_echo()
        else:
            self._to_send += self._make_signed_answer(digest, _GENUINE_FLASH_PLAYER + _GENUINE_NUMBER)

    def _answer_matches(self, answer: bytes) -> bool:
        # The digest that S2 answers lies where we put it, also where the server has used the other scheme for S1.
        scheme = HandshakeScheme.PLAIN if self._scheme is HandshakeScheme.PLAIN else self._opened_with
        return _is_answer(answer, self._own_first_packet, scheme, _GENUINE_MEDIA_SERVER + _GENUINE_NUMBER)


def _check_version(packet: str, version: int) -> None:
    if version == _VERSION:
        return
    if version in _RTMPE_VERSIONS:
        problem = f"{packet} asks for version {version}, which is RTMPE: use rtmps, or plain rtmp"
    elif version == _TLS_HANDSHAKE:
        problem = f"{packet} is the first byte of TLS: rtmps has a port of its own"
    elif version >= _FIRST_PRINTABLE:
        problem = f"{packet} is {version:#04x}, as in a text protocol: this is not RTMP"
    else:
        problem = f"{packet} asks for version {version}; only {_VERSION} is spoken here"
    raise RemoteProtocolError(problem, spec="RTMP 1.0, 5.2.2")


def _find_digest(packet: bytes, key: bytes) -> tuple[HandshakeScheme, bytes]:
    """The scheme of a C1 or S1, and its digest; PLAIN and nothing where it holds none."""
    if packet[_TIME_SIZE:_HEAD_SIZE] != bytes(4):
        for scheme in _PLACE_OFFSETS:
            place = _digest_place(packet, scheme)
            digest = packet[place : place + _DIGEST_SIZE]
            if digest == _digest(packet, place, key):
                return scheme, digest
    return HandshakeScheme.PLAIN, b""


def _digest_place(packet: bytes, scheme: HandshakeScheme) -> int:
    offset = _PLACE_OFFSETS[scheme]
    return offset + 4 + sum(packet[offset : offset + 4]) % _DIGEST_PLACES


def _digest(packet: bytes, place: int, key: bytes) -> bytes:
    """The HMAC of a whole packet but for the place of the digest itself."""
    return _hmac(key, packet[:place] + packet[place + _DIGEST_SIZE :])


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _is_answer(answer: bytes, own_first_packet: bytes, scheme: HandshakeScheme, key: bytes) -> bool:
    """Whether C2 or S2 is what was asked for by our first packet.

    An echo is right in every scheme: FFmpeg, where it publishes, opens with a digest and then echoes.
    """
    same_time = answer[:_TIME_SIZE] == own_first_packet[:_TIME_SIZE]
    if same_time and answer[_HEAD_SIZE:] == own_first_packet[_HEAD_SIZE:]:
        return True
    if scheme is HandshakeScheme.PLAIN:
        return False
    place = _digest_place(own_first_packet, scheme)
    digest = own_first_packet[place : place + _DIGEST_SIZE]
    return answer[-_DIGEST_SIZE:] == _hmac(_hmac(key, digest), answer[:-_DIGEST_SIZE])
