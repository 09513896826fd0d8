"""Protective orders of every kind, who follows prices for them, and what kills do to both.

Rule: real ones. Where a price decides, the scenario drives the market, and says what fires there.
"""

import asyncio
from decimal import Decimal
from typing import Any

from tests.e2e.crash_world import workers
from tests.e2e.order_types_world import Placed, driven, follower_id
from tests.e2e.world import BEST_BID, MOVING, STILL, World, until
from tests.histories.executions import Worked
from tests.histories.orders_at_work import (
    ANN,
    APART,
    TAKING,
    WITHIN_S,
    Keep,
    Scenario,
    cancelled,
    ended,
    handed_over,
    has_filled,
    run_of,
)
from tests.histories.parted import fill_tips, iceberg
from workflows import names
from workflows.domain.lifecycle import OrderStatus as Status
from workflows.steering_messages import AmendRequest

STOP, PROFIT, TOP = BEST_BID - 100, BEST_BID + 200, BEST_BID + 210
TRAIL_BPS = 100
TRAILED = TOP - TOP * TRAIL_BPS / 10_000
NOISE = 100
"""Signals at a time that make a waiting order's history long."""


# --- on a market that is left alone ---------------------------------------------------------------


async def stop(world: World, kind: str, placement: str = "engine", **fields: Any) -> Placed:
    """A protective sell of 0.01 BTC."""
    terms = {"order_type": kind, "side": "sell", "placement": placement}
    return await Placed(world, **terms | fields).submit()


async def stop_through_already(world: World) -> Worked:
    return await ended(await stop(world, "stop_loss", stop_price=TAKING))


async def stop_native_cancelled(world: World) -> Worked:
    order = await stop(world, "stop_loss", "native", stop_price=APART)
    await order.is_guarding()
    return await cancelled(order)


async def stop_expired(world: World) -> Worked:
    order = await stop(world, "stop_loss", stop_price=APART, timeout_s="1")
    return await ended(order, Status.EXPIRED)


async def stop_cancelled_while_armed(world: World) -> Worked:
    """The one order that waits for this symbol's price: nobody needs its follower any more."""
    order = await stop(world, "stop_loss", symbol=MOVING, stop_price="2300")
    await order.is_guarding()
    return await cancelled(order)


async def no_follower_is_needed(world: World) -> Worked:
    """The end of the follower of a symbol for whose price nobody waits."""
    handle = world.temporal.get_workflow_handle(follower_id(MOVING))
    async with asyncio.timeout(WITHIN_S):
        await handle.result()
    return Worked(id=handle.id, status="completed", detail="idle")


UNDRIVEN: dict[str, Scenario] = {
    "stop.cancelled_while_armed": stop_cancelled_while_armed,
    "stop.through_already": stop_through_already,
    "stop.native_cancelled": stop_native_cancelled,
    "stop.expired": stop_expired,
}


# --- triggers that fire ---------------------------------------------------------------------------

LOSS: dict[str, Any] = {"stop_price": STOP}
GAIN = {"take_profit_price": PROFIT}
TO_STOP = {"oco_limit_price": BEST_BID + 400, "stop_price": STOP}
TO_PROFIT = {"oco_limit_price": PROFIT, "stop_price": BEST_BID - 1_000}
TRAIL = {"trailing_delta_bps": TRAIL_BPS}
THIN = {
    "quantity": "0.5",
    "max_slippage": "0.0000002",
    "max_total_slippage": "0.0000006",
    "retry_ms": 50,
}
"""More than there is so near to the touch."""
FALLING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "stop.loss_engine": ("stop_loss", "engine", LOSS),
    "stop.loss_native": ("stop_loss", "native", LOSS),
    "stop.loss_amended": ("stop_loss", "engine", LOSS),
    "stop.loss_reduce_only": ("stop_loss", "engine", LOSS | {"reduce_only": True}),
    "stop.loss_then_market": (
        "stop_loss",
        "engine",
        LOSS | {"price": TAKING, "post_trigger_timeout_s": "0.5", "on_unfilled": "market"},
    ),
    "stop.loss_widened_to_market": ("stop_loss", "engine", LOSS | THIN),
    "stop.oco_engine_stop": ("oco", "engine", TO_STOP),
    "stop.oco_engine_partly_filled": ("oco", "engine", TO_STOP),
    "stop.oco_native_stop": ("oco", "native", TO_STOP),
}
"""They fire when the price falls: order type, who keeps the trigger, terms."""
RISING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "stop.loss_limit_rested": ("stop_loss", "engine", LOSS | {"price": PROFIT}),
    "stop.profit_engine": ("take_profit", "engine", GAIN),
    "stop.profit_native": ("take_profit", "native", GAIN),
    "stop.oco_engine_profit": ("oco", "engine", TO_PROFIT),
    "stop.oco_native_profit": ("oco", "native", TO_PROFIT),
}
EXHAUSTED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "stop.loss_exhausted": ("stop_loss", "engine", LOSS | THIN | {"on_exhausted": "alarm"}),
}
TRAILING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "stop.trailing_engine_paused_and_resumed": ("trailing_stop", "engine", TRAIL),
    "stop.trailing_engine_continued_as_new": ("trailing_stop", "engine", TRAIL),
    "stop.trailing_native": ("trailing_stop", "native", TRAIL),
}


