"""Which congestion control the sockets of a run use: the machine's own, or another one for all of them alike.

It decides much of what a proxy costs. BBR paces: the kernel arms a timer for each burst that it sends, which on a
virtual machine costs more than the sending. CUBIC, the kernel's own default, does not. A process cannot change the
machine's choice without leave, but may choose for its sockets, and a preloaded library does that for every program.
"""

import os
import socket
from pathlib import Path

from bench.measure import compile_c
from bench.processes import BenchError

__all__ = ["in_use", "use"]

SOURCE = Path(__file__).parent / "preload" / "congestion.c"
VARIABLE = "BENCH_CONGESTION"  # what the library reads
LIBRARY = Path(__file__).parent / "build" / "congestion.so"


def in_use() -> str:
    """What the sockets of programs use that are started now."""
    return os.environ.get(VARIABLE) or Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()


def use(name: str) -> None:
    """Let every program that is started from now on use `name`.

    Raises:
        BenchError: the kernel does not offer it.
    """
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        except OSError as error:
            raise BenchError(f"the kernel offers no congestion control {name}: {error.strerror}") from None
    compile_c([SOURCE], LIBRARY, ["-shared", "-fPIC"])
    os.environ[VARIABLE] = name
    os.environ["LD_PRELOAD"] = str(LIBRARY)
