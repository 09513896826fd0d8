"""The orders that the recorder works for icebergs, triggers, complete TWAPs and steering.

Rule: real ones, on the engine with one paper exchange, several side by side. Each scenario says
how it must end. A market is driven where a price decides, and left alone where none does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.e2e.crash_world import workers
from tests.e2e.order_types_world import DrivenMarket, Placed, driven, follower_id
from tests.e2e.world import BEST_BID, MOVING, STILL, World, until
from tests.histories.executions import Worked
from workflows import names
from workflows.domain.lifecycle import OrderStatus as Status
from workflows.messages import OrderSnapshot
from workflows.preview_messages import OrderPreview
from workflows.steering_messages import AmendRequest, SteerRequest

APART = BEST_BID - 200
"""Where nobody trades unless the scenario says so."""
TAKING = BEST_BID + 200
STOP, PROFIT, TOP = BEST_BID - 100, BEST_BID + 200, BEST_BID + 210
TRAIL_BPS = 100
TRAILED = TOP - TOP * TRAIL_BPS / 10_000
AT_A_TIME = 5
WITHIN_S = 120.0
PAUSED_FOR_S = 2.5
NOISE = 100
"""Signals at a time that make a waiting order's history long."""
ANN = SteerRequest(requested_by="ann", reason="news")

Keep = Callable[[str, Worked], Awaitable[None]]
"""Takes a workflow's name and end, and writes its history."""
Scenario = Callable[[World], Awaitable[Worked]]


async def ended(order: Placed, *wanted: Status, first_run_id: str | None = None) -> Worked:
    """Its end, which must be one of those wanted; filled where nothing is said."""
    known = OrderSnapshot(order_id=order.order_id, status=Status.WORKING)
    done = await order.world.finish(known, WITHIN_S)
    assert done.status in (wanted or (Status.FILLED,)), f"{order}: {done.status} {done.reason}"
    return Worked(
        id=order.order_id, status=done.status, detail=done.reason, first_run_id=first_run_id
    )


async def cancelled(order: Placed) -> Worked:
    await order.world.orders.cancel(order.order_id, "enough")
    return await ended(order, Status.CANCELLED)


async def has_become(order: Placed, status: Status) -> None:
    """Return when its workflow says so."""

    async def is_there() -> bool:
        return (await order.now()).status is status

    await until(is_there, WITHIN_S)


async def has_filled(order: Placed, quantity: Decimal = Decimal(0)) -> None:
    """Return when more than this has been executed."""

    async def is_more() -> bool:
        return (await order.now()).filled_quantity > quantity

    await until(is_more, WITHIN_S)


async def handed_over(order: Placed, first_run_id: str) -> bool:
    handle = order.world.temporal.get_workflow_handle(order.order_id)
    return (await handle.describe()).run_id != first_run_id


async def run_of(order: Placed) -> str:
    handle = order.world.temporal.get_workflow_handle(order.order_id)
    return (await handle.describe()).run_id or ""


# --- icebergs -------------------------------------------------------------------------------------


async def iceberg(world: World, **fields: Any) -> Placed:
    """A buy of 10 by 3, in thousandths of a bitcoin, unless changed."""
    terms = {"order_type": "iceberg", "quantity": "0.010", "iceberg_display": "0.003"}
    kept = {"price": APART, "placement": "engine"}
    return await Placed(world, **terms | kept | fields).submit()


async def fill_tips(order: Placed, first: int = 0, left: Decimal | None = None) -> None:
    """The market takes tip after tip, from this child on, until nothing is left."""
    left, index = left or order.request.quantity, first
    while left > 0:
        tip = await order.rests(index)
        await order.fill(index)
        left, index = left - (tip.quantity - tip.executed), index + 1


async def iceberg_engine(world: World) -> Worked:
    order = await iceberg(world, iceberg_variance="0.2", replenish_delay_s="0.2")
    await fill_tips(order)
    return await ended(order)


async def iceberg_native(world: World) -> Worked:
    order = await iceberg(world, placement="native")
    await order.rests()
    await order.fill(quantity="0.004")
    await has_filled(order)
    await order.fill()
    return await ended(order)


