"""The audit trail is a chain: what is changed or taken out shows. And new alarms are heard."""

import asyncio

import asyncpg
import pytest

from activities.ledger.audit import audit
from activities.ledger.view_audit import AuditViews
from tests.integration.ledger_world import World

BROKEN_AT = "SELECT audit_broken_at()"
APPEND_ONLY = ("audit", "transfers", "fee_values", "operator_verdicts")


async def told(ledger: World, *names: str) -> None:
    for name in names:
        async with ledger.engine.begin() as connection:
            after = {"value": "1.50"}
            await connection.execute(audit("alice", "set_limit", name, after=after, reason="r"))


async def tampered(ledger: World, statement: str) -> None:
    """As somebody who owns the database and takes the guards off."""
    await ledger.rows("ALTER TABLE audit DISABLE TRIGGER ALL")
    await ledger.rows(statement)


async def test_an_untouched_chain_is_whole(ledger: World) -> None:
    assert await ledger.value(BROKEN_AT) is None
    await told(ledger, "a", "b", "c")
    assert await ledger.value(BROKEN_AT) is None
    chain = [row["chain"] for row in await ledger.rows("SELECT chain FROM audit")]
    assert len({*chain}) == 3
    assert {len(link) for link in chain} == {64}


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit SET who = 'bob' WHERE id = 2", 2),
        ('UPDATE audit SET after = \'{"value": "9"}\' WHERE id = 1', 1),
        ("UPDATE audit SET at = at + interval '1 microsecond' WHERE id = 3", 3),
        ("DELETE FROM audit WHERE id = 1", 2),
        ("DELETE FROM audit WHERE id = 2", 3),
    ],
)
async def test_what_is_changed_or_taken_out_shows(
    ledger: World, statement: str, broken_at: int
) -> None:
    await told(ledger, "a", "b", "c")
    await tampered(ledger, statement)
    assert await ledger.value(BROKEN_AT) == broken_at


async def test_writers_at_the_same_time_make_one_chain_without_gaps(ledger: World) -> None:
    await asyncio.gather(*(told(ledger, f"a{n}", f"b{n}") for n in range(8)))
    rows = await ledger.rows("SELECT id, at FROM audit ORDER BY id")
    assert [row["id"] for row in rows] == [*range(1, 17)]
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert await ledger.value(BROKEN_AT) is None


async def test_those_who_ask_see_the_newest_decisions_and_whether_one_was_changed(
    ledger: World,
) -> None:
    await told(ledger, "a", "b", "c")
    views = AuditViews(ledger.engine)
    seen = await views.newest(2)
    assert [(each.who, each.object, each.before, each.after) for each in seen] == [
        ("alice", "b", None, {"value": "1.50"}),
        ("alice", "c", None, {"value": "1.50"}),
    ]
    assert await views.broken_at() is None
    await tampered(ledger, "UPDATE audit SET who = 'bob' WHERE id = 2")
    assert await views.broken_at() == 2


async def test_a_row_that_was_rolled_back_leaves_no_gap(ledger: World) -> None:
    await told(ledger, "a")
    async with ledger.engine.connect() as connection:
        await connection.execute(audit("bob", "rearm", "s1"))
        await connection.rollback()
    await told(ledger, "b")
    assert [row["id"] for row in await ledger.rows("SELECT id FROM audit ORDER BY id")] == [1, 2]
    assert await ledger.value(BROKEN_AT) is None


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_not_even_the_owner_changes_what_is_append_only(ledger: World, table: str) -> None:
    for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await ledger.rows(statement)


async def test_a_new_alarm_is_heard_and_one_that_is_open_is_not_told_again(ledger: World) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(ledger.url)
    await listener.add_listener("delta_alarms", lambda *told: heard.put_nowait(told[3]))
    raise_it = """
        INSERT INTO alarms (code, object, detail) VALUES ($1, 'o', '')
        ON CONFLICT (code, object) WHERE acknowledged_at IS NULL DO NOTHING
    """
    for code in ("RECON_BREAK", "RECON_BREAK", "LATE_FILL"):
        await ledger.rows(raise_it, code)
    numbers = [await asyncio.wait_for(heard.get(), 5) for _ in range(2)]
    stored = await ledger.rows("SELECT id FROM alarms ORDER BY id")
    assert numbers == [str(row["id"]) for row in stored]
    await listener.close()
