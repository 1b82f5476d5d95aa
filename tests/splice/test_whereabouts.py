"""Who had a stream a moment ago is asked first, for a while, and what is remembered is bounded."""

import pytest
import trio
from trio.testing import MockClock

from splice.config import OriginAddress
from splice.routing import Origin
from splice.whereabouts import REMEMBERED_S, Whereabouts

FIRST, SECOND, THIRD = (OriginAddress.parse(f"http://10.0.0.{n}") for n in (1, 2, 3))
ORIGIN = Origin("a", (FIRST, SECOND, THIRD), "", frozenset())


def order(whereabouts: Whereabouts, stream: str = "test", origin: Origin = ORIGIN) -> tuple[OriginAddress, ...]:
    return whereabouts.in_order(origin, "myapp", stream)


async def test_addresses_are_asked_as_the_operator_wrote_them_where_nothing_is_known() -> None:
    assert order(Whereabouts()) == (FIRST, SECOND, THIRD)


async def test_who_serves_a_stream_is_asked_first_for_this_one_alone() -> None:
    whereabouts = Whereabouts()
    with whereabouts.serving(ORIGIN, "myapp", "test", SECOND):
        assert order(whereabouts) == (SECOND, FIRST, THIRD)
        assert order(whereabouts, "other") == (FIRST, SECOND, THIRD)
        assert whereabouts.in_order(Origin("b", ORIGIN.addresses, "", frozenset()), "myapp", "test")[0] == FIRST


async def test_who_served_it_is_remembered_for_ten_seconds_from_its_end(autojump_clock: MockClock) -> None:
    whereabouts = Whereabouts()
    with whereabouts.serving(ORIGIN, "myapp", "test", SECOND):
        await trio.sleep(100)
        assert order(whereabouts)[0] == SECOND
    await trio.sleep(REMEMBERED_S)
    assert order(whereabouts)[0] == SECOND
    await trio.sleep(0.01)
    assert order(whereabouts) == (FIRST, SECOND, THIRD)
    assert len(whereabouts) == 0


async def test_the_newest_sighting_counts(autojump_clock: MockClock) -> None:
    whereabouts = Whereabouts()
    with whereabouts.serving(ORIGIN, "myapp", "test", SECOND):
        with whereabouts.serving(ORIGIN, "myapp", "test", THIRD):
            assert order(whereabouts)[0] == THIRD
        await trio.sleep(5)
    assert order(whereabouts)[0] == THIRD  # the older one's end says nothing new


async def test_of_several_who_are_served_the_last_one_counts(autojump_clock: MockClock) -> None:
    whereabouts = Whereabouts()
    with whereabouts.serving(ORIGIN, "myapp", "test", SECOND):
        with whereabouts.serving(ORIGIN, "myapp", "test", SECOND):
            pass
        await trio.sleep(100)
        assert order(whereabouts)[0] == SECOND


async def test_an_address_that_was_taken_out_of_the_configuration_is_not_asked() -> None:
    whereabouts = Whereabouts()
    with whereabouts.serving(ORIGIN, "myapp", "test", SECOND):
        assert order(whereabouts, origin=Origin("a", (FIRST, THIRD), "", frozenset())) == (FIRST, THIRD)


async def test_nothing_is_remembered_where_there_is_nothing_to_choose() -> None:
    whereabouts = Whereabouts()
    with whereabouts.serving(Origin("a", (FIRST,), "", frozenset()), "myapp", "test", FIRST):
        assert len(whereabouts) == 0


@pytest.mark.parametrize("most", [1, 10])
async def test_the_oldest_are_forgotten_where_there_are_too_many(most: int) -> None:
    whereabouts = Whereabouts(most=most)
    for number in range(50):
        with whereabouts.serving(ORIGIN, "myapp", f"s{number}", SECOND):
            assert len(whereabouts) <= most
    assert order(whereabouts, "s49")[0] == SECOND
    assert order(whereabouts, "s0")[0] == FIRST


async def test_one_that_was_forgotten_while_it_served_is_seen_again_when_it_serves_the_next(
    autojump_clock: MockClock,
) -> None:
    whereabouts = Whereabouts(most=1)
    with whereabouts.serving(ORIGIN, "myapp", "old", SECOND), whereabouts.serving(ORIGIN, "myapp", "new", SECOND):
        assert len(whereabouts) == 1
    assert len(whereabouts) == 1
    assert order(whereabouts, "old")[0] == FIRST
