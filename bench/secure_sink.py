"""Viewers over plain HTTP/1.1, over TLS, or several to a connection over HTTP/2: `load sink` for what C has no TLS for.

It takes the same options as `load sink`, says the same JSON lines, and counts as that does (load/sink.c tells how). All
three ways pass this one program, so that a ratio between them is of the server alone; it takes more CPU than the C one.

    python bench/secure_sink.py --mode h2 --port 18443 --viewers 100 --path "/live?src=a&app=live&stream=s1" ...

An HTTP/2 window is opened as wide as it goes at the start, so that no WINDOW_UPDATE is needed while measuring.
"""

import argparse
import json
import select
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterator

import h2.config
import h2.connection
import h2.events
import h2.settings

MAGIC = b"\xf5load-\xf5\xaf"
TRAILER = struct.Struct("=8sQQ")  # load.h: magic, CLOCK_MONOTONIC in µs, number
KEYFRAME = 1 << 63
WIDEST_WINDOW = 2**31 - 1
FRAME_HEADER_BYTES = 9
DATA_FRAME = 0
END_STREAM = 1
JOIN_LIMIT_S = 15.0
READ_BYTES = 65536


def now_us() -> int:
    """The clock of the trailers."""
    return time.monotonic_ns() // 1000


class Viewer:
    """One viewer's body, and what it saw of it."""

    def __init__(self, tally: "Tally") -> None:
        self.began_us = now_us()
        self.body_us = 0
        self.key_us = 0
        self._frame_us = 0
        self._number: int | None = None
        self._carry = b""
        self._tally = tally

    def take(self, data: bytes, now: int) -> None:
        """The next bytes of the body."""
        if not self.body_us:
            self.body_us = now
        self._tally.bytes += len(data)
        data = self._carry + data
        at = 0
        while (at := data.find(MAGIC, at)) >= 0 and len(data) - at >= TRAILER.size:
            _, sent_us, number = TRAILER.unpack_from(data, at)
            at += TRAILER.size
            self._frame(sent_us, number, now)
        self._carry = data[at:] if at >= 0 else data[-len(MAGIC) + 1 :]

    def _frame(self, sent_us: int, number: int, now: int) -> None:
        if number & KEYFRAME and not self.key_us:
            self.key_us = now
        number &= ~KEYFRAME
        tally = self._tally
        if tally.window_us and sent_us >= tally.window_us:
            tally.frames += 1
            tally.latencies.append((now - sent_us) / 1000)
            if self._frame_us:
                tally.gaps.append((now - self._frame_us) / 1000)
            if self._number is not None and number > self._number + 1:
                tally.missed += number - self._number - 1
        self._frame_us, self._number = now, number


class Tally:
    """What all viewers saw together, within the window."""

    def __init__(self) -> None:
        self.window_us = 0
        self.bytes = self.frames = self.missed = 0
        self.refused = self.failed = self.lost = 0
        self.latencies: list[float] = []
        self.gaps: list[float] = []


class Http1:
    """A connection with one viewer."""

    def __init__(self, options: argparse.Namespace, tally: Tally) -> None:
        self.viewers = [Viewer(tally)]
        self._tally = tally
        self._head = b""
        self.socket = connected(options, "http/1.1")
        self.socket.sendall(f"GET {options.path} HTTP/1.1\r\nHost: 127.0.0.1:{options.port}\r\n\r\n".encode())

    def receive(self, data: bytes, now: int) -> bool:
        """Take what came; whether the connection stays."""
        if self._head is not None and self._head.find(b"\r\n\r\n") < 0:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return True
            self._head = head + end
            if not head.startswith(b"HTTP/1.1 200"):
                self._tally.refused += 1
                return False
        if data:
            self.viewers[0].take(data, now)
        return True


class Http2:
    """A connection with as many viewers as there is room for streams."""

    def __init__(self, options: argparse.Namespace, tally: Tally, count: int) -> None:
        self._tally = tally
        self._frames = bytearray()
        self.socket = connected(options, "h2")
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WIDEST_WINDOW}
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WIDEST_WINDOW - 65535)
        self._streams: dict[int, Viewer] = {}
        for _ in range(count):
            stream = self._h2.get_next_available_stream_id()
            fields = {":method": "GET", ":scheme": "https", ":path": options.path}
            fields[":authority"] = f"127.0.0.1:{options.port}"
            self._h2.send_headers(stream, list(fields.items()), end_stream=True)
            self._streams[stream] = Viewer(tally)
        self.viewers = list(self._streams.values())
        self.socket.sendall(self._h2.data_to_send())

    def receive(self, data: bytes, now: int) -> bool:
        """Take what came; whether the connection stays."""
        self._frames += data
        while len(self._frames) >= FRAME_HEADER_BYTES:
            size = FRAME_HEADER_BYTES + int.from_bytes(self._frames[:3], "big")
            if len(self._frames) < size:
                break
            frame = bytes(self._frames[:size])
            del self._frames[:size]
            if frame[3] == DATA_FRAME:  # past h2, whose flow control the wide window makes needless
                viewer = self._streams[int.from_bytes(frame[5:9], "big")]
                viewer.take(frame[FRAME_HEADER_BYTES:], now)
                self._tally.lost += frame[4] & END_STREAM
            else:
                self._control(frame)
        return True

    def _control(self, frame: bytes) -> None:
        for event in self._h2.receive_data(frame):
            if isinstance(event, h2.events.ResponseReceived) and dict(event.headers)[":status"] != "200":
                self._tally.refused += 1
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                self._tally.lost += 1
        if answer := self._h2.data_to_send():
            self.socket.setblocking(True)
            self.socket.sendall(answer)
            self.socket.setblocking(False)


