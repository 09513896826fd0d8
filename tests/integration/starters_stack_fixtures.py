"""A whole local stack for the tests of the starters.

Each test module that names this one in `pytest_plugins` gets a stack of its own.
"""

import shutil
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from tests.api_client import UNLIMITED, open_client
from tests.integration.starters_stack import PORTS, free_ports, until_ready
from workers.local_stack import LocalStack, delete_data
from workers.settings import load_settings


@pytest.fixture(scope="module")
def exchanges() -> str:
    """EXCHANGES of the stack; a module that needs more overrides it."""
    return "binance"


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory, exchanges: str) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("stack") / "home"
    values = {"DELTA_HOME": str(home), "EXCHANGES": exchanges, "WORKER_COUNT": "1"}
    values |= {"LOG_FORMAT": "json", **UNLIMITED, **free_ports(PORTS)}
    yield values
    delete_data(load_settings(values))
    shutil.rmtree(home, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(environ: dict[str, str]) -> AsyncIterator[LocalStack]:
    async with LocalStack(load_settings(environ)) as running:
        await until_ready(running)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(stack: LocalStack) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(stack.settings, timeout=20) as client:
        yield client
