"""Positions, balances and what is kept beside them, on a real ledger."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from activities.ledger import store_positions
from activities.ledger.book_store import BookStore, FeeRate, Why
from activities.ledger.results import EXTERNAL, PositionKey
from activities.ledger.view_positions import InvalidCursorError, PositionViews
from tests.integration.ledger_world import (
    ACCOUNT,
    EXCHANGE,
    REFERENCE,
    SIGNED_AT_MS,
    SYMBOL,
    World,
    a_fill,
    open_world,
)
from workflows.domain.orders import Side
from workflows.domain.positions import (
    PositionFill,
    PositionState,
    book,
    fee_kind,
    fifo,
)
from workflows.domain.reports import Fill

BUY, SELL = Side.BUY, Side.SELL
Trade = tuple[Side, Fill]


def at(
    number: int, side: Side, quantity: str, price: str, trade_id: str = "", **changes: Any
) -> Trade:
    """A trade in the given second; its id is its number where none is given."""
    moment = {"traded_at_ms": SIGNED_AT_MS + number * 1_000}
    return side, a_fill(trade_id or str(number), quantity, price, **moment | changes)


TRADES = [
    at(1, BUY, "1", "50000"),
    at(2, BUY, "0.5", "50600.5", fee=Decimal("12.65"), fee_asset="USDT"),
    at(3, SELL, "0.3", "51000"),
    at(9, SELL, "2", "49900", fee=Decimal("-3"), fee_asset="USDT"),
    at(10, BUY, "0.333333", "49750.5", fee=Decimal("0.01"), fee_asset="BNB"),
    # of one millisecond, and a trade with oneself: the numbers decide, then the side
    at(11, SELL, "0.1", "50000", trade_id="100", fee=Decimal(0)),
    at(11, BUY, "0.2", "50100", trade_id="20", fee=Decimal(0)),
    at(11, BUY, "0.1", "50000", trade_id="100", fee=Decimal(0)),
]
"""In their order, but for the last three."""
IN_ORDER = [*TRADES[:5], TRADES[6], TRADES[7], TRADES[5]]


def counted(trades: Sequence[Trade], rates: dict[str, Decimal] | None = None) -> PositionState:
    """By the pure function."""
    state = PositionState()
    for side, fill in trades:
        state = book(state, step(side, fill, rates or {}))
    return state


def step(side: Side, fill: Fill, rates: dict[str, Decimal]) -> PositionFill:
    return PositionFill(
        side=side,
        quantity=fill.quantity,
        price=fill.price,
        fee=fill.fee,
        fee_kind=fee_kind(fill.fee_asset, SYMBOL),
        fee_rate=rates.get(fill.fee_asset, Decimal(0)),
    )


async def take(ledger: World, *trades: Trade, account: str = ACCOUNT) -> None:
    """Book trades that are not ours, one after another."""
    for side, fill in trades:
        await ledger.store.book_external(
            EXCHANGE, account, SYMBOL, "v9", side, [fill], base="BTC", quote="USDT"
        )


async def state(ledger: World, account: str = ACCOUNT) -> PositionState:
    names = ", ".join(PositionState.__dataclass_fields__)
    (row,) = await ledger.rows(f"SELECT {names} FROM positions WHERE account = $1", account)
    return PositionState(**row)


async def snapshots(ledger: World) -> list[dict[str, Any]]:
    return await ledger.rows("SELECT * FROM position_snapshots ORDER BY id")


async def balances_by_hand(ledger: World, account: str) -> dict[str, Decimal]:
    """Opening balances, postings and transfers, summed by the database."""
    rows = await ledger.rows(
        """
        SELECT asset, sum(amount) AS amount FROM (
            SELECT asset, amount FROM opening_balances WHERE account = $1
            UNION ALL SELECT asset, amount FROM transfers WHERE account = $1
            UNION ALL SELECT asset, amount FROM postings JOIN fills ON fills.id = fill_id
            WHERE postings.account = 'trading' AND fills.account = $1
        ) AS moved GROUP BY asset
        """,
        account,
    )
    return {row["asset"]: row["amount"] for row in rows}


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(TRADES), again=st.lists(st.sampled_from(TRADES), max_size=3))
async def test_fills_in_any_order_and_number_come_to_one_state(
    database_url: str, order: list[Trade], again: list[Trade]
) -> None:
    async with open_world(database_url) as ledger:
        # examples share the database: another account each, so that trade ids never meet
        account = f"account-{await ledger.value('SELECT count(*) FROM positions')}"
        mixed = list(itertools.chain(*itertools.zip_longest(order, again)))
        await take(ledger, *(each for each in mixed if each is not None), account=account)
        assert await state(ledger, account) == counted(IN_ORDER)
        held = await ledger.views.balances_from_ledger(EXCHANGE, account)
        assert held == await balances_by_hand(ledger, account)


async def test_fills_from_many_sides_at_once_come_to_the_same_state(ledger: World) -> None:
    await asyncio.gather(*(take(ledger, *reversed(TRADES[n % 3 :])) for n in range(6)))
    assert await state(ledger) == counted(IN_ORDER)
    assert await ledger.value("SELECT fill_count FROM positions") == len(TRADES)


async def test_all_fills_of_one_report_are_one_step_in_their_order(ledger: World) -> None:
    fills = [fill for side, fill in TRADES if side is BUY]
    await ledger.store.book_external(
        EXCHANGE, ACCOUNT, SYMBOL, "v9", BUY, list(reversed(fills)), base="BTC", quote="USDT"
    )
    assert await state(ledger) == counted([each for each in IN_ORDER if each[0] is BUY])


async def test_what_closes_a_position_of_others_is_counted_with_their_fills(ledger: World) -> None:
    first, later = at(1, BUY, "1", "50000"), at(5, BUY, "1", "50000")
    await take(ledger, later)
    await ledger.hold("1", SELL, name="closing", strategy=EXTERNAL)
    await take(ledger, first)  # a late one: all of them are counted again
    assert await ledger.value("SELECT quantity FROM positions") == Decimal("0.998")
    assert await ledger.value("SELECT fill_count FROM positions") == 3


async def test_a_late_fill_counts_from_the_snapshot_before_it_and_mends_those_after_it(
    ledger: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_positions, "CHECKPOINT_EVERY", 2)
    late = TRADES[2]
    await take(ledger, *(each for each in IN_ORDER if each is not late))
    before = await snapshots(ledger)
    # the last one is of both sides of the trade with oneself
    assert [row["fill_count"] for row in before] == [2, 4, 7]
    # what is before the checkpoint must not be read again
    await ledger.rows("UPDATE position_snapshots SET cash = cash + 7 WHERE fill_count = 2")
    await take(ledger, late)
    after = await snapshots(ledger)
    assert [row["fill_count"] for row in after] == [2, 5, 8, 8]
    right = counted(IN_ORDER)
    assert await state(ledger) == replace(right, cash=right.cash + 7)
    for row in after[1:]:
        told = PositionState(**{name: row[name] for name in PositionState.__dataclass_fields__})
        expected = counted(IN_ORDER[: row["fill_count"]])
        assert told == replace(expected, cash=expected.cash + 7)


async def test_a_fee_in_a_third_asset_counts_once_its_rate_is_known(ledger: World) -> None:
    books, views = BookStore(ledger.engine), PositionViews(ledger.engine)
    await take(ledger, *IN_ORDER[:6])
    await books.take_snapshots(Why.TIME)
    (fee,) = await books.fees_to_value(is_old=False)
    assert (fee.symbol, fee.fee_asset) == (SYMBOL, "BNB")
    assert await books.fees_to_value(is_old=True) == []
    (view,) = await views.positions()
    assert view.fees_unvalued == {"BNB": Decimal("0.01")}
    rate = FeeRate(rate=Decimal("612.5"), source="BNB/USDT close")
    assert [await books.save_fee_values({fee.fill_id: rate}) for _ in range(2)] == [1, 0]
    assert await books.fees_to_value(is_old=False) == []
    rates = {"BNB": rate.rate}
    assert await state(ledger) == counted(IN_ORDER[:6], rates)
    # a late fill before it is counted again with the rate
    await take(ledger, *IN_ORDER[6:])
    assert await state(ledger) == counted(IN_ORDER, rates)
    (row,) = await snapshots(ledger)
    assert row["fees_other"] == Decimal("0.01") * rate.rate
    (view,) = await views.positions()
    assert view.fees_unvalued == {}


async def test_fees_are_valued_in_all_later_snapshots_in_one_step(ledger: World) -> None:
    """They may be many, and nobody else can book meanwhile."""
    books, changed = BookStore(ledger.engine), []
    for number in range(1, 6):
        fee = {"fee": Decimal(number % 2), "fee_asset": "BNB"}  # of the first, third and fifth
        await take(ledger, at(number, BUY, "1", "50000", **fee))
        await books.take_snapshots(Why.TIME)
    fees = await books.fees_to_value(is_old=False)

    @event.listens_for(ledger.engine.sync_engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "UPDATE position_snapshots" in statement:
            changed.append(statement)

    rate = FeeRate(rate=Decimal(600), source="BNB/USDT close")
    assert await books.save_fee_values({fee.fill_id: rate for fee in fees}) == 3
    told = [(row["fees_quote"], row["fees_other"]) for row in await snapshots(ledger)]
    assert told == [(Decimal(value), Decimal(value)) for value in (600, 600, 1200, 1200, 1800)]
    assert len(changed) == 1


async def test_a_position_of_which_only_the_quantity_is_known_is_counted_from_its_fills(
    ledger: World,
) -> None:
    books = BookStore(ledger.engine)
    forget = "UPDATE positions SET cost = 0, cash = 0, realised_gross = 0, fill_count = -1"
    await take(ledger, *IN_ORDER[:5])
    await ledger.rows(forget)
    (key,) = await books.uncounted()
    assert key == PositionKey(EXTERNAL, ACCOUNT, EXCHANGE, SYMBOL)
    await asyncio.gather(books.count(key), books.count(key))
    assert await books.uncounted() == []
    assert await state(ledger) == counted(IN_ORDER[:5])
    await ledger.rows(forget)
    await take(ledger, *IN_ORDER[5:])
    assert await state(ledger) == counted(IN_ORDER)


async def test_snapshots_are_taken_of_what_is_held_or_has_changed(ledger: World) -> None:
    books = BookStore(ledger.engine)
    assert await books.take_snapshots(Why.TIME) == 0
    await take(ledger, TRADES[0])
    await books.save_marks({(EXCHANGE, SYMBOL): Decimal("50001.5")})
    assert [await books.take_snapshots(Why.TIME) for _ in range(2)] == [1, 1]
    await take(ledger, at(4, SELL, "0.999", "50500", fee=Decimal(0)))
    assert [await books.take_snapshots(why) for why in (Why.DAY, Why.TIME)] == [1, 0]
    found = await snapshots(ledger)
    assert [(row["why"], row["quantity"]) for row in found] == [
        ("time", Decimal("0.999")),
        ("time", Decimal("0.999")),
        ("day", Decimal(0)),
    ]
    assert {row["mark"] for row in found} == {Decimal("50001.5")}


async def test_the_opening_adds_to_what_fills_moved_before_it(ledger: World) -> None:
    await take(ledger, TRADES[0])
    await ledger.store.record_opening_balances(EXCHANGE, ACCOUNT, {"USDT": Decimal(100_000)})
    await take(ledger, TRADES[1])
    held = await ledger.views.balances_from_ledger(EXCHANGE, ACCOUNT)
    assert held == await balances_by_hand(ledger, ACCOUNT)
    assert held["USDT"] == 50_000 - Decimal("25300.25") - Decimal("12.65")


async def test_markets_with_a_position_or_an_open_reservation_are_marked(ledger: World) -> None:
    books = BookStore(ledger.engine)
    assert await books.markets_to_mark() == []
    await ledger.reserved("order-1")
    assert await books.markets_to_mark() == [(EXCHANGE, SYMBOL)]
    for price in ("50000", "50002"):
        await books.save_marks({(EXCHANGE, SYMBOL): Decimal(price)})
    assert await ledger.value("SELECT price FROM marks") == 50002


# --- what is shown --------------------------------------------------------------------------------


async def test_a_position_is_shown_with_its_worth_and_the_age_of_its_mark(ledger: World) -> None:
    views, books = PositionViews(ledger.engine), BookStore(ledger.engine)
    await ledger.reserved("order-1")
    assert await views.positions() == []
    await take(ledger, *IN_ORDER)
    (view,) = await views.positions(exchange=EXCHANGE, symbol=SYMBOL)
    assert (view.unrealised, view.total, view.mark) == (None, None, None)
    await books.save_marks({(EXCHANGE, SYMBOL): Decimal(50_000)})
    await ledger.rows("UPDATE marks SET marked_at = now() - interval '90 seconds'")
    shown = await views.position("EXTERNAL", EXCHANGE, SYMBOL)
    assert shown is not None
    right = counted(IN_ORDER)
    assert (shown.quantity, shown.cost, shown.cash) == (right.quantity, right.cost, right.cash)
    assert shown.average_price == right.average_price
    assert shown.total == right.valued(Decimal(50_000)).total
    assert shown.mark_age_s is not None
    assert 90 <= shown.mark_age_s < 120
    assert await views.position("s1", EXCHANGE, SYMBOL) is None
    assert await views.positions(strategy_id="nobody") == []


async def test_positions_of_a_symbol_are_summed_over_strategies(ledger: World) -> None:
    views, books = PositionViews(ledger.engine), BookStore(ledger.engine)
    await ledger.hold("2")
    await take(ledger, at(1, SELL, "0.5", "50000", fee=Decimal(0)))
    (summed,) = await views.by_symbol()
    assert (summed.quantity, summed.positions) == (Decimal("1.5"), 2)
    assert (summed.total, summed.average_price) == (None, None)
    await books.save_marks({(EXCHANGE, SYMBOL): Decimal(50_100)})
    (summed,) = await views.by_symbol()
    assert (summed.mark, summed.total) == (50_100, 150)
    (alone,) = await views.by_symbol(strategy_id="s1")
    assert (alone.quantity, alone.average_price) == (2, REFERENCE)


async def test_the_lots_of_a_position_are_those_of_all_its_fills(ledger: World) -> None:
    views, books = PositionViews(ledger.engine), BookStore(ledger.engine)
    assert await views.fifo("EXTERNAL", EXCHANGE, SYMBOL) is None
    flat = [at(1, BUY, "1", "100", fee=Decimal(0)), at(2, SELL, "1", "110", fee=Decimal(0))]
    later = [at(3, BUY, "2", "100"), at(4, BUY, "1", "120"), at(5, SELL, "2.5", "130")]
    await take(ledger, *flat)
    await books.take_snapshots(Why.TIME)
    await take(ledger, *later)
    await books.save_marks({(EXCHANGE, SYMBOL): Decimal(125)})
    shown = await views.fifo("EXTERNAL", EXCHANGE, SYMBOL)
    assert shown is not None
    right = fifo(step(side, fill, {}) for side, fill in [*flat, *later])
    assert shown.lots == right.lots
    assert shown.realised_net == right.realised_net
    assert shown.total == counted([*flat, *later]).valued(Decimal(125)).total


async def test_pnl_over_time_is_read_from_snapshots(ledger: World) -> None:
    views, books = PositionViews(ledger.engine), BookStore(ledger.engine)
    for trade in IN_ORDER[:3]:
        await take(ledger, trade)
        await books.save_marks({(EXCHANGE, SYMBOL): trade[1].price})
        await books.take_snapshots(Why.TIME)
    now = datetime.now(UTC)
    span = {"since": now - timedelta(hours=1), "until": now + timedelta(hours=1)}
    shown = await views.snapshots("EXTERNAL", **span, symbol=SYMBOL)
    states = [counted(IN_ORDER[:number]) for number in (1, 2, 3)]
    assert [each.realised_net for each in shown] == [each.realised_net for each in states]
    marks = [fill.price for _, fill in IN_ORDER[:3]]
    totals = [one.valued(mark).total for one, mark in zip(states, marks, strict=True)]
    assert [each.total for each in shown] == totals
    assert await views.snapshots("EXTERNAL", since=span["until"], until=span["until"]) == []


async def test_fills_are_paged_newest_first_and_by_whatever_is_asked(ledger: World) -> None:
    views = PositionViews(ledger.engine)
    await take(ledger, *IN_ORDER)
    await ledger.hold("1", name="order-1")
    found, cursor = [], None
    while True:
        page, cursor = await views.fills(limit=2, cursor=cursor)
        found += page
        if cursor is None:
            break
    moments = [each.traded_at for each in found]
    assert len(found) == len(IN_ORDER) + 1
    assert moments == sorted(moments, reverse=True)
    assert len({(each.trade_id, each.side) for each in found}) == len(found)
    ours, _ = await views.fills(strategy_id="s1")
    assert [each.order_id for each in ours] == ["order-1"]
    assert await views.fills(order_id="order-1") == (ours, None)
    foreign, _ = await views.fills(strategy_id="EXTERNAL", symbol=SYMBOL)
    assert {each.strategy_id for each in foreign} == {"EXTERNAL"}
    assert len(foreign) == len(IN_ORDER)
    assert await views.fills(symbol="ETH/USDT") == ([], None)
    with pytest.raises(InvalidCursorError):
        await views.fills(cursor="nonsense")


async def test_balances_are_shown_beside_what_the_venue_said(ledger: World) -> None:
    views = PositionViews(ledger.engine)
    await ledger.store.record_opening_balances(EXCHANGE, ACCOUNT, {"USDT": Decimal(5)})
    await ledger.rows(
        "INSERT INTO venue_balances (exchange, account, asset, total, free) "
        "VALUES ($1, $2, 'USDT', 5, 4), ($1, $2, 'XRP', 1, 1)",
        EXCHANGE,
        ACCOUNT,
    )
    usdt, xrp = await views.balances(EXCHANGE)
    assert (usdt.asset, usdt.ours, usdt.venue_total, usdt.venue_free) == ("USDT", 5, 5, 4)
    assert (xrp.asset, xrp.ours, xrp.venue_total) == ("XRP", None, 1)
    assert usdt.read_at is not None
