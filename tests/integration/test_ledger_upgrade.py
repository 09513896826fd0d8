"""A ledger of the version before the books: what is in it is counted, and old workers go on."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from typing import Any

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Connection

from activities.ledger import migrate
from activities.ledger.book_store import BookStore
from activities.ledger.engine import open_engine
from activities.ledger.results import PositionKey
from activities.ledger.view_statistics import StatisticsViews

OLD_LEDGER = """
    INSERT INTO parent_orders (order_id, run_chain, body_hash, strategy_id, account, exchange,
        symbol, side, order_type, quantity, priority, request, status, created_at, accepted_at,
        finished_at)
    SELECT name, 'c', 'h', 's', 'main', 'binance', 'BTC/USDT', 'buy', 'limit', 2, 3, '{}', status,
        now() - interval '1 hour', now() - interval '1 hour',
        CASE WHEN status <> 'working' THEN now() - interval '1 hour' + interval '8 seconds' END
    FROM (VALUES ('whole', 'filled'), ('half', 'cancelled'), ('open', 'working'))
        AS told (name, status);
    INSERT INTO child_orders (client_order_id, order_id, child_index, generation, strategy_id,
        account, exchange, symbol, side, child_type, time_in_force, post_only, quantity, status)
    SELECT 'c-' || order_id, order_id, 0, 0, strategy_id, account, exchange, symbol, side, 'limit',
        'GTC', false, quantity, 'filled' FROM parent_orders;
    INSERT INTO opening_balances (exchange, account, asset, amount)
    VALUES ('binance', 'main', 'USDT', 1000), ('binance', 'main', 'BTC', 5);
    INSERT INTO positions (strategy_id, account, exchange, symbol, quantity)
    VALUES ('s', 'main', 'binance', 'BTC/USDT', 3);
"""
FILL = """
    WITH fill AS (
        INSERT INTO fills (exchange, account, symbol, trade_id, venue_order_id, client_order_id,
            strategy_id, side, price, quantity, fee, fee_asset, is_maker, traded_at)
        VALUES ('binance', 'main', 'BTC/USDT', $1, 'v', $2, 's', 'buy', $3, $4, $5, $6, false,
            now() - interval '1 hour' + $1::text::int * interval '1 second')
        RETURNING *
    )
    INSERT INTO postings
    SELECT id, entry, side_of_it, asset, amount FROM fill CROSS JOIN LATERAL (VALUES
        (0, 'trading', 'BTC', quantity), (1, 'market', 'BTC', -quantity),
        (2, 'trading', 'USDT', -quantity * price), (3, 'market', 'USDT', quantity * price),
        (4, 'trading', fee_asset, -fee), (5, 'fees', fee_asset, fee)
    ) AS line (entry, side_of_it, asset, amount)
"""
OLD_BOOKING = "UPDATE positions SET quantity = quantity + $1"
KEY = PositionKey("s", "main", "binance", "BTC/USDT")


@pytest.fixture
async def old(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Three fills, booked by the version before: fees in the base, the quote and a third asset."""
    await migrate._in_transaction(empty_database_url, partial(_to, revision="0004"))
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(OLD_LEDGER)
    for fill in (
        ("1", "c-whole", Decimal(100), Decimal(1), Decimal("0.01"), "BTC"),
        ("2", "c-whole", Decimal(110), Decimal(1), Decimal(3), "USDT"),
        ("3", "c-half", Decimal(120), Decimal(1), Decimal(2), "BNB"),
    ):
        await connection.execute(FILL, *fill)
    yield connection
    await connection.close()


def _to(connection: Connection, revision: str) -> None:
    config = migrate._config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def balances(connection: asyncpg.Connection) -> dict[str, Decimal]:
    rows = await connection.fetch("SELECT asset, amount FROM account_balances")
    return {row["asset"]: row["amount"] for row in rows}


async def counted(url: str, connection: asyncpg.Connection) -> dict[str, Any]:
    """The position once the engine has counted what the migration left to it."""
    engine = open_engine(url, pool_size=1)
    store = BookStore(engine)
    assert await store.uncounted() == [KEY]
    await store.count(KEY)
    await engine.dispose()
    return dict(await connection.fetchrow("SELECT * FROM positions"))


