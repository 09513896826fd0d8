"""Migrations: the schema is what the models say, and running them again changes nothing."""

import asyncio

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from activities.ledger import (
    access_models,
    book_models,
    control_models,
    event_models,
    models,
    watch_models,
)
from activities.ledger.engine import open_single
from activities.ledger.migrate import newest_revision, upgrade

TABLES_ARE_KNOWN_FROM = (
    access_models,
    book_models,
    control_models,
    event_models,
    models,
    watch_models,
)


async def test_the_migrated_schema_is_the_one_of_the_models(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(
            compare_metadata(MigrationContext.configure(connection), models.LedgerMeta.metadata)
        )

    engine = open_single(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_a_second_migration_keeps_the_epoch(database_url: str) -> None:
    before = await _epochs(database_url)
    await asyncio.to_thread(upgrade, database_url)
    assert await _epochs(database_url) == before
    assert len(before) == 1


async def test_migrations_at_the_same_time_make_one_ledger(empty_database_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(upgrade, empty_database_url) for _ in range(4)))
    assert len(await _epochs(empty_database_url)) == 1


async def test_the_revision_is_none_before_and_head_after(empty_database_url: str) -> None:
    assert await _revision(empty_database_url) is None
    await asyncio.to_thread(upgrade, empty_database_url)
    assert await _revision(empty_database_url) == newest_revision()


async def test_a_migration_killed_before_its_commit_leaves_nothing(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import activities.ledger.migrate as migrate

    done = migrate._upgrade

    def killed(connection: Connection, logins: object) -> None:
        done(connection)
        raise ConnectionAbortedError

    monkeypatch.setattr(migrate, "_upgrade", killed)
    with pytest.raises(ConnectionAbortedError):
        await asyncio.to_thread(upgrade, empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert tables == 0


async def test_orders_of_the_revision_before_executions_are_kept(empty_database_url: str) -> None:
    import activities.ledger.migrate as migrate

    def before(connection: Connection) -> None:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")

    await migrate._in_transaction(empty_database_url, before)
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute(
            "INSERT INTO parent_orders (order_id, run_chain, body_hash, strategy_id, account, "
            "exchange, symbol, side, order_type, quantity, priority, request, status) "
            "VALUES ('o', 'c', 'h', 's', 'main', 'binance', 'BTC/USDT', 'buy', 'limit', 1, 3, "
            "'{}', 'pending')"
        )
        await connection.execute("INSERT INTO risk_checks VALUES ('parent', 'o', 0, 'approved')")
        await asyncio.to_thread(upgrade, empty_database_url)
        kept = await connection.fetchrow("SELECT order_id, execution_id FROM parent_orders")
        assert tuple(kept) == ("o", None)
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await connection.execute("DELETE FROM risk_checks")
    finally:
        await connection.close()


async def test_the_newest_revision_goes_back_only_while_nothing_of_it_was_used(
    empty_database_url: str,
) -> None:
    import activities.ledger.migrate as migrate

    def back(connection: Connection) -> None:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")

    await asyncio.to_thread(upgrade, empty_database_url)
    await migrate._in_transaction(empty_database_url, back)
    assert await _revision(empty_database_url) == "0003"
    await asyncio.to_thread(upgrade, empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute(
            "INSERT INTO parent_orders (order_id, run_chain, body_hash, strategy_id, account, "
            "exchange, symbol, side, order_type, quantity, priority, request, status) "
            "VALUES ('o', 'c', 'h', 's', 'main', 'binance', 'BTC/USDT', 'buy', 'limit', 1, 3, "
            "'{}', 'pending'); INSERT INTO order_actions (order_id, action_index, kind, "
            "requested_by, reason, detail, verdict) VALUES ('o', 0, 'pause', 'a', '', '', "
            "'approved')"
        )
        with pytest.raises(DBAPIError, match="of this revision"):
            await migrate._in_transaction(empty_database_url, back)
        assert await connection.fetchval("SELECT count(*) FROM order_actions") == 1
    finally:
        await connection.close()


async def _revision(url: str) -> str | None:
    engine = open_single(url)
    async with engine.connect() as connection:
        revision = await connection.run_sync(
            lambda plain: MigrationContext.configure(plain).get_current_revision()
        )
    await engine.dispose()
    return revision


async def _epochs(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT epoch FROM ledger_meta")
    await connection.close()
    return [row["epoch"] for row in rows]
