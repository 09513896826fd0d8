"""Workflows that answer a question, started by a stranger with none (B56): failed at once."""

import asyncio
import uuid

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from tests.workflows.conftest import engine_on
from tests.workflows.fakes import FakeWorld
from workflows import names
from workflows.domain.denials import DenialCode

TYPES = ("ReadSymbols", "ReadWindow", "PriceWatch", "SettleOrder", "AccountFeed")
INPUTS: tuple[bytes | None, ...] = (None, b"null", b"5", b"[]", b"{}", b"{", b'{"venue":1}')
WITHIN_S = 60


async def failure(client: Client, kind: str, body: bytes | None) -> BaseException | None:
    """Why a workflow with this payload, or none at all, fails."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=body or b"")
    with pytest.raises(WorkflowFailureError) as failed:
        await client.execute_workflow(
            kind,
            args=[] if body is None else [RawValue(payload)],
            id=f"bad-{uuid.uuid4().hex[:12]}",
            task_queue=names.ORDERS_QUEUE,
        )
    return failed.value.cause


async def test_a_workflow_without_a_readable_input_fails_for_good_at_once(client: Client) -> None:
    asked = [(kind, body) for kind in TYPES for body in INPUTS]
    async with asyncio.timeout(WITHIN_S), engine_on(client, FakeWorld()):
        causes = await asyncio.gather(*(failure(client, *each) for each in asked))
    for each, cause in zip(asked, causes, strict=True):
        assert isinstance(cause, ApplicationError), each
        assert (cause.type, cause.non_retryable) == (DenialCode.INVALID_INPUT, True), each
