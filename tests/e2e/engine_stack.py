"""The fixture `world`: one engine for all end-to-end tests of a session.

A plugin rather than a conftest, so that the contract tests of the command line share the engine.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.world import World, open_world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A running engine; tests use strategies and order ids of their own."""
    folder: Path = tmp_path_factory.mktemp("engine")
    async with open_world(folder) as opened:
        yield opened
