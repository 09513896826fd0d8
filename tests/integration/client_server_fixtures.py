"""A real Temporal server for the tests of the typed client, one for each module that names it."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from workers.embedded_temporal import tuning_arguments
from workflows import names
from workflows.payloads import DATA_CONVERTER


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    environment = await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        dev_server_log_level="error",
        search_attributes=names.SEARCH_ATTRIBUTES,
        dev_server_extra_args=list(tuning_arguments()),
    )
    async with environment:
        yield environment
