"""Icebergs: one tip at a time, exact sums, native where the venue can, pegged within the limit."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import Client

from tests.workflows.conftest import engine_on
from tests.workflows.fakes import INSTRUMENT, FakeWorld, fills, rejects, report_of, rests
from tests.workflows.orders import MARKET, run, start, until_working
from workflows import names
from workflows.domain.denials import DenialCode
from workflows.domain.instruments import Native, Quote
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import ChildIntent, Placement
from workflows.domain.reports import RejectionFamily, SubmitOutcome, VenueStatus
from workflows.messages import OrderSnapshot

ICEBERG: dict[str, Any] = {**MARKET, "quantity": "1", "price": "49000"}
NATIVE = replace(INSTRUMENT, natives=(Native.ICEBERG,), iceberg_parts=100)


def sizes(world: FakeWorld) -> list[Decimal]:
    return [each.intent.quantity for each in world.submits]


async def test_tips_are_shown_one_after_the_other_and_sum_to_the_order(client: Client):
    world = FakeWorld()
    result = await run(client, world, "IcebergOrder", {**ICEBERG, "iceberg_display": "0.3"})
    assert result.status is OrderStatus.FILLED
    assert sizes(world) == [Decimal("0.3"), Decimal("0.3"), Decimal("0.3"), Decimal("0.1")]
    assert result.filled_quantity == Decimal(1)
    assert result.iceberg is not None
    assert (result.iceberg.tips_shown, result.iceberg.tips_filled) == (4, 4)


async def test_a_tenth_is_shown_by_default(client: Client):
    world = FakeWorld()
    await run(client, world, "IcebergOrder", ICEBERG)
    assert sizes(world) == [Decimal("0.1")] * 10


async def test_the_venue_hides_the_rest_where_it_can(client: Client):
    world = FakeWorld(instrument=NATIVE)
    result = await run(client, world, "IcebergOrder", ICEBERG)
    (submit,) = world.submits
    assert (submit.intent.quantity, submit.intent.display_quantity) == (Decimal(1), Decimal("0.1"))
    assert result.iceberg is not None
    assert result.iceberg.placement is Placement.NATIVE


@pytest.mark.parametrize(
    "changes",
    [{"iceberg_variance": "0.2"}, {"peg_offset": "0"}, {"placement": "engine"}],
    ids=["variance", "peg", "engine"],
)
async def test_the_engine_hides_what_the_venue_cannot(client: Client, changes: dict[str, str]):
    world = FakeWorld(instrument=NATIVE)
    result = await run(client, world, "IcebergOrder", {**ICEBERG, **changes, "price": "50000"})
    assert result.status is OrderStatus.FILLED
    assert len(world.submits) > 1
    assert all(each.intent.display_quantity is None for each in world.submits)


async def test_what_the_venue_cannot_hide_is_denied_where_it_must(client: Client):
    world = FakeWorld()
    result = await run(client, world, "IcebergOrder", {**ICEBERG, "placement": "native"})
    assert (result.status, result.code) == (OrderStatus.DENIED, DenialCode.NOT_NATIVE)
    assert world.submits == []


async def test_a_post_only_tip_that_would_take_is_tried_again_and_not_a_failure(client: Client):
    world = FakeWorld(script=[rejects(RejectionFamily.PRICE)] * 12)
    order = {**ICEBERG, "post_only": True, "iceberg_display": "0.5"}
    result = await run(client, world, "IcebergOrder", order)
    assert result.status is OrderStatus.FILLED
    assert len(world.submits) == 14


async def test_a_post_only_tip_that_is_accepted_and_cancelled_at_once_is_tried_again(
    client: Client,
):
    def taken_back(world: FakeWorld, intent: ChildIntent) -> SubmitOutcome:
        return world.acked(report_of(intent, Decimal(0), VenueStatus.CANCELLED))

    world = FakeWorld(script=[taken_back] * 12)
    order = {**ICEBERG, "post_only": True, "iceberg_display": "0.5"}
    result = await run(client, world, "IcebergOrder", order)
    assert (result.status, len(world.submits)) == (OrderStatus.FILLED, 14)


async def test_a_tip_that_may_not_trade_ends_the_order(client: Client):
    world = FakeWorld(script=[fills(), rejects(RejectionFamily.PERMISSION)])
    result = await run(client, world, "IcebergOrder", {**ICEBERG, "iceberg_display": "0.5"})
    assert (result.status, result.filled_quantity) == (OrderStatus.EXPIRED, Decimal("0.5"))
    assert "0.5" in result.reason


async def test_a_peg_moves_the_tip_with_the_touch_and_never_beyond_the_limit(client: Client):
    world = FakeWorld(default=rests)
    order = {**ICEBERG, "price": "50500", "peg_offset": "0", "reprice_interval_s": "1"}
    async with engine_on(client, world):
        handle = await start(client, "IcebergOrder", order)
        await until_working(handle, world)
        world.quote = Quote(bid=Decimal(50_400), ask=Decimal(50_401), read_at_ms=0)
        await until_submits(world, 2)
        world.quote = Quote(bid=Decimal(50_600), ask=Decimal(50_601), read_at_ms=0)
        async with asyncio.timeout(20):
            while (await progress(handle)).status is not OrderStatus.WAITING_PRICE:
                await asyncio.sleep(0.02)
        await handle.signal(names.CANCEL)
        result = await asyncio.wait_for(handle.result(), 20)
    assert [each.intent.price for each in world.submits] == [
        Decimal("49999.99"),
        Decimal(50_400),
    ]
    assert len(world.cancels) == 2
    assert result.status is OrderStatus.CANCELLED


async def progress(handle: Any) -> OrderSnapshot:
    snapshot: OrderSnapshot = await handle.query(names.PROGRESS, result_type=OrderSnapshot)
    return snapshot


async def until_submits(world: FakeWorld, count: int) -> None:
    async with asyncio.timeout(20):
        while len(world.submits) < count:
            await asyncio.sleep(0.02)
