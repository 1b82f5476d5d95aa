"""Lines of the log on their way to a reader who is slow, has stopped, or has gone: nobody waits for him."""

import io
import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from splice import log_lines
from splice.log_lines import LogLines


@contextmanager
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe's reading end, and a file on its writing end."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        yield reader, file


def written(reader: int, lines: LogLines) -> str:
    """All that comes out of a pipe until no thread writes any more."""
    text = b""
    while lines._thread is not None or select.select([reader], [], [], 0)[0]:
        if select.select([reader], [], [], 0.01)[0]:
            text += os.read(reader, 65536)
    return text.decode()


def numbered(count: int, size: int = 100) -> list[str]:
    return [f"{number:06}".ljust(size - 1, ".") + "\n" for number in range(count)]


def test_a_line_goes_out_at_once_and_by_no_thread() -> None:
    with pipe() as (reader, file):
        lines = LogLines(file)
        for line in ("a\n", "\u00e4\udc80\n"):
            assert lines.write(line) == 0
        assert lines._thread is None
        assert os.read(reader, 100) == b"a\n\xc3\xa4\\udc80\n"
        os.close(reader)


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_gives_all_in_order_when_somebody_does() -> None:
    sent = numbered(3000)
    with pipe() as (reader, file):
        lines = LogLines(file)
        assert sum(lines.write(line) for line in sent) == 0  # 300 kB, and a pipe takes 64
        assert lines._thread is not None
        assert written(reader, lines) == "".join(sent)
        assert lines.write("later\n") == 0
        assert lines._thread is None
        assert os.read(reader, 100) == b"later\n"
        os.close(reader)


def test_a_line_that_is_longer_than_a_pipe_takes_at_once_stays_whole_and_in_its_place() -> None:
    sent = ["before\n", "x" * 100_000 + "\n", "behind\n"]
    with pipe() as (reader, file):
        lines = LogLines(file)
        for line in sent:
            lines.write(line)
        assert written(reader, lines) == "".join(sent)
        os.close(reader)


def test_too_many_lines_are_dropped_and_counted_once_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "_MOST_WAITING_BYTES", 10_000)
    sent = numbered(3000)
    with pipe() as (reader, file):
        lines = LogLines(file)
        assert sum(lines.write(line) for line in sent) == 0
        came = written(reader, lines).splitlines(keepends=True)
        assert came == sorted(set(came)) and set(came) < set(sent)
        assert 100 * len(came) < 100_000  # the pipe, the queue, and the one line that the thread has in its hand
        assert lines.write("there is room\n") == len(sent) - len(came)
        assert lines.write("and was told\n") == 0
        os.close(reader)


def test_a_pipe_that_its_other_owner_wants_without_waiting_loses_nothing() -> None:
    sent = numbered(3000)
    with pipe() as (reader, file):
        os.set_blocking(file.fileno(), False)
        lines = LogLines(file)
        for line in sent:
            lines.write(line)
        assert written(reader, lines) == "".join(sent)
        os.close(reader)


def test_a_reader_who_goes_in_the_middle_is_forgotten() -> None:
    with pipe() as (reader, file):
        lines = LogLines(file)
        for line in numbered(3000):
            lines.write(line)
        thread = lines._thread
        assert thread is not None
        os.close(reader)
        thread.join(10)
        assert lines._thread is None
        assert lines.write("x\n") == 0
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), file.fileno())


def test_a_file_in_memory_is_written_as_it_is() -> None:
    file = io.StringIO()
    assert LogLines(file).write("x\n") == 0
    assert file.getvalue() == "x\n"


def test_the_end_of_the_process_waits_for_the_last_lines_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(log_lines.atexit, "register", at_exit.append)
    monkeypatch.setattr(log_lines, "_LAST_LINES_S", 0.01)
    sent = numbered(1000)
    with pipe() as (reader, file):
        lines = LogLines(file)
        for _ in range(2):
            for line in sent:
                lines.write(line)
            (finish,) = at_exit
            finish()
            assert lines._thread is not None
            monkeypatch.setattr(log_lines, "_LAST_LINES_S", 10)
            reading = threading.Thread(target=written, args=(reader, lines))
            reading.start()
            finish()
            assert lines._thread is None
            finish()
            reading.join()
            monkeypatch.setattr(log_lines, "_LAST_LINES_S", 0.01)
        os.close(reader)
