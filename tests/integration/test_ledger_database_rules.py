"""What the database itself refuses, and that a transaction is all or nothing."""

import asyncio
from decimal import Decimal

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from tests.integration.ledger_world import World, a_fill, a_report
from workflows.domain.reports import VenueStatus

FULL = a_report(VenueStatus.FILLED, "1", a_fill("t1", "1"))
A_FILL = """
    INSERT INTO fills (exchange, account, symbol, trade_id, venue_order_id, side, price, quantity,
                       fee, fee_asset, is_maker, traded_at)
    VALUES ('x', 'a', 'BTC/USDT', 't9', 'v', 'buy', $1, $2, 0, 'BTC', false, now()) RETURNING id
"""


async def filled(ledger: World) -> None:
    await ledger.ack(await ledger.sent(), FULL)


@pytest.mark.parametrize("table", ["fills", "postings", "risk_checks"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"]
)
async def test_books_are_append_only(ledger: World, table: str, statement: str) -> None:
    await filled(ledger)
    column = {"fills": "price", "postings": "amount", "risk_checks": "code"}[table]
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await ledger.rows(statement.format(table, column))


async def test_postings_that_do_not_balance_are_refused_at_commit(ledger: World) -> None:
    connection = await asyncpg.connect(ledger.url)
    transaction = connection.transaction()
    await transaction.start()
    fill = await connection.fetchval(A_FILL, Decimal(1), Decimal(1))
    await connection.execute("INSERT INTO postings VALUES ($1, 0, 'trading', 'BTC', 1)", fill)
    with pytest.raises(asyncpg.CheckViolationError, match="balance"):
        await transaction.commit()
    await connection.close()
    assert await ledger.value("SELECT count(*) FROM fills") == 0


async def test_a_fill_without_postings_is_refused_at_commit(ledger: World) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="no postings"):
        await ledger.rows(A_FILL, Decimal(1), Decimal(1))


async def test_a_posting_added_later_must_balance_too(ledger: World) -> None:
    await filled(ledger)
    with pytest.raises(asyncpg.CheckViolationError, match="balance"):
        await ledger.rows("INSERT INTO postings SELECT id, 99, 'fees', 'BTC', 1 FROM fills")


@pytest.mark.parametrize(
    ("price", "quantity"),
    [("NaN", "1"), ("1", "NaN"), ("Infinity", "1"), ("0", "1"), ("1", "-1")],
)
async def test_no_impossible_figure_is_stored(ledger: World, price: str, quantity: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await ledger.rows(A_FILL, Decimal(price), Decimal(quantity))


async def test_every_fill_balances_per_asset(ledger: World) -> None:
    await filled(ledger)
    sums = "SELECT fill_id, asset FROM postings GROUP BY 1, 2 HAVING sum(amount) <> 0"
    assert await ledger.rows(sums) == []
    assert await ledger.value("SELECT count(*) FROM postings") == 6


async def test_a_connection_killed_in_mid_transaction_leaves_nothing(ledger: World) -> None:
    """The booking waits behind a lock of the test's, and is killed there."""
    intent = await ledger.sent()
    blocker = await asyncpg.connect(ledger.url)
    transaction = blocker.transaction()
    await transaction.start()
    # the last write of a booking: fills and postings are inserted by then
    await blocker.execute("SELECT * FROM attempts FOR UPDATE")
    booking = asyncio.create_task(ledger.ack(intent, FULL))
    await _kill_who_waits(ledger)
    with pytest.raises((DBAPIError, OSError)):
        await booking
    await transaction.rollback()
    await blocker.close()
    assert await ledger.value("SELECT count(*) FROM fills") == 0
    assert await ledger.position() == 0
    report = await ledger.ack(intent, FULL)
    assert report.is_settled
    assert await ledger.position() == Decimal("0.999")


async def _kill_who_waits(ledger: World) -> None:
    kill = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
    """
    deadline = asyncio.get_running_loop().time() + 10
    while not await ledger.rows(kill):
        assert asyncio.get_running_loop().time() < deadline, "nobody waited"
        await asyncio.sleep(0.01)


async def test_connections_closed_by_the_server_cost_no_failed_call(ledger: World) -> None:
    await asyncio.gather(*(ledger.store.child_report("nobody") for _ in range(4)))
    await ledger.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await _until_noticed(ledger)
    intent = await ledger.reserved()
    assert await ledger.child_status(intent) == "ready"


async def _until_noticed(ledger: World) -> None:
    """The event loop reads the server's farewell; that takes a moment."""
    left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    deadline = asyncio.get_running_loop().time() + 10
    while await ledger.value(left) > 1:
        assert asyncio.get_running_loop().time() < deadline, "backends stayed"
    await asyncio.sleep(0.05)


async def test_a_statement_waits_for_a_lock_only_so_long(ledger: World) -> None:
    settings = "SELECT name, setting FROM pg_settings WHERE name = ANY($1) ORDER BY name"
    wanted = {
        "idle_in_transaction_session_timeout": "10000",
        "lock_timeout": "2000",
        "statement_timeout": "5000",
        "synchronous_commit": "on",
        "transaction_isolation": "read committed",
    }
    async with ledger.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        rows = await driver.fetch(settings, list(wanted))
    assert {row["name"]: row["setting"] for row in rows} == wanted
