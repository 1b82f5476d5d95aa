"""The pumps that every behaviour test of this directory runs on, and what must be as before when it is over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from splice.pump import PortablePump, Pump
from splice.pump.epoll import EpollPump
from tests.splice.pump.links import descriptors


@asynccontextmanager
async def _open(kind: type[EpollPump] | type[PortablePump]) -> AsyncIterator[Pump]:
    held = descriptors()
    async with kind.open() as pump:
        yield pump
        assert pump.registrations == 0
    assert descriptors() == held


@pytest.fixture(params=[EpollPump, PortablePump], ids=["epoll", "portable"])
async def pump(request: pytest.FixtureRequest) -> AsyncIterator[Pump]:
    async with _open(request.param) as pump:
        yield pump


@pytest.fixture
async def epoll_pump() -> AsyncIterator[EpollPump]:
    async with _open(EpollPump) as pump:
        yield pump
