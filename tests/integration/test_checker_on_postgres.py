"""The checker on a real ledger and a real log file: what is planted in either is found."""

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    SYMBOL,
    World,
    a_fill,
    a_report,
)
from workers import checker
from workers.checker import CheckError, CheckReport, check, check_settled
from workers.checker_ledger import LedgerFacts, read_ledger
from workers.settings import Settings, load_settings
from workflows.domain.orders import ChildIntent
from workflows.domain.reports import VenueStatus

START = {"BTC": Decimal(10), "USDT": Decimal(1_000_000)}


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """A DELTA_HOME with one paper exchange beside the test's own ledger."""
    return load_settings(
        {"DELTA_HOME": str(tmp_path), "DATABASE_URL": database_url, "EXCHANGES": EXCHANGE}
    )


class Log:
    """A hand-made log of the exchange."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        self._path = path
        self.add("account", account=ACCOUNT, balances={k: str(v) for k, v in START.items()})

    def add(self, kind: str, **fields: Any) -> None:
        row = {
            "seq": 1,
            "ts_ms": time.time_ns() // 1_000_000,
            "kind": kind,
            **fields,
            "commit": True,
        }
        with self._path.open("a") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")

    def order(self, order_id: int, client_order_id: str, executed: str = "0") -> None:
        self.add(
            "order",
            order_id=order_id,
            client_order_id=client_order_id,
            account=ACCOUNT,
            symbol=SYMBOL,
            side="BUY",
            type="LIMIT",
            tif="GTC",
            price="50000",
            quantity="1",
        )
        status = "FILLED" if executed == "1" else "CANCELED"
        self.add("order_update", order_id=order_id, status=status, executed=executed)

    def trade(self, trade_id: int, order_id: int, client_order_id: str) -> None:
        self.add(
            "trade",
            trade_id=trade_id,
            order_id=order_id,
            client_order_id=client_order_id,
            account=ACCOUNT,
            symbol=SYMBOL,
            side="BUY",
            maker=False,
            price="50000",
            quantity="1",
            fee="0.001",
            fee_asset="BTC",
        )


@pytest.fixture
def log(settings: Settings) -> Log:
    return Log(settings.home.paper_journal(EXCHANGE))


async def filled(ledger: World, log: Log) -> ChildIntent:
    """One order of ours, filled, in the ledger and in the log."""
    await ledger.store.record_opening_balances(EXCHANGE, ACCOUNT, START)
    intent = await ledger.sent("order-1")
    report = a_report(VenueStatus.FILLED, "1", a_fill("41", "1"), venue_order_id="7")
    await ledger.ack(intent, report)
    log.order(7, intent.client_order_id, executed="1")
    log.trade(41, 7, intent.client_order_id)
    return intent


def rules(report: CheckReport) -> list[str]:
    return [f"{each.invariant} {each.subject}" for each in report.violations]


async def plant(world: World, statement: str, *arguments: Any) -> None:
    """Straight into the database, past the code under test."""
    connection = await asyncpg.connect(world.url)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


async def test_a_filled_order_in_ledger_and_log_alike_is_clean(ledger, log, settings):
    await filled(ledger, log)
    report = await check(settings)
    assert rules(report) == []
    assert report.ok
    assert (report.orders, report.sent_twice, report.fills) == (1, 0, 1)
    assert report.venues == (EXCHANGE,)


async def test_a_parent_that_has_not_ended_is_found_when_asked_for(ledger, log, settings):
    await filled(ledger, log)
    assert rules(await check(settings, all_finished=True)) == ["I2 order-1"]


async def test_an_order_that_was_sent_twice_is_counted(ledger, log, settings):
    intent = await filled(ledger, log)
    log.order(8, intent.client_order_id)
    report = await check(settings)
    assert rules(report) == [f"I1 {intent.client_order_id}"]
    assert (report.orders, report.sent_twice) == (2, 1)
    assert not report.ok


async def test_a_posting_out_of_nowhere_unbalances_the_books(ledger, log, settings):
    await filled(ledger, log)
    await plant(ledger, "ALTER TABLE postings DISABLE TRIGGER ALL")
    await plant(
        ledger,
        "INSERT INTO postings (fill_id, entry, account, asset, amount) "
        "SELECT id, 99, 'trading', 'BTC', 0.00000001 FROM fills",
    )
    fill_id = await ledger.value("SELECT id FROM fills")
    # the sum differs from the exchange's balance, and from the one that the engine keeps
    assert rules(await check(settings)) == [
        f"I6 fill {fill_id}",
        f"I6 {EXCHANGE}/{ACCOUNT}/BTC",
        f"I6 {EXCHANGE}/{ACCOUNT}/BTC",
    ]


async def test_a_position_and_a_balance_that_nothing_explains_are_found(ledger, log, settings):
    await filled(ledger, log)
    await plant(ledger, "UPDATE positions SET cash = cash + 1")
    await plant(ledger, "UPDATE account_balances SET amount = amount + 1 WHERE asset = 'USDT'")
    assert rules(await check(settings)) == [
        f"POSITION s1/{ACCOUNT}/{EXCHANGE}/{SYMBOL}",
        f"I6 {EXCHANGE}/{ACCOUNT}/USDT",
    ]


@pytest.mark.parametrize("kind", ["parent", "child"])
async def test_an_order_without_its_stored_risk_check_is_found(ledger, log, settings, kind):
    intent = await filled(ledger, log)
    await plant(ledger, "ALTER TABLE risk_checks DISABLE TRIGGER ALL")
    await plant(ledger, "DELETE FROM risk_checks WHERE kind = $1", kind)
    assert rules(await check(settings)) == [f"I8 {intent.client_order_id}"]


async def test_a_risk_check_of_an_attempt_that_was_not_sent_proves_nothing(ledger, log, settings):
    intent = await filled(ledger, log)
    await plant(ledger, "UPDATE attempts SET claimed_at = NULL")
    assert rules(await check(settings)) == [f"I8 {intent.client_order_id}"]


async def test_an_open_reservation_of_a_finished_parent_is_found(ledger, log, settings):
    intent = await filled(ledger, log)
    await plant(
        ledger, "UPDATE parent_orders SET status = 'filled', quantity = 1, filled_quantity = 1"
    )
    assert rules(await check(settings)) == []
    await plant(ledger, "UPDATE reservations SET state = 'open'")
    assert rules(await check(settings)) == [f"RELEASED {intent.client_order_id}"]


async def test_what_is_booked_a_moment_later_is_no_violation(ledger, log, settings, monkeypatch):
    intent = await filled(ledger, log)
    log.order(8, "by-hand", executed="1")
    log.trade(42, 8, "by-hand")
    assert f"I3 {EXCHANGE}/{ACCOUNT}/{SYMBOL}/42" in rules(await check(settings))
    looks = []

    async def book_after_the_first_look(url: str) -> LedgerFacts:
        facts = await read_ledger(url)
        looks.append(len(facts.fills))
        fill = [a_fill("42", "1")]
        await ledger.store.book_external(
            EXCHANGE, ACCOUNT, SYMBOL, "8", intent.side, fill, base="BTC", quote="USDT"
        )
        return facts

    monkeypatch.setattr(checker, "read_ledger", book_after_the_first_look)
    assert rules(await check_settled(settings, within_s=30)) == []
    assert looks == [1, 2]


async def test_what_stays_wrong_is_told_when_the_time_is_over(ledger, log, settings):
    intent = await filled(ledger, log)
    log.order(8, intent.client_order_id)
    report = await check_settled(settings, within_s=0.1)
    assert rules(report) == [f"I1 {intent.client_order_id}"]


async def test_a_venue_without_a_log_is_named_and_nothing_judged_is_not_ok(ledger, settings):
    report = await check(settings)
    assert (report.venues, report.unjudged, report.ok) == ((), (EXCHANGE,), False)


async def test_a_ledger_that_does_not_answer_is_one_line(settings, log):
    away = settings.model_copy(update={"database_url": None, "postgres_port": 1})
    away.home.make()
    away.home.ensure_postgres_passwords(["delta_ro"])
    with pytest.raises(CheckError, match="the ledger does not answer"):
        await check(away)
