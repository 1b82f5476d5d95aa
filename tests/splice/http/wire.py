"""How the tests of this directory feed parsers: one table row, every way that bytes can arrive."""

from collections.abc import Iterable, Iterator
from typing import Protocol

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
    return [data[start:end] for start, end in zip(places, places[1:], strict=False)]
