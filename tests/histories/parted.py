"""Orders that are worked in parts, and steered: icebergs, TWAPs with all options, limits, previews.

Rule: real ones, on a market that is left alone. Each scenario says how it must end.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.e2e.order_types_world import Placed
from tests.e2e.world import MOVING, World, until
from tests.histories.executions import Worked
from tests.histories.orders_at_work import (
    ANN,
    APART,
    TAKING,
    WITHIN_S,
    Scenario,
    cancelled,
    ended,
    handed_over,
    has_become,
    has_filled,
    run_of,
)
from workflows import names
from workflows.domain.lifecycle import OrderStatus as Status
from workflows.preview_messages import OrderPreview
from workflows.steering_messages import AmendRequest

PAUSED_FOR_S = 2.5
TWAP = {"order_type": "twap", "quantity": "0.04", "twap_slices": 4, "twap_interval": "2"}


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
    order = await iceberg(world, price=APART, peg_offset="1", reprice_interval_s="0.2")
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
    return await Placed(world, **TWAP | fields).submit()


async def twap_passive(world: World) -> Worked:
    """The first slice is filled while it rests, the second one has to cross."""
    terms = {"twap_slices": 2, "twap_interval": "8", "passive_fraction": "0.6"}
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


# --- limits and previews -------------------------------------------------------------------------


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


def cancelled_in_part(**fields: Any) -> Scenario:
    """Cancelled by an update, with a part executed."""

    async def run(world: World) -> Worked:
        order = await Placed(world, **fields).submit()
        if order.request.order_type == "limit":
            await order.rests()
            await order.fill(quantity="0.004")
        await has_filled(order)
        return await cancelled(order)

    return run


def preview(*, accepted: bool, **fields: Any) -> Scenario:
    async def run(world: World) -> Worked:
        request = world.request(**fields)
        told: OrderPreview = await world.orders.preview(request)
        assert told.accepted is accepted, told
        verdict = "accepted" if told.accepted else str(told.code)
        assert request.order_id is not None
        return Worked(id=names.preview_id(request.order_id), status=verdict, detail=told.reason)

    return run


PARTED: dict[str, Scenario] = {
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
    "limit.cancelled_by_update": cancelled_in_part(order_type="limit", price=APART),
    "twap.cancelled_by_update": cancelled_in_part(**TWAP),
    "preview.twap": preview(accepted=True, order_type="twap", twap_slices=4),
    "preview.denied": preview(accepted=False, quantity="3"),
}