async def test_positions_and_balances_are_those_of_the_fills(
    old: asyncpg.Connection, empty_database_url: str
) -> None:
    await asyncio.to_thread(migrate.upgrade, empty_database_url)
    assert await old.fetchval("SELECT quantity FROM positions") == Decimal("2.99")
    assert await balances(old) == {
        "BTC": Decimal("7.99"),
        "USDT": Decimal(1000 - 330 - 3),
        "BNB": Decimal(-2),
    }
    position = await counted(empty_database_url, old)
    assert (position["quantity"], position["fill_count"]) == (Decimal("2.99"), 3)
    assert position["cash"] == -333
    assert position["fees_quote"] == 4  # 0.01 BTC at 100 and 3; the third asset has no value yet
    assert await old.fetchval("SELECT count(*) FROM fees_to_value") == 1


async def test_what_is_reserved_counts_against_funds_and_sums(
    old: asyncpg.Connection, empty_database_url: str
) -> None:
    await old.execute(
        """
        INSERT INTO child_orders (client_order_id, order_id, child_index, generation, strategy_id,
            account, exchange, symbol, side, child_type, time_in_force, post_only, quantity, price,
            trigger_price, status)
        SELECT name, 'open', place, 0, 's', 'main', 'binance', 'BTC/USDT', side, 'limit', 'GTC',
            false, 1, price, trigger, 'working'
        FROM (VALUES ('bid', 1, 'buy', 99, NULL), ('ask', 2, 'sell', 130, NULL),
            ('stop', 3, 'buy', 139, 140), ('gone', 4, 'buy', 98, NULL))
            AS told (name, place, side, price, trigger);
        INSERT INTO reservations (client_order_id, strategy_id, account, exchange, symbol, side,
            quantity, state)
        SELECT client_order_id, strategy_id, account, exchange, symbol, side, quantity,
            CASE client_order_id WHEN 'gone' THEN 'released' ELSE 'open' END
        FROM child_orders WHERE client_order_id IN ('bid', 'ask', 'stop', 'gone')
        """
    )
    await asyncio.to_thread(migrate.upgrade, empty_database_url)
    rows = await old.fetch("SELECT * FROM reservations WHERE state = 'open'")
    told = {
        row["client_order_id"]: (row["asset"], row["unit_funds"], row["unit_value"]) for row in rows
    }
    assert told == {"bid": ("USDT", 99, 99), "ask": ("BTC", 1, 130), "stop": ("USDT", 139, 140)}


async def test_ended_orders_are_in_the_statistics(
    old: asyncpg.Connection, empty_database_url: str
) -> None:
    await asyncio.to_thread(migrate.upgrade, empty_database_url)
    engine = open_engine(empty_database_url, pool_size=1)
    told = await StatisticsViews(engine).orders()
    await engine.dispose()
    assert told.by_status == {"cancelled": 1, "filled": 1, "working": 1}
    assert told.fill_ratio == Decimal("0.75")
    assert told.volumes == {"USDT": Decimal(330)}
    assert told.average_time_to_fill_s == 8
    assert told.slippage_bps == {}


async def test_what_an_older_worker_books_afterwards_is_counted_too(
    old: asyncpg.Connection, empty_database_url: str
) -> None:
    await asyncio.to_thread(migrate.upgrade, empty_database_url)
    await counted(empty_database_url, old)
    for trade, fee in (("4", Decimal("0.02")), ("5", Decimal("0.03"))):
        async with old.transaction():
            await old.execute(FILL, trade, "c-open", Decimal(100), Decimal(1), fee, "BTC")
            await old.execute(OLD_BOOKING, Decimal(1))
    assert await balances(old) == {
        "BTC": Decimal("9.94"),
        "USDT": Decimal(1000 - 330 - 3 - 200),
        "BNB": Decimal(-2),
    }
    position = await counted(empty_database_url, old)
    assert (position["quantity"], position["fill_count"]) == (Decimal("4.94"), 5)


async def test_a_ledger_with_fills_does_not_go_back(
    old: asyncpg.Connection, empty_database_url: str
) -> None:
    await asyncio.to_thread(migrate.upgrade, empty_database_url)
    with pytest.raises(Exception, match="the ledger holds books of this revision"):
        await migrate._in_transaction(empty_database_url, _back)
    assert await old.fetchval("SELECT count(*) FROM account_balances") == 3


def _back(connection: Connection) -> None:
    config = migrate._config()
    config.attributes["connection"] = connection
    command.downgrade(config, "0004")
