"""`python -m protocol`: the kit's tools on the command line, and the only module of the kit that does I/O.

    python -m protocol flv FILE|- [--json]     a line for every tag of an FLV file or live stream, and a summary
    python -m protocol rtmp FILE ...           the same for one direction of a captured RTMP connection

Exit status: 0 for a whole file, 1 for a damaged one, 2 for a usage error, 130 after an interrupt.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from protocol import _tool_rtmp
from protocol._tool_flags import USAGE_ERROR, ToolFlags, complain
from protocol._tool_flv import FlvReport

__all__ = ["main"]

_PROG: Final = "python -m protocol"
_READ_BYTES: Final = 65536
_DAMAGED: Final = 1
_INTERRUPTED: Final = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one tool; the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = ToolFlags(prog=_PROG, description="Tools of the FLV, AMF and RTMP kit.")
    parser.add_argument("tool", choices=sorted(_TOOLS), help="what to read")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="the tool's own arguments")
    try:
        try:
            chosen = parser.parse_args(arguments)
            status = _TOOLS[chosen.tool](chosen.rest)
        finally:  # behind --help too, which ends by SystemExit
            sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes stdout once more on its way out; on the null device that cannot fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0  # who read our lines has enough of them (`| head`)
        return _usage_error(f"cannot write: {error.strerror}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _flv(arguments: list[str]) -> int:
    parser = ToolFlags(
        prog=f"{_PROG} flv", description="Print a line for every tag of an FLV file, and a summary.", allow_abbrev=False
    )
    parser.add_argument("file", metavar="FILE|-", help="the file; - reads standard input, a live stream too")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    chosen = parser.parse_args(arguments)
    report = FlvReport(json_lines=chosen.json)
    try:
        # The `with` that closes it is below, since this `except` must not cover what happens inside it.
        file = sys.stdin.buffer if chosen.file == "-" else Path(chosen.file).open("rb")  # noqa: SIM115 - see above
    except OSError as error:
        return _usage_error(f"cannot open {chosen.file}: {error.strerror}")
    with file:
        status = 0
        try:
            for data in _pieces(file):
                _print(report.feed(data))
                sys.stdout.flush()
                if report.broken:
                    break
        except KeyboardInterrupt:
            status = _INTERRUPTED  # how a live stream is left: the summary is still worth having
        except _ReadError as error:
            return _usage_error(f"cannot read {chosen.file}: {error}")
    _print(report.finish(whole=status == 0))
    return status or (_DAMAGED if report.damaged else 0)


class _ReadError(Exception):
    """Reading failed, not writing: the two raise the same `OSError`, and call for different sentences."""


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    # read1 gives what is there: a live stream's tags are printed as they come.
    read: Callable[[int], bytes] = getattr(file, "read1", file.read)
    while True:
        try:
            data = read(_READ_BYTES)
        except OSError as error:
            raise _ReadError(error.strerror) from error
        if not data:
            return
        yield data


def _usage_error(sentence: str) -> int:
    complain(_PROG, sentence)
    return USAGE_ERROR


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


_TOOLS: Final[dict[str, Callable[[list[str]], int]]] = {"flv": _flv, "rtmp": _tool_rtmp.main}


if __name__ == "__main__":  # pragma: no cover - tests run it as a process of its own
    sys.exit(main())