async def iceberg_pegged_cancelled(world: World) -> Worked:
    """The tip follows the touch of a market that moves."""
    pegged = {"symbol": MOVING, "price": "2520", "peg_offset": "20", "reprice_interval_s": "0.2"}
    order = await iceberg(world, quantity="0.1", iceberg_display="0.06", **pegged)

    async def has_moved() -> bool:
        return (await order.now()).children_total > 2

    await until(has_moved, WITHIN_S)
    return await cancelled(order)


async def iceberg_waiting_for_price(world: World) -> Worked:
    """Where it should rest is beyond its limit price, until that is amended."""
    order = await iceberg(world, price=STOP, peg_offset="1", reprice_interval_s="0.2")
    await has_become(order, Status.WAITING_PRICE)
    await world.orders.amend(order.order_id, AmendRequest(price=TAKING))
    await fill_tips(order)
    return await ended(order)


async def iceberg_steered(world: World) -> Worked:
    """Paused and amended with a tip half filled; it goes on with what was left of that."""
    order = await iceberg(world)
    await order.rests()
    await order.fill(quantity="0.001")
    await has_filled(order)
    await world.orders.pause(order.order_id, ANN)
    changes = AmendRequest(price=APART + 50, quantity=Decimal("0.008"), requested_by="ann")
    await world.orders.amend(order.order_id, changes)
    await world.orders.resume(order.order_id, ANN)
    await fill_tips(order, first=1, left=Decimal("0.007"))
    return await ended(order)


async def iceberg_expired(world: World) -> Worked:
    order = await iceberg(world, timeout_s="1")
    return await ended(order, Status.EXPIRED)


async def iceberg_continued_as_new(world: World) -> Worked:
    """Tip after tip trades at once, until a new run takes over and is cancelled."""
    terms = {"quantity": "0.9", "iceberg_display": "0.001", "iceberg_min_visible": "0.001"}
    order = await iceberg(world, price=TAKING, **terms)
    first = await run_of(order)
    await until(lambda: handed_over(order, first), WITHIN_S)
    await has_filled(order, (await order.now()).filled_quantity)
    await world.orders.cancel(order.order_id, "enough")
    return await ended(order, Status.CANCELLED, first_run_id=first)


# --- schedules ------------------------------------------------------------------------------------


async def twap(world: World, **fields: Any) -> Placed:
    """Four slices within eight seconds, unless changed: time for a slow machine."""
    terms = {"order_type": "twap", "quantity": "0.04", "twap_slices": 4, "twap_interval": "2"}
    return await Placed(world, **terms | fields).submit()


async def twap_passive(world: World) -> Worked:
    """The first slice is filled while it rests, the second one has to cross."""
    terms = {"twap_slices": 2, "twap_interval": "5", "passive_fraction": "0.4"}
    order = await twap(world, quantity="0.02", **terms)
    await order.rests()
    await order.fill()
    return await ended(order)


async def twap_participation(world: World) -> Worked:
    """Whatever the market's volume allows."""
    terms = {"symbol": MOVING, "quantity": "4", "max_participation": "0.2"}
    order = await twap(world, **terms)
    return await ended(order, Status.FILLED, Status.EXPIRED)


def paused_twap(**fields: Any) -> Scenario:
    async def run(world: World) -> Worked:
        order = await twap(world, **fields)
        await has_filled(order)
        await world.orders.pause(order.order_id, ANN)
        await asyncio.sleep(PAUSED_FOR_S)
        await world.orders.resume(order.order_id, ANN)
        return await ended(order)

    return run


async def twap_amended(world: World) -> Worked:
    """What is left is planned anew."""
    order = await twap(world)
    await has_filled(order)
    ends_at = datetime.now(UTC) + timedelta(seconds=8)
    changes = AmendRequest(quantity=Decimal("0.05"), end_at=ends_at, requested_by="ann")
    await world.orders.amend(order.order_id, changes)
    return await ended(order)


async def twap_waiting_for_price(world: World) -> Worked:
    """The market is beyond its limit price, until that is amended."""
    order = await twap(world, price=APART, twap_slices=6)
    await has_become(order, Status.WAITING_PRICE)
    await world.orders.amend(order.order_id, AmendRequest(price=TAKING))
    return await ended(order)


async def twap_start_and_end(world: World) -> Worked:
    now = datetime.now(UTC)
    order = await twap(
        world,
        twap_interval=None,
        start_at=now + timedelta(seconds=2),
        end_at=now + timedelta(seconds=10),
    )
    return await ended(order)


