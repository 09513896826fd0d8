"""Booking: every fill once, whatever is repeated, late or out of order."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.ledger.results import EXTERNAL, UnknownChildError
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    SYMBOL,
    World,
    a_fill,
    a_report,
    an_intent,
    open_world,
)
from workflows.domain.orders import Side
from workflows.domain.reports import VenueStatus

FIRST, SECOND = a_fill("t1", "0.4", "50000.01"), a_fill("t2", "0.6", "49999.99")
FULL = a_report(VenueStatus.FILLED, "1", FIRST, SECOND)
NET = Decimal("0.999")
"""What FULL leaves of one base unit when its fees are paid."""


async def test_a_full_fill_moves_everything_at_once(ledger: World) -> None:
    intent = await ledger.sent()
    report = await ledger.ack(intent, FULL)
    assert report.is_settled
    assert report.filled_quote == Decimal("0.4") * Decimal("50000.01") + Decimal("29999.994")
    assert report.fees == {"BTC": Decimal("0.001")}
    assert await ledger.child_status(intent) == "filled"
    assert await ledger.reservation(intent) == ("released", Decimal(0))
    assert await ledger.position() == NET


async def test_an_acknowledgement_twice_books_once(ledger: World) -> None:
    intent = await ledger.sent()
    reports = [await ledger.ack(intent, FULL) for _ in range(3)]
    assert reports[0] == reports[1] == reports[2]
    assert await ledger.position() == NET
    assert await ledger.value("SELECT count(*) FROM fills") == 2
    assert await ledger.alarms() == []


async def test_the_same_report_from_many_sides_at_once_books_once(ledger: World) -> None:
    intent = await ledger.sent()
    booked = await asyncio.gather(*(ledger.book(intent, FULL) for _ in range(8)))
    assert sum(each.new_fills for each in booked) == 2
    assert await ledger.position() == NET


async def test_a_resting_order_reserves_what_is_not_filled(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.OPEN))
    assert await ledger.reservation(intent) == ("open", Decimal(1))
    await ledger.book(intent, a_report(VenueStatus.OPEN, "0.4", FIRST))
    assert await ledger.reservation(intent) == ("open", Decimal("0.6"))
    assert await ledger.child_status(intent) == "working"


async def test_a_quantity_without_its_fill_stays_reserved(ledger: World) -> None:
    """Neither the position nor the limits may lose sight of it."""
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.OPEN, "0.4"))
    assert await ledger.reservation(intent) == ("open", Decimal(1))
    assert await ledger.position() == 0


async def test_a_child_settles_only_when_its_fills_are_complete(ledger: World) -> None:
    intent = await ledger.sent()
    report = await ledger.ack(intent, a_report(VenueStatus.CANCELLED, "1", FIRST))
    assert not report.is_settled
    assert await ledger.child_status(intent) == "settling"
    assert await ledger.reservation(intent) == ("open", Decimal("0.6"))
    booked = await ledger.book(intent, a_report(VenueStatus.OPEN, "1", SECOND))
    assert booked.report.is_settled
    assert booked.report.status is VenueStatus.CANCELLED
    assert await ledger.child_status(intent) == "cancelled"
    assert (await ledger.reservation(intent))[0] == "released"


@pytest.mark.parametrize(
    "status",
    [VenueStatus.FILLED, VenueStatus.CANCELLED, VenueStatus.EXPIRED, VenueStatus.REJECTED],
)
async def test_a_terminal_word_of_the_venue_stays(ledger: World, status: VenueStatus) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(status, "0.4", FIRST))
    booked = await ledger.book(intent, a_report(VenueStatus.OPEN))
    assert booked.report.status is status
    assert booked.report.executed_quantity == Decimal("0.4")
    assert await ledger.child_status(intent) == status.value


async def test_a_late_fill_of_an_ended_child_is_booked_and_alarmed(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.CANCELLED, "0.4", FIRST))
    booked = await ledger.book(intent, a_report(VenueStatus.CANCELLED, "1", FIRST, SECOND))
    assert booked.new_fills == 1
    assert await ledger.position() == NET
    assert await ledger.child_status(intent) == "cancelled"
    assert (await ledger.reservation(intent))[0] == "released"
    assert await ledger.alarms() == ["LATE_FILL"]


@pytest.mark.parametrize(
    "change",
    [
        {"price": Decimal(1)},
        {"quantity": Decimal("0.5")},
        {"fee": Decimal(0)},
        {"fee_asset": "BNB"},
    ],
)
async def test_a_trade_told_with_other_figures_is_not_booked_again(
    ledger: World, change: dict[str, object]
) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, FULL)
    other = replace(FIRST, **change)  # type: ignore[arg-type] # the table above holds its fields
    booked = await ledger.book(intent, a_report(VenueStatus.FILLED, "1", other))
    assert (booked.new_fills, booked.conflicts) == (0, ("t1",))
    assert await ledger.alarms() == ["FILL_CONFLICT"]
    assert await ledger.position() == NET


async def test_an_answer_without_time_or_maker_flag_is_no_conflict(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, FULL)
    poorer = replace(FIRST, is_maker=True, traded_at_ms=0)
    booked = await ledger.book(intent, a_report(VenueStatus.FILLED, "1", poorer))
    assert booked.conflicts == ()


async def test_the_same_trade_twice_in_one_report_is_booked_once(ledger: World) -> None:
    intent = await ledger.sent()
    booked = await ledger.book(intent, a_report(VenueStatus.OPEN, "0.4", FIRST, FIRST))
    assert (booked.new_fills, booked.conflicts) == (1, ())
    assert await ledger.position() == Decimal("0.3996")


async def test_a_trade_of_an_account_with_itself_is_a_fill_of_each_side(ledger: World) -> None:
    buy = await ledger.sent("order-1")
    await ledger.ack(buy, FULL)
    sell = await ledger.sent("order-2", side=Side.SELL)
    await ledger.ack(sell, replace(FULL, venue_order_id="v2"))
    assert [await ledger.child_status(each) for each in (buy, sell)] == ["filled", "filled"]
    assert await ledger.alarms() == []
    assert await ledger.position() == Decimal("-0.002")


async def test_two_venue_orders_under_one_intent_are_alarmed(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, a_report(VenueStatus.OPEN))
    await ledger.book(intent, a_report(VenueStatus.OPEN, venue_order_id="v2"))
    assert await ledger.alarms() == ["DUPLICATE_ORDER"]


async def test_a_report_of_a_child_that_is_not_there_is_refused(ledger: World) -> None:
    with pytest.raises(UnknownChildError):
        await ledger.book(an_intent("nowhere"), FULL)
    assert await ledger.value("SELECT count(*) FROM fills") == 0


async def test_a_child_is_found_by_the_venues_id(ledger: World) -> None:
    intent = await ledger.sent()
    find = ledger.store.child_by_venue_id
    assert await find(EXCHANGE, ACCOUNT, SYMBOL, "v1") is None
    assert await ledger.store.child_report(intent.client_order_id) is None
    report = await ledger.ack(intent, FULL)
    stored = await find(EXCHANGE, ACCOUNT, SYMBOL, "v1")
    assert stored is not None
    assert stored.intent == intent
    assert await ledger.store.child_report(intent.client_order_id) == report


async def test_foreign_fills_are_booked_once_as_external(ledger: World) -> None:
    for _ in range(2):
        await ledger.store.book_external(
            EXCHANGE, ACCOUNT, SYMBOL, "v9", Side.SELL, [FIRST, SECOND], base="BTC", quote="USDT"
        )
    assert await ledger.position(EXTERNAL) == Decimal("-1.001")
    assert await ledger.position() == 0
    assert await ledger.alarms() == ["EXTERNAL_FILL"]


async def test_a_fill_of_ours_offered_as_foreign_stays_ours(ledger: World) -> None:
    intent = await ledger.sent()
    await ledger.ack(intent, FULL)
    new = await ledger.store.book_external(
        EXCHANGE, ACCOUNT, SYMBOL, "v1", Side.BUY, [FIRST], base="BTC", quote="USDT"
    )
    assert new == 0
    assert await ledger.position(EXTERNAL) == 0
    assert await ledger.alarms() == []


async def test_figures_with_many_digits_stay_exact(ledger: World) -> None:
    price, quantity = "12345678.123456789012345678", "0.123456789012345678"
    intent = await ledger.sent()
    fill = a_fill("t1", quantity, price, fee=Decimal("0.000000000000000001"))
    report = await ledger.ack(intent, a_report(VenueStatus.OPEN, quantity, fill))
    stored = await ledger.value("SELECT price * quantity FROM fills")
    assert report.filled_quote == stored
    value = await ledger.value("SELECT -amount FROM postings WHERE asset = 'USDT' AND amount < 0")
    assert value == stored


REPORTS = [
    a_report(VenueStatus.OPEN),
    a_report(VenueStatus.OPEN, "0.4", FIRST),
    a_report(VenueStatus.OPEN, "0.4"),
    a_report(VenueStatus.OPEN, "1", SECOND),
    a_report(VenueStatus.CANCELLED, "1", FIRST),
    a_report(VenueStatus.CANCELLED, "1", FIRST, SECOND),
]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sequence=st.lists(st.sampled_from(REPORTS), max_size=6),
    end=st.permutations(REPORTS),
    acked=st.booleans(),
)
async def test_reports_in_any_order_and_number_end_in_the_same_books(
    database_url: str, sequence: list[object], end: list[object], acked: bool
) -> None:
    """Whatever came before, once all was told the ledger holds each trade once."""
    async with open_world(database_url) as ledger:
        # examples share the database: another account each, so that trade ids never meet
        number = await ledger.value("SELECT count(*) FROM parent_orders")
        account = f"account-{number}"
        await ledger.store.set_readiness(EXCHANGE, account, True, Decimal(60), "test")
        await ledger.open(f"order-{number}", account=account, strategy_id=account)
        intent = an_intent(f"order-{number}", account=account, strategy_id=account)
        await ledger.reserve(intent)
        await ledger.store.claim(intent.client_order_id, 1, 1)
        for report in [*sequence, *end]:
            if acked:
                await ledger.ack(intent, report)  # type: ignore[arg-type] # drawn from REPORTS
            else:
                await ledger.book(intent, report)  # type: ignore[arg-type] # drawn from REPORTS
        known = await ledger.store.child_report(intent.client_order_id)
        assert known is not None
        assert known.is_settled
        assert (known.status, known.filled_quantity) == (VenueStatus.CANCELLED, Decimal(1))
        assert await ledger.position(account) == NET
        assert (await ledger.reservation(intent))[0] == "released"
        balances = await ledger.views.balances_from_ledger(EXCHANGE, account)
        assert balances["BTC"] == Decimal("0.999")
        assert balances["USDT"] == -known.filled_quote
