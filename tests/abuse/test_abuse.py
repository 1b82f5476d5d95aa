"""A door under abuse: whoever behaves sees no gap, and afterwards everything is back."""

import resource
import signal
from pathlib import Path

import pytest
import trio

from tests.abuse.arena import GapError, NotBackError, open_arena
from tests.abuse.scenarios import (
    Scenario,
    deaf_viewers,
    descriptors_run_out,
    flood_of_aborts,
    half_handshakes,
    idle_connections,
    slow_heads,
    slow_readers,
)

LIMITS = {"head_s": 2.0, "stall_s": 2.0, "origin_head_s": 2.0, "connect_s": 2.0, "first_tag_s": 2.0}
ENOUGH = 12_000
"""Descriptors that this process must be able to have."""


@pytest.fixture(autouse=True)
def _descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < ENOUGH:
        pytest.skip(f"this needs {ENOUGH} descriptors: raise the hard limit (ulimit -Hn {ENOUGH})")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.mark.parametrize(
    "abuse",
    [idle_connections, slow_heads, half_handshakes, deaf_viewers, slow_readers, flood_of_aborts, descriptors_run_out],
    ids=lambda abuse: abuse.__name__,
)
async def test_who_behaves_sees_no_gap_and_all_is_back(tmp_path: Path, abuse: Scenario) -> None:
    async with open_arena(tmp_path, config="limits.rtmp_pending = 200\n", **LIMITS) as arena:
        await abuse(arena)


@pytest.mark.parametrize(
    ("abuse", "limit"),
    [(slow_heads, "head_s"), (deaf_viewers, "stall_s")],
    ids=["slow heads", "deaf viewers"],
)
async def test_the_same_abuse_is_seen_where_the_limit_against_it_is_taken_out(
    tmp_path: Path, abuse: Scenario, limit: str
) -> None:
    with pytest.raises(NotBackError):
        async with open_arena(tmp_path, **{**LIMITS, limit: 3600}) as arena:
            await abuse(arena)


async def test_a_door_that_stands_still_for_a_moment_is_seen_by_who_behaves(tmp_path: Path) -> None:
    with pytest.raises(GapError):
        async with open_arena(tmp_path, **LIMITS) as arena:
            arena.door.child.send_signal(signal.SIGSTOP)
            await trio.sleep(1.2)
            arena.door.child.send_signal(signal.SIGCONT)