Connection = Http1 | Http2


def connected(options: argparse.Namespace, protocol: str) -> socket.socket:
    """A connection to the server, in TLS but for the plain mode."""
    plain = socket.create_connection(("127.0.0.1", options.port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if options.mode == "plain":
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    secure = context.wrap_socket(plain)
    if secure.selected_alpn_protocol() != protocol:
        raise OSError(f"the server does not speak {protocol}")
    return secure


class Sink:
    """All connections, and the loop that reads them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._poll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self.tally = Tally()
        self.viewers: list[Viewer] = []

    def join(self) -> float:
        """Open all, evenly over the ramp, and wait for their first bytes; ms to the last of them."""
        began = time.monotonic()
        options = self._options
        for count, due_s in self._openings():
            self.serve(began + due_s)
            try:
                connection: Connection = (
                    Http2(options, self.tally, count) if options.mode == "h2" else Http1(options, self.tally)
                )
            except OSError as error:
                print(f"secure_sink: {error}", file=sys.stderr)
                self.tally.failed += count
                continue
            connection.socket.setblocking(False)
            fd = connection.socket.fileno()
            self._connections[fd] = connection
            self.viewers += connection.viewers
            self._poll.register(fd, select.EPOLLIN)
        limit = time.monotonic() + JOIN_LIMIT_S
        while time.monotonic() < limit and not all(viewer.body_us for viewer in self.viewers):
            self.serve(time.monotonic() + 0.01)
        last_us = max((viewer.body_us for viewer in self.viewers), default=0)
        self.tally.failed += sum(not viewer.body_us for viewer in self.viewers)
        return last_us / 1000 - began * 1000 if last_us else -1.0

    def _openings(self) -> Iterator[tuple[int, float]]:
        """How many viewers come with each connection, and when, in seconds from the first."""
        options = self._options
        together = options.streams_each if options.mode == "h2" else 1
        for first in range(0, options.viewers, together):
            yield min(together, options.viewers - first), options.ramp_ms / 1000 * first / options.viewers

    def serve(self, until_s: float) -> None:
        """Read until then."""
        while (left_s := until_s - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(left_s):
                self._read(fd)

    def _read(self, fd: int) -> None:
        connection = self._connections[fd]
        while True:
            try:
                data = connection.socket.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            except OSError:
                data = b""
            if not data:
                self.tally.lost += len(connection.viewers)
            if not data or not connection.receive(data, now_us()):
                self._poll.unregister(fd)
                return
            if len(data) < READ_BYTES and not isinstance(connection.socket, ssl.SSLSocket):
                return


def samples(values: list[float]) -> dict[str, float] | None:
    """The percentiles that `load sink` tells."""
    if not values:
        return None
    values.sort()
    count = len(values)
    ranks: dict[str, Callable[[int], int]] = {
        "p50": lambda n: n // 2,
        "p90": lambda n: n * 9 // 10,
        "p99": lambda n: n * 99 // 100,
        "max": lambda n: n - 1,
    }
    return {"count": count, **{name: round(values[rank(count)], 3) for name, rank in ranks.items()}}


def say(event: str, **fields: object) -> None:
    """One line of JSON."""
    print(json.dumps({"event": event, **fields}), flush=True)


def main() -> None:
    """Join, warm up, measure, tell, and hold the connections until stdin is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["plain", "tls", "h2"], required=True)
    parser.add_argument("--path", required=True)
    for name in ("port", "viewers", "streams-each", "ramp-ms", "warm-ms", "measure-ms"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    sink = Sink(options)
    tally = sink.tally
    last_body_ms = sink.join()
    first = [(viewer.body_us - viewer.began_us) / 1000 for viewer in sink.viewers if viewer.body_us]
    say("joined", last_body_ms=last_body_ms, first_byte_ms=samples(list(first)), first_body_ms=samples(first))
    sink.serve(time.monotonic() + options.warm_ms / 1000)
    tally.bytes = 0
    tally.window_us = now_us()
    say("start")
    sink.serve(time.monotonic() + options.measure_ms / 1000)
    say("end", seconds=(now_us() - tally.window_us) / 1e6)
    say(
        "result",
        **{name: getattr(tally, name) for name in ("bytes", "frames", "missed", "refused", "failed", "lost")},
        latency_ms=samples(tally.latencies),
        gap_ms=samples(tally.gaps),
        first_keyframe_ms=samples([(each.key_us - each.began_us) / 1000 for each in sink.viewers if each.key_us]),
    )
    sys.stdin.read()


if __name__ == "__main__":
    main()
