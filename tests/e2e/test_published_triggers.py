"""Triggers fire on exactly the trades that were published for them, at the venue and in the engine.

The trailing scenarios A, C and E are Binance's, at their published prices: the market of BTC/USDT
is taken over and traded to the first of them before the orders come. The walk stops on each
waypoint, on the activation price and one tick before the trade that fires, with a few trades in
between. The plain triggers run on ETH/USDT, at 25 times the prices of the file.

Each case is worked twice on one walk: as a native order, and by the engine from the last trade.
"""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.order_types_world import Placed, driven, end_all, orders_of, submit_all
from tests.e2e.world import MOVING, STILL, World
from workflows.domain.triggers import Flag

pytest_plugins = ("tests.e2e.engine_stack",)
pytestmark = pytest.mark.asyncio(loop_scope="session")

_VECTORS = json.loads((Path(__file__).parents[1] / "data" / "triggers.json").read_text())
TRAILING: list[dict[str, Any]] = _VECTORS["trailing"]
PLAIN: list[dict[str, Any]] = _VECTORS["plain"]
TICK = Decimal("0.01")
BETWEEN = 3
"""Trades between two waypoints."""
FACTOR = 25
PLACEMENTS: tuple[dict[str, str], ...] = (
    {"placement": "native"},
    {"placement": "engine", "trigger_source": "last"},
)


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _honest_exchange(world: World):
    yield
    await world.faults.clear()


@pytest.mark.parametrize("case", TRAILING, ids=lambda case: case["name"])
async def test_a_trailing_order_fires_on_the_published_trade_and_not_one_tick_before(
    world: World, case
):
    walk, expected = list(_walk(case)), case["expected"]
    terms = {
        "order_type": "trailing_stop",
        "side": case["side"].lower(),
        "symbol": STILL,
        "trailing_delta_bps": case["trailing_delta_bips"],
        "activation_price": case["stop_price"],
    }
    async with driven(world, STILL, walk[0]) as market:
        native, engine = await _armed(world, terms)
        await market.walk(walk[1:-1])
        await market.is_seen()
        assert _triggered_by(native) is None
        watch = await world.views.armed_watch(engine.order_id)
        assert watch is not None
        assert watch.state.extreme == Decimal(expected["extreme"])
        await market.to(walk[-1])
        _, done = await end_all(native, engine)
    assert _triggered_by(native) == Decimal(expected["trigger_price"])
    assert done.stop is not None
    assert done.stop.fired_price == Decimal(expected["trigger_price"])
    assert done.stop.extreme == Decimal(expected["extreme"])


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case["name"])
async def test_a_plain_trigger_fires_at_the_published_index(world: World, case):
    ticks = [FACTOR * Decimal(price) for price in case["ticks"]]
    trigger, kind = FACTOR * Decimal(case["trigger"]), case["type"].lower()
    name = "take_profit_price" if kind == "take_profit" else "stop_price"
    terms = {
        "order_type": kind,
        "side": case["side"].lower(),
        "symbol": MOVING,
        "quantity": "0.1",
        name: trigger,
    }
    fires_at = case["expected"]["fires_at_index"]
    async with driven(world, MOVING, ticks[0]) as market:
        native, engine = await _armed(world, terms)
        for index, price in enumerate(ticks[1:], start=1):
            if index == fires_at:
                await market.is_seen()
                assert _triggered_by(native) is None
                assert (await engine.stop()).phase == "armed"
            await market.to(price)
        _, done = await end_all(native, engine)
    fires_price = FACTOR * Decimal(case["expected"]["fires_price"])
    assert _triggered_by(native) == fires_price
    assert done.stop is not None
    assert done.stop.fired_price == fires_price
    assert (Flag.GAP in done.stop.flags) is (fires_price != trigger)
    assert done.average_price is not None
    assert abs(done.average_price - fires_price) <= 10 * TICK, "it leaves at the market"


async def _armed(world: World, terms: dict[str, Any]) -> tuple[Placed, Placed]:
    """The native order and the engine's, both standing guard."""
    native, engine = (Placed(world, **terms | placement) for placement in PLACEMENTS)
    await submit_all((native, engine))
    await asyncio.gather(native.is_guarding(), engine.is_guarding())
    return native, engine


def _triggered_by(native: Placed) -> Decimal | None:
    (judged,) = orders_of(native.world.log(), native.child())
    return judged.triggered_by


def _walk(case: dict[str, Any]) -> Iterator[Decimal]:
    """The published path, coarser: every waypoint, the activation, and the tick before the last."""
    waypoints = [Decimal(price) for price in case["waypoints"]]
    extra = () if case["stop_price"] is None else (Decimal(case["stop_price"]),)
    yield waypoints[0]
    for start, end in pairwise(waypoints):
        is_up = end > start
        step = (end - start) / (BETWEEN + 1)
        between = {(start + n * step).quantize(TICK) for n in range(1, BETWEEN + 1)}
        between |= {price for price in extra if min(start, end) < price < max(start, end)}
        yield from sorted(between, reverse=not is_up)
        if end == waypoints[-1]:
            yield end - TICK if is_up else end + TICK
        yield end
