"""Who may do what: the engine's role and the reader's, refused by the database itself."""

import asyncio
from urllib.parse import quote

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from activities.ledger import engine
from activities.ledger.migrate import upgrade
from activities.ledger.models import LedgerMeta
from activities.ledger.roles import APP, APPEND_ONLY, DELETED_FROM, FIXED, READER, create_login
from tests.integration.ledger_world import as_engine
from workers import doctor
from workers.settings import load_settings

DDL = (
    "CREATE TABLE mine (n int)",
    "DROP TABLE fills",
    "ALTER TABLE fills ADD COLUMN n int",
    "CREATE INDEX mine ON fills (price)",
    "ALTER TABLE fills DISABLE TRIGGER ALL",
    "DROP TRIGGER fills_append_only ON fills",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN RETURN NEW; END'",
    "SET session_replication_role = replica",
    "UPDATE alembic_version SET version_num = '0001'",
    "SELECT setval('fills_id_seq', 1)",
)
TABLES = sorted(table.name for table in LedgerMeta.metadata.sorted_tables)


def as_reader(owner_url: str) -> str:
    return owner_url.replace("://delta:", f"://{READER}:", 1)


async def refused(url: str, *statements: str) -> None:
    """Each statement by itself is refused for want of a right, and by nothing else."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_engine_may_change_or_empty_no_book(database_url: str) -> None:
    for table in sorted(APPEND_ONLY):
        column = LedgerMeta.metadata.tables[table].columns.keys()[-1]
        change = f"UPDATE {table} SET {column} = {column}"
        await refused(as_engine(database_url), change, f"DELETE FROM {table}")
    await refused(as_engine(database_url), *(f"TRUNCATE {table} CASCADE" for table in TABLES))


async def test_the_engine_deletes_only_what_is_no_record(database_url: str) -> None:
    kept = [f"DELETE FROM {table}" for table in TABLES if table not in DELETED_FROM]
    await refused(as_engine(database_url), *kept)


async def test_the_engine_changes_the_state_of_a_row_and_never_whose_it_is(
    database_url: str,
) -> None:
    fixed = [
        f"UPDATE {t} SET {c} = {c}"
        for t, columns in FIXED.items()
        for c in sorted(columns)
        if c in LedgerMeta.metadata.tables[t].columns
    ]
    await refused(as_engine(database_url), *fixed)
    connection = await asyncpg.connect(as_engine(database_url))
    await connection.execute("UPDATE parent_orders SET status = status")
    await connection.execute("UPDATE positions SET quantity = quantity")
    await connection.close()


@pytest.mark.parametrize("role", [as_engine, as_reader])
async def test_nobody_but_the_owner_changes_the_schema(database_url: str, role) -> None:
    await refused(role(database_url), *DDL)


async def test_the_reader_reads_everything_and_writes_nothing(database_url: str) -> None:
    connection = await asyncpg.connect(as_reader(database_url))
    for table in TABLES:
        await connection.fetch(f"SELECT * FROM {table} LIMIT 1")
    await connection.close()
    writes = [f"DELETE FROM {table}" for table in TABLES]
    writes += [f"INSERT INTO {table} DEFAULT VALUES" for table in TABLES]
    await refused(as_reader(database_url), *writes, "SELECT nextval('fills_id_seq')")


async def test_what_a_role_was_given_besides_is_taken_back(database_url: str) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute(f"GRANT DELETE, TRUNCATE ON fills TO {APP}")
    await owner.close()
    await asyncio.to_thread(upgrade, database_url)
    await refused(as_engine(database_url), "DELETE FROM fills", "TRUNCATE fills CASCADE")


async def test_a_migration_makes_the_users_that_the_settings_name(
    empty_database_url: str,
) -> None:
    name, password = f"user_{empty_database_url.rpartition('/')[2]}", "p'\"$make$ %"
    host = empty_database_url.rpartition("@")[2]
    login = f"postgresql://{name}:{quote(password)}@{host}"
    owner = await asyncpg.connect(empty_database_url)
    try:
        for _ in range(2):
            await asyncio.to_thread(upgrade, empty_database_url, [(login, APP)])
        user = await asyncpg.connect(f"postgresql://{name}@{host}", password=password)
        assert await user.fetchval("SELECT count(*) FROM fills") == 0
        await user.close()
        await refused(login, "DELETE FROM fills")
    finally:
        await owner.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
        await owner.close()


async def test_an_owner_who_may_make_no_roles_migrates_all_the_same(
    empty_database_url: str,
) -> None:
    name = f"owner_{empty_database_url.rpartition('/')[2]}"
    admin = await asyncpg.connect(empty_database_url)
    await admin.execute(create_login(name, make_url(empty_database_url).password or ""))
    await admin.execute(f"GRANT CREATE ON SCHEMA public TO {name}")
    try:
        url = empty_database_url.replace("://delta:", f"://{name}:", 1)
        login = empty_database_url.replace("://delta:", "://nobody_there:", 1)
        await asyncio.to_thread(upgrade, url, [(login, APP)])
        await refused(as_engine(empty_database_url), "DELETE FROM fills")
    finally:
        await admin.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")
        await admin.close()


async def test_the_doctor_says_whose_login_the_engine_has(database_url: str) -> None:
    for url, may_delete in ((database_url, True), (as_engine(database_url), False)):
        found = await doctor._postgres(load_settings({"DATABASE_URL": url}))
        (role,) = [each for each in found if each.what == "database role"]
        assert (role.ok, role.is_warning) == (True, may_delete)
        assert all(each.ok for each in found)


async def test_a_server_that_may_lose_commits_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = engine.open_engine(as_engine(database_url), pool_size=1)
    await engine.check_durable(ledger)
    # the embedded server's own are fixed on its command line: another one that is off stands in
    monkeypatch.setattr(engine, "MUST_BE_ON", (*engine.MUST_BE_ON, "log_duration"))
    with pytest.raises(engine.NotDurableError, match="log_duration off"):
        await engine.check_durable(ledger)
    await ledger.dispose()


def test_a_password_that_only_the_server_could_normalise_is_refused() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        create_login("user", "pässword")


def test_the_statement_that_makes_a_user_does_not_hold_the_password() -> None:
    assert "correct-horse" not in create_login("user", "correct-horse")
