"""Statistics of orders: each is counted once, when it ends, from what was booked of it."""

import asyncio
from decimal import Decimal
from typing import Any

from activities.ledger.view_statistics import OrderStatistics, StatisticsViews
from tests.integration.ledger_world import (
    SIGNED_AT_MS,
    World,
    a_fill,
    a_report,
    an_intent,
    an_order,
)
from workflows.domain.denials import DenialCode
from workflows.domain.lifecycle import OrderStatus
from workflows.domain.orders import Side
from workflows.domain.reports import VenueStatus

FEE = Decimal("2.5")


async def statistics(ledger: World, **only: Any) -> OrderStatistics:
    return await StatisticsViews(ledger.engine).orders(**only)


async def ended(ledger: World, order_id: str, status: OrderStatus) -> None:
    """Its workflow tells the end, as often as it likes."""
    shown = await ledger.views.order(order_id)
    assert shown is not None
    end = shown.model_copy(update={"status": status})
    for _ in range(2):
        await ledger.store.save_order(end, status)


async def traded(
    ledger: World,
    order_id: str,
    *,
    filled: str,
    price: str,
    status: OrderStatus,
    side: Side = Side.BUY,
    strategy: str = "s1",
) -> None:
    """An order of 1 unit, accepted while the market was at 50 000, that ended."""
    await ledger.open(order_id, side=side.value, strategy_id=strategy, quantity=Decimal(1))
    intent = an_intent(order_id, side=side, strategy_id=strategy)
    assert (await ledger.reserve(intent))[1] is None
    assert await ledger.store.claim(intent.client_order_id, 1, SIGNED_AT_MS) is None
    fill = a_fill(f"t-{order_id}", filled, price, fee=FEE, fee_asset="USDT")
    at_venue = VenueStatus.FILLED if filled == "1" else VenueStatus.CANCELLED
    await ledger.ack(intent, a_report(at_venue, filled, fill, venue_order_id=f"v-{order_id}"))
    await ended(ledger, order_id, status)


async def test_a_ledger_without_orders_has_no_ratios(ledger: World) -> None:
    told = await statistics(ledger)
    assert (told.orders, told.by_status, told.by_type) == (0, {}, {})
    assert (told.fill_ratio, told.average_time_to_fill_s) == (None, None)
    assert (told.volumes, told.fees, told.slippage_bps) == ({}, {}, {})


async def test_counts_volumes_fees_and_slippage_are_those_of_the_fills(ledger: World) -> None:
    await traded(ledger, "a", filled="1", price="50100", status=OrderStatus.FILLED)
    await traded(ledger, "b", filled="0.2", price="50000", status=OrderStatus.CANCELLED)
    await ledger.open("c", quantity=Decimal(1))
    told = await statistics(ledger)
    assert (told.orders, told.open_orders) == (3, 1)
    assert told.by_status == {"accepted": 1, "cancelled": 1, "filled": 1}
    assert told.by_type == {"twap": told.by_status}
    assert told.fill_ratio == Decimal("0.6")  # 1 and 0.2
    assert told.volumes == {"USDT": Decimal(50_100) + 10_000}
    assert told.fees == {"USDT": 2 * FEE}
    # 1 unit bought 100 above 50 000, 0.2 at it
    assert told.slippage_bps == {"USDT": round(Decimal(100) / 60_000 * 10_000, 4)}
    stored = """
        SELECT extract(epoch FROM finished_at - accepted_at) FROM parent_orders WHERE order_id = 'a'
    """
    assert told.average_time_to_fill_s == round(await ledger.value(stored), 3)


async def test_a_sell_below_the_market_at_its_acceptance_is_a_cost_too(ledger: World) -> None:
    await traded(ledger, "a", filled="1", price="49900", status=OrderStatus.FILLED, side=Side.SELL)
    assert (await statistics(ledger)).slippage_bps == {"USDT": Decimal(20)}


async def test_a_denied_order_is_counted_and_spoils_no_ratio(ledger: World) -> None:
    await traded(ledger, "a", filled="1", price="50000", status=OrderStatus.FILLED)
    request = an_order(quantity=Decimal(3), order_type="market")
    await ledger.store.open_parent("b", "chain", request)
    denied = await ledger.store.accept_parent("b", request, Decimal(50_000))
    assert denied is not None
    assert denied.code is DenialCode.RISK_MAX_NOTIONAL
    assert (await statistics(ledger)).by_status == {"denied": 1, "filled": 1}
    await ended(ledger, "b", OrderStatus.DENIED)
    told = await statistics(ledger)
    assert (told.by_status, told.open_orders) == ({"denied": 1, "filled": 1}, 0)
    assert told.fill_ratio == 1


async def test_orders_that_end_at_the_same_time_are_all_counted(ledger: World) -> None:
    names = [f"order-{n}" for n in range(12)]
    for n, name in enumerate(names):
        await ledger.open(name, quantity=Decimal(n + 1) / 100, strategy_id=f"s{n % 3}")
    ends = [OrderStatus.CANCELLED, OrderStatus.EXPIRED]
    await asyncio.gather(*(ended(ledger, name, ends[n % 2]) for n, name in enumerate(names)))
    told = await statistics(ledger)
    assert told.by_status == {"cancelled": 6, "expired": 6}
    each = await StatisticsViews(ledger.engine).strategies()
    assert [(one.strategy_id, one.orders) for one in each] == [("s0", 4), ("s1", 4), ("s2", 4)]


async def test_statistics_of_one_strategy_leave_out_the_others(ledger: World) -> None:
    await traded(ledger, "a", filled="1", price="50000", status=OrderStatus.FILLED)
    await traded(ledger, "b", filled="1", price="50100", status=OrderStatus.FILLED, strategy="s2")
    told = await statistics(ledger, strategy_id="s2", exchange="binance", symbol="BTC/USDT")
    assert (told.orders, told.fees) == (1, {"USDT": FEE})
    assert told.volumes == {"USDT": Decimal(50_100)}
    assert (await statistics(ledger, symbol="ETH/USDT")).orders == 0