async def triggered(world: World, keep: Keep) -> None:
    """All are armed, some are steered, then the price goes down, up, and down again."""
    terms = {**FALLING, **EXHAUSTED, **RISING, **TRAILING}
    async with driven(world, STILL, BEST_BID) as market:
        orders = {name: await _armed(world, *each) for name, each in terms.items()}
        await asyncio.gather(*(order.is_guarding() for order in orders.values()))
        first_run = await _steer_armed(orders)

        async def end(group: dict[str, Any]) -> None:
            for name in group:
                known = first_run if name.endswith("continued_as_new") else None
                await keep(name, await ended(orders[name], first_run_id=known))

        await market.walk((BEST_BID - 50, STOP))
        await end(FALLING)
        for name in EXHAUSTED:
            await keep(name, await _given_up(orders[name]))
        await _follower_is_kept(world, keep)
        await market.walk((BEST_BID, PROFIT, TOP))
        await end(RISING)
        await market.is_seen()
        await market.to(TRAILED)
        await end(TRAILING)


async def _armed(world: World, kind: str, placement: str, terms: dict[str, Any]) -> Placed:
    """The order; with the position that it may reduce, where it may do nothing else."""
    if not terms.get("reduce_only"):
        return await stop(world, kind, placement, **terms)
    bought = await Placed(world, order_type="market").submit()
    await ended(bought)
    held = bought.request.strategy_id
    return await stop(world, kind, placement, strategy_id=held, **terms)


async def _steer_armed(orders: dict[str, Placed]) -> str:
    """Pause, amend, fill in part, and make long; the first run of the one that was made long."""
    partly = orders["stop.oco_engine_partly_filled"]
    await partly.rests()
    await partly.fill(quantity="0.004")
    await has_filled(partly)
    amended = orders["stop.loss_amended"]
    await amended.world.orders.amend(amended.order_id, AmendRequest(quantity=Decimal("0.012")))
    paused = orders["stop.trailing_engine_paused_and_resumed"]
    await paused.world.orders.pause(paused.order_id, ANN)
    await paused.world.orders.resume(paused.order_id, ANN)
    await asyncio.gather(*(each.is_guarding() for each in (amended, paused)))
    return await _made_long(orders["stop.trailing_engine_continued_as_new"])


async def _made_long(order: Placed) -> str:
    """Signals that say nothing, until a new run stands guard; the first run."""
    handle, first = order.world.temporal.get_workflow_handle(order.order_id), await run_of(order)
    while not await handed_over(order, first):
        await asyncio.gather(*(handle.signal(names.PRICE_TRIGGER) for _ in range(NOISE)))
    await order.is_guarding()
    return first


async def _given_up(order: Placed) -> Worked:
    """A human is told that its bound is too narrow, and cancels it."""

    async def is_alarmed() -> bool:
        return order.order_id in {alarm.object for alarm in await order.world.views.alarms()}

    await until(is_alarmed, WITHIN_S)
    return await cancelled(order)


async def _follower_is_kept(world: World, keep: Keep) -> None:
    following = Worked(id=follower_id(STILL), status="running", detail="triggers wait")
    await keep("price_watch.following", following)


# --- kills ----------------------------------------------------------------------------------------


async def over_worker_kill(world: World, keep: Keep) -> None:
    """All workers die; meanwhile a tip is filled, and the price falls through a trigger."""
    async with driven(world, STILL, BEST_BID) as market:
        guard = await stop(world, "stop_loss", **LOSS)
        await guard.is_guarding()
        tips = await iceberg(world)
        await tips.rests()
        fleet = workers(world)
        await asyncio.gather(*(world.stack.kill(name) for name in fleet))
        await asyncio.gather(tips.fill(), market.to(STOP))
        await asyncio.gather(*(world.stack.wait_healthy(name) for name in fleet))
        await fill_tips(tips, first=1, left=Decimal("0.007"))
        await keep("iceberg.over_worker_kill", await ended(tips))
        await keep("stop.over_worker_kill", await ended(guard))
        await keep("price_watch.continued_as_new", await over_deploy(world))


async def over_deploy(world: World) -> Worked:
    """All workers stop in their orderly way: the next run of a follower goes on elsewhere."""
    handle = world.temporal.get_workflow_handle(follower_id(STILL))
    first, fleet = (await handle.describe()).run_id, workers(world)
    await asyncio.gather(*(world.stack.stop_part(name) for name in fleet))
    await asyncio.gather(*(world.stack.start_part(name) for name in fleet))

    async def is_handed_over() -> bool:
        return (await handle.describe()).run_id != first

    await until(is_handed_over, WITHIN_S)
    return Worked(id=handle.id, status="running", detail="", first_run_id=first)
