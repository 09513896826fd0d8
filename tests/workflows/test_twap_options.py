"""A TWAP's options: passive first, within the market's volume, at a given time, to a given end."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from temporalio.client import Client

from tests.workflows.conftest import assert_replays, engine_on
from tests.workflows.fakes import FakeWorld, fills, rejects, rests
from tests.workflows.orders import MARKET, run, start, start_and_ask
from workflows import names
from workflows.domain.denials import DenialCode
from workflows.domain.instruments import Quote
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import TimeInForce
from workflows.domain.reports import RejectionFamily
from workflows.preview_messages import OrderPreview

TWAP: dict[str, Any] = {**MARKET, "quantity": "1", "twap_slices": 4, "twap_interval": "60"}
PASSIVE = {**TWAP, "passive_fraction": "0.5"}


async def test_a_slice_rests_at_the_own_touch_and_then_crosses_with_what_is_left(client: Client):
    world = FakeWorld(script=[rests, fills()] * 4)
    result = await run(client, world, "TwapOrder", PASSIVE)
    passive, crossing = world.submits[0].intent, world.submits[1].intent
    assert (passive.post_only, passive.price) == (True, Decimal("49999.99"))
    assert (crossing.time_in_force, crossing.price) == (TimeInForce.IOC, Decimal("50250.01"))
    assert len(world.cancels) == 4
    assert (result.status, result.filled_quantity) == (OrderStatus.FILLED, Decimal(1))
    assert result.twap is not None
    assert (result.twap.slices_sent, result.twap.slices_filled) == (4, 4)


async def test_a_filled_passive_child_leaves_nothing_to_cross(client: Client):
    world = FakeWorld()
    result = await run(client, world, "TwapOrder", PASSIVE)
    assert len(world.submits) == 4
    assert all(submit.intent.post_only for submit in world.submits)
    assert result.status is OrderStatus.FILLED


async def test_a_post_only_rejection_is_no_fill_and_no_failure(client: Client):
    world = FakeWorld(script=[rejects(RejectionFamily.PRICE)] * 2)
    result = await run(client, world, "TwapOrder", PASSIVE)
    assert result.status is OrderStatus.FILLED
    assert result.filled_quantity == Decimal(1)


async def test_a_passive_child_moves_with_the_touch(client: Client):
    world = FakeWorld(script=[rests, rests, fills()])
    order = {**TWAP, "twap_slices": 1, "passive_fraction": "1", "reprice_interval_s": "5"}
    async with engine_on(client, world):
        handle = await start(client, "TwapOrder", order)
        async with asyncio.timeout(20):
            while not world.submits:
                await asyncio.sleep(0.001)
        world.quote = Quote(bid=Decimal(50_400), ask=Decimal(50_401), read_at_ms=0)
        result = await asyncio.wait_for(handle.result(), 30)
        await assert_replays(await handle.fetch_history())
    prices = [submit.intent.price for submit in world.submits]
    assert prices[0] == Decimal("49999.99")
    assert Decimal(50_400) in prices[1:]
    assert result.status in (OrderStatus.FILLED, OrderStatus.EXPIRED)


async def test_it_takes_at_most_its_share_of_what_the_market_traded(client: Client):
    world = FakeWorld(volume=Decimal(1))  # per slice: a tenth of it is 0.111 of the others' 1
    result = await run(client, world, "TwapOrder", {**TWAP, "max_participation": "0.1"})
    assert result.status is OrderStatus.EXPIRED
    assert result.filled_quantity < Decimal(1)
    assert "participation" in result.reason
    assert all(submit.intent.quantity <= Decimal("0.111") for submit in world.submits)
    assert result.twap is not None
    assert result.twap.participation_limited == 4


async def test_it_begins_when_it_shall(client: Client):
    world = FakeWorld()
    start_at = datetime.now(UTC) + timedelta(hours=6)
    result = await run(client, world, "TwapOrder", {**TWAP, "start_at": start_at.isoformat()})
    assert result.status is OrderStatus.FILLED
    assert result.twap is not None
    assert result.twap.ends_at is not None
    assert datetime.fromisoformat(result.twap.ends_at) >= start_at + timedelta(seconds=240)


async def test_it_ends_when_it_shall(client: Client):
    world = FakeWorld(script=[fills("0")] * 100)
    end_at = datetime.now(UTC) + timedelta(hours=6)
    order = {**MARKET, "quantity": "1", "twap_slices": 6, "end_at": end_at.isoformat()}
    result = await run(client, world, "TwapOrder", order)
    assert result.twap is not None
    assert result.twap.ends_at is not None
    assert abs(datetime.fromisoformat(result.twap.ends_at) - end_at) < timedelta(seconds=1)
    assert (result.status, len(world.submits)) == (OrderStatus.EXPIRED, 6)


async def test_the_same_rule_refused_twice_ends_the_schedule(client: Client):
    world = FakeWorld(default=rejects(RejectionFamily.FILTER, "-1013"))
    result = await run(client, world, "TwapOrder", TWAP)
    assert (result.status, len(world.submits)) == (OrderStatus.EXPIRED, 2)


async def test_an_end_that_is_over_is_denied_to_the_order_and_to_its_preview(client: Client):
    world = FakeWorld()
    order = {**MARKET, "order_type": "twap", "quantity": "1", "end_at": "2001-01-01T00:00:00Z"}
    async with engine_on(client, world):
        verdict, handle = await start_and_ask(client, "TwapOrder", order)
        result = await asyncio.wait_for(handle.result(), 30)
        preview = await client.execute_workflow(
            "PreviewOrder",
            order,
            id=f"preview-of-{handle.id}",
            task_queue=names.ORDERS_QUEUE,
            result_type=OrderPreview,
        )
    assert {verdict.code, result.code, preview.code} == {DenialCode.END_BEFORE_START}
    assert not preview.accepted


async def test_slices_below_the_minimum_are_merged_and_said_so(client: Client):
    world = FakeWorld()
    order = {**TWAP, "quantity": "0.003", "twap_slices": 10, "twap_interval": "60"}
    result = await run(client, world, "TwapOrder", order)
    assert result.twap is not None
    assert (result.twap.slices_requested, result.twap.slices_planned) == (10, 3)
    assert result.status is OrderStatus.FILLED
