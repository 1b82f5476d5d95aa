"""The house that these tests look into."""

from collections.abc import AsyncIterator

import pytest

from tests.splice.admin.admin_house import AdminHouse, open_admin_house

__all__ = ["house"]


@pytest.fixture
async def house() -> AsyncIterator[AdminHouse]:
    async with open_admin_house() as opened:
        yield opened
