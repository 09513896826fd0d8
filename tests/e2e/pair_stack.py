"""The fixture `pair`: one engine between two exchanges for all modules that ask for it.

A plugin rather than a conftest, because only the modules on arbitrage want it.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.arbitrage_world import Pair, open_pair


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """A running engine; every arbitrage has an id of its own."""
    async with open_pair(tmp_path_factory.mktemp("pair")) as opened:
        yield opened
