"""Losses of a day: where the day begins, what is left out, and who acts at the same time."""

import asyncio
from decimal import Decimal

import asyncpg

from activities.ledger.book_store import BookStore, Why
from activities.ledger.loss_store import Loss, LossStore
from activities.ledger.results import TradingState
from activities.ledger.risk_store import RiskStore
from tests.integration.ledger_world import ACCOUNT, EXCHANGE, SYMBOL, World
from workflows.domain.limits import account_scope

MINE = account_scope(EXCHANGE, ACCOUNT)


async def limit_losses(ledger: World) -> None:
    store = RiskStore(ledger.engine)
    assert await store.set_limit(MINE, "loss_limit", Decimal(1000), "ann", "test") is None


async def set_mark(ledger: World, price: str) -> None:
    query = "INSERT INTO marks (exchange, symbol, price) VALUES ($1, $2, $3)"
    await ledger.rows(query, EXCHANGE, SYMBOL, Decimal(price))


async def test_the_day_begins_with_the_newest_snapshot_whatever_it_was_for(ledger: World) -> None:
    await ledger.hold("1")  # bought at 50,000
    for why, days, mark in (("time", 2, 50_000), ("fills", 1, 49_000)):
        await ledger.rows(
            "INSERT INTO position_snapshots (strategy_id, account, exchange, symbol, fill_count, "
            "quantity, cost, realised_gross, fees_quote, fees_other, cash, mark, why, taken_at) "
            "SELECT strategy_id, account, exchange, symbol, 1, quantity, cost, 0, 0, 0, cash, $1, "
            "$2, now() - $3 * interval '1 day' FROM positions",
            Decimal(mark),
            why,
            days,
        )
    await set_mark(ledger, "48800")
    await limit_losses(ledger)
    (found,) = await LossStore(ledger.engine).losses()
    assert found.loss == 200


async def test_what_a_ledger_lost_before_it_kept_snapshots_is_not_of_today(ledger: World) -> None:
    """One of an older version: its first snapshot is today's."""
    await ledger.hold("1")  # bought at 50,000, long ago
    await ledger.hold("1", name="of today", strategy="s2")
    await ledger.rows("ALTER TABLE fills DISABLE TRIGGER USER")
    await ledger.rows("UPDATE fills SET traded_at = now() WHERE strategy_id = 's2'")
    await set_mark(ledger, "49000")
    await limit_losses(ledger)
    losses = LossStore(ledger.engine)
    (found,) = await losses.losses()
    assert found.loss == 2_000
    await BookStore(ledger.engine).take_snapshots(Why.TIME)
    await ledger.rows("UPDATE marks SET price = 48900")
    (found,) = await losses.losses()
    assert found.loss == 100 + 1_100


async def test_a_position_that_is_still_to_be_counted_neither_wins_nor_loses(
    ledger: World,
) -> None:
    """An older worker's booking moves the quantity; the cost follows when it is counted."""
    await ledger.hold("1")
    await set_mark(ledger, "50000")
    await limit_losses(ledger)
    await ledger.rows("UPDATE positions SET quantity = 0.1")
    assert await ledger.value("SELECT fill_count FROM positions") == -1
    (found,) = await LossStore(ledger.engine).losses()
    assert found.loss == 0


async def test_a_loss_is_acted_on_while_somebody_takes_up_its_alarm(ledger: World) -> None:
    """Both write the alarm and the audit: in one order, or they would wait for each other."""
    losses, human = LossStore(ledger.engine), await asyncpg.connect(ledger.url)
    await losses.act_on(Loss(scope=MINE, limit=Decimal(100), loss=Decimal(120)))
    is_waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    try:
        async with human.transaction():
            await human.execute("UPDATE alarms SET acknowledged_at = now()")
            worse = Loss(scope=MINE, limit=Decimal(100), loss=Decimal(200))
            acting = asyncio.create_task(losses.act_on(worse))
            async with asyncio.timeout(5):
                while not await ledger.value(is_waiting):
                    await asyncio.sleep(0.01)
            await human.execute(
                "INSERT INTO audit (who, action, object) VALUES ('ann', 'acknowledge', 'it')"
            )
        assert await acting is TradingState.HALTED
    finally:
        await human.close()
    assert await ledger.alarms() == ["LOSS_LIMIT"]
