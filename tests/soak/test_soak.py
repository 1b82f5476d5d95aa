"""A short soak, and what a soak says of a door that leaks."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.abuse.arena import Figures
from tests.soak.soak import Found, soak

MIB = 1 << 20
FIGURES = Figures(descriptors=13, tasks=16, registrations=0, viewers=0, publishers=0, streams=0)
CLEAN = Found(
    before=FIGURES,
    after=FIGURES,
    resident=[70 * MIB] * 100,
    done=Counter({"RTMP came": 3, "RTMP saw": 1, "reloads": 2}),
    logged=Counter({"reload.failed": 1}),
    growth_allowed=0.05,
)


async def test_a_short_soak_leaves_nothing() -> None:
    seed = 20
    found = await soak(10, seed)
    assert found.faults == [], f"seed {seed}\n{found.table}"
    assert found.done["RTMP saw"] and found.done["publishers"] and found.done["HTTP origin came up"]


def test_a_soak_that_leaves_nothing_has_no_faults_and_tells_its_figures() -> None:
    assert CLEAN.faults == []
    for line in ("descriptors                     13        13", "RTMP saw                         1"):
        assert line in CLEAN.table.splitlines()


@pytest.mark.parametrize("name", Figures._fields)
def test_whatever_is_held_at_the_end_is_a_fault(name: str) -> None:
    (fault,) = replace(CLEAN, after=FIGURES._replace(**{name: 99})).faults
    assert fault == f"{name}: {getattr(FIGURES, name)} before, 99 after"


def test_memory_that_grows_in_the_second_half_is_a_fault_and_in_the_first_is_none() -> None:
    first = [MIB * (50 + sample) for sample in range(50)]
    assert replace(CLEAN, resident=first + [100 * MIB] * 50).faults == []
    second = [MIB * (100 + sample // 5) for sample in range(50)]
    (fault,) = replace(CLEAN, resident=first + second).faults
    assert fault == "resident memory has grown by 8.0% in the second half"


def test_a_bug_in_the_log_and_a_way_that_shows_nothing_are_faults() -> None:
    faults = replace(CLEAN, logged=Counter({"connection.bug": 2}), done=Counter({"RTMP came": 3})).faults
    assert faults == ["the log has 2 times connection.bug", "no viewer by RTMP was shown anything"]
