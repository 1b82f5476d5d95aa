"""Records the conversations in vectors/: real programs on both ends, a small TCP recorder between them.

    python tests/protocol/rtmp/record_vectors.py [NAME ...]

Needs nginx with libnginx-mod-rtmp, ffmpeg, rtmpdump and gst-launch-1.0 (rtmp2sink) as Debian 12 packages them, and
imageio-ffmpeg for an ffmpeg that speaks Enhanced RTMP. Each conversation gives NAME.client.bin and NAME.server.bin,
what either side sent from C0 and S0 on, cut off after CROP bytes; README.md beside them says who spoke. Everything
runs on loopback, on ports that the kernel gave, and only processes started here are ended.
"""

import re
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

VECTORS = Path(__file__).with_name("vectors")
CROP = 20_000

DEBIAN = "ffmpeg"
NEW = imageio_ffmpeg.get_ffmpeg_exe()

VIDEO = "-f lavfi -i testsrc=size=192x144:rate=10"
AUDIO = "-f lavfi -i sine=frequency=440:sample_rate=48000"
H264 = "-c:v libx264 -preset ultrafast -tune zerolatency -g 10 -pix_fmt yuv420p"
AAC = "-c:a aac -b:a 32k -ac 1"

NGINX_CONFIG = """
daemon off; master_process off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
events {{ worker_connections 64; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size {chunk_size};
    application live {{ live on; meta {meta}; }} }} }}
"""


@dataclass(frozen=True)
class Conversation:
    """Who speaks: `client` is recorded against `server`; {url} is the recorder's address, {direct} the server's."""

    name: str
    client: str
    server: str = "nginx"
    beside: str = ""  # another client, not recorded: the publisher whom a player needs
    chunk_size: int = 4096
    meta: str = "on"
    shows: str = ""


def publish(ffmpeg: str, codecs: str, *, inputs: str = f"{VIDEO} {AUDIO}", to: str = "{url}", seconds: int = 2) -> str:
    timed = inputs.replace("-f lavfi", "-re -f lavfi")
    return f"{ffmpeg} -loglevel error {timed} {codecs} -t {seconds} -f flv {to}"


LISTENING = "{ffmpeg} -loglevel error -listen 1 -i {direct} -c copy -f null -"