# --- what needs no market -------------------------------------------------------------------------


async def limit_steered(world: World) -> Worked:
    order = await Placed(world, order_type="limit", quantity="0.02", price=APART).submit()
    await order.rests()
    await world.orders.pause(order.order_id, ANN)
    await world.orders.amend(
        order.order_id, AmendRequest(price=APART + 50, quantity=Decimal("0.03"))
    )
    await world.orders.resume(order.order_id, ANN)
    await order.rests(1)
    await order.fill(1)
    return await ended(order)


def preview(*, accepted: bool, **fields: Any) -> Scenario:
    async def run(world: World) -> Worked:
        request = world.request(**fields)
        told: OrderPreview = await world.orders.preview(request)
        assert told.accepted is accepted, told
        verdict = "accepted" if told.accepted else str(told.code)
        assert request.order_id is not None
        return Worked(id=names.preview_id(request.order_id), status=verdict, detail=told.reason)

    return run


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


SIDE_BY_SIDE: dict[str, Scenario] = {
    "stop.cancelled_while_armed": stop_cancelled_while_armed,
    "twap.passive": twap_passive,
    "twap.participation": twap_participation,
    "twap.paused_and_resumed": paused_twap(),
    "twap.paused_with_its_end": paused_twap(pause_shifts_end=True),
    "twap.amended": twap_amended,
    "twap.waiting_for_price": twap_waiting_for_price,
    "twap.start_and_end": twap_start_and_end,
    "iceberg.engine": iceberg_engine,
    "iceberg.native": iceberg_native,
    "iceberg.pegged_cancelled": iceberg_pegged_cancelled,
    "iceberg.waiting_for_price": iceberg_waiting_for_price,
    "iceberg.paused_amended_resumed": iceberg_steered,
    "iceberg.expired": iceberg_expired,
    "limit.paused_amended_resumed": limit_steered,
    "stop.through_already": stop_through_already,
    "stop.native_cancelled": stop_native_cancelled,
    "stop.expired": stop_expired,
    "preview.twap": preview(accepted=True, order_type="twap", twap_slices=4),
    "preview.denied": preview(accepted=False, quantity="3"),
}


# --- triggers that fire ---------------------------------------------------------------------------

LOSS, GAIN = {"stop_price": STOP}, {"take_profit_price": PROFIT}
TO_STOP = {"oco_limit_price": BEST_BID + 400, "stop_price": STOP}
TO_PROFIT = {"oco_limit_price": PROFIT, "stop_price": BEST_BID - 1_000}
TRAIL = {"trailing_delta_bps": TRAIL_BPS}
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
TRAILING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "stop.trailing_engine_paused_and_resumed": ("trailing_stop", "engine", TRAIL),
    "stop.trailing_engine_continued_as_new": ("trailing_stop", "engine", TRAIL),
    "stop.trailing_native": ("trailing_stop", "native", TRAIL),
}


async def triggered(world: World, keep: Keep) -> None:
    """All are armed, some are steered, then the price goes down, up, and down again."""
    terms = {**FALLING, **RISING, **TRAILING}
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
        await _while_nobody_works(market, tips)
        await asyncio.gather(*(world.stack.wait_healthy(name) for name in fleet))
        await fill_tips(tips, first=1, left=Decimal("0.007"))
        await keep("iceberg.over_worker_kill", await ended(tips))
        await keep("stop.over_worker_kill", await ended(guard))


async def _while_nobody_works(market: DrivenMarket, tips: Placed) -> None:
    await tips.fill()
    await market.to(STOP)


# --- all of them ----------------------------------------------------------------------------------


async def work(world: World, keep: Keep) -> None:
    """Work them all; each is kept as soon as it has ended."""
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(name: str, scenario: Scenario) -> None:
        async with turns:
            await keep(name, await scenario(world))

    async with asyncio.TaskGroup() as group:
        for name, scenario in SIDE_BY_SIDE.items():
            group.create_task(one(name, scenario))
    await triggered(world, keep)
    await keep("iceberg.continued_as_new", await iceberg_continued_as_new(world))
    await keep("price_watch.idle", await no_follower_is_needed(world))
    await over_worker_kill(world, keep)
