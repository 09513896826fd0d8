"""The fixture `infra`: one engine behind fault proxies for each module that asks for it.

A plugin rather than a conftest, because only the modules on infrastructure want it.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.infra_world import Infra, open_infra


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def infra(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Infra]:
    """A running engine; every test heals what it broke."""
    async with open_infra(tmp_path_factory.mktemp("infra")) as opened:
        yield opened
