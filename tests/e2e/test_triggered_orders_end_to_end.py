"""Stops, take-profits, trailing stops and pairs, kept by the venue and by the engine, on one walk.

All of them stand guard together on one market that the test drives down, up and down again; each
leaves when its own price comes, and what everybody tells of it meanwhile is the same.
"""

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.order_types_world import (
    Placed,
    assert_told_alike,
    driven,
    end_all,
    orders_of,
    submit_all,
)
from tests.e2e.world import BEST_BID, STILL, World
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Placement

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _honest_exchange(world: World):
    yield
    await world.faults.clear()


async def test_triggered_orders_of_every_type_leave_when_their_price_comes(world: World):
    stops = [
        *_both(world, "stop_loss", stop_price=49_900),
        *_both(world, "stop_loss", stop_price=49_900, price=49_800),
        *_both(world, "oco", oco_limit_price=50_400, stop_price=49_900),
    ]
    profits = [
        *_both(world, "take_profit", take_profit_price=50_200),
        *_both(world, "oco", oco_limit_price=50_200, stop_price=49_000),
    ]
    trails = _both(world, "trailing_stop", trailing_delta_bps=100)
    everything = [*stops, *profits, *trails]
    async with driven(world, STILL, BEST_BID) as market:
        await submit_all(everything)
        await asyncio.gather(*(order.is_guarding() for order in everything))
        for order in everything:
            await assert_told_alike(world, await order.now())
        await market.walk(("49950", "49900"))
        ended = await end_all(*stops)
        await market.walk(("50000", "50200", "50210"))
        ended += await end_all(*profits)
        await market.walk(("49800", "49708"))
        await market.is_seen()
        assert {(await order.now()).status for order in trails} == {OrderStatus.WAITING_PRICE}
        await market.to("49707.90")
        ended += await end_all(*trails)
    for done in ended:
        assert done.stop is not None
        assert not done.stop.is_protected, "nothing is left to protect"
        assert done.stop.placement in (Placement.NATIVE, Placement.ENGINE)
    await _assert_pairs_ended_by(world, stops[4:], "STOP_LOSS")
    await _assert_pairs_ended_by(world, profits[2:], "LIMIT_MAKER")


def _both(world: World, kind: str, **fields: Any) -> list[Placed]:
    """The order kept by the venue, and by the engine."""
    terms = {"order_type": kind, "side": "sell"} | fields
    return [Placed(world, **terms, placement=placement) for placement in ("native", "engine")]


async def _assert_pairs_ended_by(world: World, pairs: list[Placed], leg: str) -> None:
    """The native pair traded by this leg; the engine's by its own child of that purpose."""
    native, engine = pairs
    log = world.log()
    assert [each.type for each in orders_of(log, native.child()) if each.executed] == [leg]
    profit = log.orders_named(engine.child(0))
    assert len(profit) == 1
    assert (profit[0].executed > 0) is (leg == "LIMIT_MAKER")
