"""How the tests of this directory feed parsers: one table row, every way that bytes can arrive."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from hypothesis import strategies as st

from protocol import NEED_DATA, NeedDataType
from splice.http import RequestError, RequestHead, ResponseError, ResponseHead


class _Parser(Protocol):
    def receive_data(self, data: bytes) -> None: ...

    def next_event(self) -> RequestHead | ResponseHead | NeedDataType: ...


def outcome(parser: _Parser, pieces: Iterable[bytes]) -> object:
    """The head, NEED_DATA, or what tells one error from another, after `pieces` were fed one by one."""
    head: object = NEED_DATA
    for piece in pieces:
        parser.receive_data(piece)
        try:
            event = parser.next_event()
        except RequestError as error:
            return error.status, error.detail
        except ResponseError as error:
            return error.detail
        if event is not NEED_DATA:
            head = event
    return head


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


def cut_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` in pieces, cut at these positions (taken modulo its length)."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 1 << 16), max_size=8)
"""Where to cut, for `cut_at`."""

_INSERTED = [b"", b" ", b"\t", b"\r", b"\n", b"\r\n", b"\0", b":", b"\x0b", b"0", b"\xff", b"#", b"%", b";", b"//"]
_MUTATIONS = st.tuples(st.integers(0, 1 << 16), st.integers(0, 3), st.sampled_from(_INSERTED))


def mutated(wires: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of `wires` with up to three places where bytes are deleted and others inserted."""
    return st.builds(_mutate, st.sampled_from(wires), st.lists(_MUTATIONS, max_size=3))


def _mutate(wire: bytes, mutations: list[tuple[int, int, bytes]]) -> bytes:
    for position, deleted, inserted in mutations:
        place = position % (len(wire) + 1)
        wire = wire[:place] + inserted + wire[place + deleted :]
    return wire
