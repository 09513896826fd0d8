"""What must hold between the ledger and the exchange's own log, to the last digit.

The log is the judge. Every figure of the ledger is read from its rows, every figure of the
exchange from its log and once more from its own account page.
"""

import asyncio
import time
from collections import defaultdict
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from activities.ledger.models import FillRow, PostingRow
from activities.venues.simulator.judge import JudgedTrade
from tests.e2e.world import HEDGE, MAIN, POLL_S, VENUE, World
from workflows.messages import OrderSnapshot


async def assert_ledger_is_exchange(world: World, within_s: float = 15.0) -> None:
    """Both accounts agree. The feed may still be booking, so it is asked up to a deadline."""
    deadline = time.monotonic() + within_s
    while found := await differences(world):
        assert time.monotonic() < deadline, "\n".join(found)
        await asyncio.sleep(POLL_S)


async def differences(world: World) -> list[str]:
    """Sentences on what differs; empty when ledger and exchange are one."""
    log = world.log()
    found = log.contradictions()
    found += [f"{each} was ordered {n} times" for each, n in log.duplicates(MAIN).items()]
    for account, trader in ((MAIN, world.hand), (HEDGE, world.other)):
        traded = {_of_trade(each) for each in log.trades if each.account == account}
        booked = await _booked(world, account)
        found += [f"{account}: not in the ledger: {each}" for each in traded - booked]
        found += [f"{account}: not at the exchange: {each}" for each in booked - traded]
        judged = {asset: b.total for asset, b in log.final_balances(account).items()}
        ledger = await world.views.balances_from_ledger(VENUE, account)
        shown = await _shown(trader)
        for asset in judged:
            if not judged[asset] == ledger.get(asset) == shown[asset]:
                found.append(
                    f"{account} {asset}: log {judged[asset]}, ledger {ledger.get(asset)}, "
                    f"account page {shown[asset]}"
                )
    return found + await _unbalanced(world)


def assert_one_order_per_child(world: World, order: OrderSnapshot) -> None:
    """Each child is at most one order at the exchange, and executed there what we say."""
    log = world.log()
    total = Decimal(0)
    for child in order.children:
        judged = log.orders_named(child.client_order_id)
        assert len(judged) <= 1, f"child {child.index} is {len(judged)} orders at the exchange"
        executed = judged[0].executed if judged else Decimal(0)
        assert child.filled_quantity == executed, f"child {child.index}"
        total += executed
    assert order.children_total == len(order.children)
    assert order.filled_quantity == total


async def assert_order_is_true(world: World, order: OrderSnapshot) -> None:
    """The end of an order as told, as stored, and as the exchange executed it, are one."""
    await assert_ledger_is_exchange(world)
    assert_one_order_per_child(world, order)
    trades = [
        _of_trade(trade)
        for child in order.children
        for trade in world.log().trades_named(child.client_order_id)
    ]
    fills = await world.views.fills(order.order_id)
    assert sorted(_of_fill(fill) for fill in fills) == sorted(trades)
    assert sum((fill.quantity for fill in fills), Decimal(0)) == order.filled_quantity
    fees: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        fees[fill.fee_asset] += fill.fee
    assert dict(fees) == {asset: fee for asset, fee in order.fees.items() if fee}
    stored = await world.views.order(order.order_id)
    assert stored is not None
    assert (stored.status, stored.filled_quantity) == (order.status, order.filled_quantity)


async def _booked(world: World, account: str) -> set[tuple[Any, ...]]:
    query = select(FillRow.__table__).where(FillRow.exchange == VENUE, FillRow.account == account)
    async with world.database.connect() as connection:
        return {_of_fill(row) for row in await connection.execute(query)}


async def _unbalanced(world: World) -> list[str]:
    query = (
        select(PostingRow.fill_id, PostingRow.asset, func.sum(PostingRow.amount).label("sum"))
        .group_by(PostingRow.fill_id, PostingRow.asset)
        .having(func.sum(PostingRow.amount) != 0)
    )
    async with world.database.connect() as connection:
        rows = (await connection.execute(query)).all()
    return [f"fill {row.fill_id}: postings of {row.asset} sum to {row.sum}" for row in rows]


async def _shown(trader: Any) -> dict[str, Decimal]:
    """Free and locked, as the exchange's own account page says."""
    rows = (await trader.fetch_balance())["info"]["balances"]
    return {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in rows}


def _of_trade(trade: JudgedTrade) -> tuple[Any, ...]:
    side, ids = trade.side.lower(), (str(trade.trade_id), str(trade.order_id))
    return (
        *(trade.symbol, *ids, side, trade.price, trade.quantity),
        *(trade.fee, trade.fee_asset, trade.maker),
    )


def _of_fill(fill: Any) -> tuple[Any, ...]:
    return (
        *(fill.symbol, fill.trade_id, fill.venue_order_id, fill.side, fill.price, fill.quantity),
        *(fill.fee, fill.fee_asset, fill.is_maker),
    )
