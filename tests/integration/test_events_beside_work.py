"""What events may not do: cost more while a backup runs, lock writers out, tell too much."""

import asyncio
import json
from functools import partial

import asyncpg

from activities.ledger import migrate
from activities.ledger.view_events import EventKind
from tests.integration.ledger_world import World
from tests.integration.test_events import A_PARENT, AN_ALARM, _to, told
from workflows.domain.alarms import AlarmCode


async def test_an_order_with_an_exchange_s_name_shows_no_alarm_of_other_accounts(
    ledger: World,
) -> None:
    await ledger.rows(
        "INSERT INTO account_readiness (exchange, account, state) "
        "VALUES ('binance', 'desk-b', 'READY')"
    )
    await ledger.open("binance")
    await ledger.store.raise_alarm(AlarmCode.DROP_COPY_BLIND, "binance/desk-b", "d")
    (alarm,) = await told(ledger, kinds=frozenset({EventKind.ALARM}))
    assert (alarm.account, alarm.order_id) == ("desk-b", None)
    assert await ledger.views.alarms(accounts=frozenset({"main"})) == []
    assert len(await ledger.views.alarms(accounts=frozenset({"desk-b"}))) == 1


async def test_a_number_costs_the_same_while_a_backup_holds_old_rows(ledger: World) -> None:
    """What a number reads while one long reader keeps every old version of a row alive."""
    many = "INSERT INTO alarms (code, object, detail) SELECT 'ORDER_FAILED', $1 || n, '' "
    many += "FROM generate_series(1, 2000) AS n"
    backup = await asyncpg.connect(ledger.url)
    async with backup.transaction(isolation="repeatable_read"):
        await backup.fetch("SELECT count(*) FROM events")
        pages = []
        for name in "ab":
            await ledger.rows(many, name)
            pages.append(await _pages_of_a_number(ledger))
    await backup.close()
    assert pages[1] <= pages[0] + 2


async def _pages_of_a_number(ledger: World) -> int:
    """Pages of the database that giving one number touches."""
    connection = await asyncpg.connect(ledger.url)
    try:
        await connection.execute("SELECT next_event()")  # what it loads once
        plan = await connection.fetchval(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT next_event()"
        )
    finally:
        await connection.close()
    top = json.loads(plan)[0]["Plan"]
    return int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])


async def test_a_migration_gives_way_to_writers_that_it_locks_out_and_comes_again(
    empty_database_url: str,
) -> None:
    """Workers go on writing meanwhile, and take their tables in another order than it does."""
    await migrate._in_transaction(empty_database_url, partial(_to, revision="0007"))
    writer, looker = [await asyncpg.connect(empty_database_url) for _ in range(2)]
    await writer.execute(AN_ALARM, "a")
    async with asyncio.timeout(60):
        async with writer.transaction():
            await writer.execute("UPDATE alarms SET detail = 'b'")
            migrating = asyncio.create_task(asyncio.to_thread(migrate.upgrade, empty_database_url))
            while not await looker.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'alarms'::regclass"
            ):
                assert not migrating.done(), "nothing was in its way"
                await asyncio.sleep(0.02)
            await writer.execute(A_PARENT, "o", "s")
        await migrating
    kinds = await looker.fetchval("SELECT count(*) FROM events")
    for connection in (writer, looker):
        await connection.close()
    assert kinds == 0, "it was written before there were events"
    assert await _revision_of(empty_database_url) == migrate.newest_revision()


async def _revision_of(url: str) -> str:
    connection = await asyncpg.connect(url)
    found: str = await connection.fetchval("SELECT version_num FROM alembic_version")
    await connection.close()
    return found
