"""The catalogue of bad orders, each started as a workflow by a stranger: denied at once."""

import asyncio
import uuid

from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue

from tests.contract.bad_input import ROWS, Row
from tests.workflows.conftest import engine_on
from tests.workflows.fakes import FakeWorld
from workflows import names
from workflows.domain.lifecycle import OrderStatus
from workflows.messages import OrderSnapshot

TYPES = {b"twap": "TwapOrder", b"limit": "LimitOrder", b"iceberg": "IcebergOrder"}
TYPES |= {b"oco": "StopOrder", b"trailing_stop": "StopOrder"}
LONGEST = 1_000_000
"""Bytes; the server takes nothing that is much longer."""
WITHIN_S = 60


def type_of(body: bytes) -> str:
    """The workflow that works orders of the type that a body names."""
    named = [kind for text, kind in TYPES.items() if b'"order_type": "%s"' % text in body]
    return named[0] if named else "MarketOrder"


async def denial(client: Client, body: bytes) -> OrderSnapshot:
    """How an order with this payload ends."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=body)
    return await client.execute_workflow(
        type_of(body),
        RawValue(payload),
        id=f"bad-{uuid.uuid4().hex[:12]}",
        task_queue=names.ORDERS_QUEUE,
        result_type=OrderSnapshot,
    )


async def test_every_bad_order_is_denied_with_the_code_and_field_that_http_answers(
    client: Client,
) -> None:
    rows: list[Row] = [row for row in ROWS if len(row[1]) < LONGEST]
    world = FakeWorld()
    async with asyncio.timeout(WITHIN_S), engine_on(client, world):
        ended = await asyncio.gather(*(denial(client, row[1]) for row in rows))
    wrong = [
        (row[0], row[3:], each.status, each.code, each.field)
        for row, each in zip(rows, ended, strict=True)
        if (each.status, each.code, each.field) != (OrderStatus.DENIED, row[3], row[4])
    ]
    assert wrong == []
    assert world.submits == []