CONVERSATIONS = [
    Conversation("ffmpeg5-publish-nginx", publish(DEBIAN, f"{H264} {AAC}"), shows="H.264, AAC"),
    Conversation(
        "ffmpeg5-publish-ffmpeg9-extended",
        publish(DEBIAN, f"{H264} {AAC} -output_ts_offset 16778"),
        server=LISTENING,
        shows="extended timestamps, repeated on fmt 3 by FFmpeg, chunk size 128",
    ),
    Conversation(
        "ffmpeg5-publish-nginx-whole",
        publish(DEBIAN, AAC, inputs=AUDIO, seconds=1),
        shows="AAC alone, short enough to hold the end: FCUnpublish, deleteStream",
    ),
    Conversation(
        "ffmpeg5-play-nginx",
        f"{DEBIAN} -loglevel error -i {{url}} -t 1 -c copy -f null -",
        beside=publish(DEBIAN, f"{H264} {AAC}", to="{direct}", seconds=4),
        shows="chunk size 4096 set by nginx",
    ),
    Conversation(
        "ffmpeg5-play-nginx-extended",
        f"{DEBIAN} -loglevel error -i {{url}} -t 1 -c copy -f null -",
        beside=publish(DEBIAN, f"{H264} {AAC} -output_ts_offset 16778", to="{direct}", seconds=4),
        chunk_size=512,
        shows="extended timestamps repeated on fmt 3 by nginx, chunk size 512",
    ),
    Conversation(
        "rtmpdump-play-nginx",
        "rtmpdump --quiet --live --stop 1 -r {url} -o /dev/null",
        beside=publish(DEBIAN, f"{H264} {AAC}", to="{direct}", seconds=4),
        chunk_size=128,
        shows="librtmp; fmt 1 on new chunk streams; chunk size 128",
    ),
    Conversation(
        "gstreamer-publish-nginx",
        "gst-launch-1.0 -q videotestsrc num-buffers=20 ! video/x-raw,width=192,height=144,framerate=10/1"
        " ! x264enc tune=zerolatency key-int-max=10 ! h264parse ! mux."
        " audiotestsrc num-buffers=60 ! voaacenc ! mux. flvmux name=mux streamable=true ! rtmp2sink location={url}",
        shows="rtmp2sink",
    ),
    Conversation(
        "ffmpeg9-publish-nginx",
        publish(NEW, f"{H264} {AAC}"),
        shows="legacy codecs from an Enhanced client",
    ),
    Conversation(
        "ffmpeg9-publish-ffmpeg9-hevc-opus",
        publish(NEW, "-c:v libx265 -x265-params log-level=none:keyint=10:bframes=2 -preset ultrafast -c:a libopus"),
        server=LISTENING,
        shows="Enhanced: hvc1, Opus",
    ),
    Conversation(
        "ffmpeg9-publish-ffmpeg9-av1-flac",
        publish(NEW, "-c:v libaom-av1 -cpu-used 8 -usage realtime -c:a flac -ac 1"),
        server=LISTENING,
        shows="Enhanced: av01, fLaC",
    ),
    Conversation(
        "ffmpeg9-publish-ffmpeg9-vp9-ac3",
        publish(NEW, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 100k -c:a ac3 -ac 1 -b:a 64k"),
        server=LISTENING,
        shows="Enhanced: vp09, ac-3",
    ),
    Conversation(
        "ffmpeg9-publish-ffmpeg9-multitrack",
        publish(
            NEW,
            f"-map 0 -map 0 -map 1 -map 1 {H264} -c:a:0 aac -b:a 32k -c:a:1 eac3 -ac 1",
        ),
        server=LISTENING,
        shows="Enhanced: two video tracks, two audio tracks (AAC, ec-3)",
    ),
    Conversation(
        "ffmpeg9-publish-nginx-hevc",
        publish(NEW, "-an -c:v libx265 -x265-params log-level=none:keyint=10 -preset ultrafast", inputs=VIDEO),
        shows="Enhanced to a server that does not know it",
    ),
    Conversation(
        "rtmpdump-play-ffmpeg9",
        "rtmpdump --quiet --live --stop 1 -r {url} -o /dev/null",
        server=publish(NEW, f"{H264} {AAC} -listen 1", to="{direct}", seconds=3),
        shows="FFmpeg as a server that is played from",
    ),
]


class Recorder:
    """Takes one connection, passes both directions on to `upstream`, keeps the first CROP bytes of each."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sent = {"client": bytearray(), "server": bytearray()}
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        with client, connect(self.upstream) as server:
            directions = [
                threading.Thread(target=self.pass_on, args=("client", client, server)),
                threading.Thread(target=self.pass_on, args=("server", server, client)),
            ]
            for direction in directions:
                direction.start()
            for direction in directions:
                direction.join()

    def pass_on(self, name: str, source: socket.socket, sink: socket.socket) -> None:
        kept = self.sent[name]
        try:
            while data := source.recv(65_536):
                kept += data[: CROP - len(kept)]
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one side left without a goodbye, as media programs do; the other direction ends by itself

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


def connect(address: tuple[str, int]) -> socket.socket:
    """Connect to a server that was only just started."""
    for _ in range(100):
        try:
            return socket.create_connection(address)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {address}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def process(command: str) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(10)


def record(conversation: Conversation) -> None:
    port = free_port()
    direct = f"rtmp://127.0.0.1:{port}/live/test"
    with ExitStack() as cleanup:
        directory = cleanup.enter_context(tempfile.TemporaryDirectory())
        if conversation.server == "nginx":
            config = Path(directory, "nginx.conf")
            config.write_text(
                NGINX_CONFIG.format(
                    directory=directory, port=port, chunk_size=conversation.chunk_size, meta=conversation.meta
                )
            )
            server = f"nginx -p {directory} -c {config} -e {directory}/error.log"
        else:
            server = conversation.server.format(ffmpeg=NEW, direct=direct)
        cleanup.enter_context(process(server))
        if conversation.server == "nginx":
            connect(("127.0.0.1", port)).close()  # ffmpeg serves its first connection only, so there the recorder waits
        recorder = Recorder(("127.0.0.1", port))
        cleanup.callback(recorder.close)
        if conversation.beside:
            cleanup.enter_context(process(conversation.beside.format(direct=direct)))
        client = conversation.client.format(url=f"rtmp://127.0.0.1:{recorder.port}/live/test")
        with process(client) as running:
            try:
                running.wait(8)
            except subprocess.TimeoutExpired:
                print(f"{conversation.name}: the client had to be stopped")
    for side, data in recorder.sent.items():
        VECTORS.joinpath(f"{conversation.name}.{side}.bin").write_bytes(data)
        print(f"{conversation.name}.{side}: {len(data)} bytes")


def version(command: str) -> str:
    result = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
    return (result.stdout + result.stderr).splitlines()[0].split(" Copyright")[0].strip()


def write_readme() -> None:
    lines = [
        "# Recorded RTMP conversations",
        "",
        "Made by `python tests/protocol/rtmp/record_vectors.py`; `*.client.bin` is what the client sent,",
        f"`*.server.bin` what the server answered, from the first handshake byte on, cut off after {CROP} bytes.",
        "Pictures and sounds are FFmpeg's and GStreamer's test sources. The programs:",
        "",
        f"- ffmpeg5, Debian 12: {version('ffmpeg -version')}",
        f"- ffmpeg9, from imageio-ffmpeg: {version(NEW + ' -version')}",
        f"- nginx, Debian 12 with libnginx-mod-rtmp 1.2.2: {version('nginx -v')}",
        f"- rtmpdump, Debian 12: {version('rtmpdump --help')}",
        f"- GStreamer, Debian 12: {version('gst-launch-1.0 --version')}",
        "",
    ]
    for conversation in CONVERSATIONS:
        lines += [f"## {conversation.name}", "", f"{conversation.shows[0].upper()}{conversation.shows[1:]}.", ""]
        server = conversation.server
        if server == "nginx":
            server = f"nginx, rtmp application with `live on`, chunk_size {conversation.chunk_size}"
        for role, command in (("client", conversation.client), ("server", server), ("beside", conversation.beside)):
            if command:
                shown = command.replace(NEW, "ffmpeg9").replace("{ffmpeg}", "ffmpeg9")
                shown = re.sub(r"\{(url|direct)\}", "rtmp://127.0.0.1:PORT/live/test", shown)
                lines.append(f"- {role}: `{shown}`" if " -" in shown else f"- {role}: {shown}")
        lines.append("")
    VECTORS.joinpath("README.md").write_text("\n".join(lines))


def main() -> None:
    wanted = sys.argv[1:]
    for conversation in CONVERSATIONS:
        if not wanted or conversation.name in wanted:
            record(conversation)
    write_readme()


if __name__ == "__main__":
    main()
